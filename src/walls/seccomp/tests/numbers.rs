//! The table of numbers beside libseccomp's.

use super::super::arch::Arch;
use super::super::calls::Syscall;

#[test]
#[allow(clippy::print_stderr, reason = "a test says why it is skipped")]
fn numbers_are_those_of_libseccomp() {
    let Ok(version) = std::process::Command::new("scmp_sys_resolver").arg("-h").output() else {
        assert!(
            std::env::var_os("RUSTIC_NEED").is_none_or(|need| need != "all"),
            "needed: scmp_sys_resolver of the package seccomp"
        );
        eprintln!("skipped: scmp_sys_resolver of the package seccomp is missing");
        return;
    };
    drop(version);
    let mut compared = 0;
    for (arch, theirs) in Arch::ALL.into_iter().zip(["x86_64", "x86", "x32", "aarch64", "arm"]) {
        for call in Syscall::all() {
            let name = call.name();
            let output = std::process::Command::new("scmp_sys_resolver")
                .args(["-a", theirs, name])
                .output()
                .unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            // It does not know the newest calls, and says -1; a call that the architecture lacks
            // has a negative number of its own.
            let Some(number) = text.trim().parse::<i64>().ok().filter(|&number| number >= 0) else {
                continue;
            };
            assert_eq!(arch.number(call).map(i64::from), Some(number), "{theirs} {name}");
            compared += 1;
        }
    }
    assert!(compared > 1500, "only {compared} numbers were compared");
}
