//! Launchers that Debian has, beside an independent witness that each of them starts in the same
//! way; and what is written of them, read by others.

use super::truth::{Outside, image, said};
use crate::judged::verify;
use crate::need;
use crate::support::{Ran, ended, scratch, shell};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// All that start on this kind of machine: crun refuses its cgroups, and says so.
const ALL: &str = "unshare,bwrap,firejail,chroot,nspawn,runc,podman,docker";

/// Verify of launchers, beside a docker daemon of its own.
fn beside_docker(options: &[&str]) -> Ran {
    let docker = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/private-docker");
    verify().under([docker]).opt(options.iter().copied()).ran()
}

/// runc has its words in a file, and docker its root in an image: scripts that make them.
const RUNC: &str = r#"#!/bin/sh
set -e
root=$1; shift; bundle=$(mktemp -d); cd "$bundle"; runc spec
python3 - "$root" "$@" <<'END'
import json, sys
config = json.load(open('config.json'))
config['process'].update(terminal=False, args=sys.argv[2:])
config['root']['path'] = sys.argv[1]
json.dump(config, open('config.json', 'w'))
END
runc --root "$bundle/state" run -b "$bundle" "truth$$" || true
cd /; rm -rf "$bundle"
"#;
const DOCKER: &str = r#"#!/bin/sh
options=$1; root=$2; shift 2
exec DIR/scripts/private-docker --same-net sh -c '
options=$1; root=$2; shift 2
tar --one-file-system -C "$root" -c . 2>/dev/null | docker import - truth >/dev/null
docker run --rm -i $options truth "$@"' x "$options" "$root" "$@"
"#;

fn script(name: &str, text: &str) -> String {
    let path: PathBuf = scratch("launchers").join(name);
    fs::write(&path, text.replace("DIR", env!("CARGO_MANIFEST_DIR"))).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

const PODMAN: &str = "podman --runtime runc --root {work}/storage --runroot {work}/run --tmpdir \
    {work}/tmp --cgroup-manager cgroupfs run --rm -i --name {name} --ulimit nofile=1024:1024 \
    --ulimit nproc=4096:4096";

/// Where each is started, and its words: in defaults, in strict forms and in open ones.
fn forms() -> Vec<(&'static str, String)> {
    let (runc, docker) = (script("runc", RUNC), script("docker", DOCKER));
    let nspawn = "systemd-nspawn -q --register=no --keep-unit --pipe -M {name} -D {root}";
    let work = scratch("launchers-work").display().to_string();
    let podman = PODMAN.replace("{work}", &work);
    let own = |words: &str| ("launcher", words.to_owned());
    let rooted = |words: String| ("launcher-in-root", words);
    let mut forms = vec![
        own("env {probe}"),
        own("unshare -f {probe}"),
        own("unshare -m -p -u -i -n -C -f --mount-proc {probe}"),
        own("unshare -r -m -p -u -i -n -C -f --mount-proc {probe}"),
        own("unshare -m --propagation unchanged {probe}"),
        own("unshare -p -f {probe}"),
        own("bwrap --dev-bind / / {probe}"),
        own("bwrap --ro-bind / / --unshare-all --proc /proc --dev /dev --new-session {probe}"),
        own("bwrap --ro-bind / / --unshare-all --proc /proc --dev /dev --cap-add ALL {probe}"),
        own("bwrap --tmpfs / --ro-bind {bin} {bin} --unshare-all --proc /proc --dev /dev \
            --new-session --clearenv --die-with-parent {probe}"),
        own("firejail --quiet --noprofile --net=none --private {probe}"),
        own("firejail --quiet --noprofile --caps.drop=all --seccomp --net=none {probe}"),
        rooted("chroot {root} {probe}".into()),
        rooted(format!("{nspawn} --private-network {{probe}}")),
        rooted(format!("{nspawn} --bind-ro=/:/mnt {{probe}}")),
        rooted(format!("{runc} {{root}} {{probe}}")),
        rooted(format!("{podman} --network none --rootfs {{root}} {{probe}}")),
        rooted(format!(
            "{podman} --network host --pid host --ipc host --rootfs {{root}} {{probe}}"
        )),
    ];
    // What --privileged gives beyond these this kind of machine does not have.
    let open = "--cap-add=SYS_ADMIN@--security-opt=seccomp=unconfined@--pid=host@--ipc=host@\
        --network=host@--uts=host@-v/:/h";
    for options in ["--network=none", open] {
        forms
            .push(("launcher-in-root-of-daemon", format!("{docker} {options} {{root}} {{probe}}")));
    }
    forms
}

/// What verify says wrongly of a launcher, of any wall but that of rights.
fn disagreements(looked: &Value) -> Vec<String> {
    if looked["ended"] != true {
        return vec![format!("it did not start: {}", looked["said"])];
    }
    let lines = looked["crossed"].as_array().unwrap().iter();
    let crossed: BTreeMap<&str, &str> =
        lines.map(|line| line.as_str().unwrap().split_once(' ').unwrap()).collect();
    let verdicts = looked["verdicts"].as_object().unwrap().iter();
    let in_chroot = looked["options"].as_str().unwrap().starts_with("chroot");
    let wrong = verdicts.filter_map(|(wall, verdict)| {
        let by = crossed.get(wall.as_str());
        match (verdict.as_str().unwrap(), by) {
            ("held", Some(by)) => Some(format!("{wall} is held, and crossed by {by}")),
            // The witness tries no rights; and in a root without a /proc it is blind to clocks.
            ("leaked" | "shared", None) if wall == "user" || in_chroot && wall == "time" => None,
            ("leaked" | "shared", None) => {
                Some(format!("{wall} is {verdict}, and crossed by nothing"))
            }
            ("unknown", _) => Some(format!("{wall} is unknown")),
            _ => None,
        }
    });
    wrong.collect()
}

#[test]
fn each_cell_of_each_launcher_agrees_with_an_independent_witness() {
    need!(root);
    let mut outside = Outside::with(&image(), &[("TRUTH_CGROUPS", "host")]);
    let mut wrong = Vec::new();
    for (kind, words) in forms() {
        let words = words.split_whitespace().map(|word| word.replace('@', " "));
        let looked =
            outside.look(&std::iter::once(kind.to_owned()).chain(words).collect::<Vec<_>>());
        for what in disagreements(&looked) {
            wrong.push(format!("{}: {what}: {}", looked["options"], said(&looked)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn one_command_judges_all_of_them() {
    need!(root);
    let ran = beside_docker(&["--with", ALL, "--json"]);
    let report = crate::judged::json(&ran);
    let rows = report["rows"].as_array().unwrap();
    let started = |row: &Value| row["target"]["pid"].is_number();
    let names: Vec<&str> = rows
        .iter()
        .filter(|row| started(row))
        .map(|row| row["target"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names.join(","), ALL, "{report:#}");
    // Nothing that was ordered of one of them is unknown, and what each order claims is told apart.
    for row in rows {
        let walls = row["walls"].as_array().unwrap().iter();
        let mut ordered = walls.filter(|wall| !wall["ordered"].is_null());
        assert!(ordered.all(|wall| wall["verdict"] != "unknown"), "{row:#}");
    }
    assert_eq!(ran.code, 1);
    let crun = verify().opt(["--with", "crun"]).ran();
    assert!(crun.code == 3 && crun.stdout.contains("cgroups in hybrid mode"), "{crun:?}");
}

/// A reader that others have written, from PyPI.
const READER: &str = "
import sys
from junitparser import JUnitXml
found = JUnitXml.fromfile(sys.argv[1])
suites = list(found)
cases = [case for suite in suites for case in suite]
wrong = [result for case in cases for result in case.result]
print(len(suites), sum(suite.tests for suite in suites) == len(cases), len(wrong) > 0)
";

#[test]
fn what_is_written_is_read_by_others() {
    need!(root);
    let folder = scratch("launchers-files");
    let file = folder.join("junit.xml").display().to_string();
    beside_docker(&["--with", ALL, "--junit", &file]);
    let packages = std::env::var("RUSTIC_PYTHON_PACKAGES").unwrap();
    let mut read = std::process::Command::new("python3");
    read.args(["-c", READER, &file]).env("PYTHONPATH", packages);
    assert_eq!(ended(&mut read).ok(), "8 True True\n");
}

#[test]
fn no_line_of_the_table_is_longer_than_a_terminal() {
    need!(root);
    let options = ["--with", ALL];
    let plain = beside_docker(&options);
    let longest = |text: &str| text.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(longest(&plain.stdout) <= 80, "{}", plain.stdout);
    // In a terminal of tmux a longer line would go on in the next: those are joined here.
    let folder = scratch("launchers-tmux").display().to_string();
    let program = crate::support::binary().display().to_string();
    let script = format!(
        "cd {folder} && tmux -S socket -f /dev/null new-session -d -x 80 -y 24 \
        'tmux -S socket set -g history-limit 5000; {program} verify --with unshare,bwrap,chroot; \
        tmux -S socket wait-for -S done; sleep 60' \\; set -g history-limit 5000 && \
        tmux -S socket wait-for done && tmux -S socket capture-pane -p -J -S - && \
        tmux -S socket kill-server"
    );
    let shown = ended(&mut shell(&["bash"], &script)).ok();
    assert!(longest(&shown) <= 80 && shown.contains("Not as ordered"), "{shown}");
}
