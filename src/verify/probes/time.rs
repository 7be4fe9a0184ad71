//! The clocks. A time namespace has offsets for the monotonic and the boot-time clock,
//! time_namespaces(7); those of the stage are far from the host's. A new time namespace starts with
//! its parent's offsets, and they can no longer be set once a process lives in it: there clocks
//! that agree are no crossing, and what remains is whose namespace it is.

use crate::namespace::Namespace;
use crate::sys;
use crate::verify::attempt::{Try, planted};
use crate::verify::child::ended;
use crate::verify::outside::{Canary, Outside};
use crate::verify::probe::{Direction, Effect, Probe};
use crate::verify::probes::receipt::arrived;
use crate::verify::protocol::{Crossing, Reply, Topic};
use crate::verify::stage::{Scene, Stage};
use crate::verify::target::Target;
use crate::verify::verdict::Identity;
use crate::verify::wall::Wall;
use rustix::fd::OwnedFd;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::path::PathBuf;

/// The probes.
pub const PROBES: [Probe; 2] = [
    Probe {
        id: "RV-TIM-01",
        wall: Wall::Time,
        title: "read the monotonic clock, which the stage has set ahead",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: monotonic,
    },
    Probe {
        id: "RV-TIM-02",
        wall: Wall::Time,
        title: "read the boot-time clock, likewise",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: boottime,
    },
];

fn monotonic(outside: &Outside<'_>, subject: &Target) -> Try {
    read(TimeCrossing::Monotonic, outside, subject)
}

fn boottime(outside: &Outside<'_>, subject: &Target) -> Try {
    read(TimeCrossing::Boottime, outside, subject)
}

/// A clock that differs by less shows the same offset.
const CLOSE: i64 = 60;

fn read(crossing: TimeCrossing, outside: &Outside<'_>, subject: &Target) -> Try {
    // On the real host the clock is that of the host: an offset of nothing.
    let clocks = match outside.stage.scene {
        Scene::Stage => outside.stage.clocks.clone(),
        Scene::Host => Ok(()),
    };
    planted(&clocks, "clock_gettime", |()| {
        outside.planted("clock_gettime", |ahead: &TimeCanary| agreeing(crossing, ahead, subject))
    })
}

fn agreeing(crossing: TimeCrossing, ahead: &TimeCanary, subject: &Target) -> Try {
    let stage = crossing.seconds()
        + match crossing {
            TimeCrossing::Monotonic => ahead.monotonic,
            TimeCrossing::Boottime => ahead.boottime,
        };
    let reply = subject.ask(&crossing);
    let inside: Option<i64> = reply.data().trim_end_matches(" s").parse().ok();
    let agrees = inside.is_some_and(|inside| (inside - stage).abs() < CLOSE);
    let identity = subject.identity(Namespace::Time);
    let inherited = agrees && identity == Identity::Different;
    let seen = if inherited {
        "the same clock, a namespace of its own".to_owned()
    } else {
        format!("{stage} s")
    };
    Try::marking(reply, identity, arrived(agrees && !inherited), seen, &[]).or_stayed()
}

/// How far the stage's clocks are ahead of the verifier's, in seconds: unshare(2) moves children
/// into a new time namespace, and the verifier itself stays where it was.
pub struct TimeCanary {
    monotonic: i64,
    boottime: i64,
}

impl Canary for TimeCanary {
    fn plant(_: &Stage, _: &[PathBuf]) -> Result<Self, String> {
        ahead().ok_or_else(|| "the stage's clock cannot be read".into())
    }
}

fn ahead() -> Option<TimeCanary> {
    let (mut told, mut tell) = std::io::pipe().ok()?;
    let both = || [TimeCrossing::Monotonic, TimeCrossing::Boottime].map(TimeCrossing::seconds);
    let before = both();
    // SAFETY: the verifier has one thread.
    #[allow(unsafe_code, reason = "fork(2) with one thread")]
    let forked = unsafe { sys::fork() };
    match forked.ok()? {
        Some(child) => {
            drop(tell);
            let mut seconds = [[0; 8]; 2];
            let read = told.read_exact(seconds.as_flattened_mut());
            let _ = ended(child);
            read.ok()?;
            let theirs = seconds.map(i64::from_ne_bytes);
            let [monotonic, boottime] = [theirs[0] - before[0], theirs[1] - before[1]];
            Some(TimeCanary { monotonic, boottime })
        }
        None => {
            let _ = tell.write_all(both().map(i64::to_ne_bytes).as_flattened());
            sys::exit_now(0)
        }
    }
}

/// What a reader must know of a time namespace that is the container's own.
pub const REMARK: &str = "a new time namespace starts with the offsets of its parent's: its \
    clocks say how long the host has been up";

/// What is tried inside; the fields are the arguments of the calls.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeCrossing {
    /// CLOCK_MONOTONIC.
    Monotonic,
    /// CLOCK_BOOTTIME.
    Boottime,
}

impl TimeCrossing {
    fn seconds(self) -> i64 {
        clock_gettime(match self {
            Self::Monotonic => ClockId::Monotonic,
            Self::Boottime => ClockId::Boottime,
        })
        .tv_sec
    }
}

impl Crossing for TimeCrossing {
    const TOPIC: Topic = Topic::Wall(Wall::Time);

    fn attempt(&self, _: Option<OwnedFd>) -> Reply {
        let name = match self {
            Self::Monotonic => "CLOCK_MONOTONIC",
            Self::Boottime => "CLOCK_BOOTTIME",
        };
        Reply::of("clock_gettime", name, Ok((0, format!("{} s", self.seconds()))))
    }
}
