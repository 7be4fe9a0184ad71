//! The table of docs/verify.md is what verify says.

use crate::judged::{report, verdicts, verify, wrong};
use crate::need;
use std::collections::BTreeMap;
use std::fs;

/// The orders of the table in docs/verify.md.
const ORDERS: [&str; 26] = [
    "--pid no",
    "--mount no",
    "--uts no",
    "--net no",
    "--ipc no",
    "--cgroup no",
    "--user yes",
    "--time yes",
    "--bind /etc:/mnt",
    "--bind /proc:/mnt",
    "--bind /sys:/mnt",
    "--bind /dev:/mnt",
    "--bind /:/mnt",
    "--rootfs / --read-only",
    "--stdio inherit",
    "--proc open",
    "--proc open --user yes",
    "--seccomp none",
    "--nest yes",
    "--root chroot",
    "--root chroot --caps sys_chroot",
    "--caps net_admin",
    "--caps mknod",
    "--caps sys_admin",
    "--caps sys_admin --user yes",
    "--caps all --pid no",
];

/// One row: what an order changes, by the first probe of each wall that says so.
fn row(order: &str, plain: &BTreeMap<&str, &str>) -> String {
    let (code, ordered) = report(verify().opt(order.split(' ')));
    assert_eq!((code, wrong(&ordered)), (0, vec![]), "{order}: {ordered:#}");
    let changed: Vec<String> = ordered["walls"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|wall| plain[wall["wall"].as_str().unwrap()] != wall["verdict"])
        .map(|wall| {
            let probes = wall["probes"].as_array().unwrap();
            let decides = probes.iter().find(|probe| probe["verdict"] == wall["verdict"]);
            let id = decides.map_or("", |probe| probe["id"].as_str().unwrap());
            let by: Vec<&str> = wall["doors"]
                .as_array()
                .unwrap()
                .iter()
                .map(|door| door.as_str().unwrap())
                .filter(|door| !order.starts_with(door) || door.len() < 5)
                .collect();
            let by = if by.is_empty() { String::new() } else { format!(", by {}", by.join(", ")) };
            let name = wall["wall"].as_str().unwrap();
            format!("{name} {} ({id}{by})", wall["verdict"].as_str().unwrap())
        })
        .collect();
    let changed = if changed.is_empty() { "nothing".to_owned() } else { changed.join("; ") };
    format!("| `{order}` | {changed} |")
}

#[test]
fn the_table_of_docs_verify_is_what_verify_says() {
    need!(root);
    let (_, plain) = report(verify());
    let plain = verdicts(&plain);
    let rows: Vec<String> = ORDERS.iter().map(|order| row(order, &plain)).collect();
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/verify.md")).unwrap();
    let shown: Vec<&str> = text.lines().filter(|line| line.starts_with("| `--")).collect();
    assert_eq!(shown, rows, "docs/verify.md should say:\n{}", rows.join("\n"));
    // Each probe that it names is told with its title.
    let list = verify().opt(["--list"]).ran().ok();
    let names = rows.iter().flat_map(|row| row.split(['(', ',', ')']));
    for id in names.filter(|word| word.starts_with("RV-")) {
        let title = list.lines().find(|line| line.starts_with(id)).unwrap();
        let title = title.splitn(5, "  ").last().unwrap().trim();
        assert!(text.contains(&format!("- `{id}` {}", title_alone(title))), "{id}: {title}");
    }
}

/// The last column of the catalogue: what stands before it has no blank in it.
fn title_alone(rest: &str) -> &str {
    let mut rest = rest;
    for column in ["in-to-out", "out-to-in", "none", "stage", "own-object"] {
        rest = rest.trim_start().strip_prefix(column).unwrap_or(rest);
    }
    rest.trim_start()
}
