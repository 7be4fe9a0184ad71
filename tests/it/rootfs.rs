//! Archives and the store.

use crate::need;
use crate::support::{NOBODY, Rustic, archive, finish, scratch};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// An image with the host's busybox, as an uncompressed tar.
fn busybox_image(dir: &Path) -> std::path::PathBuf {
    let path = dir.join("image.tar");
    let mut builder = tar::Builder::new(fs::File::create(&path).unwrap());
    let mut add = |name: &str, mode: u32, uid: u64, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_uid(uid);
        header.set_gid(uid);
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name, content).unwrap();
    };
    add("bin/busybox", 0o755, 0, &fs::read("/bin/busybox").unwrap());
    add("owned", 0o640, 1234, b"x");
    add("setuid", 0o4755, 0, b"x");
    builder.finish().unwrap();
    path
}

fn gzipped(path: &Path, members: usize) -> std::path::PathBuf {
    let plain = fs::read(path).unwrap();
    let to = path.with_extension("tar.gz");
    let mut file = fs::File::create(&to).unwrap();
    for part in plain.chunks(plain.len().div_ceil(members)) {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(part).unwrap();
        file.write_all(&encoder.finish().unwrap()).unwrap();
    }
    to
}

#[test]
fn a_tar_archive_is_a_root_plain_gzip_and_in_several_members() {
    need!(root);
    let dir = scratch("tar");
    let plain = busybox_image(&dir);
    let one = gzipped(&plain, 1);
    let run = |image: &Path| {
        Rustic::run()
            .opt([
                "--rootfs",
                image.to_str().unwrap(),
                "busybox",
                "stat",
                "-c",
                "%u %a %Y",
                "/owned",
                "/setuid",
            ])
            .ran()
    };
    let expected = "1234 640 1000000000\n0 4755 1000000000\n";
    assert_eq!(run(&plain).ok(), expected);
    assert_eq!(run(&one).ok(), expected);
    assert_eq!(run(&gzipped(&plain, 3)).ok(), expected, "every member is read");
}

#[test]
fn as_nobody_owners_are_squashed() {
    need!(root);
    let image = gzipped(&busybox_image(&scratch("squash")), 1);
    fs::set_permissions(&image, fs::Permissions::from_mode(0o644)).unwrap();
    let store = scratch("nobodys-store");
    std::os::unix::fs::chown(&store, Some(65534), Some(65534)).unwrap();
    for store in [None, Some(store)] {
        let run = Rustic::run().nobody().opt(["--rootfs", image.to_str().unwrap()]);
        let run =
            store.iter().fold(run, |run, store| run.opt(["--store", store.to_str().unwrap()]));
        assert_eq!(run.opt(["busybox", "stat", "-c", "%u %a", "/owned"]).ran().ok(), "0 640\n");
    }
}

#[test]
fn what_is_no_tar_is_named() {
    need!(root);
    let dir = scratch("kinds");
    let put = |name: &str, content: &[u8]| {
        fs::write(dir.join(name), content).unwrap();
        dir.join(name).display().to_string()
    };
    for (path, word) in [
        (put("a.tar", b"PK\x03\x04aaaa"), "a zip archive"),
        (put("b.tar", b""), "empty"),
        (put("c.tar", &[b'x'; 2000]), "of an unknown kind"),
        (put("d.tar", &[0; 2000]), "without an entry"),
    ] {
        Rustic::run().opt(["--rootfs", &path, "sh"]).ran().fails(125, &[word, &path]);
    }
}

#[test]
fn damage_is_an_error_and_nothing_is_left() {
    need!(root);
    let dir = scratch("damage");
    let good = fs::read(gzipped(&busybox_image(&dir), 1)).unwrap();
    let cut = dir.join("cut.tar.gz");
    fs::write(&cut, &good[..good.len() / 2]).unwrap();
    let wrong = dir.join("crc.tar.gz");
    let mut bytes = good.clone();
    let at = bytes.len() - 8;
    bytes[at] ^= 1;
    fs::write(&wrong, bytes).unwrap();
    // Of its own: others unpack into the one of all tests meanwhile.
    let store = dir.join("store");
    let store = store.to_str().unwrap();
    for path in [cut, wrong] {
        Rustic::run()
            .opt(["--store", store, "--rootfs", path.to_str().unwrap(), "busybox", "true"])
            .ran()
            .fails(125, &["damaged or cut short"]);
    }
    for part in ["staging", "roots", "locks"] {
        assert_eq!(fs::read_dir(format!("{store}/{part}")).unwrap().count(), 0, "{part}");
    }
}

#[test]
fn a_store_is_private_and_one_of_somebody_else_is_refused() {
    need!(root);
    let store = scratch("stores").join("mine");
    Rustic::run().opt(["--store", store.to_str().unwrap(), "true"]).ran().ok();
    assert_eq!(fs::metadata(&store).unwrap().mode() & 0o777, 0o700);
    std::os::unix::fs::chown(&store, Some(1), Some(1)).unwrap();
    Rustic::run()
        .opt(["--store", store.to_str().unwrap(), "true"])
        .ran()
        .fails(125, &["belongs to uid 1"]);
}

#[test]
fn many_first_runs_at_once_unpack_once_and_all_start() {
    need!(root);
    let store = scratch("first").join("store");
    let runs: Vec<_> = (0..20)
        .map(|_| Rustic::run().opt(["--store", store.to_str().unwrap(), "echo", "up"]).started())
        .collect();
    for run in runs {
        assert_eq!(finish(run).ok(), "up\n");
    }
    let trees = fs::read_dir(store.join("roots"))
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .count();
    assert_eq!(trees, 1);
}

#[test]
fn a_killed_unpack_leaves_nothing_after_the_next_start() {
    need!(root);
    let store = scratch("killed").join("store");
    let run = Rustic::run().opt(["--store", store.to_str().unwrap(), "echo", "up"]);
    let mut seen = 0;
    for delay in 0..30 {
        let mut child = run.started();
        std::thread::sleep(std::time::Duration::from_micros(500 * delay));
        child.kill().unwrap();
        child.wait().unwrap();
        seen += fs::read_dir(store.join("staging")).into_iter().flatten().count();
        let _ = fs::remove_dir_all(store.join("roots"));
    }
    assert!(seen > 0, "the control: at least one kill met an unpack");
    assert_eq!(run.ran().ok(), "up\n");
    assert_eq!(fs::read_dir(store.join("staging")).unwrap().count(), 0);
}

#[test]
fn a_full_disk_is_one_clear_sentence() {
    need!(root);
    let dir = scratch("full");
    let script = format!(
        "mount -t tmpfs -o size=512k none {dir} && \"$RUSTIC\" run --store {dir}/store true; echo \
            $?; ls {dir}/store/staging | wc -l",
        dir = dir.display()
    );
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]).env("RUSTIC", crate::support::binary());
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "125\n0\n");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("ENOSPC") && text.matches("rustic: ").count() == 1, "{text}");
}

#[test]
fn an_archive_of_no_entries_is_a_root_without_a_command() {
    need!(root);
    let image = scratch("empty").join("image.tar");
    archive(&image, &[("etc/", "")]);
    Rustic::run()
        .opt(["--rootfs", image.to_str().unwrap(), "sh"])
        .ran()
        .fails(127, &["sh", "not found"]);
}

#[test]
fn with_no_store_nothing_is_kept() {
    need!(root);
    let store = scratch("no-store");
    let run = |option: &str| {
        // A plain user: root's own store is the machine's.
        let run = Rustic::run().nobody().env("XDG_DATA_HOME", store.to_str().unwrap());
        let ran = run.opt(option.split_terminator(' ')).sh("echo up; touch /new").ran();
        assert_eq!((ran.code, ran.stdout.as_str()), (0, "up\n"), "{ran:?}");
        fs::read_dir(&store).unwrap().count()
    };
    std::os::unix::fs::chown(&store, Some(NOBODY), Some(NOBODY)).unwrap();
    assert_eq!((run("--no-store"), run("--no-store --mount no")), (0, 0));
    // The control.
    assert_eq!(run(""), 1);
    Rustic::run().opt(["--no-store", "--rootfs", "box"]).sh("").ran().fails(125, &["no store"]);
}
