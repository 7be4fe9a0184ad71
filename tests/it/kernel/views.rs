//! Views of the host's kernel that lie below a directory.

use crate::need;
use crate::support::{binary, ended, shared, shell, tree};
use std::fs;

/// `rustic run -v --rootfs DIR` in a mount namespace where a script has mounted what it likes below
/// DIR, and the programs of the tests at DIR/surface: exit code, stdout, stderr.
fn below(prepare: &str, options: &[&str], cmd: &[&str]) -> (i32, String, String) {
    let root = tree("views");
    for dir in ["mnt/p", "mnt/s", "dev/.lxc/proc", "surface"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    let script = format!("{prepare} && mount --bind $SURFACE $ROOT/surface && exec \"$@\"");
    let mut command = shell(&["unshare", "--mount", "sh"], &script);
    command.arg("sh").arg(binary()).args(["run", "-v", "--rootfs"]).arg(&root);
    command.args(options).args(cmd).env("ROOT", &root).env("SURFACE", shared());
    let ran = ended(&mut command);
    (ran.code, ran.stdout, ran.stderr)
}

const PROC_AND_SYS: &str = "mount -t proc proc $ROOT/mnt/p && mount -t sysfs sysfs $ROOT/mnt/s";
const LIST: [&str; 4] = ["/surface/payload", "list", "/mnt/p", "/mnt/s"];

#[test]
fn views_of_the_hosts_kernel_below_a_directory_are_hidden_unless_bound_by_name() {
    need!(root);
    let (_, shown, said) = below(PROC_AND_SYS, &[], &LIST);
    assert_eq!(shown, "/mnt/p: 0\n/mnt/s: 0\n", "{said}");
    assert!(said.contains("root: /mnt/p is a view of the host's kernel, and hidden"), "{said}");
    // What lies over a view is no view.
    let covered = format!("{PROC_AND_SYS} && mount -t tmpfs t $ROOT/mnt/p && touch $ROOT/mnt/p/f");
    assert_eq!(below(&covered, &[], &LIST).1, "/mnt/p: 1\n/mnt/s: 0\n");
    // The control: ordered by name it is there.
    let (_, shown, said) = below(PROC_AND_SYS, &["--bind", "/proc:/mnt/p"], &LIST);
    let entries = shown.lines().next().and_then(|line| line.strip_prefix("/mnt/p: "));
    assert!(entries.and_then(|count| count.parse::<u32>().ok()) > Some(10), "{shown} {said}");
    assert!(shown.ends_with("/mnt/s: 0\n"), "{shown}");
    // Without mounts of its own a container has whatever is there, and that is said.
    let (_, shown, said) = below(PROC_AND_SYS, &["--mount", "no"], &LIST);
    assert!(!shown.contains(": 0"), "{shown}");
    assert!(said.contains("a door: /mnt/p is a view of the host's kernel"), "{said}");
}

#[test]
fn a_view_that_nobody_can_reach_gives_no_nested_namespace_a_fresh_one() {
    need!(root);
    let nested = |prepare: &str, options: &[&str]| {
        let (code, shown, said) = below(prepare, options, &["/surface/surface"]);
        let fresh = |line: &&str| line.starts_with("mount\tproc in a user namespace");
        let answer = shown.lines().find(fresh).and_then(|line| line.rsplit('\t').next());
        (code, answer.unwrap_or_default().to_owned(), said)
    };
    // Below the host's /dev, over which rustic's own is mounted, as LXC has it.
    let prepare = "mount -t proc proc $ROOT/dev/.lxc/proc";
    let (code, answer, said) = nested(prepare, &["--nest", "yes"]);
    assert_eq!((code, answer.as_str()), (0, "EPERM"), "{said}");
    let (_, answer, said) = nested(prepare, &["--nest", "yes", "--proc", "open"]);
    assert_eq!(answer, "open", "the control: {said}");
    // Under another mount it cannot be masked: refused where it would matter.
    let buried = "mount -t proc proc $ROOT/mnt/p && mount -t tmpfs t $ROOT/mnt";
    let (code, _, said) = nested(buried, &["--nest", "yes"]);
    assert!(code == 125 && said.contains("lies under another mount"), "{code} {said}");
    assert_eq!(nested(buried, &[]).0, 0);
}
