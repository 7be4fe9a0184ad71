//! What is told on stderr: the story of -v, in the article's voice, and the steps of --explain.

use crate::namespace::{Choice, Namespace};
use crate::own_name;
use crate::run::plan::Plan;
use crate::run::step::Step;
use crate::spec::{Door, IdOrder, RootSwitch, Spec, Verbosity, shown};
use crate::sys;
use crate::walls::idmap::Writer;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::stdio::stderr;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

/// The voice of a run.
#[derive(Clone, Copy, Debug)]
pub struct Voice {
    /// How much is told.
    pub talk: Verbosity,
    /// How a line ends: a raw terminal does not return by itself.
    pub line_end: &'static str,
}

impl Voice {
    /// One that warns and tells nothing else.
    pub const fn quiet() -> Self {
        Self { talk: Verbosity::Quiet, line_end: "\n" }
    }

    /// `Parent: …`
    pub fn parent(self, line: &str) {
        if self.talk == Verbosity::Story {
            self.say(&format!("Parent: {line}"));
        }
    }

    /// ` Child: …`
    pub fn child(self, line: &str) {
        if self.talk == Verbosity::Story {
            self.say(&format!(" Child: {line}"));
        }
    }

    /// A step that was taken.
    pub fn done(self, number: usize, step: &Step) {
        match self.talk {
            Verbosity::Steps => self.say(&explained(number, step).replace('\n', self.line_end)),
            _ => step.describe().story.iter().for_each(|story| self.child(story)),
        }
    }

    /// Said also without -v.
    pub fn warning(self, line: &str) {
        self.say(&format!("{}: warning: {line}", own_name::get()));
    }

    fn say(self, line: &str) {
        // Nobody may be listening any more; the run goes on.
        if can_be_heard() {
            let _ = write!(std::io::stderr(), "{line}{}", self.line_end);
        }
    }

    /// A line for each wall and each door.
    pub fn walls(self, spec: &Spec, plan: &Plan) {
        for namespace in Namespace::ALL {
            let state = match spec.namespaces.get(namespace) {
                Choice::New => "new".to_owned(),
                Choice::Shared => "shared, a door".to_owned(),
                Choice::Join(path) => format!("{} joined, a door", shown(path)),
            };
            self.parent(&format!("{}: {state}{}", namespace.name(), detail(namespace, spec, plan)));
        }
        for Door { name, what, .. } in spec.doors() {
            self.parent(&format!("a door: {name}: {what}"));
        }
        for remark in &plan.remarks {
            self.parent(remark);
        }
    }
}

/// Whether stderr takes a line, which is waited for. A signal is not kept waiting by a pipe that
/// nobody reads: then nothing more is told that does not go at once.
fn can_be_heard() -> bool {
    static GIVEN_UP: AtomicBool = AtomicBool::new(false);
    const STEP: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
    const NONE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
    loop {
        let given_up = GIVEN_UP.load(Ordering::Relaxed);
        let stderr = stderr();
        let ready = poll(
            &mut [PollFd::new(&stderr, PollFlags::OUT)],
            Some(if given_up { &NONE } else { &STEP }),
        );
        match ready {
            Ok(0) if given_up => return false,
            Ok(0) | Err(Errno::INTR) if sys::is_a_signal_pending() => {
                GIVEN_UP.store(true, Ordering::Relaxed);
            }
            Ok(0) | Err(Errno::INTR) => {}
            // Whatever else it is, the write says so.
            Ok(_) | Err(_) => return true,
        }
    }
}

/// A step as `--explain` and `--dry-run` print it: number, side and call, and below them why it is
/// there and where to read on.
pub fn explained(number: usize, step: &Step) -> String {
    let described = step.describe();
    format!(
        "{:>3}  {:<6}  {}\n             {} [{}]",
        number + 1,
        step.side().name(),
        described.call,
        described.why,
        described.man
    )
}

fn detail(namespace: Namespace, spec: &Spec, plan: &Plan) -> String {
    match spec.namespaces.get(namespace) {
        Choice::New => detail_of_new(namespace, spec, plan),
        Choice::Shared => namespace.if_shared().to_owned(),
        Choice::Join(_) => namespace.if_joined().to_owned(),
    }
}

fn detail_of_new(namespace: Namespace, spec: &Spec, plan: &Plan) -> String {
    match namespace {
        Namespace::Pid => ", CMD is process 1".into(),
        Namespace::Mount => match spec.root {
            RootSwitch::Pivot => ", root entered by pivot_root".into(),
            RootSwitch::Chroot => ", root entered by chroot".into(),
        },
        Namespace::Uts => format!(", host name {}", spec.hostname.as_deref().unwrap_or_default()),
        Namespace::Net => ", loopback only".into(),
        Namespace::Ipc => ", message queues of its own".into(),
        Namespace::User => match plan.maps.as_ref().map(|maps| &maps.writer) {
            Some(Writer::Privileged) => ", ids one to one: a wall of rights, not of ids".into(),
            Some(Writer::Range) => {
                let first = plan.maps.as_ref().and_then(|maps| maps.outside(0)).unwrap_or_default();
                format!(", 0 is {first} outside, which is nobody there")
            }
            Some(Writer::Helpers { .. }) => {
                let own = match spec.user_order.uid {
                    Some(IdOrder::Keep) => spec.user.uid,
                    Some(IdOrder::Number(_) | IdOrder::Name(_)) | None => 0,
                };
                format!(", {own} is the caller, the others are its subordinate ids")
            }
            Some(Writer::OneId) | None => {
                format!(", {} is the caller, and there is no other id", spec.user.uid)
            }
            Some(Writer::Joiner | Writer::Nobody | Writer::Outside) => {
                ", nested in the owner of what is joined, with its ids".into()
            }
        },
        Namespace::Cgroup | Namespace::Time => String::new(),
    }
}
