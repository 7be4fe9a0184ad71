//! What `rustic rootfs list` shows.

use crate::error::printable;
use crate::namespace::Switch;
use crate::rootfs::report::{size, thousands};
use crate::rootfs::store::{Listed, SHORT};
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// How many images.
pub(super) fn images(count: usize) -> String {
    format!("{count} {}", if count == 1 { "image" } else { "images" })
}

/// The images of a store, as JSON and as a table.
pub(super) fn of(images: &[Listed]) -> (Value, String) {
    let value = images
        .iter()
        .map(|Listed { digest, names, record, used, last_used }| {
            let used = *used == Switch::Yes;
            json!({
                "names": names, "digest": digest, "used": used, "last_used": last_used,
                "record": record
            })
        })
        .collect();
    if images.is_empty() {
        return (value, "no images\n".into());
    }
    let mut rows =
        vec![["NAME", "DIGEST", "SIZE", "FILES", "AGE", "USED", "FROM"].map(str::to_owned)];
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    for Listed { digest, names, record, used, last_used } in images {
        let known = record.as_ref().map(|record| {
            let age = age(now.saturating_sub(record.unpacked_at));
            let report = &record.report;
            (size(report.bytes), thousands(report.files), age, printable(&record.source))
        });
        let unknown = || ("?".into(), "?".into(), "?".into(), "?".into());
        let (bytes, files, since, source) = known.unwrap_or_else(unknown);
        let used = match (used, last_used) {
            (Switch::Yes, _) => "yes".to_owned(),
            (Switch::No, Some(last)) => format!("{} ago", age(now.saturating_sub(*last))),
            (Switch::No, None) => "no".to_owned(),
        };
        let names = if names.is_empty() { "-".into() } else { names.join(",") };
        let digest = digest.chars().take(SHORT).collect();
        rows.push([names, digest, bytes, files, since, used, source]);
    }
    let widths: Vec<usize> = (0..6)
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(text, "{cell:<width$}  ");
        }
        text.push_str(&row[6]);
        text.push('\n');
    }
    let bytes = |image: &Listed| image.record.as_ref().map_or(0, |record| record.report.bytes);
    let total: u64 = images.iter().map(bytes).sum();
    let _ = writeln!(text, "{}, {}", self::images(images.len()), size(total));
    (value, text)
}

/// How long ago, in the largest unit that there is one of.
fn age(seconds: u64) -> String {
    let units = [(86_400 * 365, "y"), (86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let (unit, name) = units.into_iter().find(|(unit, _)| seconds >= *unit).unwrap_or((1, "s"));
    format!("{} {name}", seconds / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_one_unit() {
        let ages = [0, 59, 60, 7_199, 86_399, 86_400 * 30, 86_400 * 800].map(age);
        assert_eq!(ages, ["0 s", "59 s", "1 min", "1 h", "23 h", "30 d", "2 y"]);
    }
}
