//! What CMD sees, and how its end is reported.

use crate::need;
use crate::support::{Rustic, archive, binary, finish, marker, payload, processes, scratch, tree};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

#[test]
fn the_sentence_that_must_always_work() {
    need!(root);
    let out =
        Rustic::run().ns("ipc", "no").sh("hostname; id; ps; mount; ls /proc/self/fd").ran().ok();
    assert!(out.starts_with("rustic\nuid=0(root) gid=0(root)"), "{out}");
    assert!(out.contains("1 root     sh -c"), "{out}");
    assert!(out.contains("overlay on /") || out.contains(" on / type overlay"), "{out}");
}

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
    run.clone().opt(["/text"]).ran().fails(126, &["not a program"]);
    run.clone().opt(["/riscv"]).ran().fails(126, &["riscv"]);
    run.clone().opt(["/dynamic"]).ran().fails(126, &["loader", "missing inside"]);
    run.clone().opt(["/dangling"]).ran().fails(126, &["symlink to nothing"]);
    run.opt(["payload", "true"]).ran().ok();
}

#[test]
fn no_descriptor_no_variable_and_no_cwd_of_the_caller_gets_inside() {
    need!(root);
    let gone = scratch("gone");
    // The shell opens descriptor 9 on / and leaves its working directory deleted.
    let script = format!(
        "cd {gone} && rmdir {gone} && exec 9</ && TOKEN=secret exec {rustic} run --bind \
            {payload}:/mnt/payload \
         sh -c 'tr \"\\0\" \"\\n\" </proc/1/environ; ls /proc/1/fd; pwd; /mnt/payload \
             read-through 9 etc/hostname'",
        gone = gone.display(),
        rustic = binary().display(),
        payload = payload().display(),
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script]).env("RUSTIC_STORE", crate::support::shared().join("store"));
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let out = finish(child).ok();
    assert!(!out.contains("secret") && !out.contains("RUSTIC"), "{out}");
    assert!(out.contains("container=rustic") && out.contains("HOME=/root"), "{out}");
    assert!(out.contains("\n0\n1\n2\n/\nopenat Err("), "three descriptors and / alone: {out}");
}

#[test]
fn the_same_descriptor_is_seen_where_nothing_closes_it() {
    // The control of the test above: what it looks for can be found.
    let out = Command::new("sh")
        .args([
            "-c",
            &format!("exec 9</; exec {} read-through 9 etc/hostname", payload().display()),
        ])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(out.stdout).unwrap(), "openat Ok(())\n");
}

#[test]
fn the_environment_is_clean_but_for_what_is_ordered() {
    need!(root);
    let run = Rustic::run().env("TERM", "vt100").env("PASSED", "on").env("SECRET", "x");
    let out = run.opt(["--env", "PASSED", "--env", "SET=a=b", "env"]).ran().ok();
    let mut lines: Vec<_> = out.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "HOME=/root",
            "PASSED=on",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "SET=a=b",
            "TERM=vt100",
            "container=rustic",
        ]
    );
}

#[test]
fn home_is_what_the_images_passwd_says() {
    need!(root);
    let image = scratch("home").join("image.tar");
    archive(&image, &[("etc/", ""), ("etc/passwd", "x:x:1000:1000::/home/x:/bin/sh\n")]);
    let root = tree("home-tree");
    fs::write(root.join("etc/passwd"), "x:x:1000:1000::/home/x:/bin/sh\n").unwrap();
    let environ = |uid: &str, extra: &[&str]| {
        let run = Rustic::run().opt([
            "--rootfs",
            root.to_str().unwrap(),
            "--bind",
            "/bin/busybox:/bin/busybox",
            "--uid",
            uid,
        ]);
        run.opt(extra.iter().copied()).opt(["busybox", "env"]).ran().ok()
    };
    assert!(environ("1000", &[]).contains("HOME=/home/x\n"));
    assert!(environ("7", &[]).contains("HOME=/\n"));
    assert!(environ("1000", &["--env", "HOME=/mine"]).contains("HOME=/mine\n"));
}

#[test]
fn without_cmd_a_shell_is_started() {
    need!(root);
    assert_eq!(Rustic::run().ran_with("echo from $0\n").ok(), "from sh\n");
}

#[test]
fn the_working_directory_is_inside_and_must_be_there() {
    need!(root);
    assert_eq!(Rustic::run().opt(["--workdir", "/tmp", "pwd"]).ran().ok(), "/tmp\n");
    Rustic::run().opt(["--workdir", "/nosuch", "pwd"]).ran().fails(125, &["/nosuch", "ENOENT"]);
    // Descriptors of the host are out of reach by the time it is entered (CVE-2024-21626).
    for number in 3..12 {
        Rustic::run()
            .opt(["--workdir".to_owned(), format!("/proc/self/fd/{number}/etc"), "pwd".into()])
            .ran()
            .fails(125, &["working directory"]);
    }
}

#[test]
fn the_host_name_and_the_files_of_etc_are_the_containers_own() {
    need!(root);
    let out = Rustic::run()
        .opt(["--hostname", "box"])
        .sh("hostname; cat /etc/hostname; cat /etc/hosts")
        .ran()
        .ok();
    assert!(out.starts_with("box\nbox\n127.0.0.1\tlocalhost box\n"), "{out}");
    let host = fs::read_to_string("/etc/hosts").unwrap();
    assert_eq!(
        Rustic::run().ns("net", "no").opt(["cat", "/etc/hosts"]).ran().ok(),
        host,
        "with the host's network go its names"
    );
}

#[test]
fn the_loopback_is_up_in_both_families() {
    need!(root);
    let out = Rustic::run()
        .sh("ping -c1 -w2 127.0.0.1 >/dev/null 2>&1; ip -o addr show lo; ip -o link")
        .opt([""; 0])
        .ran();
    assert!(out.stdout.contains("127.0.0.1/8") && out.stdout.contains("::1/128"), "{out:?}");
    assert!(out.stdout.contains("lo: <LOOPBACK,UP"), "{out:?}");
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

/// rustic started by a shell that has done something first.
fn after(before: &str, rest: &str) -> crate::support::Ran {
    let mut command = Command::new("bash");
    command.args(["-c", &format!("{before}; exec \"$RUSTIC\" run {rest}")]).env("RUSTIC", binary());
    command.env("RUSTIC_STORE", crate::support::shared().join("store"));
    finish(
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    )
}

#[test]
fn odd_callers_get_what_others_get() {
    need!(root);
    for before in [
        "trap '' CHLD",
        "trap '' PIPE",
        "umask 777",
        "exec 0<&-",
        "exec 1>&- 2>&-",
        "ulimit -c 0",
        "cd /proc",
    ] {
        for options in ["", "--init", "--user yes", "--pid no", "--mount no"] {
            assert_eq!(
                after(before, &format!("{options} sh -c 'exit 3'")).code,
                3,
                "{before} {options}"
            );
        }
    }
}

#[test]
fn the_callers_umask_does_not_reach_the_store() {
    need!(root);
    let dir = scratch("umask");
    archive(&dir.join("image.tar"), &[]);
    let program = fs::read(payload()).unwrap();
    let mut builder = tar::Builder::new(fs::File::create(dir.join("image.tar")).unwrap());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(program.len() as u64);
    // No entries for the directories: they are made on the way.
    builder.append_data(&mut header, "a/b/payload", program.as_slice()).unwrap();
    builder.finish().unwrap();
    after(
        "umask 077",
        &format!(
            "--store {0}/store --rootfs {0}/image.tar --uid 1000 /a/b/payload true",
            dir.display()
        ),
    )
    .ok();
}

#[test]
fn a_directory_as_a_stream_is_refused_by_name() {
    need!(root);
    after("exec </", "true").fails(125, &["stdin is a directory"]);
}

#[test]
fn a_proc_of_another_pid_namespace_is_refused_by_name() {
    need!(root);
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child"]).arg(binary()).args(["run", "true"]);
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    finish(child).fails(125, &["/proc shows another PID namespace", "--mount-proc"]);
    // The control: with a /proc of its own it starts.
    let mut command = Command::new("unshare");
    command
        .args(["--pid", "--fork", "--kill-child", "--mount-proc"])
        .arg(binary())
        .args(["run", "true"]);
    command.env("RUSTIC_STORE", crate::support::shared().join("store"));
    finish(
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    )
    .ok();
}

#[test]
fn it_starts_inside_user_namespaces_of_others_and_of_its_own() {
    need!(root);
    // As root, and as nobody, whose namespaces forbid setgroups.
    for who in
        [&["env"][..], &["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]]
    {
        for user in ["yes", "no"] {
            let mut command = Command::new(who[0]);
            command
                .args(&who[1..])
                .args(["unshare", "--user", "--map-root-user"])
                .arg(binary())
                .args(["run", "--user", user, "id", "-u"]);
            command.env("HOME", "/nonexistent").env_remove("RUSTIC_STORE");
            let child = command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            assert_eq!(finish(child).ok(), "0\n", "{who:?} {user}");
        }
    }
    let bind = format!("{}:/mnt/rustic", binary().display());
    let run =
        Rustic::run().opt(["--user", "yes", "--caps", "all", "--seccomp", "none", "--bind", &bind]);
    assert_eq!(
        run.opt(["/mnt/rustic", "run", "--store", "/tmp/store", "echo", "inner"]).ran().ok(),
        "inner\n"
    );
}

#[test]
fn an_empty_variable_is_no_variable() {
    need!(root);
    assert_eq!(Rustic::run().env("RUSTIC_ROOTFS", "").opt(["echo", "up"]).ran().ok(), "up\n");
}
