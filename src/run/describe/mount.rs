//! What is said of a mount that is made.

use super::{Description, described, inside, text};
use crate::mounts::Attributes;
use crate::run::step::{Mount, Source};

/// Of the making; where it is attached is another step.
pub(super) fn describe_mount(mount: &Mount) -> Description {
    let attributes = mount.attributes.names();
    let target = inside(mount);
    let (call, cannot) = match &mount.source {
        Source::New { fs, .. } => (
            format!("fsopen({fs:?}), fsconfig(), fsmount({attributes})"),
            format!("mount {}", text(fs)),
        ),
        Source::Host(path) => (
            format!(
                "open_tree(\"{}\", OPEN_TREE_CLONE|AT_RECURSIVE), mount_setattr({attributes})",
                text(path)
            ),
            format!("bind {}", text(path)),
        ),
        Source::Overlay { lower, .. } => (
            format!(
                "fsopen(\"overlay\"), fsconfig(lowerdir={}, upperdir, workdir), \
                 fsmount({attributes})",
                text(lower)
            ),
            format!("mount an overlay over {}", text(lower)),
        ),
        Source::Scratch(name) => {
            let attr = if mount.attributes == Attributes::NONE {
                String::new()
            } else {
                format!(", mount_setattr({attributes})")
            };
            (
                format!("open_tree(scratch/{}, OPEN_TREE_CLONE){attr}", text(name)),
                format!("bind the container's own {}", text(name)),
            )
        }
    };
    let (why, man) = match target.as_str() {
        "/proc" => ("the processes of the container's pid namespace", "proc(5)"),
        "/sys" => ("the interfaces of the container's network namespace, read-only", "sysfs(5)"),
        "/dev" => ("nodes of its own, on a tmpfs", "tmpfs(5)"),
        "/dev/pts" => ("terminals of its own", "pts(4)"),
        "/dev/shm" => (
            "POSIX shared memory are files: not the IPC namespace separates them, but this mount",
            "shm_overview(7)",
        ),
        "/dev/mqueue" => ("the queues of the IPC namespace, to be seen with ls", "mq_overview(7)"),
        _ => ("ordered, or the container's own view of a file", "open_tree(2)"),
    };
    described(call, cannot, why, man)
}
