//! `rustic rootfs rm` and `prune`.

use super::listing::images;
use crate::error::Failure;
use crate::host::Host;
use crate::namespace::Switch;
use crate::rootfs::keeper::Keeper;
use crate::rootfs::report::size;
use crate::rootfs::run_directory;
use crate::rootfs::store::{Listed, Removed, SHORT, Store};
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Duration;

pub(super) fn remove(store: &Store, words: &[String]) -> Result<(Value, String), Failure> {
    let mut text = String::new();
    let mut values = Vec::new();
    // All of them are looked up before the first one goes: a word that is wrong takes nothing with
    // it.
    let mut wanted: Vec<(&String, String)> = Vec::new();
    for word in words {
        if !wanted.iter().any(|(known, _)| *known == word) {
            wanted.push((word, store.find(word)?.digest));
        }
    }
    let mut gone: Vec<String> = Vec::new();
    for (word, digest) in wanted {
        // Another word stood for the same image.
        if gone.contains(&digest) {
            continue;
        }
        let (what, line) = match store.remove(word)? {
            Removed::Image => {
                gone.push(digest);
                ("image", format!("removed {word}\n"))
            }
            Removed::Name => ("name", format!("removed the name {word}; the image has others\n")),
        };
        values.push(json!({ "word": word, "removed": what }));
        text.push_str(&line);
    }
    Ok((Value::Array(values), text))
}

/// What cannot be removed stays, and is named at the end.
pub(super) fn remove_all(store: &Store) -> Result<(Value, String), Failure> {
    let mut text = String::new();
    let (mut values, mut used, mut first) = (Vec::new(), Vec::new(), None);
    for image in store.list()? {
        let name = image.names.first().unwrap_or(&image.digest).clone();
        if image.used == Switch::Yes {
            used.push(name);
            continue;
        }
        match store.remove(&image.digest) {
            Ok(_) => {
                values.push(json!({ "word": name, "removed": "image" }));
                let _ = writeln!(text, "removed {name}");
            }
            Err(failure) => first = first.or(Some(failure)),
        }
    }
    let count = values.len();
    match first {
        Some(failure) => Err(after(count, failure)),
        None if used.is_empty() => Ok((Value::Array(values), text)),
        None => Err(Failure::new(format!(
            "{} removed, but not those in use: {}",
            images(count),
            used.join(" ")
        ))
        .remedy("end the containers first")),
    }
}

/// A failure, with how many images were removed all the same.
fn after(count: usize, failure: Failure) -> Failure {
    let what = format!("{} removed; {}", images(count), failure.what);
    Failure { what, ..failure }
}

pub(super) fn prune(
    store: &Store,
    older_than: Option<Duration>,
    host: &Host,
) -> Result<(Value, String), Failure> {
    if let Some(runs) = store.runs() {
        run_directory::sweep(&runs, host.uid, &Keeper::of(host));
    }
    let (removed, failed) = store.prune(older_than)?;
    if let Some(failure) = failed {
        return Err(after(removed.len(), failure));
    }
    let bytes = |image: &Listed| image.record.as_ref().map_or(0, |record| record.report.bytes);
    let mut text = String::new();
    for image in &removed {
        let digest: String = image.digest.chars().take(SHORT).collect();
        let _ = writeln!(text, "removed {digest}, {}", size(bytes(image)));
    }
    let total: u64 = removed.iter().map(bytes).sum();
    let _ = writeln!(text, "{} in all", size(total));
    let values =
        removed.iter().map(|image| json!({ "digest": image.digest, "bytes": bytes(image) }));
    Ok((values.collect(), text))
}
