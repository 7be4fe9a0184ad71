//! A verification beside a start.

use crate::floor::rustic;
use crate::runner::{Runner, compare, machine};
use anyhow::Result;

/// A verification has a stage, two controls and the container; with `--flip` eight containers more.
pub(crate) fn measure(rounds: usize) -> Result<()> {
    let rustic = &rustic();
    println!("rustic verify, {rounds} rounds in turn; ratio to the median of a start of `true`");
    println!("{}\n", machine()?);
    let verify = |options: &[&str]| {
        Runner::new(
            ["rustic verify", options.join(" ").as_str()].join(" "),
            &[&[rustic, "verify"], options].concat(),
        )
    };
    let runners = vec![
        Runner::new("rustic run true", &[rustic, "run", "true"]),
        verify(&[]),
        verify(&["--only", "ipc"]),
        verify(&["--flip"]),
    ];
    compare(runners, rounds).map(drop)
}
