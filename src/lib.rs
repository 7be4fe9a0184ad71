//! rustic: a container launcher that shows its work and proves its walls.
//!
//! A command line becomes a [`spec::Spec`], a Spec becomes a [`run::plan::Plan`], a Plan is a list
//! of [`run::step::Step`]s and of [`run::resource::Resource`]s; every process walks its own part
//! of the list. What a step does, what it says under `-v`, what its errors mean: all of it is read
//! from that one list. docs/architecture.md has the drawing.
//!
//! The rooms; docs/architecture.md says who may know whom:
//! - [`act`]: each command, from what the command line asks for to an exit code. [`cli`]: clap's
//!   types, and nothing else knows clap. [`spec`]: what is wanted, checked; and back to the
//!   arguments that make it. [`host`]: what is there to work with.
//! - [`namespace`], [`exit`], [`error`], [`random`], [`mountinfo`]: the words that everybody
//!   shares. [`causes`]: what an errno of the host means, for run, verify and doctor alike.
//! - [`run`]: the processes and the wires between them. The order of the walls exists in
//!   `run::plan` only.
//! - [`walls`]: one file a wall; no wall knows another. [`ready`]: the message queue of readiness.
//! - [`beneath`]: paths inside a root file system, the one way to them. [`mounts`]: the mount API.
//! - [`rootfs`]: archives, the safe unpacker, the store and its names, the built-in root; it
//!   knows nothing of `run`.
//! - [`invoke`]: the article's program, option by option.
//! - [`verify`]: every wall tried from inside, checked from outside, with a control; it starts
//!   rustic as anybody would.
//! - [`doctor`]: what this host allows, by starts of rustic's own.
//! - [`self_exe`]: rustic itself, inside. [`own_name`]: what it was called by. [`sys`]: every unsafe block, but for calls of its own
//!   unsafe functions. [`test_switches`]: what tests order, never in a shipped binary.
//!
//! The modules are private: what nobody uses is seen by the compiler. What the binary takes stands
//! below; [`parts`] is what fuzz targets and benches look at by itself.
//!
//! Deliberately absent: a daemon, a setuid mode, a config file, threads at the time of a clone
//! (an unpack has a second one, and so has who closes descriptors that CMD sent), a lookup of users or hosts through libc.

mod act;
mod beneath;
mod causes;
mod cli;
mod doctor;
mod error;
mod exit;
mod host;
mod invoke;
mod mountinfo;
mod mounts;
mod namespace;
mod own_name;
mod random;
mod ready;
mod rootfs;
mod run;
mod self_exe;
mod spec;
mod sys;
mod test_switches;
mod verify;
mod walls;

pub use act::{act, by_name};
pub use cli::{Usage, parse};
pub use error::Failure;
pub use exit::Exit;
pub use own_name::get as own_name;
pub use sys::reset_sigchld;

/// Pieces that are fuzzed and measured alone.
pub mod parts {
    pub use crate::namespace::Switch;
    pub use crate::ready::message;
    pub use crate::rootfs::entry;
    pub use crate::rootfs::image;
    pub use crate::rootfs::reader;
    pub use crate::rootfs::writer;
    pub use crate::walls::seccomp;
}
