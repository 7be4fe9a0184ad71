//! verify: every wall is tried from inside and checked from outside, with a control that must succeed.
//!
//! ```text
//!   the stage: a throw-away host                         behind the walls
//!   canary  ◀─── crossing ──────────────────────────────  probe (control: the same probe, without walls)
//!   receipt      identity: /proc/PID/ns, from outside
//! ```
//!
//! [`verdict`] is a pure function of what [`probes`] find. [`stage`] is the outside, [`subject`] who is verified, [`probe`] the inside of it,
//! [`crossing`] what passes between them, [`janitor`] who cleans up. [`report`] shows it. It starts rustic as anybody would, and knows
//! nothing of `run`.

pub mod crossing;
pub mod flip;
pub mod janitor;
pub mod probe;
pub mod probes;
pub mod report;
pub mod stage;
pub mod subject;
pub mod verdict;
pub mod wall;

use crate::failure::Failure;
use crate::host::Host;
use crate::namespace::{Namespaces, Switch};
use crate::spec::{Rootfs, Spec};
use crossing::Outcome;
use flip::Flip;
use probes::{Canaries, Outside, Probe, Try, root};
use report::{Controls, Finding, Report, Tally, WallReport};
use stage::Stage;
use std::ffi::OsString;
use std::time::Instant;
use subject::{Ordered, Role, Subject};
use verdict::{Answer, Control, Receipt, Verdict, of_all, verdict};
use wall::Wall;

/// What is to be verified.
pub struct Order {
    /// The walls that are tried.
    pub walls: Vec<Wall>,
    /// The options of `rustic run` but for its namespaces.
    pub words: Vec<OsString>,
    /// Those of them that say which root file system, for the container with every wall.
    pub root_words: Vec<OsString>,
}

/// A verifier on its stage, with everything planted, and what the controls have shown.
pub struct Verifier<'a> {
    /// Gone before the stage: the canary process has a copy of the wire to the janitor.
    canaries: Canaries,
    stage: Stage,
    order: &'a Order,
    controls: Vec<(Control, Option<Receipt>)>,
    /// What the container with every wall says of itself, if it could not be started.
    closed: Result<(), String>,
}

impl<'a> Verifier<'a> {
    /// Builds the stage around this process, and runs both controls: without walls every crossing must succeed, with all walls none.
    ///
    /// # Errors
    /// No stage: then nothing can be tried.
    pub fn new(order: &'a Order, spec: &Spec, host: &Host) -> Result<Self, Failure> {
        let stage = Stage::build(host)?;
        let directory = directory(spec);
        let canaries = Canaries::plant(&stage, directory.as_deref());
        let mut verifier = Self { canaries, stage, order, controls: Vec::new(), closed: Ok(()) };
        let open: Vec<Control> = match verifier.tried(Role::Open) {
            Ok(tried) => order
                .probes()
                .zip(&tried.attempts)
                .map(|(probe, (attempt, _))| ordered_failure(probe).unwrap_or_else(|| control(attempt)))
                .collect(),
            Err(reason) => order.probes().map(|_| Control::Failed(reason.clone())).collect(),
        };
        let all = crate::namespace::Namespace::ALL.into_iter();
        let namespaces = all.fold(Namespaces::shared(), |namespaces, namespace| namespaces.with(namespace, Switch::Yes));
        let ordered = Ordered { namespaces, cap_mask: 0, directory, words: order.root_words.clone() };
        let closed: Vec<Option<Receipt>> = match verifier.tried(Role::Contained(ordered)) {
            Ok(tried) => tried.attempts.iter().map(|(attempt, _)| tried_at_all(attempt).then_some(attempt.receipt)).collect(),
            Err(reason) => {
                verifier.closed = Err(reason);
                open.iter().map(|_| None).collect()
            }
        };
        verifier.controls = open.into_iter().zip(closed).collect();
        Ok(verifier)
    }

    /// Verifies one container.
    pub fn verify(&self, spec: &Spec, namespaces: Namespaces) -> Report {
        let ordered = Ordered { namespaces, cap_mask: spec.cap_mask, directory: directory(spec), words: self.order.words.clone() };
        let role = Role::Contained(ordered);
        let argv = role.argv(&self.stage.nonce);
        let tried = self.tried(role);
        let walls = self.order.walls.iter().map(|&wall| self.wall(wall, namespaces, &tried)).collect();
        Report::new(&self.stage, self.controls(), argv, tried.as_ref().ok().map(|tried| tried.subject.pid), walls)
    }

    fn wall(&self, wall: Wall, namespaces: Namespaces, tried: &Result<Tried, String>) -> WallReport {
        let ordered = report::ordered(wall, namespaces);
        let tried = match tried {
            Ok(tried) => tried,
            Err(reason) => {
                let verdict = Verdict::Unknown(format!("the container could not be started: {reason}"));
                return WallReport { wall, ordered, verdict, sides: None, findings: Vec::new(), remark: None };
            }
        };
        let findings: Vec<Finding> = self
            .order
            .probes()
            .zip(&tried.attempts)
            .zip(&self.controls)
            .filter(|((probe, _), _)| probe.wall == wall)
            .map(|((probe, (attempt, nanoseconds)), (control, closed))| {
                let verdict = verdict(&attempt.identity, &attempt.answer, attempt.receipt, control);
                Finding { probe, attempt: attempt.clone(), control: control.clone(), closed: *closed, verdict, nanoseconds: *nanoseconds }
            })
            .collect();
        let verdict = of_all(findings.iter().map(|finding| &finding.verdict));
        let sides = wall.namespace().and_then(|namespace| tried.subject.sides(namespace).ok()).map(report::Identity::of);
        let remark = if wall == Wall::Root { tried.behind.and_then(root::Behind::remark) } else { None };
        WallReport { wall, ordered, verdict, sides, findings, remark }
    }

    fn controls(&self) -> Controls {
        let open: Vec<bool> = self
            .controls
            .iter()
            .filter(|(control, _)| !matches!(control, Control::Untried(_)))
            .map(|(control, _)| *control == Control::Crossed)
            .collect();
        let closed: Vec<bool> = self
            .controls
            .iter()
            .filter(|(control, _)| *control == Control::Crossed)
            .filter_map(|(_, receipt)| receipt.map(|receipt| receipt == Receipt::Arrived))
            .collect();
        Controls { open: Tally::of(&open), closed: Tally::of(&closed), not_started: self.closed.clone().err() }
    }

    /// Every probe on one subject, which has ended when this returns.
    fn tried(&self, role: Role) -> Result<Tried, String> {
        let subject = Subject::start(&self.stage, &self.canaries, role)?;
        let outside = Outside { stage: &self.stage, canaries: &self.canaries };
        let attempts = self
            .order
            .probes()
            .map(|probe| {
                let since = Instant::now();
                let attempt = (probe.attempt)(&outside, &subject);
                (attempt, since.elapsed().as_nanos() as u64)
            })
            .collect();
        let behind = root::behind(&outside, &subject);
        Ok(Tried { attempts, behind, subject })
    }
}

/// Every attempt on a subject, with the nanoseconds that it took.
struct Tried {
    attempts: Vec<(Try, u64)>,
    behind: Option<root::Behind>,
    subject: Subject,
}

impl Order {
    /// The probes of its walls.
    pub fn probes(&self) -> impl Iterator<Item = &'static Probe> + use<'_> {
        probes::catalogue().filter(|probe| self.walls.contains(&probe.wall))
    }
}

fn directory(spec: &Spec) -> Option<std::path::PathBuf> {
    match &spec.rootfs {
        Rootfs::Directory(path) => Some(path.clone()),
        _ => None,
    }
}

fn tried_at_all(attempt: &Try) -> bool {
    !matches!(attempt.answer, Answer::Untried(_))
}

/// The failure that a test has ordered for a probe's control, by its name in RUSTIC_FAIL_CONTROL. Release builds do not have it.
fn ordered_failure(probe: &Probe) -> Option<Control> {
    let ordered = cfg!(debug_assertions).then(|| std::env::var("RUSTIC_FAIL_CONTROL").ok()).flatten();
    ordered.filter(|id| id == probe.id).map(|_| Control::Failed("ordered by a test".into()))
}

/// What the probe without walls says about the crossing.
fn control(attempt: &Try) -> Control {
    match &attempt.answer {
        Answer::Untried(reason) => Control::Untried(reason.clone()),
        _ if attempt.receipt == Receipt::Arrived => Control::Crossed,
        Answer::Refused(_, reason) if matches!(attempt.reply.outcome, Outcome::Untried(_)) => Control::Failed(reason.clone()),
        Answer::Refused(_, answer) => Control::Failed(format!("without a wall it is {answer} too")),
        Answer::Through | Answer::Stayed => Control::Failed("without a wall nothing is seen outside either".into()),
    }
}

/// Verifies one container, and with it each in which one namespace is the other way.
///
/// # Errors
/// No stage.
pub fn flip(order: &Order, spec: &Spec, host: &Host) -> Result<Flip, Failure> {
    Ok(Flip::of(&Verifier::new(order, spec, host)?, spec))
}

/// Verifies one container. There is always a report: what could not be tried is unknown.
pub fn verify(order: &Order, spec: &Spec, host: &Host) -> Report {
    match Verifier::new(order, spec, host) {
        Ok(verifier) => verifier.verify(spec, spec.namespaces),
        Err(failure) => Report::impossible(order, spec, &failure),
    }
}
