//! Every probe on one subject.

use crate::verify::attempt::Try;
use crate::verify::outside::Outside;
use crate::verify::probe::Probe;
use crate::verify::stage::Scene;
use crate::verify::target::Target;
use crate::verify::wall::Wall;
use std::time::Instant;

/// The walls around what a process inherits: nobody joins them.
const INHERITED: [Wall; 3] = [Wall::Fds, Wall::Keyring, Wall::Terminal];

/// One probe on one subject.
pub struct Trial {
    /// The probe.
    pub probe: &'static Probe,
    /// What came of it.
    pub attempt: Try,
    /// How long it took.
    pub nanoseconds: u64,
}

/// Every probe on one subject, which ends with this.
pub struct Trials {
    /// The subject.
    pub subject: Target,
    /// Probe by probe, in the order in which they were tried.
    pub each: Vec<Trial>,
}

impl Trials {
    /// Tries the probes on the subject, one after another.
    pub fn on(
        subject: Target,
        outside: &Outside<'_>,
        probes: impl Iterator<Item = &'static Probe>,
    ) -> Self {
        let each = probes.map(|probe| {
            let since = Instant::now();
            let attempt = if subject.role.joined().is_some() && INHERITED.contains(&probe.wall) {
                Try::untried("-", "it was joined, and what it has inherited is not on the probe")
            } else if outside.stage.scene == Scene::Stage || probe.is_harmless() {
                (probe.attempt)(outside, &subject)
            } else {
                Try::untried("-", "who makes it is outside the stage, and the host is left alone")
            };
            Trial { probe, attempt, nanoseconds: since.elapsed().as_nanos() as u64 }
        });
        let each = each.collect();
        Self { subject, each }
    }
}
