//! What is told of a start comes before what CMD says.

use crate::need;
use crate::support::{Rustic, tree};
use std::fs;

/// With -v and --explain CMD's own words come behind the last one about its start, whatever the
/// queue does.
#[test]
fn cmd_speaks_after_the_last_word_about_its_start() {
    need!(root);
    for options in [
        &["-v", "--ipc", "no"][..],
        &["-v", "--ipc", "yes"],
        &["-v", "--ready", "none"],
        &["-v", "--init"],
        &["-v", "--user", "yes"],
        &["--explain", "--ipc", "no"],
        &["--explain", "--ipc", "yes"],
        &["--explain", "--init", "--user", "yes"],
    ] {
        for _ in 0..10 {
            let ran = Rustic::run().opt(options.iter().copied()).sh("echo CMD speaks >&2").ran();
            let (before, after) = ran.stderr.split_once("CMD speaks\n").unwrap();
            assert!(
                before.contains(if options[0] == "-v" { "as ordered" } else { "execve(sh" })
                    && ran.code == 0,
                "{options:?}: {ran:?}"
            );
            let after: Vec<&str> = after.lines().collect();
            let end = ["Parent: the child has ended with 0"];
            let end = if options[0] == "-v" { &end[..] } else { &[] };
            assert_eq!(after, end, "{options:?}: {ran:?}");
        }
    }
    // A CMD that cannot be run is told of in the same place, and nothing hangs.
    let root = tree("words");
    fs::write(root.join("broken"), "#!/nothing\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(root.join("broken"), mode).unwrap();
    let run = Rustic::run().opt(["-v", "--rootfs", root.to_str().unwrap(), "/broken"]);
    assert_eq!(run.ran().code, 126);
}
