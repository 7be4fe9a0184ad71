//! What is behind a stream cannot be changed from inside.

use super::{null, opened, ran, state};
use crate::need;
use crate::support::{binary, payload, scratch};
use rustix::fs::{FileType, Mode, OFlags, makedev, mknodat};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What stands behind a stream: a way to open it.
type Behind = (&'static str, fn(&Path) -> File);

fn prepared(kind: &str, dir: &Path) -> PathBuf {
    let path = dir.join(kind.replace(' ', "-"));
    let device = |major, minor| {
        let (kind, mode) = (FileType::CharacterDevice, Mode::from_raw_mode(0o666));
        mknodat(rustix::fs::CWD, &path, kind, mode, makedev(major, minor)).unwrap();
    };
    match kind {
        "null device" => device(1, 3),
        // A device that is none of the container's own: its number is in /proc/misc.
        "other device" => device(10, minor_of("fuse")),
        "fifo" => {
            mknodat(rustix::fs::CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap()
        }
        _ => fs::write(&path, "before\n").unwrap(),
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    path
}

fn minor_of(device: &str) -> u32 {
    let misc = fs::read_to_string("/proc/misc").unwrap();
    let line = misc.lines().find_map(|line| line.trim().strip_suffix(device));
    line.and_then(|number| number.trim().parse().ok()).unwrap()
}

const BEHIND: [Behind; 7] = [
    ("read-only file", |path| opened(path, OFlags::RDONLY)),
    ("append log", |path| opened(path, OFlags::WRONLY | OFlags::APPEND)),
    ("written file", |path| opened(path, OFlags::WRONLY)),
    ("read and written file", |path| opened(path, OFlags::RDWR)),
    ("null device", |path| opened(path, OFlags::RDWR)),
    ("other device", |path| opened(path, OFlags::RDWR)),
    ("fifo", |path| opened(path, OFlags::RDWR)),
];

#[test]
fn nothing_behind_a_stream_can_be_changed_from_inside_but_with_stdio_inherit() {
    need!(root);
    let settings: [&[&str]; 5] = [
        &[],
        &["--caps", "all"],
        &["--user", "yes"],
        &["--pid", "no"],
        &["--rootfs", "/", "--read-only=strict"],
    ];
    for (kind, open) in BEHIND {
        for options in settings {
            for number in 0..3 {
                let path = prepared(kind, &scratch("streams"));
                let before = state(&path);
                let kept = open(&path);
                let mut streams = [null(), null(), null()];
                streams[number] = kept.try_clone().unwrap().into();
                let cmd = match options.first() {
                    Some(&"--rootfs") => payload().display().to_string(),
                    _ => "/mnt/payload".to_owned(),
                };
                // The host's tree has the program already, and no place to bind it to.
                let output = if options.first() == Some(&"--rootfs") {
                    let [input, output, errors] = streams;
                    let mut command = Command::new(binary());
                    command.arg("run").args(options).args([&cmd, "change-streams"]);
                    command.stdin(input).stdout(output).stderr(errors).output().unwrap()
                } else {
                    ran(options, &[&cmd, "change-streams"], streams)
                };
                assert_eq!(
                    output.status.code(),
                    Some(0),
                    "{kind} {options:?} {number}: {output:?}"
                );
                let mut after = state(&path);
                // What CMD writes to a file that it was given to write to arrives, and no more.
                if kind.contains("written") || kind == "append log" {
                    after.4 = before.4;
                    assert!(after.6.len() >= before.6.len() || kind != "append log");
                    (after.3, after.6) = (before.3, before.6.clone());
                }
                assert_eq!(after, before, "{kind} as {number}, {options:?}");
            }
        }
        // The control: passed as it is, it is changed. The others are pipes: the host's null device
        // would be changed with it.
        let path = prepared(kind, &scratch("inherited"));
        let (before, kept) = (state(&path), open(&path));
        let output = ran(
            &["--stdio", "inherit"],
            &["/mnt/payload", "change-streams"],
            [kept.into(), Stdio::piped(), Stdio::piped()],
        );
        assert_eq!(output.status.code(), Some(0), "{kind}: {output:?}");
        assert_ne!(state(&path), before, "{kind}");
    }
}
