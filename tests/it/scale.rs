//! Many at once.

use crate::need;
use crate::support::{Rustic, eventually, finish, marker, processes};

#[test]
fn two_hundred_at_once_all_start_all_become_ready_and_leave_nothing() {
    need!(root);
    for (ipc, word) in
        [("yes", "lives in another IPC namespace"), ("no", "received READY from child")]
    {
        let mark = marker();
        let runs: Vec<_> = (0..200)
            .map(|_| {
                Rustic::run().opt(["-v"]).ns("ipc", ipc).sh(&format!("sleep 5; : {mark}")).started()
            })
            .collect();
        for run in runs {
            let ran = finish(run);
            assert_eq!(ran.code, 0, "{ran:?}");
            assert!(ran.stderr.contains(word), "{ran:?}");
        }
        eventually("nothing is left", || processes(&mark).is_empty());
    }
}
