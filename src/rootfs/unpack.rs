//! From an archive to a tree: one thread decompresses, the other reads entries and writes files.

use crate::error::{Failure, printable};
use crate::namespace::Switch;
use crate::rootfs::archive::{Archive, Opened};
use crate::rootfs::entry::{Entry, EntryKind};
use crate::rootfs::format::Compression;
use crate::rootfs::image::{self, ImageChoice, ImageRecord};
use crate::rootfs::meter::Hashing;
use crate::rootfs::reader::{Ending, Reader};
use crate::rootfs::renumber::Renumber;
use crate::rootfs::report::UnpackReport;
use crate::rootfs::stream::{Threads, WatchedStream};
use crate::rootfs::watch::Watch;
use crate::rootfs::writer::{TreeWriter, UnpackLimits, UnpackRights, times_of};
use crate::rootfs::{count, remove, run_directory};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    Dir, Gid, Mode, OFlags, Timespec, Timestamps, Uid, fchmod, fchown, fstat, futimens, mkdirat,
    openat, renameat,
};
use std::ffi::CString;
use std::path::Path;

/// An archive, unpacked.
#[derive(Debug)]
pub struct Unpacked {
    /// What was made.
    pub report: UnpackReport,
    /// The length of the archive, in bytes.
    pub length: u64,
    /// Its sha256, where it was wanted.
    pub digest: Option<String>,
    /// Its format, with how it was compressed.
    pub format: String,
    /// Whether it has an entry for its root.
    pub root_named: Switch,
    /// What is known of an image in layers.
    pub image: Option<ImageRecord>,
}

/// How an archive is unpacked.
pub struct Unpack<'a> {
    /// What the caller may give.
    pub rights: UnpackRights,
    /// How much the archive may hold.
    pub limits: UnpackLimits,
    /// How many threads do it.
    pub threads: Threads,
    /// Whether the archive is hashed on the way.
    pub hashing: Hashing,
    /// Where owners are to have other numbers than in the archive.
    pub renumber: Option<&'a Renumber>,
    /// Which image of several is wanted.
    pub choice: &'a ImageChoice,
    /// Who is told how far it is, and may end it.
    pub watch: &'a mut dyn Watch,
}

impl Unpack<'_> {
    /// Unpacks into an empty directory; of an image the layers, one over the other.
    ///
    /// # Errors
    /// A stream that is cut or damaged, an entry that breaks a rule, a full disk. What was unpacked
    /// until then stays for the caller to remove.
    pub fn unpack(mut self, archive: &Archive, into: BorrowedFd<'_>) -> Result<Unpacked, Failure> {
        let blamed = |failure| archive.blame(failure);
        if let Archive::Layout(_) = archive {
            if self.choice.sub.is_some() {
                return Err(blamed(Failure::new("--sub is of an archive, and not of an image")));
            }
            let layout = archive.layout()?;
            let (report, image) = self.layers(layout.as_fd(), None, into).map_err(blamed)?;
            let format = image::kind_of(layout.as_fd())?.unwrap_or("an image").to_owned();
            let digest = archive.digest(self.watch)?;
            return Ok(Unpacked {
                report,
                length: 0,
                digest: Some(digest),
                format,
                root_named: Switch::Yes,
                image: Some(image),
            });
        }
        let mut unpacked = self.files(archive, into)?;
        if let Some(kind) = unpacked.image_kind {
            let root = self.renumber.map(|renumber| renumber.root);
            let (name, held) = aside(into, root).map_err(|errno| {
                Failure::new("cannot put the image's own files aside").errno(errno)
            })?;
            let (report, image) = self.layers(held.as_fd(), Some(&name), into).map_err(blamed)?;
            let removed = without_touching(into, || remove::tree_in(into, Path::new(&name)));
            removed.map_err(|errno| Failure::new("cannot remove the layers").errno(errno))?;
            let unpacked = &mut unpacked.archive;
            unpacked.format = format!("{kind}, {}", unpacked.format);
            (unpacked.report, unpacked.image) = (report, Some(image));
        }
        Ok(unpacked.archive)
    }

    /// The files of an archive, as they are; those of an image without what the archive says of its
    /// top, and with directories that can be written, whatever the archive says of them.
    fn files(&mut self, archive: &Archive, into: BorrowedFd<'_>) -> Result<Files, Failure> {
        let Opened { plain, meter, length } = archive.open(self.hashing)?;
        let compression = plain.compression;
        // Below that a thread costs more than it gives, and plain bytes are read as fast as they
        // are handed over. But who waits for stdin cannot be asked whether to go on.
        let pays = length.is_none_or(|length| compression != Compression::None && length > SMALL);
        let threads = if pays { self.threads } else { Threads::One };
        let stream = WatchedStream::new(plain.stream, threads, meter.clone(), length, self.watch);
        let mut reader = Reader::new(stream, Ending::of(compression));
        let mut writer = TreeWriter::new(into, self.rights, self.limits);
        writer.renumber(self.renumber);
        let mut root: Option<Entry> = None;
        let (mut outside, mut whiteouts) = (0, 0);
        let written = (|| {
            while let Some(entry) = reader.next_entry()? {
                let Some(entry) = self.choice.below(entry)? else {
                    outside += 1;
                    continue;
                };
                whiteouts += u64::from(image::is_mark(&entry));
                // An image's root is what its layers say of it.
                match entry.kind {
                    EntryKind::Directory if entry.place.is_root() => root = Some(entry),
                    _ => writer.write(&entry, &mut reader)?,
                }
            }
            let image_kind = match self.choice.sub {
                Some(_) => None,
                None => image::kind_of(into)?,
            };
            if let (Some(root), None) = (&root, image_kind) {
                writer.write(root, &mut reader)?;
            }
            reader.into_inner().finish()?;
            Ok(image_kind)
        })();
        let image_kind = written.map_err(|failure| archive.blame(failure))?;
        let root_named = writer.root_named();
        if let (Some(sub), 0) = (&self.choice.sub, writer.entries()) {
            let nothing = format!("there is no directory '{}' in it", printable(sub));
            return Err(archive.blame(Failure::new(nothing)));
        }
        let root_below = look_for_root(into);
        let report = match image_kind {
            Some(_) => UnpackReport::default(),
            None => writer.finish().map_err(|failure| archive.blame(failure))?,
        };
        let report = UnpackReport { outside, whiteouts, root_below, ..report };
        let archive = Unpacked {
            report,
            length: meter.read(),
            digest: meter.digest(),
            format: compression.name().to_owned(),
            root_named,
            image: None,
        };
        Ok(Files { archive, image_kind })
    }

    /// The layers of an image that lies in a directory.
    fn layers(
        &mut self,
        layout: BorrowedFd<'_>,
        aside: Option<&str>,
        into: BorrowedFd<'_>,
    ) -> Result<(UnpackReport, ImageRecord), Failure> {
        let mut writer = TreeWriter::new(into, self.rights, self.limits);
        writer.renumber(self.renumber);
        if let Some(name) = aside {
            writer.keep_aside(name.as_bytes());
        }
        let image = image::unpack(layout, self.choice, &mut writer, self.threads, self.watch)?;
        // Some of what layers have made others have removed.
        let there = count::counts(into, aside)?;
        let root_named = writer.root_named();
        let report = writer.finish()?;
        if root_named == Switch::No {
            // Nothing says when it was made: the same images give the same tree.
            let beginning = Timespec { tv_sec: 0, tv_nsec: 0 };
            let times = Timestamps { last_access: beginning, last_modification: beginning };
            futimens(into, &times)
                .map_err(|errno| Failure::new("cannot set the time of the root").errno(errno))?;
        }
        let UnpackReport {
            files, directories, symlinks, hard_links, fifos, devices, bytes, ..
        } = there;
        let report = UnpackReport {
            files,
            directories,
            symlinks,
            hard_links,
            fifos,
            devices,
            bytes,
            ..report
        };
        Ok((report, image))
    }
}

/// The files of an archive, and the kind of image that they are, if they are one.
struct Files {
    archive: Unpacked,
    image_kind: Option<&'static str>,
}

/// The directory in which the root file system lies, where it is one level down: alone, or beside
/// the description that LXD and Incus write.
fn look_for_root(into: BorrowedFd<'_>) -> Option<String> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let names: Vec<String> = Dir::read_from(into)
        .ok()?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !matches!(name.as_str(), "." | ".." | "metadata.yaml" | "templates"))
        .collect();
    let [name] = names.as_slice() else { return None };
    let below = openat(into, name.as_str(), flags, Mode::empty()).ok()?;
    (!image::is_root(into) && image::is_root(below.as_fd())).then(|| name.clone())
}

/// Does something in a directory that keeps its mode and its times.
fn without_touching(
    directory: BorrowedFd<'_>,
    act: impl FnOnce() -> rustix::io::Result<()>,
) -> rustix::io::Result<()> {
    let before = fstat(directory)?;
    let mode = Mode::from_raw_mode(before.st_mode);
    fchmod(directory, mode | Mode::RWXU)?;
    act()?;
    fchmod(directory, mode)?;
    futimens(directory, &times_of(&before))
}

/// Moves what is in a directory into a new one in it, which nobody can name before.
fn aside(
    directory: BorrowedFd<'_>,
    root: Option<(u32, u32)>,
) -> rustix::io::Result<(String, OwnedFd)> {
    if let Some((uid, gid)) = root {
        fchown(directory, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    let name = format!(".rustic-image-{}", run_directory::random()?);
    let names: Vec<CString> = Dir::read_from(directory)?
        .map(|entry| Ok(entry?.file_name().to_owned()))
        .collect::<rustix::io::Result<_>>()?;
    mkdirat(directory, &name, Mode::RWXU)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let held = openat(directory, &name, flags, Mode::empty())?;
    for from in names.iter().filter(|name| ![c".", c".."].contains(&name.as_c_str())) {
        renameat(directory, from, &held, from)?;
    }
    Ok((name, held))
}

/// Bytes of an archive that is unpacked by one thread.
const SMALL: u64 = 256 << 10;
