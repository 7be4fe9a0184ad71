//! A plain user's images: every owner of an archive, on disk and inside, and no way to see them wrong.

use super::Ranges;
use crate::need;
use crate::support::{ended, payload, scratch, shell};
use rustix::fs::{XattrFlags, getxattr, setxattr};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A root with other owners, a closed directory of one, a set-user-ID file of an id that no range
/// has, and an access control list that names one.
pub(crate) fn image(name: &str) -> PathBuf {
    let dir = scratch(name);
    let script = format!(
        "mkdir -p root/bin root/etc root/var/lib root/proc root/sys root/dev && cd root && \
         touch etc/hosts etc/hostname etc/resolv.conf && cp {payload} bin/payload && \
         echo x >etc/shadow && chown 0:42 etc/shadow && mkdir var/lib/db && echo y >var/lib/db/f \
         && chown -R 70:71 var/lib/db && chmod 700 var/lib/db && cp bin/payload bin/far && chown \
         90000:90000 bin/far && chmod 4755 bin/far",
        payload = payload().display()
    );
    let does = |script: &str| {
        let done = ended(shell(&["sh"], script).current_dir(&dir));
        assert_eq!(done.code, 0, "{done:?}");
    };
    does(&script);
    for (file, id) in [("etc/hosts", 42), ("etc/hostname", 90_000)] {
        setxattr(dir.join("root").join(file), ACL, &reader(id), XattrFlags::empty()).unwrap();
    }
    does("tar -C root --xattrs --xattrs-include=* -cf image.tar .");
    dir.join("image.tar")
}

const ACL: &str = "system.posix_acl_access";

/// An access control list by which a user may read, as linux/posix_acl_xattr.h has it.
fn reader(id: u32) -> Vec<u8> {
    let none = u32::MAX;
    let entries = [(1, 6, none), (2, 4, id), (4, 4, none), (16, 4, none), (32, 4, none)];
    let entry = |(tag, permissions, id): (u16, u16, u32)| {
        [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    [2u32.to_le_bytes().to_vec(), entries.into_iter().flat_map(entry).collect()].concat()
}

const LOOK: &str = "payload owners /etc/shadow /var/lib/db /var/lib/db/f /bin/far";
const KEPT: &str = "/etc/shadow 0:42\n/var/lib/db 70:71\n/var/lib/db/f 70:71\n/bin/far 0:0\n";

/// The only tree of the user's store.
pub(crate) fn tree(user: &Ranges) -> PathBuf {
    let roots = user.temporary.join("rustic/roots");
    fs::read_dir(roots).unwrap().next().unwrap().unwrap().path().join("tree")
}

fn owner(path: &Path) -> (u32, u32) {
    let stat = path.symlink_metadata().unwrap();
    (stat.uid(), stat.gid())
}

#[test]
fn an_image_keeps_every_owner_that_the_ranges_have_and_counts_the_others() {
    need!(root);
    let (user, image) = (Ranges::new(), image("kept"));
    let image = image.display();
    let imported = user.script(&format!("$RUSTIC rootfs import box {image}")).ok();
    let counted = "1 owner that is not mapped here (it is root's), 1 access control list";
    assert!(imported.contains(counted), "{imported}");
    let on_disk = tree(&user);
    assert_eq!(owner(&on_disk.join("etc/shadow")), (65_534, 200_041));
    assert_eq!(owner(&on_disk.join("var/lib/db/f")), (200_069, 200_070));
    assert_eq!(owner(&on_disk.join("bin/far")), (65_534, 65_534));
    let mode = on_disk.join("bin/far").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755, "nobody else's set-user-ID program has become root's");
    let mut list = [0; 100];
    let length = getxattr(on_disk.join("etc/hosts"), ACL, &mut list).unwrap();
    assert_eq!(list[..length], reader(200_041));
    let by_name = ["", "--mount no", "--read-only"].map(|more| format!("--rootfs box {more}"));
    let by_file = ["", "--mount no"].map(|more| format!("--rootfs {image} {more}"));
    for options in [&by_name[..], &by_file].concat() {
        assert_eq!(user.script(&format!("$RUSTIC run {options} {LOOK}")).ok(), KEPT, "{options}");
    }
    let without_store = format!("XDG_DATA_HOME=/proc $RUSTIC run --rootfs {image} {LOOK}");
    assert_eq!(user.script(&without_store).ok(), KEPT);
    // What is another id's is changed and removed inside, and on the disk stays.
    let changed = format!(
        "$RUSTIC run --rootfs box payload make /var/lib/db/new; $RUSTIC run --rootfs box {LOOK}"
    );
    assert_eq!(user.script(&changed).ok(), format!("done\n{KEPT}"));
    assert_eq!(fs::read_dir(user.temporary.join("rustic/runs")).unwrap().count(), 0);
    // The control: the user himself cannot remove it, and so half a tree would stay.
    let plain =
        user.script(&format!("cp -r {tree} $HOME/copy; rm -rf {tree}", tree = on_disk.display()));
    assert!(plain.code != 0 && on_disk.join("var/lib/db/f").exists(), "{plain:?}");
    assert_eq!(user.script("$RUSTIC rootfs rm box").ok(), "removed box\n");
    for part in ["roots", "names", "staging", "locks"] {
        assert_eq!(fs::read_dir(user.temporary.join("rustic").join(part)).unwrap().count(), 0);
    }
}

#[test]
fn a_tree_is_not_seen_through_other_ids_than_it_was_made_with() {
    need!(root);
    let (user, image) = (Ranges::new(), image("other-ids"));
    let image = image.display();
    user.script(&format!("$RUSTIC rootfs import box {image}")).ok();
    let other = "was unpacked for other ids than this container has";
    let one = |words: &str| user.script(&format!("setpriv --no-new-privs $RUSTIC {words}"));
    one(&format!("run --rootfs box {LOOK}")).fails(125, &[other, "newuidmap"]);
    one("rootfs rm box").fails(125, &["cannot remove 'box'", "newuidmap: write to uid_map"]);
    // From the archive it has a copy of its own, and -v says so.
    let own = one(&format!("run -v --rootfs {image} payload owners /etc/shadow"));
    assert_eq!(own.stdout, "/etc/shadow 0:0\n", "{own:?}");
    assert!(own.stderr.contains("root: unpacked for this run"), "{own:?}");
    user.are(400_000);
    user.script(&format!("$RUSTIC run --rootfs box {LOOK}")).fails(125, &[other]);
    user.script("$RUSTIC rootfs rm box").fails(125, &["cannot remove 'box'", "as root: rm -r"]);
    let own = user.script(&format!("$RUSTIC run --rootfs {image} {LOOK}"));
    assert_eq!(own.stdout, KEPT, "{own:?}");
    // The control, and nothing was lost by what was refused.
    user.are(200_000);
    assert_eq!(user.script(&format!("$RUSTIC run --rootfs box {LOOK}")).ok(), KEPT);
}

#[test]
fn owners_that_were_lost_are_told_and_kept_as_soon_as_they_can_be() {
    need!(root);
    let (user, image) = (Ranges::new(), image("lost"));
    let image = image.display();
    let one = |words: &str| user.script(&format!("setpriv --no-new-privs $RUSTIC {words}"));
    let imported = one(&format!("rootfs import box {image}")).ok();
    assert!(imported.contains("(everything is yours)"), "{imported}");
    assert!(imported.contains("one owner for every file: newuidmap"), "{imported}");
    assert!(!one(&format!("run --rootfs box {LOOK}")).stderr.contains("warning"));
    let told = user.script("$RUSTIC run --rootfs box payload owners /etc/shadow");
    assert_eq!(told.stdout, "/etc/shadow 0:0\n");
    assert!(told.stderr.contains("warning: the image was unpacked with one owner"), "{told:?}");
    user.script("$RUSTIC rootfs rm box").ok();
    // Without a name it is made anew.
    one(&format!("run --rootfs {image} payload owners /etc/shadow")).ok();
    let anew = user.script(&format!("$RUSTIC run --rootfs {image} {LOOK}"));
    assert_eq!((anew.stdout.as_str(), anew.stderr.as_str()), (KEPT, ""));
}

#[test]
fn an_import_that_is_ended_leaves_nothing_of_anybodys() {
    need!(root);
    let (user, image) = (Ranges::new(), image("ended"));
    // The reader waits for the rest of the archive when the signal comes.
    let script = |signal: &str, whom: &str| {
        format!(
            "mkfifo $HOME/{signal}; $RUSTIC rootfs import box - <$HOME/{signal} & rustic=$!; \
             exec 3>$HOME/{signal}; head -c 6000 {image} >&3; \
             until ls $HOME/rustic/staging/*/tree/* >/dev/null 2>&1; do sleep 0.02; done; \
             kill -{signal} {whom}; wait $rustic || echo $?",
            image = image.display()
        )
    };
    let left = || {
        let parts =
            ["roots", "names", "staging"].map(|part| user.temporary.join("rustic").join(part));
        parts.iter().map(|part| fs::read_dir(part).unwrap().count()).sum::<usize>()
    };
    let ran = user.script(&script("TERM", "$rustic"));
    assert_eq!((ran.stdout.trim(), left()), ("143", 0), "{ran:?}");
    let child = "$(cat /proc/$rustic/task/$rustic/children)";
    let ran = user.script(&script("KILL", child));
    assert!(ran.stderr.contains("subordinate ids was ended by signal 9"), "{ran:?}");
    assert_eq!((ran.stdout.trim(), left()), ("125", 0), "{ran:?}");
    let ran = user.script(&script("INT", child));
    assert_eq!((ran.stdout.trim(), left()), ("130", 0), "{ran:?}");
}

#[test]
fn a_directory_that_a_plain_user_unpacks_has_no_program_with_his_rights_for_others() {
    need!(root);
    let (user, image) = (Ranges::new(), image("set-ids"));
    let image = image.display();
    for through in ["", "setpriv --no-new-privs"] {
        let script = format!("rm -rf $HOME/out; {through} $RUSTIC rootfs unpack {image} $HOME/out");
        let said = user.script(&script).ok();
        assert!(said.contains("1 entry's set-ID bits (they would be yours)"), "{said}");
        let mode = user.temporary.join("out/bin/far").metadata().unwrap().mode();
        assert_eq!(mode & 0o7777, 0o755);
    }
    // The control: root keeps them, with their owner.
    let out = scratch("set-ids-root").join("out");
    let words = ["unpack".to_owned(), image.to_string(), out.display().to_string()];
    crate::support::Rustic::command("rootfs").opt(words).ran().ok();
    let far = out.join("bin/far").metadata().unwrap();
    assert_eq!((far.mode() & 0o7777, far.uid()), (0o4755, 90_000));
}

#[test]
fn a_file_capability_of_a_root_beyond_the_ranges_is_left_out_and_counted() {
    need!(root);
    let (user, dir) = (Ranges::new(), scratch("rootid"));
    fs::create_dir_all(dir.join("root/bin")).unwrap();
    fs::write(dir.join("root/bin/x"), "").unwrap();
    // cap_chown+ep of another root, linux/capability.h
    let mut capability = vec![1, 0, 0, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    capability.extend(200_000u32.to_le_bytes());
    let file = dir.join("root/bin/x");
    setxattr(file, "security.capability", &capability, XattrFlags::empty()).unwrap();
    let pack = "tar -C root --xattrs --xattrs-include=* -cf image.tar .";
    assert_eq!(ended(shell(&["sh"], pack).current_dir(&dir)).code, 0);
    let said = user.script(&format!("$RUSTIC rootfs import box {}/image.tar", dir.display()));
    assert!(said.stdout.contains("1 security.capability"), "{said:?}");
}
