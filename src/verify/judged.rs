//! What is judged: a container of rustic's, or what another launcher makes; and what it is measured
//! by.

use crate::namespace::{Choice, Namespaces};
use crate::spec::{Door, Opening, Spec};
use crate::verify::foreign::order::LauncherOrder;
use crate::verify::verdict::Verdict;
use crate::verify::wall::Wall;
use std::ffi::OsString;

/// What is judged.
#[derive(Clone, Copy)]
pub enum Judged<'a> {
    /// A container of rustic's.
    Container(&'a Spec),
    /// What another launcher makes.
    Launcher(&'a LauncherOrder),
    /// A container that runs already, for a caller of this uid.
    Process(u32),
}

/// The same, as far as a report tells it.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A container of rustic's, by this command line.
    Container(Vec<OsString>),
    /// What another launcher makes.
    Launcher {
        /// What it is called here.
        name: String,
        /// Whether that is the name of a recipe.
        recipe: bool,
        /// The command line, with places for what a run alone knows.
        argv: Vec<OsString>,
        /// What a reader must know of it.
        notes: Vec<String>,
    },
    /// A container that runs already, by the number of a process, and what a reader must know.
    Process(i32, Vec<String>),
}

impl Subject {
    /// What is told of a launcher.
    pub fn of(launcher: &LauncherOrder) -> Self {
        Self::Launcher {
            name: launcher.name.clone(),
            recipe: launcher.recipe,
            argv: launcher.command.template().to_vec(),
            notes: launcher.notes.clone(),
        }
    }

    /// The command line.
    pub fn argv(&self) -> &[OsString] {
        match self {
            Self::Container(argv) | Self::Launcher { argv, .. } => argv,
            Self::Process(..) => &[],
        }
    }
}

impl Judged<'_> {
    /// What is ordered of a wall; `None` where it may be as it is.
    pub fn ordered(self, wall: Wall) -> Option<Verdict> {
        match self {
            Self::Container(spec) => Some(ordered(wall, &spec.namespaces)),
            Self::Launcher(launcher) => launcher.holds.contains(&wall).then_some(Verdict::Held),
            Self::Process(uid) => {
                let joins = ![Wall::Fds, Wall::Keyring, Wall::Terminal].contains(&wall);
                (joins && usual(uid).any(|usual| usual == wall)).then_some(Verdict::Held)
            }
        }
    }

    /// What was ordered and opens a wall, as far as one of these walls is about it, or something
    /// came through it.
    pub fn doors(self, walls: &[Wall], through: &[&str]) -> Vec<Door> {
        let Self::Container(spec) = self else { return Vec::new() };
        let of_namespaces = spec.shared_namespaces().into_iter().filter(|door| {
            let is_own = |wall: &Wall| {
                wall.namespace().is_some_and(|own| door.opening == Opening::Namespace(own))
            };
            walls.iter().any(is_own) || through.iter().any(|name| name.starts_with(&door.name))
        });
        of_namespaces.chain(spec.doors()).collect()
    }
}

/// What is to hold where nothing else is said, for a caller of this uid: every wall but time, which
/// few make; and for root that of its rights, which are the machine's where there is no user
/// namespace.
pub fn usual(uid: u32) -> impl Iterator<Item = Wall> {
    let left_out = move |wall: &Wall| *wall == Wall::Time || uid == 0 && *wall == Wall::User;
    Wall::ALL.into_iter().filter(move |wall| !left_out(wall))
}

/// What is ordered of a wall: those of namespaces as their options say, the others always. One that
/// is joined is a wall to the caller, and a door to who is in it.
pub fn ordered(wall: Wall, namespaces: &Namespaces) -> Verdict {
    match wall.namespace().map(|namespace| namespaces.get(namespace)) {
        Some(Choice::Shared) => Verdict::Shared,
        Some(Choice::New | Choice::Join(_)) | None => Verdict::Held,
    }
}
