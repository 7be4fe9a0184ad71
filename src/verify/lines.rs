//! Messages as lines, for what passes both ways through pipes, through terminals, and through
//! whatever a launcher puts between: one line a message, with the nonce, the direction and a
//! checksum before it. Everything else that comes that way is chatter.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use rustix::io::{Errno, retry_on_intr};
use std::time::{Duration, Instant};

/// How many letters a nonce has.
pub const NONCE_LENGTH: usize = 12;

/// Which way a message goes: a terminal may echo one to who has written it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To the probe.
    In,
    /// From the probe.
    Out,
}

impl Way {
    const fn sign(self) -> char {
        match self {
            Self::In => '>',
            Self::Out => '<',
        }
    }
}

/// What a line is.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A message, whole.
    Message(&'a [u8]),
    /// Something that was one.
    Garbled,
    /// Anything else.
    Chatter,
}

/// The line of a message. It begins with the end of whatever stands before it.
pub fn framed(nonce: &str, way: Way, message: &[u8]) -> Vec<u8> {
    let head = format!("\n@{nonce}{} {:08x} ", way.sign(), crc32fast::hash(message));
    [head.as_bytes(), message, b"\n"].concat()
}

/// What a line is, that has come this way.
pub fn read<'a>(nonce: &str, way: Way, line: &'a [u8]) -> Line<'a> {
    let Some(rest) = line.strip_prefix(b"@").and_then(|rest| rest.strip_prefix(nonce.as_bytes()))
    else {
        // What has lost its beginning is told by what is left of it.
        let marked = line.windows(nonce.len()).any(|part| part == nonce.as_bytes());
        let json = line.ends_with(b"}") && line.contains(&b'{');
        return if marked && json { Line::Garbled } else { Line::Chatter };
    };
    let Some(rest) = rest.strip_prefix(&[way.sign() as u8]) else {
        let other = if way == Way::In { Way::Out } else { Way::In };
        let is_echo = rest.first() == Some(&(other.sign() as u8));
        return if is_echo { Line::Chatter } else { Line::Garbled };
    };
    let parts = rest.strip_prefix(b" ").and_then(|rest| rest.split_at_checked(8));
    let message = parts.and_then(|(sum, message)| {
        let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
        let message = message.strip_prefix(b" ")?;
        (crc32fast::hash(message) == sum).then_some(message)
    });
    message.map_or(Line::Garbled, Line::Message)
}

/// The lines that come from a descriptor.
#[derive(Default)]
pub struct Lines {
    /// What has come of the next ones.
    rest: Vec<u8>,
    ended: bool,
}

/// What is kept of a line that does not end.
const LONGEST: usize = 1 << 20;

impl Lines {
    /// The next line without its end, waited for until then; for ever where no time is said.
    ///
    /// # Errors
    /// `TIMEDOUT`; `PIPE` at the end of the stream; those of read(2).
    pub fn next(&mut self, from: impl AsFd, until: Option<Instant>) -> Result<Vec<u8>, Errno> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.rest.drain(..=end).collect();
                line.pop();
                // What a terminal adds.
                while line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(line);
            }
            if self.ended || self.rest.len() > LONGEST {
                return match std::mem::take(&mut self.rest) {
                    rest if rest.is_empty() => Err(Errno::PIPE),
                    rest => Ok(rest),
                };
            }
            self.more(&from, until)?;
        }
    }

    fn more(&mut self, from: impl AsFd, until: Option<Instant>) -> Result<(), Errno> {
        wait(&from, PollFlags::IN, until)?;
        let mut bytes = [0; 4096];
        match retry_on_intr(|| rustix::io::read(&from, bytes.as_mut_slice())) {
            // A terminal whose other side is gone says EIO.
            Ok(0) | Err(Errno::IO) => self.ended = true,
            Ok(length) => self.rest.extend_from_slice(&bytes[..length]),
            Err(Errno::AGAIN) => {}
            Err(errno) => return Err(errno),
        }
        Ok(())
    }
}

/// Writes all of it, until then.
///
/// # Errors
/// `TIMEDOUT` where nobody takes it; those of write(2).
pub fn write_all(to: impl AsFd, mut bytes: &[u8], until: Option<Instant>) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match retry_on_intr(|| rustix::io::write(&to, bytes)) {
            Ok(length) => bytes = &bytes[length..],
            Err(Errno::AGAIN) => wait(&to, PollFlags::OUT, until)?,
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn wait(fd: impl AsFd, flags: PollFlags, until: Option<Instant>) -> Result<(), Errno> {
    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
    let patience = left.map(timespec);
    let ready = retry_on_intr(|| poll(&mut [PollFd::new(&fd, flags)], patience.as_ref()))?;
    if ready == 0 { Err(Errno::TIMEDOUT) } else { Ok(()) }
}

fn timespec(time: Duration) -> Timespec {
    Timespec { tv_sec: time.as_secs() as i64, tv_nsec: i64::from(time.subsec_nanos()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "abcdefgh2345";

    #[test]
    fn a_message_comes_out_as_it_went_in_and_an_echo_is_none() {
        let line = framed(NONCE, Way::In, b"{\"number\":1}");
        let line = line.trim_ascii();
        assert_eq!(read(NONCE, Way::In, line), Line::Message(b"{\"number\":1}"));
        assert_eq!(read(NONCE, Way::Out, line), Line::Chatter);
        assert_eq!(read("otherone2345", Way::In, line), Line::Chatter);
    }

    #[test]
    fn whatever_byte_is_changed_taken_out_or_put_in_it_is_never_another_message() {
        let line = framed(NONCE, Way::Out, b"{\"number\":17,\"what\":\"done\"}");
        let line = line.trim_ascii();
        let head = 1 + NONCE.len();
        for at in 0..line.len() {
            let changed = [&line[..at], &[line[at] ^ 1], &line[at + 1..]].concat();
            let shorter = [&line[..at], &line[at + 1..]].concat();
            let longer = [&line[..at], b"x", &line[at..]].concat();
            for other in [changed, shorter, longer] {
                let read = read(NONCE, Way::Out, &other);
                assert!(!matches!(read, Line::Message(_)), "{}", String::from_utf8_lossy(&other));
                if at > head {
                    assert_eq!(read, Line::Garbled, "{}", String::from_utf8_lossy(&other));
                }
            }
        }
    }

    #[test]
    fn lines_come_whole_however_they_are_cut_and_the_end_is_told() {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        use std::io::Write;
        let mut lines = Lines::default();
        writer.write_all(b"one\r\ntw").expect("written");
        assert_eq!(lines.next(&reader, None), Ok(b"one".to_vec()));
        let soon = Some(Instant::now() + Duration::from_millis(20));
        assert_eq!(lines.next(&reader, soon), Err(Errno::TIMEDOUT));
        writer.write_all(b"o\nlast").expect("written");
        drop(writer);
        assert_eq!(lines.next(&reader, None), Ok(b"two".to_vec()));
        assert_eq!(lines.next(&reader, None), Ok(b"last".to_vec()));
        assert_eq!(lines.next(&reader, None), Err(Errno::PIPE));
    }
}
