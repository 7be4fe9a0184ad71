//! A whole system: what comes out of its archive is what GNU tar makes of it, in every format, and
//! it runs.

use crate::manifest::{differences, manifest};
use crate::need;
use crate::support::{Rustic, binary, host, roomy, traced};
use rustix::fs::{XattrFlags, setxattr};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The archive that scripts/debian-root has made.
fn archive() -> Option<PathBuf> {
    std::env::var_os("RUSTIC_DEBIAN_ROOT").map(PathBuf::from).filter(|path| path.is_file())
}

macro_rules! need_debian {
    () => {
        need!(root);
        need!(archive().is_some(), "RUSTIC_DEBIAN_ROOT names no archive; scripts/test makes one");
    };
}

/// A Debian root, unpacked by GNU tar, and with what a minimal system has none of: attributes,
/// holes, odd names, odd times.
fn system() -> &'static Path {
    static SYSTEM: OnceLock<PathBuf> = OnceLock::new();
    SYSTEM.get_or_init(|| {
        let root = roomy("debian");
        tar(["--xattrs", "--xattrs-include=*", "-xpf"], &archive().unwrap(), &root);
        let at = |name: &str| root.join(name);
        setxattr(at("etc/hostname"), "user.note", b"line\nand\0more", XattrFlags::empty()).unwrap();
        // cap_net_raw+ep, linux/capability.h
        let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        setxattr(at("usr/bin/ls"), "security.capability", &capability, XattrFlags::empty())
            .unwrap();
        let file = fs::File::create(at("var/holes")).unwrap();
        for offset in [0, 1 << 20, 5 << 20] {
            std::os::unix::fs::FileExt::write_all_at(&file, &[b'x'; 5000], offset).unwrap();
        }
        file.set_len(9 << 20).unwrap();
        fs::File::create(at("var/hole")).unwrap().set_len(1 << 20).unwrap();
        let deep = at("srv").join("d".repeat(120)).join("e".repeat(120));
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("f".repeat(200)), "long").unwrap();
        symlink("t".repeat(300), at("srv/long-target")).unwrap();
        fs::write(at("srv").join(OsStr::from_bytes(b"new\nline \xff\\")), "odd").unwrap();
        fs::hard_link(at("srv/long-target"), at("srv/again")).unwrap();
        fs::hard_link(at("etc/hostname"), at("srv/hostname")).unwrap();
        host("mkfifo", [at("srv/fifo")]);
        fs::set_permissions(at("srv/fifo"), fs::Permissions::from_mode(0o6751)).unwrap();
        fs::create_dir(at("srv/sealed")).unwrap();
        fs::write(at("srv/sealed/file"), "in a directory that its owner may not enter").unwrap();
        fs::set_permissions(at("srv/sealed"), fs::Permissions::from_mode(0o3000)).unwrap();
        std::os::unix::fs::chown(at("srv/sealed/file"), Some(4_294_967_294), Some(70_000)).unwrap();
        host(
            "touch",
            ["-d", "1960-01-02 03:04:05.678901234", at("srv/sealed/file").to_str().unwrap()],
        );
        root
    })
}

fn tar<const N: usize>(options: [&str; N], archive: &Path, root: &Path) {
    let words = ["--numeric-owner"].into_iter().chain(options).map(OsStr::new);
    host(
        "tar",
        words.chain([archive.as_os_str(), OsStr::new("-C"), root.as_os_str()]).chain(
            options.iter().any(|option| option.starts_with("-c")).then_some(OsStr::new(".")),
        ),
    );
}

/// Packs the system, unpacks it with GNU tar and with rustic, and expects the same.
fn comes_out_as_gnu_tar_has_it<const N: usize>(name: &str, options: [&str; N]) {
    let dir = roomy(name);
    let packed = dir.join("archive");
    tar(options, &packed, system());
    let (gnu, ours) = (dir.join("gnu"), dir.join("ours"));
    fs::create_dir(&gnu).unwrap();
    tar(["--xattrs", "--xattrs-include=*", "-xpf"], &packed, &gnu);
    Rustic::command("rootfs")
        .opt(["unpack", packed.to_str().unwrap(), ours.to_str().unwrap()])
        .ran()
        .ok();
    assert_eq!(differences(&gnu, &ours), Vec::<String>::new());
    // The control: the comparison sees a single bit.
    fs::set_permissions(ours.join("etc/passwd"), fs::Permissions::from_mode(0o645)).unwrap();
    assert_eq!(differences(&gnu, &ours).len(), 1);
    let holes = fs::metadata(ours.join("var/holes")).unwrap();
    assert_eq!(
        holes.blocks() * 512 < holes.len(),
        options.contains(&"--sparse"),
        "holes stay holes"
    );
    let _ = fs::remove_dir_all(&dir);
}

#[test]
fn with_attributes_by_gzip() {
    need_debian!();
    comes_out_as_gnu_tar_has_it("gzip", ["--xattrs", "-czf"]);
}

#[test]
fn with_attributes_by_zstd() {
    need_debian!();
    comes_out_as_gnu_tar_has_it("zstd", ["--xattrs", "--zstd", "-cf"]);
}

#[test]
fn with_attributes_by_xz() {
    need_debian!();
    comes_out_as_gnu_tar_has_it("xz", ["--xattrs", "--use-compress-program=xz -1 -T2", "-cf"]);
}

#[test]
fn with_attributes_by_bzip2() {
    need_debian!();
    comes_out_as_gnu_tar_has_it("bzip2", ["--xattrs", "-cjf"]);
}

#[test]
fn with_holes_in_gnus_own_format() {
    need_debian!();
    comes_out_as_gnu_tar_has_it("gnu", ["--format=gnu", "--sparse", "-cf"]);
}

#[test]
fn with_holes_in_pax_0_0() {
    need_debian!();
    comes_out_as_gnu_tar_has_it(
        "pax00",
        ["--format=pax", "--sparse", "--sparse-version=0.0", "-cf"],
    );
}

#[test]
fn with_holes_in_pax_0_1() {
    need_debian!();
    comes_out_as_gnu_tar_has_it(
        "pax01",
        ["--format=pax", "--sparse", "--sparse-version=0.1", "-cf"],
    );
}

#[test]
fn with_holes_and_attributes_in_pax_1_0() {
    need_debian!();
    comes_out_as_gnu_tar_has_it("pax10", ["--xattrs", "--sparse", "--sparse-version=1.0", "-cf"]);
}

#[test]
fn it_runs_and_a_second_start_does_not_touch_the_archive() {
    need_debian!();
    let dir = roomy("runs");
    let packed = dir.join("debian.tar.gz");
    tar(["--xattrs", "-czf"], &packed, system());
    let store = dir.join("store").display().to_string();
    let run = Rustic::run()
        .opt(["--store", &store, "--rootfs", packed.to_str().unwrap()])
        .ns("ipc", "no");
    let opens = || {
        let trace = dir.join("trace");
        let mut strace = Command::new("strace");
        strace
            .args(["-f", "-o", trace.to_str().unwrap(), "-e", "trace=openat,openat2,open"])
            .arg(binary())
            .args(run.args())
            .args(["bash", "-c", "apt-get --version; ls -la /"]);
        let output = strace.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success() && text.starts_with("apt ") && text.contains(" etc\n"),
            "{output:?}"
        );
        traced(&fs::read_to_string(&trace).unwrap())
            .into_iter()
            .filter(|(_, call)| call.contains("debian.tar.gz"))
            .count()
    };
    assert!(opens() > 0, "the control: the first start reads it");
    assert_eq!(opens(), 0);
    // A file that was changed is another one.
    let text = fs::read(&packed).unwrap();
    fs::write(&packed, &text[..text.len() / 2]).unwrap();
    run.clone().opt(["true"]).ran().fails(125, &["damaged or cut short"]);
    let _ = fs::remove_dir_all(&dir);
}

#[test]
fn without_a_mount_namespace_an_image_of_the_store_is_copied_exactly() {
    need_debian!();
    let dir = roomy("copied");
    let packed = dir.join("archive.tar");
    tar(["--xattrs", "--sparse", "-cf"], &packed, system());
    let store = dir.join("store").display().to_string();
    let import = Rustic::command("rootfs").opt([
        "import",
        "--store",
        &store,
        "debian",
        packed.to_str().unwrap(),
    ]);
    import.ran().ok();
    // The container keeps running while its directory is looked at from outside.
    let run = Rustic::run()
        .opt(["--store", &store, "--rootfs", "debian"])
        .ns("mount", "no")
        .sh("echo up; read line || true");
    let mut child = run.started();
    let mut up = [0; 3];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut up).unwrap();
    let copy =
        fs::read_dir(dir.join("store/runs")).unwrap().next().unwrap().unwrap().path().join("root");
    let tree =
        fs::read_dir(dir.join("store/roots")).unwrap().next().unwrap().unwrap().path().join("tree");
    // Device nodes of an image are left out where nothing keeps them from being opened, and rustic
    // makes its own.
    let without_devices = |root: &Path| {
        let mut all = manifest(root);
        all.retain(|name, line| {
            !name.as_bytes().starts_with(b"dev") && !line.starts_with("character")
        });
        all
    };
    let same = without_devices(&copy) == without_devices(&tree);
    drop(child.stdin.take());
    crate::support::finish(child).ok();
    assert!(same, "the copy is the image");
    let _ = fs::remove_dir_all(&dir);
}
