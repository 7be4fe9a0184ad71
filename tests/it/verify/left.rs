//! What verify leaves on the host: nothing, whenever it is killed.

use crate::judged::{json, verdicts, verify};
use crate::need;
use crate::support::{
    apart, children_of, end, eventually, finish, processes, scratch, shared_state, unique,
};
use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

/// What is still there of a run with this nonce, which stands in the name of all that verify makes
/// on the host.
fn left_of(nonce: &str, temporary: &Path) -> Vec<String> {
    let folders = names(temporary.to_str().unwrap());
    let cgroups = names("/sys/fs/cgroup")
        .into_iter()
        .flat_map(|hierarchy| names(&format!("/sys/fs/cgroup/{hierarchy}")));
    let keys = fs::read_to_string("/proc/keys").unwrap();
    let keys = keys.lines().map(str::to_owned);
    folders.into_iter().chain(cgroups).chain(keys).filter(|name| name.contains(nonce)).collect()
}

fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// verify in a folder of its own for what is temporary; in a new cgroup namespace its own cgroup is
/// /, so that it has to make one.
fn started_in(temporary: &Path, cgroup: &str, options: &[&str]) -> Child {
    let under: &[&str] = if cgroup == "made" { &["unshare", "--cgroup"] } else { &[] };
    let verify = verify().under(under.iter().copied()).opt(options.iter().copied());
    verify.env("TMPDIR", temporary.to_str().unwrap()).started()
}

#[test]
fn the_host_is_as_it_was_after_each_run_and_after_each_kill() {
    need!(root);
    apart(as_it_was_after_each_run_and_after_each_kill);
}

fn as_it_was_after_each_run_and_after_each_kill() {
    let (before, temporary) = (shared_state(), scratch("verify-kill"));
    // The kernel takes seconds to collect keys, and the cgroup of a killed run goes before its
    // folder does: both are looked for at the end.
    let (mut planted, mut nonces) = (0, Vec::new());
    for cgroup in ["own", "made"] {
        let ran = finish(started_in(&temporary, cgroup, &["--json"]));
        let report = json(&ran);
        assert_eq!((ran.code, verdicts(&report)["cgroup"]), (0, "held"), "{report:#}");
        let nonce = report["nonce"].as_str().unwrap();
        assert_eq!(
            report.to_string().contains(&format!("it is in \\\"/rustic.{nonce}")),
            cgroup == "made",
            "{report:#}"
        );
        nonces.push(nonce.to_owned());
        assert_eq!(shared_state(), before);
    }
    for round in 0..40u64 {
        let marker = format!("verify-{}-{}", std::process::id(), unique());
        let child = started_in(
            &temporary,
            if round % 2 == 0 { "own" } else { "made" },
            &["--hostname", &marker, "--flip"],
        );
        // Odd numbers spread over the whole run.
        std::thread::sleep(Duration::from_micros(round * 37_003 % 900_000));
        let nonce: Vec<String> = names(temporary.to_str().unwrap());
        planted += nonce.iter().map(|nonce| left_of(nonce, &temporary).len()).sum::<usize>();
        nonces.extend(nonce);
        end(child);
        eventually("every process of it ends", || processes(&marker).is_empty());
        eventually("nothing of it is left", || names(temporary.to_str().unwrap()).is_empty());
        assert_eq!(shared_state(), before);
    }
    for nonce in nonces {
        eventually("nothing of it is left", || left_of(&nonce, &temporary).is_empty());
    }
    assert!(planted > 40, "while it runs there is something to be left: {planted}");
}

#[test]
fn killed_when_its_first_processes_have_just_been_forked_it_leaves_none_of_them() {
    need!(root);
    let temporary = scratch("verify-early");
    let mut early = 0;
    for _ in 0..30 {
        let mut child = started_in(&temporary, "own", &["--only", "pid"]);
        let mut children = Vec::new();
        // The cleanup process is the first, the canary of the pid wall the second.
        while children.len() < 2 && child.try_wait().unwrap().is_none() {
            children = children_of(child.id());
        }
        end(child);
        early += usize::from(children.len() == 2);
        eventually("both are gone", || {
            children.iter().all(|pid| !Path::new("/proc").join(pid.to_string()).exists())
        });
        eventually("nothing of it is left", || names(temporary.to_str().unwrap()).is_empty());
    }
    assert!(early > 0, "it was never caught at that moment");
}
