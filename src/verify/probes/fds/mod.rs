//! What a process inherits: descriptors that a careless caller has left open, each a way around
//! every other wall, the files behind its standard streams, and variables.

pub mod canary;
pub mod inside;

use super::ipc::canary::QueueCanary;
use super::receipt::{arrived, delivered};
use super::root::canary::RootCanary;
use crate::error::without_number;
use crate::spec::Opening;
use crate::verify::attempt::{Try, planted};
use crate::verify::inherited::VARIABLE;
use crate::verify::inherited::habits::{ODD_BLOCKED, ODD_IGNORED, ODD_UMASK};
use crate::verify::outside::Outside;
use crate::verify::probe::{Direction, Effect, Probe};
use crate::verify::protocol::{Outcome, Reply};
use crate::verify::target::Target;
use crate::verify::verdict::Identity;
use crate::verify::wall::Wall;
use canary::FdsCanary;
use inside::{FdsCrossing, Swept};
use nix::sys::personality::Persona;
use rustix::io::Errno;
use std::fs;
use std::path::Path;

/// The probes. Two of them are called after the walls that they get around; what is broken when
/// they cross is this one.
pub const PROBES: [Probe; 7] = [
    Probe {
        id: "RV-FD-01",
        wall: Wall::Fds,
        title: "read a file through a descriptor that came along",
        direction: Direction::In,
        effect: Effect::None,
        attempt: file,
    },
    Probe {
        id: "RV-FD-02",
        wall: Wall::Fds,
        title: "change the file behind stdin: re-open it for writing, set its mode",
        direction: Direction::Out,
        effect: Effect::Stage,
        attempt: change,
    },
    Probe {
        id: "RV-FD-03",
        wall: Wall::Fds,
        title: "read the file behind stdout, which is open for writing only",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: read_again,
    },
    Probe {
        id: "RV-FD-04",
        wall: Wall::Fds,
        title: "have the caller's umask, signal mask, ignored signals or personality",
        direction: Direction::In,
        effect: Effect::None,
        attempt: habits,
    },
    Probe {
        id: "RV-ROOT-03",
        wall: Wall::Fds,
        title: "open the host's files through a directory that came along (CVE-2024-21626)",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: directory,
    },
    Probe {
        id: "RV-IPC-03",
        wall: Wall::Fds,
        title: "send to a message queue through a descriptor that came along",
        direction: Direction::Out,
        effect: Effect::Stage,
        attempt: queue,
    },
    Probe {
        id: "RV-ENV-01",
        wall: Wall::Fds,
        title: "read a variable of the caller",
        direction: Direction::In,
        effect: Effect::None,
        attempt: variable,
    },
];

const IDENTITY: Identity = Identity::NoNamespace;

/// One look at every descriptor serves three probes.
fn sweep(outside: &Outside<'_>, subject: &Target, call: &str) -> Reply {
    let root = outside.canaries.get::<RootCanary>();
    let path = root.map_or(Path::new("/"), |root| root.file.as_path());
    let path = path.strip_prefix("/").unwrap_or(Path::new("."));
    let reply =
        subject.swept(|| FdsCrossing::Sweep { path: path.to_owned(), mark: subject.mark.clone() });
    Reply { call: call.into(), ..reply }
}

/// What one kind of attempt has brought back, out of the look at all.
fn part(mut reply: Reply, part: impl Fn(Swept) -> Option<String>) -> Reply {
    if let Outcome::Done(count, data) = &reply.outcome {
        reply.arg = format!("{count} descriptor{}", if *count == 1 { "" } else { "s" });
        let found = serde_json::from_str(data).ok().and_then(part);
        reply.outcome = match found {
            Some(text) => Outcome::Done(*count, text),
            None => Outcome::Refused(Errno::BADF.raw_os_error()),
        };
    }
    reply
}

fn file(outside: &Outside<'_>, subject: &Target) -> Try {
    outside.planted("pread", |_: &FdsCanary| {
        let reply = part(sweep(outside, subject, "pread"), |swept| joined(swept.read));
        Try::reading(reply, IDENTITY, &outside.stage.secret, &[Errno::BADF])
    })
}

fn directory(outside: &Outside<'_>, subject: &Target) -> Try {
    outside.planted("openat", |_: &FdsCanary| {
        outside.planted("openat", |_: &RootCanary| {
            let reply = part(sweep(outside, subject, "openat"), |swept| joined(swept.opened));
            Try::reading(reply, IDENTITY, &outside.stage.secret, &[Errno::BADF])
        })
    })
}

fn queue(outside: &Outside<'_>, subject: &Target) -> Try {
    outside.planted("mq_send", |canary: &QueueCanary| {
        let sent = |swept: Swept| (swept.sent > 0).then(String::new);
        let reply = part(sweep(outside, subject, "mq_send"), sent);
        let (receipt, seen) = delivered(canary.received(&subject.mark));
        Try::marking(reply, IDENTITY, receipt, seen, &[Errno::BADF])
    })
}

fn joined(texts: Vec<String>) -> Option<String> {
    (!texts.is_empty()).then(|| texts.join(" "))
}

/// What a stream that is none of the host's answers: a view of the file is read-only, a pipe has
/// nobody's file behind it, and where there is no /proc nothing is opened again.
const WALLED: [Errno; 6] =
    [Errno::ROFS, Errno::ACCESS, Errno::PERM, Errno::NOENT, Errno::BADF, Errno::AGAIN];

/// Why there is nothing behind the standard streams to be looked at.
fn no_files(subject: &Target) -> Option<Try> {
    let reason = "its stdin and stdout carry verify's own messages";
    subject.role.launched().map(|_| Try::untried("open", reason))
}

fn change(_: &Outside<'_>, subject: &Target) -> Try {
    if let Some(untried) = no_files(subject) {
        return untried;
    }
    planted(&subject.streams, "open", |streams| {
        let crossing = FdsCrossing::Change { mark: subject.mark.clone() };
        let reply = subject.ask(&crossing);
        let changed = streams.is_changed(&subject.mark);
        let seen = if changed { "the file was changed" } else { "the file is as it was" };
        Try::marking(reply, IDENTITY, arrived(changed), seen, &WALLED)
            .or_stayed()
            .through(subject.role.door(|opening| *opening == Opening::Stdio))
    })
}

fn read_again(outside: &Outside<'_>, subject: &Target) -> Try {
    if let Some(untried) = no_files(subject) {
        return untried;
    }
    planted(&subject.streams, "open", |_| {
        let reply = subject.ask(&FdsCrossing::ReadAgain);
        Try::reading(reply, IDENTITY, &outside.stage.secret, &WALLED)
            .through(subject.role.door(|opening| *opening == Opening::Stdio))
    })
}

fn habits(_: &Outside<'_>, subject: &Target) -> Try {
    let read = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", subject.pid));
    let (status, persona) = match (read("status"), read("personality")) {
        (Ok(status), Ok(persona)) => (status, persona),
        (Err(error), _) | (_, Err(error)) => {
            return Try::unplanted("read", &without_number(&error));
        }
    };
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    };
    let has = |name: &str, signal: i32| {
        u64::from_str_radix(&value(name), 16).is_ok_and(|mask| mask >> (signal - 1) & 1 == 1)
    };
    let odd = i64::from(Persona::ADDR_NO_RANDOMIZE.bits());
    let found: Vec<&str> = [
        (u32::from_str_radix(&value("Umask:"), 8) == Ok(ODD_UMASK), "umask"),
        (has("SigBlk:", ODD_BLOCKED), "blocked signal"),
        (has("SigIgn:", ODD_IGNORED), "ignored signal"),
        (i64::from_str_radix(persona.trim(), 16).is_ok_and(|bits| bits & odd != 0), "personality"),
    ]
    .into_iter()
    .filter_map(|(there, name)| there.then_some(name))
    .collect();
    let seen = match found.as_slice() {
        [] => "it has habits of its own".to_owned(),
        found => format!("it has the caller's {}", found.join(", ")),
    };
    // Nothing has to be tried: it is so, or it is not.
    let reply = Reply::plain("execve", "with odd ones", Ok(()));
    Try::marking(reply, IDENTITY, arrived(!found.is_empty()), seen, &[]).or_stayed()
}

fn variable(outside: &Outside<'_>, subject: &Target) -> Try {
    let reply = subject.ask(&FdsCrossing::Variable { name: VARIABLE.into() });
    Try::reading(reply, IDENTITY, &outside.stage.secret, &[Errno::NOENT])
}
