//! `scripts/bench start`: rustic beside its peers, in turn, with the same root and the same
//! payload. `scripts/bench image`: a start on a whole Debian root that has been unpacked before,
//! beside the built-in one. `scripts/bench unpack`: rustic beside tar, pigz and bsdtar.
//! `scripts/bench streams`: a file through stdin and stdout. `scripts/bench verify`: a verification
//! beside a start. Times are those of a whole process, from spawn to exit; what counts is the ratio
//! of two medians of one run.
#![allow(clippy::print_stdout, reason = "its output is its job")]

mod image;
mod runner;
mod start;
mod streams;
mod unpack;
mod verify;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let result = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["start"] => start::measure(100),
        ["start", rounds] => rounds.parse().map_err(Into::into).and_then(start::measure),
        ["image"] => image::measure(100),
        ["image", rounds] => rounds.parse().map_err(Into::into).and_then(image::measure),
        ["streams"] => streams::measure(10),
        ["streams", rounds] => rounds.parse().map_err(Into::into).and_then(streams::measure),
        ["verify"] => verify::measure(50),
        ["verify", rounds] => rounds.parse().map_err(Into::into).and_then(verify::measure),
        ["unpack"] => unpack::measure(20),
        ["unpack", rounds] => rounds.parse().map_err(Into::into).and_then(unpack::measure),
        _ => Err("usage: scripts/bench start|image|streams|unpack|verify [ROUNDS]".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}
