//! Keys: no namespace covers the session keyring, and the keyring of a user id is there whatever
//! the session keyring is, keyrings(7).

use crate::error::errno_text;
use crate::spec::Opening;
use crate::sys::i386;
use crate::sys::keys::{self, Key};
use crate::verify::attempt::{Try, planted};
use crate::verify::child::as_uid;
use crate::verify::outside::{Canary, Outside};
use crate::verify::probe::{Direction, Effect, Probe};
use crate::verify::probes::find::{by_ways, read_any};
use crate::verify::protocol::{Crossing, Ground, Reply, Topic};
use crate::verify::stage::Stage;
use crate::verify::target::Target;
use crate::verify::verdict::Identity;
use crate::verify::wall::Wall;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::ffi::CString;
use std::path::{Path, PathBuf};

/// The probes.
pub const PROBES: [Probe; 5] = [
    Probe {
        id: "RV-KEY-01",
        wall: Wall::Keyring,
        title: "find a key of the caller's session keyring",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: session,
    },
    Probe {
        id: "RV-KEY-02",
        wall: Wall::Keyring,
        title: "find a key of the user keyring of the caller, or of the uid inside",
        direction: Direction::In,
        effect: Effect::OwnObject,
        attempt: user,
    },
    Probe {
        id: "RV-KEY-03",
        wall: Wall::Keyring,
        title: "find it in a /proc/keys",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: listed,
    },
    Probe {
        id: "RV-KEY-04",
        wall: Wall::Keyring,
        title: "read it by its serial number, which needs no keyring",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: by_serial,
    },
    Probe {
        id: "RV-KEY-05",
        wall: Wall::Keyring,
        title: "the same by a call of i386, which a filter may have forgotten",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: by_serial_i386,
    },
];

/// Two keys that hold the secret: one in a session keyring that goes with the verifier, one in the
/// keyring of its uid, which the cleanup takes away.
pub struct KeyringCanary {
    session: Result<Key, String>,
    user: Result<(), String>,
}

impl Canary for KeyringCanary {
    fn plant(stage: &Stage, _: &[PathBuf]) -> Result<Self, String> {
        let named =
            |what: &'static str| move |errno: Errno| format!("{what}: {}", errno_text(errno));
        let joined = keys::join_session_keyring();
        let mine = joined.and_then(|()| in_user_keyring(stage)).map_err(named("user keyring"));
        // Without a user namespace of its own CMD has the uid of somebody, and his keyring.
        let others = stage.other_uid.map_or(Ok(()), |uid| {
            as_uid(uid, || keys::join_session_keyring().and_then(|()| in_user_keyring(stage)))
        });
        Ok(Self {
            user: mine.and_then(|()| others.map_err(named("user keyring of the uid inside"))),
            session: joined
                .and_then(|()| in_session_keyring(stage))
                .map_err(named("session keyring")),
        })
    }
}

/// A key that its uid may read.
fn in_session_keyring(stage: &Stage) -> rustix::io::Result<Key> {
    let key = keys::add(Key::SESSION, &stage.key_name(), stage.secret.as_bytes())?;
    keys::open_to_user(key)?;
    Ok(key)
}

/// The same in the user keyring. A key's rights can be set by who possesses it, and what lies in
/// the user keyring alone is possessed by nobody.
fn in_user_keyring(stage: &Stage) -> rustix::io::Result<()> {
    let key = in_session_keyring(stage)?;
    keys::link(key, Key::USER)?;
    keys::unlink(key, Key::SESSION)
}

/// ENOSYS is how rustic's seccomp filter answers, EPERM how others' do.
const WALLED: [Errno; 4] = [Errno::NOKEY, Errno::PERM, Errno::ACCESS, Errno::NOSYS];

fn session(outside: &Outside<'_>, subject: &Target) -> Try {
    outside.planted("keyctl", |canary: &KeyringCanary| {
        let description = outside.stage.key_name();
        find(&canary.session, KeyringCrossing::Session { description }, outside, subject)
    })
}

fn user(outside: &Outside<'_>, subject: &Target) -> Try {
    outside.planted("keyctl", |canary: &KeyringCanary| {
        let description = outside.stage.key_name();
        find(&canary.user, KeyringCrossing::User { description }, outside, subject)
            .through(filter(subject))
    })
}

/// The attempt on the key in the session keyring, if that could be planted.
fn with_key(outside: &Outside<'_>, call: &str, attempt: impl FnOnce(&Key) -> Try) -> Try {
    outside.planted(call, |canary: &KeyringCanary| planted(&canary.session, call, attempt))
}

/// /proc/keys lists what its reader may view. The description is looked for: it has our nonce.
fn listed(outside: &Outside<'_>, subject: &Target) -> Try {
    with_key(outside, "open", |_| {
        let description = outside.stage.key_name().to_string_lossy().into_owned();
        let mut paths = subject.paths_of("proc", Path::new("keys"));
        paths.extend(by_ways(outside, subject, Path::new("/proc/keys")));
        let walled = [Errno::NOENT, Errno::ACCESS, Errno::PERM];
        read_any(subject, paths, Identity::NoNamespace, &description, &walled)
            .through(subject.role.door(|opening| *opening == Opening::Proc))
            .or_nothing_to_find(subject, "the caller's own /proc/keys lists none")
    })
}

fn by_serial(outside: &Outside<'_>, subject: &Target) -> Try {
    with_key(outside, "keyctl", |key| {
        read_by_number(KeyringCrossing::Serial { key: key.serial() }, outside, subject)
    })
}

fn by_serial_i386(outside: &Outside<'_>, subject: &Target) -> Try {
    with_key(outside, "keyctl", |key| {
        let attempt =
            read_by_number(KeyringCrossing::SerialI386 { key: key.serial() }, outside, subject);
        attempt.or_without_i386()
    })
}

fn read_by_number(crossing: KeyringCrossing, outside: &Outside<'_>, subject: &Target) -> Try {
    let reply = subject.ask(&crossing);
    Try::reading(reply, Identity::NoNamespace, &outside.stage.secret, &WALLED)
        .through(filter(subject))
}

/// The door that lets the calls through: no namespace and nothing else is in their way.
fn filter(subject: &Target) -> Option<String> {
    subject.role.door(|opening| *opening == Opening::Seccomp)
}

fn find<T>(
    canary: &Result<T, String>,
    crossing: KeyringCrossing,
    outside: &Outside<'_>,
    subject: &Target,
) -> Try {
    planted(canary, "keyctl", |_| {
        let reply = subject.ask(&crossing);
        Try::reading(reply, Identity::NoNamespace, &outside.stage.secret, &WALLED)
    })
}

/// What is tried inside; the fields are the arguments of the calls.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyringCrossing {
    /// KEYCTL_SEARCH in `@s`, and KEYCTL_READ.
    Session { description: CString },
    /// The same in `@u`.
    User { description: CString },
    /// KEYCTL_READ of a key.
    Serial { key: i32 },
    /// The same through the gate of i386.
    SerialI386 { key: i32 },
}

impl Crossing for KeyringCrossing {
    const TOPIC: Topic = Topic::Wall(Wall::Keyring);

    fn ground(&self) -> Ground {
        match self {
            Self::SerialI386 { .. } => Ground::Apart,
            Self::Session { .. } | Self::User { .. } | Self::Serial { .. } => Ground::Here,
        }
    }

    fn attempt(&self, _: Option<OwnedFd>) -> Reply {
        let (what, found) = match self {
            Self::Session { description } => {
                ("search @s", keys::search(Key::SESSION, description).and_then(keys::read))
            }
            Self::User { description } => {
                ("search @u", keys::search(Key::USER, description).and_then(keys::read))
            }
            Self::Serial { key } => ("read by number", keys::read(Key::numbered(*key))),
            Self::SerialI386 { key } => ("read by number, i386", i386::read_key(*key)),
        };
        let text = found.map(|payload| (0, String::from_utf8_lossy(&payload).into_owned()));
        Reply::of("keyctl", what, text)
    }
}
