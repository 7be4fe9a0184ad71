//! The fuzzers, so many runs each, beginning with what the tests have: `scripts/test --fuzz` builds
//! them.

use crate::need;
use crate::support::{Ran, finish_within, piped, roomy, scratch, shell};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longer than each takes on a busy machine.
const CEILING: Duration = Duration::from_secs(600);

fn targets() -> Option<PathBuf> {
    std::env::var_os("RUSTIC_FUZZ_TARGETS").map(PathBuf::from).filter(|path| path.is_dir())
}

/// Runs a target over seeds; what it found is in its last lines.
#[track_caller]
fn runs(target: &str, count: u64, longest: usize, seeds: &[Vec<u8>]) {
    need!(targets().is_some(), "RUSTIC_FUZZ_TARGETS is not set: scripts/test --fuzz sets it");
    let dir = roomy(&format!("fuzz-{target}"));
    for name in ["seeds", "found", "crashes"] {
        fs::create_dir(dir.join(name)).unwrap();
    }
    for (number, seed) in seeds.iter().enumerate() {
        fs::write(dir.join("seeds").join(number.to_string()), seed).unwrap();
    }
    let program = targets().unwrap().join(target);
    // A tmpfs that nobody else sees, for those that write.
    let script = format!(
        "mkdir -p mnt && mount -t tmpfs none mnt && exec env FUZZ_DIR=$PWD/mnt {} -runs={count} \
         -max_len={longest} -artifact_prefix=crashes/ -print_final_stats=1 -verbosity=0 found seeds",
        program.display()
    );
    let mut fuzzer = shell(&["unshare", "--mount", "sh"], &script);
    let ran = finish_within(piped(fuzzer.current_dir(&dir)), CEILING);
    let ran =
        ran.unwrap_or_else(|so_far| panic!("{target} takes longer than {CEILING:?}: {so_far:?}"));
    judged(target, count, &ran, &dir);
}

#[track_caller]
fn judged(target: &str, count: u64, ran: &Ran, dir: &Path) {
    let crashes: Vec<Vec<u8>> = fs::read_dir(dir.join("crashes"))
        .unwrap()
        .map(|crash| fs::read(crash.unwrap().path()).unwrap())
        .collect();
    let tail = ran.stderr.lines().rev().take(40).collect::<Vec<_>>();
    assert!(ran.code == 0 && crashes.is_empty(), "{target}: {crashes:?} {tail:#?}");
    let executed =
        ran.stderr.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    let executed: u64 = executed.unwrap().trim().parse().unwrap();
    assert!(executed >= count, "{target}: {executed} runs");
    eprintln!("{target}: {executed} runs");
}

#[test]
fn archives_are_what_another_reader_says_or_a_refusal() {
    need!(root);
    let seeds: Vec<_> =
        crate::corpus::archives().into_iter().filter(|archive| archive.len() <= 1 << 16).collect();
    assert!(seeds.len() > 300, "{}", seeds.len());
    runs("archive", 3_000_000, 1 << 13, &seeds);
}

#[test]
fn texts_are_an_image_or_a_refusal() {
    need!(root);
    let layout = [
        r#"{"manifests":[{"digest":"@1","annotations":{"org.opencontainers.image.ref.name":"a"}}]}"#,
        r#"{"config":{"digest":"@2"},"layers":[{"digest":"@3"},{"digest":"@3"}]}"#,
        r#"{"os":"linux","architecture":"arm64","rootfs":{"diff_ids":["@3","@3"]},
            "config":{"Env":["A=1"],"Cmd":["sh"],"User":"a","Volumes":{"/d":{}}}}"#,
        "layer",
    ];
    let index = [
        r#"{"manifests":[{"digest":"@1","mediaType":"application/vnd.oci.image.index.v1+json"}]}"#,
        r#"{"manifests":[{"digest":"@2","platform":{"os":"linux","architecture":"arm64"}},
            {"digest":"@2","platform":{"os":"unknown","architecture":"unknown"}}]}"#,
        r#"{"config":{"digest":"@3"},"layers":null}"#,
        r#"{"rootfs":{"diff_ids":[]}}"#,
    ];
    let saved = [
        r#"[{"Config":"1.json","RepoTags":["a"],"Layers":["2.json"]},{"config":"3.json","LAYERS":[]}]"#,
        r#"{"OS":"linux","architecture":"arm64","rootfs":{"diff_ids":["@2"]}}"#,
        "layer",
        r#"{"rootfs":null}"#,
    ];
    let mut seeds = Vec::new();
    for (layout, texts) in [(0, layout.to_vec()), (0, index.to_vec()), (1, saved.to_vec())] {
        for choice in [0, 2, 4, 6] {
            let texts: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
            seeds.push([&[layout | choice][..], &texts.join(&0xff)].concat());
        }
    }
    runs("image", 10_000_000, 2_000, &seeds);
}

#[test]
fn entries_of_a_layer_ask_for_what_the_rules_say() {
    need!(root);
    runs("marks", 10_000_000, 48, &[b"\x41\x03\x01\x07\x00\x05".to_vec()]);
}

#[test]
fn layers_come_to_the_tree_of_a_model_and_touch_nothing_else() {
    need!(root);
    runs("layers", 200_000, 120, &[b"\x40\x08\x01\x43\x08\x02\xff\x03\x06\x00".to_vec()]);
}

#[test]
fn bytes_on_the_queue_are_some_message() {
    need!(root);
    runs("message", 10_000_000, 512, &[b"READY=1 k3v2x2q7".to_vec()]);
}

/// The control: a fuzzer that finds something says so.
#[test]
#[should_panic(expected = "crashes")]
fn what_a_fuzzer_finds_is_a_failure() {
    let dir = scratch("found");
    fs::create_dir(dir.join("crashes")).unwrap();
    fs::write(dir.join("crashes/crash-1"), "x").unwrap();
    let ran = Ran { code: 77, stdout: String::new(), stderr: "crashes".into() };
    judged("archive", 1, &ran, &dir);
}
