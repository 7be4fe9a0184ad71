//! The verifier: a stage, what is planted in it, the two controls, and any number of containers
//! after another.

use crate::error::Failure;
use crate::host::Host;
use crate::namespace::Switch;
use crate::spec::Spec;
use crate::verify::controls::{control, directory, every_wall, own_control, own_ids};
use crate::verify::foreign::order::LauncherOrder;
use crate::verify::foreign::words::Places;
use crate::verify::foreign::workplace;
use crate::verify::join::Process;
use crate::verify::judged::{Judged, Subject};
use crate::verify::options::VerifyOptions;
use crate::verify::outside::{Canaries, Outside};
use crate::verify::probes;
use crate::verify::probes::fds::canary::left_open;
use crate::verify::remarks::{self, Remarks};
use crate::verify::report::VerifyReport;
use crate::verify::report::controls::{Controls, Tally};
use crate::verify::report::wall::{Finding, NamespaceIds, WallReport};
use crate::verify::role::{Launched, Ordered, Role};
use crate::verify::stage::{Scene, Stage};
use crate::verify::target::Target;
use crate::verify::trials::{Trial, Trials};
use crate::verify::verdict::{Control, Receipt, Verdict, of_all, verdict};
use crate::verify::wall::Wall;
use std::path::PathBuf;

/// A verifier on its stage, with everything planted, and what the controls have shown.
pub struct Verifier<'a> {
    /// Gone before the stage: the canary process has a copy of the wire to the cleanup process.
    canaries: Canaries,
    stage: Stage,
    host: &'a Host,
    order: &'a VerifyOptions,
    controls: Vec<Controlled>,
    /// Why the container with every wall could not be started.
    not_closed: Option<String>,
}

/// What the controls say of one probe.
struct Controlled {
    /// Without walls.
    open: Control,
    /// With all walls; `None` where it was not tried there.
    closed: Option<Receipt>,
}

impl<'a> Verifier<'a> {
    /// Builds the stage around this process, and runs both controls: without walls every crossing
    /// must succeed, with all walls none.
    ///
    /// # Errors
    /// No stage: then nothing can be tried.
    pub fn new(
        scene: Scene,
        order: &'a VerifyOptions,
        spec: &Spec,
        host: &'a Host,
    ) -> Result<Self, Failure> {
        let stage = Stage::build(scene, host, spec, order.plant.as_deref())?;
        let shown: Vec<PathBuf> = directory(spec)
            .into_iter()
            .chain(spec.files.binds.iter().map(|bind| bind.source.clone()))
            // An image may lie on the host's file system as it is.
            .chain(spec.store.clone())
            .collect();
        let canaries = probes::plant(&stage, &shown);
        let (controls, not_closed) = (Vec::new(), None);
        let mut verifier = Self { canaries, stage, host, order, controls, not_closed };
        let open = verifier.open_control();
        let closed = verifier.closed_control(every_wall(spec, host));
        verifier.controls = open
            .into_iter()
            .zip(closed)
            .map(|(open, closed)| Controlled { open, closed })
            .collect();
        Ok(verifier)
    }

    fn open_control(&self) -> Vec<Control> {
        match self.trials(Role::Open) {
            Ok(trials) => trials.each.iter().map(control).collect(),
            Err(reason) => self.order.probes().map(|_| Control::Failed(reason.clone())).collect(),
        }
    }

    fn closed_control(&mut self, every_wall: Ordered) -> Vec<Option<Receipt>> {
        match self.trials(Role::Contained(every_wall.into())) {
            Ok(trials) => trials
                .each
                .iter()
                .map(|trial| trial.attempt.answer.is_tried().then_some(trial.attempt.receipt))
                .collect(),
            Err(reason) => {
                self.not_closed = Some(reason);
                self.order.probes().map(|_| None).collect()
            }
        }
    }

    /// Verifies one container of rustic's.
    pub fn verify(&self, spec: &Spec) -> VerifyReport {
        let ordered = Ordered {
            namespaces: spec.namespaces.clone(),
            own_ids: own_ids(&spec.namespaces, self.host),
            cap_mask: spec.cap_mask,
            further_rights: spec.further_rights(),
            directory: directory(spec),
            doors: spec.shared_namespaces().into_iter().chain(spec.doors()).collect(),
            options: spec.options(),
        };
        let role = Role::Contained(ordered.into());
        let subject = Subject::Container(role.argv(&self.stage.nonce));
        self.judge(role, Judged::Container(spec), subject)
    }

    /// What other launchers are given, made on the stage.
    ///
    /// # Errors
    /// No mount, no room, an archive that cannot be unpacked.
    pub fn places(&self, spec: &Spec, root_wanted: bool) -> Result<Places, Failure> {
        workplace::make(&self.stage, spec, self.host, root_wanted)
    }

    /// Verifies what another launcher makes; beside its own open form, where that is wanted.
    pub fn verify_launcher(&self, launcher: &LauncherOrder, places: &Places) -> VerifyReport {
        let report = self.launched(launcher, places);
        if self.order.control_each == Switch::No || !report.was_tried() {
            return report;
        }
        let note = match &launcher.open {
            None => "it has no form without walls that it could be compared with".to_owned(),
            Some(open) => {
                let open = LauncherOrder { command: open.clone(), ..launcher.clone() };
                own_control(&report, &self.launched(&open, places))
            }
        };
        report.with_note(note)
    }

    fn launched(&self, launcher: &LauncherOrder, places: &Places) -> VerifyReport {
        let role = Role::Foreign(Box::new(Launched {
            command: launcher.command.clone(),
            places: places.clone(),
            through: launcher.through,
            before: launcher.before.clone(),
            end: launcher.end.clone(),
        }));
        self.judge(role, Judged::Launcher(launcher), Subject::of(launcher))
    }

    /// Verifies a container that runs already.
    pub fn verify_process(&self, process: Process, judged: Judged<'_>) -> VerifyReport {
        let mut notes = vec!["joined: its namespaces, its root, its ids and its rights".to_owned()];
        if process.filtered {
            notes.push("its filter of system calls is not on the probe".into());
        }
        if process.in_other_cgroups {
            notes.push("its cgroups, and their rules for devices, are not on the probe".into());
        }
        let came = process.came_along();
        notes.push(match came.as_slice() {
            [] => "only read: it holds no file of a mount that is not its own".into(),
            came => {
                format!("only read: of mounts that are not its own it holds {}", came.join(", "))
            }
        });
        let subject = Subject::Process(process.pid, notes);
        self.judge(Role::Joined(process), judged, subject)
    }

    /// Tries all of it on one subject.
    fn judge(&self, role: Role, judged: Judged<'_>, subject: Subject) -> VerifyReport {
        let trials = self.trials(role);
        let besides = match &trials {
            Ok(trials) if self.order.walls.contains(&Wall::Kernel) => remarks::of(&trials.subject),
            _ => Remarks::default(),
        };
        // Whether what has passed can be believed is known at the end.
        let trials = trials.and_then(|trials| trials.subject.finish().map(|()| trials));
        let mut walls: Vec<WallReport> =
            self.order.walls.iter().map(|&wall| self.wall(wall, judged, &trials)).collect();
        let kernel = walls.iter_mut().filter(|report| report.wall == Wall::Kernel);
        kernel.for_each(|report| report.remarks.extend(besides.lines()));
        let through: Vec<&str> =
            walls.iter().flat_map(|report| &report.doors).map(String::as_str).collect();
        let doors = judged.doors(&self.order.walls, &through);
        let target = trials.as_ref().ok().map(|trials| &trials.subject);
        VerifyReport {
            doors,
            besides,
            pid: target.map(|target| target.pid),
            chatter: target.map(Target::chatter).unwrap_or_default(),
            ..VerifyReport::new(&self.stage, self.controls(judged), subject, walls)
        }
    }

    fn wall(&self, wall: Wall, judged: Judged<'_>, trials: &Result<Trials, String>) -> WallReport {
        let ordered = judged.ordered(wall);
        let trials = match trials {
            Ok(trials) => trials,
            Err(reason) => {
                let reason = match judged {
                    Judged::Container(_) => format!("the container could not be started: {reason}"),
                    Judged::Launcher(_) | Judged::Process(_) => reason.clone(),
                };
                return WallReport {
                    expected: self.order.expected(wall),
                    ..WallReport::untried(wall, ordered, &reason)
                };
            }
        };
        let of_this_wall =
            trials.each.iter().zip(&self.controls).filter(|(trial, _)| trial.probe.wall == wall);
        let findings: Vec<Finding> =
            of_this_wall.map(|(trial, controlled)| found(trial, controlled)).collect();
        let missing = trials.subject.role.joined().and_then(|process| process.not_on(wall));
        let findings: Vec<Finding> = match missing {
            Some(what) => findings.into_iter().map(|finding| doubted(finding, what)).collect(),
            None => findings,
        };
        let verdict = of_all(findings.iter().map(|finding| &finding.verdict));
        let sides = wall.namespace().and_then(|namespace| trials.subject.sides(namespace).ok());
        let sides = sides.and_then(|sides| NamespaceIds::of(sides).ok());
        let remarks = probes::remarks(wall, judged, &self.outside(), trials, &verdict);
        let mut doors: Vec<String> =
            findings.iter().filter_map(|finding| finding.attempt.door.clone()).collect();
        doors.sort();
        doors.dedup();
        WallReport {
            wall,
            to_hold: ordered == Some(Verdict::Held),
            ordered: if doors.is_empty() { ordered } else { Some(Verdict::Shared) },
            expected: self.order.expected(wall),
            verdict,
            sides,
            findings,
            doors,
            remarks,
        }
    }

    /// What the controls have shown. What could not be set up counts where a wall is to hold.
    fn controls(&self, judged: Judged<'_>) -> Controls {
        let tried = self
            .controls
            .iter()
            .filter(|controlled| matches!(controlled.open, Control::Crossed | Control::Failed(_)));
        let crossed = |controlled: &&Controlled| controlled.open == Control::Crossed;
        let closed =
            self.controls.iter().filter(crossed).filter_map(|controlled| controlled.closed);
        Controls {
            open: tried.map(|controlled| controlled.open == Control::Crossed).collect(),
            closed: closed.map(|receipt| receipt != Receipt::Absent).collect::<Tally>(),
            unplanted: self
                .order
                .probes()
                .zip(&self.controls)
                .filter(|(probe, _)| judged.ordered(probe.wall) == Some(Verdict::Held))
                .filter(|(_, controlled)| matches!(controlled.open, Control::Unplanted(_)))
                .count(),
            not_started: self.not_closed.clone(),
        }
    }

    fn outside(&self) -> Outside<'_> {
        Outside { stage: &self.stage, canaries: &self.canaries }
    }

    fn trials(&self, role: Role) -> Result<Trials, String> {
        let subject = Target::start(&self.stage, &left_open(&self.canaries), role)?;
        Ok(Trials::on(subject, &self.outside(), self.order.probes()))
    }
}

fn found(trial: &Trial, controlled: &Controlled) -> Finding {
    let Trial { probe, attempt, nanoseconds } = trial;
    Finding {
        probe,
        attempt: attempt.clone(),
        control: controlled.open.clone(),
        closed: controlled.closed,
        verdict: verdict(&attempt.identity, &attempt.answer, attempt.receipt, &controlled.open),
        nanoseconds: *nanoseconds,
    }
}

/// What crosses in a probe that something of the container's is missing on may be stopped by that.
fn doubted(finding: Finding, what: &str) -> Finding {
    if finding.verdict != Verdict::Leaked {
        return finding;
    }
    let reason =
        format!("it crosses, and {what} of the process that was joined is not on the probe");
    Finding { verdict: Verdict::Unknown(reason), ..finding }
}
