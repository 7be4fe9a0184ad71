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
        for line in self.ordered_variables()? {
            let line = line.into_bytes();
            let end = line.iter().position(|&byte| byte == b'=').unwrap_or(line.len());
            let text = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
            variables.insert(text(&line[..end]), text(line.get(end + 1..).unwrap_or_default()));
        }
        variables.into_iter().map(|(name, value)| line(name, value)).collect()
    }

    /// What was ordered, in its order.
    pub(super) fn ordered_variables(&self) -> Result<Vec<CString>, Failure> {
        let of = |variable: &Variable| match variable {
            Variable::Set(name, value) => line(name.clone(), value.clone()),
            Variable::PassOn(name) => match std::env::var_os(name) {
                Some(value) => line(name.clone(), value),
                None => Err(Failure::new(format!(
                    "--env {}: the caller has no such variable",
                    printable(&name.to_string_lossy())
                ))
                .remedy("--env NAME=VALUE")),
            },
        };
        self.env.iter().map(of).collect()
    }
}

fn line(name: OsString, value: OsString) -> Result<CString, Failure> {
    c_string(OsStr::from_bytes(&[name.as_bytes(), b"=", value.as_bytes()].concat()), "--env")
}
