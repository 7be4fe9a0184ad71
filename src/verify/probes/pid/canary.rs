//! The process outside.

use crate::error::{errno_text, without_number};
use crate::sys;
use crate::verify::child::ended;
use crate::verify::outside::Canary;
use crate::verify::stage::Stage;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, PTracer, Pid, Signal, getpid, getppid, kill_process, set_dumpable_behavior,
    set_parent_process_death_signal, set_ptracer, setsid,
};
use std::io::{PipeWriter, Read, Write};
use std::path::PathBuf;

/// A process outside that holds the secret, and no right that would keep anybody of its uid from
/// reading it.
pub struct PidCanary {
    pid: Pid,
    /// Where the secret lies in its memory.
    pub(super) address: usize,
    /// The number of its descriptor of a file that holds the secret.
    pub(super) descriptor: i32,
}

impl Canary for PidCanary {
    fn plant(stage: &Stage, _: &[PathBuf]) -> Result<Self, String> {
        let (mut ready, mut told) = std::io::pipe().map_err(|error| without_number(&error))?;
        let verifier = getpid();
        // The copy has the secret where the original has it.
        let address = stage.secret.as_ptr() as usize;
        let memory = memfd_create(c"rustic-canary", MemfdFlags::CLOEXEC).map_err(errno_text)?;
        rustix::io::write(&memory, stage.secret.as_bytes()).map_err(errno_text)?;
        // SAFETY: the verifier has one thread.
        #[allow(unsafe_code, reason = "fork(2) with one thread")]
        let forked = unsafe { sys::fork() };
        match forked.map_err(errno_text)? {
            Some(pid) => {
                drop(told);
                let canary = Self { pid, address, descriptor: memory.as_raw_fd() };
                match ready.read(&mut [0]) {
                    Ok(1) => Ok(canary),
                    _ => Err("it has ended".into()),
                }
            }
            None => {
                drop(ready);
                if sit(stage, verifier, &told, &memory).map(|()| told.write(&[1])).is_err() {
                    sys::exit_now(1)
                }
                drop(told);
                loop {
                    // SIGKILL is what it waits for: the verifier's, or that of its death.
                    rustix::event::pause();
                }
            }
        }
    }
}

fn sit(
    stage: &Stage,
    verifier: Pid,
    told: &PipeWriter,
    memory: &OwnedFd,
) -> rustix::io::Result<()> {
    use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The signal of a death before that call does not come.
    if getppid() != Some(verifier) {
        return Err(Errno::SRCH);
    }
    // The wire to the cleanup process above all: it must end with the verifier.
    // SAFETY: this is a copy of the verifier that uses these two alone and ends with _exit(2) or by
    // a signal: no destructor of the verifier's runs in it.
    #[allow(unsafe_code, reason = "whoever owned the others never runs here")]
    let closed = unsafe { sys::close_all_but(&[told.as_fd(), memory.as_fd()]) };
    closed?;
    setsid()?;
    let name = std::ffi::CString::new(stage.nonce.as_str()).unwrap_or_default();
    rustix::thread::set_name(&name)?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    // A kernel without Yama does not know it.
    let _ = set_ptracer(PTracer::Any);
    Ok(())
}

impl PidCanary {
    /// Its number outside.
    pub fn number(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Who traces it, as the kernel tells it outside; 0 for nobody.
    pub fn tracer(&self) -> i32 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.number()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
        line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
    }
}

impl Drop for PidCanary {
    fn drop(&mut self) {
        let _ = kill_process(self.pid, Signal::KILL);
        let _ = ended(self.pid);
    }
}
