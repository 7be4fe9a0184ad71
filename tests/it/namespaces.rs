//! All combinations of the eight, read from outside and from inside.

use crate::need;
use crate::support::{
    NAMES, NOBODY, Rustic, apart, combination, each_of, finish, host, namespace, number_after,
    tree, with_a_user_namespace,
};
use std::fs;
use std::io::{BufRead, BufReader, Write};

/// Starts a combination, looks from both sides while it runs, and tells what was wrong.
#[allow(
    clippy::zombie_processes,
    reason = "a run whose pipes break is a failure of the test, which then ends"
)]
fn looked_at(run: Rustic, mask: u32) -> Result<(), String> {
    let run =
        combination(mask).fold(run.opt(["-v"]), |run, (name, _, switch)| run.ns(name, switch));
    let run = run.sh("echo up; ls -l /proc/self/ns 2>/dev/null; echo looked; read end");
    let mut child = run.started();
    let mut out = BufReader::new(child.stdout.take().ok_or("no stdout")?);
    let mut inside = String::new();
    while !inside.contains("looked\n") {
        if out.read_line(&mut inside).map_err(|error| error.to_string())? == 0 {
            let mut text = String::new();
            let _ = std::io::Read::read_to_string(
                &mut child.stderr.take().ok_or("no stderr")?,
                &mut text,
            );
            let code = child.wait().map_err(|error| error.to_string())?;
            return Err(format!("{:?}: {code} {text}", run.args()));
        }
    }
    let mut err = BufReader::new(child.stderr.take().ok_or("no stderr")?);
    let mut said = String::new();
    while number_after::<i32>(&said, "PID of child is").is_none() {
        err.read_line(&mut said).map_err(|error| error.to_string())?;
    }
    let pid = number_after::<i32>(&said, "PID of child is").ok_or("no pid")?.to_string();
    let mut wrong = Vec::new();
    for (name, entry, switch) in combination(mask) {
        let (theirs, ours) = (namespace(&pid, entry), namespace("self", entry));
        if (theirs != ours) != (switch == "yes") {
            wrong.push(format!("--{name} {switch}: outside {ours}, inside {theirs}"));
        }
        // Where there is a /proc inside, it must say the same of itself.
        if inside.contains(" pid -> ") && !inside.contains(&format!("{entry} -> {theirs}")) {
            wrong.push(format!("--{name} {switch}: seen from inside {inside}"));
        }
    }
    if mask >> 1 & 1 == 1 && !inside.contains(" pid -> ") {
        wrong.push(format!("with a mount namespace there is a /proc: {inside}"));
    }
    child.stdin.take().ok_or("no stdin")?.write_all(b"\n").map_err(|error| error.to_string())?;
    // The rest of the story is read, so that nobody meets a closed pipe.
    let _ = std::io::copy(&mut err, &mut std::io::sink());
    let status = child.wait().map_err(|error| error.to_string())?;
    if status.code() != Some(0) {
        wrong.push(format!("ended with {status}"));
    }
    if wrong.is_empty() { Ok(()) } else { Err(format!("{mask:08b}: {}", wrong.join("; "))) }
}

/// Looks at many combinations.
fn all_looked_at(run: &Rustic, masks: Vec<u32>) -> Vec<String> {
    each_of(masks, |mask| looked_at(run.clone(), mask))
}

#[test]
fn all_256_combinations_start_as_root_and_are_what_was_ordered() {
    need!(root);
    assert_eq!(all_looked_at(&Rustic::run(), (0..256).collect()), Vec::<String>::new());
}

#[test]
fn the_128_with_a_user_namespace_start_nobody() {
    need!(root);
    assert_eq!(
        all_looked_at(&Rustic::run().nobody(), with_a_user_namespace()),
        Vec::<String>::new()
    );
}

#[test]
fn the_other_128_say_which_right_is_missing() {
    need!(root);
    for mask in (0..256).filter(|mask| mask >> 5 & 1 == 0) {
        let run = combination(mask)
            .fold(Rustic::run().nobody(), |run, (name, _, switch)| run.ns(name, switch));
        let right = if mask == 0 { "CAP_SYS_CHROOT" } else { "CAP_SYS_ADMIN" };
        run.sh("true").ran().fails(125, &[right, &format!("uid {NOBODY}")]);
    }
}

#[test]
fn defaults_are_six_walls_for_root_and_a_seventh_for_a_plain_user() {
    need!(root);
    let ours: Vec<_> = NAMES.iter().map(|(_, entry)| namespace("self", entry)).collect();
    let new = |run: Rustic| {
        let inside = run.opt(["ls", "-l", "/proc/self/ns"]).ran().ok();
        NAMES
            .iter()
            .zip(&ours)
            .filter(|(_, ours)| !inside.contains(ours.as_str()))
            .map(|((name, _), _)| *name)
            .collect::<Vec<_>>()
    };
    assert_eq!(new(Rustic::run()), ["pid", "mount", "uts", "net", "ipc", "cgroup"]);
    assert_eq!(
        new(Rustic::run().nobody()),
        ["pid", "mount", "uts", "net", "ipc", "user", "cgroup"]
    );
}

#[test]
fn mount_no_leaves_the_hosts_mountinfo_as_it_was() {
    need!(root);
    apart(mount_no_makes_no_mount);
}

fn mount_no_makes_no_mount() {
    let mounts = || fs::read("/proc/thread-self/mountinfo").unwrap();
    let before = mounts();
    for user in ["no", "yes"] {
        let out =
            Rustic::run().ns("mount", "no").ns("user", user).sh("ls /proc; echo $?; ls /").ran();
        assert!(out.stdout.contains("bin"), "{out:?}");
        assert_eq!(mounts(), before);
    }
    // With mounts of its own made for all to see, the table changes.
    host("mount", ["-t", "tmpfs", "control", "/mnt"]);
    assert_ne!(mounts(), before);
    host("umount", ["/mnt"]);
    let root = tree("mount-no");
    Rustic::run()
        .ns("mount", "no")
        .opt(["--rootfs", root.to_str().unwrap(), "payload", "true"])
        .ran()
        .ok();
    assert_eq!(mounts(), before);
}

#[test]
fn a_shared_root_of_the_caller_stays_shared_and_nothing_travels_out() {
    need!(root);
    // In a mount namespace of its own whose root is shared, as systemd makes it.
    let script = "mount --make-rshared / && cat /proc/self/mountinfo >$DIR/before && $RUSTIC run \
        true && cat /proc/self/mountinfo >$DIR/after && \
                  cmp $DIR/before $DIR/after && grep -c 'shared:' $DIR/after";
    let dir = crate::support::scratch("shared");
    let output = std::process::Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .env("RUSTIC", crate::support::binary())
        .env("RUSTIC_STORE", crate::support::shared().join("store"))
        .env("DIR", &dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // The control: the same namespace without MS_PRIVATE shows a mount outside.
    let control = "mount --make-rshared / && unshare --mount --propagation unchanged mount -t \
        tmpfs nonce /mnt && grep -c nonce /proc/self/mountinfo";
    assert_eq!(crate::support::host("unshare", ["--mount", "sh", "-c", control]).trim(), "1");
}

#[test]
fn a_user_namespace_in_another_one_maps_every_id_to_itself() {
    need!(root);
    let map = |run: Rustic| {
        let run = run.ns("user", "yes").ns("mount", "no");
        let out = run.opt(["--rootfs", "/", "cat", "/proc/self/uid_map"]).ran().ok();
        out.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    // There no ids are nobody's: a wall of rights, and none of ids.
    assert_eq!(map(Rustic::run().under(["unshare", "-r"])), ["0", "0", "1"]);
    // The control: root of the machine has some to give.
    assert_ne!(map(Rustic::run())[1], "0");
}

#[test]
fn a_limit_of_zero_namespaces_is_named_for_each_kind() {
    need!(root);
    for (name, limit) in [
        ("pid", "pid"),
        ("mount", "mnt"),
        ("uts", "uts"),
        ("net", "net"),
        ("ipc", "ipc"),
        ("cgroup", "cgroup"),
        ("time", "time"),
    ] {
        let script = format!(
            "echo 0 >/proc/sys/user/max_{limit}_namespaces; exec \"$RUSTIC\" run --{name} yes true"
        );
        let mut command = std::process::Command::new("unshare");
        command
            .args(["--user", "--map-root-user", "sh", "-c", &script])
            .env("RUSTIC", crate::support::binary());
        command.env("RUSTIC_STORE", crate::support::shared().join("store"));
        command
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        finish(command.spawn().unwrap())
            .fails(125, &[&format!("user.max_{limit}_namespaces is 0")]);
    }
}
