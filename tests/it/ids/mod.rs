//! Whose id is whose: ranges of a plain user, and what is left without them.

mod joined;
mod new_privs;
pub(crate) mod own;
mod owners;
pub(crate) mod store;
mod users;

use crate::need;
use crate::support::{NOBODY, Ran, binary, ended, scratch, shell};
use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;

/// A plain user with subordinate ids, in a mount namespace with files of its own over /etc/subuid
/// and /etc/subgid.
pub(crate) struct Ranges {
    dir: PathBuf,
    pub(crate) temporary: PathBuf,
}

impl Ranges {
    pub(crate) fn new() -> Self {
        let (dir, temporary) = (scratch("subid"), scratch("temporary"));
        chown(&temporary, Some(NOBODY), Some(NOBODY)).unwrap();
        fs::write(dir.join("sub"), "nobody:200000:65536\n").unwrap();
        Self { dir, temporary }
    }

    /// Runs rustic through what stands before it; `prepare` is done as root before.
    pub(crate) fn ran(&self, prepare: &str, through: &str, args: &str) -> Ran {
        self.does(prepare, &format!("{through} {} {args}", binary().display()))
    }

    /// Runs a script of the user's, who has a store in a home of his own, and `$RUSTIC`.
    pub(crate) fn script(&self, script: &str) -> Ran {
        let home = format!("XDG_DATA_HOME={home} HOME={home}", home = self.temporary.display());
        let file = self.dir.join("script");
        fs::write(&file, script).unwrap();
        let rustic = binary();
        self.does("", &format!("RUSTIC={} {home} sh -e {}", rustic.display(), file.display()))
    }

    fn does(&self, prepare: &str, command: &str) -> Ran {
        let script = format!(
            "touch /etc/subuid /etc/subgid; for name in uid gid; do \
             mount --bind {dir}/sub /etc/sub$name; done; {prepare} \
             exec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups env -i PATH=$PATH \
             TMPDIR={temporary} {command}",
            dir = self.dir.display(),
            temporary = self.temporary.display(),
        );
        ended(&mut shell(&["unshare", "--mount", "sh"], &script))
    }

    /// Other subordinate ids from now on.
    pub(crate) fn are(&self, first: u32) {
        fs::write(self.dir.join("sub"), format!("nobody:{first}:65536\n")).unwrap();
    }
}

const MAP: &str = "run cat /proc/self/uid_map";
const ONE_ID: [&str; 3] = ["0", "65534", "1"];

#[test]
fn subordinate_ids_are_used_where_the_user_has_some() {
    need!(root);
    let user = Ranges::new();
    let map = user.ran("", "", MAP).ok();
    assert!(map.split_whitespace().eq(["0", "65534", "1", "1", "200000", "65536"]), "{map}");
    assert_eq!(user.ran("", "", "run --uid 1000 id").ok(), "uid=1000 gid=0(root)\n");
    let script = "run --mount no --uid 1000 sh -c 'mkdir -m 700 /tmp/mine && touch /tmp/mine/file \
                  && ls /tmp/mine'";
    assert_eq!(user.ran("", "", script).ok(), "file\n");
    let left = fs::read_dir(&user.temporary).unwrap().count();
    assert_eq!(left, 0, "files of subordinate ids are removed too");
}

#[test]
fn where_newuidmap_may_not_map_them_it_starts_with_one_id() {
    need!(root);
    let user = Ranges::new();
    let no_bit = format!(
        "cp /usr/bin/newuidmap {dir}/newuidmap && chmod 755 {dir}/newuidmap && mount --bind \
         {dir}/newuidmap /usr/bin/newuidmap;",
        dir = user.dir.display()
    );
    let no_group_bit = no_bit.replace("uidmap", "gidmap");
    for (prepare, through) in [
        ("", "setpriv --no-new-privs"),
        ("", "bwrap --dev-bind / /"),
        ("", "unshare -r"),
        ("", "unshare -c"),
        (&no_bit, ""),
        (&no_group_bit, ""),
    ] {
        let map = user.ran(prepare, through, MAP).ok();
        assert!(map.split_whitespace().eq(ONE_ID), "{prepare} {through}: {map}");
    }
    let nnp = |args: &str| user.ran("", "setpriv --no-new-privs", args);
    let refused = "newuidmap: write to uid_map failed";
    nnp("run --uid 1000 id").fails(125, &["--uid 1000", refused]);
    nnp("run --gid 1000 id").fails(125, &["--gid 1000", refused]);
    let told = nnp("run -v true").stderr;
    assert!(told.contains("user: one id, because the subordinate ids cannot be mapped"), "{told}");
    // What was begun first has left nothing.
    assert_eq!(fs::read_dir(&user.temporary).unwrap().count(), 0);
}

#[test]
fn verify_finds_every_wall_as_ordered_with_ranges_and_without() {
    need!(root);
    let user = Ranges::new();
    for prepare in ["", "umount /etc/subuid;"] {
        let ran = user.ran(prepare, "", "verify");
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.stdout.contains("Every wall is as ordered"), "{ran:?}");
        assert!(!ran.stdout.contains("unknown"), "{ran:?}");
    }
}
