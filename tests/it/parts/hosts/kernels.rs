//! Each kernel that Debian serves: every flag, verify, the article's program and the ways to say
//! ready, as root and as plain users; and one that is too old.

use super::case::{Case, hold};
use super::machine::{Machine, Root};
use crate::need;
use crate::support::NAMES;

/// Root of the machine; a plain user with ranges of ids, one without.
const USERS: [(&str, &str); 3] = [("root", ""), ("alice", "as alice "), ("bob", "as bob ")];

pub(super) fn flags(user: &str, prefix: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, _) in NAMES {
        for switch in ["yes", "no"] {
            let words = format!("{prefix}rustic run --{name} {switch}");
            cases.push(if (name, switch) == ("user", "no") && user != "root" {
                Case::refused(format!("{words} true"), &["--user no needs CAP_SYS_ADMIN"])
            } else {
                Case::runs(&words)
            });
        }
    }
    cases
}

/// What a user without a cgroup of his own cannot plant there, with the reason.
const NO_CGROUP: &str = "its own cgroup is / and no other can be made here";

fn walls(user: &str, prefix: &str) -> Vec<Case> {
    let verify = format!("{prefix}rustic verify");
    let flip = format!("{verify} --flip");
    if user == "root" {
        return vec![
            Case::new(verify, 0, &["Every wall is as ordered"]),
            Case::new(flip, 0, &["8 of 8 walls follow their own namespace"]),
        ];
    }
    let but_cgroup = "→ Unknown: cgroup.";
    let walls = "pid,mnt,root,uts,net,ipc,user,time,fds,keyring,terminal,kernel,devices";
    vec![
        Case::new(&verify, 3, &[but_cgroup, NO_CGROUP]),
        Case::new(format!("{verify} --only {walls}"), 0, &["13 of 14 walls were tried"]),
        Case::new(
            flip,
            3,
            &["6 of 8 walls follow", "Not this caller's to toggle: user", "Not known: cgroup"],
        ),
    ]
}

fn readiness(prefix: &str) -> Vec<Case> {
    let app =
        format!("{prefix}rustic run -v --ready app --bind /usr/local/bin/payload:/payload:ro");
    vec![
        Case::new(
            format!("{prefix}rustic run -v --ipc no true"),
            0,
            &["received READY from child"],
        ),
        Case::new(format!("{prefix}rustic run -v true"), 0, &["the child cannot see /rustic."]),
        Case::new(
            format!("{app} sh -c 'echo >&$RUSTIC_READY_FD'"),
            0,
            &["the program said READY on descriptor 3"],
        ),
        Case::new(
            format!("{app} /payload notify READY=1"),
            0,
            &["the program said READY on the notify socket"],
        ),
        Case::new(
            format!("{app} --ipc no /payload ready-queue"),
            0,
            &["received READY from child"],
        ),
    ]
}

fn invoke(user: &str, prefix: &str) -> Case {
    let script = format!("echo haunt | {prefix}rustic invoke -vpmun -i no true");
    // The article's program makes no user namespace: it is for root.
    if user == "root" {
        Case::new(script, 0, &[">> haunt", "Executing command true"])
    } else {
        Case::new(script, 1, &["clone: Operation not permitted"])
    }
}

fn everything_works_with_the_kernel_of(suite: &'static str) {
    let mut cases = Vec::new();
    for (user, prefix) in USERS {
        let whoami = format!("{prefix}rustic run --ipc no sh -c 'echo $(id -u) $(hostname)'");
        cases.push(Case::new(whoami, 0, &["0 rustic\n"]));
        cases.extend(flags(user, prefix));
        cases.extend(walls(user, prefix));
        cases.extend(readiness(prefix));
        cases.push(invoke(user, prefix));
        let ranges = if user == "bob" { "/etc/subuid and /etc/subgid have none" } else { "works" };
        let code = i32::from(user == "bob");
        cases.push(Case::new(format!("{prefix}rustic doctor"), code, &[ranges]));
    }
    hold(Machine::new(suite, Root::Debian), &cases);
}

#[test]
fn everything_works_with_linux_6_1() {
    need!(root);
    everything_works_with_the_kernel_of("bookworm");
}

#[test]
fn everything_works_with_linux_6_12() {
    need!(root);
    everything_works_with_the_kernel_of("trixie");
}

#[test]
fn everything_works_with_the_newest_linux_of_debian() {
    need!(root);
    everything_works_with_the_kernel_of("sid");
}

#[test]
fn linux_5_10_is_told_what_it_lacks_and_starts_without_mounts() {
    need!(root);
    let lacks = "mount_setattr(2) came with Linux 5.12, and this is 5.10";
    let no_name = "executes no file without a name where there is no /dev/fd";
    hold(
        Machine::new("bullseye", Root::Busybox),
        &[
            Case::refused("rustic run true", &[lacks, "--mount no"]),
            Case::refused("rustic run --user yes true", &[lacks, "--mount no"]),
            // The advice works.
            Case::runs("rustic run --mount no"),
            Case::runs("rustic run --mount no --user yes --time yes"),
            Case::new("rustic verify", 3, &[lacks, "Nothing could be tried"]),
            Case::new("rustic verify --mount no", 3, &[no_name]),
            Case::refused("rustic run --mount no --init true", &[no_name]),
            Case::new("rustic doctor", 1, &["lacks Linux 5.15 or newer", lacks, "works user"]),
        ],
    );
}

#[test]
fn where_tmpfs_cannot_be_idmapped_an_image_is_copied() {
    need!(root);
    hold(
        // Its root and its store are a tmpfs, which can since Linux 6.3.
        Machine::new("bookworm", Root::Busybox),
        &[
            Case::new("rustic run --user yes -v true", 0, &["root: copied for this run"]),
            Case::refused(
                "mkdir -p /srv; rustic run --user yes --bind /srv:/srv:ro:idmap true",
                &["cannot be shown with other owners", "leave out :idmap"],
            ),
            Case::runs("rustic run --user yes --bind /srv:/srv:ro"),
            Case::new("rustic verify", 0, &["Every wall is as ordered"]),
            Case::new(
                "rustic doctor",
                1,
                &["lacks idmapped mounts on the file system of the store"],
            ),
        ],
    );
    // The control.
    let usual = Case::new("rustic run --user yes -v true", 0, &["the child has ended with 0"]);
    hold(Machine::new("trixie", Root::Busybox), &[usual.but_not("copied for this run")]);
}
