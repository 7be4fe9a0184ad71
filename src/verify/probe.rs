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

impl Probe {
    /// Whether it may be tried on the real host: it touches nothing there but what the verifier has
    /// made under a random name.
    pub fn is_harmless(&self) -> bool {
        self.effect != Effect::Stage || HARMLESS.contains(&self.id)
    }
}

/// Those of the stage's that need nothing but a file, a socket, a queue, a key or a process of the
/// verifier's own, or look at a clock.
const HARMLESS: [&str; 23] = [
    "RV-ROOT-01",
    "RV-ROOT-02",
    "RV-ROOT-03",
    "RV-ROOT-06",
    "RV-ROOT-07",
    "RV-ROOT-08",
    "RV-ROOT-14",
    "RV-NET-01",
    "RV-NET-02",
    "RV-NET-09",
    "RV-NET-10",
    "RV-NET-11",
    "RV-NET-15",
    "RV-IPC-01",
    "RV-IPC-03",
    "RV-IPC-08",
    "RV-FD-02",
    "RV-FD-03",
    "RV-KEY-01",
    "RV-KEY-03",
    "RV-KEY-04",
    "RV-TIM-01",
    "RV-TIM-02",
];

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
