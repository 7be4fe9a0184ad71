//! Where what is to be hidden is, and under which other names it is seen.

use super::ladder::Ladder;
use super::mounts::below_root;
use crate::beneath::Tree;
use crate::error::Failure;
use crate::mountinfo::{self, MountInfo};
use crate::namespace::Switch;
use crate::rootfs::Image;
use crate::run::step::RootfsStep;
use crate::spec::{FileOrder, Hide, RootSwitch, Rootfs, Writing, shown};
use caps::Capability;
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, open};
use std::path::{Path, PathBuf};

/// A tree that is seen inside.
struct Seen {
    /// Where it is inside, behind every link.
    inside: PathBuf,
    /// What of the host it shows, without symlinks; `None` for an image's, or a tmpfs.
    host: Option<PathBuf>,
    /// Whether what is written inside arrives on the host.
    writable: Switch,
    /// Whether it is the directory itself, and not an overlay over it.
    direct: Switch,
}

/// What a path is that is to be hidden.
struct Hidden {
    /// Where it is inside, behind every link.
    inside: PathBuf,
    /// What it is on the host, without symlinks, and which of the trees shows it.
    host: Option<(PathBuf, usize)>,
    stat: Option<Stat>,
}

impl Ladder<'_> {
    /// Plans --hide and --hide-try, and the same for every other name: those that a second order
    /// gives what is hidden, and those that a mount of the host's gives it.
    ///
    /// # Errors
    /// What is hidden and ordered to be seen at once.
    pub(super) fn plan_hides(&mut self, image: Option<&Path>) -> Result<Vec<RootfsStep>, Failure> {
        if self.spec.files.hides.is_empty() {
            return Ok(Vec::new());
        }
        let (mut tree, seen) = self.trees(image)?;
        let mounts = mountinfo::here()?;
        let mut steps = Vec::new();
        let mut names = Vec::new();
        for hide in &self.spec.files.hides {
            let hidden = find(hide, &mut tree, &seen);
            names.extend(other_names(&hidden, &seen, &mounts)?);
            self.warn_of(hide, &hidden, &seen)?;
            self.hidden.push(hidden.inside.clone());
            let (path, required) = (below_root(&hide.path), hide.required);
            steps.push(RootfsStep::Hide { path, required, real: hidden.inside });
        }
        for name in names {
            if !self.hidden.iter().any(|hidden| name.starts_with(hidden)) {
                self.hidden.push(name.clone());
                let (path, required) = (below_root(&name), Switch::Yes);
                steps.push(RootfsStep::Hide { path, required, real: name });
            }
        }
        self.warn_of_rights();
        Ok(steps)
    }

    /// The root as it will be, as far as it can be looked at, and every tree that is seen in it.
    fn trees(&self, image: Option<&Path>) -> Result<(Tree, Vec<Seen>), Failure> {
        let opened = |path: &Path| open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let failed = |path: &Path| {
            let path = shown(path);
            move |errno| Failure::new(format!("cannot look at {path}")).errno(errno)
        };
        let mut tree = match image {
            Some(image) => opened(image).and_then(Tree::new).map_err(failed(image))?,
            None => Tree::unknown(),
        };
        let is_callers = matches!(self.spec.rootfs, Rootfs::Directory(_));
        let mut seen = vec![Seen {
            inside: "/".into(),
            host: image.filter(|_| is_callers).map(Path::to_owned),
            writable: yes_if(self.spec.writing == Writing::Allowed),
            direct: yes_if(self.spec.writing != Writing::Ephemeral),
        }];
        for order in self.spec.files.parents_first() {
            let (target, source) = (order.target(), order.source());
            let inside = match (order, source) {
                (FileOrder::Hide(_), _) => continue,
                (_, Some(source)) => tree.mount(target, opened(source).map_err(failed(source))?),
                (_, None) => tree.mount_empty(target),
            };
            let inside = inside.map_err(|error| failed(target)(error.errno))?;
            seen.push(Seen {
                inside,
                host: source.map(Path::to_owned),
                writable: order.writes_arrive(),
                direct: yes_if(!matches!(order, FileOrder::Overlay(_))),
            });
        }
        Ok((tree, seen))
    }

    /// Says what the host can reach by other ways, and which directory is not what it was.
    ///
    /// # Errors
    /// A file whose directory is the root.
    fn warn_of(&mut self, hide: &Hide, hidden: &Hidden, seen: &[Seen]) -> Result<(), Failure> {
        let (Some((_, tree)), Some(stat)) = (&hidden.host, &hidden.stat) else { return Ok(()) };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            return Ok(());
        }
        let direct = seen.get(*tree).is_some_and(|tree| tree.direct == Switch::Yes);
        if direct && hidden.inside.parent() == Some(Path::new("/")) {
            return Err(Failure::new(format!("{} cannot be hidden", shown(&hide.path)))
                .why("its directory is the root, which no mount can be put over")
                .remedy("--ephemeral, or hide a directory"));
        }
        let (path, names) = (shown(&hide.path), stat.st_nlink);
        if names > 1 {
            self.warnings.push(format!(
                "{path} is hidden, and its file has {names} names: another may be seen"
            ));
        }
        let written = seen.get(*tree).is_some_and(|tree| tree.writable == Switch::Yes);
        let is_rebuilt = direct && written;
        if let Some(parent) = hidden.inside.parent().filter(|_| is_rebuilt) {
            self.warnings.push(format!(
                "to hide {path}, {} shows the names that it has at the start: none can be made, \
                 renamed or removed in it",
                shown(parent)
            ));
        }
        Ok(())
    }

    /// A right over the caller's own namespaces goes around every mount.
    fn warn_of_rights(&mut self) {
        // What the builder mounts is locked, and a file handle is opened by the host's root alone.
        if self.has_builder() && self.spec.root == RootSwitch::Pivot {
            return;
        }
        let rights = [Capability::CAP_SYS_ADMIN, Capability::CAP_DAC_READ_SEARCH];
        for right in rights {
            if self.spec.cap_mask & self.spec.further_rights() & right.bitmask() != 0 {
                self.warnings.push(format!("with {right} CMD can reach what is hidden"));
            }
        }
    }
}

fn find(hide: &Hide, tree: &mut Tree, seen: &[Seen]) -> Hidden {
    match tree.look(&hide.path) {
        Ok(found) => {
            let stat = fstat(&found.file).ok();
            Hidden { inside: found.path, host: None, stat }.on_the_host(seen)
        }
        Err(_) => {
            let inside = tree.real(&hide.path).unwrap_or_else(|_| hide.path.clone());
            Hidden { inside, host: None, stat: None }.on_the_host(seen)
        }
    }
}

impl Hidden {
    fn on_the_host(self, seen: &[Seen]) -> Self {
        let host = deepest(&self.inside, seen).and_then(|number| {
            let tree = seen.get(number)?;
            let below = self.inside.strip_prefix(&tree.inside).ok()?;
            Some((mountinfo::joined(tree.host.as_deref()?, below), number))
        });
        Self { host, ..self }
    }
}

/// The tree that a path inside is in: the one whose place is the deepest.
fn deepest(inside: &Path, seen: &[Seen]) -> Option<usize> {
    let trees = seen.iter().enumerate().filter(|(_, tree)| inside.starts_with(&tree.inside));
    trees.max_by_key(|(_, tree)| tree.inside.components().count()).map(|(number, _)| number)
}

/// Where else inside what is hidden is seen, or a part of it.
fn other_names(
    hidden: &Hidden,
    seen: &[Seen],
    mounts: &[MountInfo],
) -> Result<Vec<PathBuf>, Failure> {
    let Some((host, own)) = &hidden.host else { return Ok(Vec::new()) };
    let (mut names, mut shows) = (Vec::new(), vec![*own]);
    for alias in mountinfo::aliases(host, mounts) {
        for (number, tree) in seen.iter().enumerate() {
            let Some(of_tree) = &tree.host else { continue };
            if of_tree.starts_with(&alias) && !tree.inside.starts_with(&hidden.inside) {
                return Err(contradiction(hidden, tree, of_tree));
            }
            let Ok(below) = alias.strip_prefix(of_tree) else { continue };
            let inside = mountinfo::joined(&tree.inside, below);
            if deepest(&inside, seen) == Some(number) && !inside.starts_with(&hidden.inside) {
                shows.push(number);
                names.push(inside);
            }
        }
    }
    let trees = || shows.iter().filter_map(|&number| seen.get(number));
    let over = trees().find(|tree| tree.direct == Switch::No);
    let written = trees().find(|tree| tree.direct == Switch::Yes && tree.writable == Switch::Yes);
    match (over, written) {
        (Some(over), Some(written)) => Err(Failure::new(format!(
            "{} is hidden, and seen through an overlay on {} as well as in {}, which is written",
            shown(&hidden.inside),
            shown(&over.inside),
            shown(&written.inside)
        ))
        .why("what is renamed in the one is another file in the other, and hidden no more")
        .remedy(format!("the one at {} with :ro", shown(&written.inside)))),
        _ => Ok(names),
    }
}

fn contradiction(hidden: &Hidden, tree: &Seen, host: &Path) -> Failure {
    let (path, target) = (shown(&hidden.inside), shown(&tree.inside));
    Failure::new(format!("{path} is hidden, and ordered to be seen on {target}"))
        .why(format!("{} of the host is in it", shown(host)))
        .remedy(format!("a target below {path} to show it there"))
}

const fn yes_if(condition: bool) -> Switch {
    if condition { Switch::Yes } else { Switch::No }
}

/// The root on the host, where it is there before the container is.
pub(super) fn tree_of(image: &Image) -> Option<PathBuf> {
    match image {
        Image::Tree(path) | Image::Directory(path) => Some(path.clone()),
        Image::ToUnpack(_) | Image::PerRun { .. } => None,
    }
}
