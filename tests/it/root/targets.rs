//! Mount targets behind links of the image: followed inside of the root, as from inside.

use crate::need;
use crate::support::{Rustic, archive, payload, scratch, shared};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// What a merged system has: links to /usr and to /run, and the link of systemd-resolved.
const MERGED: [(&str, &str); 12] = [
    ("usr/", ""),
    ("usr/bin/", ""),
    ("usr/bin/f", "the image's"),
    ("bin", "-> usr/bin"),
    ("run/", ""),
    ("var/", ""),
    ("var/run", "-> /run"),
    ("var/lock", "-> ../run/lock"),
    ("run/lock/", ""),
    ("etc/", ""),
    ("etc/resolv.conf", "-> ../run/systemd/resolve/stub-resolv.conf"),
    ("tmp/", ""),
];

/// The same as an archive and as a directory, and a bind of the payload to look around with.
fn merged(further: &[(&str, &str)]) -> (PathBuf, PathBuf) {
    let image = scratch("merged").join("image.tar");
    archive(&image, &[&MERGED[..], further].concat());
    let dir = scratch("merged-dir");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    for (name, content) in [&MERGED[..], further].concat() {
        match content.strip_prefix("-> ") {
            Some(to) => symlink(to, dir.join(name)).unwrap(),
            None if name.ends_with('/') => fs::create_dir_all(dir.join(name)).unwrap(),
            None => fs::write(dir.join(name), content).unwrap(),
        }
    }
    for own in ["dev", "proc", "sys"] {
        fs::create_dir(dir.join(own)).unwrap();
    }
    (image, dir)
}

fn bind(source: &Path, target: &str) -> [String; 2] {
    ["--bind".to_owned(), format!("{}:{target}", source.display())]
}

#[test]
fn targets_of_a_merged_system_are_where_they_lead_from_inside() {
    need!(root);
    let (image, dir) = merged(&[]);
    let own = shared().join(format!("own-{}", std::process::id()));
    fs::write(&own, "the caller's").unwrap();
    let socket = scratch("socket").join("s");
    let _listening = UnixListener::bind(&socket).unwrap();
    let look = |rootfs: &Path| {
        vec![
            Rustic::run().opt(["--rootfs", rootfs.to_str().unwrap()]),
            Rustic::run().nobody().opt(["--rootfs", rootfs.to_str().unwrap()]),
        ]
    };
    // Nobody cannot make what is missing in a directory of root's.
    for run in look(&image).into_iter().chain(look(&dir).into_iter().take(1)) {
        let payload = bind(&payload(), "/bin/payload");
        let f = bind(&own, "/bin/f");
        let ran = run
            .clone()
            .opt(["-v"])
            .opt(payload.clone())
            .opt(f)
            .opt(["--tmpfs", "/var/lock", "/usr/bin/payload", "print", "/usr/bin/f"])
            .ran();
        assert_eq!((ran.code, ran.stdout.trim()), (0, "the caller's"), "{ran:?}");
        assert!(ran.stderr.contains("/bin/f is /usr/bin/f"), "{ran:?}");
        assert!(ran.stderr.contains("/var/lock is /run/lock"), "{ran:?}");
        assert!(
            ran.stderr.contains("/etc/resolv.conf is /run/systemd/resolve/stub-resolv.conf"),
            "{ran:?}"
        );
        let resolver = run.clone().opt(payload.clone());
        let resolver = resolver.opt(["/bin/payload", "print", "/etc/resolv.conf"]).ran().ok();
        assert!(resolver.contains("no name server"), "{resolver}");
        let ran = run.opt(payload).opt(bind(&socket, "/var/run/x.sock"));
        let ran = ran.opt(["/bin/payload", "kind", "/run/x.sock"]).ran().ok();
        assert_eq!(ran.trim(), "Socket");
    }
}

#[test]
fn chains_and_ways_up_end_inside_and_loops_are_refused() {
    need!(root);
    let links = [
        ("a", "-> b"),
        ("b", "-> ../../c"),
        ("c", "-> /usr/../usr/./bin"),
        ("loop", "-> pool"),
        ("pool", "-> loop"),
        ("kernel", "-> proc"),
        ("device", "-> /run/../dev"),
    ];
    for rootfs in <[PathBuf; 2]>::from(merged(&links)) {
        let run = || {
            let payload = bind(&payload(), "/usr/bin/payload");
            Rustic::run().opt(["--rootfs", rootfs.to_str().unwrap()]).opt(payload)
        };
        let ran = run().opt(["-v", "--tmpfs", "/a/new", "/bin/payload", "list", "/usr/bin"]).ran();
        assert!(ran.stderr.contains("/a/new is /usr/bin/new"), "{ran:?}");
        let refused = |target: &str| run().opt(["--tmpfs", target, "payload", "true"]).ran();
        refused("/loop/x").fails(125, &["/loop", "link to itself", "ELOOP"]);
        refused("/kernel/x").fails(125, &["/proc", "must not get there", "its own name"]);
        refused("/device").fails(125, &["/dev", "must not get there"]);
        // By its own name it is a door, which is told.
        let named = run().opt(["-v"]).opt(bind(Path::new("/etc"), "/proc/acpi"));
        let named = named.opt(["payload", "true"]).ran();
        assert!(named.stderr.contains("a door: --bind /etc:/proc/acpi"), "{named:?}");
    }
}
