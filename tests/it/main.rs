//! One integration binary: black box first, the binary as a user runs it, seen from both sides.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says why it is skipped"
)]

// What the tests stand on.
mod judged; //      what verify says, taken apart
mod manifest; //    a tree written down
mod plans; //       ways to start a container, for what is made to fail
mod support; //     the frame: starting rustic, looking at the host, cleaning up

// A run as its user sees it.
mod cli; //         options, help, wrong calls
mod explain; //     --explain, --dry-run and what strace saw
mod images; //      layers, their kinds and configs
mod invoke; //      the article's program
mod ready; //       the queue, seen and not seen, and the other ways to say ready
mod run; //         what CMD sees and how its end is reported
mod signals; //     forwarding, PID 1, exit codes of signals
mod streams; //     stdin, stdout, stderr: what is behind them stays as it is
mod terminal; //    pty, job control, modes of the outer terminal

// What a container is given, and what it is not.
mod doctor; //      what a host lacks, found and named
pub(crate) mod files; // what of the host is shown, hidden and made, and what is left
mod hosts; //       hosts that give less: filters, limits, ids
pub(crate) mod ids; // whose id is whose: ranges of plain users and of root
mod joins; //       namespaces of others, entered by their files
mod kernel; //      its files and calls: what a hostile root finds open
mod namespaces; //  all combinations, from inside and outside
mod privileges; //  ids, capabilities, keyrings, seccomp
mod root; //        the root file system, binds, read-only, chroot and pivot_root

// Archives, images and the store.
mod corpus; //      150 hostile and odd archives, each with its manifest or its refusal
mod debian; //      a whole system in every format, beside GNU tar
mod hostile; //     images that want to reach the host
mod race; //        a directory exchanged with a symlink while it is unpacked into
mod rootfs; //      archives and the store
mod store; //       trees by digest, names, locks, and every way to be interrupted

// verify.
mod doors; //       what was ordered open, as verify tells it
mod launchers; // other launchers, as verify judges them
mod truth; //       verify beside an independent witness
mod verify; //      every wall, every combination, every leak; what is left

// When something fails, and when much is to be done.
mod faults; //      every step failing, every moment killed
mod floor; //       the program that a start is compared with
mod parts; //       tests that take minutes, by scripts/test --PART
mod scale; //       many at once

// The repository itself.
mod docs; //        README and docs run as written
mod shipped; //     the binary without the switches of the tests
mod tidy; //        the rules of the house
