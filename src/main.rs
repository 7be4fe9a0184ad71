//! parse → act → print the one error → exit code.

use anstream::AutoStream;
use rustic::{Exit, Failure, Usage};
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

// musl's own allocator asks the kernel for pages and gives them back all the time: half a millisecond
// of a start.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    rustic::reset_sigchld();
    let args: Vec<OsString> = std::env::args_os().collect();
    if let Some(exit) = rustic::by_name(&args) {
        return exit.into();
    }
    let (asked, color) = rustic::parse(args);
    color.write_global();
    rustic::act(asked).unwrap_or_else(|error| told(&error)).into()
}

/// The one error, on stderr, in one write: others write there too. Its exit code is what the error
/// of the library in its chain says.
fn told(error: &anyhow::Error) -> Exit {
    let name = anstyle::AnsiColor::Red.on_default().bold();
    let stderr = std::io::stderr();
    let mut line = AutoStream::new(Vec::new(), AutoStream::choice(&stderr));
    let _ = writeln!(line, "{name}{}:{name:#} {error:#}", rustic::own_name());
    let _ = stderr.lock().write_all(&line.into_inner());
    let failure = error.chain().find_map(|cause| cause.downcast_ref::<Failure>());
    let usage = error.chain().find_map(|cause| cause.downcast_ref::<Usage>());
    failure.map(|failure| failure.exit).or(usage.map(|usage| usage.exit)).unwrap_or(Exit::Failed)
}
