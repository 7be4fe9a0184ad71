//! Hidden paths: they stay hidden, whatever the host puts in their place.

use super::{ALL, Told, both, bound, open_to_all, project};
use crate::need;
use crate::support::{Rustic, archive, payload, scratch};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

#[test]
fn a_hidden_path_stays_hidden_while_the_host_replaces_renames_and_removes_it() {
    need!(root);
    for run in both() {
        for hidden in [true, false] {
            let dir = project("replaced");
            let run = bound(run.clone(), &dir, "/p");
            let run = if hidden {
                run.opt(["--hide", "/p/.env", "--hide", "/p/secret", "--hide", "/p/conf/key"])
            } else {
                run
            };
            let mut inside = Told::start(&run);
            let mut leaks = vec![inside.says(ALL)];
            let new = dir.join("new");
            fs::write(&new, "SECRET\n").unwrap();
            fs::rename(&new, dir.join(".env")).unwrap();
            leaks.push(inside.says("cat /p/.env"));
            fs::write(&new, "SECRET\n").unwrap();
            fs::rename(&new, dir.join("conf/key")).unwrap();
            leaks.push(inside.says("cat /p/conf/key"));
            // A directory that is renamed takes what hides it along.
            fs::rename(dir.join("secret"), dir.join("moved")).unwrap();
            leaks.push(inside.says("cat /p/moved/key /p/secret/key"));
            fs::rename(dir.join("moved"), dir.join("secret")).unwrap();
            fs::write(dir.join("secret/more"), "SECRET\n").unwrap();
            leaks.push(inside.says("cat /p/secret/more"));
            fs::remove_file(dir.join(".env")).unwrap();
            fs::write(dir.join(".env"), "SECRET\n").unwrap();
            leaks.push(inside.says("cat /p/.env"));
            for leak in &leaks {
                assert_eq!(leak.contains("SECRET"), !hidden, "{hidden} {leaks:?}");
            }
            // What is not hidden is written as ever.
            assert_eq!(inside.says("cat /p/src/main; echo more >>/p/src/main"), "plain\n");
            inside.end();
            assert_eq!(fs::read_to_string(dir.join("src/main")).unwrap(), "plain\nmore\n");
            assert_eq!(fs::read_to_string(dir.join("secret/key")).unwrap(), "SECRET\n");
        }
    }
}

#[test]
fn a_rebuilt_directory_shows_its_other_names_and_takes_no_new_ones() {
    need!(root);
    for run in both() {
        let dir = project("rebuilt");
        let run = bound(run, &dir, "/p").opt(["--hide", "/p/.env"]);
        let ran = run.sh("ls -A /p; touch /p/x; readlink /p/link; stat -c %a /p").ran();
        assert_eq!(ran.stdout, "conf\nlink\nsecret\nsrc\n.env\n777\n", "{ran:?}");
        assert!(ran.stderr.contains("warning: to hide /p/.env, /p shows the names"), "{ran:?}");
        assert!(ran.stderr.contains("Read-only file system"), "{ran:?}");
        assert!(!dir.join("x").exists());
    }
}

#[test]
fn a_link_that_leads_to_what_is_hidden_is_hidden_with_it() {
    need!(root);
    for run in both() {
        let dir = project("link");
        let mut inside = Told::start(&bound(run, &dir, "/p").opt(["--hide", "/p/link"]));
        assert!(!inside.says("cat /p/.env /p/link").contains("SECRET"));
        // The host could put the file itself in the place of the link.
        fs::rename(dir.join(".env"), dir.join("link")).unwrap();
        assert!(!inside.says("cat /p/link").contains("SECRET"));
        inside.end();
    }
}

#[test]
fn what_an_image_has_is_hidden_where_nothing_of_it_can_be_got_back() {
    need!(root);
    let image = scratch("image").join("image.tar");
    archive(
        &image,
        &[("etc/", ""), ("etc/key", "SECRET"), ("opt/", ""), ("opt/key", "SECRET"), ("bin/", "")],
    );
    for run in both() {
        for more in [&[][..], &["--read-only"], &["--caps", "chown,dac_override,fowner"]] {
            let run = run.clone().opt(["--rootfs", image.to_str().unwrap()]);
            let run = run.opt(more.iter().copied()).opt(["--hide", "/etc/key", "--hide", "/opt"]);
            let run = run.opt(["--bind".to_owned(), format!("{}:/payload", payload().display())]);
            let print = |path: &str| run.clone().opt(["/payload", "print", path]).ran().stdout;
            assert!(print("/etc/key").contains("No such file"), "{more:?}: {}", print("/etc/key"));
            assert!(print("/opt/key").contains("No such file"));
            let made = run.clone().opt(["/payload", "make", "/opt/key"]).ran();
            assert!(made.stdout.contains("Read-only"), "{made:?}");
        }
    }
}

#[test]
fn the_hosts_tree_is_seen_without_what_is_hidden() {
    need!(root);
    let home = project("home");
    let work = home.join("src");
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    for run in both() {
        fs::write(work.join("main"), "plain\n").unwrap();
        let run = run.opt(["--rootfs", "/", "--read-only=strict"]);
        let run = run.opt(["--bind", &format!("{0}:{0}", path(&work))]);
        let run = run.opt(["--hide", &path(&home.join("secret"))]);
        let run = run.opt(["--hide", &path(&home.join(".env"))]);
        let script = format!(
            "cd {0}; ls secret; cat .env; touch x; echo more >>src/main && tail -n 1 src/main",
            path(&home)
        );
        let ran = run.sh(&script).ran();
        assert_eq!(ran.stdout, "more\n", "{ran:?}");
        assert!(ran.stderr.contains("Read-only file system"), "{ran:?}");
    }
}

#[test]
fn a_directory_with_many_long_links_is_rebuilt() {
    need!(root);
    let dir = project("links");
    let long = "x".repeat(3000);
    (0..2000).for_each(|number| symlink(&long, dir.join(format!("link{number}"))).unwrap());
    let run = bound(Rustic::run(), &dir, "/p").opt(["--hide", "/p/.env"]);
    assert_eq!(run.sh("ls /p | grep -c link").ran().stdout, "2001\n");
}

#[test]
fn directories_that_are_rebuilt_in_one_another_are_read_only_together() {
    need!(root);
    for run in both() {
        let dir = project("nested");
        let run = bound(run, &dir, "/p").opt(["--hide", "/p/.env", "--hide", "/p/conf/key"]);
        let ran = run.sh("touch /p/x /p/conf/x; ls /p/conf; echo kept >/p/src/new").ran();
        assert_eq!((ran.code, &ran.stdout[..]), (0, ""), "{ran:?}");
        assert!(!dir.join("conf/x").exists() && !dir.join("x").exists());
        assert_eq!(fs::read_to_string(dir.join("src/new")).unwrap(), "kept\n");
    }
}

#[test]
fn a_file_in_the_root_of_a_callers_directory_cannot_be_hidden_and_in_a_copy_it_can() {
    need!(root);
    let root = crate::support::tree("top");
    [&root, &root.join("etc")].into_iter().for_each(|dir| open_to_all(dir));
    fs::write(root.join("key"), "SECRET").unwrap();
    for run in both() {
        let run = run.opt(["--rootfs", root.to_str().unwrap()]);
        let hidden =
            |run: &Rustic| run.clone().opt(["--hide", "/key", "payload", "print", "/key"]).ran();
        hidden(&run).fails(125, &["/key cannot be hidden", "--ephemeral"]);
    }
    let over = Rustic::run().opt(["--ephemeral", "--rootfs", root.to_str().unwrap()]);
    let print = ["payload", "print", "/key"];
    let open = over.clone().opt(print).ran().ok();
    assert!(open.contains("SECRET"), "{open}");
    let shut = over.opt(["--hide", "/key"]).opt(print).ran();
    assert!(shut.stdout.contains("No such file"), "{shut:?}");
}

#[test]
fn what_a_plain_user_could_undo_is_refused() {
    need!(root);
    let root = crate::support::tree("undo");
    open_to_all(&root);
    let run = Rustic::run().nobody().opt(["--caps", "sys_admin"]);
    let read_only = run.clone().opt(["--rootfs", root.to_str().unwrap(), "--read-only"]);
    for (run, words) in [
        (run.clone().opt(["--tmpfs", "/x:ro"]), "--tmpfs /x"),
        (run.clone().opt(["--hide", "/etc"]), "--hide /etc"),
        (run.opt(["--bind", "/usr:/x:ro"]), "--bind /x"),
        (read_only, "--read-only of"),
    ] {
        run.opt(["true"]).ran().fails(125, &[words, "CMD has CAP_SYS_ADMIN, and can undo it"]);
    }
}
