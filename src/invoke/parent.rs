//! The article's parent: makes the queue, clones the child, waits for its message, and cleans up.

use crate::error::{of_nix, printable};
use crate::exit::Exit;
use crate::invoke::child::{self, TRIED};
use crate::invoke::options::{Aside, Options, parse};
use crate::invoke::words::{QUEUE, complain, note, say, usage};
use crate::namespace::{Namespace, Switch};
use crate::ready::queue::{self, Name, Queue};
use crate::run::control::{Ending, NearEnd, Report, wire};
use crate::run::signals;
use crate::run::wire::Received;
use crate::sys;
use nix::sys::signalfd::SignalFd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, getpid, pidfd_send_signal, waitid};
use std::ffi::OsString;
use std::time::Instant;

/// The program, with its name and its words.
pub fn main(program: &str, words: &[OsString]) -> Exit {
    match parse(program, words) {
        Ok(options) => Invocation { options }.run().unwrap_or(Exit::Command(1)),
        Err(Aside::Help) => {
            note(usage(program).trim_end());
            Exit::Command(0)
        }
        Err(Aside::Wrong(line)) => {
            note(&line);
            note(usage(program).trim_end());
            Exit::Command(1)
        }
    }
}

struct Invocation {
    options: Options,
}

/// What was complained of already.
struct Told;

/// The child, until it has ended.
struct ChildProcess {
    pid: Pid,
    pidfd: OwnedFd,
    wire: NearEnd,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Woken {
    /// The descriptor with this place among those that were waited for has something.
    By(usize),
    /// A signal to end by.
    Signal(i32),
    /// The time is over.
    Time,
}

impl Invocation {
    fn verbose(&self, line: &str) {
        if self.options.verbose == Switch::Yes {
            say(&format!("Parent: {line}\n"));
        }
    }

    fn run(&self) -> Result<Exit, Told> {
        let failed = |what: &'static str| {
            move |errno: Errno| {
                complain(&format!("Parent: {what}"), errno);
                Told
            }
        };
        self.verbose(&format!("PID of parent is {}", getpid().as_raw_nonzero()));
        let signals = signals::listen().map_err(|errno| failed("signalfd")(of_nix(errno)))?;
        let queue = match self.options.queue {
            Switch::Yes => Some(self.make_queue()?),
            Switch::No => None,
        };
        let result = self.with_child(queue.as_ref(), &signals, &failed);
        if let Some(queue) = queue {
            let name = QUEUE.to_string_lossy();
            self.verbose(&format!("closing message queue {name}"));
            queue.close();
            self.verbose(&format!("Removing message queue {name}"));
            if let Err(error) = queue::remove(&self.name()) {
                complain("Parent: mq_unlink", error.errno);
            }
        }
        if result.is_ok() {
            self.verbose(&format!("{} - Finishing up", self.options.program));
        }
        result
    }

    fn name(&self) -> Name {
        Name { path: QUEUE.to_owned(), nonce: String::new() }
    }

    /// The queue. One that is there already belongs to a run that goes on, or has been left by one;
    /// nobody's is taken without a word.
    fn make_queue(&self) -> Result<Queue, Told> {
        let name = self.name();
        self.verbose(&format!("opening message queue {}", name.shown()));
        if self.options.reuse == Switch::Yes {
            let _ = queue::remove(&name);
        }
        Queue::make(&name, i64::MAX, None)
            .or_else(|error| match error.errno {
                Errno::INVAL => Queue::make(&name, 1, None),
                errno => Err(errno.into()),
            })
            .map_err(|error| {
                complain(&format!("Parent: mq_open {}", name.shown()), error.errno);
                if error.errno == Errno::EXIST {
                    note(
                        "Parent: it was left by an earlier run, or belongs to one that goes on; \
                        --reuse removes it and makes a new one",
                    );
                }
                Told
            })
    }

    fn with_child<F: FnOnce(Errno) -> Told>(
        &self,
        queue: Option<&Queue>,
        signals: &SignalFd,
        failed: &impl Fn(&'static str) -> F,
    ) -> Result<Exit, Told> {
        let (near, far) = wire().map_err(failed("socketpair"))?;
        // SAFETY: the program has one thread.
        #[allow(unsafe_code, reason = "clone3(2) with one thread")]
        let cloned = unsafe { sys::clone3(self.options.namespaces.clone_flags()) };
        let Some((pid, pidfd)) = cloned.map_err(failed("clone"))? else {
            drop(near);
            child::main(&self.options, &far)
        };
        drop(far);
        let ward = ChildProcess { pid, pidfd, wire: near };
        self.verbose(&format!("PID of child is {}", ward.pid.as_raw_nonzero()));
        if let Some(queue) = queue
            && let Some(signal) = self.await_message(&ward, queue, signals)
        {
            return Ok(end(&ward, signal));
        }
        match wait(&[ward.pidfd.as_fd()], signals, None) {
            Woken::Signal(signal) => Ok(end(&ward, signal)),
            Woken::By(_) | Woken::Time => Ok(reap(&ward)),
        }
    }

    /// Waits for the message as long as one can come; gives the signal that ended the wait, if one
    /// did. A child that has said that it does not see the queue does not end the wait, and neither
    /// does its end: that is the lesson.
    fn await_message(&self, ward: &ChildProcess, queue: &Queue, signals: &SignalFd) -> Option<i32> {
        let deadline = Instant::now() + self.options.patience;
        let mut sources = vec![queue.as_fd(), ward.wire.as_fd()];
        loop {
            let woken = wait(&sources, signals, Some(deadline));
            // What the child says on its wire it says after it has sent.
            let said = if woken == Woken::By(1) { Some(ward.wire.receive()) } else { None };
            if let Ok(Some(message)) = queue.receive() {
                self.received(&message);
                return None;
            }
            match woken {
                Woken::Signal(signal) => return Some(signal),
                Woken::Time => {
                    complain("Parent: mq_timedreceive", Errno::TIMEDOUT);
                    return None;
                }
                Woken::By(_) => {}
            }
            match said {
                Some(Received::Message(Report::Note(TRIED, Errno::NOENT), _))
                    if self.options.namespaces.is_new(Namespace::Ipc) =>
                {
                    sources.truncate(1);
                }
                // It has sent nothing, or has died before it could: nothing will come.
                Some(Received::Message(Report::Note(..), _))
                | Some(Received::Closed | Received::Failed(_)) => return None,
                Some(Received::Message(..) | Received::Nothing) | None => {}
            }
        }
    }

    fn received(&self, message: &[u8]) {
        self.verbose("received message from child");
        let end = message.iter().position(|&byte| byte == 0).unwrap_or(message.len());
        let text = String::from_utf8_lossy(&message[..end]);
        say(&format!(
            "\n    Parent: the following message was received from the child\n     >> {}\n\n",
            printable(&text)
        ));
    }
}

/// Waits for one of some descriptors, for a signal to end by, or until a time.
fn wait(sources: &[BorrowedFd<'_>], signals: &SignalFd, deadline: Option<Instant>) -> Woken {
    loop {
        let all = std::iter::once(signals.as_fd()).chain(sources.iter().copied());
        let mut fds: Vec<_> = all.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        let left = deadline.and_then(|deadline| {
            Timespec::try_from(deadline.saturating_duration_since(Instant::now())).ok()
        });
        if poll(&mut fds, left.as_ref()).is_err() {
            continue;
        }
        match fds.iter().position(|fd| !fd.revents().is_empty()) {
            Some(0) => {
                if let Some(signal) = ending_signal(signals) {
                    return Woken::Signal(signal);
                }
            }
            Some(at) => return Woken::By(at - 1),
            None if deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
                return Woken::Time;
            }
            None => {}
        }
    }
}

/// A signal that ends the program, if that is what came.
fn ending_signal(signals: &SignalFd) -> Option<i32> {
    let info = signals.read_signal().ok().flatten()?;
    let signal = info.ssi_signo as i32;
    (signals::is_forwarded(signal) && signals::ends_a_process(signal)).then_some(signal)
}

/// Ends the child because the parent was told to end.
fn end(ward: &ChildProcess, signal: i32) -> Exit {
    let _ = pidfd_send_signal(&ward.pidfd, Signal::KILL);
    let _ = reap(ward);
    Exit::Signal(signal)
}

fn reap(ward: &ChildProcess) -> Exit {
    let status = rustix::io::retry_on_intr(|| {
        waitid(WaitId::PidFd(ward.pidfd.as_fd()), WaitIdOptions::EXITED)
    });
    status.ok().flatten().map_or(Exit::Failed, |status| Ending::of(&status).into())
}
