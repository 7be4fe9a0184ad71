//! The decompressed bytes on their way to the reader, from another thread where that pays.

use crate::error::Failure;
use crate::rootfs::meter::Meter;
use crate::rootfs::watch::{Progress, Watch};
use std::io::{self, BufRead, Read};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SendError, Sender, SyncSender, channel, sync_channel,
};
use std::thread::JoinHandle;
use std::time::Duration;

/// How many threads an unpack has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// The caller's: the process will clone, or is a clone.
    One,
    /// One more to decompress, gone when the unpack is done.
    Two,
}

/// Bytes of a chunk, and how many chunks are on their way at most: together what two threads may be
/// apart.
const CHUNK: usize = 256 << 10;
const CHUNKS: usize = 8;

/// How long the watcher goes unasked while nothing comes.
const PATIENCE: Duration = Duration::from_millis(100);

/// A tar stream that is watched while it is read.
pub(super) struct WatchedStream<'w> {
    source: ByteSource,
    meter: Meter,
    length: Option<u64>,
    /// What the watcher has been told of.
    told: u64,
    watch: &'w mut dyn Watch,
}

enum ByteSource {
    Direct(Box<dyn BufRead + Send>),
    Threaded(Chunks),
}

/// What a decompressing thread hands over.
struct Chunks {
    full: Receiver<io::Result<Vec<u8>>>,
    empty: Sender<Vec<u8>>,
    chunk: Vec<u8>,
    at: usize,
    thread: JoinHandle<()>,
}

impl<'w> WatchedStream<'w> {
    pub(super) fn new(
        stream: Box<dyn BufRead + Send>,
        threads: Threads,
        meter: Meter,
        length: Option<u64>,
        watch: &'w mut dyn Watch,
    ) -> Self {
        let source = match threads {
            Threads::One => ByteSource::Direct(stream),
            Threads::Two => {
                Chunks::start(stream).map_or_else(ByteSource::Direct, ByteSource::Threaded)
            }
        };
        Self { source, meter, length, told: 0, watch }
    }

    /// Ends the thread, which has nothing more to do once the stream is at its end. A stream that
    /// is dropped before leaves it: it may wait for stdin, and the process is about to end.
    ///
    /// # Errors
    /// A thread that has panicked.
    pub(super) fn finish(self) -> Result<(), Failure> {
        match self.source {
            ByteSource::Direct(_) => Ok(()),
            ByteSource::Threaded(Chunks { full, thread, .. }) => {
                drop(full);
                thread
                    .join()
                    .map_err(|_| Failure::new("the thread that decompresses has ended too early"))
            }
        }
    }
}

impl Chunks {
    /// Gives the stream back where no thread can be had: a limit on them (RLIMIT_NPROC, pids.max)
    /// makes an unpack slower, and keeps nothing from being unpacked.
    fn start(stream: Box<dyn BufRead + Send>) -> Result<Self, Box<dyn BufRead + Send>> {
        let (filled, full) = sync_channel(CHUNKS);
        let (empty, emptied) = channel();
        let (give, given) = channel();
        let decompressor = move || {
            if let Ok(stream) = given.recv() {
                decompress(stream, &filled, &emptied);
            }
        };
        match std::thread::Builder::new().name("decompressor".into()).spawn(decompressor) {
            Ok(thread) => {
                // It waits for it, and does not end before.
                give.send(stream).map_err(|SendError(stream)| stream)?;
                Ok(Self { full, empty, chunk: Vec::new(), at: 0, thread })
            }
            Err(_) => Err(stream),
        }
    }
}

/// Hands over what each read gives, until the end of the stream, a fault in it, or nobody wants
/// more.
fn decompress(
    mut stream: Box<dyn BufRead + Send>,
    filled: &SyncSender<io::Result<Vec<u8>>>,
    emptied: &Receiver<Vec<u8>>,
) {
    loop {
        let mut chunk = emptied.try_recv().unwrap_or_default();
        chunk.resize(CHUNK, 0);
        let handed = match stream.read(&mut chunk) {
            Ok(0) => return,
            Ok(length) => {
                chunk.truncate(length);
                Ok(chunk)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let failed = handed.is_err();
        if filled.send(handed).is_err() || failed {
            return;
        }
    }
}

impl BufRead for WatchedStream<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let mut look = |read| {
            self.watch.look(Progress { read, length: self.length }).map_err(io::Error::other)
        };
        match &mut self.source {
            ByteSource::Direct(stream) => {
                let read = self.meter.read();
                if read != self.told {
                    self.told = read;
                    look(read)?;
                }
                stream.fill_buf()
            }
            ByteSource::Threaded(chunks) => {
                while chunks.at == chunks.chunk.len() {
                    match chunks.full.recv_timeout(PATIENCE) {
                        Ok(chunk) => {
                            let emptied = std::mem::replace(&mut chunks.chunk, chunk?);
                            chunks.at = 0;
                            // Nobody takes it when the thread has come to the end.
                            let _ = chunks.empty.send(emptied);
                        }
                        Err(RecvTimeoutError::Timeout) => {}
                        Err(RecvTimeoutError::Disconnected) => return Ok(&[]),
                    }
                    look(self.meter.read())?;
                }
                Ok(&chunks.chunk[chunks.at..])
            }
        }
    }

    fn consume(&mut self, amount: usize) {
        match &mut self.source {
            ByteSource::Direct(stream) => stream.consume(amount),
            ByteSource::Threaded(chunks) => chunks.at += amount,
        }
    }
}

impl Read for WatchedStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let length = available.len().min(buffer.len());
        buffer[..length].copy_from_slice(&available[..length]);
        self.consume(length);
        Ok(length)
    }
}
