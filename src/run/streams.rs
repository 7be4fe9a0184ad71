//! The standard streams, looked at before anything is made. A descriptor carries the mount that it
//! was opened through: with the host's own behind stdin, root inside could chmod, chown, truncate
//! and re-open the host's file, /proc/self/fd. So what gets inside is a connection (a pipe, a
//! socket), something of the container's own, or a view that can be read, and changed in nothing.

use crate::error::{Failure, SysError, printable};
use crate::host::Host;
use crate::mounts::{self, Attributes};
use crate::namespace::Namespace;
use crate::spec::{Spec, Stdio};
use crate::walls::dev;
use caps::Capability;
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    FileType, FsWord, Mode, OFlags, SeekFrom, Stat, fchown, fcntl_getfl, fcntl_setfl, fstat,
    fstatfs, major, minor, open, seek,
};
use rustix::io::{Errno, Result};
use rustix::process::Uid;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stderr, stdin, stdout};
use rustix::termios::isatty;
use std::ffi::CString;

/// The name of each standard stream.
pub const NAMES: [&str; 3] = ["stdin", "stdout", "stderr"];

/// The three of this process.
pub fn descriptors() -> [BorrowedFd<'static>; 3] {
    [stdin(), stdout(), stderr()]
}

/// What CMD gets as a standard stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stream {
    /// The container's terminal.
    Terminal,
    /// The caller's, as it is: a pipe or a socket, or whatever it is with `--stdio inherit`.
    Passed,
    /// The container's own device node of this name.
    Node(&'static str),
    /// A read-only view, opened by the parent.
    View,
    /// A read-only view, opened by the child from this path, since the parent lacks the right for
    /// the mount.
    ViewByPath(CString),
    /// A pipe that the parent fills from it, the one for the stream of this number.
    Input(usize),
    /// A pipe that the parent empties into it, the one for the stream of this number.
    Output(usize),
}

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
            _ => match view(fd, flags, &stat, spec, host) {
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

/// A read-only view of a file, a device or a fifo: through a copy of its mount, which the container
/// can neither write to nor find again. `None` where none can be had, as of a memory file.
fn view(
    fd: BorrowedFd<'_>,
    flags: OFlags,
    stat: &Stat,
    spec: &Spec,
    host: &Host,
) -> Option<(Stream, Option<OwnedFd>)> {
    let path = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok()?;
    let path = CString::new(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str())).ok()?;
    if host.holds(Capability::CAP_SYS_ADMIN) {
        let by_descriptor = mounts::copy_mount(fd, c"").and_then(|copy| through(copy, flags, stat));
        // A descriptor of another mount namespace: the same file may have a name in this one.
        let opened = by_descriptor
            .or_else(|_| {
                mounts::copy_mount(rustix::fs::CWD, &path)
                    .and_then(|copy| through(copy, flags, stat))
            })
            .ok()?;
        let offset = seek(fd, SeekFrom::Current(0)).unwrap_or(0);
        let _ = seek(&opened, SeekFrom::Start(offset));
        return Some((Stream::View, Some(opened)));
    }
    // The child may copy mounts in its own mount namespace; whether the file can be opened by its
    // name is known already.
    let own_mounts = spec.namespaces.is_new(Namespace::Mount);
    let again =
        own_mounts.then(|| open(&path, flags_of_open(flags), Mode::empty()).ok()).flatten()?;
    let same =
        fstat(&again).is_ok_and(|one| (one.st_dev, one.st_ino) == (stat.st_dev, stat.st_ino));
    same.then_some((Stream::ViewByPath(path), None))
}

/// The flags that a file is opened anew with.
fn flags_of_open(flags: OFlags) -> OFlags {
    flags & (OFlags::RWMODE | OFlags::APPEND) | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC
}

/// Opens what a copied mount shows, and takes from it what could be changed: a device and a fifo
/// can be written through a read-only mount, which their mode and owner cannot.
///
/// # Errors
/// ESTALE where it is another file than `stat` tells.
pub fn through(copy: OwnedFd, flags: OFlags, stat: &Stat) -> Result<OwnedFd> {
    mounts::restrict(
        &copy,
        Attributes::READ_ONLY.and(Attributes::NO_SUID).and(Attributes::NO_EXEC),
    )?;
    let shown = fstat(&copy)?;
    if (shown.st_dev, shown.st_ino) != (stat.st_dev, stat.st_ino) {
        return Err(Errno::STALE);
    }
    let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
    let opened = open(path, flags_of_open(flags), Mode::empty())?;
    // Not waiting is the view's own affair from here on: it was for the open of a fifo.
    fcntl_setfl(&opened, flags & (OFlags::APPEND | OFlags::NONBLOCK))?;
    // Re-opened inside it would be a device of the host.
    mounts::restrict(&copy, Attributes::NO_DEVICES)?;
    Ok(opened)
}

/// A view that the child opens by a path.
///
/// # Errors
/// ENOENT, EACCES; ESTALE where the path shows another file by now.
pub fn view_by_path(path: &CString, number: usize) -> Result<OwnedFd> {
    let fd = descriptors()[number];
    let (flags, stat) = (fcntl_getfl(fd)?, fstat(fd)?);
    let opened = through(mounts::copy_mount(rustix::fs::CWD, path)?, flags, &stat)?;
    let offset = seek(fd, SeekFrom::Current(0)).unwrap_or(0);
    let _ = seek(&opened, SeekFrom::Start(offset));
    Ok(opened)
}

/// Puts a descriptor in the place of a standard stream.
///
/// # Errors
/// EINTR, EBUSY: dup2(2).
pub fn replace(number: usize, by: BorrowedFd<'_>) -> Result<()> {
    match number {
        0 => dup2_stdin(by),
        1 => dup2_stdout(by),
        _ => dup2_stderr(by),
    }
}

/// The pipes among the streams that CMD's uid could not open by /dev/stdin, stdout or stderr, each
/// with its owner. Root alone can give them away.
pub fn pipe_owners(each: &[Stream; 3], spec: &Spec, host: &Host) -> Vec<(usize, u32)> {
    let opens_all = spec.uid == 0 && spec.cap_mask & Capability::CAP_DAC_OVERRIDE.bitmask() != 0;
    if host.uid != 0 || opens_all || spec.stdio == Stdio::Inherit {
        return Vec::new();
    }
    let owner = |(number, stream): (usize, &Stream)| {
        let stat = fstat(descriptors()[number]).ok()?;
        let pipe = *stream == Stream::Passed
            && FileType::from_raw_mode(stat.st_mode) == FileType::Fifo
            && stat.st_uid != spec.uid;
        pipe.then_some((number, stat.st_uid))
    };
    each.iter().enumerate().filter_map(owner).collect()
}

/// Gives pipes to a uid.
///
/// # Errors
/// EPERM, with the stream's name.
pub fn give(pipes: &[(usize, u32)], uid: u32) -> std::result::Result<(), SysError> {
    for &(number, _) in pipes {
        fchown(descriptors()[number], Some(Uid::from_raw(uid)), None)
            .map_err(|errno| SysError::new(errno, NAMES[number]))?;
    }
    Ok(())
}

/// Gives pipes back to whom they belonged to.
pub fn give_back(pipes: &[(usize, u32)]) {
    for &(number, owner) in pipes {
        let _ = fchown(descriptors()[number], Some(Uid::from_raw(owner)), None);
    }
}

/// What CMD gets, in words, for -v and for what is said of the step.
pub fn shown(number: usize, stream: &Stream) -> String {
    let what = match stream {
        Stream::Terminal => "the container's terminal".to_owned(),
        Stream::Passed => "passed as it is".to_owned(),
        Stream::Node(name) => format!("the container's own /dev/{name}"),
        Stream::View => "a read-only view".to_owned(),
        Stream::ViewByPath(path) => {
            format!("a read-only view of {}", printable(&path.to_string_lossy()))
        }
        Stream::Input(_) => "a pipe, filled by the parent".to_owned(),
        Stream::Output(_) => "a pipe, emptied by the parent".to_owned(),
    };
    format!("{}: {what}", NAMES[number])
}
