//! What a container can see of the host and ask of its kernel besides: no wall, and no verdict.

use crate::sys::surface;
use crate::verify::files::FileCrossing;
use crate::verify::protocol::{Crossing, Ground, Outcome, Reply, Topic};
use crate::verify::target::Target;
use rustix::fd::OwnedFd;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What is told and what answers inside.
#[derive(Clone, Debug, Default)]
pub struct Remarks {
    /// Facts of the host that are read inside as they are outside.
    pub tells: Vec<&'static str>,
    /// Calls that launchers close, and that answer; of how many that were asked for.
    pub surface: Vec<String>,
    /// How many were asked for.
    pub asked: usize,
}

/// Facts that do not change while a machine runs, and the files that tell them.
const FACTS: [(&str, &str); 8] = [
    ("boot id", "/proc/sys/kernel/random/boot_id"),
    ("command line of the kernel", "/proc/cmdline"),
    ("build of the kernel", "/proc/version"),
    ("processors", "/proc/cpuinfo"),
    ("memory", "/proc/meminfo"),
    ("disks", "/proc/partitions"),
    ("file systems", "/proc/filesystems"),
    ("interrupts", "/proc/interrupts"),
];

/// Looks at one subject.
pub fn of(subject: &Target) -> Remarks {
    let line = |reply: &Reply| reply.data().lines().next().unwrap_or_default().to_owned();
    let facts = FACTS.iter().filter_map(|(name, path)| {
        let crossing = FileCrossing::Read { path: PathBuf::from(path) };
        let ours = line(&crossing.attempt(None));
        (!ours.is_empty() && line(&subject.ask(&crossing)) == ours).then_some(*name)
    });
    let tells = facts.collect();
    let reply = subject.ask(&SurfaceCrossing);
    let answers: Vec<SurfaceCall> = match &reply.outcome {
        Outcome::Done(_, data) => serde_json::from_str(data).unwrap_or_default(),
        Outcome::Refused(_) | Outcome::Untried(_) | Outcome::Killed(_) | Outcome::Silent => {
            Vec::new()
        }
    };
    let asked = answers.len();
    let surface = answers.into_iter().filter(|call| call.answers).map(|call| call.name).collect();
    Remarks { tells, surface, asked }
}

/// A call that was asked for.
#[derive(Serialize, Deserialize)]
struct SurfaceCall {
    name: String,
    answers: bool,
}

impl Remarks {
    /// For a reader, a line each.
    pub fn lines(&self) -> Vec<String> {
        let told = (!self.tells.is_empty()).then(|| {
            format!("tells {} facts of the host: {}", self.tells.len(), self.tells.join(", "))
        });
        let open = (self.asked > 0).then(|| match self.surface.as_slice() {
            [] => format!("surface: of {} calls that launchers close none answers", self.asked),
            calls => format!(
                "surface: of {} calls that launchers close {} answer: {}",
                self.asked,
                calls.len(),
                calls.join(" ")
            ),
        });
        told.into_iter().chain(open).collect()
    }
}

/// What is tried inside: each of the calls that launchers close.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct SurfaceCrossing;

impl Crossing for SurfaceCrossing {
    const TOPIC: Topic = Topic::Surface;

    fn ground(&self) -> Ground {
        Ground::Apart
    }

    fn attempt(&self, _: Option<OwnedFd>) -> Reply {
        let answers = surface::answers().into_iter();
        let calls: Vec<SurfaceCall> =
            answers.map(|(name, answers)| SurfaceCall { name: name.to_owned(), answers }).collect();
        let data = serde_json::to_string(&calls).unwrap_or_default();
        Reply::of("calls", format!("{}", calls.len()), Ok((0, data)))
    }
}
