//! How a test starts rustic, looks at the host, and waits.

use rustix::fd::OwnedFd;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// The plain user of the tests.
pub(crate) const NOBODY: u32 = 65534;

/// Longer than anything takes on a busy machine; polls end as soon as what they wait for is there.
pub(crate) const CEILING: Duration = Duration::from_secs(60);

/// Says why a test is skipped. Where everything is needed, as in CI, a skip is a failure.
#[macro_export]
macro_rules! need {
    (root) => {
        $crate::need!(
            rustix::process::geteuid().is_root(),
            "it starts containers as root and as nobody, and this is not root"
        );
    };
    ($condition:expr, $reason:expr) => {
        if !$condition {
            assert!(
                std::env::var_os("RUSTIC_NEED").is_none_or(|need| need != "all"),
                "needed, and cannot run: {}",
                $reason
            );
            eprintln!("skipped: {}", $reason);
            return;
        }
    };
}

/// A folder of this test process that everybody may enter: nobody runs the binary from there.
pub(crate) fn shared() -> &'static Path {
    static SHARED: OnceLock<PathBuf> = OnceLock::new();
    SHARED.get_or_init(|| {
        sweep(&std::env::temp_dir());
        let dir = std::env::temp_dir().join(format!("{PREFIX}{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_rustic"), dir.join("rustic")).unwrap();
        let target = Path::new(env!("CARGO_BIN_EXE_rustic")).parent().unwrap();
        for program in ["payload", "surface"] {
            fs::copy(target.join("examples").join(program), dir.join(program)).unwrap();
        }
        dir
    })
}

const PREFIX: &str = "rustic-it-";

/// Removes what earlier runs have left: the last test of a run does not know that it is the last.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid =
            name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A folder of one test that holds whole systems: in memory where there is room, since a disk takes
/// most of their time.
pub(crate) fn roomy(name: &str) -> PathBuf {
    let memory = Path::new("/dev/shm");
    let room = rustix::fs::statvfs(memory).map_or(0, |stat| stat.f_bavail * stat.f_frsize);
    if room < 4 << 30 {
        return scratch(name);
    }
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| sweep(memory));
    let dir = memory.join(format!("{PREFIX}{}-{name}-{}", std::process::id(), unique()));
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// The binary under test.
pub(crate) fn binary() -> PathBuf {
    shared().join("rustic")
}

/// The static program that tests run inside.
pub(crate) fn payload() -> PathBuf {
    shared().join("payload")
}

/// The static program that tries what a hostile root finds open.
pub(crate) fn surface() -> PathBuf {
    shared().join("surface")
}

/// A folder of one test, empty.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let dir = shared().join(format!("{name}-{}", unique()));
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// A number that no other call in this process gets.
pub(crate) fn unique() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A word that stands in the command line of every process of one run, and of no other.
pub(crate) fn marker() -> String {
    // The dot keeps run 1 from being found in run 10.
    format!("mark-{}-{}.", std::process::id(), unique())
}

/// A `rustic run`, being put together.
#[derive(Clone)]
pub(crate) struct Rustic {
    uid: u32,
    args: Vec<String>,
    env: Vec<(String, String)>,
    input: Option<PathBuf>,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Rustic {
    /// `rustic run`, as root.
    pub(crate) fn run() -> Self {
        Self::command("run")
    }

    /// Another command.
    pub(crate) fn command(name: &str) -> Self {
        Self { uid: 0, args: vec![name.into()], env: vec![], input: None }
    }

    /// As nobody, without a home.
    pub(crate) fn nobody(mut self) -> Self {
        self.uid = NOBODY;
        self
    }

    pub(crate) fn ns(self, namespace: &str, switch: &str) -> Self {
        self.opt([format!("--{namespace}"), switch.into()])
    }

    pub(crate) fn opt<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(words.into_iter().map(Into::into));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// A file as its stdin, in place of a pipe.
    pub(crate) fn input(mut self, path: &Path) -> Self {
        self.input = Some(path.to_owned());
        self
    }

    /// CMD as `sh -c SCRIPT`.
    pub(crate) fn sh(self, script: &str) -> Self {
        self.opt(["sh", "-c", script])
    }

    /// The arguments behind the binary's name.
    pub(crate) fn args(&self) -> &[String] {
        &self.args
    }

    /// As a command of std.
    pub(crate) fn std(&self) -> Command {
        let mut command = Command::new(binary());
        command
            .args(&self.args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        if self.uid == 0 {
            command.env("RUSTIC_STORE", shared().join("store"));
        } else {
            // std gives up supplementary groups by itself when root changes the uid.
            command.uid(self.uid).gid(self.uid).env("HOME", "/nonexistent");
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs it to its end, without input.
    pub(crate) fn ran(&self) -> Ran {
        self.ran_with("")
    }

    /// Runs it to its end with this input.
    pub(crate) fn ran_with(&self, input: &str) -> Ran {
        let mut child = self.started();
        if let Some(mut stdin) = child.stdin.take() {
            let _ = stdin.write_all(input.as_bytes());
        }
        finish(child)
    }

    /// Starts it with pipes.
    pub(crate) fn started(&self) -> Child {
        let stdin = match &self.input {
            Some(path) => fs::File::open(path).unwrap().into(),
            None => Stdio::piped(),
        };
        self.std().stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

/// Waits for the end of a run, and kills it if it hangs: every test has a time limit.
pub(crate) fn finish(mut child: Child) -> Ran {
    let mut stdout = child.stdout.take().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let out = std::thread::spawn(move || read_all(&mut stdout));
    let err = std::thread::spawn(move || read_all(&mut stderr));
    let since = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if since.elapsed() > CEILING => {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!(
                    "still running after {CEILING:?}: {} {}",
                    out.join().unwrap(),
                    err.join().unwrap()
                );
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let code = status.code().unwrap_or_else(|| -status.signal().unwrap());
    Ran { code, stdout: out.join().unwrap(), stderr: err.join().unwrap() }
}

fn read_all(from: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Ran {
    /// Expects exit code 0 and nothing on stderr; gives stdout.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""), "{}", self.stdout);
        self.stdout
    }

    /// Expects a failure of rustic: its exit code, and one message that holds all of these.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.stderr.matches("rustic: ").count(), 1, "one message: {}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "'{word}' is not in: {}", self.stderr);
        }
    }
}

/// Polls until it is true.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let since = Instant::now();
    while !condition() {
        assert!(since.elapsed() < CEILING, "waited {CEILING:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The pids of processes whose command line holds a word.
pub(crate) fn processes(word: &str) -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()))
        .filter(|&pid| pid != std::process::id() as i32)
        .filter(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.windows(word.len()).any(|window| window == word.as_bytes())
        })
        .collect()
}

/// The names of rustic's queues in this IPC namespace, listed through a detached mount: nothing is
/// attached to the host.
pub(crate) fn queues() -> BTreeSet<String> {
    use rustix::mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen,
    };
    let context = fsopen(c"mqueue", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
    fsconfig_create(&context).unwrap();
    let mount: OwnedFd =
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).unwrap();
    let dir =
        rustix::fs::openat(&mount, c".", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty())
            .unwrap();
    let names = rustix::fs::Dir::read_from(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("rustic.")).collect()
}

/// The namespace of a process, as the kernel writes it: `ipc:[4026531839]`.
pub(crate) fn namespace(pid: &str, entry: &str) -> String {
    fs::read_link(format!("/proc/{pid}/ns/{entry}")).unwrap().to_string_lossy().into_owned()
}

/// The number behind these words in a text, such as the pid in "PID of child is 17".
pub(crate) fn number_after<T: std::str::FromStr>(text: &str, words: &str) -> Option<T> {
    let rest = &text[text.find(words)? + words.len()..];
    rest.trim_start().split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The calls in an output of `strace -f -o`, with the pid that made each: one that another process
/// interrupted is put together again.
pub(crate) fn traced(text: &str) -> Vec<(String, String)> {
    let mut begun = std::collections::BTreeMap::<&str, &str>::new();
    let mut calls = Vec::new();
    for (pid, call) in text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(pid, call)| (pid, call.trim_start()))
    {
        if let Some(start) = call.strip_suffix("<unfinished ...>") {
            begun.insert(pid, start);
        } else if let Some((_, end)) =
            call.strip_prefix("<... ").and_then(|rest| rest.split_once("resumed>"))
        {
            calls.push((pid.to_owned(), format!("{}{end}", begun.remove(pid).unwrap_or_default())));
        } else {
            calls.push((pid.to_owned(), call.to_owned()));
        }
    }
    calls.extend(begun.into_iter().map(|(pid, start)| (pid.to_owned(), start.to_owned())));
    calls
}

/// A tar archive from paths and contents: `("etc/", "")` is a directory, `("a", "-> b")` a symlink,
/// anything else a file.
pub(crate) fn archive(path: &Path, entries: &[(&str, &str)]) {
    let mut builder = tar::Builder::new(fs::File::create(path).unwrap());
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_mode(0o755);
        header.set_size(0);
        if let Some(to) = content.strip_prefix("-> ") {
            header.set_entry_type(tar::EntryType::Symlink);
            builder.append_link(&mut header, name, to).unwrap();
        } else if name.ends_with('/') {
            header.set_entry_type(tar::EntryType::Directory);
            builder.append_data(&mut header, name, std::io::empty()).unwrap();
        } else {
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, name, content.as_bytes()).unwrap();
        }
    }
    builder.finish().unwrap();
}

/// A small root as a directory: the payload as `/bin/payload`, and empty folders.
pub(crate) fn tree(name: &str) -> PathBuf {
    let root = scratch(name);
    for dir in ["bin", "dev", "etc", "proc", "sys", "tmp"] {
        fs::create_dir(root.join(dir)).unwrap();
    }
    fs::copy(payload(), root.join("bin/payload")).unwrap();
    root
}

/// The output of a program of the host that must succeed.
#[track_caller]
pub(crate) fn host<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> String {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The options of the eight namespaces, and their entries under /proc/PID/ns.
pub(crate) const NAMES: [(&str, &str); 8] = [
    ("pid", "pid"),
    ("mount", "mnt"),
    ("uts", "uts"),
    ("net", "net"),
    ("ipc", "ipc"),
    ("user", "user"),
    ("cgroup", "cgroup"),
    ("time", "time"),
];

/// The switches of combination `mask`: bit i is namespace i, set means new.
pub(crate) fn combination(
    mask: u32,
) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    NAMES.iter().enumerate().map(move |(index, (name, entry))| {
        (*name, *entry, if mask >> index & 1 == 1 { "yes" } else { "no" })
    })
}

/// Does it for each combination, four at a time, and gathers what was wrong.
pub(crate) fn each_of(
    masks: impl Iterator<Item = u32> + Send,
    look: impl Fn(u32) -> Result<(), String> + Sync,
) -> Vec<String> {
    let (next, wrong) = (Mutex::new(masks), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some(mask) = next.lock().unwrap().next() else { return };
                    if let Err(what) = look(mask) {
                        wrong.lock().unwrap().push(what);
                    }
                }
            });
        }
    });
    wrong.into_inner().unwrap()
}
