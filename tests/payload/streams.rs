//! What is behind the standard streams.

use std::ffi::CString;

/// Tries to change whatever is behind a standard stream, in every way that a descriptor gives. What
/// has come of it shows outside.
pub(super) fn change_stream(fd: i32) {
    let path = CString::new(format!("/proc/self/fd/{fd}")).unwrap_or_default();
    let at = path.as_ptr();
    let (name, value) = (c"user.changed", c"x");
    // SAFETY: strings with NUL and buffers that outlive the calls; descriptors are this process's.
    unsafe {
        libc::fchmod(fd, 0o4777);
        libc::chmod(at, 0o4777);
        libc::fchown(fd, 7, 7);
        libc::chown(at, 7, 7);
        libc::futimens(fd, [libc::timespec { tv_sec: 7, tv_nsec: 0 }; 2].as_ptr());
        libc::fsetxattr(fd, name.as_ptr(), value.as_ptr().cast(), 1, 0);
        libc::setxattr(at, name.as_ptr(), value.as_ptr().cast(), 1, 0);
        libc::fcntl(fd, libc::F_SETFL, 0);
        libc::ftruncate(fd, 0);
        libc::truncate(at, 0);
        libc::pwrite(fd, value.as_ptr().cast(), 1, 0);
        for flags in [libc::O_RDWR | libc::O_TRUNC, libc::O_RDWR, libc::O_WRONLY] {
            let again = libc::open(at, flags | libc::O_NONBLOCK);
            libc::pwrite(again, value.as_ptr().cast(), 1, 0);
            libc::fchmod(again, 0o4777);
            libc::close(again);
        }
    }
}
