//! What was ordered open: verify finds the way, calls it shared and no leak, names the door, and
//! counts it. The control of each is the same container without the order.

mod files;
mod proc;
mod rights;
mod table;
mod told;
mod wherever;

use crate::judged::{conclusion, json, probes, report, verdicts, verify, walls, wrong};
use crate::support::{ended, shell};
use serde_json::{Value, json};

/// The walls that an order opens, with the probe and the door of each.
type Opened = [(&'static str, &'static str, &'static str)];

/// Verifies with and without an order: what it opens is shared by that door, held without it, and
/// nothing else has changed.
#[track_caller]
fn opens(order: &str, opened: &Opened) {
    let words = || order.split_whitespace().map(str::to_owned);
    let ((code, ordered), (tight_code, tight)) = (report(verify().opt(words())), report(verify()));
    assert_eq!((code, tight_code, wrong(&ordered)), (0, 0, vec![]), "{order}: {ordered:#}");
    for (wall, probe, door) in opened {
        let found = walls(&ordered)[wall];
        let through = found["probes"].as_array().unwrap().iter();
        let through = through.filter(|one| one["id"] == *probe).map(|one| one["door"].clone());
        assert_eq!(
            (found["verdict"].as_str(), probes(found)[probe].0, through.collect::<Vec<_>>()),
            (Some("shared"), "shared", vec![json!(door)]),
            "{order}: {found:#}"
        );
        assert!(found["doors"].as_array().unwrap().contains(&json!(door)), "{found:#}");
        let held = probes(walls(&tight)[wall])[probe].0;
        assert!(held == "held" || held == "untried", "{order}: {wall} without it is {held}");
    }
    let changed: Vec<&str> = verdicts(&ordered)
        .into_iter()
        .filter(|(wall, verdict)| verdicts(&tight)[wall] != *verdict)
        .map(|(wall, _)| wall)
        .collect();
    let mut expected: Vec<&str> = opened.iter().map(|(wall, ..)| *wall).collect();
    expected.sort_unstable();
    expected.dedup();
    assert_eq!(changed, expected, "{order}");
    let table = verify().opt(words()).ran();
    let last = conclusion(&table.stdout);
    let count = ordered["doors"].as_array().unwrap().len();
    assert!(table.code == 0 && last.contains(&format!(" {count} doors are open: ")), "{last}");
}

/// verify by a shell of its own mount namespace, which prepares something on that host.
fn prepared(script: &str, options: &str) -> (i32, Value) {
    let script = format!("set -e; {script}; exec \"$RUSTIC\" verify --json {options}");
    let ran = ended(&mut shell(&["unshare", "--mount", "sh"], &script));
    (ran.code, json(&ran))
}
