//! `rustic rootfs`: import, list, rename, rm, prune, unpack. Each gives the text for stdout.

mod listing;
mod removal;

use crate::error::{Failure, printable, without_number};
use crate::host::Host;
use crate::namespace::Switch;
use crate::rootfs::archive::Archive;
use crate::rootfs::directory;
use crate::rootfs::image::{self, ImageChoice, ImageRecord};
use crate::rootfs::meter::Hashing;
use crate::rootfs::progress::Bar;
use crate::rootfs::report::{UnpackReport, size};
use crate::rootfs::store::{self, Making, SHORT, Store, Taking};
use crate::rootfs::stream::Threads;
use crate::rootfs::unpack::Unpack;
use crate::rootfs::writer::{SetIds, UnpackLimits, UnpackRights};
use rustix::fd::AsFd;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is wanted of the root file systems.
#[derive(Debug)]
pub enum RootfsCommand {
    /// Unpack an archive into the store and name it.
    Import {
        /// The name that it gets in the store.
        name: String,
        /// A file, or `-` for stdin.
        file: PathBuf,
        /// How much it may hold.
        limits: UnpackLimits,
        /// Which image of several.
        choice: ImageChoice,
        /// Whether the name may be another image's now.
        taking: Taking,
    },
    /// Every image of the store.
    List,
    /// Take names away, and the images that have no other.
    Remove(Vec<String>),
    /// Take every image away that nobody uses.
    RemoveAll,
    /// Take away the images that have no name, that nobody uses, and whose last use is as long ago.
    Prune(Option<Duration>),
    /// Give an image another name.
    Rename {
        /// A name, or what its digest begins with.
        from: String,
        /// The new name.
        to: String,
    },
    /// Unpack an archive into a directory.
    Unpack {
        /// A file, or `-` for stdin.
        file: PathBuf,
        /// A directory that is empty or not there.
        directory: PathBuf,
        /// How much it may hold.
        limits: UnpackLimits,
        /// Which image of several.
        choice: ImageChoice,
    },
}

/// The form of the text on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    /// For people: lines.
    Text,
    /// For programs: one JSON value.
    Json,
}

/// Does what is wanted, and gives the text for stdout.
///
/// # Errors
/// An archive that is refused, a name that is taken or not there, a store that cannot be used;
/// nothing is left half done.
pub fn act(
    command: &RootfsCommand,
    store: Option<&Path>,
    output: OutputFormat,
    host: &Host,
) -> Result<String, Failure> {
    // Every mode is given in full where something is made.
    rustix::process::umask(rustix::fs::Mode::empty());
    let opened = |host: &Host| {
        let root = store
            .ok_or_else(|| Failure::new("there is no place for a store").remedy("--store DIR"))?;
        Store::open(root, host, Switch::Yes, Making::Yes)?
            .ok_or_else(|| Failure::new("the store cannot be written"))
    };
    // Where there is no store nothing can be taken from it, and none is made for that.
    let found = || match store.filter(|root| !root.exists()) {
        Some(root) => Store::open_to_look(root, host),
        None => opened(host),
    };
    let (value, text) = match command {
        RootfsCommand::Import { name, file, limits, choice, taking } => {
            let archive = archive(file)
                .map_err(|failure| swapped(failure, file, Path::new(name), "import NAME FILE"))?;
            let wanted = Wanted { archive: &archive, limits: *limits, choice };
            import_as_can_be(opened, name, *taking, &wanted, host)?
        }
        RootfsCommand::List => match store {
            Some(root) => listing::of(&Store::open_to_look(root, host)?.list()?),
            None => listing::of(&[]),
        },
        RootfsCommand::Remove(words) => removal::remove(&found()?, words)?,
        RootfsCommand::RemoveAll => removal::remove_all(&found()?)?,
        RootfsCommand::Prune(older_than) => removal::prune(&found()?, *older_than, host)?,
        RootfsCommand::Rename { from, to } => {
            check_name(to)?;
            found()?.rename(from, to)?;
            (json!({ "from": from, "to": to }), format!("{from} is {to} now\n"))
        }
        RootfsCommand::Unpack { file, directory, limits, choice } => {
            let archive = archive(file)
                .map_err(|failure| swapped(failure, file, directory, "unpack FILE DIR"))?;
            let wanted = Wanted { archive: &archive, limits: *limits, choice };
            let rights = UnpackRights { set_ids: SetIds::Dropped, ..UnpackRights::of(host) };
            unpack(&wanted, directory, rights)?
        }
    };
    Ok(match output {
        OutputFormat::Text => text,
        OutputFormat::Json => format!("{value:#}\n"),
    })
}

/// A failure to find the archive, with the right order of the words where the other one is the
/// archive.
fn swapped(failure: Failure, file: &Path, other: &Path, order: &str) -> Failure {
    if !file.exists() && other.is_file() {
        failure.remedy(format!("rustic rootfs {order}: in this order"))
    } else {
        failure
    }
}

fn archive(file: &Path) -> Result<Archive, Failure> {
    if file == Path::new("-") {
        return Ok(Archive::Stdin);
    }
    let failed = |error: std::io::Error| {
        let reason = without_number(&error);
        Failure::new(format!("cannot read {}: {reason}", file.display()))
    };
    let kind = std::fs::metadata(file).map_err(failed)?.file_type();
    if kind.is_dir() {
        let layout = std::fs::canonicalize(file).map(Archive::at).map_err(failed)?;
        if image::kind_of(layout.layout()?.as_fd())?.is_some() {
            return Ok(layout);
        }
        return Err(Failure::new(format!("{} is a directory, not an archive", file.display()))
            .remedy("rustic run --rootfs DIR uses one as it is"));
    }
    // A fifo of the shell's <(…) has no path that could be made absolute.
    if kind.is_file() {
        std::fs::canonicalize(file).map(Archive::File).map_err(failed)
    } else {
        Ok(Archive::Stream(file.to_owned()))
    }
}

/// What is unpacked, and how much of it.
struct Wanted<'a> {
    archive: &'a Archive,
    limits: UnpackLimits,
    choice: &'a ImageChoice,
}

/// Imports with every owner, or with one for all files where newuidmap does not work: tried, and
/// not guessed.
fn import_as_can_be(
    opened: impl Fn(&Host) -> Result<Store, Failure>,
    name: &str,
    taking: Taking,
    wanted: &Wanted<'_>,
    host: &Host,
) -> Result<(Value, String), Failure> {
    let store = opened(host)?;
    match (import(&store, name, taking, wanted), store.refused()) {
        (Err(_), Some(why)) => {
            let host = Host { ranges_refused: Some(why.clone()), ..host.clone() };
            let (value, text) = import(&opened(&host)?, name, taking, wanted)?;
            Ok((value, format!("{text}  one owner for every file: {}\n", printable(&why))))
        }
        (imported, _) => imported,
    }
}

fn import(
    store: &Store,
    name: &str,
    taking: Taking,
    wanted: &Wanted<'_>,
) -> Result<(Value, String), Failure> {
    let Wanted { archive, limits, choice } = *wanted;
    check_name(name)?;
    let mut watch = Bar::new(format!("unpacking {name}")).heeding_signals()?;
    // Said before the archive is unpacked for a name that it cannot have.
    if taking == Taking::FreeOnly
        && let Some(taken) = store.digest(name)
        && (archive.comes_once() || store.identify(archive, choice, &mut watch)?.digest != taken)
    {
        return Err(store::taken(name));
    }
    let held = store.tree(archive, choice, Making::Yes, limits, &mut watch)?;
    drop(watch);
    store.name(name, &held.digest, taking)?;
    let value = json!({
        "name": name,
        "digest": held.digest,
        "new": held.unpacked.is_some(),
        "tree": held.tree.to_string_lossy(),
        "record": store.record(&held.digest),
    });
    let mut text = format!("{name}: {}", &held.digest[..SHORT]);
    match &held.unpacked {
        None => text.push_str(", which is in the store already\n"),
        Some(record) => {
            let _ = writeln!(text, " from {}", amount(record.archive_bytes, &record.format));
            text.push_str(&told(&record.report, record.image.as_ref()));
        }
    }
    Ok((value, text))
}

fn check_name(name: &str) -> Result<(), Failure> {
    if store::is_name(name) {
        return Ok(());
    }
    Err(Failure::new(format!("'{}' cannot be a name", printable(name))).why(
        "a name has 1 to 64 letters, digits, dots, hyphens or underscores, begins with a letter or \
         digit, and does not look like a digest",
    ))
}

/// What came of an archive, a line each.
fn told(report: &UnpackReport, image: Option<&ImageRecord>) -> String {
    let image = image.into_iter().flat_map(ImageRecord::lines);
    report.lines().into_iter().chain(image).map(|line| format!("  {line}\n")).collect()
}

/// What was read; of a directory there is no length.
fn amount(bytes: u64, format: &str) -> String {
    if bytes == 0 { format.to_owned() } else { format!("{} of {format}", size(bytes)) }
}

fn unpack(
    wanted: &Wanted<'_>,
    target: &Path,
    rights: UnpackRights,
) -> Result<(Value, String), Failure> {
    let Wanted { archive, limits, choice } = *wanted;
    let mut watch = Bar::new(format!("unpacking {}", archive.short_name())).heeding_signals()?;
    let done = directory::fill(target, |into| {
        let unpack = Unpack {
            rights,
            limits,
            threads: Threads::Two,
            hashing: Hashing::Unwanted,
            renumber: None,
            choice,
            watch: &mut watch,
        };
        unpack.unpack(archive, into)
    })?;
    drop(watch);
    let value = json!({
        "directory": target.to_string_lossy(),
        "format": done.format,
        "image": done.image,
        "archive_bytes": done.length,
        "report": done.report,
    });
    let text = format!(
        "{}: from {}\n{}",
        printable(&target.to_string_lossy()),
        amount(done.length, &done.format),
        told(&done.report, done.image.as_ref())
    );
    Ok((value, text))
}
