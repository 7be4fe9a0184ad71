//! What `rustic rootfs list` shows.

use crate::error::printable;
use crate::namespace::Switch;
use crate::rootfs::report::{size, thousands};
use crate::rootfs::store::{Listed, SHORT};
use serde_json::{Value, json};
use std::fmt::Write;

/// The images of a store, as JSON and as a table.
pub(super) fn of(images: &[Listed]) -> (Value, String) {
    let value = images
        .iter()
        .map(|Listed { digest, names, record, used }| {
            let used = *used == Switch::Yes;
            json!({ "names": names, "digest": digest, "used": used, "record": record })
        })
        .collect();
    if images.is_empty() {
        return (value, String::new());
    }
    let mut rows = vec![["NAME", "DIGEST", "SIZE", "FILES", "USED", "FROM"].map(str::to_owned)];
    for Listed { digest, names, record, used } in images {
        let known = record.as_ref().map(|record| {
            (size(record.report.bytes), thousands(record.report.files), printable(&record.source))
        });
        let (bytes, files, source) = known.unwrap_or_else(|| ("?".into(), "?".into(), "?".into()));
        let used = if *used == Switch::Yes { "yes" } else { "no" };
        let names = if names.is_empty() { "-".into() } else { names.join(",") };
        rows.push([names, digest.chars().take(SHORT).collect(), bytes, files, used.into(), source]);
    }
    let widths: Vec<usize> = (0..5)
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(text, "{cell:<width$}  ");
        }
        text.push_str(&row[5]);
        text.push('\n');
    }
    (value, text)
}
