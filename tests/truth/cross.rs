//! The inside: everything is tried everywhere, and what has crossed is told. What leaves a mark
//! outside is counted there.

use super::{Canaries, KEY, NAME};
use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) fn main(words: &[String]) {
    let told: Canaries = serde_json::from_str(&words[0]).unwrap();
    let mut places = places();
    // Through the root of a process outside, where one is shown, there is everything again.
    let roots: Vec<PathBuf> = places
        .iter()
        .flat_map(|place| [place.join(format!("{}/root", told.pid)), place.join("root")])
        .filter(|root| root.join("proc/self").symlink_metadata().is_ok())
        .collect();
    for root in &roots {
        let below = ["", "proc", "sys", "dev", "dev/pts", "sys/fs/cgroup"];
        places.extend(below.map(|dir| root.join(dir)));
        places.push(root.join(told.dir.trim_start_matches('/')).join("mqueue"));
    }
    let tries: [(&str, Attempt); 12] = [
        ("files", files),
        ("processes", processes),
        ("names", names),
        ("queues", queues),
        ("network", network),
        ("cgroups", cgroups),
        ("clocks", clocks),
        ("descriptors", descriptors),
        ("keys", keys),
        ("terminals", terminals),
        ("kernel", kernel),
        ("devices", devices),
    ];
    for (name, attempt) in tries {
        apart(name, || attempt(&told, &places));
    }
    apart("namespaces", || namespaces(&told, &places));
    apart("mounts", || mounts(&told));
    println!("end");
}

type Attempt = fn(&Canaries, &[PathBuf]);

fn crossed(wall: &str, how: impl std::fmt::Display) {
    println!("crossed {wall} {how}");
}

/// In a process of its own: what one attempt does to itself is nothing to the next.
fn apart(name: &str, attempt: impl FnOnce()) {
    // SAFETY: this program has one thread.
    match unsafe { libc::fork() } {
        0 => {
            attempt();
            let _ = std::io::stdout().flush();
            // SAFETY: ends this process and touches nothing.
            unsafe { libc::_exit(0) }
        }
        pid => {
            let mut status = 0;
            // SAFETY: waits for the process made above.
            unsafe { libc::waitpid(pid, &raw mut status, 0) };
            if status != 0 {
                println!("died {name} {status}");
            }
        }
    }
}

/// Where something may be mounted: the mount table, where there is one, and folders near the root.
fn places() -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mounted = table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    let mut places: Vec<PathBuf> = mounted.collect();
    let mut next = vec![(PathBuf::from("/"), 0)];
    while let Some((dir, depth)) = next.pop() {
        places.push(dir.clone());
        let entries = fs::read_dir(&dir).into_iter().flatten().flatten().take(200);
        for entry in entries.filter(|_| depth < 2) {
            let is_number =
                entry.file_name().to_string_lossy().starts_with(|c: char| c.is_ascii_digit());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) && !is_number {
                next.push((entry.path(), depth + 1));
            }
        }
    }
    places.sort();
    places.dedup();
    places
}

fn holds(path: &Path, secret: &str) -> bool {
    let mut text = String::new();
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    file.is_ok_and(|file| file.take(4096).read_to_string(&mut text).is_ok())
        && text.contains(secret)
}

fn files(told: &Canaries, places: &[PathBuf]) {
    let below = told.dir.trim_start_matches('/');
    for place in places {
        for path in [
            place.join("secret"),
            place.join(below).join("secret"),
            place.join("root").join(below).join("secret"),
            place.join(format!("{}/root/{below}/secret", told.pid)),
        ] {
            if holds(&path, &told.secret) {
                crossed("root", path.display());
            }
        }
    }
    for place in places {
        let same = |stat: fs::Metadata| (stat.dev(), stat.ino()) == told.root;
        for root in [place.join("."), place.join("root/.")] {
            if place != Path::new("/") && fs::metadata(&root).is_ok_and(same) {
                crossed("root", root.display());
            }
        }
    }
    apart("climb", || {
        let up = ["/tmp", "/etc", "/bin"].into_iter().find(|dir| Path::new(dir).is_dir());
        // SAFETY: strings with NUL.
        unsafe {
            let Some(dir) = up.and_then(|dir| CString::new(dir).ok()) else { return };
            if libc::chroot(dir.as_ptr()) != 0 {
                return;
            }
            for _ in 0..32 {
                libc::chdir(c"..".as_ptr());
            }
            libc::chroot(c".".as_ptr());
        }
        if holds(&Path::new("/").join(below).join("secret"), &told.secret) {
            crossed("root", "climbing");
        }
    });
}

fn processes(told: &Canaries, places: &[PathBuf]) {
    for place in places {
        let comm = place.join(format!("{}/comm", told.pid));
        if holds(&comm, "truth-canary") {
            crossed("pid", comm.display());
        }
    }
    let mut bytes = vec![0_u8; told.secret.len()];
    let local = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let remote = libc::iovec { iov_base: told.address as *mut _, iov_len: bytes.len() };
    // SAFETY: one place of this process, of the length that is told; the other one is not ours.
    unsafe { libc::process_vm_readv(told.pid, &raw const local, 1, &raw const remote, 1, 0) };
    if bytes == told.secret.as_bytes() {
        crossed("pid", "memory");
    }
}

fn names(_: &Canaries, _: &[PathBuf]) {
    let mut name = [0_u8; 65];
    // SAFETY: the buffer has the length that is passed.
    unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len()) };
    if String::from_utf8_lossy(&name).trim_end_matches('\0') == NAME {
        crossed("uts", "gethostname");
        // SAFETY: a string and its length.
        unsafe { libc::sethostname(c"crossed".as_ptr(), 7) };
    }
}

fn queues(told: &Canaries, places: &[PathBuf]) {
    let send = |queue: i32| {
        // SAFETY: a descriptor, or -1, and bytes of the length that is passed.
        unsafe { libc::mq_send(queue, c"crossed".as_ptr(), 7, 0) == 0 }
    };
    // SAFETY: a string with NUL.
    if send(unsafe { libc::mq_open(c"/truth".as_ptr(), libc::O_WRONLY | libc::O_NONBLOCK) }) {
        crossed("ipc", "mq_open");
    }
    for place in places {
        let path = CString::new(place.join("truth").to_string_lossy().into_owned()).unwrap();
        // SAFETY: a string with NUL.
        if send(unsafe { libc::open(path.as_ptr(), libc::O_RDWR | libc::O_NONBLOCK) }) {
            crossed("ipc", place.display());
        }
    }
    // SAFETY: numbers; a segment that is mapped has 64 bytes, and the secret is shorter.
    unsafe {
        let memory = libc::shmat(libc::shmget(KEY, 64, 0), std::ptr::null(), libc::SHM_RDONLY);
        if memory as isize != -1 {
            let bytes = std::slice::from_raw_parts(memory.cast::<u8>(), told.secret.len());
            if bytes == told.secret.as_bytes() {
                crossed("ipc", "shmget");
            }
        }
    }
}

fn network(told: &Canaries, places: &[PathBuf]) {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], told.port));
    if TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok() {
        crossed("net", "connect");
    }
    let name = SocketAddr::from_abstract_name(&told.secret).unwrap();
    if UnixStream::connect_addr(&name).is_ok() {
        crossed("net", "abstract");
    }
    for place in places {
        let sockets = place.join(format!("{}/net/unix", told.pid));
        for path in [place.join("class/net/lo/ifalias"), sockets] {
            if holds(&path, &told.secret) {
                crossed("net", path.display());
            }
        }
    }
    if told.vsock != 0 && vsock(told.vsock) == Some(libc::EADDRINUSE) {
        crossed("net", "vsock");
    }
    // A network namespace that the first user namespace owns hears the kernel's events.
    let ours = told.namespaces.iter().find(|(name, _)| name == "user").unwrap();
    let first =
        fs::read_link("/proc/self/ns/user").is_ok_and(|link| link.to_string_lossy() == ours.1);
    // SAFETY: numbers, and an address of the length that is passed.
    unsafe {
        let socket = libc::socket(libc::AF_NETLINK, libc::SOCK_DGRAM, libc::NETLINK_KOBJECT_UEVENT);
        let mut address: libc::sockaddr_nl = std::mem::zeroed();
        address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        address.nl_groups = 1;
        let length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        if libc::bind(socket, (&raw const address).cast(), length) == 0 && first {
            crossed("net", "uevents");
        }
    }
}

/// Why a port cannot be taken.
fn vsock(port: u32) -> Option<i32> {
    // SAFETY: numbers, and an address of the length that is passed.
    unsafe {
        let socket = libc::socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0);
        let mut address: libc::sockaddr_vm = std::mem::zeroed();
        address.svm_family = libc::AF_VSOCK as libc::sa_family_t;
        (address.svm_cid, address.svm_port) = (libc::VMADDR_CID_ANY, port);
        let length = size_of::<libc::sockaddr_vm>() as libc::socklen_t;
        (libc::bind(socket, (&raw const address).cast(), length) != 0)
            .then(|| std::io::Error::last_os_error().raw_os_error())
            .flatten()
    }
}

const CGROUP_SUPER_MAGIC: i64 = 0x0027_e0eb;
const CGROUP2_SUPER_MAGIC: i64 = 0x6367_7270;

fn cgroups(told: &Canaries, places: &[PathBuf]) {
    if !told.cgroup.is_empty() {
        for place in places {
            // A line of the table ends with the path.
            let table = fs::read_to_string(place.join("self/cgroup")).unwrap_or_default();
            if table.lines().any(|line| line.ends_with(&told.cgroup)) {
                crossed("cgroup", place.join("self/cgroup").display());
            }
        }
    }
    for place in places {
        let path = CString::new(place.to_string_lossy().into_owned()).unwrap();
        // SAFETY: zero is valid for integers; a string with NUL.
        let kind = unsafe {
            let mut stat: libc::statfs = std::mem::zeroed();
            libc::statfs(path.as_ptr(), &raw mut stat);
            stat.f_type as i64
        };
        if kind == CGROUP_SUPER_MAGIC || kind == CGROUP2_SUPER_MAGIC {
            crossed("cgroup", place.display());
        }
    }
    if mounted("cgroup2").is_some() {
        crossed("cgroup", "mount");
    }
    apart("nested", || {
        let all = libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWCGROUP;
        // SAFETY: numbers only.
        if unsafe { libc::unshare(all) } == 0 && mounted("cgroup2").is_some() {
            crossed("cgroup", "mount in a user namespace");
        }
    });
}

/// A new file system of a kind, mounted nowhere.
fn mounted(kind: &str) -> Option<i32> {
    const FSCONFIG_CMD_CREATE: i32 = 6;
    let kind = CString::new(kind).unwrap();
    // SAFETY: a string with NUL, null where nothing is to be said, and numbers.
    unsafe {
        let context = libc::syscall(libc::SYS_fsopen, kind.as_ptr(), 0);
        if context < 0 {
            return None;
        }
        let null = std::ptr::null::<libc::c_char>();
        libc::syscall(libc::SYS_fsconfig, context, FSCONFIG_CMD_CREATE, null, null, 0);
        let mount = libc::syscall(libc::SYS_fsmount, context, 0, 0);
        (mount >= 0).then_some(mount as i32)
    }
}

fn clocks(told: &Canaries, _: &[PathBuf]) {
    same(told, "time");
}

/// Whether this process is in a namespace of the outside.
fn same(told: &Canaries, one: &str) -> bool {
    let ours = told.namespaces.iter().find(|(name, _)| name == one).map(|(_, link)| link.clone());
    let entry = if one == "pid" { "pid_for_children" } else { one };
    let is = fs::read_link(format!("/proc/self/ns/{entry}"))
        .is_ok_and(|link| Some(link.to_string_lossy().into_owned()) == ours);
    if is {
        crossed(one, "namespace");
    }
    is
}

fn descriptors(told: &Canaries, _: &[PathBuf]) {
    for fd in 3..200 {
        let mut bytes = [0_u8; 128];
        // SAFETY: the buffer has the length that is passed; a number that is none is refused.
        let length = unsafe { libc::pread(fd, bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        if length > 0 && bytes.starts_with(told.secret.as_bytes()) {
            crossed("fds", fd);
        }
    }
    let again =
        OpenOptions::new().append(true).custom_flags(libc::O_NONBLOCK).open("/proc/self/fd/0");
    if let Ok(mut file) = again
        && file.metadata().is_ok_and(|stat| stat.is_file())
    {
        let _ = file.write_all(b"crossed");
    }
    // SAFETY: a number and a mode.
    unsafe { libc::fchmod(0, 0o640) };
    let _ = fs::set_permissions("/proc/self/fd/0", fs::Permissions::from_mode(0o640));
}

fn keys(told: &Canaries, places: &[PathBuf]) {
    let mut bytes = [0_u8; 128];
    // SAFETY: numbers, strings with NUL, and a buffer of the length that is passed.
    let found = unsafe {
        let search = libc::syscall(
            libc::SYS_keyctl,
            libc::KEYCTL_SEARCH,
            libc::KEY_SPEC_SESSION_KEYRING,
            c"user".as_ptr(),
            c"truth".as_ptr(),
            0,
        );
        let key = if search > 0 { search } else { told.key.into() };
        libc::syscall(libc::SYS_keyctl, libc::KEYCTL_READ, key, bytes.as_mut_ptr(), bytes.len())
    };
    if found > 0 && bytes.starts_with(told.secret.as_bytes()) {
        crossed("keyring", "read");
    }
    let number = format!("{:08x} ", told.key);
    for place in places {
        if holds(&place.join("keys"), &number) {
            crossed("keyring", place.join("keys").display());
        }
    }
}

fn terminals(told: &Canaries, places: &[PathBuf]) {
    let (device, inode, number) = &told.terminal;
    for place in places {
        if fs::metadata(place.join(number))
            .is_ok_and(|stat| stat.dev() == *device && stat.ino() == *inode)
        {
            crossed("terminal", place.join(number).display());
        }
    }
}

const PARAMETERS: [&str; 5] = [
    "sys/kernel/core_pattern",
    "kernel/core_pattern",
    "core_pattern",
    "sysrq-trigger",
    "mm/transparent_hugepage/enabled",
];

fn writes(path: &Path) -> bool {
    OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path).is_ok()
}

fn kernel(_: &Canaries, places: &[PathBuf]) {
    let parameters = |how: &str| {
        for place in places {
            for file in PARAMETERS.iter().filter(|file| writes(&place.join(file))) {
                // Only where it is a parameter, and no file of somebody's with that name.
                if proc_or_sys(&place.join(file)) {
                    crossed("kernel", format!("{} {how}", place.join(file).display()));
                }
            }
            for file in
                ["kernel/uevent_helper", "power/state", "kernel/mm/transparent_hugepage/enabled"]
            {
                let path = place.join(file);
                if writes(&path) && proc_or_sys(&path) {
                    crossed("kernel", format!("{} {how}", path.display()));
                }
            }
        }
    };
    parameters("there");
    if let Some(proc) = mounted("proc") {
        // SAFETY: a descriptor of this process, a string with NUL, and numbers.
        let fd = unsafe { libc::openat(proc, c"sys/kernel/core_pattern".as_ptr(), libc::O_WRONLY) };
        if fd >= 0 {
            crossed("kernel", "a proc of its own");
        }
    }
    apart("uncovered", || {
        // SAFETY: numbers, and strings with NUL.
        unsafe {
            if libc::unshare(libc::CLONE_NEWNS) != 0 {
                return;
            }
            let none = std::ptr::null();
            libc::mount(none, c"/".as_ptr(), none, libc::MS_PRIVATE | libc::MS_REC, none.cast());
            for place in places {
                for covered in ["sys", "sysrq-trigger", "sys/kernel"] {
                    let path = CString::new(place.join(covered).to_string_lossy().into_owned());
                    libc::umount2(path.unwrap().as_ptr(), libc::MNT_DETACH);
                }
            }
        }
        parameters("uncovered");
    });
}

const PROC_SUPER_MAGIC: i64 = 0x9fa0;
const SYSFS_MAGIC: i64 = 0x6265_6572;

fn proc_or_sys(path: &Path) -> bool {
    let path = CString::new(path.to_string_lossy().into_owned()).unwrap();
    // SAFETY: zero is valid for integers; a string with NUL.
    unsafe {
        let mut stat: libc::statfs = std::mem::zeroed();
        libc::statfs(path.as_ptr(), &raw mut stat) == 0
            && [PROC_SUPER_MAGIC, SYSFS_MAGIC].contains(&(stat.f_type as i64))
    }
}

fn opens_a_disk(dir: &Path, depth: u32) -> Option<PathBuf> {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten().take(500) {
        let (path, kind) = (entry.path(), entry.file_type().ok()?);
        if kind.is_block_device() {
            let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path);
            if opened.is_ok() {
                return Some(path);
            }
        } else if kind.is_dir()
            && depth > 0
            && let Some(found) = opens_a_disk(&path, depth - 1)
        {
            return Some(found);
        }
    }
    None
}

fn devices(told: &Canaries, places: &[PathBuf]) {
    for place in places
        .iter()
        .filter(|place| place.ends_with("dev") || place.parent() == Some(Path::new("/")))
    {
        let deep = u32::from(place.ends_with("dev"));
        if let Some(disk) = opens_a_disk(place, deep) {
            crossed("devices", disk.display());
        }
    }
    let own = mounted("tmpfs");
    for folder in ["/tmp", "/dev", "/run", "/"].map(|dir| CString::new(dir).unwrap()) {
        // SAFETY: a string with NUL, and numbers.
        let fd = unsafe { libc::open(folder.as_ptr(), libc::O_PATH | libc::O_DIRECTORY) };
        for dir in [own.unwrap_or(-1), fd] {
            for (major, minor) in &told.disks {
                // SAFETY: a descriptor, or -1, a string with NUL, and numbers.
                let opened = unsafe {
                    let device = libc::makedev(*major, *minor);
                    let name = c"truth-node".as_ptr();
                    if libc::mknodat(dir, name, libc::S_IFBLK | 0o600, device) != 0 {
                        continue;
                    }
                    let opened = libc::openat(dir, name, libc::O_RDONLY | libc::O_NONBLOCK);
                    libc::unlinkat(dir, name, 0);
                    opened
                };
                if dir >= 0 && opened >= 0 {
                    crossed("devices", "mknod");
                }
            }
        }
    }
    if let Some(nodes) = mounted("devtmpfs")
        && let Some(disk) = opens_a_disk(&PathBuf::from(format!("/proc/self/fd/{nodes}")), 1)
    {
        crossed("devices", disk.display());
    }
}

/// Enters what can be entered, through every proc that shows the process, and by its number.
fn namespaces(told: &Canaries, places: &[PathBuf]) {
    for one in ["uts", "ipc", "net", "mnt", "pid", "cgroup", "time"] {
        let inside = fs::read_link(format!("/proc/self/ns/{one}"));
        let outside = told.namespaces.iter().find(|(name, _)| name == one).unwrap();
        if inside.is_ok_and(|link| link.to_string_lossy() == outside.1) {
            crossed(one, "namespace");
            continue;
        }
        apart(one, || {
            let by_proc = places.iter().any(|place| {
                let path = place.join(format!("{}/ns/{one}", told.pid));
                let path = CString::new(path.to_string_lossy().into_owned()).unwrap();
                // SAFETY: a string with NUL, and numbers.
                unsafe {
                    let link = libc::open(path.as_ptr(), libc::O_RDONLY);
                    link >= 0 && libc::setns(link, 0) == 0
                }
            });
            if by_proc {
                crossed(one, "setns");
                let below = Path::new("/").join(told.dir.trim_start_matches('/'));
                if one == "mnt" && holds(&below.join("secret"), &told.secret) {
                    crossed("root", "setns");
                }
            }
        });
    }
}

fn mounts(told: &Canaries) {
    let source = CString::new(format!("{}-mount", told.secret)).unwrap();
    for dir in ["/tmp", "/mnt", "/"].map(|dir| CString::new(dir).unwrap()) {
        // SAFETY: strings with NUL.
        let mounted = unsafe {
            let none = std::ptr::null();
            libc::mount(source.as_ptr(), dir.as_ptr(), c"tmpfs".as_ptr(), 0, none)
        };
        if mounted == 0 {
            return;
        }
    }
}
