//! The binary that is shipped: the same code as the tested one, without what tests order of it.

use crate::need;
use crate::support::{Rustic, binary, finish, piped, scratch, shell};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// The environment variables of the switches.
const SWITCHES: [&str; 4] =
    ["RUSTIC_FAIL_CONTROL", "RUSTIC_FAIL_STEP", "RUSTIC_LEAK", "RUSTIC_QUEUE_NAME"];

fn shipped() -> Option<PathBuf> {
    std::env::var_os("RUSTIC_SHIPPED").map(PathBuf::from)
}

/// The switches whose names a binary has in it.
fn named_in(binary: &[u8]) -> Vec<&'static str> {
    let has = |word: &str| binary.windows(word.len()).any(|window| window == word.as_bytes());
    SWITCHES.into_iter().filter(|switch| has(switch)).collect()
}

#[test]
fn the_shipped_binary_has_no_switch_of_the_tests() {
    need!(root);
    need!(shipped().is_some(), "RUSTIC_SHIPPED names no shipped binary: scripts/test builds it");
    let bytes = fs::read(shipped().unwrap()).unwrap();
    assert_eq!(named_in(&bytes), Vec::<&str>::new());
    assert_eq!(named_in(&fs::read(binary()).unwrap()), SWITCHES);

    let own = scratch("shipped").join("rustic");
    fs::write(&own, bytes).unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o755)).unwrap();
    let failing = Rustic::run().env("RUSTIC_FAIL_STEP", "Pivot:1").opt(["true"]);
    failing.ran().fails(125, &["cannot pivot"]);
    let mut shell = shell(&["sh"], &format!("exec {} run sh -c 'echo is whole'", own.display()));
    let ran = finish(piped(shell.env("RUSTIC_FAIL_STEP", "Pivot:1")));
    assert_eq!((ran.code, ran.stdout.trim()), (0, "is whole"), "{ran:?}");
}
