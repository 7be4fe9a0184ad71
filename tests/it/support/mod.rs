//! The frame of the tests. Every test takes it from here, whichever file it stands in.

mod apart; //        namespaces of a test's own, and what is shared there
mod child; //        a program that was started: its first line and its end
mod combinations; // the eight namespaces, new and shared
mod folders; //      what this process has on disk, and its removal
mod machine; //      `need!`, who runs the tests, how long they wait
mod outside; //      processes, queues and namespaces of the host
mod rustic; //       rustic, being put together and started
mod text; //         numbers and calls in what a program says
mod trees; //        small roots for a container

pub(crate) use apart::{apart, shared_state};
pub(crate) use child::{Ran, end, ended, finish, finish_within, piped, until_line};
pub(crate) use combinations::{NAMES, combination, each_of, sample, with_a_user_namespace};
pub(crate) use folders::{
    binary, days, marker, payload, roomy, scratch, shared, store, surface, unique,
};
pub(crate) use machine::{CEILING, NOBODY, eventually};
pub(crate) use outside::{children_of, host, namespace, parent_of, processes, queues, sleeps};
pub(crate) use rustic::{Rustic, shell};
pub(crate) use text::{number_after, traced, unfolded};
pub(crate) use trees::{archive, tree};
