//! Other users: what is theirs is neither used nor swept.

use super::{many_files, rootfs, store_with_a_root};
use crate::need;
use crate::support::{Rustic, host, scratch};
use std::fs;
use std::path::Path;

#[test]
fn a_sweep_takes_only_what_is_the_users_own_and_lets_nobody_else_in() {
    need!(root);
    let folder = scratch("trap");
    let packed = many_files(&folder, 10);
    // Another user's, and one of root's own that lets others in.
    let (theirs, open) = (folder.join(".rustic-unpack-theirs"), folder.join(".rustic-unpack-open"));
    fs::create_dir_all(theirs.join("deep")).unwrap();
    host("chmod", ["-R", "700", theirs.to_str().unwrap()]);
    host("chown", ["-R", "65534", theirs.to_str().unwrap()]);
    fs::create_dir_all(open.join("deep")).unwrap();
    host("chmod", ["777", open.to_str().unwrap()]);
    Rustic::command("rootfs")
        .opt(["unpack", packed.to_str().unwrap(), folder.join("out").to_str().unwrap()])
        .ran()
        .ok();
    assert!(theirs.join("deep").exists() && open.join("deep").exists());
    // The control: one of root's own that nobody else can enter goes.
    let own = folder.join(".rustic-unpack-own");
    fs::create_dir_all(own.join("deep")).unwrap();
    host("chmod", ["700", own.to_str().unwrap()]);
    Rustic::command("rootfs")
        .opt(["unpack", packed.to_str().unwrap(), folder.join("out2").to_str().unwrap()])
        .ran()
        .ok();
    assert!(!own.exists());
}

#[test]
fn a_store_that_others_can_write_is_refused() {
    need!(root);
    let store = store_with_a_root("loose");
    for part in ["", "roots", "names", "locks"] {
        let at = store.join(part);
        host("chmod", ["g+w", at.to_str().unwrap()]);
        rootfs(&store, &["list"])
            .ran()
            .fails(125, &["cannot use the store", "can be written by others (mode 720)"]);
        host("chmod", ["g-w", at.to_str().unwrap()]);
    }
    assert!(rootfs(&store, &["list"]).ran().ok().contains("box"));
}

#[test]
fn a_store_that_is_refused_is_left_as_it_was_and_no_strangers_link_leads_to_one() {
    need!(root);
    let nobody = Some(crate::support::NOBODY);
    let theirs = scratch("foreign");
    std::os::unix::fs::chown(&theirs, nobody, nobody).unwrap();
    let run =
        |store: &Path| Rustic::run().opt(["--store", store.to_str().unwrap()]).sh("true").ran();
    run(&theirs).fails(125, &["cannot use the store", "belongs to uid"]);
    assert_eq!(fs::read_dir(&theirs).unwrap().count(), 0);
    // A link that a stranger has made could lead elsewhere the next time.
    let (dir, mine) = (scratch("linked"), scratch("mine"));
    let link = dir.join("link");
    std::os::unix::fs::symlink(&mine, &link).unwrap();
    std::os::unix::fs::lchown(&link, nobody, nobody).unwrap();
    run(&link).fails(125, &["is a symlink of uid"]);
    run(&link.join("store")).fails(125, &["is a symlink of uid"]);
    assert_eq!(fs::read_dir(&mine).unwrap().count(), 0);
    // The control: root's own link is followed.
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&mine, &link).unwrap();
    assert_eq!(run(&link).code, 0);
    assert!(mine.join("roots").exists());
}
