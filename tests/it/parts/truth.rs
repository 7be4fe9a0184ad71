//! verify beside an independent witness: a program without rustic's code tries the same containers,
//! drawn at random. Where it crosses, verify must not say held; where nothing was crossed, verify
//! must not say leaked.

use crate::need;
use crate::support::{binary, scratch, store};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// Numbers that look random, the same for the same seed (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }

    fn one_of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }
}

const NAMESPACES: [&str; 8] = ["pid", "mount", "uts", "net", "ipc", "user", "cgroup", "time"];

const FILES: [&[&str]; 17] = [
    &[],
    &[],
    &[],
    &["--bind", "/proc/1:/mnt"],
    &["--bind", "/proc/sys/kernel:/mnt"],
    &["--bind", "/sys/kernel:/mnt"],
    &["--bind", "/sys/fs/cgroup:/mnt"],
    &["--bind", "/dev/pts:/mnt"],
    &["--bind", "{dir}:/mnt:ro"],
    &["--bind", "/:/mnt:ro", "--bind", "{dir}/mqueue:/tmp"],
    &["--rootfs", "{dir}/root", "--read-only"],
    &["--bind", "/:/mnt"],
    &["--bind", "/proc:/mnt"],
    &["--bind", "/sys:/mnt"],
    &["--bind", "/dev:/mnt"],
    &["--bind", "{dir}/mqueue:/mnt"],
    &["--rootfs", "{dir}/root"],
];

const FURTHER: [&[&str]; 12] = [
    &[],
    &[],
    &[],
    &[],
    &[],
    &["--uid", "1000"],
    &["--tmpfs", "/tmp"],
    &["--seccomp", "none"],
    &["--proc", "open"],
    &["--nest", "yes"],
    &["--stdio", "inherit"],
    &["--root", "chroot"],
];

/// The options of one container.
fn drawn(random: &mut Random, capabilities: &[String]) -> Vec<String> {
    let mask = random.below(256);
    let mut options: Vec<String> = Vec::new();
    for (bit, name) in NAMESPACES.iter().enumerate() {
        let switch = if mask >> bit & 1 == 1 { "yes" } else { "no" };
        options.extend([format!("--{name}"), switch.into()]);
    }
    match random.below(4) {
        0 => {}
        1 => options.extend(["--caps".into(), random.one_of(&["none", "all"]).into()]),
        _ => {
            let one = &capabilities[random.below(capabilities.len())];
            options.extend(["--caps".into(), one.clone()]);
        }
    }
    let files = FILES[random.below(FILES.len())];
    let one = random.below(FURTHER.len());
    let further =
        [FURTHER[one], FURTHER[(one + 1 + random.below(FURTHER.len() - 1)) % FURTHER.len()]];
    options.extend(files.iter().chain(further.concat().iter()).map(|word| (*word).to_owned()));
    options
}

/// The capabilities that this process may give away, by name.
fn capabilities() -> Vec<String> {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("CapBnd:")).unwrap();
    let held = u64::from_str_radix(line.trim(), 16).unwrap();
    let held = caps::all().into_iter().filter(|cap| held & cap.bitmask() != 0);
    held.map(|cap| cap.to_string().to_ascii_lowercase()).collect()
}

/// An image with the witness in it, and nothing else.
pub(crate) fn image() -> PathBuf {
    let path = scratch("truth").join("truth.tar");
    let mut archive = tar::Builder::new(fs::File::create(&path).unwrap());
    let mut entry = |name: &str, kind: tar::EntryType, mode: u32, content: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, name, content).unwrap();
    };
    for dir in ["bin/", "dev/", "etc/", "mnt/", "proc/", "sys/", "tmp/"] {
        entry(dir, tar::EntryType::Directory, 0o755, &[]);
    }
    entry("bin/truth", tar::EntryType::Regular, 0o755, &fs::read(witness()).unwrap());
    archive.finish().unwrap();
    path
}

/// The witness, beside the test's own binary.
fn witness() -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_rustic")).parent().unwrap();
    target.join("examples/truth")
}

/// What verify says wrongly of one container.
pub(crate) fn disagreements(looked: &Value) -> Vec<String> {
    let crossed: BTreeMap<&str, &str> = looked["crossed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line.as_str().unwrap().split_once(' ').unwrap())
        .collect();
    let verdicts = looked["verdicts"].as_object().unwrap();
    let code = looked["code"].as_i64();
    if looked["ended"] != true {
        // Without a container there is nothing to say of one.
        let silent = verdicts.values().all(|verdict| verdict == "unknown");
        let as_told = silent && matches!(code, Some(2 | 3 | 125));
        let said = &looked["said"];
        return if as_told { vec![] } else { vec![format!("it did not start: {said}")] };
    }
    let mut wrong: Vec<String> = crossed
        .iter()
        .filter(|(wall, _)| verdicts.get(**wall).is_none_or(|verdict| verdict == "held"))
        .map(|(wall, how)| format!("{wall} is held, and crossed by {how}"))
        .collect();
    for (wall, _) in verdicts.iter().filter(|(_, verdict)| *verdict == "leaked") {
        let by = crossed.get(wall.as_str()).unwrap_or(&"nothing");
        wrong.push(format!("{wall} is leaked, and crossed by {by}"));
    }
    if !matches!(code, Some(0 | 3)) {
        wrong.push(format!("exit code {code:?}"));
    }
    wrong
}

/// What was said besides, on one line.
pub(crate) fn said(looked: &Value) -> String {
    let crossed = looked["crossed"].as_array().into_iter().flatten();
    let crossed: Vec<&str> = crossed.filter_map(Value::as_str).collect();
    format!(
        "{} {} {}; {}",
        looked["said"],
        looked["verify_said"],
        looked["unknown"],
        crossed.join(", ")
    )
}

/// An outside with its witness, and the containers that are asked for one after another.
pub(crate) struct Outside {
    process: std::process::Child,
    orders: std::process::ChildStdin,
    answers: BufReader<std::process::ChildStdout>,
}

impl Outside {
    pub(crate) fn start(image: &Path) -> Self {
        Self::with(image, &[])
    }

    /// The same with something in its environment.
    pub(crate) fn with(image: &Path, environment: &[(&str, &str)]) -> Self {
        let mut process = Command::new(witness())
            .arg("outside")
            .args([scratch("truth-outside").as_path(), &binary(), image])
            .env("RUSTIC_STORE", store())
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (orders, answers) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { process, orders, answers: BufReader::new(answers) }
    }

    /// What the witness and verify say of one container.
    pub(crate) fn look(&mut self, options: &[String]) -> Value {
        writeln!(self.orders, "0\t{}", options.join("\t")).unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {options:?}: {line}"))
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Draws containers, and returns what was wrong of how many that have started, and their unknowns.
fn compared(count: usize, seed: u64) -> (Vec<String>, usize, BTreeMap<String, usize>) {
    const AT_ONCE: usize = 3;
    let (image, capabilities) = (image(), capabilities());
    let mut random = Random(seed | 1);
    let cases: Vec<Vec<String>> = (0..count).map(|_| drawn(&mut random, &capabilities)).collect();
    let next = Mutex::new(cases.iter());
    let found = Mutex::new((Vec::new(), 0, BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let mut outside = Outside::start(&image);
                loop {
                    let Some(options) = next.lock().unwrap().next() else { return };
                    let looked = outside.look(options);
                    let wrong = disagreements(&looked);
                    let mut found = found.lock().unwrap();
                    let told = |what: String| format!("{what}: {}", looked["options"]);
                    found.0.extend(wrong.into_iter().map(told));
                    if looked["ended"] == true {
                        found.1 += 1;
                        for reason in looked["unknown"].as_array().unwrap() {
                            *found.2.entry(reason.to_string()).or_insert(0) += 1;
                        }
                    }
                }
            });
        }
    });
    found.into_inner().unwrap()
}

fn ordered(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Compares that many containers, and prints what a reader needs to do it again.
pub(crate) fn verify_agrees(count: usize) {
    let seed = ordered("RUSTIC_SEED", u64::from(std::process::id()));
    let (wrong, started, unknown) = compared(count, seed);
    eprintln!("seed {seed}: {started} of {count} containers started");
    for (reason, times) in &unknown {
        eprintln!("unknown {times} times: {reason}");
    }
    assert_eq!(wrong, Vec::<String>::new(), "RUSTIC_SEED={seed}");
    assert!(started * 4 > count, "{started} of {count} have started");
}

#[test]
fn verify_agrees_with_an_independent_witness_in_containers_drawn_at_random() {
    need!(root);
    // What contradicts itself does not start: of these more than 2,000 do.
    verify_agrees(ordered("RUSTIC_TRUTH", 3800) as usize);
}
