//! Another launcher: the witness started by it, and what verify says of it.

use super::planted::terminal;
use super::{Outside, judged};
use crate::canaries::{BLOCKED, Canaries, UMASK, VARIABLE};
use serde_json::Value;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

/// A launcher's words, with `{probe}` for what it starts: in a root that is `{root}`, or where the
/// outside's own root is.
pub(super) struct Launched<'a> {
    pub(super) in_root: bool,
    /// Whether a daemon starts it, which is on no stage of verify's.
    pub(super) of_daemon: bool,
    pub(super) words: &'a [String],
}

impl Outside {
    pub(super) fn launched(&self, case: u64, rustic: &str, launched: &Launched<'_>) -> Value {
        let root = format!("{}/root", self.dir);
        let program =
            if launched.in_root { "/bin/truth".to_owned() } else { format!("{root}/bin/truth") };
        // A terminal hangs up when the leader of its session ends: each launcher has one of its own.
        let ([master, slave], known) = terminal();
        let told = Canaries { terminal: known, ..self.canaries.clone() }.told();
        let probe = [program.as_str(), "cross", &told];
        let words = launched.words.iter().flat_map(|word| match word.as_str() {
            "{probe}" => probe.map(str::to_owned).to_vec(),
            word => vec![
                word.replace("{root}", &root)
                    .replace("{bin}", &program)
                    .replace("{name}", &format!("truth-{case}")),
            ],
        });
        let words: Vec<String> = words.collect();
        let (ran, typed, said) = self.started(&words, master, slave);
        let mut crossed = self.crossed(&ran);
        // A new namespace has the name of the old one; whether it is the same one is told otherwise.
        crossed.retain(|how| how != "uts gethostname");
        crossed.extend(typed);

        let mut verify = Command::new(rustic);
        verify.args(["verify", "--json"]);
        if launched.of_daemon {
            verify.arg("--no-stage");
        }
        if launched.in_root {
            verify.args(["--plant", &root]);
        }
        verify.arg("--").args(launched.words.iter().map(|word| word.replace("{root}", &root)));
        let mut judged = judged(verify, &ran, crossed);
        judged["case"] = case.into();
        judged["options"] = launched.words.join(" ").into();
        judged["said"] = said.into();
        let _ = fs::remove_dir_all(format!("{root}/run"));
        judged
    }

    /// Starts a launcher with what a careless caller leaves it, on a terminal of its own; and says
    /// what it has done to that, and what it has said there.
    fn started(
        &self,
        words: &[String],
        master: i32,
        slave: i32,
    ) -> (Output, Option<String>, String) {
        let mut run = Command::new(&words[0]);
        run.args(&words[1..]).env(VARIABLE, &self.secret);
        // A file of its own: what is behind stdin has its mode changed.
        run.stdin(File::open(self.stdin()).unwrap()).stdout(Stdio::piped());
        let left_open = self.memory.as_raw_fd();
        // SAFETY: numbers of descriptors that are open here, between fork and execve.
        unsafe {
            run.pre_exec(move || {
                libc::umask(UMASK);
                let mut set = std::mem::zeroed::<libc::sigset_t>();
                libc::sigaddset(&raw mut set, BLOCKED);
                libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
                libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong);
                libc::setsid();
                let taken = libc::ioctl(slave, libc::TIOCSCTTY, 0);
                if taken == -1
                    || libc::dup2(slave, 2) == -1
                    || libc::fcntl(left_open, libc::F_DUPFD, 50) == -1
                {
                    return Err(std::io::Error::last_os_error());
                }
                Ok(())
            })
        };
        let ran = run.output().unwrap();
        // SAFETY: descriptors of this process, and places for a number and a size.
        let typed = unsafe {
            let (mut typed, mut size) = (0_i32, std::mem::zeroed::<libc::winsize>());
            libc::ioctl(slave, libc::FIONREAD, &raw mut typed);
            libc::ioctl(slave, libc::TIOCGWINSZ, &raw mut size);
            (typed > 0 || size.ws_col == 999)
                .then(|| format!("terminal {typed} typed, {} columns", size.ws_col))
        };
        let mut said = vec![0; 4096];
        // SAFETY: the descriptor does not wait, and the buffer has the length that is passed.
        let length = unsafe { libc::read(master, said.as_mut_ptr().cast(), said.len()) };
        said.truncate(length.max(0) as usize);
        // SAFETY: they were made for this, and nobody uses them any more.
        unsafe { (libc::close(master), libc::close(slave)) };
        (ran, typed, String::from_utf8_lossy(&said).into_owned())
    }
}

/// Peer groups of the mounts of this process, mount_namespaces(7).
pub(super) fn peers() -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let groups = table.split_whitespace().filter_map(|field| field.strip_prefix("shared:"));
    groups.map(str::to_owned).collect()
}

/// What files of /proc say first that tell of the machine.
pub(super) fn facts() -> Vec<(String, String)> {
    ["interrupts", "timer_list", "kallsyms"]
        .into_iter()
        .filter_map(|file| {
            let text = fs::read_to_string(format!("/proc/{file}")).ok()?;
            Some((file.to_owned(), text.lines().next()?.to_owned()))
        })
        .collect()
}
