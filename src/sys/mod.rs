//! Every unsafe block of rustic, and only the calls that nix and rustix lack: one call each, an
//! errno when it fails.
//!
//! A call whose precondition the types cannot carry is an `unsafe fn` here. Who calls one says in
//! its block why the precondition holds; `tests/it/tidy/unsafe_calls.rs` lists those blocks.
#![allow(
    unsafe_code,
    reason = "the fence: system calls without a safe wrapper in nix or rustix stand here and \
        nowhere else"
)]

mod descriptor;
mod errno;
pub mod handle;
pub mod i386;
mod ioctl;
pub mod keys;
mod mount;
pub mod needed;
pub mod nsfs;
mod process;
pub mod rights;
mod seccomp;
mod signal;
mod stdout;
pub mod surface;
pub mod sysv;
pub mod vsock;

pub use descriptor::{
    borrow_by_number, close_all_but, copy_of_inherited, message_queue, put_at_number,
    send_to_queue, take_inherited,
};
pub use ioctl::{interface_up, namespace_id, type_into};
pub use mount::{MountAttr, mount_setattr};
pub use process::{clone3, exit_now, fork, seize};
pub use seccomp::{
    Notification, continue_notified, receive_notification, set_seccomp_filter,
    set_seccomp_filter_with_listener,
};
pub use signal::{
    LAST as LAST_SIGNAL, REAL_TIME, block_signal, every_signal, ignore_signal, ignore_sigxfsz,
    is_a_signal_pending, is_ignored, numbered_signal, reset_sigchld, reset_signal_actions,
    signal_set, wait_for_signal,
};
pub use stdout::stdout_is_closed;
