//! The reaper that `--init` puts in front of CMD: rustic itself, executed, so that nothing of the
//! caller's environment is left in its memory.

use crate::error::{Failure, SysError};
use crate::exit::{Exit, FORBIDDEN_CALL};
use crate::run::control::{FarEnd, Report};
use crate::run::exec;
use crate::run::progress::Voice;
use crate::run::wire::End;
use crate::self_exe;
use crate::spec::INIT;
use crate::sys;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use rustix::process::{Pid, WaitOptions, getpid, kill_process, set_child_subreaper, setpgid};
use rustix::stdio::{stderr, stdin, stdout};
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::str::FromStr;

/// Replaces the child by the reaper, which is told CMD, the wire for faults and the number of the
/// exec step. Returns only on failure.
pub fn enter(
    binary: OwnedFd,
    wire: BorrowedFd<'_>,
    step: usize,
    cmd: &[CString],
    env: &[CString],
) -> SysError {
    if let Err(errno) = fcntl_setfd(wire, FdFlags::empty()) {
        return errno.into();
    }
    let own = [c"rustic-init".to_owned()].into_iter().chain(
        [INIT.to_owned(), wire.as_raw_fd().to_string(), step.to_string()]
            .into_iter()
            .filter_map(|word| CString::new(word).ok()),
    );
    self_exe::execute(&binary, own.chain(cmd.iter().cloned()), env)
}

/// What says that CMD is rustic itself, with the number of a descriptor of its binary behind it.
const ITSELF: &[u8] = b"__fd:";

/// The words of a CMD that is rustic itself, behind the reaper.
///
/// # Errors
/// EMFILE.
pub fn of_itself(binary: &OwnedFd, words: Vec<CString>) -> Result<Vec<CString>, SysError> {
    let number = self_exe::left_open(fcntl_dupfd_cloexec(binary, 3)?)?;
    let first = [ITSELF, number.to_string().as_bytes()].concat();
    Ok(CString::new(first).into_iter().chain(words).collect())
}

/// Executes CMD, or rustic itself. Returns only on failure.
fn execute(cmd: &[CString], env: &[CString]) -> SysError {
    let number = cmd.first().and_then(|word| word.to_bytes().strip_prefix(ITSELF));
    let number = number.and_then(|number| std::str::from_utf8(number).ok()?.parse().ok());
    match number.map(sys::take_inherited) {
        Some(Ok(binary)) => self_exe::execute(&binary, cmd[1..].iter().cloned(), env),
        Some(Err(errno)) => errno.into(),
        None => exec::execute(cmd, env),
    }
}

/// The reaper: starts CMD, passes signals on to it, reaps every orphan, and ends as CMD does. Its
/// words are those of [`enter`].
///
/// # Errors
/// Words that rustic does not call it with, a wire that is not there.
pub fn main(words: &[OsString]) -> Result<Exit, Failure> {
    let [wire, step, cmd @ ..] = words else { return Err(wrong_call()) };
    let wire: i32 = number(wire).ok_or_else(wrong_call)?;
    let step: usize = number(step).ok_or_else(wrong_call)?;
    if cmd.is_empty() {
        return Err(wrong_call());
    }
    let cmd: Vec<CString> =
        cmd.iter().filter_map(|word| CString::new(word.as_bytes()).ok()).collect();
    let wire = sys::take_inherited(wire)
        .map_err(|errno| Failure::new(format!("{INIT} {wire}: no such descriptor")).errno(errno))?;
    // Without a pid namespace orphans would go to the warden instead.
    let _ = set_child_subreaper(Some(getpid()));
    let all = sys::every_signal();
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&all), None);
    // SAFETY: the reaper has one thread.
    #[allow(unsafe_code, reason = "fork(2) with one thread")]
    let forked = unsafe { sys::fork() };
    match forked {
        Ok(None) => start(&cmd, wire, step),
        Ok(Some(child)) => {
            drop(wire);
            let exit = reap(child, &all);
            if exit == Exit::Signal(libc::SIGSYS) {
                Voice::quiet().warning(FORBIDDEN_CALL);
            }
            Ok(exit)
        }
        Err(errno) => {
            let fault = Report::Fault { step, errno, detail: "forking CMD".into() };
            let _ = FarEnd::over(wire).send(&fault, None);
            Ok(Exit::Failed)
        }
    }
}

fn number<T: FromStr>(word: &OsStr) -> Option<T> {
    word.to_str()?.parse().ok()
}

fn wrong_call() -> Failure {
    Failure::new(format!("{INIT}: expected DESCRIPTOR STEP CMD..., as rustic calls itself"))
}

/// CMD, in a foreground process group of its own, so that a key reaches it once: from the terminal
/// and not from the reaper too.
fn start(cmd: &[CString], wire: OwnedFd, step: usize) -> ! {
    let _ = setpgid(None, None);
    for stream in [stdin(), stdout(), stderr()] {
        if rustix::termios::isatty(stream) && rustix::termios::tcsetpgrp(stream, getpid()).is_ok() {
            break;
        }
    }
    let wire: FarEnd = End::over(wire);
    let reset = sys::reset_signal_actions().and_then(|()| crate::run::signals::unblock_all());
    if let Err(errno) = reset {
        let fault = Report::Fault { step, errno, detail: "resetting its signals".into() };
        let _ = wire.send(&fault, None);
        sys::exit_now(Exit::Failed.code())
    }
    let env: Vec<CString> = std::env::vars_os()
        .filter_map(|(name, value)| {
            CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok()
        })
        .collect();
    let error = execute(cmd, &env);
    let _ = wire.send(&Report::fault(step, error), None);
    sys::exit_now(Exit::Failed.code())
}

fn reap(child: Pid, signals: &SigSet) -> Exit {
    loop {
        match sys::wait_for_signal(signals) {
            Ok(libc::SIGCHLD) => {
                if let Some(exit) = reap_all(child) {
                    return exit;
                }
            }
            // Stops and continues of the terminal are for the groups that they were sent to.
            Ok(libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU | libc::SIGCONT) => {}
            Ok(number) => {
                if let Some(signal) = sys::numbered_signal(number) {
                    let _ = kill_process(child, signal);
                }
            }
            Err(_) => {}
        }
    }
}

fn reap_all(child: Pid) -> Option<Exit> {
    let mut exit = None;
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == child => {
                exit = status
                    .exit_status()
                    .map(|code| Exit::Command(code as u8))
                    .or_else(|| status.terminating_signal().map(Exit::Signal));
            }
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) | Err(_) => return exit,
        }
    }
}
