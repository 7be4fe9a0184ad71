//! The network namespace, made while the child makes its mounts: it costs as much as they do.

use super::Supervisor;
use crate::error::Failure;
use crate::run::control::Order;
use crate::run::step::ParentStep;
use crate::walls::network;
use rustix::fd::AsFd;
use rustix::io::Errno;

impl Supervisor<'_> {
    /// Takes that step, where the plan has it, and sends the child what was made.
    pub(super) fn make_network(&mut self) {
        let mut steps = self.run.plan.parent();
        let Some((number, whole, _)) =
            steps.find(|(.., step)| matches!(step, ParentStep::MakeNetwork))
        else {
            return;
        };
        match whole.ordered_failure().map_or_else(network::make, Err) {
            Ok(namespace) => {
                self.run.voice.done(number, whole);
                self.network = Some(namespace);
                self.send_network();
            }
            Err(error) => {
                self.fail(whole.diagnose(error.errno, &error.detail, self.run.host));
            }
        }
    }

    /// Whether the child was told to make it.
    pub(super) fn made_its_own_network(&self) -> bool {
        let makes = |step: &ParentStep| matches!(step, ParentStep::MakeNetwork);
        self.network.is_none() && self.run.plan.parent().any(|(.., step)| makes(step))
    }

    fn send_network(&mut self) {
        let (Some(child), Some(namespace)) = (&self.child, &self.network) else { return };
        let sent = match child.send(&Order::Network, Some(namespace.as_fd())) {
            Err(Errno::TOOMANYREFS) => {
                self.network = None;
                child.send(&Order::OwnNetwork, None)
            }
            sent => sent,
        };
        match sent {
            // A child that is gone has said why.
            Ok(()) | Err(Errno::PIPE) => {}
            Err(errno) => self.fail(Failure::new("cannot send the child its network").errno(errno)),
        }
    }
}
