//! File systems in a new user namespace.

use super::answer::{of, row};
use super::child::in_a_child;
use std::ffi::{CStr, CString};

/// File systems in a new user namespace: what is hidden of /proc and /sys would be seen again.
pub(super) fn fresh_mounts() {
    for kind in ["proc", "sysfs", "cgroup", "cgroup2"] {
        let mounted = in_a_child(|| {
            let all = libc::CLONE_NEWUSER
                | libc::CLONE_NEWNS
                | libc::CLONE_NEWPID
                | libc::CLONE_NEWNET
                | libc::CLONE_NEWCGROUP;
            // SAFETY: numbers only.
            if unsafe { libc::unshare(all) } == -1 {
                return of(-1);
            }
            // The new pid namespace is for children.
            in_a_child(|| mount(kind))
        });
        row("mount", &format!("{kind} in a user namespace"), &mounted);
    }
}

fn mount(kind: &str) -> String {
    let (Ok(name), target) = (CString::new(kind), c"/tmp") else { return "no name".into() };
    // A hierarchy that is there can be mounted again, a new one is the host's to make.
    let options = match kind {
        "cgroup" => [c"pids", c"memory", c"cpu,cpuacct", c"none,name=systemd"].as_slice(),
        _ => &[c""],
    };
    let tried = options.iter().map(|options| mounted(&name, target, options)).collect::<Vec<_>>();
    tried.iter().find(|said| *said == "open").unwrap_or(&tried[0]).clone()
}

fn mounted(name: &CStr, target: &CStr, options: &CStr) -> String {
    // SAFETY: strings with NUL that outlive the call; the mount is of a namespace of its own.
    of(unsafe {
        libc::mount(
            name.as_ptr(),
            target.as_ptr(),
            name.as_ptr(),
            libc::MS_RDONLY,
            options.as_ptr().cast(),
        )
    }
    .into())
}
