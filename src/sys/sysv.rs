//! System V IPC: shared memory, message queues and semaphores by key, sysvipc(7).

use super::errno::{checked, last_errno};
use rustix::io::{Errno, Result};

/// What a key names: each kind has a table of its own in an IPC namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// A segment of [`LENGTH`] bytes, shmget(2).
    Memory,
    /// A message queue, msgget(2).
    Queue,
    /// One semaphore, semget(2).
    Semaphore,
}

/// How much of a segment is read and written, and the longest message.
pub const LENGTH: usize = 64;

#[repr(C)]
struct MsgBuf {
    kind: libc::c_long,
    text: [u8; LENGTH],
}

fn get(kind: Mechanism, key: i32, flags: i32) -> Result<i32> {
    // SAFETY: integers only.
    let id = unsafe {
        match kind {
            Mechanism::Memory => libc::shmget(key, LENGTH, flags),
            Mechanism::Queue => libc::msgget(key, flags),
            Mechanism::Semaphore => libc::semget(key, 1, flags),
        }
    };
    checked(id.into()).map(|id| id as i32)
}

/// Makes one for its user alone, mode 0600. EEXIST where the key is taken.
pub fn make(kind: Mechanism, key: i32) -> Result<i32> {
    get(kind, key, libc::IPC_CREAT | libc::IPC_EXCL | 0o600)
}

/// The id of what a key names here. ENOENT where it names nothing.
pub fn find(kind: Mechanism, key: i32) -> Result<i32> {
    get(kind, key, 0)
}

fn with_memory<T>(id: i32, flags: i32, act: impl FnOnce(*mut [u8; LENGTH]) -> T) -> Result<T> {
    // SAFETY: a null address lets the kernel choose a free one.
    let address = unsafe { libc::shmat(id, std::ptr::null(), flags) };
    if address as isize == -1 {
        return Err(last_errno());
    }
    let result = act(address.cast());
    // SAFETY: the address is the one that shmat gave, and nothing refers to it any more.
    checked(unsafe { libc::shmdt(address) }.into())?;
    Ok(result)
}

/// The bytes of a segment.
pub fn read_memory(id: i32) -> Result<[u8; LENGTH]> {
    // SAFETY: shmat has mapped a whole page for reading at this address, which is longer; bytes are
    // valid whatever another process writes.
    with_memory(id, libc::SHM_RDONLY, |memory| unsafe { std::ptr::read_volatile(memory) })
}

/// Sets the bytes of a segment.
pub fn write_memory(id: i32, bytes: [u8; LENGTH]) -> Result<()> {
    // SAFETY: shmat has mapped a whole page for writing at this address, which is longer.
    with_memory(id, 0, |memory| unsafe { std::ptr::write_volatile(memory, bytes) })
}

/// Sends a message of type 1, without waiting. EMSGSIZE above [`LENGTH`] bytes.
pub fn send(id: i32, text: &[u8]) -> Result<()> {
    let mut message = MsgBuf { kind: 1, text: [0; LENGTH] };
    message.text.get_mut(..text.len()).ok_or(Errno::MSGSIZE)?.copy_from_slice(text);
    // SAFETY: the structure starts with its type, and has at least `text.len()` bytes behind it; it
    // outlives the call.
    checked(
        unsafe { libc::msgsnd(id, (&raw const message).cast(), text.len(), libc::IPC_NOWAIT) }
            .into(),
    )
    .map(drop)
}

/// The next message, without waiting. ENOMSG where there is none.
pub fn receive(id: i32) -> Result<Vec<u8>> {
    let mut message = MsgBuf { kind: 0, text: [0; LENGTH] };
    // SAFETY: the structure has room for the type and `LENGTH` bytes, and outlives the call.
    let length =
        checked(
            unsafe { libc::msgrcv(id, (&raw mut message).cast(), LENGTH, 0, libc::IPC_NOWAIT) }
                as libc::c_long,
        )?;
    Ok(message.text[..length as usize].to_vec())
}

/// Adds one to a semaphore, without waiting.
pub fn raise(id: i32) -> Result<()> {
    let mut operation =
        libc::sembuf { sem_num: 0, sem_op: 1, sem_flg: libc::IPC_NOWAIT as libc::c_short };
    // SAFETY: one operation, which outlives the call.
    checked(unsafe { libc::semop(id, &raw mut operation, 1) }.into()).map(drop)
}

/// What a semaphore holds.
pub fn value(id: i32) -> Result<i32> {
    // SAFETY: GETVAL takes no argument.
    checked(unsafe { libc::semctl(id, 0, libc::GETVAL) }.into()).map(|value| value as i32)
}
