//! What a test may expect of the machine, and how long it waits for it.

use std::time::{Duration, Instant};

/// The plain user of the tests.
pub(crate) const NOBODY: u32 = 65534;

/// Longer than anything takes on a busy machine; polls end as soon as what they wait for is there.
pub(crate) const CEILING: Duration = Duration::from_secs(60);

/// Says why a test is skipped. Where everything is needed, as in CI, a skip is a failure.
#[macro_export]
macro_rules! need {
    (root) => {
        $crate::need!(
            rustix::process::geteuid().is_root(),
            "it starts containers as root and as nobody, and this is not root"
        );
    };
    ($condition:expr, $reason:expr) => {
        if !$condition {
            assert!(
                std::env::var_os("RUSTIC_NEED").is_none_or(|need| need != "all"),
                "needed, and cannot run: {}",
                $reason
            );
            eprintln!("skipped: {}", $reason);
            return;
        }
    };
}

/// Polls until it is true.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let since = Instant::now();
    while !condition() {
        assert!(since.elapsed() < CEILING, "waited {CEILING:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
