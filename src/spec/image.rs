//! How the program of an image is run: its config, as far as nothing else was ordered.

use super::arguments::Words;
use super::check::c_string;
use super::{First, IdOrder, Rootfs, RunOptions, Spec, UserOrder};
use crate::error::{Failure, printable};
use crate::namespace::Switch;
use crate::rootfs::image::{ImageChoice, ImageConfig};
use crate::sys;
use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};

/// What was ordered of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageOptions {
    /// Whether its config gives the defaults.
    pub config: Switch,
    /// What stands in front of CMD, in place of the image's; empty for nothing.
    pub entrypoint: Option<OsString>,
    /// Which one of several.
    pub choice: ImageChoice,
}

impl Default for ImageOptions {
    fn default() -> Self {
        Self { config: Switch::Yes, entrypoint: None, choice: ImageChoice::default() }
    }
}

impl ImageOptions {
    pub(super) fn say(&self, words: &mut Words) {
        words.value("image-config", if self.config == Switch::Yes { "yes" } else { "no" });
        words.given("entrypoint", self.entrypoint.as_ref());
        words.given("platform", self.choice.platform.as_ref().map(ToString::to_string));
        words.given("ref", self.choice.reference.as_ref());
        words.given("sub", self.choice.sub.as_ref());
    }

    /// What says something of an archive needs one.
    pub(super) fn check(&self, rootfs: &Rootfs) -> Result<(), Failure> {
        let ImageChoice { platform, reference, sub } = &self.choice;
        let given = [
            ("--platform", platform.is_some()),
            ("--ref", reference.is_some()),
            ("--sub", sub.is_some()),
        ];
        match (given.into_iter().find(|(_, given)| *given), rootfs) {
            (None, _) | (Some(_), Rootfs::Archive(_)) => Ok(()),
            (Some((option, _)), _) => {
                Err(Failure::new(format!("{option}: this root file system is no archive"))
                    .remedy("--rootfs with an archive, or the option at rustic rootfs import"))
            }
        }
    }
}

/// What CMD is run with, as it was ordered: an image fills the gaps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// CMD and its arguments; empty where none was given.
    pub cmd: Vec<CString>,
    /// The working directory.
    pub workdir: Option<CString>,
    /// `--env`, `K=V`.
    pub env: Vec<CString>,
}

impl RunOptions {
    /// What CMD is run with, before an image has filled the gaps.
    pub(super) fn process(&self, workdir: &CString) -> Result<Process, Failure> {
        Ok(Process {
            cmd: self.cmd.iter().map(|word| c_string(word, "CMD")).collect::<Result<_, _>>()?,
            workdir: self.workdir.is_some().then(|| workdir.clone()),
            env: self.ordered_variables()?,
        })
    }
}

impl Spec {
    /// The same for an image with this config. CMD given replaces the image's, its entrypoint stays
    /// in front, and one that is ordered replaces both, as podman has it.
    ///
    /// # Errors
    /// A config that cannot be followed, by what it says.
    pub fn for_image(&self, config: &ImageConfig) -> Result<Self, Failure> {
        if self.image.config == Switch::No {
            return Ok(self.clone());
        }
        let mut spec = self.clone();
        if !matches!(self.first, First::Probe(_) | First::ReapedProbe(_)) {
            spec.cmd = self.command(config)?;
        }
        if let (None, Some(directory)) = (&self.process.workdir, &config.working_dir) {
            spec.workdir = match directory.as_str() {
                "" => self.workdir.clone(),
                path if path.starts_with('/') => word(path, "WorkingDir")?,
                path => word(&format!("/{path}"), "WorkingDir")?,
            };
        }
        // A line without a name or without a value sets nothing.
        let is_one = |line: &&String| line.find('=').is_some_and(|end| end > 0);
        let lines = config.env.iter().flatten().filter(is_one).map(|line| word(line, "Env"));
        spec.env = merged(&self.env, lines.collect::<Result<_, _>>()?, &self.process.env);
        // Who is ordered comes with groups of his own.
        if self.user_order.uid.is_none()
            && let Some(user) = config.user.as_deref().filter(|user| !user.is_empty())
        {
            let image = user_of(user)?;
            let gid = self.user_order.gid.clone().or(image.gid);
            spec.user_order = UserOrder { uid: image.uid, gid };
        }
        let signal = config.stop_signal.as_deref().filter(|signal| !signal.is_empty());
        spec.stop_signal = signal.map(signal_of).transpose()?;
        Ok(spec)
    }

    fn command(&self, config: &ImageConfig) -> Result<Vec<CString>, Failure> {
        let words = |list: &Option<Vec<String>>, what| -> Result<Vec<CString>, Failure> {
            list.iter().flatten().map(|text| word(text, what)).collect()
        };
        let (entrypoint, images) = match &self.image.entrypoint {
            Some(_) => (self.entrypoint()?, Vec::new()),
            None => (words(&config.entrypoint, "Entrypoint")?, words(&config.cmd, "Cmd")?),
        };
        let cmd = if self.process.cmd.is_empty() { images } else { self.process.cmd.clone() };
        let whole = [entrypoint, cmd].concat();
        Ok(if whole.is_empty() { vec![c"sh".to_owned()] } else { whole })
    }

    /// The entrypoint that was ordered.
    fn entrypoint(&self) -> Result<Vec<CString>, Failure> {
        let given = self.image.entrypoint.iter().filter(|word| !word.is_empty());
        given.map(|word| c_string(word, "--entrypoint")).collect()
    }

    /// CMD where no image says anything of it.
    ///
    /// # Errors
    /// A NUL byte in the entrypoint that was ordered.
    pub(super) fn with_own_command(mut self) -> Result<Self, Failure> {
        let whole = [self.entrypoint()?, self.process.cmd.clone()].concat();
        self.cmd = if whole.is_empty() { vec![c"sh".to_owned()] } else { whole };
        Ok(self)
    }
}

fn word(text: &str, what: &str) -> Result<CString, Failure> {
    c_string(OsStr::new(text), &format!("the image's {what}"))
}

/// Variables by name: what comes later counts. What was ordered is in the first list too.
fn merged(defaults: &[CString], image: Vec<CString>, ordered: &[CString]) -> Vec<CString> {
    let mut variables: BTreeMap<Vec<u8>, CString> = BTreeMap::new();
    for line in defaults.iter().chain(&image).chain(ordered) {
        let bytes = line.to_bytes();
        let end = bytes.iter().position(|&byte| byte == b'=').unwrap_or(bytes.len());
        variables.insert(bytes[..end].to_vec(), line.clone());
    }
    variables.into_values().collect()
}

/// `USER`, `USER:GROUP`, each a name or a number.
fn user_of(text: &str) -> Result<UserOrder, Failure> {
    let order = |part: &str| -> Result<IdOrder, Failure> {
        let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
        match part.parse::<u32>() {
            Ok(id) if is_number && id != u32::MAX => Ok(IdOrder::Number(id)),
            _ if !part.is_empty() && !is_number => Ok(IdOrder::Name(part.to_owned())),
            _ => Err(Failure::new(format!("the image's User '{}' is nobody", printable(text)))
                .remedy("--uid, or --image-config no")),
        }
    };
    let (user, group) =
        text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    let group = group.filter(|group| !group.is_empty());
    Ok(UserOrder { uid: Some(order(user)?), gid: group.map(order).transpose()? })
}

/// A signal by name or number, with or without SIG, as signal(7) has them, and those of real time.
fn signal_of(text: &str) -> Result<i32, Failure> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let of_real_time = |name: &str| {
        let (from, rest) = match name.strip_prefix("RTMIN") {
            Some(rest) => (sys::REAL_TIME, rest),
            None => (sys::LAST_SIGNAL, name.strip_prefix("RTMAX")?),
        };
        let offset = if rest.is_empty() { 0 } else { rest.parse::<i32>().ok()? };
        Some(from + offset).filter(|number| (sys::REAL_TIME..=sys::LAST_SIGNAL).contains(number))
    };
    let number = || name.parse().ok().filter(|number| (1..=sys::LAST_SIGNAL).contains(number));
    let known = || {
        let whole = format!("SIG{name}");
        whole.parse::<nix::sys::signal::Signal>().ok().map(|signal| signal as i32)
    };
    number().or_else(|| of_real_time(name)).or_else(known).ok_or_else(|| {
        Failure::new(format!("the image's StopSignal '{}' is no signal", printable(text)))
            .remedy("--image-config no")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        let names = ["SIGTERM", "term", "15", "SIGRTMIN+3", "RTMAX-1", "SIGWINCH"];
        let numbers = [15, 15, 15, 37, 63, libc::SIGWINCH];
        for (name, number) in names.into_iter().zip(numbers) {
            assert_eq!(signal_of(name).unwrap(), number, "{name}");
        }
        for wrong in ["", "SIG", "0", "65", "SIGNO", "RTMIN+99", "-1"] {
            assert!(signal_of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_user_is_one_or_two_words() {
        let number = |id| Some(IdOrder::Number(id));
        let name = |name: &str| Some(IdOrder::Name(name.into()));
        let order = |text| user_of(text).map(|order| (order.uid, order.gid)).unwrap();
        assert_eq!(order("1000"), (number(1000), None));
        assert_eq!(order("joe:users"), (name("joe"), name("users")));
        assert_eq!(order("0:33"), (number(0), number(33)));
        assert_eq!(order("joe:"), (name("joe"), None));
        assert!(user_of(":1").is_err() && user_of("4294967295").is_err());
    }
}
