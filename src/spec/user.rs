//! Who CMD is, as it was ordered: `--uid` and `--gid`.

use super::Spec;
use crate::host::Host;
use std::fmt;

/// A user or a group of CMD's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdOrder {
    /// By its number.
    Number(u32),
    /// By its name in the image's passwd or group.
    Name(String),
    /// The caller's own number: `keep`.
    Keep,
}

impl fmt::Display for IdOrder {
    /// As it was said.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(id) => id.fmt(f),
            Self::Name(name) => f.write_str(name),
            Self::Keep => f.write_str("keep"),
        }
    }
}

impl IdOrder {
    /// Its number, where no image has to say it.
    pub fn number(&self, callers: u32) -> Option<u32> {
        match self {
            Self::Number(id) => Some(*id),
            Self::Keep => Some(callers),
            Self::Name(_) => None,
        }
    }
}

/// The user of CMD, as it was ordered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserOrder {
    /// `--uid`.
    pub uid: Option<IdOrder>,
    /// `--gid`.
    pub gid: Option<IdOrder>,
}

/// The ids of CMD.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserIds {
    /// The user id.
    pub uid: u32,
    /// The group id.
    pub gid: u32,
    /// The supplementary groups that the image gives the user.
    pub groups: Vec<u32>,
}

impl UserOrder {
    /// The ids as far as no image has to say them, 0 otherwise.
    pub fn numbers(&self, host: &Host) -> UserIds {
        let number = |order: &Option<IdOrder>, callers| {
            order.as_ref().and_then(|order| order.number(callers)).unwrap_or(0)
        };
        let (uid, gid) = (number(&self.uid, host.uid), number(&self.gid, host.gid));
        UserIds { uid, gid, groups: Vec::new() }
    }

    /// Whether the image has to say more: who a name is, and with `--uid` alone the groups.
    pub fn asks_the_image(&self) -> bool {
        let is_name = |order: &Option<IdOrder>| matches!(order, Some(IdOrder::Name(_)));
        is_name(&self.uid) || is_name(&self.gid) || (self.uid.is_some() && self.gid.is_none())
    }

    /// The name of the user, where that was said.
    pub fn name(&self) -> Option<&str> {
        match &self.uid {
            Some(IdOrder::Name(name)) => Some(name),
            Some(IdOrder::Number(_) | IdOrder::Keep) | None => None,
        }
    }
}

impl Spec {
    /// The same for the user whom the image has been asked for.
    #[must_use]
    pub fn for_user(&self, user: UserIds) -> Self {
        Self { user, ..self.clone() }
    }
}
