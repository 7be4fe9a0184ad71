//! verify: that it tells the truth, of every combination and of every leak; that it leaves nothing;
//! that it knows what it does not know.

pub(crate) mod combinations;
mod files;
mod flip;
mod ids;
mod leaks;
mod left;
mod lines;
mod options;
mod root;
mod schema;
mod unknown;
mod verdicts;

use crate::support::Rustic;
use std::process::Child;

/// Starts it with room for its whole report, which is read when a watch over it has ended.
fn started_unread(verify: &Rustic) -> Child {
    let child = verify.started();
    let room = rustix::pipe::fcntl_setpipe_size(child.stdout.as_ref().unwrap(), 1 << 20);
    assert!(room.is_ok(), "{room:?}");
    child
}
