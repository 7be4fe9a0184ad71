//! The processes and the wires between them.
//!
//! ```text
//!  parent (supervise)          warden (outside every wall)       child (inside)
//!  signals, terminal,   ◀───▶  parent of the child, subreaper ◀▶ walks the plan,
//!  queue, progress             cleans up at the end              becomes CMD
//!        ▲                                                         │
//!        └──────────────────────── Done, Fault, Terminal … ────────┘
//! ```
//!
//! Where namespaces are joined, a process of the warden's joins them and clones the child (the
//! joiner, in [`warden`]). With `--init` the child becomes the reaper, and CMD its child ([`init`]).
//!
//! [`plan`] turns a Spec into the list of [`step`]s; [`parent`] makes ready and [`supervise`]
//! waits; [`warden`] clones, reaps and cleans; [`child`] walks the list and never returns.
//! [`control`] is the protocol between them.

mod account;
pub mod child;
pub mod control;
pub mod describe;
pub mod diagnose;
pub mod events;
pub mod exec;
mod foreign_filter;
mod image;
pub mod init;
pub mod keys;
mod leak;
mod owners;
pub mod parent;
pub mod plan;
mod prepare;
pub mod processors;
pub mod progress;
pub mod pty;
pub mod pty_relay;
mod refusal;
pub mod resource;
pub mod signals;
pub mod step;
pub mod stream_relay;
pub mod streams;
pub mod supervise;
mod tries;
pub mod warden;
pub mod wire;

pub use image::with_image;
pub use parent::planned;
pub use tries::run;
