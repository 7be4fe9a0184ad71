//! The terminal: what is typed into it and set on it from inside. The caller's is a pty of the
//! verifier's own; nobody else's is touched.

use crate::error::errno_text;
use crate::spec::Opening;
use crate::sys;
use crate::verify::attempt::{Try, planted};
use crate::verify::outside::Outside;
use crate::verify::probe::{Direction, Effect, Probe};
use crate::verify::probes::find::{by_ways, mounted};
use crate::verify::probes::receipt::arrived;
use crate::verify::protocol::{Crossing, Reply, Topic};
use crate::verify::target::Target;
use crate::verify::verdict::{Identity, Receipt};
use crate::verify::wall::Wall;
use caps::Capability;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, Stat, fstat, open};
use rustix::io::Errno;
use rustix::pty::ptsname;
use rustix::stdio::stderr;
use rustix::termios::{Winsize, isatty, tcgetwinsize, tcsetwinsize};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// The probes.
pub const PROBES: [Probe; 4] = [
    Probe {
        id: "RV-TTY-01",
        wall: Wall::Terminal,
        title: "type into the caller's terminal",
        direction: Direction::Out,
        effect: Effect::None,
        attempt: type_into,
    },
    Probe {
        id: "RV-TTY-02",
        wall: Wall::Terminal,
        title: "change the size of the caller's terminal",
        direction: Direction::Out,
        effect: Effect::None,
        attempt: resize,
    },
    Probe {
        id: "RV-TTY-03",
        wall: Wall::Terminal,
        title: "find the caller's terminal by its number, where a devpts is mounted",
        direction: Direction::In,
        effect: Effect::None,
        attempt: by_number,
    },
    Probe {
        id: "RV-TTY-04",
        wall: Wall::Terminal,
        title: "find the devpts of the caller's terminal among the mounts, or a terminal of it",
        direction: Direction::In,
        effect: Effect::None,
        attempt: by_mount,
    },
];

const IDENTITY: Identity = Identity::NoNamespace;

fn type_into(outside: &Outside<'_>, subject: &Target) -> Try {
    if fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti").is_ok_and(|text| text.trim() == "0")
        && !outside.stage.holds(Capability::CAP_SYS_ADMIN)
    {
        return Try::untried(
            "ioctl",
            "dev.tty.legacy_tiocsti is 0: nobody without CAP_SYS_ADMIN types, inside or outside",
        );
    }
    planted(&subject.terminal, "ioctl", |terminal| {
        let reply = subject.ask(&TerminalCrossing::Type);
        let typed = rustix::io::ioctl_fionread(&terminal.slave).unwrap_or(0);
        let seen = if typed == 1 {
            "1 character typed".into()
        } else {
            format!("{typed} characters typed")
        };
        // EIO and EPERM: not its controlling terminal, or no right; ENOTTY: no terminal.
        Try::marking(
            reply,
            IDENTITY,
            arrived(typed > 0),
            seen,
            &[Errno::PERM, Errno::IO, Errno::NOTTY],
        )
        .or_stayed()
        .through(stdio(subject))
    })
}

/// The door through which the caller's terminal itself comes in.
fn stdio(subject: &Target) -> Option<String> {
    subject.role.door(|opening| *opening == Opening::Stdio)
}

/// A size that no terminal has.
const ODD: Winsize = Winsize { ws_row: 7, ws_col: 1009, ws_xpixel: 0, ws_ypixel: 0 };

fn resize(_: &Outside<'_>, subject: &Target) -> Try {
    planted(&subject.terminal, "ioctl", |terminal| {
        let reply = subject.ask(&TerminalCrossing::Resize);
        let size = tcgetwinsize(&terminal.slave);
        let odd = size.is_ok_and(|size| (size.ws_row, size.ws_col) == (ODD.ws_row, ODD.ws_col));
        let seen = size.map_or_else(errno_text, |size| {
            format!("{} columns, {} rows", size.ws_col, size.ws_row)
        });
        Try::marking(reply, IDENTITY, arrived(odd), seen, &[Errno::NOTTY, Errno::IO])
            .or_stayed()
            .through(stdio(subject))
    })
}

/// Each devpts has terminals of its own, so that a number says nothing: it must be the same file.
fn by_number(outside: &Outside<'_>, subject: &Target) -> Try {
    planted(&subject.terminal, "open", |terminal| {
        let (Ok(name), Ok(ours)) = (ptsname(&terminal.master, Vec::new()), fstat(&terminal.slave))
        else {
            return Try::unplanted("open", "its name could not be read");
        };
        let number = name.to_string_lossy().rsplit('/').next().unwrap_or_default().to_owned();
        let mut paths = subject.paths_of("devpts", Path::new(&number));
        paths.extend(by_ways(outside, subject, &Path::new("/dev/pts").join(&number)));
        if paths.is_empty() {
            return Try::untried("open", "no devpts is mounted inside");
        }
        let mut found: Vec<PathBuf> = Vec::new();
        let opened = subject.open_inside(&paths, |path, held| {
            let theirs = held.and_then(|held| held.stat().ok());
            let same = |theirs: Stat| (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino);
            found.extend(theirs.is_some_and(same).then(|| path.to_owned()));
        });
        if let Err(reply) = opened {
            return Try::marking(reply, IDENTITY, Receipt::Absent, "it has not looked", &[]);
        }
        let door = |path: &PathBuf| subject.door_for(path);
        let decides = found.iter().find(|path| door(path).is_none()).or(found.first());
        let (outcome, seen) = match decides {
            Some(_) => (Ok(()), "it is the caller's terminal"),
            None => (Err(Errno::NOENT), "it is not the caller's terminal"),
        };
        let arg = decides.unwrap_or(&paths[0]).to_string_lossy().into_owned();
        Try::marking(
            Reply::plain("open", arg, outcome),
            IDENTITY,
            arrived(decides.is_some()),
            seen,
            &[Errno::NOENT],
        )
        .through(decides.and_then(door))
    })
}

fn by_mount(_: &Outside<'_>, subject: &Target) -> Try {
    planted(&subject.terminal, "open", |terminal| match fstat(&terminal.slave) {
        Ok(ours) => mounted(subject, &[ours.st_dev].into(), IDENTITY, |_, _| true),
        Err(errno) => Try::unplanted("open", &errno_text(errno)),
    })
}

/// What is tried inside, on the terminal that is its stderr, or else on its controlling terminal.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TerminalCrossing {
    /// TIOCSTI.
    Type,
    /// TIOCSWINSZ.
    Resize,
}

impl Crossing for TerminalCrossing {
    const TOPIC: Topic = Topic::Wall(Wall::Terminal);

    fn attempt(&self, _: Option<OwnedFd>) -> Reply {
        let own = open("/dev/tty", OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty());
        let terminal = match &own {
            Ok(own) if !isatty(stderr()) => own.as_fd(),
            _ => stderr(),
        };
        match self {
            Self::Type => Reply::plain("ioctl", "TIOCSTI", sys::type_into(terminal, b'Z')),
            Self::Resize => Reply::plain("ioctl", "TIOCSWINSZ", tcsetwinsize(terminal, ODD)),
        }
    }
}
