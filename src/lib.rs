//! rustic: a container launcher that shows its work and proves its walls.
//!
//! A command line becomes a [`spec::Spec`], a Spec becomes a [`run::plan::Plan`], a Plan is a list
//! of [`run::step::Step`]s; the child walks the list. What a step does, what it says under `-v`,
//! what its errors mean: all of it is read from that one list.
//!
//! The rooms, and who may know whom (main → cli → spec → run → {walls, ready} → sys):
//! - [`cli`]: clap's types, and nothing else knows clap. [`spec`]: what is wanted, checked.
//!   [`host`]: what is there to work with.
//! - [`namespace`], [`exit`], [`error`], [`random`], [`mountinfo`]: the words that everybody
//!   shares.
//! - [`run`]: three processes and the wires between them. Order exists in `run::plan` and
//!   `run::parent` only.
//! - [`walls`]: one file a wall; no wall knows another. [`ready`]: the message queue of readiness.
//! - [`beneath`]: paths inside a root file system, the one way to them. [`mounts`]: the mount API.
//! - [`rootfs`]: archives, the safe unpacker, the store and its names, the built-in root; it
//!   knows nothing of `run`.
//! - [`invoke`]: the article's program, option by option.
//! - [`verify`]: every wall tried from inside, checked from outside, with a control; it starts
//!   rustic as anybody would.
//! - [`init`]: the reaper that `--init` puts in front of CMD. [`self_exe`]: rustic itself,
//!   inside. [`sys`]: every unsafe block, but for calls of its own unsafe functions.
//!
//! Deliberately absent: a daemon, a setuid mode, a config file, threads at the time of a clone
//! (only an unpack has a second one), a lookup of users or hosts through libc.

pub mod beneath;
pub mod cli;
pub mod error;
pub mod exit;
pub mod host;
pub mod invoke;
pub mod mountinfo;
pub mod mounts;
pub mod namespace;
pub mod random;
pub mod ready;
pub mod rootfs;
pub mod run;
pub mod self_exe;
pub mod spec;
pub mod sys;
pub mod test_switches;
pub mod verify;
pub mod walls;
