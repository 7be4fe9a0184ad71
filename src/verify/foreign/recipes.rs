//! Launchers that many machines have, as they are usually called for a sandbox: one line each, and
//! which walls that order makes. What a launcher does not claim is tried too, and is no fault.

use super::order::LauncherOrder;
use super::words::Command;
use super::workplace::PLANTED;
use crate::verify::role::Through;
use crate::verify::stage::Scene;
use crate::verify::wall::Wall;
use std::path::Path;

/// How a launcher is called.
#[derive(Debug)]
pub struct Recipe {
    /// What it is called here.
    pub name: &'static str,
    /// The command line, split at blanks.
    line: &'static str,
    /// The launcher's own form without walls, where it has one.
    open: Option<&'static str>,
    /// What makes what it needs, before it is started, for a shell.
    before: Option<&'static str>,
    /// What takes away what it may leave, likewise.
    end: Option<&'static str>,
    /// The walls that it makes when it is called so.
    holds: &'static [Wall],
    /// Where the container is: on the verifier's stage where the caller's process starts it, on the
    /// real host where a daemon does that has been there before.
    scene: Scene,
    /// The words that a plain user needs before the first option.
    user: Option<&'static str>,
    /// What a reader must know.
    notes: &'static [&'static str],
}

const OF_NAMESPACES: [Wall; 6] =
    [Wall::Pid, Wall::Mnt, Wall::Uts, Wall::Ipc, Wall::Net, Wall::Cgroup];

/// What the runtimes, the engines and systemd-nspawn claim: a system of its own.
const OF_CONTAINERS: [Wall; 11] = [
    Wall::Pid,
    Wall::Mnt,
    Wall::Root,
    Wall::Uts,
    Wall::Net,
    Wall::Ipc,
    Wall::Fds,
    Wall::Keyring,
    Wall::Terminal,
    Wall::Kernel,
    Wall::Devices,
];

/// All of them. `{name}`, `{dir}` and the others are those of [`super::words`].
pub const ALL: [Recipe; 9] = [
    Recipe {
        name: "unshare",
        line: "unshare -m -p -u -i -n -C -f --mount-proc {probe}",
        open: Some("unshare -f {probe}"),
        before: None,
        end: None,
        holds: &OF_NAMESPACES,
        scene: Scene::Stage,
        user: Some("-r"),
        notes: &["the root stays the host's: unshare makes namespaces and nothing else"],
    },
    Recipe {
        name: "bwrap",
        line: "bwrap --ro-bind / / --unshare-all --proc /proc --dev /dev --new-session {probe}",
        open: Some("bwrap --dev-bind / / {probe}"),
        before: None,
        end: None,
        holds: &OF_NAMESPACES,
        scene: Scene::Stage,
        user: None,
        notes: &["the root is the host's, read-only, as most sandboxes for tools have it"],
    },
    Recipe {
        name: "firejail",
        line: "firejail --quiet --noprofile --net=none --private {probe}",
        open: None,
        before: None,
        end: None,
        holds: &[Wall::Pid, Wall::Mnt, Wall::Net],
        scene: Scene::Stage,
        user: None,
        notes: &["without a profile: one names files, and is of a program"],
    },
    Recipe {
        name: "chroot",
        line: "chroot {dir} /.rustic-probe __probe {nonce}",
        open: Some("chroot / {probe}"),
        before: None,
        end: None,
        holds: &[Wall::Root],
        scene: Scene::Stage,
        user: None,
        notes: &["nothing is mounted in the root: what needs a /proc is not tried"],
    },
    Recipe {
        name: "nspawn",
        line: "systemd-nspawn -q --register=no --keep-unit --pipe -M {name} --private-network \
            -D {dir} /.rustic-probe __probe {nonce}",
        open: None,
        before: None,
        end: None,
        holds: &OF_CONTAINERS,
        scene: Scene::Stage,
        user: None,
        notes: &["with --pipe: its own terminal cuts lines and echoes them"],
    },
    Recipe {
        name: "runc",
        line: "runc --root {bundle}/state run -b {bundle} {name}",
        open: None,
        before: None,
        end: Some("runc --root {bundle}/state delete --force {name}"),
        holds: &OF_CONTAINERS,
        scene: Scene::Stage,
        user: None,
        notes: &["with the configuration of `runc spec`, and a network of its own"],
    },
    Recipe {
        name: "crun",
        line: "crun --root {bundle}/state run -b {bundle} {name}",
        open: None,
        before: None,
        end: Some("crun --root {bundle}/state delete --force {name}"),
        holds: &OF_CONTAINERS,
        scene: Scene::Stage,
        user: None,
        notes: &["with the configuration of `runc spec`, and a network of its own"],
    },
    Recipe {
        name: "podman",
        line: "podman --root {work}/storage --runroot {work}/run --tmpdir {work}/tmp \
            --cgroup-manager cgroupfs run --rm -i --name {name} --network none \
            --ulimit nofile=1024:1024 --ulimit nproc=4096:4096 --rootfs {dir} \
            /.rustic-probe __probe {nonce}",
        open: Some(
            "podman --root {work}/storage --runroot {work}/run --tmpdir {work}/tmp \
            --cgroup-manager cgroupfs run --rm -i --name {name} --network host --pid host \
            --ipc host --uts host --ulimit nofile=1024:1024 --ulimit nproc=4096:4096 \
            --security-opt seccomp=unconfined -v /:/host --rootfs {dir} \
            /.rustic-probe __probe {nonce}",
        ),
        before: None,
        end: None,
        holds: &OF_CONTAINERS,
        scene: Scene::Stage,
        user: None,
        notes: &["with limits of its own: without CAP_SYS_RESOURCE it raises none"],
    },
    Recipe {
        name: "docker",
        line: "docker run --rm -i --name {name} --network none {name} \
            /.rustic-probe __probe {nonce}",
        open: Some(
            "docker run --rm -i --name {name} --network host --pid host --ipc host --uts host \
            --security-opt seccomp=unconfined -v /:/host {name} /.rustic-probe __probe {nonce}",
        ),
        before: Some("tar -C {dir} -c . | docker import - {name}"),
        end: Some("docker rm --force {name}; docker rmi --force {name}"),
        holds: &OF_CONTAINERS,
        scene: Scene::Host,
        user: None,
        notes: &["its daemon is outside the stage: what would change the host is not tried"],
    },
];

/// Where the probe lies in `{dir}`, as the lines above have it.
const _: () = assert!(PLANTED.len() == "/.rustic-probe".len());

impl Recipe {
    /// The recipe of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|recipe| recipe.name == name)
    }

    /// The order of this recipe for a caller of this uid.
    pub fn order(&self, uid: u32) -> LauncherOrder {
        let mut notes: Vec<String> = self.notes.iter().map(|&note| note.to_owned()).collect();
        let mut command = Command::new(self.line.split_whitespace());
        let mut open = self.open.map(|line| Command::new(line.split_whitespace()));
        if let Some(further) = self.user.filter(|_| uid != 0) {
            command = command.with(1, &further.split_whitespace().collect::<Vec<_>>());
        }
        if self.name == "podman" && has_old_cgroups() {
            let runc = ["--runtime", "runc"];
            (command, open) = (command.with(1, &runc), open.map(|open| open.with(1, &runc)));
            notes.push("with runc in place of crun, which refuses cgroups of version 1".into());
        }
        LauncherOrder {
            name: self.name.to_owned(),
            recipe: true,
            command,
            open,
            through: Through::Pipes,
            scene: self.scene,
            before: self.before.map(shell),
            end: self.end.map(shell),
            holds: self.holds.to_vec(),
            notes,
        }
    }
}

/// What a shell does.
fn shell(line: &str) -> Command {
    Command::new(["sh", "-c", line])
}

/// Whether the machine has controllers in hierarchies of version 1, cgroups(7).
fn has_old_cgroups() -> bool {
    !Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}
