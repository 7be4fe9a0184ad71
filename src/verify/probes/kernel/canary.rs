//! What the kernel tells the outside, which is read once, and not before it is asked for inside.

use crate::sys::rights;
use crate::verify::files::FileCrossing;
use crate::verify::outside::Canary;
use crate::verify::protocol::Crossing;
use crate::verify::stage::Stage;
use std::cell::OnceCell;
use std::path::{Path, PathBuf};

/// What is hidden because it tells of hardware and of the kernel's memory: files with a first line
/// that does not change.
const HIDDEN: [&str; 5] = ["interrupts", "kallsyms", "acpi/wakeup", "driver/rtc", "scsi/scsi"];

/// How much of the log is read, in bytes.
const LOG_OUTSIDE: usize = 1024;

/// What is known of it outside.
#[derive(Default)]
pub struct KernelCanary {
    hidden: OnceCell<Vec<(&'static str, String)>>,
    log: OnceCell<Option<String>>,
}

impl Canary for KernelCanary {
    fn plant(_: &Stage, _: &[PathBuf]) -> Result<Self, String> {
        Ok(Self::default())
    }
}

impl KernelCanary {
    /// The files that are hidden inside, each with its first line, as far as the caller may read
    /// them.
    pub(super) fn first_lines(&self) -> &[(&'static str, String)] {
        self.hidden.get_or_init(|| {
            let first_line = |file: &&'static str| {
                let path = Path::new("/proc").join(file);
                let read = FileCrossing::Read { path }.attempt(None);
                let line = read.data().lines().next().map(str::trim);
                Some((*file, line.filter(|line| !line.is_empty())?.to_owned()))
            };
            HIDDEN.iter().filter_map(first_line).collect()
        })
    }

    /// The last line of the kernel's log that says something, where the caller may read it.
    pub(super) fn last_of_the_log(&self) -> Option<&str> {
        let last = self.log.get_or_init(|| {
            let ours = rights::kernel_log(LOG_OUTSIDE).ok()?;
            ours.lines().rev().find(|line| line.len() > 20).map(str::to_owned)
        });
        last.as_deref()
    }
}
