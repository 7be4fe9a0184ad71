//! Results, on stdout.

use crate::exit::Exit;
use crate::sys;
use anyhow::{Context, Result, ensure};
use std::io::{ErrorKind, Write};

/// A result, on stdout; one that could not be written is none. Who reads the first lines only has
/// had what was wanted.
pub(super) fn shown(text: &str) -> Result<Exit> {
    const CANNOT: &str = "cannot write to stdout";
    ensure!(!sys::stdout_is_closed(), "{CANNOT}: it is closed");
    let mut out = anstream::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        written => written.context(CANNOT)?,
    }
    Ok(Exit::Command(0))
}
