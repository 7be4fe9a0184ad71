//! The outside: new namespaces with something in each, and two looks at every container.

use super::{Canaries, KEY, NAME};
use serde_json::{Value, json};
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, Write};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

pub(crate) fn main(dir: &str, rustic: &str, rootfs: &str) {
    let outside = Outside::make(dir);
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let mut words = line.split('\t');
        let case: u64 = words.next().unwrap().parse().unwrap();
        let given = words.map(|word| word.replace("{dir}", dir));
        let mut options: Vec<String> = given.collect();
        if !options.iter().any(|word| word == "--rootfs") {
            options.extend(["--rootfs".into(), rootfs.into()]);
        }
        println!("{}", outside.both(case, rustic, &options));
    }
}

struct Outside {
    told: String,
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

fn done(what: &str, result: i64) -> i64 {
    assert!(result >= 0, "{what}: {}", std::io::Error::last_os_error());
    result
}

fn text(text: &str) -> CString {
    CString::new(text).unwrap()
}

fn mount(source: &str, target: &str, kind: &str, flags: libc::c_ulong, data: &str) {
    let (s, t, k, d) = (text(source), text(target), text(kind), text(data));
    // SAFETY: four strings with NUL, which outlive the call.
    let result =
        unsafe { libc::mount(s.as_ptr(), t.as_ptr(), k.as_ptr(), flags, d.as_ptr().cast()) };
    done(&format!("mount {kind} on {target}"), result.into());
}

impl Outside {
    fn make(dir: &str) -> Self {
        let secret = format!(
            "truth{}{}",
            std::process::id(),
            fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap().replace(['-', '\n'], "")
        );
        let new = libc::CLONE_NEWNS | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC | libc::CLONE_NEWNET;
        // SAFETY: numbers only; this process has one thread.
        done("unshare", unsafe { libc::unshare(new) }.into());
        mount("", "/", "", libc::MS_PRIVATE | libc::MS_REC, "");
        mount("", "/", "", libc::MS_SHARED | libc::MS_REC, "");
        // SAFETY: a string and its length.
        done("sethostname", unsafe { libc::sethostname(NAME.as_ptr().cast(), NAME.len()) }.into());
        loopback_up();
        mount("truth", dir, "tmpfs", 0, "mode=0755,size=64m");
        mount("sysfs", "/sys", "sysfs", 0, "");
        let _ = fs::create_dir("/sys/fs/cgroup");
        mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, "");
        fs::write("/sys/class/net/lo/ifalias", &secret).unwrap();
        fs::write(format!("{dir}/secret"), &secret).unwrap();
        fs::create_dir(format!("{dir}/mqueue")).unwrap();
        mount("mqueue", &format!("{dir}/mqueue"), "mqueue", 0, "");
        directory_root(dir, &secret);
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
        let own = fs::read_to_string("/proc/self/cgroup").unwrap();
        let cgroup = own.lines().filter_map(|line| line.splitn(3, ':').nth(2));
        let disks =
            fs::read_dir("/sys/block").into_iter().flatten().flatten().filter_map(|entry| {
                let number = fs::read_to_string(entry.path().join("dev")).ok()?;
                let (major, minor) = number.trim().split_once(':')?;
                Some((major.parse().ok()?, minor.parse().ok()?))
            });
        let canaries = Canaries {
            dir: dir.into(),
            root: fs::metadata("/").map(|stat| (stat.dev(), stat.ino())).unwrap(),
            pid,
            address: secret_address(&secret),
            port: tcp.local_addr().unwrap().port(),
            vsock: vsock_port,
            key: key(&secret),
            terminal: known,
            namespaces: ["uts", "ipc", "net", "mnt", "pid", "cgroup", "time", "user"]
                .map(|one| {
                    let link = fs::read_link(format!("/proc/self/ns/{one}"));
                    (one.to_owned(), link.unwrap().to_string_lossy().into_owned())
                })
                .to_vec(),
            cgroup: cgroup
                .filter(|path| *path != "/")
                .map(str::to_owned)
                .next()
                .unwrap_or_default(),
            disks: disks.take(4).collect(),
            secret: secret.clone(),
        };
        Self {
            told: serde_json::to_string(&canaries).unwrap(),
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
        let stdin = format!("{}/stdin", self.dir);
        fs::write(&stdin, "a line\n").unwrap();
        fs::set_permissions(&stdin, fs::Permissions::from_mode(0o600)).unwrap();
        let mut run = Command::new(rustic);
        run.arg("run").args(options).args(["--", "/bin/truth", "cross", &self.told]);
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
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        let mut crossed: Vec<String> = said
            .lines()
            .filter_map(|line| line.strip_prefix("crossed "))
            .map(str::to_owned)
            .collect();
        crossed.extend(self.marks(&stdin).map(str::to_owned));
        let ended = said.lines().any(|line| line == "end");

        let mut verify = Command::new(rustic);
        verify.arg("verify").args(options).arg("--json");
        let verified = verify.stdin(Stdio::null()).output().unwrap();
        let report: Value = serde_json::from_slice(&verified.stdout).unwrap_or_default();
        let walls = report["walls"].as_array().into_iter().flatten();
        let verdicts: serde_json::Map<String, Value> = walls
            .map(|wall| (wall["wall"].as_str().unwrap().to_owned(), wall["verdict"].clone()))
            .collect();
        let unknown = report["walls"].as_array().into_iter().flatten();
        let unknown: Vec<String> = unknown
            .filter(|wall| wall["verdict"] == "unknown")
            .map(|wall| format!("{}: {}", wall["wall"], wall["because"]))
            .collect();
        json!({
            "case": case,
            "options": options.join(" "),
            "ended": ended,
            "said": String::from_utf8_lossy(&ran.stderr),
            "crossed": crossed,
            "code": verified.status.code(),
            "verify_said": String::from_utf8_lossy(&verified.stderr),
            "verdicts": verdicts,
            "unknown": unknown,
        })
    }

    /// What was left outside, which is put back as it was.
    fn marks(&self, stdin: &str) -> impl Iterator<Item = &'static str> {
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
        let stat = fs::metadata(stdin).unwrap();
        if stat.mode() & 0o7777 != 0o600 || fs::read_to_string(stdin).unwrap() != "a line\n" {
            found.push("fds the file behind stdin was changed");
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

fn loopback_up() {
    // SAFETY: the structure is integers and bytes, for which zero is valid; the name has room for
    // its NUL; both outlive the calls, and the descriptor is this function's own.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        done("lo", libc::ioctl(socket, libc::SIOCSIFFLAGS, &raw const request).into());
        libc::close(socket);
    }
}

/// A directory of the host to be a root, with mounts of the outside below it.
fn directory_root(dir: &str, secret: &str) {
    let root = format!("{dir}/root");
    for folder in ["", "bin", "dev", "etc", "proc", "sys", "tmp", "mnt", "mnt/disk", "mnt/mqueue"] {
        fs::create_dir(Path::new(&root).join(folder)).unwrap();
    }
    for file in ["hosts", "hostname", "resolv.conf"] {
        fs::write(Path::new(&root).join("etc").join(file), "").unwrap();
    }
    fs::copy("/proc/self/exe", format!("{root}/bin/truth")).unwrap();
    mount("truth", &format!("{root}/mnt/disk"), "tmpfs", 0, "mode=0755,size=1m");
    fs::write(format!("{root}/mnt/disk/secret"), secret).unwrap();
    mount("mqueue", &format!("{root}/mnt/mqueue"), "mqueue", 0, "");
}

fn memfd(secret: &str) -> File {
    // SAFETY: a string with NUL; the result is a new descriptor that nobody else owns.
    let mut file = unsafe {
        File::from_raw_fd(done(
            "memfd",
            libc::memfd_create(c"truth".as_ptr(), libc::MFD_CLOEXEC).into(),
        ) as i32)
    };
    file.write_all(secret.as_bytes()).unwrap();
    file
}

fn queue() -> i32 {
    // SAFETY: zero is valid for integers; a string with NUL, a mode and attributes that outlive the
    // call.
    unsafe {
        let mut attributes: libc::mq_attr = std::mem::zeroed();
        (attributes.mq_maxmsg, attributes.mq_msgsize) = (8, 64);
        let flags =
            libc::O_CREAT | libc::O_EXCL | libc::O_RDWR | libc::O_NONBLOCK | libc::O_CLOEXEC;
        done(
            "mq_open",
            libc::mq_open(c"/truth".as_ptr(), flags, 0o600, &raw const attributes).into(),
        ) as i32
    }
}

fn shared_memory(secret: &str) {
    // SAFETY: a new segment of 64 bytes, mapped whole; the secret is shorter.
    unsafe {
        let id =
            done("shmget", libc::shmget(KEY, 64, libc::IPC_CREAT | libc::IPC_EXCL | 0o600).into());
        let memory = libc::shmat(id as i32, std::ptr::null(), 0).cast::<u8>();
        std::ptr::copy_nonoverlapping(secret.as_ptr(), memory, secret.len().min(63));
    }
}

fn vsock() -> (i32, u32) {
    // SAFETY: numbers, and an address of the length that is passed, for which zero is valid.
    unsafe {
        let socket = libc::socket(libc::AF_VSOCK, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
        let mut address: libc::sockaddr_vm = std::mem::zeroed();
        address.svm_family = libc::AF_VSOCK as libc::sa_family_t;
        (address.svm_cid, address.svm_port) = (libc::VMADDR_CID_ANY, libc::VMADDR_PORT_ANY);
        let mut length = size_of::<libc::sockaddr_vm>() as libc::socklen_t;
        let bound = libc::bind(socket, (&raw const address).cast(), length) == 0
            && libc::getsockname(socket, (&raw mut address).cast(), &raw mut length) == 0;
        (socket, if bound { address.svm_port } else { 0 })
    }
}

fn terminal() -> ([i32; 2], (u64, u64, String)) {
    let master = OpenOptions::new().read(true).write(true).open("/dev/ptmx").unwrap();
    // SAFETY: the descriptor is open, and the buffer has the length that is passed.
    let name = unsafe {
        libc::unlockpt(master.as_raw_fd());
        let mut name = [0_u8; 64];
        libc::ptsname_r(master.as_raw_fd(), name.as_mut_ptr().cast(), name.len());
        String::from_utf8_lossy(&name).trim_end_matches('\0').to_owned()
    };
    let slave = OpenOptions::new().read(true).write(true).open(&name).unwrap();
    let stat = slave.metadata().unwrap();
    let number = name.rsplit('/').next().unwrap().to_owned();
    ([master.into_raw_fd(), slave.into_raw_fd()], (stat.dev(), stat.ino(), number))
}

fn secret_address(secret: &str) -> usize {
    secret.as_ptr() as usize
}

/// A process that holds the secret where this one does, without a right that would hide it.
fn process() -> i32 {
    // SAFETY: this process has one thread; the copy gives up its rights and waits.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: numbers and strings with NUL; a header and a set of capabilities as the
            // kernel has them, version 3.
            unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                let header: [u32; 2] = [0x2008_0522, 0];
                let none = [0_u32; 6];
                libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr());
                libc::prctl(libc::PR_SET_DUMPABLE, 1);
                libc::prctl(libc::PR_SET_NAME, c"truth-canary".as_ptr());
                loop {
                    libc::pause();
                }
            }
        }
        pid => {
            let comm = format!("/proc/{pid}/comm");
            while fs::read_to_string(&comm).is_ok_and(|name| name.trim() != "truth-canary") {}
            pid
        }
    }
}

fn key(secret: &str) -> i32 {
    // SAFETY: strings with NUL, a payload of the length that is passed, and numbers.
    unsafe {
        libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, 0);
        let key = libc::syscall(
            libc::SYS_add_key,
            c"user".as_ptr(),
            c"truth".as_ptr(),
            secret.as_ptr(),
            secret.len(),
            libc::KEY_SPEC_SESSION_KEYRING,
        );
        libc::syscall(libc::SYS_keyctl, libc::KEYCTL_SETPERM, key, 0x3f3f_0000);
        done("add_key", key) as i32
    }
}
