//! Many starts at the same time, and many containers alive at once.

use crate::floor::{self, Floor, libc_of};
use crate::runner::{first_line, machine, told};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const AT_A_TIME: usize = 8;

/// `count` starts of `true`, eight at a time, in batches in turn: how many a second.
pub(crate) fn rate(count: usize) -> Result<()> {
    const BATCHES: usize = 10;
    let (dir, root) = floor::unpacked()?;
    let contenders = contenders(dir.path(), &root, &["true"])?;
    let each = count.div_ceil(BATCHES);
    println!("{} starts of `true`, {AT_A_TIME} at a time, in turn; {}", each * BATCHES, machine()?);
    let mut took = vec![Duration::ZERO; contenders.len()];
    let failed: Vec<AtomicUsize> = contenders.iter().map(|_| AtomicUsize::new(0)).collect();
    for _ in 0..BATCHES {
        for ((contender, took), failed) in contenders.iter().zip(&mut took).zip(&failed) {
            *took += batch(&contender.words, each, failed);
        }
    }
    let rate = |took: Duration| (each * BATCHES) as f64 / took.as_secs_f64();
    let first = rate(took[0]);
    println!("\n{:<40} {:>14} {:>7}", "", "starts", "ratio");
    for ((contender, took), failed) in contenders.iter().zip(took).zip(failed) {
        let (rate, failures) = (rate(took), told(failed.into_inner()));
        println!("{:<40} {rate:>10.0} / s {:>7.2}{failures}", contender.name, rate / first);
    }
    Ok(())
}

/// Runs a command so many times, and says how long that took.
fn batch(words: &[String], count: usize, failed: &AtomicUsize) -> Duration {
    let begun = AtomicUsize::new(0);
    let since = Instant::now();
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while begun.fetch_add(1, Ordering::Relaxed) < count {
                    let mut command = Command::new(&words[0]);
                    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null());
                    if !command.status().is_ok_and(|status| status.success()) {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    since.elapsed()
}

/// `count` containers alive at once: what memory the machine has less then, all that the kernel
/// needs for them and their programs included.
pub(crate) fn memory(count: usize) -> Result<()> {
    let (dir, root) = floor::unpacked()?;
    let payload = ["sh", "-c", "echo; exec sleep 1000"];
    println!("{count} containers alive at once, each with a shell that has become `sleep`");
    println!("{}\n", machine()?);
    println!("{:<40} {:>12} {:>7}", "", "each", "ratio");
    let mut first = None;
    for contender in contenders(dir.path(), &root, &payload)? {
        let each = alive(&contender.words, count)?;
        let ratio = each / *first.get_or_insert(each);
        println!("{:<40} {each:>8.2} MiB {ratio:>7.2}", contender.name);
    }
    Ok(())
}

fn alive(words: &[String], count: usize) -> Result<f64> {
    let before = available()?;
    let mut all = Alive(Vec::new());
    for _ in 0..count {
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::piped());
        all.0.push(command.spawn()?);
    }
    for child in &mut all.0 {
        let stdout = child.stdout.as_mut().context("no stdout")?;
        ensure!(stdout.read(&mut [0])? == 1, "{}: one ended", words.join(" "));
    }
    let after = available()?;
    Ok(before.saturating_sub(after) as f64 / 1024.0 / count as f64)
}

/// Containers that are ended when this is dropped, and waited for until the kernel has taken their
/// memory back.
struct Alive(Vec<Child>);

impl Drop for Alive {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
        }
        for child in &mut self.0 {
            let _ = child.wait();
        }
        // Network namespaces are taken down by a kernel thread, one after another.
        let mut last = 0;
        for _ in 0..60 {
            thread::sleep(Duration::from_secs(1));
            let now = available().unwrap_or(last);
            if now.abs_diff(last) < 4096 {
                return;
            }
            last = now;
        }
    }
}

/// The memory that is there for new programs, in KiB: proc_meminfo(5).
fn available() -> Result<u64> {
    let all = fs::read_to_string("/proc/meminfo")?;
    let line = all.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.context("no MemAvailable")?.parse()?)
}

/// A command that starts a container.
struct Contender {
    name: String,
    words: Vec<String>,
}

/// The floor with rustic's libc, rustic, and bubblewrap.
fn contenders(folder: &Path, root: &Path, cmd: &[&str]) -> Result<Vec<Contender>> {
    let rustic = floor::rustic();
    let floors = Floor::build(folder, root)?;
    let floor = floors.iter().find(|floor| floor.libc == libc_of(&rustic)).context("no floor")?;
    let root = root.to_str().context("a temporary folder that is not text")?;
    let bwrap = ["bwrap", "--unshare-pid", "--unshare-uts", "--unshare-ipc", "--unshare-cgroup"];
    let mounts = ["--unshare-net", "--die-with-parent", "--bind", root, "/"];
    let own = ["--proc", "/proc", "--dev", "/dev"];
    let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    Ok(vec![
        Contender {
            name: format!("the floor, {}", floor.libc),
            words: owned(&floor.words("new", cmd)?),
        },
        Contender {
            name: "rustic run".into(),
            words: owned(&[&[rustic.as_str(), "run"], cmd].concat()),
        },
        Contender {
            name: first_line("bwrap", &["--version"])?,
            words: owned(&[&bwrap as &[&str], &mounts, &own, cmd].concat()),
        },
    ])
}
