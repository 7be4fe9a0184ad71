//! The parent's steps up to the start.

use crate::error::{Failure, SysError};
use crate::namespace::Switch;
use crate::ready::queue::Queue;
use crate::run::resource::{self, Resource, Which};
use crate::run::step::ParentStep;
use crate::run::streams;
use crate::run::supervise::Run;
use crate::spec::Ready;
use rustix::io::Errno;

/// Takes the parent's steps up to the start, when the warden is there to clean up after them. Where
/// one fails, what those before it have made is taken away; a queue that could not be made is
/// somebody else's, and stays.
pub(super) fn prepare(run: Run<'_>) -> Result<Option<Queue>, Failure> {
    let mut made = Vec::new();
    let mut queue = None;
    for (number, step, own) in run.plan.parent() {
        let taken = step.ordered_failure().map_or_else(|| execute(own, run), Err);
        match (taken, own) {
            (Ok(Some(Made { resource, open })), _) => {
                made.push(resource);
                queue = open.or(queue);
            }
            (
                Ok(None),
                ParentStep::MakeNetwork | ParentStep::ReceiveReady(_) | ParentStep::RemoveQueue(_),
            ) => continue,
            (Ok(None), _) => {}
            (Err(error), ParentStep::MakeQueue(_))
                if run.spec.ready_by_name == Switch::No && is_used_up(error.errno) =>
            {
                let failure = step.diagnose(error.errno, &error.detail, run.host);
                run.voice.parent(&format!("goes on without a queue: {}", failure.in_a_line()));
                continue;
            }
            (Err(error), _) => {
                resource::remove_all(&made, Which::All, None);
                return Err(step.diagnose(error.errno, &error.detail, run.host));
            }
        }
        run.voice.done(number, step);
    }
    Ok(queue)
}

/// What a step of the parent has made.
struct Made {
    resource: Resource,
    open: Option<Queue>,
}

fn execute(step: &ParentStep, run: Run<'_>) -> Result<Option<Made>, SysError> {
    match step {
        // Done before the fork: the warden and the child have it too.
        ParentStep::RaiseDescriptorLimit => Ok(None),
        // Opened before there was a plan: which ones could be decides what is planned.
        ParentStep::OpenViews(_) => Ok(None),
        ParentStep::GivePipes { before, uid } => {
            streams::give(before, *uid)?;
            Ok(Some(Made { resource: Resource::PipeOwners(before.clone()), open: None }))
        }
        ParentStep::MakeQueue(name) => {
            run.voice.parent(&format!("opening message queue {}", name.shown()));
            let (spec, host) = (run.spec, run.host);
            // The program inside opens it after its uid has changed, and the child before.
            let opener = if spec.ready == Ready::App { spec.user.uid } else { 0 };
            let given =
                run.plan.outside(opener).filter(|&opener| opener != host.uid && host.uid == 0);
            let queue = Queue::make(name, host.msg_max, given)?;
            Ok(Some(Made { resource: Resource::Queue(name.clone()), open: Some(queue) }))
        }
        // Taken by the supervisor, when the time has come.
        ParentStep::MakeNetwork | ParentStep::ReceiveReady(_) | ParentStep::RemoveQueue(_) => {
            Ok(None)
        }
    }
}

/// Whether it is the machine, or another user, that has left no queue to be made: a limit, or a
/// kernel without them. What others have used up keeps no container from starting.
fn is_used_up(errno: Errno) -> bool {
    [Errno::MFILE, Errno::NOSPC, Errno::NOMEM, Errno::NOSYS].contains(&errno)
}
