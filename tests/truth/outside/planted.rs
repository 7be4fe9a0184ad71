//! What is planted in each namespace, to be reached from inside.

use super::calls::{done, mount};
use crate::canaries::KEY;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

pub(super) fn loopback_up() {
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
pub(super) fn directory_root(dir: &str, secret: &str) {
    let root = format!("{dir}/root");
    for folder in
        ["", "bin", "dev", "etc", "proc", "sys", "tmp", "mnt", "mnt/disk", "mnt/mqueue", "usr"]
    {
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

pub(super) fn memfd(secret: &str) -> File {
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

pub(super) fn queue() -> i32 {
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

pub(super) fn shared_memory(secret: &str) {
    // SAFETY: a new segment of 64 bytes, mapped whole; the secret is shorter.
    unsafe {
        let id =
            done("shmget", libc::shmget(KEY, 64, libc::IPC_CREAT | libc::IPC_EXCL | 0o600).into());
        let memory = libc::shmat(id as i32, std::ptr::null(), 0).cast::<u8>();
        std::ptr::copy_nonoverlapping(secret.as_ptr(), memory, secret.len().min(63));
    }
}

pub(super) fn vsock() -> (i32, u32) {
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

pub(super) fn terminal() -> ([i32; 2], (u64, u64, String)) {
    let master = OpenOptions::new().read(true).write(true).open("/dev/ptmx").unwrap();
    // SAFETY: the descriptor is open, and the buffer has the length that is passed.
    let name = unsafe {
        libc::unlockpt(master.as_raw_fd());
        let mut name = [0_u8; 64];
        libc::ptsname_r(master.as_raw_fd(), name.as_mut_ptr().cast(), name.len());
        String::from_utf8_lossy(&name).trim_end_matches('\0').to_owned()
    };
    // SAFETY: numbers only; what is said there is read when there is something.
    unsafe { libc::fcntl(master.as_raw_fd(), libc::F_SETFL, libc::O_RDWR | libc::O_NONBLOCK) };
    let slave = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open(&name);
    let slave = slave.unwrap();
    let stat = slave.metadata().unwrap();
    let number = name.rsplit('/').next().unwrap().to_owned();
    ([master.into_raw_fd(), slave.into_raw_fd()], (stat.dev(), stat.ino(), number))
}

pub(super) fn secret_address(secret: &str) -> usize {
    secret.as_ptr() as usize
}

/// A process that holds the secret where this one does, without a right that would hide it.
pub(super) fn process() -> i32 {
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

pub(super) fn key(secret: &str) -> i32 {
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
