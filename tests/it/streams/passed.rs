//! What is read and written through a stream, as it would be outside.

use super::{null, opened, ran};
use crate::need;
use crate::support::{Rustic, ended, host, scratch, shell};
use rustix::fs::{FileType, Mode, OFlags, makedev, mknodat, open};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;

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
        'dd if=/dev/zero bs=1k count=200 2>/dev/null; true' >$DIR/file; \
        echo $?; stat -c %s $DIR/file";
    let mut command = shell(&["unshare", "--mount", "sh"], script);
    let ran = ended(command.env("DIR", scratch("full")));
    assert_eq!(ran.stdout, "125\n65536\n", "{ran:?}");
    assert!(ran.stderr.contains("cannot write all of CMD's stdout: ENOSPC"), "{ran:?}");
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
    let script = "$RUSTIC run sh -c 'readlink /proc/self/fd/0 >&2' <&-";
    assert_eq!(ended(&mut shell(&["sh"], script)).stderr, "/dev/null\n");
}
