//! The parent while it waits. It holds nothing that the warden could not clean up after its death.
//!
//! [`wait`] is one poll over everything that can happen; [`hear`] hears the warden and the child,
//! [`network`] makes a namespace for it,
//! [`signals`] signals and keys, [`readiness`] what says that the container is ready.

mod hear;
mod network;
mod readiness;
mod signals;
mod wait;

use crate::error::Failure;
use crate::host::Host;
use crate::namespace::Switch;
use crate::ready::notify;
use crate::ready::queue::Queue;
use crate::run::control::{Ending, NearEnd};
use crate::run::events::Events;
use crate::run::plan::Plan;
use crate::run::progress::Voice;
use crate::run::pty::Outer;
use crate::run::pty_relay::Relay;
use crate::run::refusal::Refusal;
use crate::run::stream_relay::Pipes;
use crate::run::streams::Streams;
use crate::spec::{Ready, Spec};
use nix::sys::signalfd::SignalFd;
use rustix::fd::OwnedFd;
use rustix::process::Pid;
use std::time::Instant;

/// What a run is about: what was wanted, what is there, and what is to be done.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// What is wanted.
    pub spec: &'a Spec,
    /// What is there.
    pub host: &'a Host,
    /// What is done.
    pub plan: &'a Plan,
    /// What is told of it.
    pub voice: Voice,
}

/// The parent's ends of everything that it hears by.
pub struct Wires {
    /// Signals to rustic itself.
    pub signals: SignalFd,
    /// To the warden.
    pub warden: NearEnd,
    /// To the child.
    pub child: NearEnd,
    /// The queue, where there is one.
    pub queue: Option<Queue>,
    /// What CMD says on its pipe, with `--ready app`.
    pub pipe: Option<OwnedFd>,
    /// The caller's terminal.
    pub outer: Option<Outer>,
}

/// The parent while it waits.
pub struct Supervisor<'a> {
    run: Run<'a>,
    info: &'a mut Events,
    signals: SignalFd,
    warden: NearEnd,
    /// Until execve succeeds, or the child ends.
    child: Option<NearEnd>,
    relay: Option<Relay>,
    pid: Option<Pid>,
    pidfd: Option<OwnedFd>,
    /// Until READY has arrived, or cannot.
    queue: Option<Queue>,
    /// What CMD says on its pipe, with `--ready app`.
    pipe: Option<OwnedFd>,
    /// What it has said since the last end of a line, as far as it matters.
    line: Vec<u8>,
    /// The socket of sd_notify, likewise.
    socket: Option<notify::Inner>,
    readiness: Readiness,
    /// The directory and the name of a mount target that comes next.
    claim: Option<(OwnedFd, Vec<u8>)>,
    /// The network namespace that was made for the child, which may not have entered it yet.
    network: Option<OwnedFd>,
    /// The namespaces of the child, as `--info-fd` shows them.
    namespaces: String,
    stage: Phase,
    failure: Option<Failure>,
    /// What was refused, if the run can go on without it.
    refused: Option<Refusal>,
    ending: Option<Ending>,
    /// Whether the warden may go when the container has ended.
    dismissed: Switch,
    connections: Connections,
}

/// The standard streams of CMD, and the pipes behind them.
pub struct Connections {
    /// What CMD has got, with the views.
    pub streams: Streams,
    /// What the parent relays.
    pub pipes: Pipes,
}

/// Where the child is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// On its way through the plan.
    SettingUp,
    /// At its last step, which it takes when what is to be told of the start has been told.
    Waiting,
    /// At its last step: when its wire ends now, it has become CMD.
    Executing,
}

/// How far the wait for readiness is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    /// Until then.
    Awaited(Instant),
    /// It was told by this way, and is passed on when CMD runs.
    Told(&'static str),
    /// Nothing is left to wait for.
    Settled,
}

impl<'a> Supervisor<'a> {
    /// The parent, before the warden may go.
    pub fn new(run: Run<'a>, info: &'a mut Events, wires: Wires, streams: Connections) -> Self {
        let Wires { signals, warden, child, queue, pipe, outer } = wires;
        let readiness = match run.spec.ready {
            Ready::None => Readiness::Settled,
            Ready::Queue | Ready::App => {
                Readiness::Awaited(Instant::now() + run.spec.ready_timeout)
            }
        };
        Self {
            run,
            info,
            signals,
            warden,
            child: Some(child),
            relay: outer.map(Relay::new),
            pid: None,
            pidfd: None,
            queue,
            pipe,
            line: Vec::new(),
            socket: None,
            readiness,
            claim: None,
            network: None,
            namespaces: String::new(),
            stage: Phase::SettingUp,
            failure: None,
            refused: None,
            ending: None,
            dismissed: Switch::No,
            connections: streams,
        }
    }
}
