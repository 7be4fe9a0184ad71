//! The two controls: a probe without walls, whose crossings must succeed, and a container of
//! rustic's with every wall, where none may.

use crate::host::Host;
use crate::namespace::{Choice, Namespace, Namespaces, Switch};
use crate::spec::{Rootfs, RunOptions, Spec, has_range};
use crate::test_switches;
use crate::verify::probe::Probe;
use crate::verify::report::VerifyReport;
use crate::verify::report::wall::WallReport;
use crate::verify::role::Ordered;
use crate::verify::trials::Trial;
use crate::verify::verdict::{Answer, Control, Receipt, Verdict};
use std::path::PathBuf;

/// The container with every wall: all eight namespaces, and otherwise what rustic does by itself.
pub(super) fn every_wall(spec: &Spec, host: &Host) -> Ordered {
    let namespaces = Namespace::ALL
        .into_iter()
        .fold(Namespaces::shared(), |all, namespace| all.with(namespace, Choice::New));
    // Missing mount targets are made in a directory of the host's: it is left alone, and the
    // built-in root serves.
    let asked = spec.options();
    let options = RunOptions {
        namespaces: Namespace::ALL.map(|_| Some(Choice::New)),
        rootfs: asked.rootfs.filter(|_| directory(spec).is_none()),
        // A host may allow no other way in than the one that is ordered.
        root: asked.root.filter(|_| spec.namespaces.is_new(Namespace::Mount)),
        store: asked.store,
        ..RunOptions::default()
    };
    Ordered {
        own_ids: own_ids(&namespaces, host),
        namespaces,
        cap_mask: 0,
        further_rights: 0,
        directory: None,
        doors: Vec::new(),
        options,
    }
}

pub(super) fn own_ids(namespaces: &Namespaces, host: &Host) -> Switch {
    if has_range(namespaces, host) { Switch::Yes } else { Switch::No }
}

pub(super) fn directory(spec: &Spec) -> Option<PathBuf> {
    if let Rootfs::Directory(path) = &spec.rootfs { Some(path.clone()) } else { None }
}

/// What the probe without walls says about the crossing.
pub(super) fn control(trial: &Trial) -> Control {
    if ordered_failure(trial.probe) {
        return Control::Failed("ordered by a test".into());
    }
    let attempt = &trial.attempt;
    match &attempt.answer {
        Answer::Untried(reason) => Control::Untried(reason.clone()),
        Answer::Unplanted(reason) => Control::Unplanted(reason.clone()),
        _ if attempt.receipt == Receipt::Arrived => Control::Crossed,
        Answer::Refused(_, answer) => Control::Failed(format!("without a wall it is {answer} too")),
        Answer::Through | Answer::Stayed => {
            Control::Failed("without a wall nothing is seen outside either".into())
        }
    }
}

/// Whether a test has ordered that a probe's control fails, by its name in RUSTIC_FAIL_CONTROL.
fn ordered_failure(probe: &Probe) -> bool {
    test_switches::ordered("RUSTIC_FAIL_CONTROL").is_some_and(|id| id == probe.id)
}

/// What a launcher's own form without walls says of what it makes with them: which walls are not
/// owed to its options, since they hold there too.
pub(super) fn own_control(closed: &VerifyReport, open: &VerifyReport) -> String {
    let form = open.command_line();
    let reason = open.walls.first().filter(|_| !open.was_tried());
    if let Some(reason) = reason.and_then(|wall| wall.verdict.because()) {
        return format!("its own form without walls, {form}, has not started: {reason}");
    }
    let both = closed.walls.iter().zip(&open.walls);
    let held = |wall: &WallReport| wall.verdict == Verdict::Held;
    let owed: Vec<&str> = both
        .clone()
        .filter(|(closed, open)| held(closed) && !held(open))
        .map(|(closed, _)| closed.wall.name())
        .collect();
    let anyway: Vec<&str> = both
        .filter(|(closed, open)| held(closed) && held(open))
        .map(|(closed, _)| closed.wall.name())
        .collect();
    let told = |names: &[&str]| match names {
        [] => "no wall".to_owned(),
        names => names.join(", "),
    };
    format!(
        "beside its own form without walls, {form}: owed to its options are {}; held there too: {}",
        told(&owed),
        told(&anyway)
    )
}
