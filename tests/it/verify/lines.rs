//! What is printed for people can be read everywhere: 80 columns, and no more than ASCII where that
//! is asked for.

use crate::judged::verify;
use crate::need;

#[test]
fn no_line_is_wider_than_eighty_columns() {
    need!(root);
    for options in [
        &[][..],
        &["--flip"],
        &["--why", "ipc,root,kernel"],
        &["--seccomp", "none", "--nest", "yes", "--caps", "all", "--bind", "/:/host"],
    ] {
        let run = verify().opt(options.iter().copied());
        for (locale, ascii) in [("C.UTF-8", false), ("C", true)] {
            let ran = run.clone().env("LC_ALL", locale).ran();
            let wide: Vec<&str> =
                ran.stdout.lines().filter(|line| line.chars().count() > 80).collect();
            assert_eq!(wide, Vec::<&str>::new(), "{options:?}");
            assert!(ran.stdout.lines().count() > 5, "{ran:?}");
            assert!(!ascii || ran.stdout.is_ascii(), "{options:?}: {}", ran.stdout);
        }
    }
    let leaks = verify().opt(["--only", "fds"]).env("RUSTIC_LEAK", "descriptor").ran();
    assert!(leaks.stdout.contains("LEAKED") && leaks.code == 1, "{leaks:?}");
    assert!(leaks.stdout.lines().all(|line| line.chars().count() <= 80), "{}", leaks.stdout);
}
