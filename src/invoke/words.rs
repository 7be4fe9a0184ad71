//! The article's words. Each line is one write(2): nothing waits in a buffer that a fork would
//! copy.

use crate::error::errno_text;
use rustix::io::Errno;
use rustix::stdio::{stderr, stdout};

/// The queue's name, as mq_open(3) takes it.
pub const QUEUE: &std::ffi::CStr = c"/ipc_namespace";

/// The usage, which goes to stderr.
pub fn usage(program: &str) -> String {
    format!(
        "Usage: {program} [options] [cmd [arg...]]\n\
         Options:\n\
         \x20 -h           show this text\n\
         \x20 -v           say what happens\n\
         \x20 -p           new PID namespace\n\
         \x20 -m           new mount namespace\n\
         \x20 -u NAME      new UTS namespace, with this host name\n\
         \x20 -n           new network namespace\n\
         \x20 -i yes|no    message queue between parent and child; yes: the child in a new IPC namespace\n\
         \x20 -c DIR       the child in a jail: chroot to DIR, with a /proc of its own where -m is given\n\
         Before these: --timeout SECONDS waits that long for the message, --reuse takes a queue that is there already\n"
    )
}

/// Writes a text to stdout, as it is.
pub fn say(text: &str) {
    put(stdout(), text);
}

/// Says what went wrong on stderr, as perror(3) does.
pub fn complain(who: &str, errno: Errno) {
    // Of "ENOENT (No such file or directory)" the article shows the words.
    let text = errno_text(errno);
    let words =
        text.split_once('(').map_or(text.as_str(), |(_, words)| words.trim_end_matches(')'));
    put(stderr(), &format!("{who}: {words}\n"));
}

/// Writes a line to stderr, with the newline that ends it.
pub fn note(line: &str) {
    put(stderr(), &format!("{line}\n"));
}

fn put(to: rustix::fd::BorrowedFd<'_>, text: &str) {
    let mut bytes = text.as_bytes();
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}
