//! The wall to the kernel: what a hostile root finds open of its files and calls, and with which
//! order it would find it. The program `surface` tries everything; each test has the run that sees
//! it open.

use crate::need;
use crate::support::{Rustic, binary, host, payload, scratch, shared, surface, tree, unique};
use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

/// What `surface` says: kind and name → answer.
type Surface = BTreeMap<(String, String), String>;

fn read(text: &str) -> Surface {
    let row = |line: &str| {
        let [kind, name, answer] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("no row: {line}")
        };
        ((kind.to_owned(), name.to_owned()), answer.to_owned())
    };
    let rows: Surface = text.lines().map(row).collect();
    assert!(rows.len() > 100, "{text}");
    rows
}

fn inside(run: Rustic) -> Surface {
    let bind = format!("{}:/mnt/surface", surface().display());
    read(&run.opt(["--bind", &bind, "/mnt/surface"]).ran().ok())
}

fn answer<'a>(surface: &'a Surface, kind: &str, name: &str) -> &'a str {
    surface.get(&(kind.to_owned(), name.to_owned())).map_or("", String::as_str)
}

/// Whether this kernel is that new.
fn since(major: u32, minor: u32) -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (major, minor)
}

/// Every setting in which /proc and /sys are of another making: fresh or bound, in the initial user
/// namespace or in one of the container's own.
fn settings() -> Vec<Rustic> {
    vec![
        Rustic::run(),
        Rustic::run().ns("pid", "no"),
        Rustic::run().ns("net", "no"),
        Rustic::run().ns("user", "yes"),
        Rustic::run().ns("user", "yes").ns("pid", "no").ns("net", "no"),
        Rustic::run().nobody(),
        Rustic::run().nobody().ns("pid", "no"),
        Rustic::run().nobody().ns("net", "no").ns("cgroup", "no"),
        Rustic::run().opt(["--root", "chroot"]),
        Rustic::run().opt(["--caps", "all"]),
    ]
}

#[test]
fn no_global_file_can_be_written_and_none_that_tells_too_much_can_be_read() {
    need!(root);
    for run in settings() {
        let found = inside(run.clone());
        let written: Vec<_> =
            found.keys().filter(|(kind, _)| kind == "write").map(|(_, name)| name).collect();
        assert_eq!(written, Vec::<&String>::new(), "{:?}", run.args());
        for name in ["keys", "timer_list", "kpagecount", "vmallocinfo", "interrupts", "kcore"] {
            let answer = answer(&found, "read", &format!("/proc/{name}"));
            assert!(["ENODATA", "ENOENT"].contains(&answer), "{name}: {answer} {:?}", run.args());
        }
        for name in ["/sys/firmware", "/sys/dev/block"] {
            assert_eq!(answer(&found, "read", name), "ENODATA", "{:?}", run.args());
        }
    }
    // The control: what the same program finds where nothing is masked.
    let open = inside(Rustic::run().opt(["--proc", "open"]));
    for name in ["/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches"] {
        assert_eq!(answer(&open, "write", name), "open", "{name}");
    }
    for name in [
        "/proc/interrupts",
        "/proc/keys",
        "/proc/timer_list",
        "/proc/vmallocinfo",
        "/sys/dev/block",
        "/sys/firmware",
    ] {
        assert_eq!(answer(&open, "read", name), "open", "{name}");
    }
    assert_eq!(answer(&open, "read", "/proc/kpagecount"), "EINVAL", "it wants eight bytes");
    // Files that this kernel may not have: then they are on the host as little as inside, and the
    // host is the control.
    let on_the_host = read(&host::<&str>(surface().to_str().unwrap(), []));
    let closed = inside(Rustic::run());
    for name in ["/proc/sysrq-trigger", "/proc/mtrr", "/sys/kernel/uevent_helper"] {
        assert_eq!(answer(&closed, "write", name), "", "{name}");
        let is_there = std::path::Path::new(name).exists();
        assert_eq!(answer(&on_the_host, "write", name) == "open", is_there, "{name}");
    }
    for name in ["/proc/kcore", "/proc/latency_stats", "/proc/sched_debug"] {
        let is_there = std::path::Path::new(name).exists();
        assert_eq!(answer(&on_the_host, "read", name) == "open", is_there, "{name}");
    }
}

#[test]
fn the_mode_of_no_global_file_can_be_changed() {
    need!(root);
    // Each gets the mode that it has: where that works, another one would work too, and be the
    // host's and every container's.
    let script = "for entry in /proc/*; do case ${entry#/proc/} in [0-9]*) continue ;; esac; \
        [ -L $entry ] || chmod $(stat -c %a $entry) $entry 2>/dev/null && echo $entry; done; true";
    let changed = |run: Rustic| -> usize {
        let out = run.sh(script).ran().ok();
        out.lines().filter(|entry| !std::path::Path::new(entry).is_symlink()).count()
    };
    for run in settings() {
        assert_eq!(changed(run.clone()), 0, "{:?}", run.args());
    }
    assert!(changed(Rustic::run().opt(["--proc", "open"])) > 20, "the control");
}

#[test]
fn the_kernels_log_needs_its_capability() {
    need!(root);
    let kmsg = |run| answer(&inside(run), "read", "/proc/kmsg").to_owned();
    assert_eq!(kmsg(Rustic::run()), "EPERM");
    assert_ne!(kmsg(Rustic::run().opt(["--caps", "SYSLOG,DAC_OVERRIDE"])), "EPERM");
}

#[test]
fn a_namespace_inside_gets_no_whole_proc_or_sysfs_and_no_cgroups() {
    need!(root);
    let mounts = |run: Rustic| {
        let found = inside(run);
        let of =
            |kind: &str| answer(&found, "mount", &format!("{kind} in a user namespace")).to_owned();
        assert_eq!(of("cgroup"), of("cgroup2"), "hierarchies of both versions alike");
        (of("proc"), of("sysfs"), of("cgroup2"))
    };
    let words = |three: [&str; 3]| (three[0].to_owned(), three[1].to_owned(), three[2].to_owned());
    for run in [Rustic::run(), Rustic::run().ns("user", "yes"), Rustic::run().nobody()] {
        assert_eq!(mounts(run.clone()), words(["EPERM", "EPERM", "EPERM"]));
        // The filter is not what keeps proc and sysfs: the masks do.
        let nested = run.opt(["--nest", "yes"]);
        let (proc, sysfs, cgroups) = mounts(nested.clone());
        assert_eq!((proc.as_str(), sysfs.as_str()), ("EPERM", "EPERM"), "{:?}", nested.args());
        // The control, and the door that -v names.
        assert_eq!(cgroups, "open", "{:?}", nested.args());
        assert_eq!(mounts(nested.opt(["--proc", "open"])), words(["open", "open", "open"]));
    }
    // Where /proc or /sys is the caller's own, bound, the masks are on a private copy.
    for bound in ["pid", "net"] {
        let run = Rustic::run().ns("user", "yes").ns(bound, "no").opt(["--nest", "yes"]);
        let (proc, sysfs, _) = mounts(run);
        assert_eq!((proc.as_str(), sysfs.as_str()), ("EPERM", "EPERM"), "--{bound} no");
    }
}

#[test]
fn masks_over_the_callers_own_proc_do_not_show_on_the_host() {
    need!(root);
    // In a mount namespace of its own that is shared, as systemd makes the host's: what travels out
    // is seen there, while the container lives.
    let script = "mount --make-rshared / && cat /proc/self/mountinfo >$DIR/before && \
        $RUSTIC run $OPTIONS sh -c 'echo up; read end' <$DIR/end >$DIR/up & \
        exec 3>$DIR/end; i=0; until grep -q up $DIR/up 2>/dev/null; do \
        i=$((i+1)); [ $i -lt 1000 ] || exit 9; sleep 0.02; done; \
        cat /proc/self/mountinfo >$DIR/during; head -c 1 /proc/timer_list | wc -c; echo >&3; wait; \
        cmp -s $DIR/before $DIR/during && echo same";
    let during = |options: &str, leak: &str| {
        let dir = scratch("masks");
        host("mkfifo", [dir.join("end")]);
        let output = Command::new("unshare")
            .args(["--mount", "sh", "-c", script])
            .env("RUSTIC", binary())
            .env("RUSTIC_STORE", shared().join("store"))
            .env("RUSTIC_LEAK", leak)
            .env("OPTIONS", options)
            .env("DIR", &dir)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(during("--user yes --pid no --net no", ""), "1\nsame\n");
    assert_eq!(during("--pid no --root chroot", ""), "1\nsame\n");
    // The control: where mounts are not made private the same look sees them.
    assert!(!during("--pid no --root chroot", "propagation").contains("same"));
}

#[test]
fn masks_are_a_door_for_who_has_the_right_to_take_them_away() {
    need!(root);
    let script = "umount /proc/interrupts 2>/dev/null; head -c 1 /proc/interrupts | wc -c";
    for run in [Rustic::run().nobody(), Rustic::run().ns("user", "yes"), Rustic::run()] {
        assert_eq!(run.clone().sh(script).ran().ok(), "0\n");
        let open = run.opt(["--caps", "all"]);
        assert_eq!(open.clone().sh(script).ran().ok(), "1\n");
        let said = open.clone().opt(["-v"]).sh("true").ran().stderr;
        assert!(said.contains("a door: CAP_SYS_ADMIN: "), "{said}");
    }
}

#[test]
fn calls_that_reach_too_far_are_closed_and_a_capability_or_an_order_opens_them() {
    need!(root);
    let closed = inside(Rustic::run());
    let open = inside(Rustic::run().opt(["--seccomp", "none", "--caps", "all"]));
    for (kind, name, refusal) in [
        ("call", "io_uring_setup", "ENOSYS"),
        ("call", "keyctl", "ENOSYS"),
        ("call", "clone3", "ENOSYS"),
        ("call", "userfaultfd", "EPERM"),
        ("call", "perf_event_open", "EPERM"),
        ("call", "bpf", "EPERM"),
        ("call", "kcmp", "EPERM"),
        ("call", "mount", "EPERM"),
        ("call", "setns", "EPERM"),
        ("call", "open_by_handle_at", "EPERM"),
        ("call", "unshare CLONE_NEWUSER", "EPERM"),
        ("call", "personality ADDR_NO_RANDOMIZE", "EPERM"),
        ("socket", "AF_VSOCK", "EAFNOSUPPORT"),
        ("socket", "AF_XDP", "EAFNOSUPPORT"),
        ("socket", "AF_NETLINK 15", "EPROTONOSUPPORT"),
        ("ioctl", "TIOCSTI", "EPERM"),
    ] {
        assert_eq!(answer(&closed, kind, name), refusal, "{name}");
        assert_ne!(answer(&open, kind, name), refusal, "the control: {name}");
    }
    // AF_ALG is closed whether this kernel has it or not.
    assert_eq!(answer(&closed, "socket", "AF_ALG"), "EAFNOSUPPORT");
    for (capability, name) in [
        ("SYS_ADMIN", "mount"),
        ("SYS_ADMIN", "setns"),
        ("BPF", "bpf"),
        ("PERFMON", "perf_event_open"),
        ("SYS_PTRACE", "kcmp"),
        ("DAC_READ_SEARCH", "open_by_handle_at"),
    ] {
        let opened = inside(Rustic::run().opt(["--caps", capability]));
        assert_ne!(answer(&opened, "call", name), "EPERM", "{name} with {capability}");
        assert_eq!(answer(&opened, "call", "userfaultfd"), "EPERM");
        assert_eq!(answer(&opened, "call", "unshare CLONE_NEWUSER"), "EPERM");
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn what_is_closed_is_closed_through_the_32_bit_gate_too() {
    need!(root);
    let (closed, open) = (inside(Rustic::run()), inside(Rustic::run().opt(["--seccomp", "none"])));
    for (name, refusal) in [("AF_VSOCK", "EAFNOSUPPORT"), ("AF_PACKET", "EPERM")] {
        assert_eq!(answer(&closed, "socket", &format!("{name} by int 0x80")), refusal);
    }
    assert_eq!(answer(&closed, "socket", "socketcall by int 0x80"), "ENOSYS");
    // The control, and the families that are open by it.
    assert_eq!(answer(&open, "socket", "AF_VSOCK by int 0x80"), "open");
    assert_eq!(answer(&open, "socket", "socketcall by int 0x80"), "EFAULT");
    assert_eq!(answer(&closed, "socket", "AF_INET by int 0x80"), "open");
}

#[test]
fn parameters_of_the_containers_own_namespaces_can_be_set_and_no_others() {
    need!(root);
    let before = fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap();
    let other = if before.trim() == "0" { "1" } else { "0" };
    need!(
        since(6, 9),
        "before Linux 6.9 a user namespace may not write the parameters of its IPC namespace"
    );
    let show =
        "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmni /proc/sys/fs/mqueue/msg_max";
    for run in [Rustic::run(), Rustic::run().ns("user", "yes"), Rustic::run().nobody()] {
        let forward = format!("net.ipv4.ip_forward={other}");
        let run = run.opt(["--sysctl", &forward, "--sysctl", "fs.mqueue.msg_max=5"]);
        let run = run.opt(["--sysctl", "kernel.shmmni=77"]);
        assert_eq!(run.sh(show).ran().ok(), format!("{other}\n77\n5\n"));
    }
    assert_eq!(fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap(), before);
    // The name of an interface may have a dot in it, sysctl(8).
    for name in ["net.ipv4.conf.lo.forwarding", "net/ipv4/conf/lo/forwarding"] {
        let run = Rustic::run().opt(["--sysctl", &format!("{name}=1")]);
        assert_eq!(run.opt(["cat", "/proc/sys/net/ipv4/conf/lo/forwarding"]).ran().ok(), "1\n");
    }

    let refused = |options: &[&str], words: &[&str]| {
        Rustic::run().opt(options.iter().copied()).sh("true").ran().fails(125, words);
    };
    refused(&["--sysctl", "kernel.core_pattern=x"], &["kernel.core_pattern", "whole machine"]);
    refused(&["--sysctl", "vm.swappiness=1"], &["vm.swappiness", "whole machine"]);
    refused(&["--sysctl", "net.ipv4.ip_forward=1", "--net", "no"], &["net namespace", "--net yes"]);
    refused(&["--sysctl", "kernel.sem=1", "--ipc", "no"], &["ipc namespace", "--ipc yes"]);
    // Below net, and the whole machine's all the same.
    refused(&["--sysctl", "net.netfilter.nf_hooks_lwtunnel=1"], &["whole machine"]);
    refused(&["--sysctl", "net..x=1"], &["no name of a kernel parameter"]);
    refused(&["--sysctl", "net.ipv4.nothing=1"], &["net.ipv4.nothing=1", "ENOENT"]);
    refused(&["--sysctl", "net.ipv4.ip_forward=much"], &["ip_forward=much", "EINVAL"]);
    refused(&["--sysctl", "net.ipv4.ip_forward"], &["KEY=VALUE"]);
    refused(&["--sysctl", "net.ipv4.ip_forward="], &["KEY=VALUE"]);
    refused(&["--sysctl", "net/../kernel/core_pattern=x"], &["no name of a kernel parameter"]);
    refused(&["--sysctl", "net.//.kernel.core_pattern=x"], &["no name of a kernel parameter"]);
    refused(&["--sysctl", "net.ipv4.ip_forward=1", "--mount", "no"], &["--sysctl", "--mount no"]);
    refused(&["--proc", "open", "--mount", "no"], &["--proc open", "--mount no"]);
}

/// `rustic run -v --rootfs DIR` in a mount namespace where a script has mounted what it likes below
/// DIR, and the programs of the tests at DIR/surface: exit code, stdout, stderr.
fn below(prepare: &str, options: &[&str], cmd: &[&str]) -> (i32, String, String) {
    let root = tree("views");
    for dir in ["mnt/p", "mnt/s", "dev/.lxc/proc", "surface"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    let script = format!("{prepare} && mount --bind $SURFACE $ROOT/surface && exec \"$@\"");
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script, "sh"])
        .arg(binary())
        .args(["run", "-v", "--rootfs"])
        .arg(&root)
        .args(options)
        .args(cmd)
        .env("ROOT", &root)
        .env("SURFACE", shared())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

const PROC_AND_SYS: &str = "mount -t proc proc $ROOT/mnt/p && mount -t sysfs sysfs $ROOT/mnt/s";
const LIST: [&str; 4] = ["/surface/payload", "list", "/mnt/p", "/mnt/s"];

#[test]
fn views_of_the_hosts_kernel_below_a_directory_are_hidden_unless_bound_by_name() {
    need!(root);
    let (_, shown, said) = below(PROC_AND_SYS, &[], &LIST);
    assert_eq!(shown, "/mnt/p: 0\n/mnt/s: 0\n", "{said}");
    assert!(said.contains("root: /mnt/p is a view of the host's kernel, and hidden"), "{said}");
    // What lies over a view is no view.
    let covered = format!("{PROC_AND_SYS} && mount -t tmpfs t $ROOT/mnt/p && touch $ROOT/mnt/p/f");
    assert_eq!(below(&covered, &[], &LIST).1, "/mnt/p: 1\n/mnt/s: 0\n");
    // The control: ordered by name it is there.
    let (_, shown, said) = below(PROC_AND_SYS, &["--bind", "/proc:/mnt/p"], &LIST);
    let entries = shown.lines().next().and_then(|line| line.strip_prefix("/mnt/p: "));
    assert!(entries.and_then(|count| count.parse::<u32>().ok()) > Some(10), "{shown} {said}");
    assert!(shown.ends_with("/mnt/s: 0\n"), "{shown}");
    // Without mounts of its own a container has whatever is there, and that is said.
    let (_, shown, said) = below(PROC_AND_SYS, &["--mount", "no"], &LIST);
    assert!(!shown.contains(": 0"), "{shown}");
    assert!(said.contains("a door: /mnt/p is a view of the host's kernel"), "{said}");
}

#[test]
fn a_view_that_nobody_can_reach_gives_no_nested_namespace_a_fresh_one() {
    need!(root);
    let nested = |prepare: &str, options: &[&str]| {
        let (code, shown, said) = below(prepare, options, &["/surface/surface"]);
        let fresh = |line: &&str| line.starts_with("mount\tproc in a user namespace");
        let answer = shown.lines().find(fresh).and_then(|line| line.rsplit('\t').next());
        (code, answer.unwrap_or_default().to_owned(), said)
    };
    // Below the host's /dev, over which rustic's own is mounted, as LXC has it.
    let prepare = "mount -t proc proc $ROOT/dev/.lxc/proc";
    let (code, answer, said) = nested(prepare, &["--nest", "yes"]);
    assert_eq!((code, answer.as_str()), (0, "EPERM"), "{said}");
    let (_, answer, said) = nested(prepare, &["--nest", "yes", "--proc", "open"]);
    assert_eq!(answer, "open", "the control: {said}");
    // Under another mount it cannot be masked: refused where it would matter.
    let buried = "mount -t proc proc $ROOT/mnt/p && mount -t tmpfs t $ROOT/mnt";
    let (code, _, said) = nested(buried, &["--nest", "yes"]);
    assert!(code == 125 && said.contains("lies under another mount"), "{code} {said}");
    assert_eq!(nested(buried, &[]).0, 0);
}

#[test]
fn a_death_by_a_filter_is_told_with_its_cause() {
    need!(root);
    let bind = format!("{}:/mnt/payload", payload().display());
    let run =
        |words: &[&str]| Rustic::run().opt(["--bind", &bind]).opt(words.iter().copied()).ran();
    let ran = run(&["/mnt/payload", "forbidden-call"]);
    assert_eq!(ran.code, 128 + libc::SIGSYS);
    assert!(ran.stderr.contains("SIGSYS") && ran.stderr.contains("strace -f"), "{}", ran.stderr);
    let ran = run(&["--init", "/mnt/payload", "forbidden-call"]);
    assert_eq!(
        (ran.code, ran.stderr.matches("SIGSYS").count()),
        (128 + libc::SIGSYS, 1),
        "{ran:?}"
    );
    // The control: another death says nothing.
    for options in [&[][..], &["--init"]] {
        let ran = run(&[options, &["sh", "-c", "exit 159"]].concat());
        assert_eq!((ran.code, ran.stderr.as_str()), (159, ""));
    }
}

#[test]
fn doors_to_the_kernel_are_named_by_v_and_by_verify() {
    need!(root);
    let mark = format!("door-{}", unique());
    for (options, words) in [
        (["--seccomp", "none"], "--seccomp none"),
        (["--proc", "open"], "--proc open"),
        (["--nest", "yes"], "--nest yes"),
        (["--stdio", "inherit"], "--stdio inherit"),
    ] {
        let said = Rustic::run().opt(["-v"]).opt(options).sh(&format!(": {mark}")).ran();
        assert!(said.stderr.contains(&format!("a door: {words}")), "{said:?}");
        let table = Rustic::command("verify").opt(["--only", "user"]).opt(options).ran();
        assert!(table.stdout.contains(&format!("a door that was ordered: {words}")), "{table:?}");
        let last = table.stdout.lines().last().unwrap();
        assert!(last.contains("2 doors are open") && last.contains(words), "{last}");
    }
    let said = Rustic::run().opt(["-v"]).sh("true").ran().stderr;
    assert!(!said.contains("Parent: a door: "), "{said}");
    let said = Rustic::run().opt(["-v", "--root", "chroot"]).sh("true").ran().stderr;
    assert!(said.contains("a door: the chroot: "), "{said}");
}

#[test]
fn rustic_inside_says_what_it_needs_of_the_outside() {
    need!(root);
    let bind = format!("{}:/rustic", binary().display());
    let nested = |outer: &[&str], inner: &[&str]| {
        let run = Rustic::run().opt(outer.iter().copied()).opt(["--bind", &bind, "/rustic", "run"]);
        run.opt(["--store", "/tmp/store"]).opt(inner.iter().copied()).opt(["echo", "up"]).ran()
    };
    nested(&[], &["--user", "yes"]).fails(125, &["user", "EPERM", "--nest yes"]);
    nested(&["--nest", "yes"], &["--user", "yes"])
        .fails(125, &["proc", "EPERM", "--pid no", "--proc open"]);
    let up = nested(&["--nest", "yes", "--proc", "open"], &["--user", "yes"]);
    assert_eq!((up.code, up.stdout.as_str()), (0, "up\n"), "{up:?}");
    // As advised, without --proc open: the caller's own are bound, with their masks.
    let up = nested(&["--nest", "yes"], &["--user", "yes", "--pid", "no", "--net", "no"]);
    assert_eq!((up.code, up.stdout.as_str()), (0, "up\n"), "{up:?}");
    // Behind a filter without clone3 it is clone(2), and the time namespace is made besides.
    let script = "readlink /proc/self/ns/time; exec /rustic run --store /tmp/store --time yes \
        readlink /proc/self/ns/time";
    let bind = format!("{}:/rustic", binary().display());
    let run = Rustic::run().opt(["--caps", "all", "--proc", "open", "--bind", &bind]);
    let both = run.sh(script).ran().ok();
    let (outer, inner) = both.trim().split_once('\n').unwrap();
    assert!(outer.starts_with("time:[") && inner.starts_with("time:[") && outer != inner, "{both}");
}
