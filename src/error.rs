//! The one error that a user sees: what could not be done, why, and what to try.

use crate::exit::Exit;
use crate::own_name;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// What could not be done. The first line names the thing; `why`, `remedy` and `man` follow where
/// they help.
#[derive(Debug, Serialize, Deserialize)]
pub struct Failure {
    /// What failed, as in "cannot mount proc on /proc".
    pub what: String,
    /// What the kernel answered.
    #[serde(with = "errno_on_a_wire")]
    pub errno: Option<Errno>,
    /// The cause, where it is known.
    pub why: Option<String>,
    /// What the user can do about it.
    pub remedy: Option<String>,
    /// The manual page that explains it.
    pub man: Option<Cow<'static, str>>,
    /// The exit code that goes with it.
    pub exit: Exit,
}

impl Failure {
    /// A failure of rustic itself, or of how it was called: exit code 125.
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            errno: None,
            why: None,
            remedy: None,
            man: None,
            exit: Exit::Failed,
        }
    }

    /// With the kernel's answer. What has one cause whoever asks has it from here.
    #[must_use]
    pub fn errno(mut self, errno: Errno) -> Self {
        self.errno = Some(errno);
        match errno {
            Errno::MFILE if self.why.is_none() => self
                .why("the limit of open descriptors is too low (RLIMIT_NOFILE)")
                .man("getrlimit(2)"),
            _ => self,
        }
    }

    /// With the cause.
    #[must_use]
    pub fn why(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    /// With what it was about. It is all that is known of the cause, unless the errno has one of
    /// its own; empty: nothing.
    #[must_use]
    pub fn detail(mut self, detail: &str) -> Self {
        self.why = match self.why {
            why if detail.is_empty() => why,
            Some(why) => Some(format!("{detail}: {why}")),
            None => Some(detail.to_owned()),
        };
        self
    }

    /// With what to try.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// With the manual page.
    #[must_use]
    pub fn man(mut self, man: &'static str) -> Self {
        self.man = Some(Cow::Borrowed(man));
        self
    }

    /// With another exit code than 125.
    #[must_use]
    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }
}

impl Failure {
    /// What, why and what to try in one line, where there is no room for more.
    pub fn in_a_line(&self) -> String {
        let errno = self.errno.map(|errno| format!(": {}", errno_text(errno))).unwrap_or_default();
        let why = self.why.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
        let remedy =
            self.remedy.as_ref().map(|remedy| format!("; try {remedy}")).unwrap_or_default();
        let line = printable(&format!("{}{errno}{why}{remedy}", self.what));
        own_name::within(&line).into_owned()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", printable(&self.what))?;
        if let Some(errno) = self.errno {
            write!(f, ": {}", errno_text(errno))?;
        }
        for (label, text) in [("why", &self.why), ("try", &self.remedy)] {
            if let Some(text) = text {
                write!(f, "\n  {label}   {}", own_name::within(&printable(text)))?;
            }
        }
        match &self.man {
            Some(man) => write!(f, "\n  man   {man}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// An errno as its number.
mod errno_on_a_wire {
    use rustix::io::Errno;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        errno: &Option<Errno>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        errno.map(Errno::raw_os_error).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Errno>, D::Error> {
        let number = Option::<i32>::deserialize(deserializer)?;
        Ok(number.filter(|number| (1..4096).contains(number)).map(Errno::from_raw_os_error))
    }
}

/// What a system call answered, with the detail that only the place of the call knows.
#[derive(Debug)]
pub struct SysError {
    /// The kernel's answer.
    pub errno: Errno,
    /// What it was about: a path, a line of the kernel's log. Empty where the step says it all.
    pub detail: String,
}

impl SysError {
    /// An errno with a detail.
    pub fn new(errno: Errno, detail: impl Into<String>) -> Self {
        Self { errno, detail: detail.into() }
    }
}

impl From<Errno> for SysError {
    fn from(errno: Errno) -> Self {
        Self::new(errno, "")
    }
}

impl From<nix::errno::Errno> for SysError {
    fn from(errno: nix::errno::Errno) -> Self {
        of_nix(errno).into()
    }
}

/// An errno as `EPERM (Operation not permitted)`.
pub fn errno_text(errno: Errno) -> String {
    let known = nix::errno::Errno::from_raw(errno.raw_os_error());
    format!("{known:?} ({})", known.desc())
}

/// An errno of nix as rustix has it.
pub fn of_nix(errno: nix::errno::Errno) -> Errno {
    Errno::from_raw_os_error(errno as i32)
}

/// The errno of an io error; EIO where it has none.
pub fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// An io error without std's "(os error N)".
pub fn without_number(error: &std::io::Error) -> String {
    Errno::from_io_error(error).map_or_else(|| error.to_string(), errno_text)
}

/// Text from an image or a command line, fit for a terminal: control characters are shown as
/// escapes, so that a file name can neither move the cursor nor forge a line.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_stand_in_order_and_the_errno_is_named() {
        let failure = Failure::new("cannot mount proc on /proc")
            .errno(Errno::PERM)
            .why("because")
            .remedy("sudo")
            .man("proc(5)");
        assert_eq!(
            failure.to_string(),
            "cannot mount proc on /proc: EPERM (Operation not permitted)\n  why   because\n  \
                try   sudo\n  man   proc(5)"
        );
    }

    #[test]
    fn what_it_was_about_does_not_take_the_place_of_the_cause() {
        let why = |errno, detail| Failure::new("it").errno(errno).detail(detail).why;
        let cause = why(Errno::MFILE, "").unwrap_or_default();
        assert!(cause.contains("RLIMIT_NOFILE"), "{cause}");
        assert_eq!(why(Errno::MFILE, "dev/block"), Some(format!("dev/block: {cause}")));
        assert_eq!(why(Errno::IO, "dev/block").as_deref(), Some("dev/block"));
        assert_eq!(why(Errno::IO, ""), None);
    }

    #[test]
    fn an_escape_sequence_in_a_name_is_shown_and_not_sent() {
        assert_eq!(printable("a\x1b[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
    }
}
