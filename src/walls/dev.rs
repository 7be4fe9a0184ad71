//! An own /dev: the six nodes that every program expects, links to the descriptors, and nothing of
//! the host's hardware.

use crate::error::SysError;
use rustix::fd::AsFd;
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, Uid, chownat, makedev, mknodat, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;

/// The nodes: name, major and minor number, see null(4), full(4), random(4), tty(4).
pub const NODES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

/// The links: name and what it points to.
pub const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Makes the nodes in `dev`, for everybody to read and write, gives them to `owner` where that is
/// not who makes them, and checks each after it is made.
///
/// # Errors
/// EPERM outside the initial user namespace; EISDIR for a directory of such a name.
pub fn make_nodes(dev: impl AsFd, owner: Option<(Uid, Gid)>) -> Result<(), SysError> {
    for (name, major, minor) in NODES {
        let named = |errno| SysError::new(errno, format!("/dev/{name}"));
        let device = makedev(major, minor);
        let make =
            || mknodat(&dev, name, FileType::CharacterDevice, Mode::from_raw_mode(0o666), device);
        match make() {
            // An image may have something of that name; devices of its own were left out.
            Err(Errno::EXIST) => unlinkat(&dev, name, AtFlags::empty()).and_then(|()| make()),
            made => made,
        }
        .map_err(named)?;
        if let Some((uid, gid)) = owner {
            chownat(&dev, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).map_err(named)?;
        }
        let stat = statat(&dev, name, AtFlags::SYMLINK_NOFOLLOW).map_err(named)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::CharacterDevice
            || stat.st_rdev != device
        {
            return Err(named(Errno::NODEV));
        }
    }
    Ok(())
}

/// Makes the links in `dev`.
///
/// # Errors
/// EEXIST where `dev` is not empty.
pub fn make_links(dev: impl AsFd) -> Result<(), SysError> {
    for (name, to) in LINKS {
        symlinkat(to, &dev, name).map_err(|errno| SysError::new(errno, format!("/dev/{name}")))?;
    }
    Ok(())
}
