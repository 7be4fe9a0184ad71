//! Under which name it is called and installed: another program is called rustic too.

use crate::need;
use crate::support::{CEILING, Ran, binary, ended, finish_within, piped, scratch, shell};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

fn install(prefix: &Path, path: Option<&Path>, words: &str) -> Ran {
    let path = path.map_or_else(String::new, |path| format!("{}:", path.display()));
    let script = format!(
        "PREFIX={} PATH={path}$PATH {}/scripts/install {words}",
        prefix.display(),
        env!("CARGO_MANIFEST_DIR")
    );
    // It builds what is shipped where that is old.
    let mut child = piped(&mut shell(&["bash"], &script));
    drop(child.stdin.take());
    finish_within(child, 5 * CEILING).unwrap_or_else(|so_far| panic!("{so_far:?}"))
}

#[test]
fn help_and_errors_use_the_name_that_it_was_called_by() {
    let link = scratch("named").join("box");
    symlink(binary(), &link).unwrap();
    let said = |words: &str| {
        let ran = ended(&mut shell(&["sh"], &format!("{} {words}", link.display())));
        format!("{}{}", ran.stdout, ran.stderr)
    };
    for (words, expected) in [
        ("", "sudo box run --ipc no sh"),
        ("help run", "Usage: box run"),
        ("verify --help", "sudo box verify --ipc no"),
        ("run --nonsense", "Usage: box run"),
        ("rootfs rm nothing --store /nowhere", "box: no image"),
        ("rootfs rm nothing --store /nowhere", "box rootfs list"),
        ("run --hostname 'a b' sh", "box: --hostname"),
        ("backup", "try   box help"),
        ("completions bash", "complete -F _box"),
    ] {
        let said = said(words);
        assert!(said.contains(expected), "{words}: {said}");
        // What stays says which program it is.
        let commands = ["rustic run", "rustic verify", "rustic rootfs", "rustic help"];
        assert!(!commands.iter().any(|command| said.contains(command)), "{words}: {said}");
    }
    assert!(said("run --hostname 'a b' sh").starts_with("box: "));
}

#[test]
fn it_is_installed_with_its_pages_and_completions_under_any_name() {
    need!(root);
    for (words, name) in [("", "rustic"), ("--as rustic-box", "rustic-box")] {
        let prefix = scratch("prefix");
        let ran = install(&prefix, None, words);
        assert_eq!(ran.code, 0, "{ran:?}");
        let text = |path: String| fs::read_to_string(prefix.join(path)).unwrap();
        let run = ended(&mut shell(&["sh"], &format!("{}/bin/{name} run true", prefix.display())));
        assert_eq!(run.code, 0, "{run:?}");
        for page in ["", "-run", "-verify", "-rootfs", "-rootfs-import"] {
            let page = text(format!("share/man/man1/{name}{page}.1"));
            assert!(page.contains(".SH NAME") && page.contains("SEE ALSO"), "{page}");
        }
        assert!(text(format!("share/man/man1/{name}-run.1")).contains("\\-\\-ipc"));
        let page = text(format!("share/man/man1/{name}.1")).replace("\\-", "-");
        assert!(page.contains(&format!("sudo {name} run sh")), "{page}");
        assert!(text(format!("share/bash-completion/completions/{name}")).contains("--ipc"));
        assert!(text(format!("share/zsh/site-functions/_{name}")).contains(name));
        assert!(text(format!("share/fish/vendor_completions.d/{name}.fish")).contains(name));
        // Once more over itself.
        assert_eq!(install(&prefix, None, words).code, 0);
    }
}

#[test]
fn another_program_of_this_name_is_neither_overwritten_nor_hidden() {
    need!(root);
    let (prefix, elsewhere) = (scratch("prefix"), scratch("elsewhere"));
    let program = |path: &Path| {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "#!/bin/sh\necho backups\n").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    program(&elsewhere.join("rustic"));
    let refused = |ran: Ran, path: &Path| {
        assert!(ran.code == 1 && ran.stderr.contains("--as NAME"), "{ran:?}");
        assert!(ran.stderr.contains(path.to_str().unwrap()), "{ran:?}");
    };
    refused(install(&prefix, Some(&elsewhere), ""), &elsewhere.join("rustic"));
    assert!(fs::read_dir(&prefix).unwrap().next().is_none(), "nothing was installed");
    program(&prefix.join("bin/rustic"));
    refused(install(&prefix, None, ""), &prefix.join("bin/rustic"));
    let kept = fs::read_to_string(prefix.join("bin/rustic")).unwrap();
    assert!(kept.contains("backups"));
    assert_eq!(install(&prefix, Some(&elsewhere), "--as box").code, 0);
    assert!(prefix.join("bin/box").exists());
    // Pages and completions of another one neither.
    for place in ["share/man/man1/rustic.1", "share/zsh/site-functions/_rustic"] {
        let (prefix, theirs) = (scratch("prefix"), "theirs");
        fs::create_dir_all(prefix.join(place).parent().unwrap()).unwrap();
        fs::write(prefix.join(place), theirs).unwrap();
        refused(install(&prefix, None, ""), &prefix.join(place));
        assert!(fs::read_to_string(prefix.join(place)).unwrap() == theirs);
        assert!(!prefix.join("bin").exists());
    }
    for words in ["--as", "--as .x", "--as ..", "--as ''", "--as a/b", "--as -x", "--bs x", "x"] {
        assert_eq!(install(&prefix, None, words).code, 2, "{words}");
    }
}
