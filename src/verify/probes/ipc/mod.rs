//! POSIX message queues and System V IPC: the article's crossing, and its sisters.

pub mod canary;
pub mod inside;

use super::find::{by_ways, mounted};
use super::receipt::{arrived, delivered};
use crate::namespace::Namespace;
use crate::sys::sysv;
use crate::verify::attempt::{Try, strongest};
use crate::verify::outside::Outside;
use crate::verify::probe::{Direction, Effect, Probe};
use crate::verify::stage::queue_name;
use crate::verify::target::Target;
use crate::verify::wall::Wall;
use canary::{QueueCanary, SysvCanary};
use inside::IpcCrossing;
use rustix::io::Errno;

/// The probes. A queue's descriptor that came along is another wall's, [`super::fds`].
pub const PROBES: [Probe; 7] = [
    Probe {
        id: "RV-IPC-01",
        wall: Wall::Ipc,
        title: "send to a POSIX message queue by its name",
        direction: Direction::Out,
        effect: Effect::Stage,
        attempt: by_name,
    },
    Probe {
        id: "RV-IPC-02",
        wall: Wall::Ipc,
        title: "send to it by its file: an mqueue mount shows the queues of whoever mounted it",
        direction: Direction::Out,
        effect: Effect::Stage,
        attempt: by_file,
    },
    Probe {
        id: "RV-IPC-04",
        wall: Wall::Ipc,
        title: "read System V shared memory by its key",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: memory,
    },
    Probe {
        id: "RV-IPC-05",
        wall: Wall::Ipc,
        title: "raise a System V semaphore by its key",
        direction: Direction::Out,
        effect: Effect::Stage,
        attempt: semaphore,
    },
    Probe {
        id: "RV-IPC-06",
        wall: Wall::Ipc,
        title: "send to a System V message queue by its key",
        direction: Direction::Out,
        effect: Effect::Stage,
        attempt: message,
    },
    Probe {
        id: "RV-IPC-07",
        wall: Wall::Ipc,
        title: "read System V shared memory by its id, which needs no key",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: memory_by_id,
    },
    Probe {
        id: "RV-IPC-08",
        wall: Wall::Ipc,
        title: "find the host's message queues among the mounts",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: by_mount,
    },
];

fn by_name(outside: &Outside<'_>, subject: &Target) -> Try {
    outside.planted("mq_open", |canary: &QueueCanary| {
        let crossing = IpcCrossing::QueueByName {
            name: queue_name(&outside.stage.nonce),
            mark: subject.mark.clone(),
        };
        let reply = subject.ask(&crossing);
        let (receipt, seen) = delivered(canary.received(&subject.mark));
        Try::marking(reply, subject.identity(Namespace::Ipc), receipt, seen, &[Errno::NOENT])
    })
}

fn by_file(outside: &Outside<'_>, subject: &Target) -> Try {
    outside.planted("open", |canary: &QueueCanary| {
        let name = queue_name(&outside.stage.nonce)[1..].to_owned();
        let mounts = subject.points("mqueue").into_iter().map(|folder| folder.join(&name));
        let ways = by_ways(outside, subject, &outside.stage.queues().join(&name));
        let tried = mounts.chain(ways).map(|path| {
            let door = subject.door_for(&path);
            let mark = subject.mark.clone();
            let reply = subject.ask(&IpcCrossing::QueueByFile { path, mark });
            let (receipt, seen) = delivered(canary.received(&subject.mark));
            Try::marking(
                reply,
                subject.identity(Namespace::Ipc),
                receipt,
                seen,
                &[Errno::NOENT, Errno::ACCESS],
            )
            .through(door)
            .or_closed()
        });
        strongest(tried).unwrap_or_else(|| Try::untried("open", "no mqueue is mounted inside"))
    })
}

fn by_mount(outside: &Outside<'_>, subject: &Target) -> Try {
    let devices = outside.stage.host.devices(|kind| kind == "mqueue");
    mounted(subject, &devices, subject.identity(Namespace::Ipc), |_, _| true)
}

fn memory_by_id(outside: &Outside<'_>, subject: &Target) -> Try {
    outside.planted("shmat", |objects: &SysvCanary| {
        let crossing = IpcCrossing::MemoryById { id: objects.memory };
        let reply = subject.ask(&crossing);
        let walled = [Errno::INVAL, Errno::IDRM, Errno::ACCESS];
        Try::reading(reply, subject.identity(Namespace::Ipc), &outside.stage.secret, &walled)
    })
}

fn memory(outside: &Outside<'_>, subject: &Target) -> Try {
    outside.planted("shmget", |objects: &SysvCanary| {
        let reply = subject.ask(&IpcCrossing::Memory { key: objects.key });
        Try::reading(
            reply,
            subject.identity(Namespace::Ipc),
            &outside.stage.secret,
            &[Errno::NOENT],
        )
    })
}

fn semaphore(outside: &Outside<'_>, subject: &Target) -> Try {
    outside.planted("semget", |objects: &SysvCanary| {
        let before = sysv::value(objects.semaphore);
        let reply = subject.ask(&IpcCrossing::Semaphore { key: objects.key });
        let after = sysv::value(objects.semaphore);
        let raised = matches!((before, after), (Ok(before), Ok(after)) if after > before);
        let seen = if raised { "the semaphore was raised" } else { "the semaphore is as it was" };
        Try::marking(
            reply,
            subject.identity(Namespace::Ipc),
            arrived(raised),
            seen,
            &[Errno::NOENT],
        )
    })
}

fn message(outside: &Outside<'_>, subject: &Target) -> Try {
    outside.planted("msgget", |objects: &SysvCanary| {
        let reply =
            subject.ask(&IpcCrossing::Message { key: objects.key, mark: subject.mark.clone() });
        let (receipt, seen) = delivered(
            sysv::receive(objects.message).is_ok_and(|text| text == subject.mark.as_bytes()),
        );
        Try::marking(reply, subject.identity(Namespace::Ipc), receipt, seen, &[Errno::NOENT])
    })
}
