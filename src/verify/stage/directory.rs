//! The place of the stage's directory on the host.

use crate::error::Failure;
use crate::spec::Bind;
use rustix::fs::{Access, CWD, Mode, access, mkdirat};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where the stage's directory can be made: rather outside of what is shown inside on purpose, and
/// where every uid may look. Its path goes into orders and into addresses of sockets, which have
/// little room, unix(7).
pub(super) fn folders(binds: &[Bind]) -> Vec<PathBuf> {
    const LONGEST: usize = 64;
    let folders =
        [std::env::temp_dir(), "/tmp".into(), "/dev/shm".into(), "/run".into(), "/var/tmp".into()];
    let usable = folders.iter().filter_map(|folder| folder.canonicalize().ok());
    let usable = usable.filter(|folder| folder.to_str().is_some_and(|path| path.len() <= LONGEST));
    let mut usable: Vec<PathBuf> = usable
        .filter(|folder| access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok())
        .collect();
    usable.sort_by_key(|folder| {
        (binds.iter().any(|bind| folder.starts_with(&bind.source)), !open_to_all(folder))
    });
    usable
}

fn open_to_all(folder: &Path) -> bool {
    folder
        .ancestors()
        .all(|folder| fs::metadata(folder).is_ok_and(|stat| stat.permissions().mode() & 0o001 != 0))
}

pub(super) fn first_made(directories: Vec<PathBuf>) -> Result<PathBuf, Failure> {
    let mut failure = Failure::new("there is no folder to make a directory in").remedy("TMPDIR=…");
    for directory in directories {
        match mkdirat(CWD, &directory, Mode::RWXU) {
            Ok(()) => return Ok(directory),
            Err(errno) => {
                failure = Failure::new(format!("cannot make {}", directory.display()))
                    .errno(errno)
                    .remedy("TMPDIR=…")
            }
        }
    }
    Err(failure)
}
