//! The calls that a start is made of and that filters are known to forbid, made in vain: what comes
//! back is an errno, or a filter ends who has made one.

use libc::c_long;

/// A call of a start.
pub struct NeededCall {
    /// Its name.
    pub name: &'static str,
    number: c_long,
    /// The Linux that it came with, major and minor, by its manual page.
    pub since: (u32, u32),
    /// Which starts make it.
    pub made: Made,
}

/// Which starts make a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// Every one.
    Always,
    /// Those that a step of the plan says so of.
    ByAStep,
}

const fn call(name: &'static str, number: c_long, since: (u32, u32), made: Made) -> NeededCall {
    NeededCall { name, number, since, made }
}

/// All of them.
pub const NEEDED: [NeededCall; 26] = [
    call("capset", libc::SYS_capset, (2, 2), Made::ByAStep),
    call("chroot", libc::SYS_chroot, (1, 0), Made::ByAStep),
    call("clone3", libc::SYS_clone3, (5, 3), Made::Always),
    call("close_range", libc::SYS_close_range, (5, 9), Made::ByAStep),
    call("fsconfig", libc::SYS_fsconfig, (5, 2), Made::ByAStep),
    call("fsmount", libc::SYS_fsmount, (5, 2), Made::ByAStep),
    call("fsopen", libc::SYS_fsopen, (5, 2), Made::ByAStep),
    call("keyctl", libc::SYS_keyctl, (2, 6), Made::ByAStep),
    call("mknodat", libc::SYS_mknodat, (2, 6), Made::ByAStep),
    call("mount", libc::SYS_mount, (1, 0), Made::ByAStep),
    call("mount_setattr", libc::SYS_mount_setattr, (5, 12), Made::ByAStep),
    call("move_mount", libc::SYS_move_mount, (5, 2), Made::ByAStep),
    call("mq_open", libc::SYS_mq_open, (2, 6), Made::ByAStep),
    call("mq_unlink", libc::SYS_mq_unlink, (2, 6), Made::ByAStep),
    call("open_tree", libc::SYS_open_tree, (5, 2), Made::ByAStep),
    call("openat2", libc::SYS_openat2, (5, 6), Made::Always),
    call("personality", libc::SYS_personality, (1, 2), Made::ByAStep),
    call("pidfd_open", libc::SYS_pidfd_open, (5, 3), Made::Always),
    call("pivot_root", libc::SYS_pivot_root, (2, 3), Made::ByAStep),
    call("seccomp", libc::SYS_seccomp, (3, 17), Made::ByAStep),
    call("sethostname", libc::SYS_sethostname, (1, 0), Made::ByAStep),
    call("setns", libc::SYS_setns, (3, 0), Made::ByAStep),
    call("setsid", libc::SYS_setsid, (1, 0), Made::ByAStep),
    call("statx", libc::SYS_statx, (4, 11), Made::Always),
    call("umount2", libc::SYS_umount2, (2, 1), Made::ByAStep),
    call("unshare", libc::SYS_unshare, (2, 6), Made::ByAStep),
];

impl NeededCall {
    /// Whether a text names the call, as `name(`.
    pub fn is_named_in(&self, text: &str) -> bool {
        text.match_indices(self.name).any(|(at, name)| {
            let before = text[..at].chars().next_back();
            let is_whole = before.is_none_or(|before| !before.is_alphanumeric() && before != '_');
            is_whole && text[at + name.len()..].starts_with('(')
        })
    }

    /// Makes the call with arguments that mean nothing to it, in a process that ends afterwards.
    pub fn make_in_vain(&self) {
        const NONE: c_long = -1;
        // SAFETY: no argument is an address, a descriptor or a known flag: the kernel refuses them
        // without touching this process. personality(2) takes them as a question, and setsid(2) has
        // none.
        unsafe { libc::syscall(self.number, NONE, NONE, NONE, NONE, NONE, NONE) };
    }
}
