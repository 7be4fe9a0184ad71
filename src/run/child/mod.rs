//! The child: inside its new namespaces it walks the plan, one step after another, and becomes CMD.
//! Where root has a user namespace with ids of its own, the same process before that clone is the
//! *builder*: it walks the first part, with the rights of the host's root. It never returns and runs
//! no destructor of the parent. What can be known before is in the plan; it decides only by what it
//! alone sees: the image's passwd, its own id map, a refused keyring.
//!
//! [`root`] executes the steps of its root file system, with the [`scratch`] tmpfs, the [`targets`]
//! of mounts and what [`hide`]s; [`process`] the others: [`find`] looks for CMD, [`stdio`] has those
//! of the standard streams, [`cmd`] the last one.

mod cmd;
mod find;
mod hide;
mod process;
mod root;
mod scratch;
mod stdio;
mod targets;

use crate::error::SysError;
use crate::exit::Exit;
use crate::namespace::Switch;
use crate::ready::queue::Queue;
use crate::run::control::{FarEnd, Report};
use crate::run::plan::Plan;
use crate::run::pty::Outer;
use crate::run::step::{ChildStep, RootfsStep, Side, Step};
use crate::run::stream_relay::Ends;
use crate::run::streams::Streams;
use crate::spec::Verbosity;
use crate::sys;
use crate::walls::idmap::IdMaps;
use crate::walls::proc_masks::Masks;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Gid, Uid};
use rustix::io::Errno;
use std::ffi::{CString, OsString};
use std::path::{Path, PathBuf};

/// What the child is given besides the plan.
pub struct Inheritance<'a> {
    /// The wire to the parent.
    pub report: FarEnd,
    /// The wire to the warden, which says when the child may go on.
    pub gate: FarEnd,
    /// The caller's terminal.
    pub outer: Option<&'a Outer>,
    /// A terminal's multiplexer that the parent opened, for a container without mounts.
    pub ptmx: Option<OwnedFd>,
    /// rustic itself, sealed, where the child becomes it.
    pub own: Option<OwnedFd>,
    /// What the probe of `rustic verify` talks on.
    pub channel: Option<OwnedFd>,
    /// The pipe that CMD says READY=1 on, with `--ready app`.
    pub ready: Option<OwnedFd>,
    /// The standard streams, with the views that the parent has opened.
    pub streams: &'a Streams,
    /// CMD's ends of the pipes behind them.
    pub ends: Ends,
    /// How much is told of what is done.
    pub talk: Verbosity,
}

/// Walks the child's side of the plan. Ends the process if a step fails.
pub fn main(plan: &Plan, inheritance: Inheritance<'_>) -> ! {
    Child::new(plan, inheritance).become_cmd(plan)
}

impl<'a> Child<'a> {
    /// Before its first step.
    pub fn new(plan: &Plan, given: Inheritance<'a>) -> Self {
        Self {
            base: None,
            scratch: None,
            root: None,
            mounts: (0..plan.slots).map(|_| None).collect(),
            own: Vec::new(),
            attached: Vec::new(),
            hidden_files: Vec::new(),
            covered: Vec::new(),
            covers: Vec::new(),
            masks: None,
            views: [None, None, None],
            queue: None,
            has_queue: Switch::Yes,
            account: Vec::new(),
            owner: None,
            given,
        }
    }

    /// Makes the root file system, as the builder: outside of the user namespace that the child
    /// will be in. Ends the process if a step fails.
    pub fn build(&mut self, plan: &Plan) {
        let owner = plan.maps.as_ref().and_then(IdMaps::owner);
        self.owner = owner.map(|(uid, gid)| (Uid::from_raw(uid), Gid::from_raw(gid)));
        self.walk(plan, Side::Builder);
        // From here on it is who makes something.
        self.owner = None;
    }

    /// Goes on to CMD.
    pub fn become_cmd(mut self, plan: &Plan) -> ! {
        self.walk(plan, Side::Child);
        sys::exit_now(Exit::Failed.code())
    }

    fn walk(&mut self, plan: &Plan, side: Side) {
        for (number, step) in plan.side(side) {
            let ordered = step.ordered_failure();
            if let Err(error) = ordered.map_or_else(|| self.execute_step(number, step), Err) {
                let _ = self.given.report.send(&Report::fault(number, error), None);
                sys::exit_now(Exit::Failed.code());
            }
            if self.is_told_when_done(step) {
                self.tell(number);
            }
        }
    }
}

/// The child, and before that the builder: what it has opened and made so far.
pub struct Child<'a> {
    base: Option<OwnedFd>,
    scratch: Option<OwnedFd>,
    root: Option<OwnedFd>,
    /// The mounts of the plan, each in its slot.
    mounts: Vec<Option<OwnedFd>>,
    /// The ids of mounts that are the container's own: what is made in them vanishes with it.
    own: Vec<u64>,
    /// Where what was ordered is attached so far.
    attached: Vec<PathBuf>,
    /// Files that are hidden when everything is attached.
    hidden_files: Vec<HiddenFile>,
    /// Directories that are covered.
    covered: Vec<PathBuf>,
    /// The mounts that cover them, and become read-only at the end.
    covers: Vec<OwnedFd>,
    masks: Option<Masks>,
    views: [Option<OwnedFd>; 3],
    queue: Option<Queue>,
    /// Whether the parent has made one.
    has_queue: Switch,
    /// What CMD's environment gets from the image's passwd.
    account: Vec<CString>,
    /// Who what is made belongs to, where that is not who makes it: root inside.
    owner: Option<(Uid, Gid)>,
    given: Inheritance<'a>,
}

/// A name that is to vanish from a directory.
struct HiddenFile {
    dir: OwnedFd,
    /// The directory's path inside, behind every link.
    path: PathBuf,
    name: OsString,
}

/// A descriptor that an earlier step of the plan has opened.
fn opened(fd: Option<&OwnedFd>) -> Result<BorrowedFd<'_>, SysError> {
    fd.map(AsFd::as_fd).ok_or_else(|| SysError::new(Errno::BADF, "a step of the plan is missing"))
}

impl Child<'_> {
    fn execute_step(&mut self, number: usize, step: &Step) -> Result<(), SysError> {
        match step {
            Step::Builder(step) | Step::Rootfs(step) => {
                let done = self.execute_rootfs(step);
                match (step, done) {
                    // What nobody has ordered is had where the kernel gives it.
                    (RootfsStep::SetSysctls { ordered: Switch::No, .. }, Err(error)) => {
                        self.note(number, error.errno);
                        Ok(())
                    }
                    (_, done) => done,
                }
            }
            Step::Child(step) => self.execute(number, step),
            // The plan gives none of them to these sides.
            Step::Parent(_) | Step::Warden(_) => Ok(()),
        }
    }

    /// A mount of the plan, by its slot.
    fn mount(&self, slot: usize) -> Result<BorrowedFd<'_>, SysError> {
        opened(self.mounts.get(slot).and_then(Option::as_ref))
    }

    /// Whether a step is told of when it is done: READY was told before it was sent, and for want
    /// of a queue none was opened.
    fn is_told_when_done(&self, step: &Step) -> bool {
        match step {
            Step::Child(ChildStep::SendReady(_)) => false,
            Step::Child(ChildStep::OpenQueue { .. }) => self.has_queue == Switch::Yes,
            Step::Child(_)
            | Step::Builder(_)
            | Step::Rootfs(_)
            | Step::Parent(_)
            | Step::Warden(_) => true,
        }
    }

    /// Tells a step that is done, where somebody wants to know.
    fn tell(&self, number: usize) {
        if self.given.talk != Verbosity::Quiet {
            let _ = self.given.report.send(&Report::Done(number), None);
        }
    }

    /// Tells where a mount target is behind the links of the image.
    fn tell_target(&self, ordered: &Path, path: &Path) {
        if ordered != path && self.given.talk != Verbosity::Quiet {
            let _ = self.given.report.send(&Report::target(ordered, path), None);
        }
    }

    fn note(&self, number: usize, errno: Errno) {
        let _ = self.given.report.send(&Report::Note(number, errno), None);
    }
}
