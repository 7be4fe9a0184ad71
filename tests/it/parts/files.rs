//! A project that is bound again and again, with a hidden file, a hidden directory and mounts on
//! what is not there: it stays byte for byte what it was.

use crate::files::{made::everything, open_to_all};
use crate::need;
use crate::support::{Rustic, ended, eventually, finish, scratch, shell};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A git repository with a file and a directory that are nobody's business.
fn project() -> PathBuf {
    let dir = scratch("project");
    open_to_all(&dir);
    let script = format!(
        "cd {} && git init -q . && mkdir private src && echo SECRET >.env && echo SECRET \
         >private/key && echo code >src/main && git -c user.name=x -c user.email=x add -A && git -c \
         user.name=x -c user.email=x commit -qm first && git gc -q",
        dir.display()
    );
    let ran = ended(&mut shell(&["sh"], &script));
    assert_eq!(ran.code, 0, "{ran:?}");
    dir
}

/// Names, modes, owners, and a digest of every content.
fn state(dir: &Path) -> (String, String) {
    let script = format!(
        "cd {} && find . -type f -printf '%T@ ' -exec sha256sum {{}} \\; | sort",
        dir.display()
    );
    let names: Vec<String> = everything(dir).into_iter().collect();
    (names.join("\n"), ended(&mut shell(&["sh"], &script)).stdout)
}

/// A run in the project, which sees neither secret, and writes where something was mounted.
fn run(dir: &Path) -> Rustic {
    let bind = format!("{}:/p", dir.display());
    let run = Rustic::run().opt(["--bind", &bind, "--hide", "/p/.env", "--hide", "/p/private"]);
    run.opt(["--tmpfs", "/p/src/build", "--bind", "/etc/passwd:/p/src/new/passwd"]).sh(
        "test ! -e /p/.env && test -z \"$(ls -A /p/private)\" && test -s /p/src/new/passwd && echo x \
         >/p/src/build/x && grep -q ' /p/src/build ' /proc/self/mountinfo && echo ok && test -s /p/src/main",
    )
}

#[test]
fn a_project_is_what_it_was_after_a_thousand_runs() {
    need!(root);
    let dir = project();
    let before = state(&dir);
    assert!(before.1.contains("./.env"), "{before:?}");
    for _ in 0..1_000 {
        let ran = run(&dir).ran();
        assert_eq!((ran.code, ran.stdout.as_str()), (0, "ok\n"), "{ran:?}");
    }
    assert_eq!(state(&dir), before);
}

#[test]
fn a_project_is_what_it_was_after_fifty_kills() {
    need!(root);
    let dir = project();
    let before = state(&dir);
    for number in 0..50 {
        let mut child = run(&dir).started();
        std::thread::sleep(Duration::from_micros(number * 700));
        child.kill().unwrap();
        let _ = finish(child);
        eventually("nothing is left", || !dir.join("src/build").exists());
        eventually("nothing is left", || !dir.join("src/new").exists());
    }
    eventually("it is what it was", || state(&dir) == before);
}

#[test]
fn a_project_is_what_it_was_after_two_hundred_pairs_of_runs() {
    need!(root);
    let dir = project();
    let before = state(&dir);
    for number in 0..200 {
        let one = run(&dir).started();
        std::thread::sleep(Duration::from_micros(number * 100));
        let other = run(&dir).started();
        for child in [one, other] {
            let ran = finish(child);
            assert_eq!((ran.code, ran.stdout.as_str()), (0, "ok\n"), "{ran:?}");
        }
        assert!(!dir.join("src/build").exists() && !dir.join("src/new").exists());
    }
    assert_eq!(state(&dir), before);
}
