//! How the agent gets where it is: as the control, or by rustic as anybody would start it, with
//! what a careless caller would leave it.

use crate::error::{errno_text, of_nix};
use crate::host::capability;
use crate::namespace::{Namespace, Namespaces, Switch};
use crate::spec::{Door, Opening, PROBE, RunOptions};
use crate::sys;
use crate::verify::child::ended_within;
use crate::verify::inherited::streams::StreamFiles;
use crate::verify::inherited::terminal::Terminal;
use crate::verify::inherited::{self, descriptors, habits};
use crate::verify::stage::Stage;
use crate::verify::stage::namespaces::StageRights;
use caps::Capability;
use rustix::event::Timespec;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, getppid, setsid};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stderr};
use std::ffi::{CString, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// What was ordered of a container.
#[derive(Clone, Debug)]
pub struct Ordered {
    /// Its namespaces.
    pub namespaces: Namespaces,
    /// Whether its ids are nobody's outside.
    pub own_ids: Switch,
    /// The capabilities of what runs inside, a bit each.
    pub cap_mask: u64,
    /// The capabilities beyond those that every container has.
    pub further_rights: u64,
    /// The directory that is its root, where it is one of the host's.
    pub directory: Option<PathBuf>,
    /// What was ordered and opens a wall, besides namespaces.
    pub doors: Vec<Door>,
    /// The options of `rustic run` that make it.
    pub options: RunOptions,
}

/// Who is started.
#[derive(Clone, Debug)]
pub enum Role {
    /// The control: an agent in the stage, with every right that the verifier has.
    Open,
    /// A container.
    Contained(Box<Ordered>),
}

/// The descriptor that an agent talks on, as the process that starts it has it.
const CHANNEL: i32 = 9;

impl Role {
    /// The options of the container; `None` for the control.
    pub fn ordered(&self) -> Option<&Ordered> {
        match self {
            Self::Open => None,
            Self::Contained(ordered) => Some(ordered),
        }
    }

    /// The door of this kind, if it was ordered.
    pub fn door(&self, wanted: impl Fn(&Opening) -> bool) -> Option<String> {
        let doors = self.ordered().map_or(&[][..], |ordered| &ordered.doors);
        doors.iter().find(|door| wanted(&door.opening)).map(|door| door.name.clone())
    }

    /// The name of a namespace's door, if it was ordered to be shared.
    pub fn shares(&self, namespace: Namespace) -> Option<String> {
        self.ordered()
            .filter(|ordered| !ordered.namespaces.is_new(namespace))
            .map(|_| namespace.proc_entry().to_owned())
    }

    /// The name of a right, if it was ordered beyond what every container has.
    pub fn right(&self, capability: Capability) -> Option<String> {
        self.ordered()
            .filter(|ordered| ordered.further_rights & capability.bitmask() != 0)
            .map(|_| capability.to_string())
    }

    /// The command line.
    pub fn argv(&self, nonce: &str) -> Vec<OsString> {
        let text = |word: &str| OsString::from(word);
        match self {
            Self::Open => vec![
                text("rustic-probe"),
                OsString::from_vec(PROBE.to_bytes().to_vec()),
                CHANNEL.to_string().into(),
                text(nonce),
            ],
            Self::Contained(ordered) => {
                let options = ordered.options.clone();
                let first = options.first.with_probe(CHANNEL);
                let options = RunOptions { first, cmd: vec![text(nonce)], ..options };
                let own = [text("rustic"), text("run"), text("--color=never")];
                own.into_iter().chain(options.arguments()).collect()
            }
        }
    }
}

/// What the new process needs on its way to execve.
pub(super) struct NewProcess<'a> {
    pub stage: &'a Stage,
    pub left_open: &'a [BorrowedFd<'a>],
    pub role: &'a Role,
    pub terminal: Option<&'a Terminal>,
    pub streams: Option<&'a StreamFiles>,
    pub theirs: OwnedFd,
    pub parent: Pid,
}

impl NewProcess<'_> {
    /// Starts it in a process of its own. The agent's end of the channel is gone here then.
    ///
    /// # Errors
    /// No process, for a reader.
    pub(super) fn launch(self) -> Result<Launcher, String> {
        let argv = self.role.argv(&self.stage.nonce);
        let env = environment(self.stage);
        // SAFETY: the verifier has one thread.
        #[allow(unsafe_code, reason = "fork(2) with one thread")]
        let forked = unsafe { sys::fork() };
        match forked.map_err(|errno| format!("cannot fork: {}", errno_text(errno)))? {
            Some(pid) => Ok(Launcher(pid)),
            None => {
                if let Err(errno) = become_it(&self, &argv, &env) {
                    // What it says there is what the verifier reads when no agent answers.
                    let _ = rustix::io::write(
                        stderr(),
                        format!("cannot start it: {}\n", errno_text(errno)).as_bytes(),
                    );
                }
                sys::exit_now(125)
            }
        }
    }
}

/// How long its end may take.
const END: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// The process that was started; it has ended when this is gone.
pub(super) struct Launcher(Pid);

impl Drop for Launcher {
    fn drop(&mut self) {
        let _ = ended_within(self.0, &END);
    }
}

/// Becomes rustic, or the control's agent: a session and a terminal of its own, what a careless
/// caller would leave it, and the verifier's death as its own.
fn become_it(start: &NewProcess<'_>, argv: &[OsString], env: &[CString]) -> Result<(), Errno> {
    setsid()?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != Some(start.parent) {
        return Err(Errno::SRCH);
    }
    if let Some(terminal) = start.terminal {
        terminal.take()?;
        dup2_stderr(&terminal.slave)?;
    }
    let null = open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    match start.streams {
        Some(streams) => {
            dup2_stdin(&streams.input)?;
            dup2_stdout(&streams.output)?;
        }
        None => {
            dup2_stdin(&null)?;
            dup2_stdout(&null)?;
        }
    }
    descriptors::leave_open(start.left_open, start.theirs.as_fd(), CHANNEL)?;
    habits::take_odd_habits()?;
    if let Ok(place) = &start.stage.cgroup {
        place.enter()?;
    }
    match start.role {
        Role::Open => keep_rights_through_execve()?,
        Role::Contained(_)
            if start.stage.rights == StageRights::Stage && start.stage.caller.uid == 0 =>
        {
            hold_no_more_than(start.stage.held)?
        }
        Role::Contained(_) => {}
    }
    let argv: Vec<CString> =
        argv.iter().filter_map(|word| CString::new(word.as_bytes()).ok()).collect();
    nix::unistd::execve(c"/proc/self/exe", &argv, env).map(|never| match never {}).map_err(of_nix)
}

/// A uid other than 0 loses its capabilities at execve, but for the ambient ones.
fn keep_rights_through_execve() -> Result<(), Errno> {
    use rustix::thread::{
        CapabilitySets, capabilities, configure_capability_in_ambient_set, set_capabilities,
    };
    let sets = capabilities(None)?;
    set_capabilities(None, CapabilitySets { inheritable: sets.permitted, ..sets })?;
    for cap in (0..64).filter(|cap| sets.permitted.bits() & 1 << cap != 0) {
        configure_capability_in_ambient_set(capability(cap), true)?;
    }
    Ok(())
}

/// Root of the stage's user namespace would hold more than the caller did outside.
fn hold_no_more_than(held: u64) -> Result<(), Errno> {
    for cap in (0..64).filter(|cap| held & 1 << cap == 0) {
        match rustix::thread::remove_capability_from_bounding_set(capability(cap)) {
            Ok(()) | Err(Errno::INVAL) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn environment(stage: &Stage) -> Vec<CString> {
    // Which root it is says the command line alone.
    let others = std::env::vars_os()
        .filter(|(name, _)| name != inherited::VARIABLE && name != "RUSTIC_ROOTFS");
    let ours = others.chain([(inherited::VARIABLE.into(), stage.secret.clone().into())]);
    ours.filter_map(|(name, value)| {
        CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok()
    })
    .collect()
}
