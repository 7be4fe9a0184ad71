//! Namespaces and containers inside of a container, and the doors that they need.

use super::{answer, inside};
use crate::judged::conclusion;
use crate::need;
use crate::support::{Rustic, binary, unfolded, unique};

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
        let told = unfolded(&table.stdout);
        assert!(told.contains(&format!("a door that was ordered: {words}")), "{table:?}");
        let last = conclusion(&table.stdout);
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
