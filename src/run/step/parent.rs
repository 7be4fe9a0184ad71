//! The parent's steps.

use crate::ready::queue::Name;

/// A step of the parent: before the child is cloned, and when CMD has said that it is ready.
#[derive(Debug)]
pub enum ParentStep {
    /// The soft limit of open descriptors raised to the hard one, where many mounts are ordered; CMD
    /// gets the old one.
    RaiseDescriptorLimit,
    /// The queue that the user can watch.
    MakeQueue(Name),
    /// A network namespace with its loopback up, made while the child makes its mounts.
    MakeNetwork,
    /// READY read from the queue.
    ReceiveReady(Name),
    /// The queue's name taken away.
    RemoveQueue(Name),
    /// Read-only views of what is behind these standard streams.
    OpenViews(Vec<usize>),
    /// Pipes behind standard streams given to CMD's uid, which could not open /dev/stdin otherwise;
    /// the uid that each had.
    GivePipes {
        /// Stream and owner.
        before: Vec<(usize, u32)>,
        /// The new owner.
        uid: u32,
    },
}
