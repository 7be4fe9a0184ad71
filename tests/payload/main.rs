//! What the tests run inside containers where a shell cannot do it: a static program that takes its
//! task as its first argument.
#![allow(
    unsafe_code,
    clippy::print_stdout,
    reason = "its output is its job, and what it tries has no safe wrapper"
)]

mod escape;
mod filtered;
mod network;
mod notify;
mod queue;
mod say;
mod signals;
mod state;
mod streams;

use escape::{add_key, among_keys, climb, forbidden_call, read_through, session_keyring, tiocsti};
use filtered::filtered;
use network::{listen, ping};
use notify::{fill_in_flight, notify, notify_lingering};
use queue::{fill_queues, ready_on_the_queue};
use rustix::process::{Gid, Uid};
use say::say;
use signals::{signalfd, sigterm, sigwait, tell_signals};
use state::state;
use std::os::unix::process::CommandExt;
use std::process::{Command, exit};
use streams::change_stream;

/// A flat table, a task an entry.
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = args.iter().skip(1).map(String::as_str).collect();
    match words.as_slice() {
        ["true", ..] => {}
        ["sigwait"] => {
            let _ = sigterm().thread_block();
            sigwait();
        }
        // As no program should do it: POSIX wants the signal blocked before.
        ["sigwait-unblocked"] => sigwait(),
        ["signalfd"] => signalfd(),
        ["tell-signals"] => tell_signals(),
        ["listen", port] => say(&listen(port)),
        ["ping"] => say(&ping()),
        ["tiocsti"] => tiocsti(),
        ["read-through", fd, path] => read_through(fd, path),
        ["ready-queue"] => ready_on_the_queue(),
        ["fill-queues"] => fill_queues(),
        ["notify", text] => notify(text),
        ["notify-lingering"] => notify_lingering(),
        ["fill-in-flight"] => fill_in_flight(),
        ["state", ..] => state(),
        ["add-key"] => add_key(),
        ["among-keys", count, words @ ..] => among_keys(count, words),
        ["session-keyring"] => session_keyring(),
        ["climb", canary] => climb(canary),
        ["forbidden-call"] => forbidden_call(),
        ["filtered", answer, call, command @ ..] => filtered(answer, call, command),
        ["change-streams"] => (0..3).for_each(change_stream),
        ["who"] => who(),
        ["args", words @ ..] => println!("{}", words.join("|")),
        ["env", name] => println!("{}", std::env::var(name).unwrap_or_else(|_| "-".into())),
        ["cwd"] => println!("{}", std::env::current_dir().unwrap_or_default().display()),
        ["up-and-wait"] => {
            println!("up");
            loop {
                rustix::event::pause();
            }
        }
        ["rights"] => rights(),
        ["make", path] => {
            say(&std::fs::write(path, "")
                .map_or_else(|error| error.to_string(), |()| "done".into()));
        }
        ["print", path] => {
            say(&std::fs::read_to_string(path).unwrap_or_else(|error| error.to_string()));
        }
        ["open", path] => {
            let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK;
            let opened = rustix::fs::open(*path, flags, rustix::fs::Mode::empty());
            say(&opened.map_or_else(|errno| format!("{errno:?}"), |_| "opened".into()));
        }
        ["owners", paths @ ..] => paths.iter().for_each(|path| {
            let stat = rustix::fs::lstat(*path);
            let owner = stat.map(|stat| format!("{}:{}", stat.st_uid, stat.st_gid));
            say(&format!("{path} {}", owner.unwrap_or_else(|errno| errno.to_string())));
        }),
        ["kind", path] => {
            let kind = rustix::fs::lstat(*path)
                .map(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode));
            say(&kind.map_or_else(|errno| errno.to_string(), |kind| format!("{kind:?}")));
        }
        ["list", paths @ ..] => paths.iter().for_each(|path| {
            let entries = std::fs::read_dir(path).map(Iterator::count);
            say(&format!(
                "{path}: {}",
                entries.map_or_else(|error| error.to_string(), |n| n.to_string())
            ));
        }),
        ["no-death-signal", rest @ ..] => {
            let _ = rustix::process::set_parent_process_death_signal(None);
            become_program(rest);
        }
        ["uid", id, rest @ ..] => {
            let number = id.parse().unwrap_or(1);
            let (uid, gid) = (Uid::from_raw(number), Gid::from_raw(number));
            if rustix::thread::set_thread_res_gid(gid, gid, gid).is_err()
                || rustix::thread::set_thread_res_uid(uid, uid, uid).is_err()
            {
                println!("uid: refused");
            }
            become_program(rest);
        }
        other => {
            println!("no such task: {other:?}");
            exit(64);
        }
    }
}

/// The effective uid and capabilities.
fn rights() {
    let caps = rustix::thread::capabilities(None).map_or(0, |sets| sets.effective.bits());
    println!("{} {caps:x}", rustix::process::geteuid().as_raw());
}

/// The ids, and what the environment says of the user.
fn who() {
    let groups = rustix::process::getgroups().unwrap_or_default();
    let groups: Vec<_> = groups.iter().map(|gid| gid.as_raw().to_string()).collect();
    let variable = |name| std::env::var(name).unwrap_or_else(|_| "-".into());
    println!(
        "{}:{} {} {} {}",
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
        groups.join(","),
        variable("HOME"),
        variable("USER")
    );
}

fn become_program(words: &[&str]) {
    if let [program, args @ ..] = words {
        let error = Command::new(program).args(args).exec();
        println!("{program}: {error}");
    }
    exit(65);
}
