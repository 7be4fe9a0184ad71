//! A probe: one way to try a wall.

use crate::verify::attempt::Try;
use crate::verify::outside::Outside;
use crate::verify::target::Target;
use crate::verify::wall::Wall;
use serde::{Serialize, Serializer};

/// One way to try a wall.
pub struct Probe {
    /// Its name, for ever.
    pub id: &'static str,
    /// The wall that is broken when it crosses.
    pub wall: Wall,
    /// What it does, in a few words.
    pub title: &'static str,
    /// Which way it goes.
    pub direction: Direction,
    /// What it touches.
    pub effect: Effect,
    /// Tries it on one subject.
    pub attempt: fn(&Outside<'_>, &Target) -> Try,
}

/// Which way a crossing goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The inside changes something outside.
    Out,
    /// Something of the outside is seen inside.
    In,
}

/// What a probe touches besides itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// The stage.
    Stage,
    /// An object that the verifier has made on the host, under a random name, and removes.
    OwnObject,
}

impl Direction {
    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Out => "in-to-out",
            Self::In => "out-to-in",
        }
    }
}

impl Effect {
    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Stage => "stage",
            Self::OwnObject => "own-object",
        }
    }
}

impl Serialize for Direction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl Serialize for Effect {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}
