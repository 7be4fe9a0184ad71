//! Set-user-ID programs and file capabilities, which act with `--new-privs yes` and not without.

use super::Ranges;
use super::own::closed;
use crate::need;
use crate::support::{Rustic, ended, payload, shell};
use rustix::fs::{XattrFlags, setxattr};
use std::fs;
use std::path::{Path, PathBuf};

/// A root with a set-user-ID program of root's and one that has CAP_CHOWN, as a directory that only
/// root reaches, and as an archive.
fn root(name: &str) -> (PathBuf, PathBuf) {
    let dir = closed(name);
    let does = |script: &str| {
        let done = ended(shell(&["sh"], script).current_dir(&dir));
        assert_eq!(done.code, 0, "{done:?}");
    };
    let payload = payload();
    does(&format!(
        "mkdir -p root/bin root/etc root/proc root/sys root/dev root/mnt && cd root/etc && touch \
         hosts hostname resolv.conf && cd ../bin && for name in payload suid capable; do cp {} \
         $name; done && chmod 4755 suid",
        payload.display()
    ));
    // cap_chown+ep, linux/capability.h
    let capability = [1, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let file = dir.join("root/bin/capable");
    setxattr(file, "security.capability", &capability, XattrFlags::empty()).unwrap();
    does("tar -C root --xattrs --xattrs-include=* -cf image.tar .");
    (dir.join("root"), dir.join("image.tar"))
}

const LOOK: [&str; 3] = ["payload", "suid", "capable"];
const INERT: [&str; 3] = ["1000 0", "1000 0", "1000 0"];
const ACTING: [&str; 3] = ["1000 0", "0 800405fb", "1000 1"];

fn seen(run: &Rustic) -> [String; 3] {
    LOOK.map(|program| run.clone().opt([program, "rights"]).ran().ok().trim().to_owned())
}

#[test]
fn set_user_id_programs_and_file_capabilities_act_where_that_is_ordered() {
    need!(root);
    let (root, image) = root("new-privs");
    let (root, image) = (root.to_str().unwrap(), image.to_str().unwrap());
    for options in [
        &["--rootfs", image][..],
        &["--rootfs", root],
        &["--rootfs", root, "--ephemeral"],
        &["--rootfs", image, "--read-only"],
        &["--rootfs", image, "--user", "yes"],
        &["--rootfs", root, "--user", "yes"],
        &["--rootfs", image, "--mount", "no"],
        &["--rootfs", image, "--init"],
        &["--rootfs", image, "--seccomp", "none"],
    ] {
        let run = Rustic::run().opt(options.iter().copied()).opt(["--uid", "1000"]);
        let mut acting = ACTING;
        if options.contains(&"--mount") {
            // Without CAP_SYS_CHROOT, by which a chroot would be left.
            acting[1] = "0 800005fb";
        }
        assert_eq!(seen(&run.clone().opt(["--new-privs", "yes"])), acting, "{options:?}");
        assert_eq!(seen(&run), INERT, "{options:?}");
    }
    let run = || Rustic::run().opt(["--rootfs", image, "--new-privs", "yes", "--uid", "1000"]);
    // No more than the capabilities of the container, and behind the same filter.
    assert_eq!(run().opt(["--caps", "none", "suid", "rights"]).ran().ok(), "0 0\n");
    let refused = run().opt(["suid", "add-key"]).ran().ok();
    assert_eq!(refused, "add_key Function not implemented (os error 38)\n");
    let bind = format!("{root}/bin:/mnt");
    assert_eq!(run().opt(["--bind", &bind, "/mnt/suid", "rights"]).ran().ok(), "0 800405fb\n");
    let told = run().opt(["-v", "payload", "true"]).ran();
    assert!(told.stderr.contains("a door: --new-privs yes"), "{told:?}");
}

#[test]
fn they_act_for_a_plain_user_with_ranges_too() {
    need!(root);
    let (user, (_, image)) = (Ranges::new(), root("new-privs-plain"));
    let image = copy_for_others(&image);
    for (option, expected) in [("--new-privs yes", ACTING), ("", INERT)] {
        let seen = LOOK.map(|program| {
            let run = format!(
                "$RUSTIC run --rootfs {} --uid 1000 {option} {program} rights",
                image.display()
            );
            user.script(&run).ok().trim().to_owned()
        });
        assert_eq!(seen, expected);
    }
}

fn copy_for_others(image: &Path) -> PathBuf {
    let copy = crate::support::scratch("for-others").join("image.tar");
    fs::copy(image, &copy).unwrap();
    copy
}

#[test]
fn where_they_cannot_act_it_is_an_error() {
    need!(root);
    let (root, image) = root("new-privs-not");
    let run = || Rustic::run().opt(["--rootfs", image.to_str().unwrap(), "--new-privs", "yes"]);
    let under = run().under(["setpriv", "--no-new-privs"]);
    under.opt(["payload", "true"]).ran().fails(125, &["rustic itself runs under no_new_privs"]);
    let all = ["pid", "mount", "uts", "net", "ipc", "cgroup", "time"];
    let none = all.into_iter().fold(run(), |run, namespace| run.ns(namespace, "no"));
    let without = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"];
    let none = none.under(without);
    let lacks = none.clone().opt(["payload", "true"]).ran();
    lacks.fails(125, &["the seccomp filter needs CAP_SYS_ADMIN then", "--seccomp none"]);
    none.opt(["--seccomp", "none", "payload", "true"]).ran().ok();
    // What is mounted nosuid stays so.
    let mounted = |options: &str, more: &str| {
        let script = format!(
            "mkdir {root}/../m && mount -t tmpfs -o {options} m {root}/../m && cp -a {root}/. \
             {root}/../m && exec \"$RUSTIC\" run --rootfs {root}/../m --new-privs yes {more} --uid \
             1000 suid rights; ",
            root = root.display()
        );
        let ran = ended(&mut shell(&["unshare", "--mount", "sh"], &script));
        fs::remove_dir(root.join("../m")).unwrap();
        ran
    };
    mounted("nosuid", "").fails(125, &["is mounted nosuid", "--ephemeral"]);
    assert_eq!(mounted("nosuid", "--ephemeral").ok(), "0 800405fb\n");
    assert_eq!(mounted("suid", "").ok(), "0 800405fb\n");
}

#[test]
fn verify_lists_it_as_a_door() {
    need!(root);
    let ran = Rustic::command("verify").opt(["--new-privs", "yes"]).ran();
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("--new-privs yes"), "{ran:?}");
}
