//! The parent: makes ready, forks the warden, and cleans up after itself.

use crate::error::{Failure, of_nix, without_number};
use crate::exit::Exit;
use crate::host::Host;
use crate::namespace::{Choice, Namespace, Switch};
use crate::ready::queue;
use crate::rootfs::meter::Hashing;
use crate::rootfs::store::{LeasedTree, Making};
use crate::rootfs::{Archive, Image};
use crate::run::child::Inheritance;
use crate::run::control::{self, FarEnd, NearEnd, Order};
use crate::run::diagnose;
use crate::run::events::Events;
use crate::run::foreign_filter;
use crate::run::image::{Found, find_image, resolved};
use crate::run::plan::{Ingredients, Plan};
use crate::run::prepare::prepare;
use crate::run::processors::Processors;
use crate::run::progress::Voice;
use crate::run::pty::{Outer, Terminals, host_ptmx};
use crate::run::refusal::Unsuccessful;
use crate::run::signals;
use crate::run::step::ParentStep;
use crate::run::stream_relay::{self, Ends, Pipes};
use crate::run::streams::Streams;
use crate::run::supervise::{Connections, Run, Supervisor, Wires};
use crate::run::warden::{self, Given};
use crate::self_exe;
use crate::spec::{First, Ready, Rootfs, Spec, Stdio, Verbosity, has_range};
use crate::sys;
use crate::walls::id_range::IdRange;
use caps::Capability;
use nix::sys::signalfd::SignalFd;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, Uid, fchown, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::{
    PidfdFlags, Resource, Rlimit, WaitId, WaitIdOptions, getpid, getrlimit, pidfd_open, setrlimit,
    umask, waitid,
};
use std::rc::Rc;

/// The plan of a run for this caller, with nothing done yet: what `--dry-run` prints.
///
/// # Errors
/// Those of [`Plan::new`], and a root file system that is not one.
pub fn planned(spec: &Spec, host: &Host) -> Result<Plan, Failure> {
    host.is_mapped()?;
    Events::over(spec.info_fd)?;
    if let Rootfs::Archive(path) = &spec.rootfs
        && !path.is_dir()
    {
        Archive::at(path.clone()).open(Hashing::Unwanted)?;
    }
    let streams = Streams::look(spec, host)?;
    let range = has_range(&spec.namespaces, host)
        .then(|| IdRange::look(spec.ids.range))
        .transpose()?
        .map(Rc::new);
    let found = find_image(spec, host, Making::No).map_err(Unsuccessful::failure)?;
    let spec = resolved(spec, host, &found)?;
    plan(&spec, host, found.image, &streams, range)
}

fn plan(
    spec: &Spec,
    host: &Host,
    image: Image,
    streams: &Streams,
    range: Option<Rc<IdRange>>,
) -> Result<Plan, Failure> {
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
    let streams = streams.each.clone();
    Plan::new(Ingredients { spec, host, image, terminals, streams, queue, range })
}

/// One try.
pub(super) fn run_told(spec: &Spec, host: &Host, info: &mut Events) -> Result<Exit, Unsuccessful> {
    // Every mode is given in full where something is made: the caller's umask would cut those of
    // the store and of an image's files.
    umask(Mode::empty());
    let streams = Streams::look(spec, host)?;
    let outer = outer(spec)?;
    // Neither here nor in the warden, which inherits it, is the lock given back before the
    // container has ended.
    let found = find_image(spec, host, Making::Yes)?;
    let spec = &resolved(spec, host, &found)?;
    let Found { image, held, warning, remarks } = found;
    // Held by this process and the warden, as the root file system is.
    let range = has_range(&spec.namespaces, host)
        .then(|| IdRange::take(spec.ids.range))
        .transpose()?
        .map(Rc::new);
    let mut plan = plan(spec, host, image, &streams, range)?;
    plan.warnings.extend(warning);
    plan.remarks.extend(remarks);
    let (mut ours, theirs) =
        both_sides(spec, &streams, outer.as_ref(), cmds_uid(&plan, spec, host))?;
    let voice = Voice { talk: spec.talk, line_end: if outer.is_some() { "\r\n" } else { "\n" } };
    let run = Run { spec, host, plan: &plan, voice };
    begin_the_story(run, held.as_ref());
    raise_descriptor_limit(&plan);
    foreign_filter::survive(&plan)?;
    let processors = Processors::of(&plan);
    // SAFETY: the threads of an unpack have been joined, and the one that closes descriptors comes
    // later.
    #[allow(unsafe_code, reason = "fork(2) with one thread")]
    let forked = unsafe { sys::fork() };
    let Some(warden) = forked.map_err(diagnose::not_forked)? else {
        drop(ours);
        warden::main(&plan, theirs.given(outer.as_ref(), &streams, spec.talk, processors))
    };
    processors.part(warden);
    drop(theirs);
    if let Ok(pidfd) = pidfd_open(warden, PidfdFlags::empty()) {
        ours.warden.know_peer(pidfd);
    }

    let result = match prepare(run) {
        Ok(queue) => {
            let Ours { signals, warden, child, ready: pipe, pipes } = ours;
            let wires = Wires { signals, warden, child, queue, pipe, outer };
            Supervisor::new(run, info, wires, Connections { streams, pipes }).wait()
        }
        Err(failure) => {
            let _ = ours.warden.send(&Order::Dismiss, None);
            Err(failure.into())
        }
    };
    let _ = rustix::io::retry_on_intr(|| waitid(WaitId::Pid(warden), WaitIdOptions::EXITED));
    drop(held);
    result
}

fn outer(spec: &Spec) -> Result<Option<Outer>, Failure> {
    match spec.stdio {
        Stdio::Guarded => Outer::look().map_err(io("cannot read the modes of the terminal")),
        Stdio::Inherit => Ok(None),
    }
}

fn io(what: &'static str) -> impl Fn(Errno) -> Failure {
    move |errno| Failure::new(what).errno(errno)
}

/// For this process, the warden and the child. Where it cannot be had, whoever opens too many will
/// say so.
fn raise_descriptor_limit(plan: &Plan) {
    let is_planned =
        plan.parent().any(|(.., step)| matches!(step, ParentStep::RaiseDescriptorLimit));
    if is_planned {
        let limit = getrlimit(Resource::Nofile);
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    }
}

fn begin_the_story(run: Run<'_>, held: Option<&LeasedTree>) {
    let Run { spec, host, plan, voice } = run;
    // Before another try, what is to be warned of has been said.
    match (host.idmap_refused, &host.ranges_refused) {
        (Switch::Yes, _) => voice.parent("beginning again with a copy of the image"),
        (Switch::No, Some(_)) => voice.parent("beginning again with one id"),
        (Switch::No, None) => {
            spec.warnings().iter().chain(&plan.warnings).for_each(|warning| voice.warning(warning));
        }
    }
    let unpacked = held.and_then(|held| held.unpacked.as_ref());
    for line in unpacked.iter().flat_map(|record| record.report.lines()) {
        voice.parent(&format!("root: unpacked {line}"));
    }
    voice.parent(&format!("PID of parent is {}", getpid().as_raw_nonzero()));
}

/// What the parent keeps of what is made before the fork.
struct Ours {
    signals: SignalFd,
    warden: NearEnd,
    child: NearEnd,
    ready: Option<OwnedFd>,
    pipes: Pipes,
}

/// What the warden gets, and the child of it.
struct Theirs {
    wire: FarEnd,
    opener: NearEnd,
    gate: FarEnd,
    report: FarEnd,
    ptmx: Option<OwnedFd>,
    own: Option<OwnedFd>,
    channel: Option<OwnedFd>,
    ready: Option<OwnedFd>,
    ends: Ends,
}

impl Theirs {
    fn given<'a>(
        self,
        outer: Option<&'a Outer>,
        streams: &'a Streams,
        talk: Verbosity,
        processors: Processors,
    ) -> Given<'a> {
        let Self { wire, opener, gate, report, ptmx, own, channel, ready, ends } = self;
        let child =
            Inheritance { report, gate, outer, ptmx, own, channel, ready, streams, ends, talk };
        Given { wire, child, gate: opener, processors }
    }
}

/// What CMD's uid is outside, where the caller may give it files.
fn cmds_uid(plan: &Plan, spec: &Spec, host: &Host) -> Option<u32> {
    plan.outside(spec.user.uid).filter(|_| host.uid == 0 && host.holds(Capability::CAP_CHOWN))
}

/// Makes what the processes have between them.
fn both_sides(
    spec: &Spec,
    streams: &Streams,
    outer: Option<&Outer>,
    uid: Option<u32>,
) -> Result<(Ours, Theirs), Failure> {
    let own_pty = outer.is_some() && !spec.namespaces.is_new(Namespace::Mount);
    let ptmx = own_pty.then(|| host_ptmx(uid)).transpose().map_err(io("cannot open /dev/ptmx"))?;
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
    let (said, ready) = ready_pipe(spec)?.unzip();
    let (pipes, ends) =
        stream_relay::pipes(&streams.each).map_err(io("cannot make a pipe for a stream"))?;
    // CMD opens them by /dev/stdout and its like.
    for pipe in ends.iter().chain([&ready]).flatten() {
        fchown(pipe, uid.map(Uid::from_raw), None).map_err(io("cannot give CMD a pipe"))?;
    }
    let signals =
        signals::listen().map_err(|errno| io("cannot listen for signals")(of_nix(errno)))?;
    let pair = || control::wire().map_err(io("cannot make a socket pair"));
    let ((warden, wire), (mut child, mut report), (opener, mut gate)) = (pair()?, pair()?, pair()?);
    // The child does not know who this is, and could not take one.
    child.never_by_number();
    if spec.namespaces.shows_the_child() {
        report.never_by_number();
        gate.never_by_number();
    }
    let ours = Ours { signals, warden, child, ready: said, pipes };
    let theirs = Theirs { wire, opener, gate, report, ptmx, own, channel, ready, ends };
    Ok((ours, theirs))
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
