//! The values of options: what each may be, and what another launcher calls it.

use crate::namespace::Switch;
use crate::rootfs::entry::EntryPath;
use crate::rootfs::image::Platform;
use crate::spec::{
    Capabilities, IDS_OF_A_RANGE, IdOrder, Ids, ProcView, Ready, RootSwitch, Seccomp, Stdio,
    Supplementary, Sysctl, Variable, Writing,
};
use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Command};
use std::ffi::{OsStr, OsString};
use std::time::Duration;

/// The values of an option, of which some are a few words that a shell can complete.
#[derive(Clone)]
pub(super) struct Completed<P> {
    words: &'static [&'static str],
    parser: P,
}

/// A parser whose usual values are these words.
pub(super) fn completed<P: TypedValueParser>(
    words: &'static [&'static str],
    parser: P,
) -> Completed<P> {
    Completed { words, parser }
}

impl<P: TypedValueParser> TypedValueParser for Completed<P> {
    type Value = P::Value;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Self::Value, clap::Error> {
        self.parser.parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.words.iter().map(|word| PossibleValue::new(*word))))
    }
}

pub(super) fn switch(text: &str) -> Result<Switch, String> {
    match text {
        "yes" => Ok(Switch::Yes),
        "no" => Ok(Switch::No),
        _ => Err("say 'yes' or 'no'".into()),
    }
}

pub(super) fn groups(text: &str) -> Result<Supplementary, String> {
    match text {
        "keep" => Ok(Supplementary::Kept),
        _ => Err("say 'keep', or nothing: they are given up".into()),
    }
}

/// Each block of 65,536 has a lock.
const MOST_IDS: u32 = 1 << 24;

/// A range of ids outside, `START[:COUNT]`.
pub(super) fn ids(text: &str) -> Result<Ids, String> {
    let (start, count) = text.split_once(':').unwrap_or((text, ""));
    let number = |text: &str| {
        text.parse::<u32>().map_err(|_| format!("'{text}' is no number of ids; say START[:COUNT]"))
    };
    let ids = Ids {
        start: number(start)?,
        count: if count.is_empty() { IDS_OF_A_RANGE } else { number(count)? },
    };
    let end = u64::from(ids.start) + u64::from(ids.count);
    match (ids.start, ids.count) {
        (0, _) => Err("0 outside is the host's root".into()),
        (_, 0) => Err("a range has at least one id".into()),
        (_, count) if count > MOST_IDS => Err(format!("a range has at most {MOST_IDS} ids")),
        // 4294967295 is no id, setreuid(2).
        _ if end > u64::from(u32::MAX) => Err("the range ends behind the last id".into()),
        _ => Ok(ids),
    }
}

pub(super) fn root_switch(text: &str) -> Result<RootSwitch, String> {
    match text {
        "pivot" => Ok(RootSwitch::Pivot),
        "chroot" => Ok(RootSwitch::Chroot),
        _ => Err("say 'pivot' or 'chroot'".into()),
    }
}

pub(super) fn read_only(text: &str) -> Result<Writing, String> {
    match text {
        "" => Ok(Writing::Refused),
        "strict" => Ok(Writing::Strict),
        _ => Err("say --read-only, or --read-only=strict".into()),
    }
}

pub(super) fn ready(text: &str) -> Result<Ready, String> {
    match text {
        "queue" => Ok(Ready::Queue),
        "app" => Ok(Ready::App),
        "none" => Ok(Ready::None),
        _ => Err("say 'queue', 'app' or 'none'".into()),
    }
}

pub(super) fn seccomp(text: &str) -> Result<Seccomp, String> {
    match text {
        "default" => Ok(Seccomp::Default),
        "none" | "unconfined" => Ok(Seccomp::None),
        other if other.ends_with(".json") || other.parse::<u32>().is_ok() => {
            Err("profiles of others are not taken yet; say 'default' or 'none'".into())
        }
        _ => Err("say 'default' or 'none'".into()),
    }
}

pub(super) fn proc_view(text: &str) -> Result<ProcView, String> {
    match text {
        "masked" | "default" => Ok(ProcView::Masked),
        "open" | "unmasked" => Ok(ProcView::Open),
        path if path.starts_with('/') => {
            Err("/proc is the container's own without being asked for".into())
        }
        _ => Err("say 'masked' or 'open'".into()),
    }
}

pub(super) fn stdio(text: &str) -> Result<Stdio, String> {
    match text {
        "guarded" => Ok(Stdio::Guarded),
        "inherit" => Ok(Stdio::Inherit),
        _ => Err("say 'guarded' or 'inherit'".into()),
    }
}

pub(super) fn sysctl(text: &str) -> Result<Sysctl, String> {
    match text.split_once('=') {
        // A write of no bytes would change nothing, and be no error.
        Some((key, value)) if !key.is_empty() && !value.is_empty() => {
            Ok(Sysctl { key: key.to_owned(), value: value.to_owned() })
        }
        _ => Err("a kernel parameter is KEY=VALUE, as net.ipv4.ip_forward=1".into()),
    }
}

/// A length of time: a number and its unit.
pub(super) fn age(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let seconds: u64 = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return Err("a length of time is a number with s, min, h, d or w".into()),
    };
    if number.is_empty() {
        return Err("it has no number".into());
    }
    let number: Option<u64> = number.parse().ok();
    number
        .and_then(|number| number.checked_mul(seconds))
        .map(Duration::from_secs)
        .ok_or_else(|| "it is too long".into())
}

/// A directory of an archive: plain components.
pub(super) fn sub(text: &str) -> Result<String, String> {
    let place = EntryPath::of(text.as_bytes()).map_err(|rule| rule.to_string())?;
    match std::str::from_utf8(place.bytes()) {
        Ok(path) if !path.is_empty() => Ok(path.to_owned()),
        _ => Err("it is the whole archive".into()),
    }
}

/// The platform of an image.
pub(super) fn platform(text: &str) -> Result<Platform, String> {
    Platform::of(text).ok_or_else(|| "a platform is OS/ARCH, as linux/arm64".into())
}

/// A user or a group: decimal digits and nothing else are a number. crun's CVE-2026-30892 made root
/// of `--user 1`, and 4294967295 means "unchanged" to setuid.
pub(super) fn user(text: &str) -> Result<IdOrder, String> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u32>() {
        _ if text == "keep" => Ok(IdOrder::Keep),
        Ok(id) if is_number && id != u32::MAX => Ok(IdOrder::Number(id)),
        _ if is_name(text) => Ok(IdOrder::Name(text.to_owned())),
        _ => {
            Err("say a number from 0 to 4294967294, a name of the image's, or 'keep'; a group of \
                  its own is --gid"
                .into())
        }
    }
}

/// Whether passwd(5) can have it, and no number was meant.
fn is_name(text: &str) -> bool {
    let fits = |c: char| !c.is_control() && !matches!(c, ':' | ',' | '/') && !c.is_whitespace();
    text.starts_with(|c: char| !c.is_ascii_digit() && !matches!(c, '-' | '+'))
        && text.chars().all(fits)
}

pub(super) fn variable(text: OsString) -> Result<Variable, String> {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let bytes = text.as_bytes();
    match bytes.iter().position(|&byte| byte == b'=') {
        Some(0) => Err("a variable needs a name".into()),
        Some(at) => Ok(Variable::Set(
            OsString::from_vec(bytes[..at].to_vec()),
            OsString::from_vec(bytes[at + 1..].to_vec()),
        )),
        None if bytes.is_empty() => Err("a variable needs a name".into()),
        None => Ok(Variable::PassOn(text)),
    }
}

pub(super) fn capabilities(text: &str) -> Result<Capabilities, String> {
    match text {
        "default" => Ok(Capabilities::Default),
        "none" => Ok(Capabilities::None),
        "all" => Ok(Capabilities::All),
        list => {
            let mut words: Vec<&str> = list.split(',').collect();
            let all = words.len();
            words.retain(|word| *word != "default");
            let and =
                if words.len() < all { Capabilities::DefaultAnd } else { Capabilities::Named };
            let named = words.into_iter().map(|name| {
                let upper = name.trim().to_ascii_uppercase();
                let full = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
                full.parse::<caps::Capability>()
                    .map_err(|_| format!("no capability is called '{name}', see capabilities(7)"))
            });
            named.collect::<Result<Vec<_>, _>>().map(and)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_decimal_digits_or_a_name_and_nothing_between() {
        for wrong in [
            "",
            "1:",
            ":1",
            "0x0",
            "-1",
            "+1",
            "1 ",
            " 1",
            "4294967295",
            "4294967296",
            "1\n",
            "a:b",
            "1a",
            "a b",
        ] {
            assert!(user(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(user("01"), Ok(IdOrder::Number(1)));
        assert_eq!(user("4294967294"), Ok(IdOrder::Number(4_294_967_294)));
        assert_eq!(user("keep"), Ok(IdOrder::Keep));
        assert_eq!(user("www-data"), Ok(IdOrder::Name("www-data".into())));
    }
}
