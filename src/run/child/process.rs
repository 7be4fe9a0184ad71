//! The steps of the process: session, streams, names, credentials, and the filter.

use super::Child;
use super::cmd::account;
use crate::error::SysError;
use crate::exit::Exit;
use crate::namespace::Switch;
use crate::ready::queue::{Name, Queue};
use crate::ready::{message, notify};
use crate::run::control::{Order, Report};
use crate::run::signals;
use crate::run::step::{ChildStep, Quota};
use crate::run::wire::Received;
use crate::sys;
use crate::walls::privileges::Credentials;
use crate::walls::seccomp::{self, SelfSignals};
use crate::walls::{hostname, keyring, network, privileges};
use libc::sock_filter;
use nix::sys::personality::Persona;
use rustix::fd::AsFd;
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{
    Resource, Rlimit, Signal, chdir, getcwd, set_parent_process_death_signal, setrlimit, setsid,
    umask,
};
use std::ffi::CStr;

impl Child<'_> {
    pub(super) fn execute(&mut self, number: usize, step: &ChildStep) -> Result<(), SysError> {
        match step {
            ChildStep::WaitForGo => self.wait_for_go(),
            ChildStep::BecomeRoot => self.become_root(),
            ChildStep::Session => start_session(),
            ChildStep::Terminal { streams, devpts, uid } => self.terminal(*streams, *devpts, *uid),
            ChildStep::OpenViewsByPath(views) => self.open_views(views),
            ChildStep::TakeStreams { streams, dev } => self.take_streams(streams, *dev),
            ChildStep::Loopback => Ok(network::up()?),
            ChildStep::JoinNetwork => self.join_network(),
            ChildStep::Hostname(name) => Ok(hostname::set(name)?),
            ChildStep::Keyring { quota } => self.join_keyring(number, *quota),
            ChildStep::OpenQueue { name, seen } => self.open_queue(number, name, *seen),
            ChildStep::NotifySocket(slot) => self.make_notify_socket(*slot),
            ChildStep::LimitQueues(bytes) => limit_queues(*bytes),
            ChildStep::CloseDescriptors { soft_limit } => self.close_descriptors(*soft_limit),
            ChildStep::FindAccount { uid, name } => {
                self.account = account(*uid, name.as_deref());
                Ok(())
            }
            ChildStep::DropBounding(unwanted) => Ok(privileges::bound(*unwanted)?),
            ChildStep::SetGroups(groups) => Ok(privileges::set_groups(groups)?),
            ChildStep::SetGid(gid) => Ok(privileges::set_gid(*gid)?),
            ChildStep::SetUid(uid) => Ok(privileges::set_uid(*uid)?),
            ChildStep::SetCapabilities(credentials) => set_capabilities(credentials),
            ChildStep::Chdir(path) => enter(path),
            ChildStep::NoNewPrivs => Ok(rustix::thread::set_no_new_privs(true)?),
            ChildStep::VerifyCredentials(credentials) => privileges::check(credentials),
            ChildStep::Seccomp { self_signals, filter } => {
                self.install_filter(number, *self_signals, filter)
            }
            ChildStep::SendReady(name) => self.send_ready(number, name),
            ChildStep::Exec { cmd, env, first } => Err(self.exec(number, cmd, env, *first)),
        }
    }

    /// The death signal is set before the gate is read: a warden that died earlier leaves the gate
    /// at its end, one that dies later kills. In a new pid namespace getppid(2) is 0 and tells
    /// nothing.
    fn wait_for_go(&mut self) -> Result<(), SysError> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        match self.given.gate.wait() {
            Received::Message(order, _) => {
                self.has_queue =
                    if order == Order::GoWithoutQueue { Switch::No } else { Switch::Yes };
                Ok(())
            }
            // Nobody is left who could be told.
            Received::Closed => sys::exit_now(Exit::Failed.code()),
            Received::Nothing => Err(Errno::AGAIN.into()),
            Received::Failed(errno) => Err(errno.into()),
        }
    }

    /// The change of ids clears the death signal, prctl(2): the warden may have ended meanwhile.
    fn become_root(&self) -> Result<(), SysError> {
        privileges::set_gid(0)?;
        privileges::set_uid(0)?;
        set_parent_process_death_signal(Some(Signal::KILL))?;
        if matches!(self.given.gate.receive(), Received::Closed) {
            sys::exit_now(Exit::Failed.code());
        }
        Ok(())
    }

    fn join_network(&self) -> Result<(), SysError> {
        match self.given.report.wait() {
            Received::Message(Order::Network, Some(namespace)) => Ok(network::enter(namespace)?),
            // Nobody is left who could be told.
            Received::Closed => sys::exit_now(Exit::Failed.code()),
            Received::Message(..) | Received::Nothing => Err(Errno::BADMSG.into()),
            Received::Failed(errno) => Err(errno.into()),
        }
    }

    fn join_keyring(&self, number: usize, quota: Quota) -> Result<(), SysError> {
        match (keyring::join_new(), quota) {
            (Ok(()), _) => Ok(()),
            // A filter around rustic, or a kernel without keys: CMD has no such call either.
            (Err(errno @ Errno::NOSYS), _)
            // EPERM: a filter around rustic denies the call, as the one that comes will.
            | (Err(errno @ (Errno::DQUOT | Errno::PERM)), Quota::Bearable) => {
                self.note(number, errno);
                Ok(())
            }
            (Err(errno), Quota::Bearable | Quota::Fatal) => Err(errno.into()),
        }
    }

    fn open_queue(&mut self, number: usize, name: &Name, seen: Switch) -> Result<(), SysError> {
        if self.has_queue == Switch::No {
            return Ok(());
        }
        match (Queue::open(&name.path), seen) {
            (Ok(queue), Switch::Yes) => self.queue = Some(queue),
            (Err(error), Switch::No) if error.errno == Errno::NOENT => {
                self.note(number, Errno::NOENT);
            }
            (Ok(_), Switch::No) => {
                return Err(SysError::new(
                    Errno::EXIST,
                    "the caller's queue is seen from another IPC namespace",
                ));
            }
            (Err(error), _) => return Err(error),
        }
        Ok(())
    }

    fn send_ready(&self, number: usize, name: &Name) -> Result<(), SysError> {
        if self.has_queue == Switch::No {
            return Ok(());
        }
        let queue = self.queue.as_ref().ok_or(Errno::BADF)?;
        // Told before it is sent: the parent reads it at once, and the story would run backwards.
        self.tell(number);
        queue.send_patiently(message::ready(&name.nonce).as_bytes())
    }

    fn make_notify_socket(&self, slot: usize) -> Result<(), SysError> {
        let socket = notify::make(self.mount(slot)?)?;
        Ok(self.given.report.pass(&Report::Socket, socket.as_fd())?)
    }

    fn install_filter(
        &self,
        number: usize,
        self_signals: SelfSignals,
        filter: &[sock_filter],
    ) -> Result<(), SysError> {
        if self_signals == SelfSignals::Untold {
            return Ok(seccomp::install(filter)?);
        }
        match seccomp::install_with_listener(filter) {
            Ok(listener) => Ok(self.given.gate.pass(&Report::Listener, listener.as_fd())?),
            Err(errno @ (Errno::BUSY | Errno::INVAL)) => {
                self.note(number, errno);
                Ok(seccomp::install(&seccomp::without_notice(filter))?)
            }
            Err(errno) => Err(errno.into()),
        }
    }
}

fn start_session() -> Result<(), SysError> {
    sys::reset_signal_actions()?;
    signals::unblock_all()?;
    umask(Mode::empty());
    setsid()?;
    // ADDR_NO_RANDOMIZE and others are inherited, personality(2).
    nix::sys::personality::set(Persona::empty())?;
    Ok(())
}

fn limit_queues(bytes: u64) -> Result<(), SysError> {
    let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
    Ok(setrlimit(Resource::Msgqueue, limit)?)
}

fn set_capabilities(credentials: &Credentials) -> Result<(), SysError> {
    let Credentials { permitted, ambient, last_cap, .. } = *credentials;
    privileges::set_capabilities(permitted, ambient, last_cap)?;
    // A change of the uid has cleared it, prctl(2).
    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
}

fn enter(directory: &CStr) -> Result<(), SysError> {
    chdir(directory)?;
    // A directory outside the root has a name that starts with "(unreachable)", getcwd(3).
    if getcwd(Vec::new())?.to_bytes().starts_with(b"/") {
        return Ok(());
    }
    Err(SysError::new(Errno::XDEV, "it is outside the root"))
}
