//! The options of the article's program, read as its getopt(3) reads `+hvpmu:ni:`, and two more.

use crate::namespace::{Choice, Namespace, Namespaces, Switch};
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

/// How long the parent waits for the message, as in the article.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    /// The program's name in its messages.
    pub program: String,
    /// `-v`: each step is told.
    pub verbose: Switch,
    /// `-p`, `-m`, `-u`, `-n`, `-i yes`: the new namespaces.
    pub namespaces: Namespaces,
    /// `-u NAME`: the host name in the new UTS namespace.
    pub hostname: Option<String>,
    /// `-i`: whether there is a queue at all.
    pub queue: Switch,
    /// `-c DIR`: the jail.
    pub jail: Option<PathBuf>,
    /// `--reuse`: a queue that is there already is taken.
    pub reuse: Switch,
    /// `--timeout SECONDS`: how long the message is waited for.
    pub patience: Duration,
    /// CMD and its arguments; empty when there is none.
    pub cmd: Vec<CString>,
}

/// A command line that starts nothing.
#[derive(Debug, PartialEq, Eq)]
pub enum Aside {
    /// `-h`: the usage is wanted.
    Help,
    /// A wrong call; a line to say before the usage.
    Wrong(String),
}

/// Reads the words behind the program's name.
///
/// # Errors
/// `-h`, and whatever getopt would complain of.
pub fn parse(program: &str, words: &[OsString]) -> Result<Options, Aside> {
    let mut options = Options {
        program: program.to_owned(),
        verbose: Switch::No,
        namespaces: Namespaces::shared(),
        hostname: None,
        queue: Switch::No,
        jail: None,
        reuse: Switch::No,
        patience: PATIENCE,
        cmd: Vec::new(),
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_bytes() {
            b"--" => break,
            b"--help" => return Err(Aside::Help),
            b"--reuse" => options.reuse = Switch::Yes,
            b"--timeout" => options.patience = seconds(program, words.next())?,
            [b'-', cluster @ ..] if !cluster.is_empty() => options.cluster(cluster, &mut words)?,
            _ => {
                options.cmd.extend(c_string(program, word)?);
                break;
            }
        }
    }
    for word in words {
        options.cmd.extend(c_string(program, word)?);
    }
    Ok(options)
}

impl Options {
    /// A word such as `-vpmu`: letters, the last of which may take the rest of the word, or the
    /// next word, as its argument.
    fn cluster<'a>(
        &mut self,
        cluster: &[u8],
        words: &mut impl Iterator<Item = &'a OsString>,
    ) -> Result<(), Aside> {
        let program = self.program.clone();
        for (at, &letter) in cluster.iter().enumerate() {
            let rest = &cluster[at + 1..];
            let mut argument = || -> Result<String, Aside> {
                let bytes = if rest.is_empty() {
                    words.next().map(|word| word.as_bytes().to_vec())
                } else {
                    Some(rest.to_vec())
                };
                let missing = || {
                    Aside::Wrong(format!(
                        "{program}: option requires an argument -- '{}'",
                        char::from(letter)
                    ))
                };
                bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).ok_or_else(missing)
            };
            match letter {
                b'h' => return Err(Aside::Help),
                b'v' => self.verbose = Switch::Yes,
                b'p' => self.make(Namespace::Pid),
                b'm' => self.make(Namespace::Mount),
                b'n' => self.make(Namespace::Net),
                b'u' => {
                    self.hostname = Some(argument()?);
                    self.make(Namespace::Uts);
                    return Ok(());
                }
                b'i' => {
                    match argument()?.as_str() {
                        "yes" => self.make(Namespace::Ipc),
                        "no" => {}
                        _ => {
                            return Err(Aside::Wrong(format!(
                                "{program}: option requires valid argument -- 'i'"
                            )));
                        }
                    }
                    self.queue = Switch::Yes;
                    return Ok(());
                }
                b'c' => {
                    self.jail = Some(argument()?.into());
                    return Ok(());
                }
                other => {
                    return Err(Aside::Wrong(format!(
                        "{program}: invalid option -- '{}'",
                        char::from(other).escape_default()
                    )));
                }
            }
        }
        Ok(())
    }

    fn make(&mut self, namespace: Namespace) {
        let namespaces = std::mem::replace(&mut self.namespaces, Namespaces::shared());
        self.namespaces = namespaces.with(namespace, Choice::New);
    }
}

fn seconds(program: &str, word: Option<&OsString>) -> Result<Duration, Aside> {
    let number = word.and_then(|word| word.to_str()).and_then(|word| word.parse::<f64>().ok());
    number.and_then(|number| Duration::try_from_secs_f64(number).ok()).ok_or_else(|| {
        Aside::Wrong(format!("{program}: option requires a number of seconds -- 'timeout'"))
    })
}

fn c_string(program: &str, word: &OsString) -> Result<Option<CString>, Aside> {
    CString::new(word.as_bytes())
        .map(Some)
        .map_err(|_| Aside::Wrong(format!("{program}: a NUL byte inside a word")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Options, Aside> {
        parse("invoke_ns", &words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn options_cluster_and_end_at_the_first_word_of_cmd() {
        let options =
            read(&["-vpmu", "box", "-n", "-i", "no", "-cdir", "sh", "-c", "ls -h"]).unwrap();
        assert_eq!(
            options.namespaces.new_ones().map(Namespace::name).collect::<Vec<_>>(),
            ["pid", "mount", "uts", "net"]
        );
        assert_eq!(
            (options.hostname.as_deref(), options.queue, options.verbose),
            (Some("box"), Switch::Yes, Switch::Yes)
        );
        assert_eq!(options.jail, Some("dir".into()));
        assert_eq!(options.cmd, [c"sh".to_owned(), c"-c".to_owned(), c"ls -h".to_owned()]);
        assert!(read(&["-viyes"]).unwrap().namespaces.is_new(Namespace::Ipc));
        assert_eq!(read(&["-v", "--", "-h"]).unwrap().cmd, [c"-h".to_owned()]);
        assert_eq!(
            read(&["-"]).unwrap().cmd,
            [c"-".to_owned()],
            "getopt takes a lone dash for a word"
        );
    }

    #[test]
    fn what_is_wrong_is_said_as_getopt_says_it() {
        assert_eq!(read(&["-h"]), Err(Aside::Help));
        for (words, line) in [
            (vec!["-z"], "invoke_ns: invalid option -- 'z'"),
            (vec!["-i", "maybe"], "invoke_ns: option requires valid argument -- 'i'"),
            (vec!["-i"], "invoke_ns: option requires an argument -- 'i'"),
            (vec!["-vu"], "invoke_ns: option requires an argument -- 'u'"),
        ] {
            assert_eq!(read(&words), Err(Aside::Wrong(line.into())));
        }
    }
}
