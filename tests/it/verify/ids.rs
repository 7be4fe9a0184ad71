//! The wall of ids: tried on what belongs to the outside's root, and only where there is one.

use crate::judged::{probes, report, verify, walls};
use crate::need;

const OF_FILES: [&str; 3] = ["RV-USR-02", "RV-USR-06", "RV-USR-07"];
const OF_PROCESSES: [&str; 2] = ["RV-USR-08", "RV-USR-09"];

#[test]
fn what_belongs_to_the_outsides_root_is_held_where_ids_are_others() {
    need!(root);
    for (options, of_files, of_processes) in [
        (&["--user", "yes"][..], "held", "untried"),
        (&["--user", "yes", "--pid", "no"], "held", "held"),
        (&["--user", "yes", "--pid", "no", "--uid", "33", "--gid", "33"], "held", "held"),
        (&["--user", "yes", "--caps", "all"], "held", "untried"),
        // The control: without the wall each of them crosses.
        (&["--pid", "no"], "shared", "shared"),
        (&[], "shared", "untried"),
        (&["--user", "yes", "--mount", "no"], "held", "untried"),
        // Another id without the wall.
        (&["--pid", "no", "--uid", "1000"], "untried", "untried"),
    ] {
        let (code, report) = report(verify().opt(["--only", "user"]).opt(options.iter().copied()));
        assert_eq!(code, 0, "{options:?} {report:#}");
        let found = probes(walls(&report)["user"]);
        for (ids, expected) in [(&OF_FILES[..], of_files), (&OF_PROCESSES, of_processes)] {
            for id in ids {
                assert_eq!(found[*id].0, expected, "{options:?} {id}");
            }
        }
    }
}

#[test]
fn a_plain_users_zero_is_himself() {
    need!(root);
    let (code, report) = report(verify().nobody().opt(["--only", "user"]));
    assert_eq!(code, 0, "{report:#}");
    let found = probes(walls(&report)["user"]);
    for id in OF_FILES {
        assert_eq!(found[id].0, "untried", "{id}");
    }
}
