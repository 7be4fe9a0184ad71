//! The standard streams, looked at before anything is made. A descriptor carries the mount that it
//! was opened through: with the host's own behind stdin, root inside could chmod, chown, truncate
//! and re-open the host's file, /proc/self/fd. So what gets inside is a connection (a pipe, a
//! socket), something of the container's own, or a view that can be read, and changed in nothing.

mod owners;
mod standard;
mod view;

pub use owners::{give, give_back, pipe_owners};
pub use standard::{NAMES, Stream, descriptors, replace, shown};
pub use view::view_by_path;

use crate::error::Failure;
use crate::host::Host;
use crate::namespace::Namespace;
use crate::spec::{Spec, Stdio};
use crate::walls::dev;
use rustix::fd::OwnedFd;
use rustix::fs::{
    FileType, FsWord, OFlags, SeekFrom, Stat, fcntl_getfl, fstat, fstatfs, major, minor, seek,
};
use rustix::termios::isatty;

/// The three streams, and what was opened for them.
#[derive(Debug)]
pub struct Streams {
    /// What CMD gets, from stdin to stderr.
    pub each: [Stream; 3],
    /// The views, where the parent has opened one.
    pub views: [Option<OwnedFd>; 3],
}

/// Magic numbers of file systems, linux/magic.h, whose files are no files.
const PIPEFS: FsWord = 0x5049_5045;
const NSFS: FsWord = 0x6e73_6673;
const MQUEUE: FsWord = 0x1980_0202;
const PIDFS: FsWord = 0x5049_4446;

/// What a stream is, for an error.
fn refused(flags: OFlags, stat: &Stat, magic: FsWord) -> Option<&'static str> {
    match (FileType::from_raw_mode(stat.st_mode), magic) {
        _ if flags.contains(OFlags::PATH) => Some("an O_PATH descriptor"),
        (FileType::Directory, _) => Some("a directory"),
        (FileType::BlockDevice, _) => Some("a block device"),
        (_, NSFS) => Some("a namespace"),
        (_, MQUEUE) => Some("a message queue"),
        (_, PIDFS) => Some("a pidfd"),
        (FileType::Unknown, _) => Some("an anonymous inode"),
        _ => None,
    }
}

impl Streams {
    /// Looks at the streams, and opens the views that this process may open.
    ///
    /// # Errors
    /// A stream that would be a way around every wall, named with its kind.
    pub fn look(spec: &Spec, host: &Host) -> std::result::Result<Self, Failure> {
        let mut streams = Self {
            each: [Stream::Passed, Stream::Passed, Stream::Passed],
            views: [None, None, None],
        };
        for number in 0..3 {
            (streams.each[number], streams.views[number]) = streams.one(number, spec, host)?;
        }
        Ok(streams)
    }

    fn one(
        &self,
        number: usize,
        spec: &Spec,
        host: &Host,
    ) -> std::result::Result<(Stream, Option<OwnedFd>), Failure> {
        let fd = descriptors()[number];
        if isatty(fd) {
            return Ok((Stream::Terminal, None));
        }
        if spec.stdio == Stdio::Inherit {
            return Ok((Stream::Passed, None));
        }
        let cannot = |errno| Failure::new(format!("cannot look at {}", NAMES[number])).errno(errno);
        let (flags, stat) = (fcntl_getfl(fd).map_err(cannot)?, fstat(fd).map_err(cannot)?);
        let magic = fstatfs(fd).map_err(cannot)?.f_type;
        if let Some(kind) = refused(flags, &stat, magic) {
            return Err(Failure::new(format!(
                "{} is {kind}: it would be a way around every wall",
                NAMES[number]
            ))
            .remedy("</dev/null, a file or a pipe; --stdio inherit passes it as it is"));
        }
        let may_write = !(flags & OFlags::RWMODE).is_empty();
        let relayed = || self.relayed(number, flags, &stat);
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::Socket => (Stream::Passed, None),
            FileType::Fifo if magic == PIPEFS => (Stream::Passed, None),
            // A mount with an open writer cannot be made read-only, and one inode has many names.
            FileType::RegularFile if may_write => (relayed(), None),
            FileType::CharacterDevice if own_node(&stat, spec).is_some() => {
                (own_node(&stat, spec).map_or(Stream::Passed, Stream::Node), None)
            }
            _ => match view::view(fd, flags, &stat, spec, host) {
                Some((stream, opened)) => (stream, opened),
                None => (relayed(), None),
            },
        })
    }

    /// O_RDWR is input on 0 and output on 1 and 2. What is one file has one pipe for a direction,
    /// so that order is kept.
    fn relayed(&self, number: usize, flags: OFlags, stat: &Stat) -> Stream {
        let is_input = match flags & OFlags::RWMODE {
            OFlags::WRONLY => false,
            OFlags::RDWR => number == 0,
            _ => true,
        };
        let first = (0..number).find(|&earlier| {
            let same_way = match self.each[earlier] {
                Stream::Input(_) => is_input,
                Stream::Output(_) => !is_input,
                _ => false,
            };
            same_way
                && fstat(descriptors()[earlier])
                    .is_ok_and(|one| (one.st_dev, one.st_ino) == (stat.st_dev, stat.st_ino))
        });
        let first = first.unwrap_or(number);
        if is_input { Stream::Input(first) } else { Stream::Output(first) }
    }

    /// Gives the caller's descriptors the offset that the views have reached: who reads on behind
    /// the container reads on where it has stopped.
    pub fn give_offsets_back(&self) {
        for (view, fd) in self.views.iter().zip(descriptors()) {
            let Some(view) = view else { continue };
            // What has no offset has none to give.
            if let Ok(offset) = seek(view, SeekFrom::Current(0)) {
                let _ = seek(fd, SeekFrom::Start(offset));
            }
        }
    }
}

/// Which of the container's own nodes a device is, by its number; there are some where there is a
/// /dev of its own.
fn own_node(stat: &Stat, spec: &Spec) -> Option<&'static str> {
    let device = (major(stat.st_rdev), minor(stat.st_rdev));
    let node =
        dev::NODES.iter().find(|(name, major, minor)| (*major, *minor) == device && *name != "tty");
    node.map(|(name, ..)| *name).filter(|_| spec.namespaces.is_new(Namespace::Mount))
}
