//! The files behind standard streams.

use crate::error::without_number;
use crate::verify::stage::Stage;
use rustix::fd::OwnedFd;
use rustix::fs::fstat;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

/// The files behind the stdin and the stdout of one subject.
pub struct StreamFiles {
    /// What it gets as stdin, to be read only.
    pub input: OwnedFd,
    /// What it gets as stdout, to be written only. It holds the secret.
    pub output: OwnedFd,
    /// The file behind stdin, for the outside to look at.
    behind_input: fs::File,
}

impl StreamFiles {
    /// Makes them.
    ///
    /// # Errors
    /// Why they cannot be made, for a reader.
    pub fn make(stage: &Stage, mark: &str) -> Result<Self, String> {
        let file = |name: &str, content: &str| {
            let path = stage.directory.join(format!("{name}.{mark}"));
            let mut options = fs::OpenOptions::new();
            let mut file =
                options.read(true).write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(content.as_bytes())?;
            Ok::<_, std::io::Error>((path, file))
        };
        let made = || -> std::io::Result<Self> {
            let ((input, behind_input), (output, _)) =
                (file("stdin", "what is read\n")?, file("stdout", &stage.secret)?);
            let streams = Self {
                input: fs::File::open(&input)?.into(),
                output: fs::OpenOptions::new().append(true).open(&output)?.into(),
                behind_input,
            };
            // They stay as long as they are open.
            fs::remove_file(input).and_then(|()| fs::remove_file(output))?;
            Ok(streams)
        };
        made().map_err(|error| without_number(&error))
    }

    /// Whether the file behind stdin has the mark, or another mode than it was made with.
    pub fn is_changed(&self, mark: &str) -> bool {
        let mut text = [0; 256];
        let length = rustix::io::pread(&self.behind_input, text.as_mut_slice(), 0).unwrap_or(0);
        let mode = fstat(&self.behind_input).map_or(0o600, |stat| stat.st_mode & 0o7777);
        mode != 0o600 || String::from_utf8_lossy(&text[..length]).contains(mark)
    }
}
