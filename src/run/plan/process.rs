//! The rungs of the process besides its ids: network, host name, keyring, readiness, environment.

use super::ladder::Ladder;
use crate::namespace::{Choice, Namespace, Switch};
use crate::ready::queue::Name;
use crate::ready::{READY_FD, notify};
use crate::run::step::{ChildStep, Quota};
use crate::run::streams::Stream;
use crate::spec::{Ready, Seccomp};
use std::ffi::CString;

impl Ladder<'_> {
    /// Whether the parent makes the network namespace, at the same time as the child its mounts. It
    /// has to belong to the user namespace that the parent is in, and that to go back.
    pub(super) fn parent_makes_network(&self) -> bool {
        // What the child opens it sends to the parent on the wire that it hears of the network on.
        let sends = |stream: &Stream| matches!(stream, Stream::ViewByPath(_));
        self.is_new(Namespace::Net)
            && self.owns_the_shared()
            && self.spec.joins.is_empty()
            && !self.streams.iter().any(sends)
    }

    pub(super) fn join_network(&mut self) {
        if self.parent_makes_network() {
            self.rung(ChildStep::JoinNetwork);
        }
    }

    pub(super) fn loopback(&mut self) {
        if self.is_new(Namespace::Net) && !self.parent_makes_network() {
            self.rung(ChildStep::Loopback);
        }
    }

    pub(super) fn hostname(&mut self) {
        if let Some(name) = &self.spec.hostname {
            let name = name.clone();
            self.rung(ChildStep::Hostname(name));
        }
    }

    pub(super) fn keyring(&mut self) {
        let quota =
            if self.spec.kernel.seccomp == Seccomp::None { Quota::Fatal } else { Quota::Bearable };
        self.rung(ChildStep::Keyring { quota });
    }

    /// What readiness needs inside: the socket of sd_notify, the queue, and its limit. The queue is
    /// opened before the uid changes, while the child still is who made it.
    pub(super) fn readiness_opened(&mut self, queue: Option<&Name>) {
        if self.spec.ready == Ready::App {
            match self.dev {
                Some(slot) => self.rung(ChildStep::NotifySocket(slot)),
                None => self.remarks.push(
                    "ready: no NOTIFY_SOCKET, because without mounts there is \
                        no /dev of its own to put it in"
                        .into(),
                ),
            }
        }
        if self.spec.ready == Ready::Queue
            && let Some(name) = queue
        {
            let seen = match self.spec.namespaces.get(Namespace::Ipc) {
                Choice::Shared => Switch::Yes,
                Choice::New | Choice::Join(_) => Switch::No,
            };
            self.rung(ChildStep::OpenQueue { name: name.clone(), seen });
        }
        if let Some(limit) = self.host.msgqueue_limit {
            self.rung(ChildStep::LimitQueues(limit / 2));
        }
    }

    /// CMD's variables, with the ways to say READY=1 where the program inside is to say it.
    pub(super) fn environment(&self, queue: Option<&Name>) -> Vec<CString> {
        let mut env = self.spec.env.clone();
        if self.spec.ready == Ready::App {
            let mut ways = vec![format!("RUSTIC_READY_FD={READY_FD}")];
            ways.extend(queue.map(|name| format!("RUSTIC_READY_QUEUE={}", name.shown())));
            if self.is_new(Namespace::Mount) {
                ways.push(format!("NOTIFY_SOCKET={}", notify::PATH));
            }
            env.extend(ways.into_iter().filter_map(|line| CString::new(line).ok()));
        }
        env
    }
}
