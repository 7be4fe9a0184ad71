//! Another launcher that is to be judged.

use super::words::Command;
use crate::verify::role::Through;
use crate::verify::stage::Ground;
use crate::verify::wall::Wall;

/// Another launcher, and what is to hold of what it makes.
#[derive(Clone, Debug)]
pub struct LauncherOrder {
    /// What it is called here.
    pub name: String,
    /// Whether that is the name of a recipe.
    pub recipe: bool,
    /// How it is called.
    pub command: Command,
    /// What it gets as standard streams.
    pub through: Through,
    /// Where it stands: a daemon's containers are on the real host.
    pub ground: Ground,
    /// What makes what it needs, before it is started.
    pub before: Option<Command>,
    /// What takes away what it has left.
    pub end: Option<Command>,
    /// The walls that are to hold.
    pub holds: Vec<Wall>,
    /// What a reader must know of it.
    pub notes: Vec<String>,
}

impl LauncherOrder {
    /// A command line that somebody has thought of. Every wall is to hold but time, which few
    /// launchers make; and for root that of its rights, which are the machine's where there is no
    /// user namespace.
    pub fn new(command: Command, through: Through, ground: Ground, uid: u32) -> Self {
        let left_out = |wall: &Wall| *wall == Wall::Time || uid == 0 && *wall == Wall::User;
        let program = command.program().to_string_lossy();
        let name = program.rsplit('/').next().unwrap_or_default().to_owned();
        let holds = Wall::ALL.into_iter().filter(|wall| !left_out(wall)).collect();
        Self {
            name,
            recipe: false,
            command,
            through,
            ground,
            before: None,
            end: None,
            holds,
            notes: Vec::new(),
        }
    }

    /// Whether it wants a root file system.
    pub fn wants_dir(&self) -> bool {
        self.command.has_dir() || self.before.as_ref().is_some_and(Command::has_dir)
    }
}
