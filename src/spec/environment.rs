//! CMD's variables.

use super::check::c_string;
use crate::error::{Failure, printable};
use crate::spec::{RunOptions, Variable};
use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The PATH inside.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl RunOptions {
    /// Those that every container has, the caller's TERM, and what was ordered, sorted by name.
    pub(super) fn environment(&self) -> Result<Vec<CString>, Failure> {
        let mut variables: BTreeMap<OsString, OsString> = [("PATH", PATH), ("container", "rustic")]
            .map(|(name, value)| (name.into(), value.into()))
            .into();
        if let Some(term) = std::env::var_os("TERM") {
            variables.insert("TERM".into(), term);
        }
        for variable in &self.env {
            match variable {
                Variable::Set(name, value) => variables.insert(name.clone(), value.clone()),
                Variable::PassOn(name) => match std::env::var_os(name) {
                    Some(value) => variables.insert(name.clone(), value),
                    None => {
                        return Err(Failure::new(format!(
                            "--env {}: the caller has no such variable",
                            printable(&name.to_string_lossy())
                        ))
                        .remedy("--env NAME=VALUE"));
                    }
                },
            };
        }
        variables
            .into_iter()
            .map(|(name, value)| {
                let mut line = name.into_vec();
                line.push(b'=');
                line.extend(value.into_vec());
                c_string(OsStr::from_bytes(&line), "--env")
            })
            .collect()
    }
}
