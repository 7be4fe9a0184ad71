//! The program that a start is compared with, benches/floor/floor.c, makes the walls that rustic
//! makes, by the same calls in the same order: a floor that lacked one would be none.

use crate::need;
use crate::support::{binary, scratch, store, traced};
use rustic::parts::Switch;
use rustic::parts::seccomp::{SelfSignals, compile, default, to_bytes};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The calls that make a wall.
const CALLS: [&str; 26] = [
    "capset",
    "clone3",
    "fsconfig",
    "fsmount",
    "fsopen",
    "keyctl",
    "mkdirat",
    "mknodat",
    "mount",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "personality",
    "pivot_root",
    "prctl",
    "seccomp",
    "setgroups",
    "sethostname",
    "setns",
    "setresgid",
    "setresuid",
    "setsid",
    "symlinkat",
    "umount2",
    "unlinkat",
    "unshare",
];

#[test]
fn the_floor_makes_the_walls_of_rustic_by_the_same_calls() {
    need!(root);
    let dir = scratch("floor");
    let (floor, filter) = (dir.join("floor"), dir.join("filter"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/floor/floor.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-Wall", "-Wextra", "-Werror", "-O2", "-o"]).arg(&floor).arg(&source);
    assert!(compiler.status().unwrap().success());
    let order = default::FilterOptions {
        capabilities: 0x8004_05fb,
        nest: Switch::No,
        self_signals: SelfSignals::Told,
    };
    fs::write(&filter, to_bytes(&compile(&default::policy(order)).unwrap())).unwrap();

    let (rustic, root) = (binary(), dir.join("root"));
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("rootfs/rootfs.tar.gz");
    let mut unpack = Command::new(&rustic);
    unpack.args(["rootfs", "unpack"]).arg(archive).arg(&root);
    assert!(unpack.output().unwrap().status.success());

    for (network, option) in [("new", "yes"), ("shared", "no")] {
        let floor = floor.to_str().unwrap();
        let words = [floor, root.to_str().unwrap(), filter.to_str().unwrap(), network];
        let floor = walls(&dir, &[&words as &[&str], &["true"]].concat());
        let made = walls(&dir, &[rustic.to_str().unwrap(), "run", "--net", option, "true"]);
        let differ = floor.child.iter().zip(&made.child).position(|(one, other)| one != other);
        let there = differ.map(|at| (&floor.child[at..], &made.child[at..]));
        assert!(there.is_none(), "--net {option}: {there:?}");
        assert_eq!(floor.child.len(), made.child.len(), "--net {option}: {made:?}");
        assert_eq!(floor.outside, made.outside, "--net {option}");
        assert!(floor.child.iter().any(|call| call.starts_with("pivot_root")), "{floor:?}");
        assert!(floor.child.len() > 100, "{floor:?}");
    }
}

#[derive(Debug)]
struct Walls {
    /// The calls of the process that pivots.
    child: Vec<String>,
    /// Those of the others that make namespaces.
    outside: Vec<String>,
}

/// The calls of a command that make walls, in order, without what differs from run to run.
fn walls(dir: &Path, words: &[&str]) -> Walls {
    let trace = dir.join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-s", "99", "-o"]).arg(&trace).args(words).env("RUSTIC_STORE", store());
    let output = strace.output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    let trace = traced(&fs::read_to_string(&trace).unwrap());
    let is_child = |call: &str| call.starts_with("pivot_root(");
    let child = trace.iter().find(|(_, call)| is_child(call)).unwrap().0.clone();
    let of = |wanted: &dyn Fn(&str) -> bool| -> Vec<String> {
        let calls = trace.iter().filter(|(pid, _)| wanted(pid));
        calls.filter_map(|(_, call)| wall(call)).collect()
    };
    // Which of two processes comes first is nobody's order.
    let mut outside = of(&|pid| pid != child);
    outside.retain(|call| call.contains("(CLONE_NEW") || call.contains("=CLONE_NEW"));
    outside.sort_unstable();
    Walls { child: of(&|pid| pid == child), outside }
}

/// The call without its descriptors and its addresses, if it makes a wall.
fn wall(call: &str) -> Option<String> {
    let (name, rest) = call.split_once('(')?;
    if !CALLS.contains(&name) || rest.starts_with("PR_CAPBSET_READ") || rest.starts_with("PR_GET") {
        return None;
    }
    let arguments = rest.rsplit_once(" = ")?.0.trim_end().strip_suffix(')')?.trim_end();
    let plain = |word: &str| match word.trim_matches(['{', '}']) {
        number if number.parse::<u32>().is_ok() => "N".to_owned(),
        path if path.starts_with("\"/proc/self/fd/") => "FD".to_owned(),
        address if address.starts_with("filter=") || address.starts_with("stack") => "X".to_owned(),
        word => word.replace("CLONE_PIDFD|", ""),
    };
    let known = |word: &&str| !word.starts_with("pidfd=") && !word.starts_with("tls=");
    let words: Vec<String> = arguments.split(", ").filter(known).map(plain).collect();
    Some(format!("{name}({})", words.join(", ")))
}
