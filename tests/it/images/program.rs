//! How the program of an image is run: its config as defaults, and what is ordered instead.

use super::{Image, with_programs};
use crate::need;
use crate::support::{Ran, Rustic, scratch};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::fs;

fn run(image: &Image, words: &[&str]) -> Ran {
    let path = image.written();
    Rustic::run().opt(["--rootfs", path.to_str().unwrap()]).opt(words.iter().copied()).ran()
}

#[test]
fn entrypoint_and_command_are_put_together_as_podman_does_it() {
    need!(root);
    let (entry, cmd) = (json!(["payload", "args"]), json!(["image", "cmd"]));
    let both = with_programs().with("Entrypoint", entry.clone()).with("Cmd", cmd.clone());
    let entry_alone = with_programs().with("Entrypoint", entry);
    let cmd_alone = with_programs().with("Cmd", json!(["payload", "args", "cmd"]));
    let neither = with_programs();
    for (image, words, expected) in [
        (&both, &[][..], "image|cmd"),
        (&both, &["a", "b"], "a|b"),
        (&both, &["--entrypoint", "payload", "args", "x"], "x"),
        (&both, &["--entrypoint", "", "payload", "args", "y"], "y"),
        (&both, &["--image-config", "no", "payload", "args", "z"], "z"),
        (&entry_alone, &[], ""),
        (&entry_alone, &["c"], "c"),
        (&cmd_alone, &[], "cmd"),
        (&cmd_alone, &["payload", "args", "d"], "d"),
        (&cmd_alone, &["--entrypoint", "payload", "args", "e"], "e"),
        (&neither, &["payload", "args", "f"], "f"),
        (&neither, &["--entrypoint", "payload", "args", "g"], "g"),
    ] {
        let ran = run(image, words);
        assert_eq!((ran.code, ran.stdout.trim_end()), (0, expected), "{words:?} {ran:?}");
    }
    // Neither says anything: sh, which this image does not have. And podman's way with an
    // entrypoint that is ordered: the image's command is not behind it.
    assert_eq!(run(&neither, &[]).code, 127);
    assert_eq!(run(&both, &["--entrypoint", "payload"]).code, 64);
}

#[test]
fn user_environment_and_directory_are_the_images_unless_others_are_ordered() {
    need!(root);
    let image = with_programs()
        .with("User", json!("joe"))
        .with("Env", json!(["A=image", "PATH=/bin", "B=two=2"]))
        .with("WorkingDir", json!("/srv"));
    for (words, expected) in [
        (&["payload", "who"][..], "1000:100 27 /home/joe joe"),
        (&["--uid", "0", "payload", "who"], "0:0  /root root"),
        (&["--gid", "7", "payload", "who"], "1000:7  /home/joe joe"),
        (&["--image-config", "no", "payload", "who"], "0:0  /root root"),
        (&["payload", "env", "A"], "image"),
        (&["payload", "env", "B"], "two=2"),
        (&["payload", "env", "PATH"], "/bin"),
        (&["payload", "env", "container"], "rustic"),
        (&["--env", "A=ordered", "payload", "env", "A"], "ordered"),
        (&["--image-config", "no", "payload", "env", "A"], "-"),
        (&["payload", "cwd"], "/srv"),
        (&["--workdir", "/tmp", "payload", "cwd"], "/tmp"),
    ] {
        let ran = run(&image, words);
        assert_eq!((ran.code, ran.stdout.trim_end()), (0, expected), "{words:?} {ran:?}");
    }
    for (user, expected) in [("1000:1000", "1000:1000  "), ("joe:kvm", "1000:27  "), ("0", "0:0  ")]
    {
        let ran = run(&with_programs().with("User", json!(user)), &["payload", "who"]);
        assert!(ran.stdout.starts_with(expected), "{user} {ran:?}");
    }
    let nobody = run(&with_programs().with("User", json!("nobody-here")), &["payload", "who"]);
    nobody.fails(125, &["nobody-here", "has no such name"]);
}

#[test]
fn a_stored_image_has_its_config_too_and_verify_is_not_its_program() {
    need!(root);
    let store = scratch("program-store");
    fs::set_permissions(&store, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let image = with_programs()
        .with("Entrypoint", json!(["payload"]))
        .with("Cmd", json!(["who"]))
        .with("User", json!("joe"));
    let path = image.written();
    let words = ["import", "--store", store.to_str().unwrap(), "app", path.to_str().unwrap()];
    Rustic::command("rootfs").opt(words).ran().ok();
    let options = ["--store", store.to_str().unwrap(), "--rootfs", "app"];
    for more in [&[][..], &["--read-only"], &["--mount", "no"], &["--user", "yes"], &["--init"]] {
        let ran = Rustic::run().opt(options).opt(more.iter().copied()).ran();
        assert_eq!(ran.stdout, "1000:100 27 /home/joe joe\n", "{more:?} {ran:?}");
    }
    let verified = Rustic::command("verify").opt(options).opt(["--only", "pid,user,keyring"]).ran();
    assert_eq!(verified.code, 0, "{verified:?}");
    let steps = Rustic::run().opt(options).opt(["--dry-run"]).ran().ok();
    assert!(steps.contains("setresuid(1000"), "{steps}");
}

#[test]
fn sigterm_becomes_the_stop_signal() {
    need!(root);
    for (signal, expected) in
        [(Some("SIGUSR1"), 128 + 10), (Some("12"), 128 + 12), (None, 128 + 15)]
    {
        let mut image = with_programs().with("Cmd", json!(["payload", "up-and-wait"]));
        if let Some(signal) = signal {
            image = image.with("StopSignal", json!(signal));
        }
        let path = image.written();
        let child = Rustic::run().opt(["--rootfs", path.to_str().unwrap()]).started_until("up");
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let ran = crate::support::finish(child);
        assert_eq!(ran.code, expected, "{signal:?} {ran:?}");
    }
    // Empty is nothing, and so for the others.
    let empty = with_programs().with("StopSignal", json!("")).with("User", json!(""));
    assert_eq!(run(&empty.with("WorkingDir", json!("")), &["payload", "true"]).code, 0);
    run(&with_programs().with("StopSignal", json!("SIGNONE")), &["payload", "true"])
        .fails(125, &["SIGNONE", "is no signal"]);
}

#[test]
fn what_is_not_followed_is_named() {
    need!(root);
    let image = with_programs()
        .with("Volumes", json!({ "/data": {} }))
        .with("ExposedPorts", json!({ "80/tcp": {} }));
    let path = image.written();
    let dir = scratch("named").join("tree");
    let words = ["unpack", path.to_str().unwrap(), dir.to_str().unwrap()];
    let said = Rustic::command("rootfs").opt(words).ran().ok();
    assert!(said.contains("ignored: volumes /data, ports 80/tcp"), "{said}");
    let told = run(&image, &["-v", "payload", "true"]);
    assert!(told.stderr.contains("ignored: volumes /data"), "{told:?}");
}

#[test]
fn a_working_directory_that_the_image_lacks_is_made() {
    need!(root);
    let image = with_programs().with("WorkingDir", json!("/app/deep"));
    for more in [
        &[][..],
        &["--read-only"],
        &["--mount", "no"],
        &["--user", "yes"],
        &["--user", "yes", "--read-only"],
        &["--uid", "7"],
    ] {
        let ran = run(&image, &[more, &["payload", "cwd"]].concat());
        assert_eq!(ran.stdout, "/app/deep\n", "{more:?} {ran:?}");
    }
    // One that is ordered is the caller's own business.
    run(&image, &["--workdir", "/missing", "payload", "cwd"]).fails(125, &["/missing", "ENOENT"]);
    run(&with_programs().with("WorkingDir", json!("/etc/passwd/x")), &["payload", "cwd"])
        .fails(125, &["working directory /etc/passwd/x", "ENOTDIR"]);
    // Nothing of it stays in a directory that is bound there.
    let bound = scratch("bound");
    let bind = format!("{}:/app", bound.display());
    let ran = run(&image, &["--bind", &bind, "payload", "cwd"]);
    assert_eq!(ran.stdout, "/app/deep\n", "{ran:?}");
    crate::support::eventually("it is gone", || fs::read_dir(&bound).unwrap().count() == 0);
}

#[test]
fn a_user_whom_nobody_has_ordered_is_blamed_on_the_config() {
    need!(root);
    for user in ["ghost", "1000:ghosts"] {
        run(&with_programs().with("User", json!(user)), &["payload", "true"])
            .fails(125, &["the image's User ghost", "no such name", "--image-config no"]);
    }
    // A line that is no variable is none.
    let odd = with_programs().with("Env", json!(["A=1", "", "FOO", "=x"]));
    for (name, value) in [("A", "1"), ("FOO", "-"), ("", "-")] {
        let ran = run(&odd, &["payload", "env", name]);
        assert_eq!(ran.stdout.trim_end(), value, "{name} {ran:?}");
    }
}
