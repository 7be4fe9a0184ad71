//! The agent: rustic inside of what is verified. It does what it is told, one crossing after
//! another, and judges nothing. What changes the process that tries it, or may end it, is tried in
//! one of its own, so that it does not spoil the next.
//!
//! What a crossing holds stays until the next request, and so does a process of its own: the
//! outside looks at them in /proc. This is the one place that knows every wall's crossings.

mod wire;

pub use wire::TalksOn;

use crate::error::Failure;
use crate::exit::Exit;
use crate::sys;
use crate::verify::child::ended;
use crate::verify::files::FileCrossing;
use crate::verify::probes::cgroup::CgroupCrossing;
use crate::verify::probes::devices::inside::DevicesCrossing;
use crate::verify::probes::enter::EnterCrossing;
use crate::verify::probes::fds::inside::FdsCrossing;
use crate::verify::probes::ipc::inside::IpcCrossing;
use crate::verify::probes::kernel::inside::KernelCrossing;
use crate::verify::probes::keyring::KeyringCrossing;
use crate::verify::probes::mnt::MntCrossing;
use crate::verify::probes::net::inside::NetCrossing;
use crate::verify::probes::pid::inside::PidCrossing;
use crate::verify::probes::root::inside::RootCrossing;
use crate::verify::probes::terminal::TerminalCrossing;
use crate::verify::probes::time::TimeCrossing;
use crate::verify::probes::user::inside::UserCrossing;
use crate::verify::probes::uts::UtsCrossing;
use crate::verify::protocol::{Crossing, Ground, Numbered, Outcome, Reply, Request, Topic};
use crate::verify::remarks::SurfaceCrossing;
use crate::verify::wall::Wall;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{
    Pid, Signal, WaitOptions, getpid, getppid, kill_process, set_parent_process_death_signal, wait,
};
use serde_json::Value;
use std::io::{PipeReader, Write};
use wire::Wire;

/// How long one crossing may take in a process of its own.
const PATIENCE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// A process that has tried a crossing, and is ended with this. Whoever asks next reaps it.
struct Crosser(Pid);

impl Drop for Crosser {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::KILL);
    }
}

/// Says hello, and does what it is told until nothing more comes.
///
/// # Errors
/// A number that is no inherited descriptor.
pub fn main(on: TalksOn) -> Result<Exit, Failure> {
    let mut wire = Wire::take(on)?;
    if wire.say_hello().is_err() {
        return Ok(Exit::Failed);
    }
    // What the last crossing has left: descriptors, with the reply that tells of them, or a
    // process.
    let (mut held, mut crosser) = (None, None);
    while let Some((Numbered { number, what: request, .. }, passed)) = wire.asked() {
        drop((held.take(), crosser.take()));
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        let Some((ground, attempt)) = decoded(request) else { break };
        let reply = match ground {
            Ground::Here => attempt(passed),
            Ground::Apart => match apart(&wire, number, || attempt(passed)) {
                Ok(Ok(process)) => {
                    crosser = Some(process);
                    continue;
                }
                Ok(Err(signal)) => Reply::new("wait", "", Outcome::Killed(signal)),
                Err(errno) => Reply::plain("fork", "", Err(errno)),
            },
        };
        if wire.answer(number, &reply).is_err() {
            return Ok(Exit::Failed);
        }
        held = Some(reply);
    }
    Ok(Exit::Command(0))
}

/// An attempt, with the descriptor that came along for it.
type Attempt = Box<dyn FnOnce(Option<OwnedFd>) -> Reply>;

/// The attempt that is asked for, and where it is made; `None` for what is no crossing.
fn decoded(Request { topic, crossing }: Request) -> Option<(Ground, Attempt)> {
    match topic {
        Topic::Files => decoded_as::<FileCrossing>(crossing),
        Topic::Surface => decoded_as::<SurfaceCrossing>(crossing),
        Topic::Enter => decoded_as::<EnterCrossing>(crossing),
        Topic::Wall(wall) => match wall {
            Wall::Pid => decoded_as::<PidCrossing>(crossing),
            Wall::Mnt => decoded_as::<MntCrossing>(crossing),
            Wall::Root => decoded_as::<RootCrossing>(crossing),
            Wall::Uts => decoded_as::<UtsCrossing>(crossing),
            Wall::Net => decoded_as::<NetCrossing>(crossing),
            Wall::Ipc => decoded_as::<IpcCrossing>(crossing),
            Wall::User => decoded_as::<UserCrossing>(crossing),
            Wall::Cgroup => decoded_as::<CgroupCrossing>(crossing),
            Wall::Time => decoded_as::<TimeCrossing>(crossing),
            Wall::Fds => decoded_as::<FdsCrossing>(crossing),
            Wall::Keyring => decoded_as::<KeyringCrossing>(crossing),
            Wall::Terminal => decoded_as::<TerminalCrossing>(crossing),
            Wall::Kernel => decoded_as::<KernelCrossing>(crossing),
            Wall::Devices => decoded_as::<DevicesCrossing>(crossing),
        },
    }
}

fn decoded_as<C: Crossing>(crossing: Value) -> Option<(Ground, Attempt)> {
    let crossing: C = serde_json::from_value(crossing).ok()?;
    Some((crossing.ground(), Box::new(move |passed| crossing.attempt(passed))))
}

/// Has it tried in a process of its own, which answers; or the signal that has ended that before.
fn apart(
    wire: &Wire,
    number: u64,
    attempt: impl FnOnce() -> Reply,
) -> rustix::io::Result<Result<Crosser, i32>> {
    let (answered, mut said) = std::io::pipe().map_err(|error| crate::error::errno_of(&error))?;
    let agent = getpid();
    // SAFETY: the probe has one thread.
    #[allow(unsafe_code, reason = "fork(2) with one thread")]
    let forked = unsafe { sys::fork() };
    match forked? {
        None => {
            let _ = set_parent_process_death_signal(Some(Signal::KILL));
            // In another pid namespace, or after its end, it has no parent to be seen.
            if getppid().is_some_and(|parent| parent != agent) {
                sys::exit_now(1)
            }
            drop(answered);
            let reply = attempt();
            let _ = wire.answer(number, &reply);
            let _ = said.write(&[1]);
            drop(said);
            loop {
                rustix::event::pause();
            }
        }
        Some(child) => {
            drop(said);
            let crosser = Crosser(child);
            Ok(if has_answered(answered) {
                Ok(crosser)
            } else {
                drop(crosser);
                Err(ended(child).and_then(|status| status.terminating_signal()).unwrap_or(0))
            })
        }
    }
}

/// Waits until it has answered, but no longer than [`PATIENCE`]; one that ends before has not.
fn has_answered(mut answered: PipeReader) -> bool {
    let ready = rustix::io::retry_on_intr(|| {
        poll(&mut [PollFd::new(&answered, PollFlags::IN)], Some(&PATIENCE))
    });
    ready == Ok(1) && std::io::Read::read(&mut answered, &mut [0]).is_ok_and(|count| count == 1)
}
