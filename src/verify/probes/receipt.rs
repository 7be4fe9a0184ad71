//! What was seen outside, for a reader and for the verdict.

use crate::error::errno_of;
use crate::verify::verdict::Receipt;
use rustix::fd::AsFd;
use rustix::net::{RecvFlags, recv};

/// The receipt of a mark that was seen, or not.
pub(super) fn arrived(seen: bool) -> Receipt {
    if seen { Receipt::Arrived } else { Receipt::Absent }
}

/// Whether a connection that is there brought the mark, which was written before the inside
/// answered: there is no wait for it.
pub(super) fn heard(stream: std::io::Result<impl AsFd>, mark: &str) -> (Receipt, &'static str) {
    let mut text = [0; 64];
    let read = stream
        .map_err(|error| errno_of(&error))
        .and_then(|stream| recv(&stream, text.as_mut_slice(), RecvFlags::DONTWAIT));
    if read.is_ok_and(|(_, length)| text[..length] == *mark.as_bytes()) {
        (Receipt::Arrived, "a connection with our word")
    } else {
        (Receipt::Absent, "no connection")
    }
}

/// Whether a message that is there is the mark.
pub(super) fn delivered(arrived: bool) -> (Receipt, &'static str) {
    if arrived { (Receipt::Arrived, "our message") } else { (Receipt::Absent, "no message") }
}
