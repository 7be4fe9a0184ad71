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
                // No limit on descriptors in flight binds who has made it: CAP_SYS_ADMIN lifts it,
                // unix(7).
                let along = Some(namespace.as_fd());
                match self.child.as_ref().map(|child| child.send(&Order::Network, along)) {
                    // A child that is gone has said why.
                    None | Some(Ok(()) | Err(Errno::PIPE)) => {}
                    Some(Err(errno)) => {
                        self.fail(Failure::new("cannot send the child its network").errno(errno))
                    }
                }
                self.network = Some(namespace);
            }
            Err(error) => {
                self.fail(whole.diagnose(error.errno, &error.detail, self.run.host));
            }
        }
    }
}
