//! The rows, and an errno by its name.

use libc::c_long;

pub(super) fn row(kind: &str, name: &str, answer: &str) {
    println!("{kind}\t{name}\t{answer}");
}

/// An errno by its name; `open` for a success.
pub(super) fn answer<T>(result: std::io::Result<T>) -> String {
    match result {
        Ok(_) => "open".into(),
        Err(error) => match error.raw_os_error() {
            Some(errno) => format!("{:?}", nix::errno::Errno::from_raw(errno)),
            None => error.to_string(),
        },
    }
}

pub(super) fn of(result: c_long) -> String {
    answer(if result == -1 { Err(std::io::Error::last_os_error()) } else { Ok(()) })
}
