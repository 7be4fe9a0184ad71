//! Every combination of namespaces: the verdict is what the inodes of /proc/PID/ns say.

use super::started_unread;
use crate::judged::{report, verdicts, verify, walls};
use crate::need;
use crate::support::{
    CEILING, NAMES, NOBODY, Rustic, children_of, combination, each_of, finish, sample,
    with_a_user_namespace,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Instant;

/// Runs verify, and reads the namespaces of every process below it while it runs: a wall's verdict
/// must be what they say.
fn looked_at(verify: Rustic, mask: u32) -> Result<(), String> {
    let verify = combination(mask)
        .fold(verify.opt(["--json"]), |verify, (name, _, switch)| verify.ns(name, switch));
    // A process lives for milliseconds: where it was missed, it is looked at once more.
    for _ in 0..20 {
        let child = started_unread(&verify);
        let (of_children, seen) = watched(child.id());
        let ran = finish(child);
        let report: Value = serde_json::from_str(&ran.stdout)
            .map_err(|error| format!("{mask:08b}: {error} {ran:?}"))?;
        let wrong: Vec<String> = report["walls"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|wall| wall["ok"] != true)
            .map(|wall| {
                format!(
                    "{} is {} {} {:#}",
                    wall["wall"], wall["verdict"], wall["because"], wall["probes"]
                )
            })
            .collect();
        if ran.code != 0 || !wrong.is_empty() {
            return Err(format!("{mask:08b}: {} {} {wrong:?}", ran.code, report["controls"]));
        }
        let Some(inside) = report["target"]["pid"].as_i64().and_then(|pid| seen.get(&(pid as i32)))
        else {
            continue;
        };
        for (_, entry, switch) in combination(mask) {
            let outside = of_children.get(outside_of(entry));
            let (Some(outside), Some(inside)) = (outside, inside.get(entry)) else {
                return Err(format!("{mask:08b}: {entry} was not read on both sides"));
            };
            let verdict = walls(&report)[entry]["verdict"].as_str().unwrap_or_default().to_owned();
            // Whoever can name a process outside gets past other walls too, by a door that is told.
            let by_pid =
                mask & 1 == 0 && walls(&report)[entry]["doors"] == serde_json::json!(["pid"]);
            let expected = if inside == outside || by_pid { "shared" } else { "held" };
            if verdict != expected || (switch == "yes") != (inside != outside) {
                return Err(format!(
                    "{mask:08b}: {entry} outside {outside}, inside {inside}, verdict {verdict}"
                ));
            }
            let told = &walls(&report)[entry]["identity"];
            if told["inside"]["ino"].as_u64() != Some(*inside)
                || told["outside"]["ino"].as_u64() != Some(*outside)
            {
                return Err(format!(
                    "{mask:08b}: {entry} outside {outside}, inside {inside}, told {told}"
                ));
            }
        }
        return Ok(());
    }
    Err(format!("{mask:08b}: its probe was never seen alive"))
}

/// The entry of the verifier that stands against this one of the inside: unshare(2) puts children
/// into a new time namespace, not the caller.
fn outside_of(entry: &str) -> &str {
    if entry == "time" { "time_for_children" } else { entry }
}

type Inodes = BTreeMap<String, u64>;

/// The inodes of /proc/PID/ns of the verifier on its stage, and of each process below it, as long
/// as it runs: the last that were seen.
fn watched(verifier: u32) -> (Inodes, BTreeMap<i32, Inodes>) {
    let inodes = |pid: u32| -> Inodes {
        let entries = fs::read_dir(format!("/proc/{pid}/ns")).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| {
                Some((
                    entry.file_name().to_string_lossy().into_owned(),
                    fs::metadata(entry.path()).ok()?.ino(),
                ))
            })
            .collect()
    };
    let (mut stage, mut seen) = (Inodes::new(), BTreeMap::new());
    let since = Instant::now();
    while since.elapsed() < CEILING
        && fs::read_to_string(format!("/proc/{verifier}/stat"))
            .is_ok_and(|stat| !stat.contains(") Z "))
    {
        let mut next = children_of(verifier);
        while let Some(pid) = next.pop() {
            next.extend(children_of(pid));
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if line.starts_with(b"rustic-probe\0") {
                // One that ends while it is read is not seen whole: what was read of it before
                // counts.
                let (theirs, ours) = (inodes(pid), inodes(verifier));
                if NAMES.iter().all(|(_, entry)| {
                    theirs.contains_key(*entry) && ours.contains_key(outside_of(entry))
                }) {
                    seen.insert(pid as i32, theirs);
                    stage = ours;
                }
            }
        }
    }
    (stage, seen)
}

/// As root each wall is what was ordered, and what its inodes say.
pub(crate) fn each_wall_is_what_was_ordered(masks: Vec<u32>) {
    assert_eq!(each_of(masks, |mask| looked_at(verify(), mask)), Vec::<String>::new());
}

/// As nobody likewise, or unknown with the reason.
pub(crate) fn each_wall_of_nobody_is_told(masks: Vec<u32>) {
    let wrong = each_of(masks, |mask| {
        let (code, report) = report(
            combination(mask)
                .fold(verify().nobody(), |verify, (name, _, switch)| verify.ns(name, switch)),
        );
        let told = walls(&report).into_iter().all(|(_, wall)| match wall["verdict"].as_str() {
            Some("unknown") => wall["because"].as_str().is_some_and(|because| !because.is_empty()),
            _ => wall["ok"] == true,
        });
        if told && [0, 3].contains(&code) {
            Ok(())
        } else {
            Err(format!("{mask:08b}: {code} {:?} {}", verdicts(&report), report["controls"]))
        }
    });
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn each_wall_is_what_was_ordered_and_what_its_inodes_say_in_a_sample_of_combinations() {
    need!(root);
    each_wall_is_what_was_ordered(sample((0..256).collect(), 60));
}

#[test]
fn as_nobody_a_wall_is_what_it_is_or_unknown_with_the_reason() {
    need!(root);
    each_wall_of_nobody_is_told(sample(with_a_user_namespace(), 40));
    // It is not all unknown: the namespaces are told, and a plain user's walls hold.
    let (_, report) = report(verify().nobody());
    for wall in ["pid", "mnt", "root", "uts", "net", "ipc", "user", "fds", "keyring"] {
        assert_eq!(verdicts(&report)[wall], "held", "{report:#}");
    }
    verify().nobody().ns("user", "no").ran().fails(2, &["CAP_SYS_ADMIN", &format!("uid {NOBODY}")]);
}
