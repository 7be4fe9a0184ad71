//! Images that other programs have made, and what those make of them: every file's owner, mode, time
//! and attributes, and what is run.

use crate::ids::Ranges;
use crate::ids::store::tree;
use crate::manifest::differences;
use crate::need;
use crate::support::{CEILING, NOBODY, Ran, Rustic, ended, finish_within, piped, roomy, shell};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A system in layers: files of a Debian root changed, replaced by other kinds, removed, made anew,
/// with owners, set-ID bits, capabilities, links and times.
const BUILD: &str = r#"
FROM scratch
ADD debian.tar /
RUN rm -rf /usr/share/doc /etc/motd && echo new >/etc/issue && mkdir -p /srv/data && chown -R 33:33 /srv/data
RUN rm -rf /srv/data && mkdir -m 700 /srv/data && echo opaque >/srv/data/file && chown 1:2 /srv/data/file
RUN rm -rf /opt && ln -s usr /opt && rm /etc/issue && mkdir /etc/issue && echo x >/etc/issue/x
RUN cp /bin/cat /usr/bin/mine && chmod 6755 /usr/bin/mine && ln /usr/bin/mine /usr/bin/other && touch -d 2001-02-03 /usr/bin/mine
RUN chmod 0700 /var/mail && rm /usr/bin/other && echo y >/lib/through-a-link && rm -f /var/log/dpkg.log
RUN useradd -m -u 1234 joe && echo '#!/bin/sh' >/usr/bin/entry && echo 'echo "entry:$A:$(id -u):$(pwd):$*"' >>/usr/bin/entry && chmod 755 /usr/bin/entry
ENV A=image
"#;

/// Where the images are that were made once: an archive of docker, one of OCI, a layout, and the
/// tree that the maker shows.
struct Made {
    dir: PathBuf,
    tree: PathBuf,
}

impl Made {
    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }
}

fn archive() -> Option<PathBuf> {
    std::env::var_os("RUSTIC_DEBIAN_ROOT").map(PathBuf::from).filter(|path| path.is_file())
}

#[track_caller]
fn does(script: &str, dir: &Path) -> Ran {
    // Engines write an image several times: on a busy machine that takes longer than anything else.
    let limit = 5 * CEILING;
    let mut child = piped(shell(&["bash"], script).current_dir(dir));
    drop(child.stdin.take());
    let done = finish_within(child, limit)
        .unwrap_or_else(|so_far| panic!("{script} takes longer than {limit:?}: {so_far:?}"));
    assert_eq!(done.code, 0, "{script}: {done:?}");
    done
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let dir = roomy("images");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        fs::hard_link(archive().unwrap(), dir.join("debian.tar"))
            .or_else(|_| fs::copy(archive().unwrap(), dir.join("debian.tar")).map(drop))
            .unwrap();
        fs::write(dir.join("Containerfile"), BUILD).unwrap();
        let script = "
            set -e
            exec 2>&1
            buildah() { command buildah --root $PWD/storage --runroot $PWD/run --storage-driver vfs \"$@\"; }
            buildah bud --layers --isolation chroot -t app:1 -f Containerfile . >build.log
            buildah push app:1 oci-archive:$PWD/oci.tar:app:1
            buildah push app:1 docker-archive:$PWD/docker.tar:app:1
            buildah push app:1 oci:$PWD/layout:app
            skopeo copy --dest-compress-format zstd oci:$PWD/layout:app oci:$PWD/zstd:app
            gzip -1 -c docker.tar >docker.tar.gz
            container=$(buildah from --pull-never app:1)
            cp -a --reflink=auto \"$(buildah mount $container)\" tree
            umoci unpack --image layout:app bundle
            chmod -R a+rX oci.tar layout docker.tar";
        does(script, &dir);
        Made { tree: dir.join("tree"), dir }
    })
}

macro_rules! need_debian {
    () => {
        need!(root);
        need!(
            archive().is_some(),
            "RUSTIC_DEBIAN_ROOT names no archive; scripts/test --images does"
        );
    };
}

/// What differs, but for what the maker's own mount has and no layer: the places of its mounts.
fn differing(one: &Path, other: &Path) -> Vec<String> {
    let is_of_a_mount = |line: &String| {
        ["dev", "proc", "sys", "run", "etc/hosts", "etc/resolv.conf", "etc/hostname"].iter().any(
            |place| line.split([' ', ':', '/']).next() == Some(*place) || line.starts_with(place),
        )
    };
    differences(one, other).into_iter().filter(|line| !is_of_a_mount(line)).collect()
}

#[test]
fn what_comes_out_is_what_buildah_and_umoci_make_of_it() {
    need_debian!();
    let made = made();
    let umoci = made.dir.join("bundle/rootfs");
    // But for the root directory, which no layer has.
    let of_both = differing(&made.tree, &umoci).into_iter().filter(|line| !line.starts_with(':'));
    assert_eq!(of_both.collect::<Vec<_>>(), Vec::<String>::new(), "the two agree");
    for name in ["oci.tar", "docker.tar", "docker.tar.gz", "layout", "zstd"] {
        let out = roomy("unpacked").join("tree");
        let words = ["unpack".to_owned(), made.path(name), out.display().to_string()];
        Rustic::command("rootfs").opt(words).ran().ok();
        assert_eq!(differing(&umoci, &out), Vec::<String>::new(), "{name}");
        // The control: the comparison sees one bit.
        fs::set_permissions(out.join("etc/passwd"), fs::Permissions::from_mode(0o645)).unwrap();
        assert_eq!(differing(&umoci, &out).len(), 1, "{name}");
        fs::remove_dir_all(out.parent().unwrap()).unwrap();
    }
}

#[test]
fn a_plain_users_image_is_what_umoci_makes_of_it_in_his_user_namespace() {
    need_debian!();
    let (made, user, theirs) = (made(), Ranges::new(), roomy("plain-umoci"));
    chown(&theirs, Some(NOBODY), Some(NOBODY)).unwrap();
    let script = format!(
        "$RUSTIC rootfs import app {} && mkdir -m 700 {theirs}/run {theirs}/home && \
         XDG_RUNTIME_DIR={theirs}/run HOME={theirs}/home podman unshare umoci unpack --image \
         {}:app {theirs}/bundle",
        made.path("oci.tar"),
        made.path("layout"),
        theirs = theirs.display()
    );
    let done = user.script(&script);
    assert_eq!(done.code, 0, "{done:?}");
    let theirs = theirs.join("bundle/rootfs");
    assert_eq!(differing(&theirs, &tree(&user)), Vec::<String>::new());
    assert!(!differing(&made.tree, &tree(&user)).is_empty(), "the control: ids are others");
}

/// Images that differ in their config, by the directives that make it.
const CONFIGS: [&str; 6] = [
    "ENTRYPOINT [\"entry\", \"e\"]\nCMD [\"c\"]",
    "ENTRYPOINT [\"entry\"]\nUSER joe\nWORKDIR /srv",
    "CMD [\"entry\", \"from\", \"cmd\"]\nENV A=other PATH=/usr/bin:/bin",
    "USER 1234:33\nCMD [\"entry\"]\nWORKDIR /home/joe",
    "ENTRYPOINT entry shell form\nENV A=",
    "USER nobody:users\nENTRYPOINT [\"/usr/bin/entry\"]\nENV A=a=b",
];

const WORDS: [&str; 2] = ["", "entry more words"];

/// podman with runc: it wants one version of cgroups, so where the host mixes them it is shown those
/// of version 1 alone.
const PODMAN: &str = "
    set -e
    printf '[containers]\\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\\npids_limit = 0\\n[engine]\\ncgroup_manager = \"cgroupfs\"\\nevents_logger = \"file\"\\ntmp_dir = \"%s/libpod\"\\n' $PWD >containers.conf
    printf '[storage]\\ndriver = \"vfs\"\\nrunroot = \"%s/run\"\\ngraphroot = \"%s/storage\"\\n' $PWD $PWD >storage.conf
    export CONTAINERS_CONF=$PWD/containers.conf CONTAINERS_STORAGE_CONF=$PWD/storage.conf
    exec unshare --mount --net --propagation private bash -c '
        if [ -d /sys/fs/cgroup/pids ]; then
            view=$(mktemp -d)
            mount -t tmpfs -o mode=755 cgroups $view
            for hierarchy in /sys/fs/cgroup/*/; do
                name=$(basename $hierarchy)
                [ $name != unified ] || continue
                mkdir $view/$name
                mount --bind $hierarchy $view/$name
            done
            umount -l /sys/fs/cgroup
            mount --move $view /sys/fs/cgroup
            rmdir $view
        fi
        exec podman --runtime runc run --rm --network none \"$@\"' podman ";

#[test]
fn twelve_images_run_what_podman_runs() {
    need_debian!();
    let made = made();
    for (number, config) in CONFIGS.iter().enumerate() {
        fs::write(made.dir.join("config"), format!("FROM app:1\n{config}\n")).unwrap();
        let script = format!(
            "set -e; exec 2>&1
             buildah() {{ command buildah --root $PWD/storage --runroot $PWD/run --storage-driver vfs \"$@\"; }}
             buildah bud --pull-never --isolation chroot -t config:{number} -f config . >build.log
             rm -f config{number}.tar; buildah push config:{number} docker-archive:$PWD/config{number}.tar:config:{number}"
        );
        does(&script, &made.dir);
        for words in WORDS {
            let podman = ended(
                shell(&["bash"], &format!("{PODMAN} localhost/config:{number} {words}"))
                    .current_dir(&made.dir),
            );
            assert!(podman.code == 0 && podman.stdout.starts_with("entry:"), "{podman:?}");
            let rootfs = made.path(&format!("config{number}.tar"));
            let run = Rustic::run().opt(["--rootfs", &rootfs, "--uts", "yes"]);
            let ours = run.opt(words.split_whitespace()).ran();
            assert_eq!(ours.stdout, podman.stdout, "{config} {words}: {ours:?}");
        }
    }
}
