//! Which archive files have been hashed already, so that the next start need not read them: a small
//! file for each, named by device and inode, that holds how the file looked and its digest.

use rustix::fs::{CWD, Mode, OFlags, openat, rename};
use rustix::time::{ClockId, clock_gettime};
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file as it looked before it was read. Whoever writes to it changes its ctime, which no call
/// sets back; only what is written through a shared mapping on a tmpfs does not, mmap(2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileStamp {
    name: String,
    state: String,
    settled: bool,
}

impl FileStamp {
    /// How a file looks now; `None` for what is no regular file, and for none.
    pub(super) fn at(path: &Path) -> Option<Self> {
        let stat = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        // Older kernels give times by ticks: a write in the tick that has just begun would leave
        // this ctime as it is. The clock that those ticks come from tells whether that tick is
        // over.
        let now = clock_gettime(ClockId::RealtimeCoarse);
        Some(Self {
            name: format!("{:x}-{:x}", stat.dev(), stat.ino()),
            state: format!(
                "{} {}.{:09} {}.{:09}",
                stat.len(),
                stat.mtime(),
                stat.mtime_nsec(),
                stat.ctime(),
                stat.ctime_nsec()
            ),
            settled: (stat.ctime(), stat.ctime_nsec()) < (now.tv_sec, now.tv_nsec as i64),
        })
    }

    /// The digest of a file that looks as it did when it was hashed.
    pub(super) fn digest(&self, folder: &Path) -> Option<String> {
        let text = fs::read_to_string(folder.join(&self.name)).ok()?;
        let (state, digest) = text.trim_end().rsplit_once(' ')?;
        (state == self.state).then(|| digest.to_owned())
    }

    /// Remembers a digest. What cannot be remembered is hashed again.
    pub(super) fn remember(&self, folder: &Path, digest: &str) {
        if !self.settled {
            return;
        }
        let part = folder.join(format!(".{}-{}", self.name, std::process::id()));
        let written = openat(
            CWD,
            &part,
            OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::RUSR,
        )
        .map_err(std::io::Error::from)
        .and_then(|file| {
            fs::File::from(file).write_all(format!("{} {digest}\n", self.state).as_bytes())
        })
        .and_then(|()| Ok(rename(&part, folder.join(&self.name))?));
        if written.is_err() {
            let _ = fs::remove_file(&part);
        }
    }
}

/// Forgets the files of one digest.
pub(super) fn forget(folder: &Path, digest: &str) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path: PathBuf = entry.path();
        if fs::read_to_string(&path).is_ok_and(|text| text.trim_end().ends_with(digest)) {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_until_it_changes() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("archive");
        fs::write(&file, "one").unwrap();
        let settled = || loop {
            let look = FileStamp::at(&file).unwrap();
            if look.settled {
                return look;
            }
        };
        settled().remember(dir.path(), "d1");
        assert_eq!(settled().digest(dir.path()), Some("d1".into()));
        // As long, and with the time that it had before: only the ctime tells.
        let before = fs::metadata(&file).unwrap().modified().unwrap();
        fs::write(&file, "two").unwrap();
        fs::File::options().write(true).open(&file).unwrap().set_modified(before).unwrap();
        assert_eq!(settled().digest(dir.path()), None);
        forget(dir.path(), "d1");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "the file itself");
    }
}
