//! `rustic run` and its options beside those of a container.

use super::container::Container;
use crate::error::Failure;
use crate::spec::{RunOptions, Verbosity};
use clap::{Args, ValueHint};
use std::ffi::OsString;
use std::time::Duration;

pub(super) const NOTES: &str = "\
yes and no: 'yes' makes a new namespace (a wall), 'no' shares the caller's (a door). The same elsewhere:
  rustic        podman           bubblewrap                  unshare
  --pid yes     --pid private    --unshare-pid               --pid --fork
  --net no      --net host       --share-net                 (no --net)
  --ipc no      --ipc host       (no --unshare-ipc)          (no --ipc)
  --uts no      --uts host       (no --unshare-uts)          (no --uts)
  --user yes    --userns auto    --unshare-user              --user --map-root-user
  --cgroup no   --cgroupns host  (no --unshare-cgroup)       (no --cgroup)

--mount no and --time yes: podman and bubblewrap have no such choice; unshare has (no --mount) and --time.

Exit code: that of CMD; 128+n when signal n ended it; 125 rustic failed or was called wrongly; 126 CMD cannot be run; 127 CMD not found.
In a terminal, ^] three times within a second ends the container.";

#[derive(Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    container: Container,

    /// How long to wait for it, in seconds
    #[arg(
        long, value_name = "SECONDS", default_value = "60",
        value_parser = clap::value_parser!(u32).range(1..), help_heading = "Readiness",
    )]
    ready_timeout: u32,

    /// Write started, ready and exited to this descriptor, a JSON object a line
    #[arg(
        long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..),
        help_heading = "Readiness",
    )]
    info_fd: Option<i32>,

    /// Say what happens, on stderr
    #[arg(short, long, help_heading = "Verbosity")]
    verbose: bool,
    /// Say each step as it happens: its side, its call, the reason, the manual page
    #[arg(long, help_heading = "Verbosity")]
    explain: bool,
    /// Print the same steps, and take none
    #[arg(long, help_heading = "Verbosity")]
    dry_run: bool,

    #[arg(long, hide = true)]
    probe: Option<i32>,

    /// The command and its arguments; options end at its first word [default: sh]
    #[arg(value_name = "CMD", trailing_var_arg = true, value_hint = ValueHint::CommandWithArguments)]
    cmd: Vec<OsString>,
}

impl RunArgs {
    /// Another launcher's `-v SRC:DST`, which here is `-v` and a command of that name. Right behind
    /// `--` it is CMD, whatever it looks like.
    pub(super) fn foreign(&self, args: &[OsString]) -> Option<Failure> {
        let before = args.strip_suffix(&self.cmd[..]).and_then(<[OsString]>::last);
        if before.is_some_and(|word| word == "--") {
            return None;
        }
        let first = self.cmd.first().filter(|_| self.verbose)?.to_string_lossy();
        looks_like_a_volume(&first).then(|| {
            Failure::new("-v says what happens, and is not needed for what is shown inside")
                .remedy(format!("--bind {first}"))
        })
    }

    pub(super) fn wanted(self) -> RunOptions {
        let container = self.container.wanted();
        RunOptions {
            first: match self.probe {
                Some(channel) => container.first.with_probe(channel),
                None => container.first,
            },
            ready_timeout: Duration::from_secs(self.ready_timeout.into()),
            info_fd: self.info_fd,
            talk: match (self.dry_run, self.explain, self.verbose) {
                (true, _, _) => Verbosity::DryRun,
                (_, true, _) => Verbosity::Steps,
                (_, _, true) => Verbosity::Story,
                _ => Verbosity::Quiet,
            },
            cmd: self.cmd,
            ..container
        }
    }
}

fn looks_like_a_volume(word: &str) -> bool {
    word.split_once(":/").is_some_and(|(source, _)| !source.is_empty())
}

#[cfg(test)]
mod tests {
    use crate::cli::{Asked, parse};
    use std::ffi::OsString;

    fn is_refused(words: &str) -> bool {
        let words = ["rustic", "run"].into_iter().chain(words.split(' ')).map(OsString::from);
        matches!(parse(words).0, Asked::Refused(_))
    }

    #[test]
    fn a_volume_of_others_is_told_from_cmd_behind_two_dashes() {
        assert!(is_refused("-v /a:/b image true"));
        assert!(is_refused("-v /a:/b image sh -c x -- y"));
        assert!(!is_refused("-v -- /a:/b"));
        assert!(!is_refused("-v -- /a:/b -- y"));
    }
}
