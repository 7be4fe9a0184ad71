//! Hosts that lack something: run, verify and doctor say it in the same words, and the advice works.

use super::case::{Case, hold};
use super::machine::{Machine, Root};
use crate::need;

#[test]
fn an_initramfs_cannot_be_left_by_pivot_root() {
    need!(root);
    let why = "the host's root is the kernel's first one, an initramfs";
    hold(
        Machine::new("trixie", Root::Initramfs),
        &[
            Case::refused("rustic run true", &["cannot pivot into the root: EINVAL", why]),
            Case::refused("rustic run --user yes true", &[why, "try   --root chroot"]),
            Case::new("rustic verify", 3, &[why]),
            Case::new("rustic doctor", 1, &[why]),
            Case::runs("rustic run --root chroot"),
            Case::runs("rustic run --root chroot --user yes"),
            Case::runs("rustic run --mount no"),
            Case::new(
                "mount -t cgroup2 cgroup2 /sys/fs/cgroup; rustic verify --root chroot",
                0,
                &["Every wall is as ordered"],
            ),
            // The other advice: a root of its own.
            Case::new(
                "mkdir /new; mount -t tmpfs new /new; cp -a /bin /etc /root /usr /var /new; cd /new
                 mkdir -p dev proc run sys tmp; for d in dev proc sys run; do mount --move /$d $d
                 done; mount --move . /; exec chroot . rustic run --ipc no echo up",
                0,
                &["up\n"],
            ),
        ],
    );
}

#[test]
fn a_kernel_without_overlays_copies_an_image_when_told_to() {
    need!(root);
    let why = "this kernel has no overlay file system loaded";
    hold(
        Machine::new("trixie", Root::Busybox).option("--modules", ""),
        &[
            Case::refused("rustic run true", &["ENODEV", why, "--no-store"]),
            Case::refused("rustic run --no-store --overlay /etc:/mnt true", &["ENODEV", why]),
            Case::new("rustic verify", 3, &[why]),
            Case::new("rustic doctor", 1, &[why, "works a container with every usual wall"]),
            Case::runs("rustic run --no-store"),
            Case::runs("rustic run --no-store --user yes"),
            Case::runs("rustic run --mount no"),
            Case::new("rustic verify --no-store", 0, &["Every wall is as ordered"]),
        ],
    );
}

#[test]
fn a_proc_or_sys_that_is_not_there_or_not_whole_is_named_where_it_matters() {
    need!(root);
    let absent = ["cannot read /proc/self: ENOENT", "no proc is mounted on /proc"];
    let in_own = |script: &str| format!("unshare -m sh -c '{script}'");
    let read_only = "mount --bind /proc /proc; mount -o remount,bind,ro /proc";
    let writable = ["EROFS", "/proc is mounted read-only", "mount -o remount,rw /proc"];
    let up = |script: String| Case::new(script, 0, &["up\n"]);
    let without = |cmd: &str| in_own(&format!("umount -l /proc; exec rustic {cmd}"));
    hold(
        Machine::new("trixie", Root::Busybox),
        &[
            Case::refused(without("run true"), &absent),
            Case::refused(without("verify"), &absent),
            Case::refused(without("doctor"), &absent),
            // The advice works.
            up(in_own("umount -l /proc; mount -t proc proc /proc; rustic run echo up")),
            up(in_own("umount -l /sys; rustic run echo up")),
            up(in_own(
                "umount -l /proc; mount -t proc -o subset=pid proc /proc; rustic run echo up",
            )),
            up(in_own(&format!("{read_only}; rustic run echo up"))),
            Case::refused(in_own(&format!("{read_only}; rustic run --user yes true")), &writable),
            up(in_own(&format!(
                "{read_only}; mount -o remount,bind,rw /proc; rustic run --user yes echo up"
            ))),
            Case::new(
                in_own("mount -t tmpfs -o noexec t /tmp; rustic doctor"),
                0,
                &["/tmp is mounted noexec: no program of there runs"],
            ),
            Case::new(
                in_own("mount -t tmpfs -o noexec t /tmp; rustic run --init echo up"),
                0,
                &["up"],
            ),
            Case::new(in_own("mount -t tmpfs -o noexec t /tmp; rustic verify"), 0, &["as ordered"]),
        ],
    );
}

/// A profile that lets everything be done but mounts, as docker's does.
const NO_MOUNT: &str = "
mount -t securityfs securityfs /sys/kernel/security
cat >/tmp/profile <<'PROFILE'
abi <abi/3.0>,
profile nomount flags=(attach_disconnected,mediate_deleted) {
  network, capability, file, umount, signal, ptrace, unix, pivot_root, change_profile,
  deny mount,
}
PROFILE
apparmor_parser -r /tmp/profile
";

#[test]
fn a_profile_of_apparmor_that_denies_mounts_is_named() {
    need!(root);
    let why = "rustic is confined by the security profile nomount";
    let mut cases = vec![Case::new(NO_MOUNT, 0, &[])];
    for user in ["", "as alice ", "as bob "] {
        let confined = |words: &str| format!("{user}aa-exec -p nomount rustic {words}");
        cases.extend([
            Case::refused(confined("run true"), &["EACCES", why, "run it unconfined"]),
            Case::refused(confined("run --hide /etc true"), &[why]),
            Case::new(confined("verify"), 3, &[why]),
            Case::new(confined("doctor"), 1, &[why, "the security profile of rustic: nomount"]),
            Case::runs(&confined("run --mount no")),
            // The advice works.
            Case::runs(&format!("{user}rustic run")),
        ]);
    }
    hold(Machine::new("trixie", Root::Debian), &cases);
}

#[test]
fn in_podman_with_the_least_options_that_the_doctor_names_rustic_starts() {
    need!(root);
    let podman = |options: &str, words: &str| {
        format!(
            "[ -d /srv/root ] || rustic rootfs unpack /run/vm/rootfs.tar.gz /srv/root
             cp /run/vm/rustic /srv/root/bin
             podman --cgroup-manager cgroupfs --events-backend file --runtime crun run --rm \
             --network none {options} --rootfs /srv/root {words}"
        )
    };
    let options = "--security-opt seccomp=unconfined --security-opt unmask=ALL";
    let rights = format!("{options} --cap-add SYS_ADMIN --cap-add NET_ADMIN");
    hold(
        Machine::new("trixie", Root::Debian)
            .file(concat!(env!("CARGO_MANIFEST_DIR"), "/rootfs/rootfs.tar.gz")),
        &[
            Case::new(podman("", "rustic run true"), 125, &["rustic: "]),
            Case::new(podman("", "rustic doctor"), 1, &["container of podman", "unmask=ALL"]),
            Case::new(podman(options, "rustic run --user yes echo up"), 0, &["up\n"]),
            Case::new(podman(&rights, "rustic run echo up"), 0, &["up\n"]),
            // The cgroup of podman's container opens no disk to anybody in it.
            Case::new(
                podman(&rights, "rustic verify"),
                3,
                &["→ Unknown: devices.", "the caller may open none itself"],
            ),
        ],
    );
}
