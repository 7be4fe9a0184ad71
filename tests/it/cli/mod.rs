//! Options, help, and wrong calls.

mod foreign;
mod names;

use crate::need;
use crate::support::{Rustic, binary};
use std::process::Command;

#[test]
fn rustic_alone_prints_short_help_with_examples() {
    let output = Command::new(binary()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    assert!(text.contains("sudo rustic run --ipc no sh"), "{text}");
    assert!(text.starts_with("A container launcher"), "what it is comes first: {text}");
}

#[test]
fn help_is_a_command_too() {
    for (words, expected) in [
        (&["help"][..], "Commands:"),
        (&["help", "run"], "--ipc"),
        (&["help", "rootfs", "import"], "--replace"),
        (&["verify", "--help"], "Verdicts:"),
    ] {
        let output = Command::new(binary()).args(words).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains(expected), "{words:?}: {text}");
    }
}

#[test]
fn help_says_what_yes_and_no_mean_and_how_others_spell_it() {
    let output = Command::new(binary()).args(["run", "--help"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for word in ["a new namespace (a wall)", "podman", "bubblewrap", "unshare", "125", "126", "127"]
    {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn a_wrong_call_exits_125_and_names_the_word() {
    for (args, word) in [
        (vec!["run", "--nonsense"], "--nonsense"),
        (vec!["run", "--ipc", "maybe", "sh"], "maybe"),
        (vec!["run", "--ipc"], "--ipc"),
        (vec!["run", "--scratch-size", "0", "sh"], "size"),
        (vec!["run", "--caps", "CAP_NONSENSE", "sh"], "CAP_NONSENSE"),
        (vec!["run", "--uid", "4294967295", "sh"], "4294967295"),
        (vec!["run", "--bind", "/etc", "sh"], "SRC:DST"),
        (vec!["run", "--ipc", "no", "--ipc", "yes", "sh"], "--ipc"),
        (vec!["nonsense"], "nonsense"),
    ] {
        let output = Command::new(binary()).args(&args).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(125), "{args:?}: {text}");
        assert!(output.stdout.is_empty());
        assert!(text.starts_with("rustic: ") && text.contains(word), "{args:?}: {text}");
    }
}

/// As engines have it, the root file system first.
#[test]
fn a_first_word_that_names_a_root_is_told() {
    need!(root);
    let dir = crate::support::scratch("meant");
    std::fs::create_dir(dir.join("tree")).unwrap();
    std::fs::write(dir.join("box.tar"), "").unwrap();
    let said = |word: &str| {
        let ran = Rustic::run().opt([word, "sh"]).ran();
        assert_eq!(ran.code, 127, "{ran:?}");
        ran.stderr
    };
    for name in ["tree", "box.tar"] {
        let path = dir.join(name).display().to_string();
        assert!(said(&path).contains(&format!("try   --rootfs {path}")), "{}", said(&path));
    }
    assert!(said("debian:12").contains("skopeo copy docker://debian:12"));
    // A program of the host's is none, nor is what nobody has.
    assert!(!said("/usr/bin/dpkg").contains("--rootfs") && !said("nosuch").contains("try"));
}

#[test]
fn options_end_at_the_first_word_of_cmd() {
    need!(root);
    let out = Rustic::run()
        .opt(["sh", "-c", "echo \"$@\"", "name", "--ipc", "no", "--help", "-v"])
        .ran()
        .ok();
    assert_eq!(out, "--ipc no --help -v\n");
    Rustic::run().opt(["--", "--help"]).ran().fails(127, &["--help"]);
}

#[test]
fn contradictions_are_errors_that_name_both_sides() {
    for (args, words) in [
        (vec!["--mount", "no", "--bind", "/etc:/mnt", "sh"], ["--bind", "--mount no"]),
        (vec!["--mount", "no", "--tmpfs", "/mnt", "sh"], ["--tmpfs", "--mount no"]),
        (vec!["--mount", "no", "--read-only", "sh"], ["--read-only", "--mount no"]),
        (vec!["--mount", "no", "--ephemeral", "sh"], ["--ephemeral", "--mount no"]),
        (vec!["--mount", "no", "--root", "pivot", "sh"], ["--root pivot", "--mount yes"]),
        (vec!["--uts", "no", "--hostname", "box", "sh"], ["--hostname", "--uts no"]),
    ] {
        Rustic::run().opt(args).ran().fails(125, &words);
    }
}

#[test]
fn bad_input_is_named() {
    for (args, word) in [
        (vec!["--rootfs", "/nonexistent", "sh"], "/nonexistent"),
        (vec!["--rootfs", "/dev/null", "sh"], "/dev/null"),
        (vec!["--bind", "/nonexistent:/mnt", "sh"], "/nonexistent"),
        (vec!["--bind", "/etc:/", "sh"], "--bind: /"),
        (vec!["--bind", "/etc:/a/../b", "sh"], "/a/../b"),
        (vec!["--tmpfs", "relative", "sh"], "relative"),
        (vec!["--workdir", "relative", "sh"], "relative"),
        (vec!["--hostname", "two words", "sh"], "two words"),
        (vec!["--env", "NOT_THERE", "sh"], "NOT_THERE"),
    ] {
        Rustic::run().opt(args).ran().fails(125, &[word]);
    }
}

#[test]
fn colour_follows_the_flag_and_the_environment() {
    let shown = |args: &[&str], env: &[(&str, &str)]| {
        let output = Command::new(binary())
            .args(args)
            .args(["run", "--rootfs", "/nonexistent", "sh"])
            .envs(env.iter().copied())
            .output()
            .unwrap();
        output.stderr.contains(&0x1b)
    };
    assert!(!shown(&[], &[]), "stderr is a pipe");
    assert!(shown(&["--color", "always"], &[]));
    assert!(shown(&[], &[("CLICOLOR_FORCE", "1")]));
    assert!(!shown(&["--color", "never"], &[("CLICOLOR_FORCE", "1")]));
}

#[test]
fn a_hidden_command_names_the_descriptor_that_is_not_there() {
    for args in [
        // The standard streams are nobody's to take.
        vec!["__init", "-1", "0", "true"],
        vec!["__init", "0", "0", "true"],
        vec!["__init", "2", "0", "true"],
        vec!["__init", "3", "0", "true"],
        vec!["__init", "999", "0", "true"],
        vec!["__probe", "0"],
        vec!["__probe", "2", "whose"],
        vec!["__probe", "3"],
        vec!["__probe", "999"],
    ] {
        refused(&args, &format!("{} {}: no such descriptor", args[0], args[1]));
    }
    refused(&["__probe", "--", "-1"], "__probe -1: no such descriptor");
}

#[test]
fn a_hidden_command_refuses_words_that_rustic_does_not_give() {
    for args in [
        vec!["__init"],
        vec!["__init", "3"],
        vec!["__init", "3", "0"],
        vec!["__init", "x", "0", "true"],
        vec!["__init", "3", "x", "true"],
        vec!["__init", "3", "-1", "true"],
        vec!["__init", "4294967296", "0", "true"],
    ] {
        refused(&args, "__init: expected DESCRIPTOR STEP CMD");
    }
    for args in [
        vec!["__probe"],
        vec!["__probe", "-1"],
        vec!["__probe", "x"],
        vec!["__probe", "4294967296"],
    ] {
        refused(&args, args.get(1).copied().unwrap_or("CHANNEL"));
    }
}

/// Ends with 125 and one error that says `word`, without stdout, and by itself.
fn refused(args: &[&str], word: &str) {
    let output = Command::new(binary()).args(args).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(125), "{args:?}: {text}");
    assert!(output.stdout.is_empty(), "{args:?}");
    assert!(text.starts_with("rustic: ") && text.contains(word), "{args:?}: {text}");
    assert_eq!(text.matches("rustic: ").count(), 1, "{args:?}: {text}");
}
