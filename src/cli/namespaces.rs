//! An option for each namespace, made from the one table of them.

use super::values::completed;
use crate::namespace::{Choice, Namespace};
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use std::ffi::OsString;

const HEADING: &str = "Namespaces (yes = new, no = share the caller's, PATH = join that one)";

/// What is chosen for each namespace, in the order of the table; `None` where nothing was said.
pub(super) struct NamespaceOptions(pub [Option<Choice>; Namespace::ALL.len()]);

impl Args for NamespaceOptions {
    fn augment_args(command: Command) -> Command {
        command.args(Namespace::ALL.map(option))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for NamespaceOptions {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(Namespace::ALL.map(|namespace| matches.get_one(namespace.name()).cloned())))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn option(namespace: Namespace) -> Arg {
    let value = if namespace == Namespace::Mount { "yes|no" } else { "yes|no|PATH" };
    Arg::new(namespace.name())
        .long(namespace.name())
        .value_name(value)
        .help(namespace.about())
        .help_heading(HEADING)
        .value_parser(completed(
            &["yes", "no"],
            OsStringValueParser::new().try_map(move |word| choice(namespace, &word)),
        ))
}

/// A value with a slash in it is a path, as everywhere in rustic.
fn choice(namespace: Namespace, word: &OsString) -> Result<Choice, String> {
    let is_path = word.as_encoded_bytes().contains(&b'/');
    match word.to_str() {
        Some("yes") => Ok(Choice::New),
        Some("no") => Ok(Choice::Shared),
        Some(mount) if mount.starts_with("type=") => {
            Err("what is mounted is --bind SRC:DST[:ro], --tmpfs DST or --overlay DIR:DST".into())
        }
        _ if is_path && namespace == Namespace::Mount => {
            Err("a mount namespace is new or shared; another's cannot be joined".into())
        }
        _ if is_path => Ok(Choice::Join(word.into())),
        Some("host") => Err("'host' is spelled 'no': share the caller's".into()),
        Some("private" | "none") => Err("it is spelled 'yes': a new one".into()),
        Some(ids) if ids.bytes().all(|byte| byte.is_ascii_digit() || byte == b':') => {
            Err("say 'yes' or 'no' for the namespace; the ids of CMD are --uid and --gid".into())
        }
        Some(other) if other.starts_with("ns:") || other.starts_with("container:") => {
            Err("a namespace is joined by its file, as /proc/PID/ns/net".into())
        }
        _ => {
            Err("say 'yes' (a new one), 'no' (share the caller's) or a path (join that one)".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_namespace_of_the_table_has_its_option() {
        let command = NamespaceOptions::augment_args(Command::new("run"));
        for namespace in Namespace::ALL {
            for (word, wanted) in [("yes", Choice::New), ("no", Choice::Shared)] {
                let argv = ["run".to_owned(), format!("--{}", namespace.name()), word.to_owned()];
                let matches = command.clone().try_get_matches_from(argv).unwrap();
                let NamespaceOptions(given) = NamespaceOptions::from_arg_matches(&matches).unwrap();
                assert_eq!(given[namespace as usize], Some(wanted));
                assert_eq!(given.iter().flatten().count(), 1);
            }
        }
    }
}
