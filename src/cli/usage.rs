//! A wrong call.

use crate::exit::Exit;
use std::fmt;

/// A wrong call, in clap's words.
#[derive(Debug)]
pub struct Usage {
    pub(super) text: String,
    /// The exit code of one.
    pub exit: Exit,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Usage {}
