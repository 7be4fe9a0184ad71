//! What CMD sees: streams, variables, names, its home and its folder.

use crate::need;
use crate::support::{
    Rustic, archive, binary, ended, finish, payload, piped, scratch, shell, tree,
};
use std::fs;
use std::process::Command;

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
    let out = ended(&mut shell(&["sh"], &script)).ok();
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
            "LOGNAME=root",
            "PASSED=on",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "SET=a=b",
            "TERM=vt100",
            "USER=root",
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
    let of_x = environ("1000", &[]);
    for line in ["HOME=/home/x\n", "USER=x\n", "LOGNAME=x\n"] {
        assert!(of_x.contains(line), "{of_x}");
    }
    let of_nobody = environ("7", &[]);
    assert!(of_nobody.contains("HOME=/\n") && !of_nobody.contains("USER="), "{of_nobody}");
    let given = environ("1000", &["--env", "USER=me"]);
    assert!(given.contains("USER=me\n") && given.contains("LOGNAME=x\n"), "{given}");
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
    let hosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n127.0.1.1\tbox\n";
    assert_eq!(out, format!("box\nbox\n{hosts}"));
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
fn an_empty_variable_is_no_variable() {
    need!(root);
    assert_eq!(Rustic::run().env("RUSTIC_ROOTFS", "").opt(["echo", "up"]).ran().ok(), "up\n");
}

#[test]
fn the_processors_are_those_of_the_caller() {
    need!(root);
    let list = "grep Cpus_allowed_list /proc/self/status";
    for caller in [&["sh"] as &[&str], &["taskset", "-c", "0", "sh"]] {
        let outside = finish(piped(&mut shell(caller, list)));
        let inside = finish(piped(&mut shell(caller, &format!("exec $RUSTIC run sh -c '{list}'"))));
        assert_eq!(outside.stdout, inside.stdout, "{caller:?}: {inside:?}");
        assert!(outside.stdout.starts_with("Cpus_allowed_list:"), "{outside:?}");
    }
}
