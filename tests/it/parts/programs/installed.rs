//! What scripts/install has installed, in a system that has man and bash-completion.

use super::{is_there, run};
use crate::need;
use crate::support::{CEILING, Ran, finish_within, piped, roomy, shell};

#[test]
fn man_and_completion_work_in_a_fresh_system() {
    need!(root);
    need!(is_there(), "RUSTIC_PROGRAMS_ROOT names no root: scripts/test --programs makes one");
    let prefix = roomy("installed");
    let script =
        format!("PREFIX={} {}/scripts/install", prefix.display(), env!("CARGO_MANIFEST_DIR"));
    let mut child = piped(&mut shell(&["bash"], &script));
    drop(child.stdin.take());
    let installed = finish_within(child, 5 * CEILING).unwrap();
    assert_eq!(installed.code, 0, "{installed:?}");
    let bind = format!("{}:/usr/local", prefix.display());
    let inside = |script: &str| -> Ran { run(&["--bind", &bind, "--tmpfs", "/repo"], script) };
    // Without the binds of what was installed there is neither.
    assert_ne!(run(&[], "man -w rustic || command -v rustic").code, 0);

    let page = inside("MANWIDTH=80 man --pager=cat rustic-run; man -w rustic rustic-verify");
    assert_eq!(page.code, 0, "{page:?}");
    for words in ["RUSTIC-RUN(1)", "--ipc <yes|no|PATH>", "SEE ALSO", "man1/rustic-verify.1"] {
        assert!(page.stdout.contains(words), "{words}: {page:?}");
    }
    let widest = page.stdout.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(100), "{widest:?}");

    let completed = |words: &str| {
        let script = format!(
            "bash -c '. /usr/share/bash-completion/bash_completion; _completion_loader rustic; \
             COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _rustic rustic \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; \
             echo \"${{COMPREPLY[@]}}\"'"
        );
        let ran = inside(&script);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.stdout.trim_end().to_owned()
    };
    assert_eq!(completed("rustic ver"), "verify");
    assert_eq!(completed("rustic run --ip"), "--ipc");
    assert_eq!(completed("rustic run --ipc \"\""), "yes no");
    assert_eq!(completed("rustic rootfs ren"), "rename");
}
