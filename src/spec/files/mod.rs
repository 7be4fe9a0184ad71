//! What was ordered of files: `--bind`, `--tmpfs`, `--overlay`, `--hide`.
//!
//! [`grammar`] reads their words, [`check`] says what fits together.

mod check;
mod grammar;

pub(super) use check::can_be_undone;
pub use grammar::size;

use super::arguments::Words;
use crate::namespace::Switch;
use std::path::{Path, PathBuf};

/// The mounts that were ordered: the same as they were given and as they were checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileOptions {
    /// `--bind`.
    pub binds: Vec<Bind>,
    /// `--tmpfs`.
    pub tmpfs: Vec<Tmpfs>,
    /// `--overlay`.
    pub overlays: Vec<Overlay>,
    /// `--hide` and, behind them, `--hide-try`.
    pub hides: Vec<Hide>,
}

/// A path of the host shown inside, with the mounts below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// On the host; checked, without symlinks.
    pub source: PathBuf,
    /// Inside, absolute.
    pub target: PathBuf,
    /// No for `:ro`.
    pub writable: Switch,
    /// Yes for `:idmap`: owners inside are those on disk, where the container has ids of its own.
    pub idmapped: Switch,
}

/// An empty tmpfs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tmpfs {
    /// Inside, absolute.
    pub target: PathBuf,
    /// No for `:ro`: it holds what else is mounted in it, and nothing more.
    pub writable: Switch,
    /// In bytes; `None` for that of the scratch tmpfs.
    pub size: Option<u64>,
}

/// A directory of the host whose files are seen and never changed: writes vanish with the
/// container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// On the host; checked, without symlinks.
    pub lower: PathBuf,
    /// Inside, absolute.
    pub target: PathBuf,
}

/// A path inside that shows nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hide {
    /// Inside, absolute.
    pub path: PathBuf,
    /// No for `--hide-try`: it may be missing.
    pub required: Switch,
}

/// One of the orders.
#[derive(Clone, Copy, Debug)]
pub enum FileOrder<'a> {
    Bind(&'a Bind),
    Tmpfs(&'a Tmpfs),
    Overlay(&'a Overlay),
    Hide(&'a Hide),
}

impl<'a> FileOrder<'a> {
    /// Where it is inside.
    pub fn target(self) -> &'a Path {
        match self {
            Self::Bind(bind) => &bind.target,
            Self::Tmpfs(tmpfs) => &tmpfs.target,
            Self::Overlay(overlay) => &overlay.target,
            Self::Hide(hide) => &hide.path,
        }
    }

    /// What of the host it shows.
    pub fn source(self) -> Option<&'a Path> {
        match self {
            Self::Bind(bind) => Some(&bind.source),
            Self::Overlay(overlay) => Some(&overlay.lower),
            Self::Tmpfs(_) | Self::Hide(_) => None,
        }
    }

    /// Whether what is written inside arrives on the host.
    pub fn writes_arrive(self) -> Switch {
        match self {
            Self::Bind(bind) => bind.writable,
            Self::Overlay(_) | Self::Tmpfs(_) | Self::Hide(_) => Switch::No,
        }
    }

    /// The option that it was ordered by.
    pub const fn option(self) -> &'static str {
        match self {
            Self::Bind(_) => "--bind",
            Self::Tmpfs(_) => "--tmpfs",
            Self::Overlay(_) => "--overlay",
            Self::Hide(Hide { required: Switch::Yes, .. }) => "--hide",
            Self::Hide(Hide { required: Switch::No, .. }) => "--hide-try",
        }
    }
}

impl FileOptions {
    /// All of them, parents first: the order in which they are mounted, whatever the one was in
    /// which they were given.
    pub fn parents_first(&self) -> Vec<FileOrder<'_>> {
        let mut all: Vec<FileOrder<'_>> = self
            .binds
            .iter()
            .map(FileOrder::Bind)
            .chain(self.tmpfs.iter().map(FileOrder::Tmpfs))
            .chain(self.overlays.iter().map(FileOrder::Overlay))
            .chain(self.hides.iter().map(FileOrder::Hide))
            .collect();
        all.sort_by_key(|order| (order.target().components().count(), order.target()));
        all
    }

    /// Says them as words of a command line.
    pub(super) fn say(&self, words: &mut Words) {
        self.binds.iter().for_each(|bind| words.value("bind", bind.word()));
        self.tmpfs.iter().for_each(|tmpfs| words.value("tmpfs", tmpfs.word()));
        self.overlays.iter().for_each(|overlay| words.value("overlay", overlay.word()));
        for hide in &self.hides {
            words.value(FileOrder::Hide(hide).option().trim_start_matches('-'), &hide.path);
        }
    }
}
