//! What is tried on a process by its number.

use crate::error::of_nix;
use crate::sys;
use crate::verify::probes::uncover::uncovered;
use crate::verify::protocol::{Crossing, Ground, Reply, Topic};
use crate::verify::wall::Wall;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, getsid, pidfd_getfd, pidfd_open};
use serde::{Deserialize, Serialize};
use std::io::IoSliceMut;
use std::path::PathBuf;

/// What is tried inside; the fields are the arguments of the calls.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PidCrossing {
    /// process_vm_readv(2).
    Memory { pid: i32, address: usize, length: usize },
    /// getsid(2).
    Session { pid: i32 },
    /// pidfd_open(2), pidfd_getfd(2) and pread(2).
    Descriptor { pid: i32, descriptor: i32 },
    /// ptrace(2), PTRACE_SEIZE.
    Trace { pid: i32 },
    /// Its name in each of these /proc, and in what they cover, umount2(2).
    Uncover {
        pid: i32,
        #[serde(with = "crate::verify::escaped::all")]
        points: Vec<PathBuf>,
    },
}

impl Crossing for PidCrossing {
    const TOPIC: Topic = Topic::Wall(Wall::Pid);

    fn ground(&self) -> Ground {
        match self {
            Self::Trace { .. } | Self::Uncover { .. } => Ground::Apart,
            Self::Memory { .. } | Self::Session { .. } | Self::Descriptor { .. } => Ground::Here,
        }
    }

    fn attempt(&self, _: Option<OwnedFd>) -> Reply {
        match self {
            Self::Uncover { pid, points } => {
                let look = || {
                    let each = points.iter().map(|point| point.join(format!("{pid}/comm")));
                    let mut read = each.filter_map(|path| std::fs::read_to_string(path).ok());
                    read.next().map(|text| (0, text)).ok_or(Errno::NOENT)
                };
                Reply::of("umount2", "what covers /proc", uncovered(points, look))
            }
            &Self::Memory { pid, address, length } => {
                let mut bytes = vec![0; length];
                let remote = [RemoteIoVec { base: address, len: length }];
                let read = process_vm_readv(
                    nix::unistd::Pid::from_raw(pid),
                    &mut [IoSliceMut::new(&mut bytes)],
                    &remote,
                );
                let read =
                    read.map(|count| (count as i64, String::from_utf8_lossy(&bytes).into_owned()));
                Reply::of("process_vm_readv", format!("pid {pid}"), read.map_err(of_nix))
            }
            &Self::Session { pid } => {
                let session =
                    Pid::from_raw(pid).ok_or(Errno::SRCH).and_then(|pid| getsid(Some(pid)));
                let told = session.map(|session| {
                    (i64::from(number(session)), format!("session {}.", number(session)))
                });
                Reply::of("getsid", format!("pid {pid}"), told)
            }
            &Self::Descriptor { pid, descriptor } => {
                let text = Pid::from_raw(pid)
                    .ok_or(Errno::SRCH)
                    .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()))
                    .and_then(|pidfd| pidfd_getfd(pidfd, descriptor, PidfdGetfdFlags::empty()))
                    .and_then(|file| {
                        let mut bytes = [0; 64];
                        let length = rustix::io::pread(&file, bytes.as_mut_slice(), 0)?;
                        Ok((0, String::from_utf8_lossy(&bytes[..length]).into_owned()))
                    });
                Reply::of("pidfd_getfd", format!("pid {pid}, {descriptor}"), text)
            }
            &Self::Trace { pid } => {
                Reply::plain("ptrace", format!("PTRACE_SEIZE, pid {pid}"), sys::seize(pid))
            }
        }
    }
}

fn number(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}
