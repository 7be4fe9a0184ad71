//! The warden: the child's parent and a subreaper, outside every wall. It holds a wire to the
//! parent; when that ends, whatever the child has done to its credentials, its death signal or its
//! process group, the warden ends the container and removes what the run has made.
//!
//! [`start`] takes its steps, [`joiner`] the one that joins namespaces; [`guard`] waits and obeys,
//! [`descendants`] ends what is left.

mod descendants;
mod guard;
mod joiner;
mod start;

use crate::namespace::Switch;
use crate::run::child::Inheritance;
use crate::run::control::{FarEnd, NearEnd, Order, Report, SILENT};
use crate::run::plan::Plan;
use crate::run::processors::Processors;
use crate::run::pty::Outer;
use crate::run::signals;
use crate::run::wire::Received;
use crate::sys;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::Pid;
use std::cell::Cell;

/// What the warden is given.
pub struct Given<'a> {
    /// The wire to the parent.
    pub wire: FarEnd,
    /// What the child is given.
    pub child: Inheritance<'a>,
    /// The wire to the child.
    pub gate: NearEnd,
    /// The processors that it may be on once it is told to go: until then the parent may have
    /// chosen others.
    pub processors: Processors,
}

/// Guards one container. Ends the process.
pub fn main(plan: &Plan, given: Given<'_>) -> ! {
    let blocked = signals::block_all();
    let Given { wire, child, gate, processors } = given;
    let outer = child.outer.cloned();
    let warden =
        Warden { plan, wire, outer, asked: Cell::new(None), dismissed: Cell::new(Switch::No) };
    if let Err(errno) = blocked {
        warden.refuse(errno, "blocking its signals");
    }
    match warden.wire.wait() {
        Received::Message(order @ (Order::Go | Order::GoWithoutQueue), _) => {
            processors.regain();
            warden.guard(child, gate, order)
        }
        Received::Message(..) => sys::exit_now(0),
        Received::Nothing | Received::Closed => warden.parent_is_gone(),
        Received::Failed(errno) => warden.refuse(errno, HEARING),
    }
}

/// What the warden was doing when it could not read its wire.
const HEARING: &str = "hearing the parent";

struct Warden<'a> {
    plan: &'a Plan,
    wire: FarEnd,
    outer: Option<Outer>,
    /// The signal that was passed on and would have been lost, in whose place SIGKILL was sent.
    asked: Cell<Option<i32>>,
    /// Whether the parent needs it no more once the container has ended.
    dismissed: Cell<Switch>,
}

/// The child, as its parent sees it.
struct Ward {
    pid: Pid,
    pidfd: OwnedFd,
    /// The wire to it, until execve.
    gate: Option<NearEnd>,
    /// What tells of signals that it sends itself.
    listener: Option<OwnedFd>,
    /// What the parent has been given of mount targets.
    passed: Vec<OwnedFd>,
    /// Its user namespace, where only its root can remove what the container has written.
    user_namespace: Option<OwnedFd>,
}

impl Warden<'_> {
    /// Tells the parent that the warden itself cannot go on, and ends.
    fn refuse(&self, errno: Errno, detail: &str) -> ! {
        let step = self.plan.warden().next().map_or(0, |(number, ..)| number);
        let fault = Report::Fault { step, errno, detail: detail.to_owned() };
        let _ = self.wire.send(&fault, None);
        self.finish(SILENT)
    }
}
