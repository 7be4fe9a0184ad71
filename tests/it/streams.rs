//! The standard streams: what is behind them cannot be changed from inside, and works as it would
//! outside.

use crate::need;
use crate::support::{Rustic, binary, host, payload, scratch, shared};
use rustix::fs::{FileType, Mode, OFlags, getxattr, makedev, mknodat, open};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What could be changed of a file: mode, owner, size, time, attribute, content.
fn state(path: &Path) -> (u32, u32, u32, u64, i64, bool, Vec<u8>) {
    let stat = fs::symlink_metadata(path).unwrap();
    let attribute = getxattr(path, "user.changed", &mut [0; 8][..]).is_ok();
    let content = if stat.is_file() { fs::read(path).unwrap() } else { Vec::new() };
    (stat.mode(), stat.uid(), stat.gid(), stat.size(), stat.mtime(), attribute, content)
}

/// Runs CMD with what is opened by `streams` as stdin, stdout and stderr.
fn ran(options: &[&str], cmd: &[&str], streams: [Stdio; 3]) -> Output {
    let [input, output, errors] = streams;
    let bind = format!("{}:/mnt/payload", payload().display());
    let mut command = Command::new(binary());
    command.arg("run").args(options).args(["--bind", &bind]).args(cmd);
    command.env("RUSTIC_STORE", shared().join("store"));
    command.stdin(input).stdout(output).stderr(errors).output().unwrap()
}

fn null() -> Stdio {
    Stdio::null()
}

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

fn opened(path: &Path, flags: OFlags) -> File {
    open(path, flags | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).unwrap().into()
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
        &["--rootfs", "/", "--read-only"],
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

#[test]
fn a_log_only_grows_and_a_file_is_written_where_its_writer_stands() {
    need!(root);
    let path = scratch("log").join("log");
    fs::write(&path, "first\n").unwrap();
    let append = OpenOptions::new().append(true).open(&path).unwrap();
    let script = "echo second; exec 3>/proc/self/fd/1; echo third >&3";
    assert_eq!(
        ran(&[], &["sh", "-c", script], [null(), append.into(), null()]).status.code(),
        Some(0)
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "first\nsecond\nthird\n");

    let mut writer = OpenOptions::new().write(true).open(&path).unwrap();
    writer.write_all(b"FIRST").unwrap();
    let status =
        ran(&[], &["printf", "+two"], [null(), writer.try_clone().unwrap().into(), null()]);
    assert_eq!(status.status.code(), Some(0));
    writer.write_all(b"+three").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "FIRST+two+threeird\n");
}

#[test]
fn what_is_not_read_is_left_for_who_reads_next() {
    need!(root);
    let path = scratch("lines").join("lines");
    let lines: String = (1..=5000).map(|n| format!("line {n}\n")).collect();
    fs::write(&path, &lines).unwrap();
    for (options, rest) in [(&["head", "-n1"][..], "line 2\n"), (&["true"], "line 1\n")] {
        for write in [false, true] {
            // Opened for reading it is a view; for both, a pipe whose rest is given back.
            let mut file = OpenOptions::new().read(true).write(write).open(&path).unwrap();
            let stdin = file.try_clone().unwrap().into();
            let output = ran(&[], options, [stdin, Stdio::piped(), Stdio::piped()]);
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            let mut left = String::new();
            file.read_to_string(&mut left).unwrap();
            // Through a pipe head cannot put back what it has read ahead, as outside.
            assert!(left.starts_with(rest) || write && options[0] == "head", "{options:?} {write}");
            assert!(lines.ends_with(&left));
        }
    }
    // As a plain user too, whose child opens the view.
    let mut file = File::open(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let mut command = Rustic::run().nobody().opt(["head", "-n1"]).std();
    let output = command.stdin(file.try_clone().unwrap()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "line 1\n", "{output:?}");
    assert_eq!(file.stream_position().unwrap(), "line 1\n".len() as u64);
}

#[test]
fn one_file_behind_two_streams_keeps_the_order_of_what_is_written() {
    need!(root);
    let path = scratch("order").join("log");
    let log = File::create(&path).unwrap();
    let script =
        "i=0; while [ $i -lt 40000 ]; do echo $i; i=$((i+1)); echo $i >&2; i=$((i+1)); done";
    let streams = [null(), log.try_clone().unwrap().into(), log.into()];
    assert_eq!(ran(&[], &["sh", "-c", script], streams).status.code(), Some(0));
    let numbers: Vec<u32> =
        fs::read_to_string(&path).unwrap().lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(numbers, (0..40000).collect::<Vec<_>>());
}

#[test]
fn a_full_disk_behind_a_stream_is_an_error_and_not_0() {
    need!(root);
    let script = "mount -t tmpfs -o size=64k small $DIR && $RUSTIC run sh -c \
        'dd if=/dev/zero bs=1k count=200 2>/dev/null; true' >$DIR/file; echo $?; stat -c %s $DIR/file";
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .env("RUSTIC", binary())
        .env("RUSTIC_STORE", shared().join("store"))
        .env("DIR", scratch("full"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "125\n65536\n", "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("cannot write all of CMD's stdout: ENOSPC"), "{said}");
}

#[test]
fn seekable_input_is_seekable_inside() {
    need!(root);
    let dir = scratch("seek");
    fs::write(dir.join("in"), "b\na\nc\n").unwrap();
    host("tar", ["-cf", dir.join("t.tar").to_str().unwrap(), "-C", dir.to_str().unwrap(), "in"]);
    for (cmd, file, expected) in [
        ("sort", "in", "a\nb\nc\n"),
        ("dd bs=2 skip=1 count=1 2>/dev/null", "in", "a\n"),
        ("tar -t", "t.tar", "in\n"),
        ("stat -L -c %s /proc/self/fd/0", "in", "6\n"),
    ] {
        let stdin = File::open(dir.join(file)).unwrap().into();
        let output = ran(&[], &["sh", "-c", cmd], [stdin, Stdio::piped(), Stdio::piped()]);
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{cmd}: {output:?}");
    }
}

#[test]
fn a_stream_that_is_a_way_around_every_wall_is_refused_by_its_kind() {
    need!(root);
    let refused = |stream: File, kind: &str| {
        let output = ran(&[], &["true"], [stream.into(), Stdio::piped(), Stdio::piped()]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(125), "{kind}: {said}");
        assert!(said.contains(&format!("stdin is {kind}")) && said.contains("--stdio inherit"));
    };
    refused(opened(Path::new("/"), OFlags::RDONLY), "a directory");
    refused(opened(Path::new("/proc/self/ns/net"), OFlags::RDONLY), "a namespace");
    refused(opened(Path::new("/etc/passwd"), OFlags::PATH), "an O_PATH descriptor");
    let me = rustix::process::getpid();
    let pidfd = rustix::process::pidfd_open(me, rustix::process::PidfdFlags::empty()).unwrap();
    refused(pidfd.into(), "a pidfd");
    let timer = rustix::event::eventfd(0, rustix::event::EventfdFlags::empty()).unwrap();
    refused(timer.into(), "an anonymous inode");
    let path = scratch("block").join("disk");
    let (kind, mode) = (FileType::BlockDevice, Mode::from_raw_mode(0o600));
    mknodat(rustix::fs::CWD, &path, kind, mode, makedev(7, 0)).unwrap();
    match open(&path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()) {
        Ok(disk) => refused(disk.into(), "a block device"),
        // This machine lets nobody open one.
        Err(errno) => assert!([Errno::PERM, Errno::NXIO, Errno::ACCESS].contains(&errno)),
    }
    // The control: ordered, it is passed.
    let root = opened(Path::new("/"), OFlags::RDONLY);
    let output = ran(&["--stdio", "inherit"], &["true"], [root.into(), null(), null()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_pipe_can_be_opened_anew_by_cmds_user_and_is_as_before_when_the_run_has_ended() {
    need!(root);
    let script = "echo one >/dev/stdout && cat /dev/stdin && echo two >/dev/stderr";
    let (reader, mut writer) = std::io::pipe().unwrap();
    let owner = |pipe: &std::io::PipeReader| {
        let stat = rustix::fs::fstat(pipe).unwrap();
        (stat.st_mode, stat.st_uid, stat.st_gid)
    };
    let before = owner(&reader);
    writer.write_all(b"in\n").unwrap();
    drop(writer);
    let stdin = reader.try_clone().unwrap().into();
    let output =
        ran(&["--uid", "1000"], &["sh", "-c", script], [stdin, Stdio::piped(), Stdio::piped()]);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("one\nin\n".into(), "two\n".into()));
    assert_eq!(owner(&reader), before);
    assert_eq!(before.1, 0);
}

#[test]
fn devices_are_the_containers_own_and_closed_streams_are_null() {
    need!(root);
    let dir = scratch("null");
    symlink("/dev/zero", dir.join("zero")).unwrap();
    let zero = opened(&dir.join("zero"), OFlags::RDONLY).into();
    let output = ran(&[], &["head", "-c", "3"], [zero, Stdio::piped(), null()]);
    assert_eq!(output.stdout, [0, 0, 0]);
    let script = format!("{} run sh -c 'readlink /proc/self/fd/0 >&2' <&-", binary().display());
    let output = Command::new("sh")
        .args(["-c", &script])
        .env("RUSTIC_STORE", shared().join("store"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "/dev/null\n");
}
