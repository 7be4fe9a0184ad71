//! Who CMD is: the names and the groups that `--uid` and `--gid` leave to the image's passwd(5) and
//! group(5), read in the tree as it will be.

use crate::beneath::Tree;
use crate::error::{Failure, SysError, printable};
use crate::host::Host;
use crate::rootfs::accounts::{self, LARGEST, groups, users};
use crate::rootfs::image::ImageChoice;
use crate::rootfs::{Archive, Image, Origin, look};
use crate::spec::{FileOrder, IdOrder, Rootfs, Spec, Supplementary, UserIds};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use std::path::Path;

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

/// The files of a root file system as it will be.
struct Files {
    tree: Tree,
    /// Where the tree is not there yet.
    archive: Option<(Archive, ImageChoice)>,
}

impl Files {
    fn of(spec: &Spec, image: &Image) -> Result<Self, Failure> {
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
                Origin::Archive { archive, choice } => {
                    (None, Some((archive.clone(), choice.clone())))
                }
                Origin::Stored { tree, .. } => (Some(tree), None),
            },
        };
        // Of a run that makes nothing the tree is only named.
        let (path, archive) = match (path, &spec.rootfs) {
            (Some(path), Rootfs::Archive(file)) if !path.exists() => {
                (None, Some((Archive::at(file.clone()), spec.image.choice.clone())))
            }
            _ => (path, archive),
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
        match (self.tree.look(Path::new(path)), &self.archive) {
            (Ok(target), _) => {
                accounts::read(&target.file).map_err(|error| unreadable(path, error))
            }
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
    Failure::new(format!("--uid: cannot read the image's /{path}"))
        .errno(error.errno)
        .detail(&error.detail)
        .remedy("a number, and --gid with one")
}
