//! The words of other launchers, and of the backup program of the same name.

use crate::support::{Rustic, binary};
use std::process::Command;

/// Words as people type them, and what must be in the answer.
const WORDS: [(&str, &str); 82] = [
    ("-it sh", "not needed"),
    ("--rm sh", "not needed"),
    ("--privileged sh", "--caps all --seccomp none"),
    ("-v /a:/b sh", "--bind /a:/b"),
    ("-v ./a:/b sh", "--bind ./a:/b"),
    ("--memory 1G sh", "MemoryMax"),
    ("-m 1G sh", "MemoryMax"),
    ("--memory=1G sh", "MemoryMax"),
    ("--cpus 2 sh", "CPUQuota"),
    ("--pids-limit 10 sh", "TasksMax"),
    ("--ulimit nofile=10 sh", "prlimit"),
    ("-p 80:80 sh", "--net no"),
    ("-p80:80 sh", "--net no"),
    ("--publish=80:80 sh", "--net no"),
    ("-d sh", "systemd-run"),
    ("--detach sh", "systemd-run"),
    ("--name box sh", "--info-fd"),
    ("--network host sh", "--net no"),
    ("--network=none sh", "--net yes"),
    ("--device /dev/fuse sh", "--bind /dev/NAME"),
    ("--gpus all sh", "--bind"),
    ("--dns 1.1.1.1 sh", "/etc/resolv.conf"),
    ("--add-host a:b sh", "/etc/hosts"),
    ("--env-file x sh", "--env NAME=VALUE"),
    ("-e A=1 sh", "--env NAME=VALUE"),
    ("--volume /a:/b sh", "--bind SRC:DST"),
    ("--mount type=bind,source=/a,target=/b sh", "--bind SRC:DST"),
    ("-u 1000 sh", "--uid"),
    ("-w /tmp sh", "--workdir"),
    ("--group-add 7 sh", "--groups keep"),
    ("--cap-add SYS_ADMIN sh", "--caps"),
    ("--cap-drop ALL sh", "--caps"),
    ("--security-opt seccomp=unconfined sh", "--seccomp"),
    ("--userns keep-id sh", "--user yes"),
    ("--cgroupns host sh", "--cgroup"),
    ("--restart always sh", "systemd"),
    ("--pull never sh", "skopeo"),
    ("--label a=b sh", "nothing is kept"),
    ("--stop-signal INT sh", "is passed on"),
    ("--arch arm64 sh", "--platform"),
    ("--seccomp profile.json sh", "not taken yet"),
    ("--net host sh", "'no'"),
    ("--ipc private sh", "'yes'"),
    ("--user 1000 sh", "--uid"),
    ("--net container:x sh", "/proc/PID/ns/net"),
    ("--ro-bind / / sh", "--bind SRC:DST:ro"),
    ("--dev-bind /dev /dev sh", "--bind SRC:DST"),
    ("--dev /dev sh", "not needed"),
    ("--proc /proc sh", "without being asked"),
    ("--unshare-all sh", "not needed"),
    ("--unshare-user sh", "--user yes"),
    ("--share-net sh", "--net no"),
    ("--die-with-parent sh", "not needed"),
    ("--new-session sh", "not needed"),
    ("--setenv A 1 sh", "--env NAME=VALUE"),
    ("--clearenv sh", "not needed"),
    ("--chdir /tmp sh", "--workdir"),
    ("--symlink usr/lib /lib sh", "--rootfs"),
    ("-D /srv sh", "--rootfs"),
    ("--directory=/srv sh", "--rootfs"),
    ("-b", "--caps all"),
    ("-x sh", "--ephemeral"),
    ("--fork sh", "not needed"),
    ("-r sh", "--user yes"),
    ("-U sh", "--user yes"),
    ("--inaccessible=/etc/shadow sh", "--hide"),
    ("--network-namespace-path=/x sh", "--net"),
    ("--no-new-privileges=no sh", "--new-privs"),
    ("--notify-ready=yes sh", "--ready app"),
    ("--setuid 1000 sh", "--uid"),
    ("--setgid=1000 sh", "--gid"),
    ("--keep-caps sh", "--caps all"),
    ("--boottime 100 sh", "--time yes"),
    ("--wd=/tmp sh", "--workdir"),
    ("--sdnotify=container sh", "--ready app"),
    ("--size 1 sh", "--tmpfs"),
    ("--secret x sh", "podman"),
    ("--oom-score-adj 1 sh", "prlimit"),
    ("--uidmap 0:1:1 sh", "--user yes"),
    ("-n sh", "--net yes"),
    ("-v work:/work sh", "--bind work:/work"),
    ("--cap-add NET_RAW sh", "default,CAP"),
];

#[test]
fn a_word_of_another_launcher_gets_rustics_or_what_to_use() {
    for (words, expected) in WORDS {
        let ran = Rustic::run().opt(words.split(' ')).ran();
        assert!(!ran.stderr.contains("unexpected argument"), "{words}: {ran:?}");
        ran.fails(125, &[expected]);
    }
    // verify has the same options, and keeps its own exit code for a wrong call.
    Rustic::command("verify").opt(["--memory", "1G"]).ran().fails(2, &["MemoryMax"]);
    Rustic::run().opt(["--nonsense", "sh"]).ran().fails(125, &["unexpected argument"]);
}

/// The answers name options that are there.
#[test]
fn what_is_answered_can_be_typed() {
    let help = Rustic::run().opt(["--help"]).ran().ok();
    for (words, _) in WORDS {
        let said = Rustic::run().opt(words.split(' ')).ran().stderr;
        let said = said.split_once("  try   ").map_or("", |(_, remedy)| remedy);
        let outside = ["--scope", "--slice", "--help", "--all", "--target", "--as", "--NAME"];
        for word in said.split(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
            if word.starts_with("--") && !outside.contains(&word) {
                assert!(help.contains(word), "{words}: {word} is no option: {said}");
            }
        }
    }
}

#[test]
fn a_command_of_another_program_is_named() {
    for (word, expected) in [
        ("backup", "makes backups"),
        ("snapshots", "makes backups"),
        ("restore", "makes backups"),
        ("forget", "makes backups"),
        ("check", "makes backups"),
        ("pull", "skopeo"),
        ("build", "buildah"),
        ("exec", "nsenter"),
        ("ps", "no name"),
        ("images", "rootfs list"),
        ("load", "rootfs import"),
        ("rmi", "rootfs rm"),
    ] {
        let output = Command::new(binary()).arg(word).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(125), "{word}: {text}");
        assert!(text.starts_with("rustic: ") && text.contains(expected), "{word}: {text}");
        assert!(!text.contains("unrecognized"), "{word}: {text}");
    }
}
