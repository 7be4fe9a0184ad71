//! What is made in a directory of the caller's, and taken away again.

use super::{Told, both, open_to_all, up};
use crate::need;
use crate::support::{Rustic, children_of, end, ended, eventually, finish, host, scratch, tree};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

/// Everything below a directory: what would be another after something was left or taken away.
pub(crate) fn everything(dir: &Path) -> BTreeSet<String> {
    // What vanishes while it is looked at is not there.
    let mut find = Command::new("find");
    let list = ended(find.arg(dir).args(["-printf", "%P %y %m %U %G %s %l\\n"])).stdout;
    list.lines().map(str::to_owned).collect()
}

/// A directory root that lacks every mount target.
fn bare(name: &str) -> PathBuf {
    let root = tree(name);
    for dir in ["dev", "etc", "proc", "sys", "tmp"] {
        fs::remove_dir(root.join(dir)).unwrap();
    }
    open_to_all(&root);
    root
}

/// Waits until CMD runs; the warden.
fn running(child: &Child) -> i32 {
    let cmd = || Some(*children_of(*children_of(child.id()).first()?).first()?);
    let line = |pid: u32| fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    eventually("it runs", || cmd().is_some_and(|pid| line(pid).starts_with(b"payload")));
    children_of(child.id())[0] as i32
}

fn in_bare(run: &Rustic, root: &Path) -> Rustic {
    run.clone().opt(["--rootfs", root.to_str().unwrap(), "--tmpfs", "/mnt/deep/er"])
}

#[test]
fn nothing_is_left_in_a_directory_however_the_run_ends() {
    need!(root);
    for run in both() {
        let root = bare("left");
        let before = everything(&root);
        let run = in_bare(&run, &root);
        let run = run.opt(["--bind", "/etc/passwd:/new/file"]);
        run.clone().opt(["payload", "true"]).ran().ok();
        assert_eq!(everything(&root), before);
        // A failure after the targets were made, and a killed parent.
        assert_eq!(run.clone().opt(["/new/file"]).ran().code, 126);
        assert_eq!(everything(&root), before);
        let child = run.opt(["payload", "sigwait"]).started();
        running(&child);
        end(child);
        eventually("everything is taken away", || everything(&root) == before);
    }
}

#[test]
fn what_the_warden_leaves_behind_the_parent_takes_away() {
    need!(root);
    let root = bare("warden");
    let before = everything(&root);
    let child = in_bare(&Rustic::run(), &root).opt(["payload", "sigwait"]).started();
    let warden = running(&child);
    kill_process(Pid::from_raw(warden).unwrap(), Signal::KILL).unwrap();
    let ran = finish(child);
    assert!(ran.stderr.contains("the warden was killed"), "{ran:?}");
    assert_eq!(everything(&root), before);
}

#[test]
fn what_was_there_stays_and_so_does_what_others_have_put_there() {
    need!(root);
    let root = bare("stays");
    fs::create_dir(root.join("proc")).unwrap();
    let proc = fs::metadata(root.join("proc")).unwrap();
    let run = in_bare(&Rustic::run(), &root).opt(["payload", "sigwait"]);
    let child = run.started();
    running(&child);
    fs::write(root.join("mnt/deep/mine"), "mine").unwrap();
    end(child);
    eventually("it is taken away", || !root.join("etc").exists());
    assert_eq!(fs::metadata(root.join("proc")).unwrap().ino(), proc.ino());
    assert_eq!(fs::read_to_string(root.join("mnt/deep/mine")).unwrap(), "mine");
}

#[test]
fn two_runs_at_once_lose_no_mount_and_the_last_one_takes_away() {
    need!(root);
    for run in both() {
        let root = scratch("two");
        open_to_all(&root);
        let before = everything(&root);
        let bind = format!("{}:/p", root.display());
        let run = run.opt(["--bind", &bind, "--tmpfs", "/p/build"]);
        let look = "grep -c ' /p/build ' /proc/self/mountinfo; echo x >/p/build/x; ls /p/build";
        let mut first = Told::start(&run);
        let mut second = Told::start(&run);
        assert_eq!(first.says(look), "1\nx\n");
        first.end();
        assert_eq!(second.says(look), "1\nx\n");
        // A third one comes while the second is there, and goes by SIGKILL.
        let third = Told::start(&run);
        let pid = third.pid();
        third.kill();
        eventually("it is gone", || !Path::new(&format!("/proc/{pid}")).exists());
        assert_eq!(second.says(look), "1\nx\n");
        assert!(root.join("build").is_dir());
        second.end();
        assert_eq!(everything(&root), before);
    }
}

#[test]
fn what_runs_that_were_killed_have_left_the_next_one_takes_away() {
    need!(root);
    let root = scratch("killed");
    let bind = format!("{}:/p", root.display());
    let run = Rustic::run().opt(["--bind", &bind, "--tmpfs", "/p/build"]).sh("echo up; read x");
    let child = up(&run);
    // Everything of it, at once: nobody is left who could take it away.
    let warden = host("ps", ["--ppid", &child.id().to_string(), "-o", "pid="]);
    let pids = [warden.trim().parse().unwrap(), child.id() as i32];
    for pid in pids {
        kill_process(Pid::from_raw(pid).unwrap(), Signal::STOP).unwrap();
    }
    for pid in pids {
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    }
    let _ = finish(child);
    assert!(root.join("build").is_dir());
    let again = Rustic::run().opt(["--bind", &bind, "--tmpfs", "/p/build", "true"]);
    again.ran().ok();
    assert!(!root.join("build").exists());
}

#[test]
fn as_root_it_is_made_with_the_rights_of_the_directorys_owner() {
    need!(root);
    let root = scratch("owner");
    std::os::unix::fs::chown(&root, Some(65534), Some(65534)).unwrap();
    let bind = format!("{}:/p", root.display());
    let run = Rustic::run().opt(["--bind", &bind, "--tmpfs", "/p/build"]);
    let inside = Told::start(&run);
    let made = fs::metadata(root.join("build")).unwrap();
    assert_eq!((made.uid(), made.gid()), (65534, 65534));
    inside.end();
    // What he may not write, root does not write for him.
    fs::set_permissions(&root, std::os::unix::fs::PermissionsExt::from_mode(0o555)).unwrap();
    let ran = run.opt(["true"]).ran();
    ran.fails(125, &["/p/build", "is missing, and cannot be made", "make /p/build there"]);
}

#[test]
fn a_command_that_is_not_there_makes_nothing() {
    need!(root);
    for run in both() {
        let root = bare("nothing");
        // Who looks sees it made: a directory's time of change is another then.
        let changed = || fs::metadata(&root).map(|stat| (stat.mtime(), stat.mtime_nsec())).unwrap();
        let before = changed();
        let run = in_bare(&run, &root);
        run.clone().opt(["nothing-of-the-kind"]).ran().fails(127, &["not found inside"]);
        run.clone().opt(["/nothing/of/the/kind"]).ran().fails(127, &["not found inside"]);
        run.clone().opt([""]).ran().fails(127, &["not found inside"]);
        assert_eq!(changed(), before);
        // What a bind will show is there.
        let payload = crate::support::payload();
        let bind = format!("{}:/new/place/tool", payload.display());
        run.clone().opt(["--bind", &bind, "/new/place/tool", "true"]).ran().ok();
        let dir = format!("{}:/new/place", payload.parent().unwrap().display());
        run.clone().opt(["--bind", &dir, "/new/place/payload", "true"]).ran().ok();
        // Behind a link to what is still to be made, too.
        std::os::unix::fs::symlink("new/place", root.join("later")).unwrap();
        run.opt(["--bind", &dir, "/later/payload", "true"]).ran().ok();
    }
}

#[test]
fn a_directory_that_is_no_root_is_named_and_unchanged() {
    need!(root);
    let dir = scratch("no-root");
    let says = |words: &[&str]| {
        let before = everything(&dir);
        let ran = Rustic::run().opt(["--rootfs", dir.to_str().unwrap(), "true"]).ran();
        ran.fails(127, words);
        assert_eq!(everything(&dir), before);
    };
    says(&["true: not found inside", "neither bin nor usr/bin"]);
    fs::create_dir_all(dir.join("rootfs/usr/bin")).unwrap();
    says(&["is no root file system", "--rootfs", "/rootfs"]);
}

#[test]
fn the_files_of_etc_can_be_replaced_in_an_image_and_the_cause_is_said_in_a_directory() {
    need!(root);
    for run in both() {
        let script = "sed -i s/localhost/here/ /etc/hosts && grep -c here /etc/hosts && rm \
            /etc/resolv.conf && mv /etc/hostname /etc/x && ls /etc";
        let out = run.sh(script).ran().ok();
        assert!(out.starts_with("2\n") && !out.contains("resolv.conf"), "{out}");
    }
    let root = tree("etc");
    let ran =
        Rustic::run().opt(["-v", "--rootfs", root.to_str().unwrap(), "payload", "true"]).ran();
    assert!(ran.stderr.contains("etc: hosts, hostname and resolv.conf lie over"), "{ran:?}");
}
