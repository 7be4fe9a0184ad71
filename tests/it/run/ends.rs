//! How the end of CMD is reported, and what ends with it.

use crate::need;
use crate::support::{Rustic, marker, payload, processes, tree};
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[test]
fn without_verbose_there_is_nothing_but_what_cmd_says() {
    need!(root);
    for ipc in ["yes", "no"] {
        let ran = Rustic::run().ns("ipc", ipc).sh("echo out; echo err >&2").ran();
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "out\n", "err\n"));
    }
}

#[test]
fn exit_codes_are_those_of_cmd() {
    need!(root);
    assert_eq!(Rustic::run().sh("exit 7").ran().code, 7);
    assert_eq!(Rustic::run().sh("exit 255").ran().code, 255);
    assert_eq!(Rustic::run().sh("kill -9 $$").ran().code, 137);
    assert_eq!(Rustic::run().ns("pid", "no").sh("kill -9 $$").ran().code, 137);
    assert_eq!(Rustic::run().opt(["--init"]).sh("kill -9 $$").ran().code, 137);
    assert_eq!(Rustic::run().opt(["--init"]).sh("exit 7").ran().code, 7);
}

#[test]
fn a_missing_command_is_127_and_one_that_cannot_run_126() {
    need!(root);
    for init in [vec![], vec!["--init"]] {
        let run = Rustic::run().opt(init);
        run.clone().opt(["nosuch"]).ran().fails(127, &["nosuch", "not found"]);
        run.clone().opt(["/bin/nosuch"]).ran().fails(127, &["/bin/nosuch"]);
        run.clone().opt(["/bin"]).ran().fails(126, &["/bin", "is a directory"]);
        run.clone().opt(["/etc/passwd"]).ran().fails(126, &["no execute bit"]);
    }
}

#[test]
fn why_a_program_cannot_run_is_said() {
    need!(root);
    let root = tree("why");
    let put = |name: &str, content: &[u8]| {
        fs::write(root.join(name), content).unwrap();
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    };
    put("script", b"#!/bin/nosuch -x\n");
    put("crlf", b"#!/bin/sh\r\n");
    put("text", b"neither\n");
    let mut foreign = fs::read(payload()).unwrap()[..4096].to_vec();
    foreign[18] = 243;
    put("riscv", &foreign);
    let dynamic = fs::read("/bin/true").unwrap();
    put("dynamic", &dynamic);
    std::os::unix::fs::symlink("/nowhere", root.join("dangling")).unwrap();
    let run = Rustic::run().opt(["--rootfs", root.to_str().unwrap()]);
    run.clone().opt(["/script"]).ran().fails(126, &["/script", "/bin/nosuch", "missing inside"]);
    run.clone().opt(["/crlf"]).ran().fails(126, &["CR LF"]);
    run.clone().opt(["/text"]).ran().fails(126, &["text without a #! line", "sh PATH"]);
    run.clone().opt(["/riscv"]).ran().fails(126, &["riscv"]);
    run.clone().opt(["/dynamic"]).ran().fails(126, &["loader", "missing inside"]);
    run.clone().opt(["/dangling"]).ran().fails(126, &["symlink to nothing"]);
    run.opt(["payload", "true"]).ran().ok();
}

#[test]
fn init_reaps_orphans_and_is_out_of_reach() {
    need!(root);
    let script = "for i in 1 2 3 4 5; do (sleep 0.05 &) ; done; sleep 0.4; ps -o stat,comm | grep \
        -c ^Z; ls -l /proc/1/exe; echo x >/proc/1/exe";
    let ran = Rustic::run().opt(["--init"]).sh(script).ran();
    assert!(ran.stdout.starts_with("0\n"), "no zombie: {ran:?}");
    assert!(ran.stderr.contains("can't create /proc/1/exe"), "{ran:?}");
    let without = Rustic::run()
        .opt(["--bind".to_owned(), format!("{}:/mnt/payload", payload().display())])
        .sh("exec sh -c 'for i in 1 2 3; do (sleep 0.05 &); done; exec sleep 0.6' & sleep 0.3; \
            echo alive")
        .ran();
    assert_eq!(without.stdout, "alive\n");
}

#[test]
fn when_cmd_ends_what_it_has_left_ends() {
    need!(root);
    for pid in ["yes", "no"] {
        let mark = marker();
        let script =
            format!("setsid sh -c 'sleep 600; : {mark}' >/dev/null 2>&1 & sleep 0.2; echo done");
        let ran = Rustic::run().ns("pid", pid).sh(&script).ran();
        assert_eq!((ran.code, ran.stdout.as_str()), (0, "done\n"));
        assert_eq!(processes(&mark), Vec::<i32>::new(), "--pid {pid}");
    }
}
