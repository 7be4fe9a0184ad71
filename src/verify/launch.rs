//! How the probe gets where it is: as the control, or by rustic as anybody would start it, with
//! what a careless caller would leave it.

use crate::error::of_nix;
use crate::host::capability;
use crate::namespace::{Namespace, Namespaces};
use crate::spec::{Door, Opening, PROBE, RunOptions};
use crate::verify::probes::{Canaries, fds, terminal};
use crate::verify::stage::{Rights, Stage};
use caps::Capability;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, getppid, setsid};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use std::ffi::{CString, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// What was ordered of a container.
#[derive(Clone, Debug)]
pub struct Ordered {
    /// Its namespaces.
    pub namespaces: Namespaces,
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
    /// The control: the probe in the stage, with every right that the verifier has.
    Open,
    /// A container.
    Contained(Box<Ordered>),
}

/// The descriptor that a probe talks on, as the process that starts it has it.
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
pub(super) struct Start<'a> {
    pub stage: &'a Stage,
    pub canaries: &'a Canaries,
    pub role: &'a Role,
    pub terminal: Option<&'a terminal::Pair>,
    pub streams: Option<&'a fds::Streams>,
    pub theirs: OwnedFd,
    pub parent: Pid,
}

/// Becomes rustic, or the control's probe: a session and a terminal of its own, what a careless
/// caller would leave it, and the verifier's death as its own.
pub(super) fn become_it(
    start: &Start<'_>,
    argv: &[OsString],
    env: &[CString],
) -> Result<(), Errno> {
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
    fds::leave_open(start.canaries, start.theirs.as_fd(), CHANNEL)?;
    fds::take_odd_habits()?;
    if let Ok(place) = &start.stage.cgroup {
        place.enter()?;
    }
    match start.role {
        Role::Open => keep_rights_through_execve()?,
        Role::Contained(_)
            if start.stage.rights == Rights::Stage && start.stage.caller.uid == 0 =>
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

pub(super) fn environment(stage: &Stage) -> Vec<CString> {
    // Which root it is says the command line alone.
    let others =
        std::env::vars_os().filter(|(name, _)| name != fds::VARIABLE && name != "RUSTIC_ROOTFS");
    let ours = others.chain([(fds::VARIABLE.into(), stage.secret.clone().into())]);
    ours.filter_map(|(name, value)| {
        CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok()
    })
    .collect()
}
