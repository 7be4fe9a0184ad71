//! docs/coming-from.md: each line for rustic runs.

use super::path_of_docs;
use crate::images::Image;
use crate::need;
use crate::support::{Rustic, ended, roomy, shell};
use serde_json::json;
use std::fs;

#[test]
fn every_line_for_those_who_come_from_another_launcher_runs() {
    need!(root);
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/coming-from.md");
    let page = fs::read_to_string(page).unwrap();
    let built_in = concat!(env!("CARGO_MANIFEST_DIR"), "/rootfs/rootfs.tar.gz");
    let (path, mut count) = (path_of_docs(), 0);
    let sections: Vec<&str> = page.split("\n## ").skip(1).collect();
    assert_eq!(sections.len(), 4);
    for section in sections {
        let dir = roomy("coming-from");
        fs::create_dir(dir.join("work")).unwrap();
        let rootfs = dir.join("rootfs");
        let words = ["unpack", built_in, rootfs.to_str().unwrap()];
        Rustic::command("rootfs").opt(words).ran().ok();
        let image = Image::of_gzip(&fs::read(built_in).unwrap()).with("Cmd", json!(["true"]));
        fs::write(dir.join("app.tar"), image.as_saved()).unwrap();
        let rows =
            section.lines().filter(|line| line.starts_with("| `") || line.starts_with("| no "));
        let mut of_section = 0;
        for row in rows {
            let row = row.replace("\\|", "\u{0}");
            let ours = row.split('|').nth(2).unwrap().replace('\u{0}', "|");
            for command in ours.split('`').skip(1).step_by(2) {
                let mut line = shell(&["bash"], command);
                let line = line.current_dir(&dir).env("PATH", &path);
                let ran = ended(line.env("RUSTIC_STORE", dir.join("store")).env("HOME", &dir));
                assert_eq!(ran.code, 0, "{command}: {ran:?}");
            }
            of_section += 1;
        }
        assert!(of_section >= 25, "{of_section}: {}", section.lines().next().unwrap());
        count += of_section;
    }
    assert!(count >= 100, "{count}");
}
