//! Keys: no namespace covers the session keyring, and the keyring of a user id is there whatever
//! the session keyring is, keyrings(7).

use super::{Direction, Effect, Outside, Probe, Try, planted};
use crate::error::errno_text;
use crate::sys::keys::{self, Key};
use crate::verify::protocol::{self, Reply};
use crate::verify::stage::Stage;
use crate::verify::target::Target;
use crate::verify::verdict::Identity;
use crate::verify::wall::Wall;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::ffi::CString;

/// The probes.
pub const PROBES: [Probe; 2] = [
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
        title: "find a key of the caller's user keyring",
        direction: Direction::In,
        effect: Effect::OwnObject,
        attempt: user,
    },
];

/// Two keys that hold the secret: one in a session keyring that goes with the verifier, one in the
/// keyring of its uid, which the cleanup takes away.
pub struct Canary {
    session: Result<(), String>,
    user: Result<(), String>,
}

impl Canary {
    pub(super) fn plant(stage: &Stage) -> Self {
        let named =
            |what: &'static str| move |errno: Errno| format!("{what}: {}", errno_text(errno));
        let add = || {
            let key = keys::add(Key::SESSION, &stage.key_name(), stage.secret.as_bytes())?;
            keys::open_to_user(key)?;
            Ok(key)
        };
        // A key's rights can be set by who possesses it, and what lies in the user keyring alone is
        // possessed by nobody.
        let moved = || {
            let key = add()?;
            keys::link(key, Key::USER)?;
            keys::unlink(key, Key::SESSION)
        };
        let joined = keys::join_session_keyring();
        let user = joined.and_then(|()| moved()).map_err(named("user keyring"));
        Self {
            user,
            session: joined.and_then(|()| add()).map(drop).map_err(named("session keyring")),
        }
    }
}

/// ENOSYS is how rustic's seccomp filter answers, EPERM how others' do.
const WALLED: [Errno; 4] = [Errno::NOKEY, Errno::PERM, Errno::ACCESS, Errno::NOSYS];

fn session(outside: &Outside<'_>, subject: &Target) -> Try {
    find(
        &outside.canaries.keyring.session,
        Crossing::Session { description: outside.stage.key_name() },
        outside,
        subject,
    )
}

fn user(outside: &Outside<'_>, subject: &Target) -> Try {
    find(
        &outside.canaries.keyring.user,
        Crossing::User { description: outside.stage.key_name() },
        outside,
        subject,
    )
}

fn find(
    canary: &Result<(), String>,
    crossing: Crossing,
    outside: &Outside<'_>,
    subject: &Target,
) -> Try {
    planted(canary, "keyctl", |_| {
        let reply = subject.ask(&protocol::Crossing::Keyring(crossing));
        Try::reading(reply, Identity::NoNamespace, &outside.stage.secret, &WALLED)
    })
}

/// What is tried inside.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the fields are the arguments of the calls")]
pub enum Crossing {
    /// KEYCTL_SEARCH in `@s`, and KEYCTL_READ.
    Session { description: CString },
    /// The same in `@u`.
    User { description: CString },
}

impl Crossing {
    pub(in crate::verify) fn attempt(&self) -> Reply {
        let (keyring, name, description) = match self {
            Self::Session { description } => (Key::SESSION, "@s", description),
            Self::User { description } => (Key::USER, "@u", description),
        };
        let found = keys::search(keyring, description).and_then(keys::read);
        Reply::of(
            "keyctl",
            format!("search {name}"),
            found.map(|payload| (0, String::from_utf8_lossy(&payload).into_owned())),
        )
    }
}
