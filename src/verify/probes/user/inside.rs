//! What is tried with rights, and on what belongs to the outside's root.

use crate::sys::{handle, rights};
use crate::verify::protocol::{Crossing, Reply, Topic};
use crate::verify::wall::Wall;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, fchmod, open, openat};
use rustix::io::{Errno, read};
use rustix::mount::{FsOpenFlags, fsopen};
use rustix::net::{Ipv4Addr, SocketAddrAny, SocketAddrV4, bind};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// What is tried inside. Of the rights none but the first can do anything.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserCrossing {
    /// bind(2) of the socket that was handed in.
    Bind { port: u16 },
    /// adjtimex(2).
    Clock,
    /// syslog(2).
    Log,
    /// swapon(2).
    Swap,
    /// finit_module(2).
    Modules,
    /// open_by_handle_at(2) with a handle of zeros.
    Handle,
    /// reboot(2).
    Reboot,
    /// fsopen(2), whose descriptor is closed again.
    Mounts,
    /// chroot(2) to where the root is.
    Chroot,
    /// openat(2) of a file in the directory that was handed in, and read(2).
    Read { name: String },
    /// The same for writing: it is held, and nothing is written.
    Write { name: String },
    /// openat(2) of a new file there, and fchmod(2) with the set-user-ID bit.
    SetUserId { name: String },
    /// kill(2).
    Signal { pid: i32 },
}

impl Crossing for UserCrossing {
    const TOPIC: Topic = Topic::Wall(Wall::User);

    fn attempt(&self, passed: Option<OwnedFd>) -> Reply {
        match self {
            Self::Bind { port } => match passed {
                Some(socket) => {
                    let address: SocketAddrAny =
                        SocketAddrV4::new(Ipv4Addr::LOCALHOST, *port).into();
                    Reply::plain("bind", format!("127.0.0.1:{port}"), bind(socket, &address))
                }
                None => Reply::untried("bind", format!("127.0.0.1:{port}"), "no socket came in"),
            },
            Self::Clock => {
                Reply::plain("adjtimex", "ADJ_TICK, 0", rights::adjust_clock_by_nothing())
            }
            Self::Log => Reply::of(
                "syslog",
                "SIZE_UNREAD",
                rights::kernel_log_unread().map(|size| (size, String::new())),
            ),
            Self::Swap => Reply::plain("swapon", "NULL", rights::swap_on_nothing()),
            Self::Modules => Reply::plain("finit_module", "-1", rights::load_module_from_nothing()),
            Self::Handle => {
                let opened =
                    open("/", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                        .and_then(|root| handle::open(root, 1, &[0; 8]));
                Reply::plain("open_by_handle_at", "zeros", opened.map(drop))
            }
            Self::Reboot => Reply::plain("reboot", "0, 0, 0", rights::reboot_without_magic()),
            Self::Mounts => Reply::plain(
                "fsopen",
                "tmpfs",
                fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).map(drop),
            ),
            Self::Chroot => Reply::plain("chroot", "/", rustix::process::chroot("/")),
            Self::Read { name } => {
                let text = at(passed, name, OFlags::RDONLY).and_then(|file| {
                    let mut bytes = [0; 64];
                    let length = read(file, bytes.as_mut_slice())?;
                    Ok((0, String::from_utf8_lossy(&bytes[..length]).into_owned()))
                });
                Reply::of("openat", name, text)
            }
            Self::Write { name } => {
                Reply::holding("openat", name, at(passed, name, OFlags::WRONLY | OFlags::NONBLOCK))
            }
            Self::SetUserId { name } => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
                let made = at(passed, name, flags);
                let made = made.and_then(|file| fchmod(file, Mode::from_raw_mode(0o4755)));
                Reply::plain("fchmod", "S_ISUID", made)
            }
            Self::Signal { pid } => {
                let signalled = Pid::from_raw(*pid)
                    .ok_or(Errno::SRCH)
                    .and_then(|pid| kill_process(pid, Signal::USR1));
                Reply::plain("kill", format!("{pid}, SIGUSR1"), signalled)
            }
        }
    }
}

/// A file in the directory that came in.
fn at(directory: Option<OwnedFd>, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let directory = directory.ok_or(Errno::BADF)?;
    openat(directory, name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::RWXU)
}
