//! Hidden paths: they stay hidden, whatever the host puts in their place.

use super::{Told, both, open_to_all};
use crate::need;
use crate::support::{Rustic, archive, ended, payload, scratch, shell};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A project with a secret file and a secret directory.
fn project(name: &str) -> PathBuf {
    let dir = scratch(name);
    for sub in ["secret", "src", "conf"] {
        fs::create_dir(dir.join(sub)).unwrap();
        open_to_all(&dir.join(sub));
    }
    open_to_all(&dir);
    fs::write(dir.join(".env"), "SECRET\n").unwrap();
    fs::write(dir.join("conf/key"), "SECRET\n").unwrap();
    fs::write(dir.join("secret/key"), "SECRET\n").unwrap();
    fs::write(dir.join("src/main"), "plain\n").unwrap();
    open_to_all(&dir.join("src/main"));
    symlink(".env", dir.join("link")).unwrap();
    dir
}

fn bound(run: Rustic, dir: &Path, target: &str) -> Rustic {
    run.opt(["--bind".to_owned(), format!("{}:{target}", dir.display())])
}

const ALL: &str =
    "cat /p/.env /p/link /p/secret/* /p/conf/key /q/.env /q/secret/key 2>&1 | sort -u";

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
        let over = |run: &Rustic| bound(run.clone(), &dir, "/p").opt(["--overlay", &over]);
        assert!(leaks(&over(&run)));
        assert!(!leaks(&over(&run).opt(hides)));
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

#[test]
fn a_mount_of_the_host_is_another_name() {
    need!(root);
    let dir = project("mounted");
    let script = format!(
        "mkdir -p {dir}/other && mount --bind {dir}/conf {dir}/other && exec \"$RUSTIC\" run --bind \
         {dir}:/p --hide /p/conf/key sh -c 'cat /p/other/key /p/conf/key; ls /p/other'",
        dir = dir.display()
    );
    let ran = ended(&mut shell(&["unshare", "--mount", "sh"], &script));
    assert!(!ran.stdout.contains("SECRET") && ran.stderr.contains("No such file"), "{ran:?}");
    let open = script.replace("--hide /p/conf/key", "");
    assert!(ended(&mut shell(&["unshare", "--mount", "sh"], &open)).stdout.contains("SECRET"));
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
