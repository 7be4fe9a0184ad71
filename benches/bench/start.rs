//! The start of a program that ends at once: rustic beside the floor and beside its peers.

use crate::floor::{self, Floor, libc_of};
use crate::runner::{Runner, compare, first_line, machine};
use anyhow::{Context, Result};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// `true` on the built-in root, by the floor, by rustic in several ways and by its peers; with the
/// caller's network; and while the processors are busy.
pub(crate) fn measure(rounds: usize) -> Result<()> {
    let rustic = floor::rustic();
    let (dir, root) = floor::unpacked()?;
    let floors = Floor::build(dir.path(), &root)?;
    // That with rustic's own libc first: what everything is compared with.
    let (own, other): (Vec<Floor>, Vec<Floor>) =
        floors.into_iter().partition(|floor| floor.libc == libc_of(&rustic));
    let floors: Vec<Floor> = own.into_iter().chain(other).collect();
    let root = root.to_str().context("a temporary folder that is not text")?;
    println!("start of `true` on the built-in root, {rounds} rounds in turn; ratio to the floor's");
    println!("{}, rustic with {}\n", machine()?, libc_of(&rustic));
    // Another rustic beside it, that of the commit before: RUSTIC_BEFORE names its binary.
    let before = std::env::var("RUSTIC_BEFORE").ok();
    let before =
        before.as_ref().map(|path| Runner::new("the rustic before", &[path, "run", "true"]));
    let all = of_floor(&floors, "new")?;
    let all = all.into_iter().chain(in_several_ways(&rustic, root)).chain(peers(root, "new")?);
    compare(all.chain(before).collect(), rounds)?;

    println!("\nthe same with the caller's network (--net no)");
    compare(main_ones(&rustic, &floors, root, "shared")?, rounds)?;

    println!("\nthe first ones while two loops keep the processors busy");
    let busy = Busy::loops(2)?;
    let measured = compare(main_ones(&rustic, &floors, root, "new")?, rounds);
    drop(busy);
    measured?;
    filter()
}

fn of_floor(floors: &[Floor], network: &str) -> Result<Vec<Runner>> {
    let runner = |floor: &Floor| {
        let name = format!("the floor, {}", floor.libc);
        Ok(Runner::new(name, &floor.words(network, &["true"])?))
    };
    floors.iter().map(runner).collect()
}

fn main_ones(rustic: &str, floors: &[Floor], root: &str, network: &str) -> Result<Vec<Runner>> {
    let (name, words): (&str, &[&str]) = match network {
        "new" => ("rustic run", &[rustic, "run", "true"]),
        _ => ("rustic run --net no", &[rustic, "run", "--net", "no", "true"]),
    };
    let all = of_floor(floors, network)?.into_iter().chain([Runner::new(name, words)]);
    Ok(all.chain(peers(root, network)?).collect())
}

/// rustic in several ways.
fn in_several_ways(rustic: &str, root: &str) -> Vec<Runner> {
    let run = |options: &[&str]| {
        let name = ["rustic run", &options.join(" ")].join(" ");
        let name = name.trim_end().replace(root, "DIR");
        Runner::new(name, &[&[rustic, "run"], options, &["true"]].concat())
    };
    [
        &[] as &[&str],
        &["--ready", "none"],
        &["--seccomp", "none"],
        &["--stdio", "inherit"],
        &["--proc", "open"],
        &["--user", "yes"],
        &["--rootfs", root],
    ]
    .map(run)
    .into()
}

/// Its peers on an unpacked root. Both make the namespaces, bubblewrap mounts besides; neither has
/// the other walls.
fn peers(root: &str, network: &str) -> Result<Vec<Runner>> {
    let proc = format!("--mount-proc={root}/proc");
    let (unshare_all, unshare_net): (&str, &[&str]) = match network {
        "new" => ("-mpuinf", &["--unshare-net"]),
        _ => ("-mpuif", &[]),
    };
    let all = ["--unshare-pid", "--unshare-uts", "--unshare-ipc", "--unshare-cgroup"];
    let mounts = ["--bind", root, "/", "--proc", "/proc", "--dev", "/dev", "true"];
    Ok(vec![
        Runner::new(
            format!("{}, chroot", first_line("unshare", &["--version"])?),
            &["unshare", unshare_all, &proc, "chroot", root, "/bin/true"],
        ),
        Runner::new(
            first_line("bwrap", &["--version"])?,
            &[&["bwrap"], &all as &[&str], unshare_net, &mounts].concat(),
        ),
    ])
}

/// Processes that do nothing but compute, ended when this is dropped.
struct Busy(Vec<Child>);

impl Busy {
    fn loops(count: usize) -> Result<Self> {
        let mut busy = Self(Vec::new());
        for _ in 0..count {
            let script = ["-c", "while :; do :; done"];
            busy.0.push(Command::new("sh").args(script).stdin(Stdio::null()).spawn()?);
        }
        Ok(busy)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// How long the default filter takes to be made, in a process that has never made one: the worst
/// case, as it is at a start.
fn filter() -> Result<()> {
    let since = Instant::now();
    let bytes = floor::program()?.len();
    println!(
        "\nthe default filter: {} instructions, made in {:.0} µs",
        bytes / 8,
        since.elapsed().as_secs_f64() * 1e6
    );
    Ok(())
}
