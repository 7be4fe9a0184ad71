//! `scripts/bench start`: rustic beside its floor and its peers, in turn, with the same root and
//! the same payload. `scripts/bench image`: a start on a whole Debian root that has been unpacked
//! before, beside the built-in one. `scripts/bench scale`: many starts at the same time. `scripts/bench
//! memory`: many containers alive at once. `scripts/bench unpack`: rustic beside tar, pigz and
//! bsdtar. `scripts/bench streams`: a file through stdin and stdout. `scripts/bench verify`: a
//! verification beside a start. Times are those of a whole process, from spawn to exit; what counts
//! is the ratio of two medians of one run.
#![allow(clippy::print_stdout, reason = "its output is its job")]

mod floor;
mod image;
mod runner;
mod scale;
mod start;
mod streams;
mod unpack;
mod verify;

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let (what, rounds) = match words.as_slice() {
        [what] => (what, None),
        [what, rounds] => (what, Some(rounds.parse::<usize>().context("a number of rounds")?)),
        _ => bail!(USAGE),
    };
    match what.as_str() {
        "start" => start::measure(rounds.unwrap_or(200)),
        "image" => image::measure(rounds.unwrap_or(100)),
        "scale" => scale::rate(rounds.unwrap_or(1000)),
        "memory" => scale::memory(rounds.unwrap_or(1000)),
        "streams" => streams::measure(rounds.unwrap_or(10)),
        "verify" => verify::measure(rounds.unwrap_or(50)),
        "unpack" => unpack::measure(rounds.unwrap_or(20)),
        _ => bail!(USAGE),
    }
}

const USAGE: &str = "usage: scripts/bench start|image|scale|memory|streams|unpack|verify [ROUNDS]";
