//! Every probe on one subject.

use crate::verify::attempt::Try;
use crate::verify::launch::Role;
use crate::verify::outside::Outside;
use crate::verify::probe::Probe;
use crate::verify::probes::fds::canary::left_open;
use crate::verify::target::Target;
use std::time::Instant;

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
    /// Starts the subject, and tries the probes on it one after another.
    ///
    /// # Errors
    /// What kept it from starting, for a reader.
    pub fn of(
        outside: &Outside<'_>,
        role: Role,
        probes: impl Iterator<Item = &'static Probe>,
    ) -> Result<Self, String> {
        let subject = Target::start(outside.stage, &left_open(outside.canaries), role)?;
        let each = probes.map(|probe| {
            let since = Instant::now();
            let attempt = (probe.attempt)(outside, &subject);
            Trial { probe, attempt, nanoseconds: since.elapsed().as_nanos() as u64 }
        });
        let each = each.collect();
        Ok(Self { subject, each })
    }
}
