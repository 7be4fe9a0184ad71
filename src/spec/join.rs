//! Namespaces that are joined: each opened once, before anything else, and checked on its
//! descriptor.

use crate::error::Failure;
use crate::host::{Host, contains};
use crate::namespace::{Choice, Namespace, Namespaces, Switch};
use crate::spec::ids::may_show_ids;
use crate::spec::shown;
use crate::sys::nsfs;
use crate::walls::join::{Inside, Join, Joins};
use caps::Capability;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, Stat, fstat, fstatfs, open, stat};
use rustix::io::Errno;
use std::path::Path;
use std::rc::Rc;

/// What is joined, and what is seen inside of it.
#[derive(Default)]
pub(super) struct Joined {
    pub joins: Joins,
    pub inside: Option<Inside>,
}

/// Opens what is to be joined. A file of the caller's own namespace is a namespace that is shared,
/// and becomes that among `namespaces`.
///
/// # Errors
/// A path that is no namespace, one of another kind, or one that the caller may not join.
pub(super) fn open_joins(namespaces: &mut Namespaces, host: &Host) -> Result<Joined, Failure> {
    let mut others = Vec::new();
    for namespace in Namespace::ALL {
        let Some(path) = namespaces.joined(namespace).map(Path::to_owned) else { continue };
        let join = opened(namespace, &path)?;
        if is_the_callers(&join)? {
            *namespaces =
                std::mem::replace(namespaces, Namespaces::shared()).with(namespace, Choice::Shared);
        } else {
            others.push(join);
        }
    }
    if others.is_empty() {
        return Ok(Joined::default());
    }
    let last = last(&mut others, host)?;
    let owner = owner(namespaces, &mut others, host)?;
    if *namespaces.get(Namespace::User) == Choice::New {
        no_foreign_proc(&others)?;
    }
    let joins = Joins { owner, others, last };
    let inside = joins.look().map_err(|error| not_joined(&joins, error.errno, &error.detail))?;
    if let Some(join) = &joins.last {
        has_root(join, &inside)?;
    }
    let entered = joins.owner.iter().chain(&joins.last).next();
    let others_may_mount = entered.map_or(Switch::No, |join| may_mount(&join.file));
    Ok(Joined { joins, inside: Some(Inside { others_may_mount, ..inside }) })
}

/// Whether a process that the caller can look into is in this user namespace, or in one between it
/// and the caller's, and has CAP_SYS_ADMIN in its bounding set.
fn may_mount(user_namespace: &OwnedFd) -> Switch {
    let file = |stat: Stat| (stat.st_dev, stat.st_ino);
    let own = stat("/proc/self/ns/user").map(file);
    let mut entered = Vec::new();
    let mut above = user_namespace.try_clone().ok();
    while let Some(namespace) = above {
        match fstat(&namespace).map(file) {
            found if found == own => break,
            Ok(found) => entered.push(found),
            Err(_) => return Switch::Yes,
        }
        above = nsfs::parent(&namespace).ok();
    }
    let is_there = |process: &Path| {
        stat(process.join("ns/user")).map(file).is_ok_and(|found| entered.contains(&found))
    };
    let may = |process: &Path| {
        let status = std::fs::read_to_string(process.join("status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
        let bounding = line.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
        bounding.is_none_or(|bounding| bounding & Capability::CAP_SYS_ADMIN.bitmask() != 0)
    };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut paths = processes.map(|entry| entry.path());
    if paths.any(|process| is_there(&process) && may(&process)) { Switch::Yes } else { Switch::No }
}

fn option(namespace: Namespace, path: &Path) -> String {
    format!("--{} {}", namespace.name(), shown(path))
}

fn opened(namespace: Namespace, path: &Path) -> Result<Join, Failure> {
    /// The file system of namespaces, linux/magic.h.
    const NSFS_MAGIC: i64 = 0x6e73_6673;
    let option = option(namespace, path);
    let failed = |errno| {
        let failure = Failure::new(option.clone()).errno(errno);
        match errno {
            Errno::ACCESS | Errno::PERM => failure
                .why("the namespaces of a process are for whoever may trace it")
                .man("namespaces(7)"),
            Errno::NOENT => failure.why("there is no such file, or the process has ended"),
            _ => failure,
        }
    };
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = open(path, flags, Mode::empty()).map_err(failed)?;
    #[allow(
        clippy::unnecessary_cast,
        clippy::useless_conversion,
        reason = "the type of f_type is another one on other architectures"
    )]
    let is_namespace = i64::from(fstatfs(&file).map_err(failed)?.f_type) == NSFS_MAGIC;
    if !is_namespace {
        return Err(Failure::new(format!("{option} is no namespace"))
            .remedy(format!("/proc/PID/ns/{} of a process in it", namespace.proc_entry()))
            .man("namespaces(7)"));
    }
    let kind = nsfs::kind(&file).map_err(failed)?;
    if kind == namespace.clone_flag() {
        return Ok(Join { namespace, path: path.to_owned(), file: Rc::new(file) });
    }
    let another = Namespace::ALL.into_iter().find(|other| other.clone_flag() == kind);
    let what = another.map_or("of a kind that rustic does not know", Namespace::name);
    let failure = Failure::new(format!("{option} is another kind of namespace: {what}"));
    Err(match another {
        Some(Namespace::Mount) | None => failure,
        Some(other) => failure.remedy(self::option(other, path)),
    })
}

/// Whether the caller is in it already.
fn is_the_callers(join: &Join) -> Result<bool, Failure> {
    let own = format!("/proc/self/ns/{}", join.namespace.proc_entry());
    let own = open(&own, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let file = |fd: &OwnedFd| fstat(fd).map(|stat| (stat.st_dev, stat.st_ino));
    let same = own.and_then(|own| Ok(file(&own)? == file(&join.file)?));
    same.map_err(|errno| Failure::new(option(join.namespace, &join.path)).errno(errno))
}

/// The user namespace that root enters when the root file system is made: outside of it he has the
/// right to show files with its ids.
fn last(others: &mut Vec<Join>, host: &Host) -> Result<Option<Join>, Failure> {
    let joined = others.iter().position(|join| join.namespace == Namespace::User);
    match joined.filter(|_| host.holds(Capability::CAP_SYS_ADMIN)) {
        Some(place) if may_show_ids(host) => Ok(Some(others.remove(place))),
        Some(place) => Err(not_for_root(&others[place])),
        None => Ok(None),
    }
}

/// What is entered by who becomes root there.
fn has_root(join: &Join, inside: &Inside) -> Result<(), Failure> {
    if contains(&inside.uids_outside, 0) && contains(&inside.gids_outside, 0) {
        return Ok(());
    }
    Err(Failure::new(format!("{}: it has no id 0", option(Namespace::User, &join.path)))
        .why("rustic is root inside while it starts a container")
        .man("user_namespaces(7)"))
}

/// The user namespace that must be entered first: the one that is joined, or where the caller has
/// no right over the others the one that owns them. A joined one is taken out of `others`.
fn owner(
    namespaces: &Namespaces,
    others: &mut Vec<Join>,
    host: &Host,
) -> Result<Option<Join>, Failure> {
    let joined = others.iter().position(|join| join.namespace == Namespace::User);
    let joined = joined.map(|place| others.remove(place));
    if host.holds(Capability::CAP_SYS_ADMIN) {
        return Ok(None);
    }
    if let Some(join) = &joined {
        made_by_the_caller(join, &join.file, host)?;
    }
    let mut owner = joined;
    for join in others.iter() {
        let file = nsfs::owner(&join.file).map_err(|errno| not_owned(join, errno, host))?;
        made_by_the_caller(join, &file, host)?;
        match &owner {
            None => {
                let path = format!("the owner of {}", join.path.display()).into();
                owner = Some(Join { namespace: Namespace::User, path, file: Rc::new(file) });
            }
            Some(first) => same_owner(join, &file, first)?,
        }
    }
    match others.first() {
        Some(join) if *namespaces.get(Namespace::User) == Choice::Shared => {
            Err(needs_its_owner(join))
        }
        _ => Ok(owner),
    }
}

fn not_for_root(join: &Join) -> Failure {
    let option = option(Namespace::User, &join.path);
    Failure::new(format!("{option}: root of the machine alone can join it as root"))
        .why(
            "to show files with its ids takes CAP_SYS_ADMIN, CAP_SETUID, CAP_SETGID and CAP_CHOWN \
             outside of every user namespace",
        )
        .remedy("--user yes, or --user no")
        .man("mount_setattr(2)")
}

fn same_owner(join: &Join, owner: &OwnedFd, first: &Join) -> Result<(), Failure> {
    let file = |fd: &OwnedFd| fstat(fd).map(|stat| (stat.st_dev, stat.st_ino));
    if file(owner) == file(&first.file) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} belongs to another user namespace than {}",
        option(join.namespace, &join.path),
        shown(&first.path)
    ))
    .why("rustic can enter only one, and has rights over what that owns")
    .man("user_namespaces(7)"))
}

fn needs_its_owner(join: &Join) -> Failure {
    let owner = join.path.with_file_name(Namespace::User.proc_entry());
    Failure::new(format!("--user no: joining {} needs its user namespace", shown(&join.path)))
        .why("a plain user has rights over another namespace only in the user namespace of its owner")
        .remedy(format!("--user {}, or --user yes", shown(&owner)))
        .man("user_namespaces(7)")
}

/// A user namespace can be entered by who made it, user_namespaces(7).
fn made_by_the_caller(join: &Join, user_namespace: &OwnedFd, host: &Host) -> Result<(), Failure> {
    let own = Join {
        namespace: Namespace::User,
        path: join.path.clone(),
        file: Rc::new(user_namespace.try_clone().map_err(|error| {
            Failure::new(option(join.namespace, &join.path)).errno(crate::error::errno_of(&error))
        })?),
    };
    if is_the_callers(&own)? {
        return Err(not_owned(join, Errno::PERM, host));
    }
    match nsfs::owner_uid(user_namespace) {
        Ok(uid) if uid == host.uid => Ok(()),
        Ok(uid) => Err(Failure::new(option(join.namespace, &join.path))
            .errno(Errno::PERM)
            .why(format!(
                "its user namespace was made by uid {uid}, and uid {} may not enter it",
                host.uid
            ))
            .remedy("sudo")
            .man("user_namespaces(7)")),
        Err(errno) => Err(not_owned(join, errno, host)),
    }
}

fn not_owned(join: &Join, errno: Errno, host: &Host) -> Failure {
    Failure::new(option(join.namespace, &join.path))
        .errno(errno)
        .why(format!(
            "it belongs to the host, and uid {} holds no CAP_SYS_ADMIN there: a plain user can join \
             what a user namespace of its own owns",
            host.uid
        ))
        .remedy("sudo")
        .man("setns(2)")
}

/// In a user namespace that does not own the pid namespace no proc of it can be mounted, and the
/// caller's would show the caller's processes.
fn no_foreign_proc(others: &[Join]) -> Result<(), Failure> {
    match others.iter().find(|join| join.namespace == Namespace::Pid) {
        None => Ok(()),
        Some(join) => Err(Failure::new(format!(
            "{} with --user yes: a new user namespace may mount no proc of it",
            option(Namespace::Pid, &join.path)
        ))
        .remedy(format!(
            "--user no as root, --user {} otherwise",
            shown(&join.path.with_file_name(Namespace::User.proc_entry()))
        ))
        .man("pid_namespaces(7)")),
    }
}

/// The kernel has refused it after all.
fn not_joined(joins: &Joins, errno: Errno, detail: &str) -> Failure {
    let namespace = joins.each().find(|join| join.path.to_string_lossy() == detail);
    let what =
        namespace.map_or_else(|| detail.to_owned(), |join| option(join.namespace, &join.path));
    Failure::new(format!("cannot join {what}")).errno(errno).man("setns(2)")
}
