//! The article's child: says its pid, tries to send a message, takes its namespaces into use, and
//! becomes CMD.

use crate::beneath::{self, AtOnce, Kind, Links, Lookup, Missing};
use crate::error::SysError;
use crate::exit::Exit;
use crate::invoke::options::Options;
use crate::invoke::words::{QUEUE, complain, note, say};
use crate::mounts;
use crate::mounts::Attributes;
use crate::namespace::{Namespace, Switch};
use crate::ready::message::LONGEST;
use crate::ready::queue::Queue;
use crate::run::control::{FarEnd, Report};
use crate::run::{exec, signals};
use crate::sys;
use crate::walls::{hostname, root};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::process::{Signal, getpid, set_parent_process_death_signal};
use rustix::stdio::stdin;
use std::path::Path;

/// The number of what the child tells the parent of its try: done, or a note of what was answered.
pub const TRIED: usize = 0;

/// The child from its clone to the execve(2) of CMD, or to its end.
pub fn main(options: &Options, parent: &FarEnd) -> ! {
    if let Err(errno) = sys::reset_signal_actions().and_then(|()| signals::unblock_all()) {
        complain(" Child: signal", errno);
        sys::exit_now(1)
    }
    // A parent that is killed takes a child that waits for a line along.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let verbose = |line: &str| {
        if options.verbose == Switch::Yes {
            say(line);
        }
    };
    // In a new PID namespace this is 1, as in the article's earlier programs.
    verbose(&format!(" Child: PID of child is {}\n", getpid().as_raw_nonzero()));
    if options.queue == Switch::Yes {
        let report = match send(&verbose) {
            Ok(()) => Report::Done(TRIED),
            Err(errno) => Report::Note(TRIED, errno),
        };
        let _ = parent.send(&report, None);
    }
    if let Err(error) = settle(options) {
        complain(&format!(" Child: {}", error.detail), error.errno);
        sys::exit_now(1);
    }
    if options.cmd.is_empty() {
        sys::exit_now(0);
    }
    let shown: Vec<_> = options.cmd.iter().map(|word| word.to_string_lossy()).collect();
    verbose(&format!(" Child: Executing command {} ...\n", shown.join(" ")));
    // The environment is cleared, as in the article.
    let error = exec::execute(&options.cmd, &[]);
    complain(&format!(" Child: {}", shown[0]), error.errno);
    if !error.detail.is_empty() {
        note(&format!(" Child: {}", error.detail));
    }
    let exit = if error.errno == Errno::NOENT && error.detail.is_empty() {
        Exit::NotFound
    } else {
        Exit::CannotRun
    };
    sys::exit_now(exit.code())
}

/// Tries to send a message; an errno says why none was sent.
fn send(verbose: &impl Fn(&str)) -> Result<(), Errno> {
    let name = QUEUE.to_string_lossy();
    verbose(&format!(" Child: opening message queue {name}\n"));
    let queue = Queue::open(QUEUE).map_err(|error| complained(" Child: mq_open", error.errno))?;
    say(&format!(
        "\n     Child: enter a message to send to the parent process (MAX {LONGEST} chars)\n     \
            >> "
    ));
    let result = match line() {
        Ok(Some(mut message)) => {
            say("\n");
            verbose(" Child: sending message to parent\n");
            message.push(0);
            queue
                .send_patiently(&message)
                .map_err(|error| complained(" Child: mq_send", error.errno))
        }
        Ok(None) => {
            say("\n");
            note(" Child: no message: end of input");
            Err(Errno::NODATA)
        }
        Err(errno) => Err(complained(" Child: read", errno)),
    };
    verbose(&format!(" Child: closing message queue {name}\n"));
    queue.close();
    result
}

fn complained(who: &str, errno: Errno) -> Errno {
    complain(who, errno);
    errno
}

/// A line of at most 80 bytes, cut at a character's boundary and at the first NUL; `None` at the
/// end of input. Read byte by byte, so that what follows the line is CMD's to read; the rest of a
/// longer line goes with it.
fn line() -> Result<Option<Vec<u8>>, Errno> {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        match rustix::io::read(stdin(), &mut byte) {
            Ok(0) if line.is_empty() => return Ok(None),
            Ok(0) => break,
            Ok(_) if byte == *b"\n" => break,
            Ok(_) if line.len() < LONGEST + 4 => line.push(byte[0]),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    line.truncate(line.iter().position(|&byte| byte == 0).unwrap_or(line.len()));
    // A byte of the form 10xxxxxx goes on with a character of UTF-8 that began before it.
    let goes_on = |at: usize| line.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let room = (0..=LONGEST.min(line.len())).rev().find(|&at| !goes_on(at)).unwrap_or(0);
    line.truncate(room);
    Ok(Some(line))
}

/// Host name, mounts and jail, in this order.
fn settle(options: &Options) -> Result<(), SysError> {
    let named = |what: &'static str| move |errno: Errno| SysError::new(errno, what);
    if let Some(name) = &options.hostname {
        hostname::set(name).map_err(named("sethostname"))?;
    }
    let own_mounts = options.namespaces.is_new(Namespace::Mount);
    if own_mounts {
        mounts::make_private().map_err(named("mount_setattr"))?;
    }
    // With a PID namespace of its own, or in a jail, the caller's /proc shows others than it
    // should.
    let proc = own_mounts && (options.namespaces.is_new(Namespace::Pid) || options.jail.is_some());
    let jail = options.jail.as_deref();
    let base = open(
        jail.unwrap_or(Path::new("/")),
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(named("the directory of -c"))?;
    if proc {
        let safe = Attributes::NO_SUID.union(Attributes::NO_DEVICES).union(Attributes::NO_EXEC);
        let mount = mounts::new(c"proc", &[], safe)
            .map_err(|error| SysError::new(error.errno, "mount proc"))?;
        let target = beneath::target(
            &base,
            Lookup {
                path: Path::new("proc"),
                kind: Some(Kind::Directory),
                links: Links::Refused,
                missing: Missing::Refused,
            },
            &mut AtOnce,
        )?;
        let target = target.file;
        mounts::attach(mount, target).map_err(named("mount proc"))?;
    }
    if jail.is_some() {
        root::enter(&base).map_err(named("chroot"))?;
    }
    Ok(())
}
