//! What an errno means whoever makes the call: the words that run, verify and doctor share. The
//! kernel's one errno stands for many causes; where they can be told apart they get their own
//! words, and a fix that works.

pub mod namespaces;
pub mod surroundings;

use crate::error::Failure;
use rustix::io::Errno;

/// ENODEV of an overlay: the kernel loads the module by itself where it can, and could not.
pub fn no_overlay(failure: Failure) -> Failure {
    match failure.errno {
        Some(Errno::NODEV) => failure
            .why("this kernel has no overlay file system loaded")
            .remedy("modprobe overlay; or --no-store, which copies an image, or --mount no"),
        _ => failure,
    }
}

/// EROFS of a map of ids.
pub fn read_only_proc(failure: Failure) -> Failure {
    failure.why("/proc is mounted read-only").remedy("mount -o remount,rw /proc")
}
