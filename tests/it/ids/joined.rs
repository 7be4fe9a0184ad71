//! A user namespace that root joins: its ids, and the owners of the root file system by them.

use super::own::{closed, closed_tree, own_ids};
use super::store::image;
use crate::need;
use crate::support::{Rustic, end, eventually, piped, shell};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Child;

/// A process that is the first in a user namespace, and its file.
fn user_namespace(run: &Rustic) -> (Child, String) {
    let child = run.clone().sh("echo up; read end").started_until("up");
    let file = format!("/proc/{}/ns/user", super::own::cmd_of(&child));
    (child, file)
}

#[test]
fn root_has_the_ids_of_a_user_namespace_that_it_joins_and_owners_are_right() {
    need!(root);
    let (other, file) = user_namespace(&own_ids());
    let image = image("joined");
    let directory = closed_tree("joined-directory");
    for name in ["hosts", "hostname", "resolv.conf"] {
        fs::write(directory.join("etc").join(name), "").unwrap();
    }
    let (image, directory) = (image.to_str().unwrap(), directory.to_str().unwrap());
    let run = || Rustic::run().ns("user", &file);
    for options in [
        &["--rootfs", image][..],
        &["--rootfs", image, "--read-only"],
        &["--rootfs", image, "--mount", "no"],
        &["--rootfs", image, "--uid", "70", "--gid", "71"],
    ] {
        let look = ["payload", "owners", "/etc/shadow", "/var/lib/db", "/bin/payload"];
        let seen = run().opt(options.iter().copied()).opt(look).ran();
        assert_eq!(
            seen.stdout, "/etc/shadow 0:42\n/var/lib/db 70:71\n/bin/payload 0:0\n",
            "{seen:?}"
        );
    }
    let map = run().opt(["cat", "/proc/self/uid_map"]).ran().ok();
    assert_eq!(map, fs::read_to_string(file.replace("ns/user", "uid_map")).unwrap());
    // What root inside writes is root's on disk, and so others must not reach it.
    run().opt(["--rootfs", directory, "payload", "make", "/etc/new"]).ran().ok();
    let made = fs::metadata(format!("{directory}/etc/new")).unwrap();
    assert_eq!((made.uid(), made.gid()), (0, 0));
    let open = crate::support::tree("joined-open");
    let reached = run().opt(["--rootfs", open.to_str().unwrap(), "payload", "true"]).ran();
    reached.fails(125, &["others can reach"]);
    end(other);
}

#[test]
fn root_of_a_joined_user_namespace_is_not_the_hosts() {
    need!(root);
    let (other, file) = user_namespace(&own_ids());
    let dir = closed("joined-secret");
    fs::write(dir.join("secret"), "SECRET").unwrap();
    fs::set_permissions(dir.join("secret"), fs::Permissions::from_mode(0o600)).unwrap();
    let bind = format!("{}:/mnt", dir.display());
    let look = |run: Rustic| run.opt(["--bind", &bind]).sh("cat /mnt/secret; id -u").ran();
    let joined = look(Rustic::run().ns("user", &file));
    assert!(joined.stdout == "0\n" && joined.stderr.contains("Permission denied"), "{joined:?}");
    // The control.
    assert_eq!(look(Rustic::run()).ok(), "SECRET0\n");
    let verified = Rustic::command("verify").ns("user", &file).opt(["--only", "user"]).ran();
    assert!(verified.code == 0 && verified.stdout.contains("✔ held"), "{verified:?}");
    end(other);
}

#[test]
fn what_root_cannot_join_is_named() {
    need!(root);
    let (other, file) = user_namespace(&Rustic::run().nobody());
    // With one id the others are nobody's.
    let one = Rustic::run().ns("user", &file).sh("id -u; cat /proc/self/uid_map").ran().ok();
    assert!(one.split_whitespace().eq(["0", "0", "65534", "1"]), "{one}");
    let without = ["setpriv", "--bounding-set", "-chown", "--inh-caps", "-chown"];
    let lacks = Rustic::run().under(without).ns("user", &file).opt(["true"]).ran();
    lacks.fails(125, &["root of the machine alone", "CAP_CHOWN"]);
    end(other);
    // Nobody has written its maps.
    let mut bare = piped(
        shell(&["unshare", "--user", "sh"], "echo up; read end")
            .stdin(std::process::Stdio::piped()),
    );
    let file = format!("/proc/{}/ns/user", bare.id());
    eventually("it is there", || {
        fs::read_link(&file).ok() != fs::read_link("/proc/self/ns/user").ok()
    });
    let joined = Rustic::run().ns("user", &file).opt(["true"]).ran();
    joined.fails(125, &["it has no id 0"]);
    bare.kill().unwrap();
    bare.wait().unwrap();
}

#[test]
fn who_may_reach_into_the_start_is_told_also_from_above() {
    need!(root);
    // In the inner one nobody has a right; who is in the outer one has all of them in it.
    let inner = "unshare --user --map-root-user setpriv --bounding-set -all --inh-caps -all sh -c \
                 'echo up; read end'; true";
    let mut outer = piped(
        shell(&["unshare", "--user", "--map-root-user", "sh"], inner)
            .stdin(std::process::Stdio::piped()),
    );
    let child_of = |pid: u32| crate::support::children_of(pid).first().copied();
    let mut file = None;
    eventually("the inner one is there", || {
        let Some(child) = child_of(outer.id()) else { return false };
        let own = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/user")).ok();
        let status = fs::read_to_string(format!("/proc/{child}/status")).unwrap_or_default();
        file = Some(format!("/proc/{child}/ns/user"));
        own(child).is_some()
            && own(child) != own(outer.id())
            && status.contains("CapBnd:\t0000000000000000")
    });
    let ran = Rustic::run().ns("user", &file.unwrap()).opt(["true"]).ran();
    assert!(ran.stderr.contains("who holds CAP_SYS_ADMIN in the user namespace"), "{ran:?}");
    assert!(ran.stderr.contains("has the host's root among its ids"), "{ran:?}");
    outer.kill().unwrap();
    outer.wait().unwrap();
    // The control: of a container's nobody may.
    let (other, file) = user_namespace(&own_ids());
    let ran = Rustic::run().ns("user", &file).opt(["true"]).ran();
    assert_eq!(ran.stderr, "", "{ran:?}");
    end(other);
}
