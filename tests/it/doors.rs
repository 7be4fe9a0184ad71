//! What was ordered open: verify finds the way, calls it shared and no leak, names the door, and
//! counts it. The control of each is the same container without the order.

use crate::judged::{probes, report, verdicts, verify, walls, wrong};
use crate::need;
use crate::support::{Ran, binary, finish, scratch, shared, tree};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

/// The walls that an order opens, with the probe and the door of each.
type Opened = [(&'static str, &'static str, &'static str)];

/// Verifies with and without an order: what it opens is shared by that door, held without it, and
/// nothing else has changed.
#[track_caller]
fn opens(order: &str, opened: &Opened) {
    let words = || order.split_whitespace().map(str::to_owned);
    let ((code, ordered), (tight_code, tight)) = (report(verify().opt(words())), report(verify()));
    assert_eq!((code, tight_code, wrong(&ordered)), (0, 0, vec![]), "{order}: {ordered:#}");
    for (wall, probe, door) in opened {
        let found = walls(&ordered)[wall];
        let through = found["probes"].as_array().unwrap().iter();
        let through = through.filter(|one| one["id"] == *probe).map(|one| one["door"].clone());
        assert_eq!(
            (found["verdict"].as_str(), probes(found)[probe].0, through.collect::<Vec<_>>()),
            (Some("shared"), "shared", vec![json!(door)]),
            "{order}: {found:#}"
        );
        assert!(found["doors"].as_array().unwrap().contains(&json!(door)), "{found:#}");
        let held = probes(walls(&tight)[wall])[probe].0;
        assert!(held == "held" || held == "untried", "{order}: {wall} without it is {held}");
    }
    let changed: Vec<&str> = verdicts(&ordered)
        .into_iter()
        .filter(|(wall, verdict)| verdicts(&tight)[wall] != *verdict)
        .map(|(wall, _)| wall)
        .collect();
    let mut expected: Vec<&str> = opened.iter().map(|(wall, ..)| *wall).collect();
    expected.sort_unstable();
    expected.dedup();
    assert_eq!(changed, expected, "{order}");
    let table = verify().opt(words()).ran();
    let last = table.stdout.lines().last().unwrap().to_owned();
    let count = ordered["doors"].as_array().unwrap().len();
    assert!(table.code == 0 && last.contains(&format!(" {count} doors are open: ")), "{last}");
}

#[test]
fn a_mount_of_the_host_is_judged_by_what_it_is_and_not_by_where_it_is() {
    need!(root);
    for target in ["/mnt", "/proc"] {
        let order = format!("--bind /proc:{target}");
        let door = format!("--bind /proc:{target}");
        let (code, ordered) = report(verify().opt(order.split(' ')));
        assert_eq!((code, wrong(&ordered)), (0, vec![]), "{ordered:#}");
        for (wall, probe) in [("pid", "RV-PID-03"), ("root", "RV-PID-06"), ("kernel", "RV-KRN-01")]
        {
            let found = walls(&ordered)[wall];
            assert_eq!(probes(found)[probe].0, "shared", "{order}: {found:#}");
            assert!(found["doors"].as_array().unwrap().contains(&json!(door)), "{found:#}");
        }
    }
    opens(
        "--bind /sys:/mnt",
        &[
            ("net", "RV-NET-05", "--bind /sys:/mnt"),
            ("cgroup", "RV-CGR-05", "--bind /sys:/mnt"),
            ("kernel", "RV-KRN-02", "--bind /sys:/mnt"),
            ("root", "RV-ROOT-08", "--bind /sys:/mnt"),
        ],
    );
}

#[test]
fn the_whole_host_bound_is_told_with_what_lies_below() {
    need!(root);
    let (code, ordered) = report(verify().opt(["--bind", "/:/mnt:ro"]));
    assert_eq!((code, wrong(&ordered)), (0, vec![]), "{ordered:#}");
    for (wall, probe) in [
        ("pid", "RV-PID-03"),
        ("root", "RV-ROOT-08"),
        ("net", "RV-NET-05"),
        ("cgroup", "RV-CGR-05"),
        ("terminal", "RV-TTY-03"),
    ] {
        assert_eq!(probes(walls(&ordered)[wall])[probe].0, "shared", "{wall}: {ordered:#}");
    }
    let door = ordered["doors"].as_array().unwrap().iter().find(|door| door["kind"] == "files");
    let door = door.unwrap_or_else(|| panic!("{ordered:#}"));
    assert_eq!(
        (&door["source"], &door["target"], &door["writable"], &door["name"]),
        (&json!("/"), &json!("/mnt"), &json!(false), &json!("--bind /:/mnt"))
    );
}

/// verify by a shell of its own mount namespace, which prepares something on that host.
fn prepared(script: &str, options: &str) -> (i32, Value) {
    let script = format!("set -e; {script}; exec \"$RUSTIC\" verify --json {options}");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]);
    command.env("RUSTIC", binary()).env("RUSTIC_STORE", shared().join("store"));
    let ran = ended(command);
    (ran.code, serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}")))
}

fn ended(mut command: Command) -> Ran {
    finish(
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap(),
    )
}

/// A process of the host, without a right that would hide it.
struct Weak(std::process::Child);

impl Weak {
    fn start() -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-all", "--inh-caps=-all", "sleep", "600"]);
        let child = command.spawn().unwrap();
        let comm = format!("/proc/{}/comm", child.id());
        while fs::read_to_string(&comm).is_ok_and(|name| name.trim() != "sleep") {}
        Self(child)
    }
}

impl Drop for Weak {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_part_of_proc_is_judged_by_what_it_shows() {
    need!(root);
    let weak = Weak::start();
    let pid = weak.0.id();
    let bound = |options: &str| {
        let (code, report) = report(verify().opt(options.split_whitespace()));
        assert_eq!((code, wrong(&report)), (0, vec![]), "{options}: {report:#}");
        let opened = walls(&report).into_iter().filter(|(_, wall)| wall["doors"] != json!([]));
        opened.map(|(name, _)| name.to_owned()).collect::<Vec<_>>().join(" ")
    };
    // A process leads to the host's root, and from there everywhere.
    let all = "cgroup devices kernel keyring net pid root terminal";
    assert_eq!(bound(&format!("--bind /proc/{pid}:/p")), all);
    assert_eq!(bound(&format!("--bind /proc/{pid}/net:/p")), "net");
    let entered =
        "--caps sys_admin,sys_chroot --bind /proc/{pid}/ns:/n".replace("{pid}", &pid.to_string());
    for wall in ["mnt", "uts", "net", "ipc", "root"] {
        assert!(bound(&entered).split(' ').any(|name| name == wall), "{wall}");
    }
    assert_eq!(bound("--bind /proc/keys:/k"), "keyring");
    assert_eq!(bound("--bind /proc/sys/kernel/core_pattern:/x"), "kernel");
    assert_eq!(bound("--bind /proc/sys/kernel:/x"), "kernel");
    assert_eq!(bound("--bind /proc/sys/vm/swappiness:/x"), "kernel");
    assert_eq!(bound("--bind /sys/kernel:/x"), "kernel");
    assert_eq!(bound("--bind /dev/pts:/x"), "terminal");
    assert_eq!(bound("--caps syslog"), "kernel");
    // What a namespace has of its own is nobody else's.
    assert_eq!(bound("--bind /proc/sys/net:/x"), "");
    assert_eq!(bound("--bind /proc/self/status:/x"), "pid");
}

#[test]
fn a_node_that_is_bound_is_a_device_and_a_file_of_the_host() {
    need!(root);
    let opened = |source: &str| {
        let bind = format!("{source}:/x");
        let (code, report) = report(verify().opt(["--bind", bind.as_str()]));
        assert_eq!((code, wrong(&report)), (0, vec![]), "{report:#}");
        (verdicts(&report)["devices"].to_owned(), verdicts(&report)["root"].to_owned())
    };
    let both = ("shared".to_owned(), "shared".to_owned());
    assert_eq!((opened("/dev/kmsg"), opened("/dev/loop-control")), (both.clone(), both));
    assert_eq!(opened("/dev/zero"), ("held".into(), "held".into()));
}

#[test]
fn an_image_on_the_hosts_disk_leads_to_it_by_handle_where_the_right_is_there() {
    need!(root);
    let root = |caps: &str| {
        let (code, report) = report(verify().opt(["--mount", "no", "--caps", caps]));
        (code, verdicts(&report)["root"].to_owned())
    };
    assert_eq!(root("dac_read_search"), (0, "shared".into()));
    assert_eq!(root("default"), (0, "held".into()));
}

#[test]
fn a_directory_as_the_root_is_a_door_however_it_is_shown() {
    need!(root);
    let root = tree("doors-root");
    for file in ["hosts", "hostname", "resolv.conf"] {
        fs::write(root.join("etc").join(file), "").unwrap();
    }
    for how in ["", "--ephemeral", "--read-only", "--mount no", "--root chroot"] {
        let options = format!("--rootfs {} {how}", root.display());
        let (code, report) = report(verify().opt(options.split_whitespace()));
        assert_eq!((code, verdicts(&report)["root"]), (0, "shared"), "{how}: {report:#}");
    }
}

#[test]
fn a_place_whose_name_is_no_text_is_looked_at_like_any_other() {
    need!(root);
    let place = scratch("doors-bytes").display().to_string();
    let named = "d=$(printf 'm\\377'); mkdir -p \"$P/$d\"; mount -t tracefs t \"$P/$d\"";
    let script = format!("P={place}; {named}");
    let (code, bound) = prepared(&script, &format!("--bind {place}:/mnt"));
    assert_eq!((code, verdicts(&bound)["kernel"]), (0, "shared"), "{bound:#}");
    let (code, tight) = prepared(&script, "");
    assert_eq!((code, verdicts(&tight)["kernel"]), (0, "held"), "{tight:#}");
}

#[test]
fn a_queue_mount_of_the_host_is_a_way_to_its_queues_wherever_it_is() {
    need!(root);
    let place = scratch("doors-mqueue");
    let place = place.display();
    let mount = format!("mount -t mqueue q {place}");
    for target in ["/mnt", "/dev/mqueue"] {
        let (code, bound) = prepared(&mount, &format!("--bind {place}:{target}"));
        let ipc = walls(&bound)["ipc"];
        assert_eq!((code, wrong(&bound)), (0, vec![]), "{bound:#}");
        assert_eq!(
            (ipc["verdict"].as_str(), probes(ipc)["RV-IPC-08"].0),
            (Some("shared"), "shared"),
            "{ipc:#}"
        );
    }
    // The control: it is there, and nothing leads to it.
    let (code, tight) = prepared(&mount, "");
    assert_eq!((code, verdicts(&tight)["ipc"]), (0, "held"), "{tight:#}");
}

#[test]
fn a_directory_takes_the_mounts_below_it_along_but_for_views_of_the_kernel() {
    need!(root);
    let root = tree("doors-directory");
    for folder in ["mnt", "mnt/p", "mnt/host"] {
        fs::create_dir(root.join(folder)).unwrap();
    }
    for file in ["hosts", "hostname", "resolv.conf"] {
        fs::write(root.join("etc").join(file), "").unwrap();
    }
    let root = root.display();
    let below = format!("mount -t proc p {root}/mnt/p; mount --bind / {root}/mnt/host");
    let (code, taken) = prepared(&below, &format!("--rootfs {root}"));
    assert_eq!((code, wrong(&taken)), (0, vec![]), "{taken:#}");
    let (pid, files) = (walls(&taken)["pid"], walls(&taken)["root"]);
    assert_eq!(
        (pid["verdict"].as_str(), files["verdict"].as_str()),
        (Some("held"), Some("shared"))
    );
    let seen = files["probes"].as_array().unwrap().iter();
    let seen = seen.filter(|probe| probe["id"] == "RV-ROOT-08").map(|probe| &probe["door"]);
    assert_eq!(seen.collect::<Vec<_>>(), [&json!(format!("--rootfs {root}"))]);
    // Bound by name the view is there.
    let options = format!("--rootfs {root} --bind /proc:/mnt/p");
    let (code, bound) = prepared(&below, &options);
    assert_eq!((code, verdicts(&bound)["pid"]), (0, "shared"), "{bound:#}");
    // A host's whole tree as a root is what was ordered, and no leak.
    let (code, host) = report(verify().opt(["--rootfs", "/", "--read-only"]));
    assert_eq!((code, verdicts(&host)["root"], wrong(&host)), (0, "shared", vec![]), "{host:#}");
}

#[test]
fn the_kernels_own_files_in_sight_are_a_door() {
    need!(root);
    opens(
        "--proc open",
        &[
            ("kernel", "RV-KRN-01", "--proc open"),
            ("kernel", "RV-KRN-05", "--proc open"),
            ("keyring", "RV-KEY-03", "--proc open"),
        ],
    );
}

#[test]
fn the_right_to_mount_opens_what_can_be_mounted() {
    need!(root);
    opens(
        "--caps sys_admin,mknod",
        &[
            ("root", "RV-ROOT-10", "CAP_SYS_ADMIN"),
            ("cgroup", "RV-CGR-03", "CAP_SYS_ADMIN"),
            ("kernel", "RV-KRN-03", "CAP_SYS_ADMIN"),
            ("devices", "RV-DEV-03", "CAP_SYS_ADMIN"),
            ("devices", "RV-DEV-02", "CAP_MKNOD"),
        ],
    );
}

#[test]
fn whoever_names_a_process_outside_follows_its_root_and_with_the_right_enters_where_it_is() {
    need!(root);
    let (_, shared) = report(verify().opt(["--pid", "no"]));
    for (wall, probe) in [
        ("root", "RV-PID-06"),
        ("root", "RV-ROOT-13"),
        ("net", "RV-NET-05"),
        ("net", "RV-NET-15"),
        ("ipc", "RV-IPC-02"),
        ("cgroup", "RV-CGR-06"),
        ("keyring", "RV-KEY-03"),
        ("terminal", "RV-TTY-03"),
        ("kernel", "RV-KRN-01"),
        ("devices", "RV-DEV-01"),
    ] {
        let found = walls(&shared)[wall];
        assert_eq!(
            (found["verdict"].as_str(), probes(found)[probe].0, &found["doors"]),
            (Some("shared"), "shared", &json!(["pid"])),
            "{wall}: {found:#}"
        );
    }
    // In a user namespace its root may not be followed, and its network is seen all the same.
    let (_, apart) = report(verify().opt(["--pid", "no", "--user", "yes"]));
    let by_pid = verdicts(&apart);
    assert_eq!((by_pid["root"], by_pid["kernel"], by_pid["net"]), ("held", "held", "shared"));
    let entered = "pid with CAP_SYS_ADMIN";
    let (code, all) = report(verify().opt(["--pid", "no", "--caps", "all"]));
    assert_eq!((code, wrong(&all)), (0, vec![]), "{all:#}");
    for (wall, probe) in [
        ("mnt", "RV-MNT-04"),
        ("uts", "RV-UTS-04"),
        ("net", "RV-NET-12"),
        ("ipc", "RV-IPC-09"),
        ("cgroup", "RV-CGR-04"),
        ("root", "RV-ROOT-09"),
    ] {
        let found = walls(&all)[wall];
        assert_eq!(probes(found)[probe].0, "shared", "{wall}: {found:#}");
        assert!(found["doors"].as_array().unwrap().contains(&json!(entered)), "{found:#}");
    }
}

#[test]
fn without_a_filter_ports_events_keys_and_nested_cgroups_are_reached() {
    need!(root);
    let door = "--seccomp none";
    opens(
        "--seccomp none",
        &[
            ("net", "RV-NET-07", door),
            ("net", "RV-NET-08", door),
            ("net", "RV-NET-13", door),
            ("net", "RV-NET-14", door),
            ("keyring", "RV-KEY-02", door),
            ("keyring", "RV-KEY-04", door),
            ("keyring", "RV-KEY-05", door),
            ("cgroup", "RV-CGR-03", door),
        ],
    );
    opens("--nest yes", &[("cgroup", "RV-CGR-03", "--nest yes")]);
    // The keyring of another uid of the host is one too.
    let (_, other) = report(verify().opt(["--uid", "4321", "--seccomp", "none"]));
    assert_eq!(probes(walls(&other)["keyring"])["RV-KEY-02"].0, "shared", "{other:#}");
}

#[test]
fn what_is_behind_the_streams_is_changed_where_they_are_inherited() {
    need!(root);
    opens(
        "--stdio inherit",
        &[
            ("fds", "RV-FD-02", "--stdio inherit"),
            ("fds", "RV-FD-03", "--stdio inherit"),
            ("terminal", "RV-TTY-02", "--stdio inherit"),
        ],
    );
}

#[test]
fn what_is_expected_decides_in_place_of_what_was_ordered() {
    need!(root);
    let expected = |options: &[&str]| {
        let (code, report) = report(verify().opt(options.iter().copied()));
        (code, wrong(&report).join(" "))
    };
    let none = ["--only", "keyring,uts", "--seccomp", "none"];
    let with = |expect: &'static str| [none.as_slice(), &["--expect", expect]].concat();
    assert_eq!(expected(&none), (0, String::new()));
    assert_eq!(expected(&with("keyring=held")), (1, "keyring".into()));
    assert_eq!(expected(&with("keyring=shared,uts=held")), (0, String::new()));
    assert_eq!(expected(&with("uts=shared")), (1, "uts".into()));
    assert_eq!(expected(&with("uts=unknown")), (1, "uts".into()));
    // What is expected to be unknown may be.
    let fails = |expect: &str| {
        let verify = verify().opt(["--only", "net", "--expect", expect]);
        report(verify.env("RUSTIC_FAIL_CONTROL", "RV-NET-02")).0
    };
    assert_eq!(fails("net=held"), 3);
    for (wrong, words) in [
        ("net", "WALL=VERDICT"),
        ("net=open", "held shared leaked unknown"),
        ("door=held", "no such wall"),
    ] {
        verify().opt(["--expect", wrong]).ran().fails(2, &[wrong, words]);
    }
    let untried = verify().opt(["--only", "pid", "--expect", "net=held"]).ran();
    untried.fails(2, &["--expect net", "not tried"]);
}

#[test]
fn a_leak_is_told_with_how_to_mend_it() {
    need!(root);
    let (code, leaking) = report(verify().opt(["--only", "fds"]).env("RUSTIC_LEAK", "descriptor"));
    let fds = walls(&leaking)["fds"];
    assert_eq!((code, fds["verdict"].as_str()), (1, Some("leaked")));
    assert!(fds["fix"].as_str().unwrap().contains("close_range(2)"), "{fds:#}");
    let table = verify().opt(["--only", "fds"]).env("RUSTIC_LEAK", "descriptor").ran();
    assert!(table.stdout.contains("fix  close_range(2)"), "{table:?}");
    let (_, tight) = report(verify().opt(["--only", "fds"]));
    assert_eq!(walls(&tight)["fds"]["fix"], Value::Null);
}

#[test]
fn what_was_not_tried_is_not_called_as_ordered() {
    need!(root);
    let last = |options: &[&str]| {
        let ran = verify().opt(options.iter().copied()).ran();
        (ran.code, ran.stdout.lines().last().unwrap().to_owned())
    };
    let (code, said) = last(&["--only", "ipc"]);
    assert_eq!(
        (code, said.as_str()),
        (0, "→ Every wall that was tried is as ordered. 1 of 14 walls was tried.")
    );
    // Nothing tried is never 0: here no control crosses, since the caller has nothing to lose.
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-sys_time", "--reuid=0"]).arg(binary());
    command.args(["verify", "--only", "time"]).env("RUSTIC_STORE", shared().join("store"));
    let ran = ended(command);
    assert_eq!(ran.code, 3, "{ran:?}");
}

#[test]
fn a_start_that_fails_is_told_with_its_cause() {
    need!(root);
    let (_, broken) = report_of_a_broken_root();
    let because = walls(&broken)["root"]["because"].as_str().unwrap().to_owned();
    assert!(because.contains("/etc/hosts: ENOENT") && because.contains("try   make"), "{because}");
}

/// A directory that lacks a mount target, where nothing may be made.
fn report_of_a_broken_root() -> (i32, Value) {
    let root = scratch("doors-broken");
    report(verify().opt(["--only", "root", "--read-only", "--rootfs", root.to_str().unwrap()]))
}

/// verify by a shell script, with the binary as `$RUSTIC`.
fn shell(script: &str) -> Ran {
    let mut command = Command::new("bash");
    command.args(["-c", script]).env("RUSTIC", binary());
    command.env("RUSTIC_STORE", shared().join("store"));
    ended(command)
}

#[test]
fn a_report_that_cannot_be_written_is_none() {
    need!(root);
    let closed = shell("\"$RUSTIC\" verify --only uts >&-");
    assert!(closed.code == 125 && closed.stderr.contains("stdout: it is closed"), "{closed:?}");
    assert_eq!(shell("\"$RUSTIC\" verify --only uts >/dev/full").code, 125);
    // The control, and a reader.
    assert_eq!(shell("\"$RUSTIC\" verify --only uts >/dev/null").code, 0);
    let piped = shell("set -o pipefail; \"$RUSTIC\" verify </dev/null | cat");
    assert!(piped.code == 0 && piped.stdout.contains("Every wall is as ordered."), "{piped:?}");
}

#[test]
fn the_verdicts_are_the_same_wherever_it_is_called() {
    need!(root);
    let plain = verdicts(&report(verify()).1)
        .into_iter()
        .map(|(wall, verdict)| (wall.to_owned(), verdict.to_owned()))
        .collect::<BTreeMap<String, String>>();
    let busy = "for n in 1 2 3; do (while :; do :; done) & done; trap 'kill $(jobs -p)' EXIT; \
        nice -n 19 \"$RUSTIC\" verify --json";
    for (script, codes) in [
        ("ulimit -n 64; exec \"$RUSTIC\" verify --json", [0, 0]),
        ("exec \"$RUSTIC\" verify --json <&- 2>&-", [0, 0]),
        (busy, [0, 0]),
        ("exec unshare -pfm --mount-proc \"$RUSTIC\" verify --json", [0, 0]),
        // Without the host's devices and cgroups some of it cannot be tried.
        (
            "exec bwrap --ro-bind / / --tmpfs /tmp --unshare-all --proc /proc --dev /dev \
                --bind \"${RUSTIC%/*}\" \"${RUSTIC%/*}\" \"$RUSTIC\" verify --json",
            [0, 3],
        ),
    ] {
        let ran = shell(script);
        let report: Value =
            serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{script}: {ran:?}"));
        assert!(codes.contains(&ran.code), "{script}: {} {}", ran.code, report["summary"]);
        for (wall, found) in walls(&report) {
            match found["verdict"].as_str().unwrap() {
                "unknown" => {
                    assert_eq!(ran.code, 3, "{script}: {found:#}");
                    assert!(!found["because"].as_str().unwrap().is_empty(), "{found:#}");
                }
                verdict => assert_eq!(verdict, plain[wall], "{script}: {found:#}"),
            }
        }
    }
}

/// The orders of the table in docs/verify.md.
const ORDERS: [&str; 26] = [
    "--pid no",
    "--mount no",
    "--uts no",
    "--net no",
    "--ipc no",
    "--cgroup no",
    "--user yes",
    "--time yes",
    "--bind /etc:/mnt",
    "--bind /proc:/mnt",
    "--bind /sys:/mnt",
    "--bind /dev:/mnt",
    "--bind /:/mnt",
    "--rootfs / --read-only",
    "--stdio inherit",
    "--proc open",
    "--proc open --user yes",
    "--seccomp none",
    "--nest yes",
    "--root chroot",
    "--root chroot --caps sys_chroot",
    "--caps net_admin",
    "--caps mknod",
    "--caps sys_admin",
    "--caps sys_admin --user yes",
    "--caps all --pid no",
];

/// One row: what an order changes, by the first probe of each wall that says so.
fn row(order: &str, plain: &BTreeMap<&str, &str>) -> String {
    let (code, ordered) = report(verify().opt(order.split(' ')));
    assert_eq!((code, wrong(&ordered)), (0, vec![]), "{order}: {ordered:#}");
    let changed: Vec<String> = ordered["walls"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|wall| plain[wall["wall"].as_str().unwrap()] != wall["verdict"])
        .map(|wall| {
            let probes = wall["probes"].as_array().unwrap();
            let decides = probes.iter().find(|probe| probe["verdict"] == wall["verdict"]);
            let id = decides.map_or("", |probe| probe["id"].as_str().unwrap());
            let by: Vec<&str> = wall["doors"]
                .as_array()
                .unwrap()
                .iter()
                .map(|door| door.as_str().unwrap())
                .filter(|door| !order.starts_with(door) || door.len() < 5)
                .collect();
            let by = if by.is_empty() { String::new() } else { format!(", by {}", by.join(", ")) };
            let name = wall["wall"].as_str().unwrap();
            format!("{name} {} ({id}{by})", wall["verdict"].as_str().unwrap())
        })
        .collect();
    let changed = if changed.is_empty() { "nothing".to_owned() } else { changed.join("; ") };
    format!("| `{order}` | {changed} |")
}

#[test]
fn the_table_of_docs_verify_is_what_verify_says() {
    need!(root);
    let (_, plain) = report(verify());
    let plain = verdicts(&plain);
    let rows: Vec<String> = ORDERS.iter().map(|order| row(order, &plain)).collect();
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/verify.md")).unwrap();
    let shown: Vec<&str> = text.lines().filter(|line| line.starts_with("| `--")).collect();
    assert_eq!(shown, rows, "docs/verify.md should say:\n{}", rows.join("\n"));
    // Each probe that it names is told with its title.
    let list = verify().opt(["--list"]).ran().ok();
    let names = rows.iter().flat_map(|row| row.split(['(', ',', ')']));
    for id in names.filter(|word| word.starts_with("RV-")) {
        let title = list.lines().find(|line| line.starts_with(id)).unwrap();
        let title = title.splitn(5, "  ").last().unwrap().trim();
        assert!(text.contains(&format!("- `{id}` {}", title_alone(title))), "{id}: {title}");
    }
}

/// The last column of the catalogue: what stands before it has no blank in it.
fn title_alone(rest: &str) -> &str {
    let mut rest = rest;
    for column in ["in-to-out", "out-to-in", "none", "stage", "own-object"] {
        rest = rest.trim_start().strip_prefix(column).unwrap_or(rest);
    }
    rest.trim_start()
}

#[test]
fn a_descriptor_above_1023_is_found_like_any_other() {
    need!(root);
    let found = |limit: u32| {
        let script = format!(
            "ulimit -n {limit}; RUSTIC_LEAK=descriptor exec \"$RUSTIC\" verify --only fds --json"
        );
        let ran = shell(&script);
        let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
        let probes = walls(&report)["fds"]["probes"].as_array().unwrap();
        let file = probes.iter().find(|probe| probe["id"] == "RV-FD-01").unwrap();
        file["inside"]["arg"].as_str().unwrap().to_owned()
    };
    // One more is left open where the caller may have so many.
    let count = |limit| found(limit).split(' ').next().unwrap().parse::<u32>().unwrap();
    assert_eq!(count(4000), count(1000) + 1);
}
