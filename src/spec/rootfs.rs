//! Which root file system a word names, and where the store is.

use crate::error::{Failure, without_number};
use crate::host::Host;
use crate::mountinfo;
use crate::namespace::Switch;
use crate::rootfs::{Archive, image, store};
use crate::spec::{Rootfs, RunOptions, Spec, Writing, shown};
use rustix::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

impl RunOptions {
    /// A word is a stored name or an existing path. Where it is both it must be written as a path,
    /// with a slash.
    pub(super) fn rootfs(&self, store: Option<&Path>) -> Result<Rootfs, Failure> {
        let Some(given) = &self.rootfs else { return Ok(Rootfs::Builtin) };
        let word = given.to_str().filter(|word| store::is_name(word) || store::is_digest(word));
        let stored = word.filter(|word| store.is_some_and(|root| store::has(root, word)));
        let found = std::fs::canonicalize(given);
        let path = match (stored, found) {
            (Some(word), Ok(_)) => {
                return Err(Failure::new(format!(
                    "--rootfs {word} is both an image of the store and a path here"
                ))
                .remedy(format!(
                    "./{word} for the file, the digest that rustic rootfs list shows for the image"
                )));
            }
            (Some(word), Err(_)) => return Ok(Rootfs::Stored(word.to_owned())),
            (None, Ok(path)) => path,
            (None, Err(error)) => {
                let failure =
                    Failure::new(format!("--rootfs {}: {}", shown(given), without_number(&error)));
                return Err(match word {
                    Some(_) => failure.why(absent(store)).remedy(format!(
                        "rustic rootfs list shows the images; {}",
                        from_a_registry(given)
                    )),
                    None if is_reference(given) => failure
                        .why("there is no such file, and rustic asks no registry")
                        .remedy(from_a_registry(given)),
                    None => failure,
                });
            }
        };
        let kind = std::fs::metadata(&path)
            .map_err(|error| {
                Failure::new(format!("--rootfs {}: {}", shown(given), without_number(&error)))
            })?
            .file_type();
        if kind.is_dir() && holds_an_image(&path) {
            Ok(Rootfs::Archive(path))
        } else if kind.is_dir() {
            if self.writing == Writing::Ephemeral {
                no_mounts_below("--ephemeral", &path)?;
            }
            Ok(Rootfs::Directory(path))
        } else if kind.is_file() {
            Ok(Rootfs::Archive(path))
        } else {
            Err(Failure::new(format!(
                "--rootfs {} is neither a directory nor a tar archive",
                shown(given)
            ))
            .remedy("rustic rootfs import NAME - reads a stream"))
        }
    }
}

/// What to order where the first word of CMD, which the built-in root lacks, names a root file
/// system: engines have it there.
pub fn meant_as_a_root(spec: &Spec) -> Option<String> {
    let word = spec.cmd.first().filter(|_| spec.rootfs == Rootfs::Builtin)?.to_str().ok()?;
    let is_one = store::is_name(word) || store::is_digest(word);
    let is_stored = is_one && spec.store.as_ref().is_some_and(|root| store::has(root, word));
    // A program of the host's is no root.
    let is_there = std::fs::metadata(word).is_ok_and(|stat| {
        stat.is_dir() || (stat.is_file() && stat.permissions().mode() & 0o111 == 0)
    });
    match (is_stored || is_there, Path::new(word)) {
        (true, path) => Some(format!("--rootfs {} and a command behind it", shown(path))),
        (false, path) if is_reference(path) && word.contains(':') => Some(from_a_registry(path)),
        (false, _) => None,
    }
}

/// How an image comes from a registry.
fn from_a_registry(name: &Path) -> String {
    format!("skopeo copy docker://{} oci:DIR makes a DIR for --rootfs", shown(name))
}

/// Whether a word could be an image of a registry, and was not meant as a path.
fn is_reference(given: &Path) -> bool {
    let fits =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-/:@".contains(&byte);
    given.to_str().is_some_and(|text| {
        text.bytes().all(fits) && text.starts_with(|c: char| c.is_ascii_alphanumeric())
    })
}

/// Whether a directory is an image that is not unpacked, and not a root file system.
fn holds_an_image(path: &Path) -> bool {
    let has = |name: &str| path.join(name).exists();
    let looks_like_one = has("manifest.json") || (has("oci-layout") && has("index.json"));
    looks_like_one
        && Archive::at(path.to_owned())
            .layout()
            .is_ok_and(|layout| matches!(image::kind_of(layout.as_fd()), Ok(Some(_))))
}

/// Why a word is no image of the store.
fn absent(store: Option<&Path>) -> String {
    let Some(root) = store else {
        return "there is no such file here, and no store to look for an image in".into();
    };
    match std::fs::read_dir(root.join("names")) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            format!(
                "there is no such file here, and the store {} cannot be read: {}",
                shown(root),
                without_number(&error)
            )
        }
        _ => format!(
            "there is no such file here, and no image of this name in the store {}",
            shown(root)
        ),
    }
}

/// Which store is ordered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StoreOrder {
    /// The caller's own.
    #[default]
    Usual,
    /// This directory, which must be usable.
    At(PathBuf),
    /// None: an image is unpacked for one container.
    Unwanted,
}

impl StoreOrder {
    /// Whether it must be usable.
    pub(super) fn is_by_name(&self) -> Switch {
        match self {
            Self::At(_) => Switch::Yes,
            Self::Usual | Self::Unwanted => Switch::No,
        }
    }
}

/// Where unpacked images are kept, absolute; `None` where nothing is kept, and for a user whose home
/// is unknown.
///
/// # Errors
/// A relative path without a working directory.
pub fn store(order: &StoreOrder, host: &Host) -> Result<Option<PathBuf>, Failure> {
    let absolute = |path: &Path| {
        std::path::absolute(path).map_err(|error| {
            Failure::new(format!("--store {}: {}", shown(path), without_number(&error)))
        })
    };
    match order {
        StoreOrder::Usual => {}
        StoreOrder::At(given) => return absolute(given).map(Some),
        StoreOrder::Unwanted => return Ok(None),
    }
    if host.uid == 0 {
        return Ok(Some("/var/lib/rustic".into()));
    }
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    Ok(set("XDG_DATA_HOME")
        .or_else(|| Some(set("HOME")?.join(".local/share")))
        .map(|data| data.join("rustic")))
}

/// An overlay shows its lower directory without the mounts below it: files would be missing in
/// silence, so it is refused.
pub(super) fn no_mounts_below(option: &str, dir: &Path) -> Result<(), Failure> {
    let mounts = mountinfo::read().map_err(|error| {
        Failure::new(format!("cannot read /proc/self/mountinfo: {}", without_number(&error)))
    })?;
    let below = mounts
        .into_iter()
        .map(|mount| mount.point)
        .find(|point| point.starts_with(dir) && point != dir);
    match below {
        Some(point) => Err(Failure::new(format!(
            "{option} {}: {} is a mount of its own",
            shown(dir),
            shown(&point)
        ))
        .why("an overlay does not show the mounts below its lower directory")
        .remedy(format!("unmount it, or leave out {option}"))),
        None => Ok(()),
    }
}
