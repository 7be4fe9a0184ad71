//! How the agent gets where it is: as the control, by rustic as anybody would start it, or by
//! another launcher; with what a careless caller would leave it.

use crate::error::{errno_text, of_nix, printable};
use crate::host::capability;
use crate::self_exe;
use crate::sys;
use crate::verify::child::ended_within;
use crate::verify::foreign::find::in_path;
use crate::verify::foreign::workplace::{done, ready};
use crate::verify::inherited::streams::StreamFiles;
use crate::verify::inherited::terminal::Terminal;
use crate::verify::inherited::{self, descriptors, habits};
use crate::verify::join::{Process, hold_no_more_than, program as program_of_joined};
use crate::verify::role::{CHANNEL, Role};
use crate::verify::stage::Stage;
use crate::verify::stage::namespaces::StageRights;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, fcntl_dupfd_cloexec, retry_on_intr};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, getppid, kill_process, kill_process_group,
    pidfd_open, setsid, waitid,
};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stderr};
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What the new process needs on its way to execve.
pub(super) struct NewProcess<'a> {
    pub stage: &'a Stage,
    pub left_open: &'a [BorrowedFd<'a>],
    pub role: &'a Role,
    pub terminal: Option<&'a Terminal>,
    pub streams: Option<&'a StreamFiles>,
    pub theirs: Plug,
    pub nonce: &'a str,
    pub parent: Pid,
}

/// The agent's end of the channel.
pub(super) enum Plug {
    /// A descriptor beside the standard streams.
    Descriptor(OwnedFd),
    /// stdin and stdout.
    Streams([OwnedFd; 2]),
}

impl NewProcess<'_> {
    /// Starts it in a process of its own. The agent's end of the channel is gone here then.
    ///
    /// # Errors
    /// No process, for a reader.
    pub(super) fn launch(self) -> Result<Launcher, String> {
        let argv = self.role.argv(self.nonce);
        let program = match self.role {
            Role::Open | Role::Contained(_) | Role::Joined(_) => PathBuf::from("/proc/self/exe"),
            Role::Foreign(launched) => {
                let program = launched.command.program();
                let found = in_path(program).ok_or_else(|| {
                    format!("{}: there is no such program", printable(&program.to_string_lossy()))
                })?;
                ready(launched, &found, self.nonce)
                    .map_err(|reason| format!("{}: {reason}", program.display()))?;
                found
            }
        };
        let env = environment(self.stage);
        let copy = self.role.joined().map(|_| program_of_joined()).transpose()?;
        // SAFETY: the verifier has one thread.
        #[allow(unsafe_code, reason = "fork(2) with one thread")]
        let forked = unsafe { sys::fork() };
        match forked.map_err(|errno| format!("cannot fork: {}", errno_text(errno)))? {
            Some(pid) => {
                let launched = self.role.launched();
                let end = launched.and_then(|launched| {
                    Some(launched.end.as_ref()?.words(self.nonce, &launched.places))
                });
                Ok(Launcher { pid, whole: launched.is_some(), end })
            }
            None => {
                let became = match (self.role.joined(), &copy) {
                    (Some(process), Some(copy)) => join_it(&self, process, copy, &argv),
                    _ => become_it(&self, &program, &argv, &env),
                };
                if let Err(errno) = became {
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

/// The process that was started; it has ended when this is gone, and of another launcher's whole
/// session what has stayed.
pub(super) struct Launcher {
    pid: Pid,
    whole: bool,
    /// What takes away the rest.
    end: Option<Vec<OsString>>,
}

impl Launcher {
    /// How it has ended, where it has; it is told again when this is gone.
    pub(super) fn has_ended(&self, patience: &Timespec) -> Option<String> {
        let pidfd = pidfd_open(self.pid, PidfdFlags::empty()).ok()?;
        let poll = || poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(patience));
        (retry_on_intr(poll) == Ok(1)).then_some(())?;
        let status = waitid(
            WaitId::Pid(self.pid),
            WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG,
        );
        let status = status.ok().flatten()?;
        Some(match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => format!("it has ended with {code}"),
            (_, Some(signal)) => format!("signal {signal} has ended it"),
            (None, None) => "it has ended".into(),
        })
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        if self.whole {
            // As long as it is not waited for its number is nobody else's.
            if self.has_ended(&END).is_none() {
                let _ = kill_process(self.pid, Signal::KILL);
            }
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
        let _ = ended_within(self.pid, &END);
        // What it has left is there no more, or it says so to nobody.
        let _ = self.end.as_deref().map(done);
    }
}

/// Becomes rustic, or the control's agent: a session and a terminal of its own, what a careless
/// caller would leave it, and the verifier's death as its own.
fn become_it(
    start: &NewProcess<'_>,
    program: &Path,
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
    let (input, output, channel) = match (&start.theirs, start.streams) {
        (Plug::Streams([input, output]), _) => (input, output, None),
        (Plug::Descriptor(own), Some(streams)) => (&streams.input, &streams.output, Some(own)),
        (Plug::Descriptor(own), None) => (&null, &null, Some(own)),
    };
    dup2_stdin(input)?;
    dup2_stdout(output)?;
    descriptors::leave_open(start.left_open, channel.map(|own| (own.as_fd(), CHANNEL)))?;
    habits::take_odd_habits()?;
    if let Ok(place) = &start.stage.cgroup {
        place.enter()?;
    }
    match start.role {
        Role::Open => keep_rights_through_execve()?,
        Role::Contained(_) | Role::Foreign(_)
            if start.stage.rights == StageRights::Stage && start.stage.caller.uid == 0 =>
        {
            // Root of the stage's user namespace would hold more than the caller did outside.
            hold_no_more_than(start.stage.held)?
        }
        Role::Contained(_) | Role::Foreign(_) | Role::Joined(_) => {}
    }
    let argv: Vec<CString> =
        argv.iter().filter_map(|word| CString::new(word.as_bytes()).ok()).collect();
    let program = CString::new(program.as_os_str().as_bytes()).map_err(|_| Errno::INVAL)?;
    nix::unistd::execve(&program, &argv, env).map(|never| match never {}).map_err(of_nix)
}

/// Becomes a probe in a container that runs already.
fn join_it(
    start: &NewProcess<'_>,
    process: &Process,
    copy: &OwnedFd,
    argv: &[OsString],
) -> Result<(), Errno> {
    setsid()?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != Some(start.parent) {
        return Err(Errno::SRCH);
    }
    let null = open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    if let Some(terminal) = start.terminal {
        dup2_stderr(&terminal.slave)?;
    }
    process.enter()?;
    dup2_stderr(&null)?;
    let Plug::Descriptor(own) = &start.theirs else { return Err(Errno::INVAL) };
    let copy = fcntl_dupfd_cloexec(copy, 0)?;
    descriptors::leave_open(&[copy.as_fd()], Some((own.as_fd(), CHANNEL)))?;
    let argv = argv.iter().filter_map(|word| CString::new(word.as_bytes()).ok());
    Err(self_exe::execute(&copy, argv, &[]).errno)
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
