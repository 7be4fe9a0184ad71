//! The catalogue, with nothing tried.

use super::fold::folded;
use crate::verify::foreign::recipes;
use crate::verify::probes::catalogue;
use crate::verify::wall::Wall;
use serde_json::{Value, json};
use std::fmt::Write;

/// A line a probe: what is tried, and what it touches.
pub fn list(walls: &[Wall]) -> String {
    let mut text = String::new();
    let mut line = |cells: [&str; 5]| {
        let [id, wall, direction, effect, title] = cells;
        let _ = writeln!(text, "{id:<11}  {wall:<8}  {direction:<9}  {effect:<10}  {title}");
    };
    line(["probe", "wall", "direction", "touches", "what is tried"]);
    for probe in catalogue().filter(|probe| walls.contains(&probe.wall)) {
        line([
            probe.id,
            probe.wall.name(),
            probe.direction.word(),
            probe.effect.word(),
            probe.title,
        ]);
    }
    text + NOTES
}

/// The same as one JSON value.
pub fn json(walls: &[Wall]) -> Value {
    let probes = catalogue().filter(|probe| walls.contains(&probe.wall)).map(|probe| {
        json!({
            "id": probe.id,
            "wall": probe.wall,
            "direction": probe.direction,
            "effect": probe.effect,
            "title": probe.title,
        })
    });
    json!({
        "format": "rustic-verify-list",
        "version": 1,
        "probes": probes.collect::<Vec<_>>(),
    })
}

/// The recipes: how each launcher is called, and the walls that it makes so.
pub fn recipes() -> String {
    let mut text = String::new();
    for recipe in &recipes::ALL {
        let order = recipe.order(0);
        let words: Vec<_> =
            order.command.template().iter().map(|word| word.to_string_lossy()).collect();
        let holds: Vec<&str> = order.holds.iter().map(|wall| wall.name()).collect();
        text.push_str(&folded(&format!("{:<10}", recipe.name), &words.join(" "), 12));
        text.push_str(&folded("          ", &format!("to hold: {}", holds.join(" ")), 12));
        for note in &order.notes {
            text.push_str(&folded("          ", note, 12));
        }
    }
    text
}

const NOTES: &str = "
in-to-out   the inside changes something outside
out-to-in   something of the outside is seen inside
none        nothing is touched
stage       a throw-away host of new uts, ipc, net, mnt and time namespaces, which the \
    verifier makes for itself
own-object  what the verifier makes on the host under a random name and removes: a cgroup, a file \
    without a name, a key, a port of AF_VSOCK

The stage lies on an empty directory that is made in the folder for temporary files, and \
    removed. The store of images is used as by run.
No probe sends a signal or sets a clock, and no packet leaves the machine. The one process that is \
    traced is the verifier's own, and is not
stopped. Parameters of the kernel and disks are opened, and neither written nor read. A disk that \
    the host has mounted is mounted once more. Numbers that are missing are no probes.
";
