//! The wall to the kernel: what a hostile root finds open of its files and calls, and with which
//! order it would find it. The program `surface` tries everything; each test has the run that sees
//! it open.

mod calls;
mod files;
mod nested;
mod parameters;
mod views;

use crate::support::{Rustic, surface};
use std::collections::BTreeMap;

/// What `surface` says: kind and name → answer.
type Surface = BTreeMap<(String, String), String>;

fn read(text: &str) -> Surface {
    let row = |line: &str| {
        let [kind, name, answer] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("no row: {line}")
        };
        ((kind.to_owned(), name.to_owned()), answer.to_owned())
    };
    let rows: Surface = text.lines().map(row).collect();
    assert!(rows.len() > 100, "{text}");
    rows
}

fn inside(run: Rustic) -> Surface {
    let bind = format!("{}:/mnt/surface", surface().display());
    read(&run.opt(["--bind", &bind, "/mnt/surface"]).ran().ok())
}

fn answer<'a>(surface: &'a Surface, kind: &str, name: &str) -> &'a str {
    surface.get(&(kind.to_owned(), name.to_owned())).map_or("", String::as_str)
}

/// Every setting in which /proc and /sys are of another making: fresh or bound, in the initial user
/// namespace or in one of the container's own.
fn settings() -> Vec<Rustic> {
    vec![
        Rustic::run(),
        Rustic::run().ns("pid", "no"),
        Rustic::run().ns("net", "no"),
        Rustic::run().ns("user", "yes"),
        Rustic::run().ns("user", "yes").ns("pid", "no").ns("net", "no"),
        Rustic::run().nobody(),
        Rustic::run().nobody().ns("pid", "no"),
        Rustic::run().nobody().ns("net", "no").ns("cgroup", "no"),
        Rustic::run().opt(["--root", "chroot"]),
        Rustic::run().opt(["--caps", "all"]),
    ]
}
