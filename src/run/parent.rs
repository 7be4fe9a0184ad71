//! The parent: makes ready, forks the warden, and cleans up after itself.

use crate::error::{Failure, SysError, of_nix, without_number};
use crate::exit::Exit;
use crate::host::Host;
use crate::namespace::{Choice, Namespace, Switch};
use crate::ready::queue::{self, Queue};
use crate::rootfs::meter::Hashing;
use crate::rootfs::progress::Bar;
use crate::rootfs::run_directory;
use crate::rootfs::store::{LeasedTree, Making, Store};
use crate::rootfs::writer::UnpackLimits;
use crate::rootfs::{Archive, Image, Origin};
use crate::run::child::Inheritance;
use crate::run::control::{Order, wire};
use crate::run::events::Events;
use crate::run::plan::{Ingredients, Plan};
use crate::run::progress::Voice;
use crate::run::pty::{Outer, Terminals, host_ptmx};
use crate::run::resource::{self, Resource};
use crate::run::signals;
use crate::run::step::ParentStep;
use crate::run::stream_relay;
use crate::run::streams::{self, Streams};
use crate::run::supervise::{Connections, Run, Supervisor, Wires};
use crate::run::warden::{self, Given};
use crate::self_exe;
use crate::spec::{First, Ready, Rootfs, Spec, Stdio};
use crate::sys;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, WaitId, WaitIdOptions, getpid, pidfd_open, umask, waitid};
use std::path::PathBuf;

/// The plan of a run for this caller, with nothing done yet: what `--dry-run` prints.
///
/// # Errors
/// Those of [`Plan::new`], and a root file system that is not one.
pub fn planned(spec: &Spec, host: &Host) -> Result<Plan, Failure> {
    Events::over(spec.info_fd)?;
    if let Rootfs::Archive(path) = &spec.rootfs {
        Archive::File(path.clone()).open(Hashing::Unwanted)?;
    }
    let streams = Streams::look(spec, host)?;
    plan(spec, host, find_image(spec, host, Making::No)?.image, &streams)
}

fn plan(spec: &Spec, host: &Host, image: Image, streams: &Streams) -> Result<Plan, Failure> {
    let wanted = match spec.ready {
        Ready::Queue => true,
        // A queue that the program inside cannot see is no way to say READY=1.
        Ready::App => *spec.namespaces.get(Namespace::Ipc) == Choice::Shared,
        Ready::None => false,
    };
    let name = || {
        queue::Name::random()
            .map_err(|error| Failure::new("cannot name a message queue").errno(error.errno))
    };
    let queue = wanted.then(name).transpose()?;
    let terminals = match spec.stdio {
        Stdio::Guarded => Terminals::of_the_caller(),
        Stdio::Inherit => Terminals::default(),
    };
    let pipe_owners = streams::pipe_owners(&streams.each, spec, host);
    let streams = streams.each.clone();
    Plan::new(Ingredients { spec, host, image, terminals, streams, pipe_owners, queue })
}

/// Starts CMD as `spec` wants it and waits for its end.
///
/// # Errors
/// Whatever kept CMD from running, or from being ready in time; nothing is left behind then.
pub fn run(spec: &Spec, host: &Host) -> Result<Exit, Failure> {
    let mut info = Events::over(spec.info_fd)?;
    let result = run_told(spec, host, &mut info);
    info.exited(result.as_ref().map_or_else(|failure| failure.exit, |exit| *exit));
    result
}

fn run_told(spec: &Spec, host: &Host, info: &mut Events) -> Result<Exit, Failure> {
    // Every mode is given in full where something is made: the caller's umask would cut those of
    // the store and of an image's files.
    umask(Mode::empty());
    let streams = Streams::look(spec, host)?;
    let outer = match spec.stdio {
        Stdio::Guarded => Outer::look()
            .map_err(|errno| Failure::new("cannot read the modes of the terminal").errno(errno))?,
        Stdio::Inherit => None,
    };
    // Neither here nor in the warden, which inherits it, is the lock given back before the
    // container has ended.
    let Found { image, held } = find_image(spec, host, Making::Yes)?;
    let plan = plan(spec, host, image, &streams)?;

    let io = |what: &'static str| move |errno: Errno| Failure::new(what).errno(errno);
    let own_pty = outer.is_some() && !spec.namespaces.is_new(Namespace::Mount);
    let ptmx = own_pty.then(host_ptmx).transpose().map_err(io("cannot open /dev/ptmx"))?;
    let own = match spec.first {
        First::Cmd => None,
        First::Reaper | First::Probe(_) | First::ReapedProbe(_) => {
            Some(self_exe::binary().map_err(|error| {
                Failure::new(format!("cannot copy rustic into memory: {}", without_number(&error)))
            })?)
        }
    };
    let channel = spec.first.channel().map(sys::copy_of_inherited).transpose();
    let channel = channel.map_err(io("--probe: no such descriptor"))?;
    let (ready, app) = ready_pipe(spec)?.unzip();
    let (pipes, ends) =
        stream_relay::pipes(&streams.each).map_err(io("cannot make a pipe for a stream"))?;
    let signals =
        signals::listen().map_err(|errno| io("cannot listen for signals")(of_nix(errno)))?;
    let (mut parent_end, warden_end) = wire().map_err(io("cannot make a socket pair"))?;
    let (listening_end, child_end) = wire().map_err(io("cannot make a socket pair"))?;
    let (opener, gate) = wire().map_err(io("cannot make a socket pair"))?;

    let voice = Voice { talk: spec.talk, line_end: if outer.is_some() { "\r\n" } else { "\n" } };
    spec.warnings().iter().for_each(|warning| voice.warning(warning));
    for line in held
        .iter()
        .filter_map(|held| held.unpacked.as_ref())
        .flat_map(|record| record.report.lines())
    {
        voice.parent(&format!("root: unpacked {line}"));
    }
    voice.parent(&format!("PID of parent is {}", getpid().as_raw_nonzero()));
    // SAFETY: the threads of an unpack have been joined, and the one that closes descriptors comes
    // later.
    #[allow(unsafe_code, reason = "fork(2) with one thread")]
    let forked = unsafe { sys::fork() };
    let Some(warden) = forked.map_err(io("cannot fork the warden"))? else {
        drop((parent_end, listening_end, signals, ready, pipes));
        let child = Inheritance {
            report: child_end,
            gate,
            outer: outer.as_ref(),
            ptmx,
            own,
            channel,
            ready: app,
            streams: &streams,
            ends,
            talk: spec.talk,
        };
        warden::main(&plan, Given { wire: warden_end, child, gate: opener })
    };
    drop((warden_end, child_end, gate, opener, ptmx, app, ends));
    if let Ok(pidfd) = pidfd_open(warden, PidfdFlags::empty()) {
        parent_end.know_peer(pidfd);
    }

    let run = Run { spec, host, plan: &plan, voice };
    let result = match prepare(run) {
        Ok(queue) => {
            let (warden, child) = (parent_end, listening_end);
            let wires = Wires { signals, warden, child, queue, pipe: ready, outer };
            Supervisor::new(run, info, wires, Connections { streams, pipes }).wait()
        }
        Err(failure) => {
            let _ = parent_end.send(&Order::Heard, None);
            Err(failure)
        }
    };
    let _ = rustix::io::retry_on_intr(|| waitid(WaitId::Pid(warden), WaitIdOptions::EXITED));
    drop(held);
    result
}

/// Takes the parent's steps up to the start, when the warden is there to clean up after them. Where
/// one fails, what those before it have made is taken away; a queue that could not be made is
/// somebody else's, and stays.
fn prepare(run: Run<'_>) -> Result<Option<Queue>, Failure> {
    let mut made = Vec::new();
    let mut queue = None;
    for (number, step, own) in run.plan.parent() {
        let taken = step.ordered_failure().map_or_else(|| take(own, run), Err);
        match (taken, own) {
            (Ok(Some(Made { resource, open })), _) => {
                made.push(resource);
                queue = open.or(queue);
            }
            (Ok(None), ParentStep::ReceiveReady(_) | ParentStep::RemoveQueue(_)) => continue,
            (Ok(None), _) => {}
            (Err(error), ParentStep::MakeQueue(_))
                if run.spec.ready_by_name == Switch::No && is_used_up(error.errno) =>
            {
                let failure = step.diagnose(error.errno, &error.detail, run.host);
                run.voice.parent(&format!("goes on without a queue: {}", failure.in_a_line()));
                continue;
            }
            (Err(error), _) => {
                resource::remove_all(&made, None);
                return Err(step.diagnose(error.errno, &error.detail, run.host));
            }
        }
        run.voice.done(number, step);
    }
    Ok(queue)
}

/// What a step of the parent has made.
struct Made {
    resource: Resource,
    open: Option<Queue>,
}

fn take(step: &ParentStep, run: Run<'_>) -> Result<Option<Made>, SysError> {
    match step {
        // Opened before there was a plan: which ones could be decides what is planned.
        ParentStep::OpenViews(_) => Ok(None),
        ParentStep::GivePipes { before, uid } => {
            streams::give(before, *uid)?;
            Ok(Some(Made { resource: Resource::PipeOwners(before.clone()), open: None }))
        }
        ParentStep::MakeQueue(name) => {
            run.voice.parent(&format!("opening message queue {}", name.shown()));
            let (spec, host) = (run.spec, run.host);
            // The program inside opens it after its uid has changed.
            let given = spec.ready == Ready::App && spec.uid != host.uid && host.uid == 0;
            let queue = Queue::make(name, host.msg_max, given.then_some(spec.uid))?;
            Ok(Some(Made { resource: Resource::Queue(name.clone()), open: Some(queue) }))
        }
        // Taken by the supervisor, when the time has come.
        ParentStep::ReceiveReady(_) | ParentStep::RemoveQueue(_) => Ok(None),
    }
}

/// Whether it is the machine, or another user, that has left no queue to be made: a limit, or a
/// kernel without them. What others have used up keeps no container from starting.
fn is_used_up(errno: Errno) -> bool {
    [Errno::MFILE, Errno::NOSPC, Errno::NOMEM, Errno::NOSYS].contains(&errno)
}

/// The pipe of `--ready app`: the parent's end does not wait, CMD's is as any pipe.
fn ready_pipe(spec: &Spec) -> Result<Option<(OwnedFd, OwnedFd)>, Failure> {
    if spec.ready != Ready::App {
        return Ok(None);
    }
    let (reader, writer) =
        std::io::pipe().map_err(|error| Failure::new(format!("cannot make a pipe: {error}")))?;
    fcntl_setfl(&reader, OFlags::NONBLOCK)
        .map_err(|errno| Failure::new("cannot make a pipe").errno(errno))?;
    Ok(Some((reader.into(), writer.into())))
}

/// A root file system, and the lock that keeps it where it is: this process and the warden hold it
/// as long as the container lives.
struct Found {
    image: Image,
    held: Option<LeasedTree>,
}

/// The root file system, unpacked into the store where it has to be, and where something is to be
/// made at all.
fn find_image(spec: &Spec, host: &Host, making: Making) -> Result<Found, Failure> {
    let archive = match &spec.rootfs {
        Rootfs::Directory(path) => {
            return Ok(Found { image: Image::Directory(path.clone()), held: None });
        }
        Rootfs::Stored(name) => return find_stored(name, spec, host, making),
        Rootfs::Archive(path) => Archive::File(path.clone()),
        Rootfs::Builtin => Archive::builtin()?,
    };
    let store = open_store(spec, host, spec.store_by_name, making)?;
    if spec.namespaces.is_new(Namespace::Mount) {
        let Some(store) = store else {
            return Ok(Found { image: Image::Unpacked(Origin::Archive(archive)), held: None });
        };
        let held = store.tree(
            &archive,
            making,
            UnpackLimits::default(),
            &mut Bar::new(format!("unpacking {}", archive.short_name())),
        )?;
        return Ok(Found { image: Image::Tree(held.tree.clone()), held: Some(held) });
    }
    Ok(Found {
        image: per_run(Origin::Archive(archive), store.as_ref(), host, making)?,
        held: None,
    })
}

fn find_stored(name: &str, spec: &Spec, host: &Host, making: Making) -> Result<Found, Failure> {
    let store = open_store(spec, host, Switch::Yes, making)?
        .ok_or_else(|| Failure::new("the store cannot be written"))?;
    let held = store.named(name, making)?;
    let image = if spec.namespaces.is_new(Namespace::Mount) {
        Image::Tree(held.tree.clone())
    } else {
        per_run(
            Origin::Stored { name: name.to_owned(), tree: held.tree.clone() },
            Some(&store),
            host,
            making,
        )?
    };
    Ok(Found { image, held: Some(held) })
}

fn open_store(
    spec: &Spec,
    host: &Host,
    by_name: Switch,
    making: Making,
) -> Result<Option<Store>, Failure> {
    spec.store.as_ref().map_or(Ok(None), |root| Store::open(root, host, by_name, making))
}

fn per_run(
    origin: Origin,
    store: Option<&Store>,
    host: &Host,
    making: Making,
) -> Result<Image, Failure> {
    let runs = store.map_or_else(
        || std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from),
        Store::runs,
    );
    if making == Making::Yes {
        run_directory::sweep(&runs, host.uid);
    }
    let directory = run_directory::name_in(&runs)
        .map_err(|errno| Failure::new("cannot name a directory").errno(errno))?;
    Ok(Image::PerRun { origin, directory })
}
