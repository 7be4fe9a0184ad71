//! The bytes of an archive on their way in: counted, and hashed where that is wanted.

use sha2::{Digest, Sha256};
use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Counts the bytes of an archive as it is, and where it is wanted hashes them.
#[derive(Clone)]
pub struct Meter {
    read: Arc<AtomicU64>,
    hash: Option<Arc<Mutex<Sha256>>>,
}

impl Meter {
    pub(super) fn new(hashing: Hashing) -> Self {
        let hash = match hashing {
            Hashing::Wanted => Some(Arc::default()),
            Hashing::Unwanted => None,
        };
        Self { read: Arc::default(), hash }
    }

    /// The count itself, as it goes on.
    pub(super) fn counter(&self) -> Arc<AtomicU64> {
        self.read.clone()
    }

    /// How many bytes were read.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// The sha256 of what was read, which at the end of the stream is the archive's; `None` when it
    /// was not wanted.
    pub fn digest(&self) -> Option<String> {
        self.hash.as_ref().map(|hash| {
            hexadecimal(&hash.lock().unwrap_or_else(PoisonError::into_inner).clone().finalize())
        })
    }
}

/// Whether the bytes of an archive are hashed while they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hashing {
    /// Hashed: the digest is there at the end.
    Wanted,
    /// Counted only.
    Unwanted,
}

/// A stream whose bytes a meter counts.
pub(super) struct Metered<R> {
    inner: R,
    meter: Meter,
}

impl<R> Metered<R> {
    pub(super) fn new(inner: R, meter: Meter) -> Self {
        Self { inner, meter }
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.meter.read.fetch_add(length as u64, Ordering::Relaxed);
        if let Some(hash) = &self.meter.hash {
            hash.lock().unwrap_or_else(PoisonError::into_inner).update(&buffer[..length]);
        }
        Ok(length)
    }
}

/// A digest as it is shown and as the store names images by it.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
