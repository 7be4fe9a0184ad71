//! Pipes between CMD and files that the caller has open for writing. Writing goes through the
//! caller's own description, so its offset, O_APPEND and position among other writers are kept;
//! what CMD holds is a pipe of rustic's, and the file behind it is out of its reach.

use crate::run::streams::{NAMES, Stream, descriptors};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, OFlags, SeekFrom, fcntl_getfl, fcntl_setfl, fstat, seek};
use rustix::io::{Errno, Result, ioctl_fionread};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use std::time::Duration;

/// Bytes of a pipe, where its user may have so many, pipe(7): fewer turns between the processes.
const PIPE_SIZE: usize = 1 << 20;

/// As much is moved before something else is looked at.
const CHUNK: usize = 1 << 18;

/// As much is written at once into what could make us wait.
const CAREFUL: usize = 4096;

/// How long a file that takes nothing is waited for when the container has ended.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// The ends that CMD gets, by the number of the stream that a pipe is for.
pub type Ends = [Option<OwnedFd>; 3];

/// Every pipe of a run.
#[derive(Debug, Default)]
pub struct Pipes {
    inputs: Vec<Input>,
    outputs: Vec<Output>,
}

/// A file that CMD reads.
#[derive(Debug)]
struct Input {
    number: usize,
    /// `None` when the file has ended or nobody reads any more.
    pipe: Option<OwnedFd>,
    /// The other end, kept to count what was not read.
    reader: OwnedFd,
    /// Read and not yet written.
    buffer: Vec<u8>,
}

/// A file that CMD writes.
#[derive(Debug)]
struct Output {
    number: usize,
    /// `None` when every writer is gone, or nothing can be written any more.
    pipe: Option<OwnedFd>,
    buffer: Vec<u8>,
    how: How,
    failure: Option<Errno>,
}

/// How bytes get from a pipe into a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// splice(2).
    Splice,
    /// read(2) and write(2), as splice does not append.
    Copy,
    /// The same with few bytes at a time, when the file says that it takes some.
    Carefully,
}

/// The end of a file that could not be written to: which stream, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Its name.
    pub stream: &'static str,
    /// The kernel's answer.
    pub errno: Errno,
}

/// Makes the pipes that the streams need. The parent keeps one side; the other is CMD's.
///
/// # Errors
/// EMFILE, ENFILE.
pub fn pipes(streams: &[Stream; 3]) -> Result<(Pipes, Ends)> {
    let mut pipes = Pipes::default();
    let mut ends = [None, None, None];
    for (number, stream) in streams.iter().enumerate() {
        match stream {
            Stream::Input(first) if *first == number => {
                let (reader, writer) = pipe()?;
                not_waiting(&writer)?;
                let counted = rustix::io::fcntl_dupfd_cloexec(&reader, 3)?;
                let pipe = Some(writer);
                pipes.inputs.push(Input { number, pipe, reader: counted, buffer: Vec::new() });
                ends[number] = Some(reader);
            }
            Stream::Output(first) if *first == number => {
                let (reader, writer) = pipe()?;
                not_waiting(&reader)?;
                let how = how(descriptors()[number])?;
                let pipe = Some(reader);
                let buffer = Vec::new();
                pipes.outputs.push(Output { number, pipe, buffer, how, failure: None });
                ends[number] = Some(writer);
            }
            _ => {}
        }
    }
    Ok((pipes, ends))
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    // A user may have 64 MiB of large pipes, pipe(7); a small one is slower and no less right.
    let _ = fcntl_setpipe_size(&writer, PIPE_SIZE);
    Ok((reader, writer))
}

fn not_waiting(end: &OwnedFd) -> Result<()> {
    fcntl_setfl(end, fcntl_getfl(end)? | OFlags::NONBLOCK)
}

fn how(file: BorrowedFd<'_>) -> Result<How> {
    Ok(match FileType::from_raw_mode(fstat(file)?.st_mode) {
        FileType::RegularFile if fcntl_getfl(file)?.contains(OFlags::APPEND) => How::Copy,
        FileType::RegularFile => How::Splice,
        _ => How::Carefully,
    })
}

impl Pipes {
    /// What is to be waited for: the pipes, and the files that could make us wait.
    pub fn sources(&self) -> impl Iterator<Item = PollFd<'_>> {
        let inputs = self.inputs.iter().filter_map(|input| {
            Some(PollFd::from_borrowed_fd(input.pipe.as_ref()?.as_fd(), PollFlags::OUT))
        });
        let outputs = self.outputs.iter().filter_map(|output| {
            let pipe = output.pipe.as_ref()?.as_fd();
            Some(match output.buffer.is_empty() {
                true => PollFd::from_borrowed_fd(pipe, PollFlags::IN),
                false => PollFd::from_borrowed_fd(descriptors()[output.number], PollFlags::OUT),
            })
        });
        inputs.chain(outputs)
    }

    /// Moves what can be moved without waiting, in both directions.
    pub fn relay(&mut self) {
        self.inputs.iter_mut().for_each(Input::fill);
        for output in &mut self.outputs {
            output.empty();
        }
    }

    /// Moves what is left when every process inside has ended, and gives back what nobody has read.
    /// What takes nothing for a while is not waited for. Tells what was lost.
    pub fn finish(mut self) -> Option<Lost> {
        for output in &mut self.outputs {
            while output.empty() == Moved::Some
                || output.has_more() && takes_more(descriptors()[output.number], LAST_WAIT)
            {
            }
            if output.has_more() {
                output.failure = output.failure.or(Some(Errno::AGAIN));
            }
        }
        self.inputs.iter_mut().for_each(Input::give_back);
        let lost = |output: &Output| {
            output.failure.map(|errno| Lost { stream: NAMES[output.number], errno })
        };
        self.outputs.iter().find_map(lost)
    }
}

/// Whether there may be more to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moved {
    Some,
    Nothing,
}

impl Input {
    fn fill(&mut self) {
        let Some(pipe) = &self.pipe else { return };
        if self.buffer.is_empty() {
            self.buffer.resize(CHUNK, 0);
            match rustix::io::read(descriptors()[self.number], &mut self.buffer) {
                Ok(length @ 1..) => self.buffer.truncate(length),
                // A file that cannot be read any more has ended for CMD.
                Ok(_) | Err(_) => {
                    self.buffer.clear();
                    self.pipe = None;
                    return;
                }
            }
        }
        match rustix::io::write(pipe, &self.buffer) {
            Ok(written) => drop(self.buffer.drain(..written)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // Nobody reads any more.
            Err(_) => self.pipe = None,
        }
    }

    /// Puts the caller's offset back before what was read ahead and never arrived.
    fn give_back(&mut self) {
        let in_pipe = ioctl_fionread(&self.reader).unwrap_or(0);
        let ahead = self.buffer.len() as u64 + in_pipe;
        let _ = seek(descriptors()[self.number], SeekFrom::Current(-(ahead as i64)));
    }
}

/// Whether a file takes more within a time.
fn takes_more(file: BorrowedFd<'_>, time: Duration) -> bool {
    let wait = Timespec::try_from(time).ok();
    poll(&mut [PollFd::from_borrowed_fd(file, PollFlags::OUT)], wait.as_ref()).is_ok_and(|n| n > 0)
}

impl Output {
    /// Whether something is left that could not be moved without waiting.
    fn has_more(&self) -> bool {
        let in_pipe = self.pipe.as_ref().map_or(0, |pipe| ioctl_fionread(pipe).unwrap_or(0));
        in_pipe > 0 || self.pipe.is_some() && !self.buffer.is_empty()
    }

    fn empty(&mut self) -> Moved {
        let Some(pipe) = &self.pipe else { return Moved::Nothing };
        let file = descriptors()[self.number];
        let moved = match self.how {
            How::Splice => splice(pipe, None, file, None, CHUNK, SpliceFlags::NONBLOCK),
            How::Copy => copy(pipe, file, &mut self.buffer, CHUNK),
            How::Carefully if takes_more(file, Duration::ZERO) => {
                copy(pipe, file, &mut self.buffer, CAREFUL)
            }
            How::Carefully => Err(Errno::AGAIN),
        };
        match moved {
            Ok(0) if self.buffer.is_empty() => self.pipe = None,
            Ok(_) => return Moved::Some,
            Err(Errno::INTR) => return Moved::Some,
            Err(Errno::AGAIN) => {}
            // The file system has no splice.
            Err(Errno::INVAL) if self.how == How::Splice => {
                self.how = How::Copy;
                return Moved::Some;
            }
            // CMD's next write is EPIPE: it does not go on as if somebody kept what it writes.
            Err(errno) => (self.failure, self.pipe) = (Some(errno), None),
        }
        Moved::Nothing
    }
}

/// Moves at most `most` bytes through a buffer, which keeps what the file did not take.
fn copy(pipe: &OwnedFd, file: BorrowedFd<'_>, buffer: &mut Vec<u8>, most: usize) -> Result<usize> {
    if buffer.is_empty() {
        buffer.resize(most, 0);
        let length = rustix::io::read(pipe, &mut *buffer).inspect_err(|_| buffer.clear())?;
        buffer.truncate(length);
        if length == 0 {
            return Ok(0);
        }
    }
    let written = rustix::io::write(file, buffer)?;
    buffer.drain(..written);
    Ok(written)
}
