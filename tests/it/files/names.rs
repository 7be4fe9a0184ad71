//! The other names of what is hidden: those that orders, mounts of the host and links give it.

use super::{ALL, both, bound, open_to_all, project};
use crate::need;
use crate::support::{Rustic, archive, ended, payload, scratch, shell, tree};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

#[test]
fn a_path_is_hidden_under_its_other_names_too() {
    need!(root);
    for run in both() {
        let dir = project("names");
        let hides = ["--hide", "/p/.env", "--hide", "/p/secret", "--hide", "/p/conf/key"];
        let two = || bound(bound(run.clone(), &dir, "/p"), &dir, "/q");
        let leaks = |run: &Rustic| run.clone().sh(ALL).ran().stdout.contains("SECRET");
        assert!(leaks(&two()));
        assert!(!leaks(&two().opt(hides)));
        // An overlay shows it as well, and so does a tree that holds the bound one.
        let over = format!("{}:/q", dir.display());
        let over =
            |run: &Rustic, target| bound(run.clone(), &dir, target).opt(["--overlay", &over]);
        assert!(leaks(&over(&run, "/p")));
        assert!(!leaks(&over(&run, "/p:ro").opt(hides)));
        // Renamed inside through the bind, it would be a file of another name in the overlay.
        let written = over(&run, "/p").opt(hides).opt(["true"]).ran();
        written.fails(125, &["/p/.env is hidden, and seen through an overlay on /q", ":ro"]);
        let above = dir.parent().unwrap();
        let name = dir.file_name().unwrap().to_str().unwrap();
        let deep = || bound(bound(run.clone(), &dir, "/p"), above, "/r").opt(hides);
        let ran = deep().sh(&format!("cat /r/{name}/.env /r/{name}/secret/key")).ran();
        assert!(!ran.stdout.contains("SECRET"), "{ran:?}");
        // What is ordered to be seen by its own name is a contradiction, but below what is hidden.
        let secret = dir.join("secret");
        bound(bound(run.clone(), &dir, "/p"), &secret, "/mnt")
            .opt(["--hide", "/p/secret", "true"])
            .ran()
            .fails(125, &["/p/secret is hidden", "seen on /mnt"]);
        let shown = bound(bound(run.clone(), &dir, "/p"), &secret.join("key"), "/p/secret/key");
        let out = shown.opt(["--hide", "/p/secret"]).sh("cat /p/secret/key; ls /p/secret").ran();
        assert_eq!(out.stdout, "SECRET\nkey\n", "{out:?}");
    }
}

/// With a directory of the project mounted on another one, what is hidden is read by neither name;
/// the control, without the order, reads it.
fn is_hidden_beside_a_mount(dir: &Path, mounted: &str, hide: &str, look: &str) {
    let look = |hide: &str| {
        let script = format!(
            "mkdir -p {dir}/other && mount --bind {dir}/{mounted} {dir}/other && exec \"$RUSTIC\" \
             run --bind {dir}:/p {hide} sh -c '{look}'",
            dir = dir.display()
        );
        ended(&mut shell(&["unshare", "--mount", "sh"], &script))
    };
    let ran = look(hide);
    assert!(!ran.stdout.contains("SECRET") && ran.stderr.contains("No such file"), "{ran:?}");
    assert!(look("").stdout.contains("SECRET"));
}

#[test]
fn a_mount_of_the_host_is_another_name() {
    need!(root);
    let dir = project("mounted");
    let look = "cat /p/other/key /p/conf/key; ls /p/other";
    is_hidden_beside_a_mount(&dir, "conf", "--hide /p/conf/key", look);
}

#[test]
fn a_file_with_two_names_is_warned_of() {
    need!(root);
    let dir = project("linked");
    fs::hard_link(dir.join(".env"), dir.join("src/copy")).unwrap();
    let ran = bound(Rustic::run(), &dir, "/p").opt(["--hide", "/p/.env", "true"]).ran();
    assert!(ran.stderr.contains("/p/.env is hidden, and its file has 2 names"), "{ran:?}");
}

#[test]
fn a_mount_of_a_part_of_what_is_hidden_is_another_name() {
    need!(root);
    let dir = project("part");
    fs::create_dir(dir.join("conf/sub")).unwrap();
    fs::write(dir.join("conf/sub/key"), "SECRET\n").unwrap();
    let look = "cat /p/other/key /p/conf/sub/key";
    is_hidden_beside_a_mount(&dir, "conf/sub", "--hide /p/conf", look);
}

#[test]
fn a_name_through_a_link_of_the_root_is_the_same_name() {
    need!(root);
    for run in both() {
        let (dir, root) = (project("linked-root"), tree("linked-root-of"));
        [&root, &root.join("etc")].into_iter().for_each(|dir| open_to_all(dir));
        ["p", "q"].iter().for_each(|target| fs::create_dir(root.join(target)).unwrap());
        symlink("/p", root.join("also")).unwrap();
        let run = run.opt(["--rootfs", root.to_str().unwrap()]);
        let run = bound(bound(run, &dir, "/p"), &dir, "/q");
        let print = ["payload", "print", "/q/conf/key"];
        assert!(run.clone().opt(print).ran().ok().contains("SECRET"));
        let hidden = run.opt(["--hide", "/also/conf/key"]).opt(print).ran();
        assert!(hidden.stdout.contains("No such file"), "{hidden:?}");
    }
}

#[test]
fn a_link_of_an_image_into_what_was_ordered_is_followed_or_refused() {
    need!(root);
    let dir = project("image-link");
    let image = scratch("image-link-of").join("image.tar");
    archive(&image, &[("also", "-> /p"), ("bin/", ""), ("p/", "")]);
    let bind = format!("{}:/payload", payload().display());
    let print = |run: Rustic| {
        let run = run.opt(["--rootfs", image.to_str().unwrap(), "--bind", &bind]);
        bound(run, &dir, "/p").opt(["--hide", "/also/.env", "/payload", "print", "/p/.env"]).ran()
    };
    let hidden = print(Rustic::run().store(&scratch("store")));
    assert!(hidden.stdout.contains("No such file"), "{hidden:?}");
    // Without a store, what it holds is not known when the plan is made.
    let unknown = print(Rustic::run().nobody());
    unknown.fails(125, &["a link leads to /p/.env: that path has to be named"]);
}

#[test]
fn nothing_is_mounted_over_what_hides() {
    need!(root);
    let (dir, root) = (project("over"), tree("over-of"));
    fs::create_dir(root.join("p")).unwrap();
    symlink("/p/conf", root.join("z")).unwrap();
    let run = Rustic::run().opt(["--rootfs", root.to_str().unwrap()]);
    let run = bound(run, &dir, "/p").opt(["--hide", "/z/key"]);
    let over = format!("{}:/p/conf/key", dir.join("src/main").display());
    let ran = run.opt(["--bind", &over, "payload", "true"]).ran();
    assert!(ran.stderr.contains("/p/conf/key, and would hide what was ordered"), "{ran:?}");
    assert_eq!(ran.code, 125);
}
