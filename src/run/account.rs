//! Who CMD is: the names and the groups that `--uid` and `--gid` leave to the image's passwd(5) and
//! group(5), read in the tree as it will be.

use crate::beneath::{Target, Tree};
use crate::error::{Failure, SysError, printable};
use crate::host::Host;
use crate::rootfs::image::ImageChoice;
use crate::rootfs::{Archive, Image, Origin, look};
use crate::spec::{FileOrder, IdOrder, Spec, Supplementary, UserIds};
use rustix::fd::AsRawFd;
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes of passwd and of group that are read; more is refused.
const LARGEST: u64 = 1 << 20;

/// The ids of CMD.
///
/// # Errors
/// A name that the image does not have, and a passwd or group that cannot be read.
pub(super) fn user(spec: &Spec, host: &Host, image: &Image) -> Result<UserIds, Failure> {
    let mut ids = spec.user_order.numbers(host);
    if !spec.user_order.asks_the_image() {
        return Ok(ids);
    }
    let mut files = Files::of(spec, image)?;
    let passwd = files.text("etc/passwd")?;
    let user = match &spec.user_order.uid {
        Some(IdOrder::Name(name)) => {
            let user = users(&passwd).find(|user| user.name == name.as_bytes());
            Some(user.ok_or_else(|| missing("uid", name, "/etc/passwd"))?)
        }
        Some(_) => users(&passwd).find(|user| user.uid == ids.uid),
        None => None,
    };
    if let Some(user) = &user {
        ids.uid = user.uid;
    }
    match &spec.user_order.gid {
        Some(IdOrder::Name(name)) => {
            let group = files.text("etc/group")?;
            let group = groups(&group).find(|group| group.name == name.as_bytes());
            ids.gid = group.ok_or_else(|| missing("gid", name, "/etc/group"))?.gid;
        }
        Some(IdOrder::Number(_) | IdOrder::Keep) => {}
        None => {
            let Some(user) = user else { return Ok(ids) };
            ids.gid = user.gid;
            if spec.groups == Supplementary::Dropped {
                let group = files.text("etc/group")?;
                let others = groups(&group).filter(|group| group.gid != user.gid);
                let of_user = others.filter(|group| group.members.contains(&user.name));
                ids.groups = of_user.map(|group| group.gid).collect();
                ids.groups.sort_unstable();
                ids.groups.dedup();
            }
        }
    }
    Ok(ids)
}

fn missing(option: &str, name: &str, file: &str) -> Failure {
    let name = printable(name);
    Failure::new(format!("--{option} {name}: the image's {file} has no such name"))
        .remedy("a number")
        .man(if option == "uid" { "passwd(5)" } else { "group(5)" })
}

/// A line of passwd(5).
struct User<'a> {
    name: &'a [u8],
    uid: u32,
    gid: u32,
}

/// A line of group(5).
struct Group<'a> {
    name: &'a [u8],
    gid: u32,
    members: Vec<&'a [u8]>,
}

fn users(text: &[u8]) -> impl Iterator<Item = User<'_>> {
    text.split(|&byte| byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|&byte| byte == b':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        Some(User { name, uid: id(fields.nth(1)?)?, gid: id(fields.next()?)? })
    })
}

fn groups(text: &[u8]) -> impl Iterator<Item = Group<'_>> {
    text.split(|&byte| byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|&byte| byte == b':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let gid = id(fields.nth(1)?)?;
        let members = fields.next().unwrap_or_default().split(|&byte| byte == b',').collect();
        Some(Group { name, gid, members })
    })
}

/// Decimal digits and nothing else; 4294967295 is no id, setreuid(2).
fn id(field: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(field).ok()?;
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|id| digits && *id != u32::MAX)
}

/// The files of a root file system as it will be.
struct Files<'a> {
    tree: Tree,
    /// Where the tree is not there yet.
    archive: Option<(&'a Archive, &'a ImageChoice)>,
}

impl<'a> Files<'a> {
    fn of(spec: &Spec, image: &'a Image) -> Result<Self, Failure> {
        let failed = |path: &Path| {
            let what = format!("cannot look at {}", printable(&path.to_string_lossy()));
            move |errno| Failure::new(what).errno(errno)
        };
        let opened = |path: &Path| {
            open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(failed(path))
        };
        let (path, archive) = match image {
            Image::Tree(path) | Image::Directory(path) => (Some(path), None),
            Image::ToUnpack(origin) | Image::PerRun { origin, .. } => match origin {
                Origin::Archive { archive, choice } => (None, Some((archive, choice))),
                Origin::Stored { tree, .. } => (Some(tree), None),
            },
        };
        let mut tree = match path {
            Some(path) => Tree::new(opened(path)?).map_err(failed(path))?,
            None => Tree::unknown(),
        };
        for order in spec.files.parents_first() {
            let target = order.target();
            let placed = match (order, order.source()) {
                (FileOrder::Hide(_), _) => tree.hide(target).map(drop),
                (_, Some(source)) => tree.mount(target, opened(source)?).map(drop),
                (_, None) => tree.mount_empty(target).map(drop),
            };
            placed.map_err(|error| failed(target)(error.errno))?;
        }
        Ok(Self { tree, archive })
    }

    /// The text of a file; empty where there is none.
    fn text(&mut self, path: &str) -> Result<Vec<u8>, Failure> {
        match (self.tree.look(Path::new(path)), self.archive) {
            (Ok(target), _) => read(&target).map_err(|error| unreadable(path, error)),
            (Err(error), Some((archive, choice))) if is_missing(&error) => {
                look::file(archive, choice, path, LARGEST)
            }
            (Err(error), None) if is_missing(&error) => Ok(Vec::new()),
            (Err(error), _) => Err(unreadable(path, error)),
        }
    }
}

fn is_missing(error: &SysError) -> bool {
    [Errno::NOENT, Errno::NOTDIR].contains(&error.errno)
}

fn unreadable(path: &str, error: SysError) -> Failure {
    let failure = Failure::new(format!("--uid: cannot read the image's /{path}"))
        .errno(error.errno)
        .remedy("a number, and --gid with one");
    if error.detail.is_empty() { failure } else { failure.why(error.detail) }
}

/// What is found is opened only where it is a regular file: opening a fifo would wait, and a device
/// would do who knows what.
fn read(target: &Target) -> Result<Vec<u8>, SysError> {
    if FileType::from_raw_mode(fstat(&target.file)?.st_mode) != FileType::RegularFile {
        return Err(SysError::new(Errno::INVAL, "it is no regular file"));
    }
    let path = format!("/proc/self/fd/{}", target.file.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let mut text = Vec::new();
    let read =
        File::from(open(path, flags, Mode::empty())?).take(LARGEST + 1).read_to_end(&mut text);
    read.map_err(|error| SysError::from(crate::error::errno_of(&error)))?;
    if text.len() as u64 > LARGEST {
        return Err(SysError::new(Errno::FBIG, "it has more than 1 MiB"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_none_are_passed_over() {
        let text =
            b"root:x:0:0::/root:/bin/sh\n\n:x:1:1\nbad:x:-1:0\nbig:x:4294967295:0\nplus:x:+7:0\n\
            short:x:7\njoe:x:1000:100:,:/home/joe";
        let found: Vec<_> = users(text).map(|user| (user.name, user.uid, user.gid)).collect();
        assert_eq!(found, [(&b"root"[..], 0, 0), (b"joe", 1000, 100)]);
        let text = b"a:x:1:joe\nb:x:2:joes,jo\nc:x:3:root,joe\nd:x:4:\ne:x:5";
        let member = |group: &Group<'_>| group.members.contains(&&b"joe"[..]);
        let found: Vec<_> = groups(text).filter(member).map(|group| group.gid).collect();
        assert_eq!(found, [1, 3]);
    }
}
