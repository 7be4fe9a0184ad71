//! What was found: the checks and what is around them.

use super::checks;
use super::lack::{Checked, Lack};
use super::surroundings::{self, Surroundings};
use crate::error::Failure;
use crate::exit::Exit;
use crate::host::Host;
use std::path::{Path, PathBuf};

/// What was found.
pub struct Diagnosis {
    pub(super) around: Surroundings,
    pub(super) checks: Vec<Checked>,
    /// Options of the launcher that rustic runs in, which would give what lacks.
    pub(super) options: Vec<&'static str>,
}

/// Tries everything, in order of harm.
///
/// # Errors
/// A binary of rustic that is not there any more: each check is a start of it.
pub fn examine(host: &Host, store: Option<&Path>) -> Result<Diagnosis, Failure> {
    let around = Surroundings::look(host);
    let checks = checks::all(host, &surroundings::own_binary()?, store.map(existing).as_deref())?;
    let lacks: Vec<&Lack> = checks.iter().filter_map(|check| check.lack.as_ref()).collect();
    let options = surroundings::options(&around, host, &lacks);
    Ok(Diagnosis { around, checks, options })
}

impl Diagnosis {
    /// 0 where nothing lacks, else 1.
    pub fn exit(&self) -> Exit {
        Exit::Command(u8::from(self.checks.iter().any(|check| check.lack.is_some())))
    }
}

/// A directory, or the nearest one above it that is there.
fn existing(path: &Path) -> PathBuf {
    path.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/")).to_owned()
}
