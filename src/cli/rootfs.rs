//! `rustic rootfs` and its options.

use super::store_order;
use super::values::{age, platform, sub};
use crate::rootfs::command::{OutputFormat, RootfsCommand};
use crate::rootfs::image::{ImageChoice, Platform};
use crate::rootfs::store::Taking;
use crate::rootfs::writer;
use crate::spec::{StoreOrder, size};
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// What `rustic rootfs` is asked for.
pub struct RootfsOrder {
    /// The command.
    pub command: RootfsCommand,
    /// The store that was named.
    pub store: StoreOrder,
    /// Whom the text is for.
    pub output: OutputFormat,
}

#[derive(Subcommand)]
pub(super) enum RootfsArgs {
    /// Unpack a tar archive into the store, under a name for --rootfs
    Import {
        /// The name: letters, digits, dots, hyphens, underscores
        name: String,
        /// A tar archive or an image, plain or compressed by gzip, zstd, xz or bzip2, or an OCI
        /// layout; - reads stdin
        file: PathBuf,
        #[command(flatten)]
        limits: Limits,
        #[command(flatten)]
        choice: Choice,
        /// Take the name from the image that has it, which stays until prune
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Show the images of the store: their names and digests (the sha256 of the archive, as it is)
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Remove a name; an image goes with its last name, or by its digest with all of them
    #[command(visible_alias = "remove")]
    Rm {
        /// Names, or digests: 12 digits or more of what list shows
        #[arg(required_unless_present = "all")]
        name: Vec<String>,
        /// Every image that nobody uses
        #[arg(long, conflicts_with = "name")]
        all: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Give an image another name, or its first one
    Rename {
        /// A name, or a digest
        from: String,
        /// The new name
        to: String,
        #[command(flatten)]
        common: Common,
    },
    /// Remove the images that have no name and that nobody uses, and what interrupted runs have left
    Prune {
        /// Only those whose last start is as long ago: 30min, 12h, 7d, 4w
        #[arg(long, value_name = "AGE", value_parser = age)]
        older_than: Option<Duration>,
        #[command(flatten)]
        common: Common,
    },
    /// Unpack a tar archive into a directory, which is made or must be empty
    Unpack {
        /// A tar archive or an image, plain or compressed by gzip, zstd, xz or bzip2, or an OCI
        /// layout; - reads stdin
        file: PathBuf,
        /// The directory
        dir: PathBuf,
        #[command(flatten)]
        limits: Limits,
        #[command(flatten)]
        choice: Choice,
        /// Print one JSON value in place of text
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
pub(super) struct Limits {
    /// The most that its files may have in all, holes included: bytes, or with K, M, G
    #[arg(long, value_name = "SIZE", default_value = "8G", value_parser = size)]
    max_size: u64,
    /// The most entries that it may have
    #[arg(long, value_name = "N", default_value = "1000000")]
    max_entries: u64,
    /// How deep a file of it may lie: components of its name
    #[arg(long, value_name = "N", default_value = "256")]
    max_depth: u64,
}

#[derive(Args)]
pub(super) struct Choice {
    /// Which image of an archive for several machines [default: this machine's]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_parser = platform)]
    platform: Option<Platform>,
    /// Which image of an archive of several, by the name that it has there
    #[arg(long = "ref", value_name = "NAME")]
    reference: Option<String>,
    /// The directory of the archive that is taken for the root
    #[arg(long, value_name = "DIR", value_parser = sub)]
    sub: Option<String>,
}

impl From<Choice> for ImageChoice {
    fn from(choice: Choice) -> Self {
        Self { platform: choice.platform, reference: choice.reference, sub: choice.sub }
    }
}

#[derive(Args)]
pub(super) struct Common {
    /// Where unpacked images are kept [default: $RUSTIC_STORE, /var/lib/rustic as root,
    /// $XDG_DATA_HOME/rustic or ~/.local/share/rustic otherwise]
    #[arg(long, value_name = "DIR")]
    pub(super) store: Option<PathBuf>,
    /// Print one JSON value in place of text
    #[arg(long)]
    pub(super) json: bool,
}

impl RootfsArgs {
    pub(super) fn order(self) -> RootfsOrder {
        let (command, Common { store, json }) = match self {
            Self::Import { name, file, limits, choice, replace, common } => {
                let (limits, choice) = (limits.into(), choice.into());
                let taking = if replace { Taking::FromOthers } else { Taking::FreeOnly };
                (RootfsCommand::Import { name, file, limits, choice, taking }, common)
            }
            Self::List { common } => (RootfsCommand::List, common),
            Self::Rm { all: true, common, .. } => (RootfsCommand::RemoveAll, common),
            Self::Rm { name, common, .. } => (RootfsCommand::Remove(name), common),
            Self::Rename { from, to, common } => (RootfsCommand::Rename { from, to }, common),
            Self::Prune { older_than, common } => (RootfsCommand::Prune(older_than), common),
            Self::Unpack { file, dir, limits, choice, json } => {
                let (limits, choice) = (limits.into(), choice.into());
                let command = RootfsCommand::Unpack { file, directory: dir, limits, choice };
                (command, Common { store: None, json })
            }
        };
        let output = if json { OutputFormat::Json } else { OutputFormat::Text };
        RootfsOrder { command, store: store_order(store), output }
    }
}

impl From<Limits> for writer::UnpackLimits {
    fn from(limits: Limits) -> Self {
        Self { bytes: limits.max_size, entries: limits.max_entries, depth: limits.max_depth }
    }
}
