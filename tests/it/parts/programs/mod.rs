//! Programs that people run: behind the default walls, and those that make containers themselves
//! with the order that they need. Each has to do its work, not just to start.

mod boot;
mod installed;
mod table;

use crate::ids::Ranges;
use crate::need;
use crate::support::{Ran, Rustic, binary, host, roomy};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::OnceLock;
use table::{C, CHANGES_OF_USER, JOE, NODE, PACKAGE, PROGRAMS, PYTHON, Program};

/// The root with all of them, imported once, and the folder with what they are given.
fn root() -> &'static (PathBuf, PathBuf) {
    static ROOT: OnceLock<(PathBuf, PathBuf)> = OnceLock::new();
    ROOT.get_or_init(|| {
        let archive = std::env::var("RUSTIC_PROGRAMS_ROOT").unwrap();
        let (store, work) = (roomy("programs-store"), roomy("programs-work"));
        let store_word = store.to_str().unwrap();
        let words = ["rootfs", "import", "--store", store_word, "programs", &archive];
        host(binary().to_str().unwrap(), words);
        for (name, text) in [("p.py", PYTHON), ("n.js", NODE), ("c.c", C)] {
            std::fs::write(work.join(name), text).unwrap();
        }
        (store, work)
    })
}

fn with(options: &[&str]) -> Rustic {
    let (store, work) = root();
    let bind = |folder: &Path| format!("{}:/programs:ro", folder.display());
    Rustic::run()
        .opt(["--store", store.to_str().unwrap(), "--rootfs", "programs"])
        .opt(["--scratch-size", "2G", "--bind", &bind(work)])
        .opt(options.iter().copied())
}

fn run(options: &[&str], script: &str) -> Ran {
    with(options).sh(script).ran()
}

fn started(options: &[&str], cmd: &[&str]) -> Child {
    with(options).opt(cmd.iter().copied()).started()
}

fn is_there() -> bool {
    std::env::var_os("RUSTIC_PROGRAMS_ROOT").is_some()
}

#[test]
fn programs_do_their_work_behind_the_default_walls() {
    need!(root);
    need!(is_there(), "RUSTIC_PROGRAMS_ROOT names no root: scripts/test --programs makes one");
    let mut failed = Vec::new();
    for options in [&[][..], &["--user", "yes"]] {
        let here = |(name, _): &Program| *name != "an i386 program" || cfg!(target_arch = "x86_64");
        for (name, script) in PROGRAMS.into_iter().filter(here) {
            let ran = run(options, &format!("{PACKAGE}{script}"));
            if ran.code != 0 {
                failed
                    .push(format!("{name} {options:?}: {} {}{}", ran.code, ran.stdout, ran.stderr));
            }
        }
    }
    assert_eq!(failed, Vec::<String>::new());
}

#[test]
fn su_and_sudo_work_with_the_order_that_they_need_and_not_without() {
    need!(root);
    need!(is_there(), "RUSTIC_PROGRAMS_ROOT names no root: scripts/test --programs makes one");
    for (name, script) in CHANGES_OF_USER {
        for options in [&[][..], &["--user", "yes"]] {
            let script = format!("{JOE}{script}");
            let ran = run(&[options, &["--new-privs", "yes"]].concat(), &script);
            assert_eq!(ran.code, 0, "{name} {options:?}: {ran:?}");
            assert_ne!(run(options, &script).code, 0, "{name} {options:?}");
        }
    }
}

#[test]
fn programs_do_their_work_for_a_plain_user_with_ranges() {
    need!(root);
    need!(is_there(), "RUSTIC_PROGRAMS_ROOT names no root: scripts/test --programs makes one");
    let (user, (_, work)) = (Ranges::new(), root());
    let archive = std::env::var("RUSTIC_PROGRAMS_ROOT").unwrap();
    let imported = user.script(&format!("$RUSTIC rootfs import programs - <{archive}"));
    assert_eq!(imported.code, 0, "{imported:?}");
    let mut failed = Vec::new();
    let does = |name: &str, option: &str, script: &str| {
        let file = work.join(name.replace(' ', "-"));
        std::fs::write(&file, script).unwrap();
        let ran = user.script(&format!(
            "$RUSTIC run --rootfs programs --scratch-size 2G --bind {}:/programs:ro {option} \
             sh /programs/{}",
            work.display(),
            file.file_name().unwrap().display()
        ));
        (ran.code == 0, format!("{name}: {ran:?}"))
    };
    let here = |(name, _): &Program| *name != "an i386 program" || cfg!(target_arch = "x86_64");
    for (name, script) in PROGRAMS.into_iter().filter(here) {
        failed.extend(Some(does(name, "", &format!("{PACKAGE}{script}"))).filter(|ran| !ran.0));
    }
    for (name, script) in CHANGES_OF_USER {
        let script = format!("{JOE}{script}");
        failed.extend(Some(does(name, "--new-privs yes", &script)).filter(|ran| !ran.0));
        failed.extend(Some(does(name, "", &script)).filter(|ran| ran.0));
    }
    assert_eq!(failed, Vec::new());
    assert_eq!(user.script("$RUSTIC rootfs rm programs").ok(), "removed programs\n");
}

#[test]
fn programs_that_make_containers_work_with_the_order_that_they_need_and_not_without() {
    need!(root);
    need!(is_there(), "RUSTIC_PROGRAMS_ROOT names no root: scripts/test --programs makes one");
    let nest = ["--nest", "yes"];
    let open = ["--nest", "yes", "--proc", "open"];
    let browser = "export HOME=/tmp && chromium --headless --disable-gpu --dump-dom \
        'data:text/html,<script>document.write(6*7)</script>' 2>/tmp/log | grep -q 42 || \
        { cat /tmp/log; false; }";
    let user = ["--uid", "1000", "--gid", "1000", "--nest", "yes"];
    assert_eq!(run(&nest, "test $(unshare -r id -u) = 0").code, 0);
    assert_ne!(run(&[], "unshare -r id -u").code, 0);
    for script in [
        "bwrap --ro-bind / / --proc /proc --dev /dev --unshare-all ls /proc/self/status",
        "unshare --user --map-root-user --pid --fork --mount-proc ls /proc/self/status",
    ] {
        let ran = run(&open, script);
        assert_eq!(ran.code, 0, "{script}: {ran:?}");
        assert_ne!(run(&nest, script).code, 0, "{script}");
    }
    let bind = format!("{}:/rustic", binary().display());
    let rustic = "/rustic run --user yes --store /tmp/store echo up";
    let ran = run(&[&open[..], &["--bind", &bind]].concat(), rustic);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "up\n"), "{ran:?}");
    assert_ne!(run(&[&nest[..], &["--bind", &bind]].concat(), rustic).code, 0);
    let has_browser = run(&[], "command -v chromium").code == 0;
    need!(has_browser, "this release has no package of chromium");
    let ran = run(&user, browser);
    assert_eq!(ran.code, 0, "chromium: {ran:?}");
    assert_ne!(run(&user[..4], browser).code, 0);
}

/// A socket as glibc of i386 makes it: by socketcall, which hides the family in memory.
#[cfg(target_arch = "x86_64")]
const SOCKET: &str = "printf '#include <stdio.h>\\n#include <sys/socket.h>\\nint main(void) \
    { if (socket(AF_INET, SOCK_STREAM, 0) < 0) { perror(\"socket\"); return 1; } return 0; }' \
    >/tmp/s.c && cd /tmp && gcc -m32 -o s s.c && strace -o t ./s; grep socket t";

#[test]
#[cfg(target_arch = "x86_64")]
fn what_cannot_run_shows_which_call_it_was_and_runs_without_the_filter() {
    need!(root);
    need!(is_there(), "RUSTIC_PROGRAMS_ROOT names no root: scripts/test --programs makes one");
    let ran = run(&[], SOCKET);
    assert!(ran.stderr.contains("socket: Function not implemented"), "{ran:?}");
    assert!(ran.stdout.contains("ENOSYS"), "{ran:?}");
    let ran = run(&["--seccomp", "none"], SOCKET);
    assert!(ran.code == 0 && !ran.stdout.contains("ENOSYS"), "{ran:?}");
}

#[test]
fn no_row_is_more_open_than_with_podmans_configuration() {
    need!(root);
    need!(is_there(), "scripts/test --programs installs podman and runc");
    let table = host::<&str>(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/compare-walls"), []);
    assert!(
        table.contains("| unshare CLONE_NEWUSER | EPERM | EPERM | EPERM | **open** |"),
        "{table}"
    );
    // The page shows what the script says, where it was made with the same versions.
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/walls.md"));
    let (page, versions) = (page.unwrap(), table.lines().next().unwrap());
    // What is closed in all four depends on what this machine has: without a tracefs none can be
    // read.
    let rows = table.lines().filter(|line| line.starts_with('|'));
    let old: Vec<&str> = rows.filter(|line| !page.contains(line)).collect();
    need!(page.contains(versions), "the page was made with other versions of the kernel or podman");
    assert_eq!(old, Vec::<&str>::new(), "rows that docs/walls.md does not have");
}
