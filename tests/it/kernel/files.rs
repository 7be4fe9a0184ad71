//! The files of /proc and /sys, and the masks over them.

use super::{answer, inside, read, settings};
use crate::need;
use crate::support::{Rustic, ended, host, scratch, shell, surface};

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
        let mut command = shell(&["unshare", "--mount", "sh"], script);
        command.env("RUSTIC_LEAK", leak).env("OPTIONS", options).env("DIR", &dir);
        ended(&mut command).stdout
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
