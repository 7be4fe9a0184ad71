//! The standard streams, and the end of every other descriptor.

use super::{Child, opened};
use crate::beneath;
use crate::error::SysError;
use crate::run::control::Report;
use crate::run::pty::{self, Terminals};
use crate::run::streams::{self, Stream};
use crate::sys;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{Mode, OFlags, fcntl_getfl};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::ffi::CString;
use std::path::Path;

/// The first number above those that CMD may be told of.
const FIRST_FREE: i32 = 10;

impl Child<'_> {
    pub(super) fn open_views(&mut self, views: &[(usize, CString)]) -> Result<(), SysError> {
        for (number, path) in views {
            let named = |errno| SysError::new(errno, streams::NAMES[*number]);
            let view = streams::view_by_path(path, *number).map_err(named)?;
            // The parent gives the offset back at the end.
            self.given.report.pass(&Report::View(*number), view.as_fd()).map_err(named)?;
            self.views[*number] = Some(view);
        }
        Ok(())
    }

    pub(super) fn take_streams(
        &self,
        each: &[Stream; 3],
        dev: Option<usize>,
    ) -> Result<(), SysError> {
        for (number, stream) in each.iter().enumerate() {
            let named = |errno| SysError::new(errno, streams::shown(number, stream));
            let node;
            let source = match stream {
                Stream::Terminal | Stream::Passed => continue,
                Stream::View => self.given.streams.views[number].as_ref(),
                Stream::ViewByPath(_) => self.views[number].as_ref(),
                Stream::Input(first) | Stream::Output(first) => self.given.ends[*first].as_ref(),
                Stream::Node(name) => {
                    let flags = fcntl_getfl(streams::descriptors()[number]).map_err(named)?;
                    let dev = self.mount(dev.ok_or(Errno::BADF)?)?;
                    let mode = flags & OFlags::RWMODE;
                    node =
                        beneath::open(dev, Path::new(name), mode, Mode::empty()).map_err(named)?;
                    Some(&node)
                }
            };
            streams::replace(number, opened(source)?).map_err(named)?;
        }
        Ok(())
    }

    pub(super) fn terminal(
        &mut self,
        streams: Terminals,
        devpts: Option<usize>,
        uid: u32,
    ) -> Result<(), SysError> {
        let outer = self.given.outer.ok_or(Errno::NOTTY)?;
        let ptmx = match devpts {
            Some(slot) => pty::ptmx_of(self.mount(slot)?)?,
            None => self.given.ptmx.take().ok_or(Errno::NOTTY)?,
        };
        let (master, slave) = pty::pair(ptmx, outer)?;
        self.given.report.pass(&Report::Terminal, master.as_fd())?;
        pty::take(&slave, streams, uid)
    }

    /// Closed now and not by execve: a descriptor of the host would be a way back as long as it is
    /// open, through /proc/self/fd as a working directory above all (CVE-2024-21626). What stays
    /// until execve leads nowhere.
    pub(super) fn close_descriptors(&mut self, soft_limit: Option<u64>) -> Result<(), SysError> {
        (self.base, self.scratch, self.root) = (None, None, None);
        self.mounts.clear();
        self.covers.clear();
        self.masks = None;
        if soft_limit.is_some() {
            let limit = getrlimit(Resource::Nofile);
            setrlimit(Resource::Nofile, Rlimit { current: soft_limit, ..limit })?;
        }
        self.views = [None, None, None];
        let given = &mut self.given;
        // Out of the way of the number that CMD is told.
        given.report.renumber(FIRST_FREE)?;
        given.gate.renumber(FIRST_FREE)?;
        for fd in [&mut given.own, &mut given.channel, &mut given.ready].into_iter().flatten() {
            *fd = fcntl_dupfd_cloexec(&*fd, FIRST_FREE)?;
        }
        let own = [
            self.queue.as_ref().map(AsFd::as_fd),
            given.own.as_ref().map(AsFd::as_fd),
            given.channel.as_ref().map(AsFd::as_fd),
            given.ready.as_ref().map(AsFd::as_fd),
        ];
        let kept: Vec<BorrowedFd<'_>> = [given.report.as_fd(), given.gate.as_fd()]
            .into_iter()
            .chain(own.into_iter().flatten())
            .collect();
        // SAFETY: the child has dropped the others above, or lives without them: they are the
        // parent's and the warden's, no destructor of which runs here.
        #[allow(unsafe_code, reason = "whoever owned the others never runs here")]
        let closed = unsafe { sys::close_all_but(&kept) };
        Ok(closed?)
    }
}
