//! The last step: CMD takes the child's place.

use super::Child;
use crate::error::SysError;
use crate::exit::Exit;
use crate::ready::READY_FD;
use crate::run::control::Report;
use crate::run::wire::Received;
use crate::run::{exec, init};
use crate::self_exe;
use crate::spec::{First, PROBE, Verbosity};
use crate::sys;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::process::umask;
use std::ffi::CString;

impl Child<'_> {
    pub(super) fn exec(
        &mut self,
        number: usize,
        cmd: &[CString],
        env: &[CString],
        first: First,
    ) -> SysError {
        umask(Mode::from_raw_mode(0o022));
        // An end of the wire that comes after this report, and without a fault, is execve's: a
        // child that was killed before has not sent it. So one that cannot be sent ends the start.
        if let Err(errno) = self.given.report.send(&Report::Done(number), None) {
            return SysError::new(errno, "telling the parent");
        }
        if self.given.talk != Verbosity::Quiet
            && let Err(error) = self.wait_for_the_last_word()
        {
            return error;
        }
        if let Some(ready) = self.given.ready.take()
            && let Err(error) = hand_over(&ready)
        {
            return error;
        }
        // What was given by name stays.
        let found = std::mem::take(&mut self.account);
        let is_given = |line: &CString| {
            let name = line.to_bytes().split_inclusive(|&byte| byte == b'=').next();
            name.is_some_and(|name| env.iter().any(|given| given.to_bytes().starts_with(name)))
        };
        let found = found.into_iter().filter(|line| !is_given(line));
        let env: Vec<CString> = env.iter().cloned().chain(found).collect();
        match (first, self.given.own.take()) {
            (First::Cmd, _) => exec::execute(cmd, &env),
            (First::Reaper, Some(own)) => {
                init::enter(own, self.given.report.as_fd(), number, cmd, &env)
            }
            (First::Probe(_), Some(own)) => match self.probe_words(cmd) {
                Ok(words) => self_exe::execute(&own, words.into_iter(), &env),
                Err(error) => error,
            },
            (First::ReapedProbe(_), Some(own)) => {
                let words = self.probe_words(cmd).and_then(|words| init::of_itself(&own, words));
                match words {
                    Ok(words) => init::enter(own, self.given.report.as_fd(), number, &words, &env),
                    Err(error) => error,
                }
            }
            (_, None) => Errno::BADF.into(),
        }
    }

    /// Where the start is told, its end is too before CMD says a word of its own.
    fn wait_for_the_last_word(&self) -> Result<(), SysError> {
        match self.given.report.wait() {
            Received::Message(..) => Ok(()),
            // Nobody is left who could be told.
            Received::Closed => sys::exit_now(Exit::Failed.code()),
            Received::Nothing => Err(Errno::AGAIN.into()),
            Received::Failed(errno) => Err(SysError::new(errno, "hearing the parent")),
        }
    }

    /// The command line of the probe, with the number of what it talks on.
    fn probe_words(&mut self, cmd: &[CString]) -> Result<Vec<CString>, SysError> {
        let number = self_exe::left_open(self.given.channel.take().ok_or(Errno::BADF)?)?;
        let number = CString::new(number.to_string()).unwrap_or_default();
        let words = [c"rustic-probe".to_owned(), PROBE.to_owned(), number];
        Ok(words.into_iter().chain(cmd.iter().cloned()).collect())
    }
}

/// The pipe of readiness under the number that CMD is told, left open by execve.
fn hand_over(ready: &OwnedFd) -> Result<(), SysError> {
    let told = fcntl_dupfd_cloexec(ready, READY_FD)?;
    if told.as_raw_fd() != READY_FD {
        return Err(SysError::new(Errno::BUSY, "its number for readiness is taken"));
    }
    self_exe::left_open(told)?;
    Ok(())
}

/// HOME, and USER and LOGNAME where there is a name, from the image's own passwd, which libc would
/// look for on the host. What it does not tell is root with `/root`, or nobody in particular with
/// `/`.
pub(super) fn account(uid: u32, wanted: Option<&str>) -> Vec<CString> {
    const LONGEST: u64 = 1 << 20;
    let mut passwd = Vec::with_capacity(4096);
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let links = ResolveFlags::NO_MAGICLINKS;
    if let Ok(file) = openat2(CWD, c"/etc/passwd", flags, Mode::empty(), links) {
        let _ = std::io::Read::read_to_end(
            &mut std::io::Read::take(std::fs::File::from(file), LONGEST),
            &mut passwd,
        );
    }
    let uid_text = uid.to_string();
    let listed = passwd.split(|&byte| byte == b'\n').find_map(|line| {
        let mut fields = line.split(|&byte| byte == b':');
        let name = fields.next()?;
        let has_name = wanted.is_none_or(|wanted| wanted.as_bytes() == name);
        (fields.nth(1)? == uid_text.as_bytes() && has_name).then(|| Some((name, fields.nth(2)?)))?
    });
    let (name, home) = match (listed, uid) {
        (Some((name, home)), _) if home.starts_with(b"/") => (name, home),
        (Some((name, _)), 0) => (name, &b"/root"[..]),
        (Some((name, _)), _) => (name, &b"/"[..]),
        (None, 0) => (&b"root"[..], &b"/root"[..]),
        (None, _) => (&b""[..], &b"/"[..]),
    };
    let names = [&b"USER="[..], b"LOGNAME="].into_iter().filter(|_| !name.is_empty());
    let lines = names.map(|variable| [variable, name].concat());
    let lines = lines.chain([[&b"HOME="[..], home].concat()]);
    lines.filter_map(|line| CString::new(line).ok()).collect()
}
