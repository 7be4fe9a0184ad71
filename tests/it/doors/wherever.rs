//! verify by callers of every kind: the verdicts are the same, and a report that is lost is none.

use crate::judged::{json, report, verdicts, verify, walls};
use crate::need;
use crate::support::{Ran, ended, shell};
use std::collections::BTreeMap;

/// verify by a shell script, with the binary as `$RUSTIC`.
fn bash(script: &str) -> Ran {
    ended(&mut shell(&["bash"], script))
}

#[test]
fn a_report_that_cannot_be_written_is_none() {
    need!(root);
    let closed = bash("\"$RUSTIC\" verify --only uts >&-");
    assert!(closed.code == 125 && closed.stderr.contains("stdout: it is closed"), "{closed:?}");
    assert_eq!(bash("\"$RUSTIC\" verify --only uts >/dev/full").code, 125);
    // The control, and a reader.
    assert_eq!(bash("\"$RUSTIC\" verify --only uts >/dev/null").code, 0);
    let piped = bash("set -o pipefail; \"$RUSTIC\" verify </dev/null | cat");
    assert!(piped.code == 0 && piped.stdout.contains("Every wall is as ordered."), "{piped:?}");
}

#[test]
fn the_verdicts_are_the_same_wherever_it_is_called() {
    need!(root);
    let plain = verdicts(&report(verify()).1)
        .into_iter()
        .map(|(wall, verdict)| (wall.to_owned(), verdict.to_owned()))
        .collect::<BTreeMap<String, String>>();
    let busy = "for n in 1 2 3; do (while :; do :; done) & done; trap 'kill $(jobs -p)' EXIT; \
        nice -n 19 \"$RUSTIC\" verify --json";
    for (script, codes) in [
        ("ulimit -n 64; exec \"$RUSTIC\" verify --json", [0, 0]),
        ("exec \"$RUSTIC\" verify --json <&- 2>&-", [0, 0]),
        (busy, [0, 0]),
        ("exec unshare -pfm --mount-proc \"$RUSTIC\" verify --json", [0, 0]),
        // Without the host's devices and cgroups some of it cannot be tried.
        (
            "exec bwrap --ro-bind / / --tmpfs /tmp --unshare-all --proc /proc --dev /dev \
                --bind \"${RUSTIC%/*}\" \"${RUSTIC%/*}\" \"$RUSTIC\" verify --json",
            [0, 3],
        ),
    ] {
        let ran = bash(script);
        let report = json(&ran);
        assert!(codes.contains(&ran.code), "{script}: {} {}", ran.code, report["summary"]);
        for (wall, found) in walls(&report) {
            match found["verdict"].as_str().unwrap() {
                "unknown" => {
                    assert_eq!(ran.code, 3, "{script}: {found:#}");
                    assert!(!found["because"].as_str().unwrap().is_empty(), "{found:#}");
                }
                verdict => assert_eq!(verdict, plain[wall], "{script}: {found:#}"),
            }
        }
    }
}

#[test]
fn a_descriptor_above_1023_is_found_like_any_other() {
    need!(root);
    let found = |limit: u32| {
        let script = format!(
            "ulimit -n {limit}; RUSTIC_LEAK=descriptor exec \"$RUSTIC\" verify --only fds --json"
        );
        let ran = bash(&script);
        let report = json(&ran);
        let probes = walls(&report)["fds"]["probes"].as_array().unwrap();
        let file = probes.iter().find(|probe| probe["id"] == "RV-FD-01").unwrap();
        file["inside"]["arg"].as_str().unwrap().to_owned()
    };
    // One more is left open where the caller may have so many.
    let count = |limit| found(limit).split(' ').next().unwrap().parse::<u32>().unwrap();
    assert_eq!(count(4000), count(1000) + 1);
}
