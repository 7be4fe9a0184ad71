//! Another launcher that is to be judged.

use super::words::Command;
use crate::verify::role::Through;
use crate::verify::stage::Scene;
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
    /// Its own form without walls, where it has one.
    pub open: Option<Command>,
    /// What it gets as standard streams.
    pub through: Through,
    /// Where it stands: a daemon's containers are on the real host.
    pub scene: Scene,
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
    /// A command line that somebody has thought of, with the walls that are to hold.
    pub fn new(command: Command, through: Through, scene: Scene, holds: Vec<Wall>) -> Self {
        let program = command.program().to_string_lossy();
        let name = program.rsplit('/').next().unwrap_or_default().to_owned();
        Self {
            name,
            recipe: false,
            command,
            open: None,
            through,
            scene,
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
