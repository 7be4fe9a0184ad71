//! A run is tried with everything that a host may allow; what was refused, and can be done without,
//! is left out of the next try. That is no guess: it is known when it was refused.

use super::events::Events;
use super::parent::run_told;
use super::refusal::Unsuccessful;
use crate::error::Failure;
use crate::exit::Exit;
use crate::host::Host;
use crate::spec::Spec;

/// Each kind of refusal is met once.
const MOST_REFUSALS: usize = 2;

/// Starts CMD as `spec` wants it and waits for its end.
///
/// # Errors
/// Whatever kept CMD from running, or from being ready in time; nothing is left behind then.
pub fn run(spec: &Spec, host: &Host) -> Result<Exit, Failure> {
    host.is_mapped()?;
    let mut info = Events::over(spec.info_fd)?;
    let mut known = host.clone();
    let mut result = run_told(spec, &known, &mut info);
    for _ in 0..MOST_REFUSALS {
        let Err(Unsuccessful::Refused(refusal, _)) = result else { break };
        known = refusal.known_to(known);
        result = run_told(spec, &known, &mut info);
    }
    let result = result.map_err(Unsuccessful::failure);
    info.exited(result.as_ref().map_or_else(|failure| failure.exit, |exit| *exit));
    result
}
