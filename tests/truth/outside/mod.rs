//! The outside: new namespaces with something in each, and two looks at every container.

mod calls;
mod launcher;
mod planted;

use crate::canaries::{Canaries, NAME};
use calls::{done, mount, text};
use launcher::{Launched, facts, peers};
use planted::{
    directory_root, key, loopback_up, memfd, process, queue, secret_address, shared_memory,
    terminal, vsock,
};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::BufRead;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

pub(crate) fn main(dir: &str, rustic: &str, rootfs: &str) {
    let outside = Outside::make(dir);
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let mut words = line.split('\t');
        let case: u64 = words.next().unwrap().parse().unwrap();
        let given = words.map(|word| word.replace("{dir}", dir));
        let mut options: Vec<String> = given.collect();
        if let Some(kind) = options.first().and_then(|word| word.strip_prefix("launcher")) {
            let launched = Launched {
                in_root: kind.contains("-in-root"),
                of_daemon: kind.contains("-of-daemon"),
                words: &options[1..],
            };
            println!("{}", outside.launched(case, rustic, &launched));
            continue;
        }
        if !options.iter().any(|word| word == "--rootfs") {
            options.extend(["--rootfs".into(), rootfs.into()]);
        }
        println!("{}", outside.both(case, rustic, &options));
    }
}

struct Outside {
    canaries: Canaries,
    secret: String,
    dir: String,
    tcp: TcpListener,
    unix: UnixListener,
    queue: i32,
    /// Left open where a container would find it.
    memory: File,
    // Held for as long as they are to be found.
    _terminal: [i32; 2],
    _vsock: i32,
}

impl Outside {
    fn make(dir: &str) -> Self {
        let secret = format!(
            "truth{}{}",
            std::process::id(),
            fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap().replace(['-', '\n'], "")
        );
        namespaces(dir, &secret);
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        tcp.set_nonblocking(true).unwrap();
        let name = SocketAddr::from_abstract_name(&secret).unwrap();
        let unix = UnixListener::bind_addr(&name).unwrap();
        unix.set_nonblocking(true).unwrap();
        let memory = memfd(&secret);
        shared_memory(&secret);
        let (vsock, vsock_port) = vsock();
        let (terminal, known) = terminal();
        let pid = process();
        let canaries = Canaries {
            dir: dir.into(),
            root: fs::metadata("/").map(|stat| (stat.dev(), stat.ino())).unwrap(),
            pid,
            address: secret_address(&secret),
            port: tcp.local_addr().unwrap().port(),
            vsock: vsock_port,
            key: key(&secret),
            terminal: known,
            namespaces: links_of_namespaces(),
            cgroup: own_cgroup(),
            peers: peers(),
            facts: facts(),
            disks: disks(),
            secret: secret.clone(),
        };
        Self {
            canaries,
            secret,
            dir: dir.into(),
            tcp,
            unix,
            queue: queue(),
            memory,
            _terminal: terminal,
            _vsock: vsock,
        }
    }

    /// What the witness crosses, and what verify says.
    fn both(&self, case: u64, rustic: &str, options: &[String]) -> Value {
        let stdin = self.stdin();
        let mut run = Command::new(rustic);
        run.arg("run").args(options).args(["--", "/bin/truth", "cross", &self.canaries.told()]);
        run.stdin(File::open(&stdin).unwrap()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let left_open = self.memory.as_raw_fd();
        // SAFETY: a copy of a descriptor that is left open by execve, between fork and that.
        unsafe {
            run.pre_exec(move || match libc::fcntl(left_open, libc::F_DUPFD, 50) {
                -1 => Err(std::io::Error::last_os_error()),
                _ => Ok(()),
            })
        };
        let ran = run.output().unwrap();
        let mut crossed = self.crossed(&ran);
        crossed.extend(self.stdin_marks(&stdin));

        let mut verify = Command::new(rustic);
        verify.arg("verify").args(options).arg("--json");
        let mut judged = judged(verify, &ran, crossed);
        judged["case"] = case.into();
        judged["options"] = options.join(" ").into();
        judged
    }

    /// What the witness says that it has crossed, and what it has left.
    fn crossed(&self, ran: &Output) -> Vec<String> {
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        let lines = said.lines().filter_map(|line| line.strip_prefix("crossed "));
        let mut crossed: Vec<String> = lines.map(str::to_owned).collect();
        crossed.extend(self.marks().map(str::to_owned));
        crossed
    }

    /// A file for stdin, which the witness tries to change.
    fn stdin(&self) -> String {
        let stdin = format!("{}/stdin", self.dir);
        fs::write(&stdin, "a line\n").unwrap();
        fs::set_permissions(&stdin, fs::Permissions::from_mode(0o600)).unwrap();
        stdin
    }

    fn stdin_marks(&self, stdin: &str) -> Option<String> {
        let stat = fs::metadata(stdin).unwrap();
        let same =
            stat.mode() & 0o7777 == 0o600 && fs::read_to_string(stdin).unwrap() == "a line\n";
        (!same).then(|| "fds the file behind stdin was changed".into())
    }

    /// What was left outside, which is put back as it was.
    fn marks(&self) -> impl Iterator<Item = &'static str> {
        let mut found = Vec::new();
        if self.tcp.accept().is_ok() {
            found.push("net a connection came");
        }
        if self.unix.accept().is_ok() {
            found.push("net an abstract connection came");
        }
        let mut message = [0_u8; 64];
        // SAFETY: the buffer has the length that is passed, and no priority is asked for.
        while unsafe {
            libc::mq_receive(self.queue, message.as_mut_ptr().cast(), 64, std::ptr::null_mut())
        } > 0
        {
            found.push("ipc a message came");
        }
        let now = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        if now.trim() != NAME {
            found.push("uts the name was set");
            // SAFETY: a string and its length.
            unsafe { libc::sethostname(NAME.as_ptr().cast(), NAME.len()) };
        }
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        for line in table.lines().filter(|line| line.contains(&format!("{}-mount", self.secret))) {
            found.push("mnt a mount came");
            let point = text(line.split(' ').nth(4).unwrap());
            // SAFETY: a string with NUL.
            unsafe { libc::umount2(point.as_ptr(), libc::MNT_DETACH) };
        }
        found.into_iter()
    }
}

/// What verify says, beside what was crossed.
fn judged(mut verify: Command, ran: &Output, crossed: Vec<String>) -> Value {
    let verified = verify.stdin(Stdio::null()).output().unwrap();
    let report: Value = serde_json::from_slice(&verified.stdout).unwrap_or_default();
    let walls = || report["walls"].as_array().into_iter().flatten();
    let verdicts: serde_json::Map<String, Value> = walls()
        .map(|wall| (wall["wall"].as_str().unwrap().to_owned(), wall["verdict"].clone()))
        .collect();
    let unknown: Vec<String> = walls()
        .filter(|wall| wall["verdict"] == "unknown")
        .map(|wall| format!("{}: {}", wall["wall"], wall["because"]))
        .collect();
    let ended = String::from_utf8_lossy(&ran.stdout).lines().any(|line| line == "end");
    json!({
        "ended": ended,
        "said": String::from_utf8_lossy(&ran.stderr),
        "crossed": crossed,
        "code": verified.status.code(),
        "verify_said": String::from_utf8_lossy(&verified.stderr),
        "verdicts": verdicts,
        "unknown": unknown,
    })
}

/// Goes into new namespaces, with what is planted in the files of each.
fn namespaces(dir: &str, secret: &str) {
    let new = libc::CLONE_NEWNS | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC | libc::CLONE_NEWNET;
    // SAFETY: numbers only; this process has one thread.
    done("unshare", unsafe { libc::unshare(new) }.into());
    mount("", "/", "", libc::MS_PRIVATE | libc::MS_REC, "");
    mount("", "/", "", libc::MS_SHARED | libc::MS_REC, "");
    // SAFETY: a string and its length.
    done("sethostname", unsafe { libc::sethostname(NAME.as_ptr().cast(), NAME.len()) }.into());
    loopback_up();
    mount("truth", dir, "tmpfs", 0, "mode=0755,size=64m");
    // Engines want the hierarchies that the host has.
    let kept = format!("{dir}/cgroup");
    fs::create_dir(&kept).unwrap();
    mount("/sys/fs/cgroup", &kept, "", libc::MS_BIND | libc::MS_REC, "");
    mount("", &kept, "", libc::MS_PRIVATE | libc::MS_REC, "");
    mount("sysfs", "/sys", "sysfs", 0, "");
    let _ = fs::create_dir("/sys/fs/cgroup");
    if std::env::var_os("TRUTH_CGROUPS").is_some() {
        mount(&kept, "/sys/fs/cgroup", "", libc::MS_BIND | libc::MS_REC, "");
    } else {
        mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, "");
    }
    // SAFETY: a string with NUL.
    unsafe { libc::umount2(text(&kept).as_ptr(), libc::MNT_DETACH) };
    fs::write("/sys/class/net/lo/ifalias", secret).unwrap();
    fs::write(format!("{dir}/secret"), secret).unwrap();
    fs::create_dir(format!("{dir}/mqueue")).unwrap();
    mount("mqueue", &format!("{dir}/mqueue"), "mqueue", 0, "");
    directory_root(dir, secret);
}

fn links_of_namespaces() -> Vec<(String, String)> {
    ["uts", "ipc", "net", "mnt", "pid", "cgroup", "time", "user"]
        .map(|one| {
            let link = fs::read_link(format!("/proc/self/ns/{one}"));
            (one.to_owned(), link.unwrap().to_string_lossy().into_owned())
        })
        .to_vec()
}

/// The first cgroup of this process that is not the root; empty where there is none.
fn own_cgroup() -> String {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    let paths = own.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    paths.filter(|path| *path != "/").map(str::to_owned).next().unwrap_or_default()
}

fn disks() -> Vec<(u32, u32)> {
    let entries = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| {
        let number = fs::read_to_string(entry.path().join("dev")).ok()?;
        let (major, minor) = number.trim().split_once(':')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    });
    numbers.take(4).collect()
}
