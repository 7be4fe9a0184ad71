//! What is said of the warden's steps.

use super::{Description, described};
use crate::error::printable;
use crate::namespace::{Namespace, Namespaces};
use crate::run::step::WardenStep;
use crate::spec::shown;
use crate::walls::join::{Join, Joins};
use std::fmt::Write as _;

impl WardenStep {
    /// What is said of it.
    pub(in crate::run) fn describe(&self) -> Description {
        match self {
            Self::BecomeSubreaper => described(
                "setsid(), prctl(PR_SET_CHILD_SUBREAPER, 1)".into(),
                "set up the warden".into(),
                "what the container leaves behind comes to the warden, and a kill of the caller's \
                    process group does not reach it",
                "prctl(2)",
            ),
            Self::Clone(namespaces) => described(
                format!("clone3({})", flags(namespaces)),
                format!("make the namespaces of the container ({})", names(namespaces)),
                "the child starts inside its new namespaces",
                "clone3(2)",
            ),
            Self::JoinAndClone { joins, namespaces } => described(
                format!("{}, clone3({}|CLONE_PARENT)", entered(joins), flags(namespaces)),
                format!("join {}", joined(joins)),
                "in a process of its own, which clones the child as the warden's: the warden stays \
                 outside",
                "setns(2)",
            ),
            Self::BuildAndClone { joins, namespaces } => described(
                format!(
                    "{}unshare(CLONE_NEWNS); then clone3({}|CLONE_PARENT)",
                    if joins.is_empty() { String::new() } else { format!("{}, ", entered(joins)) },
                    flags(namespaces)
                ),
                format!("make the namespaces of the container ({})", names(namespaces)),
                "a process of its own, the builder, makes the root file system outside of the user \
                 namespace and clones the child: what is mounted then, nobody inside can undo",
                "mount_namespaces(7)",
            ),
            Self::WriteIdMaps(_) => described(
                "write uid_map, gid_map".into(),
                "map the ids of the user namespace".into(),
                "without a map every id inside is the overflow id",
                "user_namespaces(7)",
            ),
            Self::MakeRunDirectory(path) => described(
                format!("mkdir({}), flock()", printable(&path.to_string_lossy())),
                format!("make the directory {}", printable(&path.to_string_lossy())),
                "without a mount namespace there is no overlay: the image gets a directory, which \
                    the warden removes",
                "mkdir(2)",
            ),
        }
    }
}

fn flags(namespaces: &Namespaces) -> String {
    namespaces.new_ones().fold("CLONE_PIDFD".to_owned(), |mut text, namespace| {
        let _ = write!(text, "|{}", namespace.flag_name());
        text
    })
}

fn names(namespaces: &Namespaces) -> String {
    let names: Vec<_> = namespaces.new_ones().map(Namespace::name).collect();
    if names.is_empty() { "none new".into() } else { names.join(" ") }
}

fn entered(joins: &Joins) -> String {
    let call =
        |join: &Join| format!("setns({}, {})", shown(&join.path), join.namespace.flag_name());
    joins.each().map(call).collect::<Vec<_>>().join(", ")
}

fn joined(joins: &Joins) -> String {
    joins.each().map(|join| shown(&join.path)).collect::<Vec<_>>().join(" ")
}
