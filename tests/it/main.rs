//! One integration binary: black box first, the binary as a user runs it, seen from both sides.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says why it is skipped"
)]

mod support;

mod cli; //         options, help, wrong calls
mod corpus; //      150 hostile and odd archives, each with its manifest or its refusal
mod debian; //      a whole system in every format, beside GNU tar
mod docs; //        README runs as written
mod doors; //       what was ordered open, as verify tells it
mod explain; //    --explain, --dry-run and what strace saw
mod faults; //      every step failing, every moment killed
mod hostile; //     images that want to reach the host
mod invoke; //     the article's program
mod judged; //     what verify says, taken apart
mod kernel; //      its files and calls: what a hostile root finds open
mod manifest; //    a tree written down
mod namespaces; //  all combinations, from inside and outside
mod parts; //       tests that take minutes, by scripts/test --PART
mod privileges; //  ids, capabilities, keyrings, seccomp
mod race; //        a directory exchanged with a symlink while it is unpacked into
mod ready; //       the queue, seen and not seen
mod root; //        the root file system, binds, read-only, chroot and pivot_root
mod rootfs; //      archives and the store
mod run; //         what CMD sees and how its end is reported
mod scale; //       many at once
mod signals; //     forwarding, PID 1, exit codes of signals
mod store; //       trees by digest, names, locks, and every way to be interrupted
mod streams; //     stdin, stdout, stderr: what is behind them stays as it is
mod terminal; //    pty, job control, modes of the outer terminal
mod tidy; //        the rules of the house
mod truth; //       verify beside an independent witness
mod verify; //      every wall, every combination, every leak; what is left
