//! Ways to start a container, for tests that make something fail in it.

use crate::images;
use crate::support::{Ran, Rustic, payload, tree};
use std::path::Path;

/// A way to start a container, and how it ends when nothing fails.
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    run: Rustic,
    /// The program as execve(2) is given it.
    pub(crate) cmd: &'static str,
    /// The exit code of CMD.
    code: i32,
}

impl Plan {
    fn new(name: &'static str, run: Rustic, cmd: &[&'static str], code: i32) -> Self {
        Self { name, run: run.opt(cmd.iter().copied()), cmd: cmd[0], code }
    }

    /// The run, with a word in the command line of each of its processes.
    pub(crate) fn marked(&self, mark: &str) -> Rustic {
        self.run.clone().opt([mark])
    }

    /// Whether a clean run ended so.
    pub(crate) fn is_clean(&self, ran: &Ran) -> bool {
        ran.code == self.code
    }
}

/// Plans that have every step between them, whatever CMD does.
pub(crate) fn with_every_step() -> Vec<Plan> {
    let (root, passwd) = (tree("faults"), Path::new("/etc/passwd"));
    let (root, run) = (root.to_str().unwrap(), Rustic::run);
    let image = images::with_programs().with("WorkingDir", "/app/deep".into()).written();
    let image = image.to_str().unwrap();
    let forward = ["--sysctl", "net.ipv4.ip_forward=1"];
    let nothing = ["sh", "-c", "true"];
    let plan = |name, run, cmd: &[&'static str]| Plan::new(name, run, cmd, 0);
    vec![
        plan("queue seen", run().ns("ipc", "no").opt(forward), &nothing),
        plan("chroot", run().ns("user", "yes").opt(["--root", "chroot"]), &nothing),
        plan("ids of its own", run().ns("user", "yes").opt(["--read-only"]), &nothing),
        plan("directory", run().opt(["--rootfs", root]), &["payload", "true"]),
        // That of an image is copied where it cannot be shown with other owners.
        plan(
            "directory, ids of its own",
            run().ns("user", "yes").opt(["--rootfs", root, "--suid-ok"]),
            &["payload", "true"],
        ),
        plan("image", run().opt(["--rootfs", image]), &["payload", "true"]),
        plan("plain user", run().nobody(), &nothing),
        plan("uid and file", run().input(passwd).opt(["--uid", "1000"]), &nothing),
        plan("plain user and file", run().nobody().input(passwd).opt(["--read-only"]), &nothing),
        plan(
            "hidden and over",
            run().under(["prlimit", "--nofile=64:1024"]).opt([
                "--overlay",
                "/etc:/mnt",
                "--tmpfs",
                "/mnt/ro:ro",
                "--hide",
                "/mnt/passwd",
            ]),
            &nothing,
        ),
        plan("no mounts", run().ns("mount", "no"), &nothing),
        // For a test that lives in namespaces of its own: those of its process are others.
        plan("joined", run().ns("net", &format!("/proc/{}/ns/net", std::process::id())), &nothing),
        plan(
            "ready by CMD",
            run().opt(["--ready", "app"]),
            &["sh", "-c", "echo >&$RUSTIC_READY_FD"],
        ),
    ]
}

/// Plans whose CMD tells what it sees of itself, so that a missing wall shows.
pub(crate) fn with_their_state() -> Vec<Plan> {
    let (null, passwd) = (Path::new("/dev/null"), Path::new("/etc/passwd"));
    let run =
        |options: &str| Rustic::run().env("HOME", "/nonexistent").opt(options.split_whitespace());
    let bind = format!("{}:/mnt/payload", payload().display());
    let state = |name, run: Rustic| {
        Plan::new(name, run.opt(["--bind", &bind]), &["/mnt/payload", "state"], 0)
    };
    vec![
        state("root, queue seen", run("--ipc no").input(null)),
        state("root, user namespace", run("--user yes --uid 7").input(passwd)),
        state("plain user", run("--scratch-size 64M").nobody().input(passwd)),
        // Without mounts of its own there is nowhere to bind the payload.
        Plan::new(
            "root, no mounts",
            run("--mount no --net no").input(null),
            &["/bin/cat", "/etc/passwd", "/proc/mark"],
            1,
        ),
    ]
}
