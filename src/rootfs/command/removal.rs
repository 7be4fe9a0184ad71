//! `rustic rootfs rm` and `prune`.

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
    let mut wanted: Vec<&String> = Vec::new();
    for word in words {
        if !wanted.contains(&word) {
            store.find(word)?;
            wanted.push(word);
        }
    }
    for word in wanted {
        let (what, line) = match store.remove(word)? {
            Removed::Image => ("image", format!("removed {word}\n")),
            Removed::Name => ("name", format!("removed the name {word}; the image has others\n")),
        };
        values.push(json!({ "word": word, "removed": what }));
        text.push_str(&line);
    }
    Ok((Value::Array(values), text))
}

/// What is used stays, and is named at the end.
pub(super) fn remove_all(store: &Store) -> Result<(Value, String), Failure> {
    let images = store.list()?;
    let (used, free): (Vec<_>, Vec<_>) =
        images.into_iter().partition(|image| image.used == Switch::Yes);
    let words: Vec<String> = free.into_iter().map(|image| image.digest).collect();
    let removed = remove(store, &words)?;
    if used.is_empty() {
        return Ok(removed);
    }
    let names: Vec<String> = used
        .into_iter()
        .map(|image| image.names.into_iter().next().unwrap_or(image.digest))
        .collect();
    let what = if words.len() == 1 { "image" } else { "images" };
    let (count, names) = (words.len(), names.join(" "));
    Err(Failure::new(format!("{count} {what} removed, but not those in use: {names}"))
        .remedy("end the containers first"))
}

pub(super) fn prune(
    store: &Store,
    older_than: Option<Duration>,
    host: &Host,
) -> Result<(Value, String), Failure> {
    if let Some(runs) = store.runs() {
        run_directory::sweep(&runs, host.uid, &Keeper::of(host));
    }
    let removed = store.prune(older_than)?;
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
