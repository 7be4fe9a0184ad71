//! verify: that it tells the truth, of every combination and of every leak; that it leaves nothing;
//! that it knows what it does not know.

use crate::judged::{probes, report, verdicts, verify, walls, wrong};
use crate::need;
use crate::support::{
    CEILING, NAMES, NOBODY, Rustic, binary, combination, each_of, eventually, finish, processes,
    queues, scratch, shared, tree, unique,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn the_defaults_hold_twelve_walls_and_tell_user_and_time_as_doors() {
    need!(root);
    let (code, report) = report(verify());
    assert_eq!(code, 0, "{report:#}");
    for (name, verdict) in verdicts(&report) {
        assert_eq!(
            verdict,
            if ["user", "time"].contains(&name) { "shared" } else { "held" },
            "{name}"
        );
    }
    let controls = &report["controls"];
    assert_eq!(
        (controls["open"]["crossed"].as_u64(), controls["closed"]["crossed"].as_u64()),
        (controls["open"]["of"].as_u64(), Some(0))
    );
    assert!(controls["closed"]["of"].as_u64() > Some(60), "{controls}");
    // The same for people: the call, the errno, what was seen outside.
    let table = verify().ran().ok();
    for (wall, words) in [
        ("pid", ["process_vm_readv pid", "ESRCH", "our secret did not come back"]),
        ("mnt", ["while it started", "done", "no mount appeared"]),
        ("root", ["open /", "ENOENT", "our secret did not come back"]),
        ("uts", ["uname", "\"rustic\"", "renamed to \"stage-"]),
        ("net", ["connect 127.0.0.1:", "ECONNREFUSED", "no connection"]),
        ("ipc", ["mq_open /rustic.", "ENOENT", "no message"]),
        ("user", ["bind 127.0.0.1:", "done", "our socket has port"]),
        ("cgroup", ["read /proc/self/cgroup", "\"/\"", "it is in \"/"]),
        ("time", ["clock_gettime CLOCK_MONOTONIC", "\"50", "   50"]),
        ("fds", ["pread", "EBADF", "our secret did not come back"]),
        ("kernel", ["open for writing", "EROFS", "it holds nothing of it open"]),
        ("devices", ["open nodes", "ENOENT", "it holds no device open"]),
        ("keyring", ["keyctl search @s", "ENOSYS", "our secret did not come back"]),
        ("terminal", ["ioctl TIOCSTI", "EPERM", "0 characters typed"]),
    ] {
        let row = table
            .lines()
            .find(|line| line.trim_start().starts_with(&format!("{wall} ")))
            .unwrap_or_else(|| panic!("{wall}: {table}"));
        let columns: Vec<usize> = words.iter().filter_map(|word| row.find(word)).collect();
        assert!(columns.len() == 3 && columns.is_sorted(), "{words:?} in {row}");
    }
    assert!(
        table.ends_with("Every wall is as ordered. 2 doors are open: user, time.\n"),
        "{table}"
    );
}

#[test]
fn ipc_no_differs_in_the_ipc_row_only_and_both_kinds_of_ipc_cross() {
    need!(root);
    let ((code, closed), (open_code, open)) = (report(verify()), report(verify().ns("ipc", "no")));
    assert_eq!((code, open_code), (0, 0));
    for (name, wall) in walls(&open) {
        let before = walls(&closed)[name];
        if name == "ipc" {
            assert_eq!(
                (before["verdict"].as_str(), wall["verdict"].as_str()),
                (Some("held"), Some("shared"))
            );
            // By name, by file, by key and by id; the other two have nothing to try where it is
            // shared.
            let (open, closed) = (probes(wall), probes(before));
            let crossing = ["01", "02", "04", "05", "06", "07"].map(|n| format!("RV-IPC-{n}"));
            for id in &crossing {
                let id = id.as_str();
                assert_eq!(open[id], ("shared", None), "{id}: {wall:#}");
                let errno = if id == "RV-IPC-07" { "EINVAL" } else { "ENOENT" };
                assert_eq!(closed[id], ("held", Some(errno)), "{id}: {before:#}");
            }
            let arrived = |probe: &&Value| probe["outside"]["arrived"] == true;
            let arrived = wall["probes"].as_array().unwrap().iter().filter(arrived).count();
            assert_eq!((arrived, open.len()), (crossing.len(), 8), "{wall:#}");
        } else {
            assert_eq!(
                (wall["verdict"].clone(), probes(wall)),
                (before["verdict"].clone(), probes(before)),
                "{name}"
            );
        }
    }
}

/// Runs verify, and reads the namespaces of every process below it while it runs: a wall's verdict
/// must be what they say.
fn looked_at(verify: Rustic, mask: u32) -> Result<(), String> {
    let verify = combination(mask)
        .fold(verify.opt(["--json"]), |verify, (name, _, switch)| verify.ns(name, switch));
    // A process lives for milliseconds: where it was missed, it is looked at once more.
    for _ in 0..20 {
        let child = verify.started();
        // It is read when the watch is over.
        let room = rustix::pipe::fcntl_setpipe_size(child.stdout.as_ref().unwrap(), 1 << 20);
        assert!(room.is_ok(), "{room:?}");
        let (of_children, seen) = watched(child.id());
        let ran = finish(child);
        let report: Value = serde_json::from_str(&ran.stdout)
            .map_err(|error| format!("{mask:08b}: {error} {ran:?}"))?;
        let wrong: Vec<String> = report["walls"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|wall| wall["ok"] != true)
            .map(|wall| {
                format!(
                    "{} is {} {} {:#}",
                    wall["wall"], wall["verdict"], wall["because"], wall["probes"]
                )
            })
            .collect();
        if ran.code != 0 || !wrong.is_empty() {
            return Err(format!("{mask:08b}: {} {} {wrong:?}", ran.code, report["controls"]));
        }
        let Some(inside) = report["target"]["pid"].as_i64().and_then(|pid| seen.get(&(pid as i32)))
        else {
            continue;
        };
        for (_, entry, switch) in combination(mask) {
            let ours = if entry == "time" { "time_for_children" } else { entry };
            let (Some(outside), Some(inside)) = (of_children.get(ours), inside.get(entry)) else {
                return Err(format!("{mask:08b}: {entry} was not read on both sides"));
            };
            let verdict = walls(&report)[entry]["verdict"].as_str().unwrap_or_default().to_owned();
            // Whoever can name a process outside gets past other walls too, by a door that is told.
            let by_pid =
                mask & 1 == 0 && walls(&report)[entry]["doors"] == serde_json::json!(["pid"]);
            let expected = if inside == outside || by_pid { "shared" } else { "held" };
            if verdict != expected || (switch == "yes") != (inside != outside) {
                return Err(format!(
                    "{mask:08b}: {entry} outside {outside}, inside {inside}, verdict {verdict}"
                ));
            }
            let told = &walls(&report)[entry]["identity"];
            if told["inside"]["ino"].as_u64() != Some(*inside)
                || told["outside"]["ino"].as_u64() != Some(*outside)
            {
                return Err(format!(
                    "{mask:08b}: {entry} outside {outside}, inside {inside}, told {told}"
                ));
            }
        }
        return Ok(());
    }
    Err(format!("{mask:08b}: its probe was never seen alive"))
}

type Inodes = BTreeMap<String, u64>;

/// The inodes of /proc/PID/ns of the verifier on its stage, and of each process below it, as long
/// as it runs: the last that were seen.
fn watched(verifier: u32) -> (Inodes, BTreeMap<i32, Inodes>) {
    let inodes = |pid: u32| -> Inodes {
        let entries = fs::read_dir(format!("/proc/{pid}/ns")).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| {
                Some((
                    entry.file_name().to_string_lossy().into_owned(),
                    fs::metadata(entry.path()).ok()?.ino(),
                ))
            })
            .collect()
    };
    let children = |pid: u32| -> Vec<u32> {
        let list =
            fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    };
    let (mut stage, mut seen) = (Inodes::new(), BTreeMap::new());
    let since = Instant::now();
    while since.elapsed() < CEILING
        && fs::read_to_string(format!("/proc/{verifier}/stat"))
            .is_ok_and(|stat| !stat.contains(") Z "))
    {
        let mut next = children(verifier);
        while let Some(pid) = next.pop() {
            next.extend(children(pid));
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if line.starts_with(b"rustic-probe\0") {
                // One that ends while it is read is not seen whole: what was read of it before
                // counts.
                let (theirs, ours) = (inodes(pid), inodes(verifier));
                if NAMES
                    .iter()
                    .all(|(_, entry)| theirs.contains_key(*entry) && ours.contains_key(*entry))
                {
                    seen.insert(pid as i32, theirs);
                    stage = ours;
                }
            }
        }
    }
    (stage, seen)
}

#[test]
fn of_all_256_combinations_each_wall_is_what_was_ordered_and_what_its_inodes_say() {
    need!(root);
    assert_eq!(each_of(0..256, |mask| looked_at(verify(), mask)), Vec::<String>::new());
}

#[test]
fn as_nobody_a_wall_is_what_it_is_or_unknown_with_the_reason() {
    need!(root);
    let wrong = each_of((0..256).filter(|mask| mask >> 5 & 1 == 1), |mask| {
        let (code, report) = report(
            combination(mask)
                .fold(verify().nobody(), |verify, (name, _, switch)| verify.ns(name, switch)),
        );
        let told = walls(&report).into_iter().all(|(_, wall)| match wall["verdict"].as_str() {
            Some("unknown") => wall["because"].as_str().is_some_and(|because| !because.is_empty()),
            _ => wall["ok"] == true,
        });
        let as_told = told && [0, 3].contains(&code);
        if as_told {
            Ok(())
        } else {
            Err(format!("{mask:08b}: {code} {:?} {}", verdicts(&report), report["controls"]))
        }
    });
    assert_eq!(wrong, Vec::<String>::new());
    // It is not all unknown: the namespaces are told, and a plain user's walls hold.
    let (_, report) = report(verify().nobody());
    for wall in ["pid", "mnt", "root", "uts", "net", "ipc", "user", "fds", "keyring"] {
        assert_eq!(verdicts(&report)[wall], "held", "{report:#}");
    }
    verify().nobody().ns("user", "no").ran().fails(2, &["CAP_SYS_ADMIN", &format!("uid {NOBODY}")]);
}

#[test]
fn root_chroot_shows_what_chroot_does_not_hold() {
    need!(root);
    let root = |options: &[&str]| {
        let (code, report) = report(verify().opt(["--only", "root"]).opt(options.iter().copied()));
        (code, walls(&report)["root"].clone())
    };
    let (code, wall) = root(&["--root", "chroot"]);
    assert_eq!(
        (code, wall["verdict"].as_str(), probes(&wall)["RV-ROOT-02"]),
        (0, Some("held"), ("held", Some("EPERM")))
    );
    assert!(wall["remarks"].to_string().contains("the host's tree is still there"), "{wall}");
    let (code, wall) = root(&["--root", "chroot", "--caps", "sys_chroot"]);
    assert_eq!(
        (code, wall["verdict"].as_str(), probes(&wall)["RV-ROOT-02"].0),
        (0, Some("shared"), "shared")
    );
    assert_eq!(wall["doors"], serde_json::json!(["CAP_SYS_CHROOT"]));
    // The control: the same right behind pivot_root is worth nothing.
    let (code, wall) = root(&["--root", "pivot", "--caps", "sys_chroot"]);
    assert_eq!(
        (code, wall["verdict"].as_str(), probes(&wall)["RV-ROOT-02"]),
        (0, Some("held"), ("held", Some("ENOENT")))
    );
    assert_eq!(wall["remarks"], serde_json::json!([]));
}

#[test]
fn a_handle_leads_out_of_a_directory_of_the_host_when_the_right_is_kept() {
    need!(root);
    let directory = tree("verify-handle");
    let root = |caps: &str| {
        let (code, report) = report(verify().opt([
            "--only",
            "root",
            "--rootfs",
            directory.to_str().unwrap(),
            "--caps",
            caps,
        ]));
        (code, probes(walls(&report)["root"])["RV-ROOT-04"].0.to_owned())
    };
    assert_eq!(root("default"), (0, "held".into()));
    assert_eq!(root("dac_read_search"), (0, "shared".into()));
    // A bind is enough of a way to its file system, whatever the root is.
    let bound = |caps: &str| {
        let bind = format!("{}:/mnt", directory.display());
        let (code, report) =
            report(verify().opt(["--only", "root", "--bind", bind.as_str(), "--caps", caps]));
        (code, probes(walls(&report)["root"])["RV-ROOT-04"].0.to_owned())
    };
    assert_eq!(bound("default"), (0, "held".into()));
    assert_eq!(bound("dac_read_search"), (0, "shared".into()));
}

#[test]
fn a_directory_is_left_as_it_was_where_nothing_is_to_be_written() {
    need!(root);
    let directory = scratch("verify-directory");
    let path = directory.to_str().unwrap();
    for verify in [
        verify().opt(["--rootfs", path, "--ephemeral"]),
        verify().opt(["--ephemeral"]).env("RUSTIC_ROOTFS", path),
    ] {
        let (code, report) = report(verify);
        assert_eq!((code, wrong(&report)), (0, vec![]), "{report:#}");
        assert!(report["target"]["argv"].to_string().contains(path), "{report:#}");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    }
}

/// verify, started by another program.
fn by(program: &str, args: &[&str], options: &[&str]) -> (i32, Value) {
    let mut command = Command::new(program);
    command
        .args(args)
        .arg(binary())
        .args(["verify", "--json"])
        .args(options)
        .env("RUSTIC_STORE", shared().join("store"));
    let ran = finish(
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    (ran.code, serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}")))
}

#[test]
fn a_namespace_that_cannot_be_read_is_no_proof() {
    need!(root);
    // Without CAP_SYS_PTRACE the namespaces of another uid's process are hidden from the verifier
    // too.
    let options = ["--only", "mnt,uts", "--uid", "1000"];
    let (code, report) = by("setpriv", &["--bounding-set=-sys_ptrace"], &options);
    assert_eq!(
        (code, verdicts(&report)["mnt"], verdicts(&report)["uts"]),
        (3, "unknown", "unknown"),
        "{report:#}"
    );
    // The control: who may read them knows.
    let (code, report) = by("env", &[], &options);
    assert_eq!(
        (code, verdicts(&report)["mnt"], verdicts(&report)["uts"]),
        (0, "held", "held"),
        "{report:#}"
    );
}

#[test]
fn a_right_that_the_caller_lacks_costs_what_needs_it_and_no_more() {
    need!(root);
    let without = |capability: &str, time: &str| {
        let options = ["--root", "pivot", "--caps", "none", "--time", time];
        let (code, report) = by("setpriv", &[&format!("--bounding-set=-{capability}")], &options);
        let time = verdicts(&report)["time"].to_owned();
        (code, wrong(&report).join(" "), time)
    };
    let shared = (0, String::new(), "shared".to_owned());
    assert_eq!(without("net_raw", "no"), shared);
    assert_eq!(without("sys_chroot", "no"), shared);
    // The stage's clocks cannot be set: that costs what is to hold, and not what is shared anyway.
    assert_eq!(without("sys_time", "no"), (0, String::new(), "unknown".to_owned()));
    assert_eq!(without("sys_time", "yes"), (3, "time".to_owned(), "unknown".to_owned()));
}

#[test]
fn the_callers_own_time_namespace_is_where_the_stage_starts_from() {
    need!(root);
    let offsets = ["--time", "--monotonic", "3000000", "--boottime", "3000000"];
    let (code, report) = by("unshare", &offsets, &["--only", "time"]);
    assert_eq!((code, verdicts(&report)["time"]), (0, "shared"), "{report:#}");
}

#[test]
fn the_user_keyring_is_reached_when_no_filter_refuses_it() {
    need!(root);
    let (code, report) = report(verify().opt(["--only", "keyring", "--seccomp", "none"]));
    let probes = probes(walls(&report)["keyring"]);
    assert_eq!(
        (code, probes["RV-KEY-01"], probes["RV-KEY-02"].0),
        (0, ("held", Some("ENOKEY")), "shared")
    );
    assert_eq!(walls(&report)["keyring"]["doors"], serde_json::json!(["--seccomp none"]));
}

#[test]
fn flip_moves_each_namespaces_own_wall_and_what_else_moves_is_explained() {
    need!(root);
    let ran = verify().opt(["--flip", "--json"]).ran();
    let flip: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    let rows = flip["rows"].as_array().unwrap();
    assert_eq!(
        rows.iter().map(|row| row["namespace"].as_str().unwrap()).collect::<Vec<_>>(),
        NAMES.map(|(name, _)| name)
    );
    for (row, (name, own)) in rows.iter().zip(NAMES) {
        assert_eq!(row["followed"], true, "{name}");
        let (before, after) = (verdicts(&flip["base"]), verdicts(&row["report"]));
        let moved: Vec<_> = after
            .iter()
            .filter(|(wall, verdict)| before[*wall] != **verdict)
            .map(|(wall, _)| *wall)
            .collect();
        // Whoever can name a process outside follows its /proc/PID/root.
        let by_pid =
            ["cgroup", "devices", "ipc", "kernel", "keyring", "net", "pid", "root", "terminal"];
        let expected: &[&str] = if name == "pid" { &by_pid } else { &[own] };
        assert_eq!(moved, expected, "{name}");
        let others: BTreeSet<_> = row["others"]
            .as_array()
            .unwrap()
            .iter()
            .map(|change| change["probe"].as_str().unwrap())
            .collect();
        let expected: &[&str] = match name {
            "pid" => &[
                "RV-CGR-04",
                "RV-CGR-06",
                "RV-DEV-01",
                "RV-IPC-02",
                "RV-IPC-09",
                "RV-KEY-03",
                "RV-KRN-01",
                "RV-KRN-02",
                "RV-KRN-05",
                "RV-MNT-04",
                "RV-NET-05",
                "RV-NET-12",
                "RV-NET-15",
                "RV-PID-06",
                "RV-ROOT-09",
                "RV-ROOT-13",
                "RV-TTY-03",
                "RV-UTS-04",
            ],
            "mount" => &[
                "RV-CAP-08",
                "RV-FD-03",
                "RV-IPC-02",
                "RV-KEY-03",
                "RV-KRN-01",
                "RV-KRN-02",
                "RV-KRN-05",
                "RV-NET-05",
                "RV-NET-15",
                "RV-PID-03",
                "RV-PID-06",
                "RV-ROOT-02",
                "RV-ROOT-12",
                "RV-TTY-03",
            ],
            _ => &[],
        };
        assert_eq!(others.into_iter().collect::<Vec<_>>(), expected, "{name}");
        assert!(
            row["others"].as_array().unwrap().iter().all(|change| change["because"].is_string()),
            "{row:#}"
        );
    }
    // Options that ask for the namespace which is shared are left out of that row.
    let text = verify().opt(["--flip", "--hostname", "box", "--tmpfs", "/tmp"]).ran().ok();
    assert!(text.contains("8 of 8 walls follow their own namespace."), "{text}");
}

#[test]
fn each_leak_is_named_at_exactly_its_wall() {
    need!(root);
    let leaks = [
        ("mqueue", "ipc", "RV-IPC-02", vec![]),
        // A process that can be named leads to its root, in a user namespace it does not; and to
        // its network, which is shared here.
        ("proc", "pid", "RV-PID-03", vec!["--user", "yes", "--net", "no"]),
        ("descriptor", "fds", "RV-FD-01", vec![]),
        ("propagation", "mnt", "RV-MNT-03", vec!["--root", "chroot"]),
        // Behind the filter no key is found, whoever's keyring it is.
        ("keyring", "keyring", "RV-KEY-01", vec!["--seccomp", "none"]),
        ("terminal", "terminal", "RV-TTY-02", vec![]),
        ("chroot", "root", "RV-ROOT-02", vec![]),
        ("capability", "user", "RV-CAP-01", vec![]),
        ("cgroup", "cgroup", "RV-CGR-05", vec![]),
        ("kernel", "kernel", "RV-KRN-01", vec![]),
        ("devices", "devices", "RV-DEV-02", vec![]),
        // A namespace that was ordered and is not there.
        ("uts", "uts", "RV-UTS-01", vec![]),
        ("net", "net", "RV-NET-01", vec![]),
        ("time", "time", "RV-TIM-01", vec!["--time", "yes"]),
    ];
    let walled: BTreeSet<&str> = leaks.iter().map(|(_, wall, ..)| *wall).collect();
    let every: BTreeSet<String> =
        verdicts(&report(verify()).1).into_keys().map(str::to_owned).collect();
    assert_eq!(walled, every.iter().map(String::as_str).collect());
    for (leak, wall, probe, options) in leaks {
        let (code, leaking) = report(verify().opt(options.clone()).env("RUSTIC_LEAK", leak));
        assert_eq!((code, wrong(&leaking)), (1, vec![wall]), "{leak}");
        let found = walls(&leaking)[wall];
        let verdict = if leak == wall && ["uts", "net", "time"].contains(&leak) {
            "shared"
        } else {
            "leaked"
        };
        assert_eq!(
            (found["verdict"].as_str(), probes(found)[probe].0),
            (Some(verdict), verdict),
            "{leak}: {found:#}"
        );
        let table = verify().opt(options.clone()).env("RUSTIC_LEAK", leak).ran();
        assert!(
            table.code == 1
                && (verdict == "shared" || table.stdout.contains("LEAKED"))
                && table.stdout.contains(&format!("Not as ordered: {wall}.")),
            "{table:?}"
        );
        // The control: the same container without the leak.
        let (code, tight) = report(verify().opt(options));
        assert_eq!((code, wrong(&tight)), (0, vec![]), "{leak}");
    }
}

#[test]
fn a_control_that_fails_leaves_its_wall_unknown_and_ends_with_3() {
    need!(root);
    let (code, report) = report(verify().env("RUSTIC_FAIL_CONTROL", "RV-NET-02"));
    let net = walls(&report)["net"];
    assert_eq!((code, net["verdict"].as_str(), wrong(&report)), (3, Some("unknown"), vec!["net"]));
    assert!(net["because"].as_str().unwrap().contains("the control failed"), "{net}");
    assert!(report["controls"]["failed"].is_string());
    let table = verify().env("RUSTIC_FAIL_CONTROL", "RV-NET-02").ran();
    assert!(
        table.code == 3
            && table.stdout.contains("because the control failed")
            && table.stdout.contains("Unknown: net."),
        "{table:?}"
    );
}

/// What everybody shares and verify must leave as it was: each line says where.
fn shared_state() -> BTreeSet<String> {
    let places = [
        "/proc/self/mountinfo",
        "/proc/sys/kernel/hostname",
        "/proc/sysvipc/shm",
        "/proc/sysvipc/sem",
        "/proc/sysvipc/msg",
    ];
    let read = places.into_iter().flat_map(|place| {
        let text = fs::read_to_string(place).unwrap();
        text.lines().map(|line| format!("{place}: {line}")).collect::<Vec<_>>()
    });
    read.chain(names("/sys/class/net"))
        .chain(queues().into_iter().filter(|name| name.len() == "rustic.".len() + 8))
        .collect()
}

/// What is still there of a run with this nonce, which stands in the name of all that verify makes
/// on the host.
fn left_of(nonce: &str, temporary: &Path) -> Vec<String> {
    let folders = names(temporary.to_str().unwrap());
    let cgroups = names("/sys/fs/cgroup")
        .into_iter()
        .flat_map(|hierarchy| names(&format!("/sys/fs/cgroup/{hierarchy}")));
    let keys = fs::read_to_string("/proc/keys").unwrap();
    let keys = keys.lines().map(str::to_owned);
    folders.into_iter().chain(cgroups).chain(keys).filter(|name| name.contains(nonce)).collect()
}

fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// verify in a folder of its own for what is temporary; in a new cgroup namespace its own cgroup is
/// /, so that it has to make one.
fn started_in(temporary: &Path, cgroup: &str, options: &[&str]) -> Child {
    let mut command = match cgroup {
        "made" => Command::new("unshare"),
        _ => Command::new(binary()),
    };
    if cgroup == "made" {
        command.arg("--cgroup").arg(binary());
    }
    command
        .arg("verify")
        .args(options)
        .env("TMPDIR", temporary)
        .env("RUSTIC_STORE", shared().join("store"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn the_host_is_as_it_was_after_each_run_and_after_each_kill() {
    need!(root);
    let (before, temporary) = (shared_state(), scratch("verify-kill"));
    // The kernel takes seconds to collect keys, and the cgroup of a killed run goes before its
    // folder does: both are looked for at the end.
    let (mut planted, mut nonces) = (0, Vec::new());
    for cgroup in ["own", "made"] {
        let ran = finish(started_in(&temporary, cgroup, &["--json"]));
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!((ran.code, verdicts(&report)["cgroup"]), (0, "held"), "{report:#}");
        let nonce = report["nonce"].as_str().unwrap();
        assert_eq!(
            report.to_string().contains(&format!("it is in \\\"/rustic.{nonce}")),
            cgroup == "made",
            "{report:#}"
        );
        nonces.push(nonce.to_owned());
        assert_eq!(shared_state(), before);
    }
    for round in 0..40u64 {
        let marker = format!("verify-{}-{}", std::process::id(), unique());
        let mut child = started_in(
            &temporary,
            if round % 2 == 0 { "own" } else { "made" },
            &["--hostname", &marker, "--flip"],
        );
        // Odd numbers spread over the whole run.
        std::thread::sleep(Duration::from_micros(round * 37_003 % 900_000));
        let nonce: Vec<String> = names(temporary.to_str().unwrap());
        planted += nonce.iter().map(|nonce| left_of(nonce, &temporary).len()).sum::<usize>();
        nonces.extend(nonce);
        child.kill().unwrap();
        child.wait().unwrap();
        eventually("every process of it ends", || processes(&marker).is_empty());
        eventually("nothing of it is left", || names(temporary.to_str().unwrap()).is_empty());
        assert_eq!(shared_state(), before);
    }
    for nonce in nonces {
        eventually("nothing of it is left", || left_of(&nonce, &temporary).is_empty());
    }
    assert!(planted > 40, "while it runs there is something to be left: {planted}");
}

#[test]
fn killed_when_its_first_processes_have_just_been_forked_it_leaves_none_of_them() {
    need!(root);
    let temporary = scratch("verify-early");
    let mut early = 0;
    for _ in 0..30 {
        let mut child = started_in(&temporary, "own", &["--only", "pid"]);
        let list = format!("/proc/{0}/task/{0}/children", child.id());
        let mut children = Vec::new();
        // The cleanup process is the first, the canary of the pid wall the second.
        while children.len() < 2 && child.try_wait().unwrap().is_none() {
            children = fs::read_to_string(&list)
                .unwrap_or_default()
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        early += usize::from(children.len() == 2);
        eventually("both are gone", || {
            children.iter().all(|pid| !Path::new("/proc").join(pid).exists())
        });
        eventually("nothing of it is left", || names(temporary.to_str().unwrap()).is_empty());
    }
    assert!(early > 0, "it was never caught at that moment");
}

/// What each probe calls, when it is asked and answers.
fn calls(report: &Value) -> BTreeMap<String, String> {
    let probes = walls(report).into_values().flat_map(|wall| wall["probes"].as_array().unwrap());
    probes
        .map(|probe| {
            (
                probe["id"].as_str().unwrap().to_owned(),
                probe["inside"]["call"].as_str().unwrap().to_owned(),
            )
        })
        .collect()
}

#[test]
fn a_probe_that_stops_leaves_the_rest_unknown_and_no_answer_is_taken_for_another() {
    need!(root);
    let (_, whole) = report(verify());
    for round in 0..20 {
        let child = verify().opt(["--json"]).started();
        let room = rustix::pipe::fcntl_setpipe_size(child.stdout.as_ref().unwrap(), 1 << 20);
        assert!(room.is_ok(), "{room:?}");
        // The third is that of the container which is verified: the controls come first.
        let mut probes = BTreeSet::new();
        while probes.len() < 3
            && Path::new("/proc").join(child.id().to_string()).join("ns/pid").exists()
        {
            probes.extend(probes_below(child.id()));
        }
        if let Some(pid) = probes
            .iter()
            .next_back()
            .and_then(|pid| rustix::process::Pid::from_raw(*pid))
            .filter(|_| probes.len() == 3)
        {
            // When it tries crossings it has said hello, which is waited for much longer.
            std::thread::sleep(Duration::from_millis(5 + round * 3));
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::STOP);
        }
        let ran = finish(child);
        let stopped: Value = serde_json::from_str(&ran.stdout).unwrap();
        if !ran.stdout.contains("silence") {
            continue;
        }
        assert_eq!(ran.code, 3, "{stopped:#}");
        for (id, call) in calls(&stopped) {
            assert!(call == "-" || call == calls(&whole)[&id], "{id} is judged by {call}");
        }
        let asked = |wall: &str| walls(&stopped)[wall]["verdict"] != "unknown";
        assert!(
            asked("pid") || !asked("keyring"),
            "what was asked last is known first: {stopped:#}"
        );
        let silent = ["keyring", "terminal", "kernel", "devices"].map(asked);
        assert!(silent.contains(&false), "the last walls were not asked any more: {stopped:#}");
        return;
    }
    panic!("it was never stopped in time");
}

/// The probes among the processes below one.
fn probes_below(pid: u32) -> Vec<i32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children: Vec<u32> = list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    let is_probe = |pid: &u32| {
        fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.starts_with(b"rustic-probe\0"))
    };
    let own = children.iter().filter(|pid| is_probe(pid)).map(|pid| *pid as i32);
    own.chain(children.iter().filter(|pid| !is_probe(pid)).flat_map(|pid| probes_below(*pid)))
        .collect()
}

#[test]
fn without_user_namespaces_nothing_is_held_and_the_limit_is_named() {
    need!(root);
    let script = "echo 0 >/proc/sys/user/max_user_namespaces; exec setpriv \
        --bounding-set=-all \"$RUSTIC\" verify --user yes --json";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "sh", "-c", script]).env("RUSTIC", binary());
    let ran = finish(
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(ran.code, 3);
    assert!(verdicts(&report).values().all(|verdict| *verdict == "unknown"), "{report:#}");
    for wall in walls(&report).values() {
        assert!(
            wall["because"].as_str().unwrap().contains("user.max_user_namespaces is 0"),
            "{wall}"
        );
    }
    assert_schema(&report);
}

#[test]
fn it_works_inside_a_container_and_says_what_it_cannot_do_there() {
    need!(root);
    let inside = |outer: &[&str], words: &[&str]| {
        let bind = format!("{}:/rustic", binary().display());
        let run = Rustic::run().opt(outer.iter().copied()).opt([
            "--bind",
            bind.as_str(),
            "/rustic",
            "verify",
            "--json",
        ]);
        let ran = run.opt(words.iter().copied()).ran();
        (ran.code, serde_json::from_str::<Value>(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}")))
    };
    // With every right, all but the cgroup: inside a cgroup namespace its path is /, and there is
    // no tree to make another in.
    let (code, report) = inside(&["--caps", "all", "--seccomp", "none"], &[]);
    assert_eq!((code, wrong(&report)), (3, vec!["cgroup"]), "{report:#}");
    assert!(
        walls(&report)["cgroup"]["because"].as_str().unwrap().contains("no other can be made here"),
        "{report:#}"
    );
    // With the rights of a container, in a user namespace; the filter around it refuses keys and
    // TIOCSTI to the control too.
    let nest = ["--nest", "yes", "--proc", "open"];
    let (code, report) = inside(&nest, &["--user", "yes"]);
    assert_eq!(
        (code, wrong(&report)),
        (3, vec!["cgroup", "devices", "keyring", "terminal"]),
        "{report:#}"
    );
    assert!(
        walls(&report)["keyring"]["because"].as_str().unwrap().contains("Function not implemented"),
        "{report:#}"
    );
    // Without an order to nest there is no user namespace, and no verdict.
    let (code, report) = inside(&[], &["--user", "yes"]);
    assert_eq!((code, wrong(&report).len()), (3, 13));
    let because = walls(&report)["pid"]["because"].as_str().unwrap().to_owned();
    assert!(because.contains("EPERM") && because.contains("--nest yes"), "{because}");
    // Behind a chroot the kernel makes no user namespace, user_namespaces(7).
    let (code, report) = inside(&["--root", "chroot"], &["--user", "yes"]);
    assert_eq!((code, wrong(&report).len()), (3, 13));
    assert!(
        walls(&report)["pid"]["because"]
            .as_str()
            .unwrap()
            .contains("unshare(CLONE_NEWUSER): EPERM"),
        "{report:#}"
    );
}

/// The schema of the repository, closed: what it does not describe is not allowed here.
fn assert_schema(value: &Value) {
    fn close(schema: &mut Value) {
        match schema {
            Value::Object(members) => {
                if members.contains_key("properties") {
                    members.insert("additionalProperties".into(), false.into());
                }
                members.values_mut().for_each(close);
            }
            Value::Array(values) => values.iter_mut().for_each(close),
            _ => {}
        }
    }
    let text =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/schema/verify.json")).unwrap();
    let mut schema: Value = serde_json::from_str(&text).unwrap();
    close(&mut schema);
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("verify.json", schema).unwrap();
    let mut schemas = boon::Schemas::new();
    let index = compiler.compile("verify.json", &mut schemas).unwrap();
    if let Err(error) = schemas.validate(value, index) {
        panic!("{error:#} in {value:#}");
    }
}

/// Runs the rest of the command line where no network namespace can be made, and so no stage.
const NO_NET: &str = "echo 0 >/proc/sys/user/max_net_namespaces; exec \"$@\"";

#[test]
fn json_is_what_the_schema_says() {
    need!(root);
    let (_, mut value) = report(verify());
    assert_schema(&value);
    assert_schema(&report(verify().env("RUSTIC_LEAK", "descriptor")).1);
    assert_schema(&report(verify().opt(["--flip", "--only", "ipc,root"])).1);
    let (code, nothing) =
        by("unshare", &["--user", "--map-root-user", "sh", "-c", NO_NET, "sh"], &["--flip"]);
    assert_eq!(code, 3, "{nothing:#}");
    assert_schema(&nothing);
    // The control: a member of the wrong kind, and one that the schema does not know, are seen.
    for (member, wrong) in [("nonce", Value::from(7)), ("unknown", Value::from("x"))] {
        let kept = value.clone();
        value[member] = wrong;
        assert!(std::panic::catch_unwind(|| assert_schema(&value)).is_err(), "{member}");
        value = kept;
    }
}

#[test]
fn walls_can_be_chosen_explained_and_listed() {
    need!(root);
    let only = report(verify().opt(["--only", "ipc,net"])).1;
    assert_eq!(verdicts(&only).into_keys().collect::<Vec<_>>(), ["ipc", "net"]);
    let why = verify().opt(["--why", "ipc"]).ran().ok();
    for words in [
        "RV-IPC-01",
        "it crosses: the control",
        "mq_open(/rustic.",
        "ENOENT (No such file or directory)",
        "ipc_namespaces(7)",
        "ipc:[",
    ] {
        assert!(why.contains(words), "{words}: {why}");
    }
    let list = verify().opt(["--list"]).nobody().ran().ok();
    let (_, everything) = report(verify());
    let probes: Vec<_> = walls(&everything)
        .into_values()
        .flat_map(|wall| wall["probes"].as_array().unwrap())
        .collect();
    assert!(probes.len() >= 40);
    for probe in probes {
        let line =
            list.lines().find(|line| line.starts_with(probe["id"].as_str().unwrap())).unwrap();
        assert!(
            line.contains(probe["title"].as_str().unwrap())
                && line.contains(probe["effect"].as_str().unwrap()),
            "{line}"
        );
    }
}

#[test]
fn a_wrong_call_ends_with_2_and_names_what_is_wrong() {
    verify().opt(["--only", "mount"]).ran().fails(2, &["mount", "is called mnt"]);
    verify().opt(["--only", "door"]).ran().fails(2, &["door", "pid mnt root"]);
    verify().opt(["--ipc", "maybe"]).ran().fails(2, &["maybe"]);
    verify().opt(["--flip", "--why", "ipc"]).ran().fails(2, &["--why"]);
    verify().opt(["sh"]).ran().fails(2, &["sh"]);
    verify().opt(["--rootfs", "/nonexistent"]).ran().fails(2, &["/nonexistent"]);
    verify().opt(["--mount", "no", "--root", "pivot"]).ran().fails(2, &["--root pivot"]);
}

#[test]
fn what_is_bound_on_purpose_is_told_and_is_no_leak() {
    need!(root);
    for source in ["/", std::env::temp_dir().to_str().unwrap()] {
        let bind = format!("{source}:/mnt");
        let (code, report) = report(verify().opt(["--caps", "sys_admin", "--bind", bind.as_str()]));
        assert_eq!((code, wrong(&report)), (0, vec![]), "{report:#}");
        let remarks = walls(&report)["root"]["remarks"].to_string();
        assert!(remarks.contains(&format!("{source} of the host is /mnt inside")), "{remarks}");
    }
}

#[test]
fn the_rights_that_are_there_are_named_whatever_the_verdict_is() {
    need!(root);
    let remarks = |options: &[&str]| {
        let (code, report) = report(verify().opt(["--only", "user"]).opt(options.iter().copied()));
        (code, walls(&report)["user"]["remarks"].to_string())
    };
    let (code, some) = remarks(&["--caps", "syslog"]);
    assert!(code == 0 && some.contains("asked for, and found: CAP_SYSLOG"), "{some}");
    let (code, none) = remarks(&["--caps", "none"]);
    assert!(code == 0 && none.contains("and none found"), "{none}");
    let (code, machine) = remarks(&["--user", "yes", "--caps", "all"]);
    assert!(code == 0 && machine.contains("and none found"), "{machine}");
}

#[test]
fn a_caller_who_is_nice_is_verified_like_any_other() {
    need!(root);
    for nice in ["13", "19"] {
        let mut command = Command::new("setpriv");
        let uid = NOBODY.to_string();
        command
            .args(["--reuid", &uid, "--regid", &uid, "--clear-groups", "nice", "-n", nice])
            .arg(binary());
        command
            .args(["verify", "--only", "pid"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let ran = finish(command.spawn().unwrap());
        assert!(ran.code == 0 && ran.stdout.contains("held"), "{ran:?}");
    }
}

#[test]
fn a_container_that_cannot_start_leaves_every_wall_unknown_with_its_error() {
    need!(root);
    let file = scratch("verify-broken").join("broken.tar");
    fs::write(&file, "no archive").unwrap();
    let (code, report) = report(verify().opt(["--rootfs", file.to_str().unwrap()]));
    assert_eq!(code, 3);
    for wall in walls(&report).values() {
        assert!(wall["because"].as_str().unwrap().contains("broken.tar"), "{wall}");
    }
}

#[test]
fn options_of_run_reach_the_container_that_is_verified() {
    need!(root);
    let directory = tree("verify-options");
    for file in ["hosts", "hostname", "resolv.conf"] {
        fs::write(directory.join("etc").join(file), "").unwrap();
    }
    let options = [
        "--rootfs",
        directory.to_str().unwrap(),
        "--read-only",
        "--uid",
        "1000",
        "--hostname",
        "box",
        "--tmpfs",
        "/tmp",
    ];
    let (code, report) = report(verify().opt(options));
    assert_eq!((code, wrong(&report)), (0, vec![]), "{report:#}");
    let argv: Vec<_> = report["target"]["argv"]
        .as_array()
        .unwrap()
        .iter()
        .map(|word| word.as_str().unwrap())
        .collect();
    for word in [
        &format!("--rootfs={}", directory.display()),
        "--read-only",
        "--uid=1000",
        "--hostname=box",
        "--tmpfs=/tmp",
    ] {
        assert!(argv.contains(&word), "{word} in {argv:?}");
    }
    let uts = walls(&report)["uts"]["probes"].as_array().unwrap()[0].clone();
    assert_eq!(uts["inside"]["data"], "box");
}
