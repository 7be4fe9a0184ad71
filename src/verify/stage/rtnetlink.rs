//! One message of rtnetlink(7): an alias for the loopback, so that the stage's can be told from
//! every other.

use rustix::io::{Errno, Result};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};

/// The loopback is the first interface of every network namespace.
const LOOPBACK: u32 = 1;

/// Gives the loopback of this network an alias: RTM_SETLINK with IFLA_IFALIAS, rtnetlink(7).
///
/// # Errors
/// EPERM without CAP_NET_ADMIN over the network.
pub fn set_alias(alias: &str) -> Result<()> {
    const RTM_SETLINK: u16 = 19;
    const IFLA_IFALIAS: u16 = 20;
    const NLM_F_REQUEST_AND_ACK: u16 = 1 | 4;
    let attribute = 4 + alias.len();
    let length = 16 + 16 + attribute.next_multiple_of(4);
    let mut message = Vec::with_capacity(length);
    message.extend((length as u32).to_ne_bytes());
    message.extend(RTM_SETLINK.to_ne_bytes());
    message.extend(NLM_F_REQUEST_AND_ACK.to_ne_bytes());
    message.extend([0; 8]);
    message.extend([0; 4]);
    message.extend(LOOPBACK.to_ne_bytes());
    message.extend([0; 8]);
    message.extend((attribute as u16).to_ne_bytes());
    message.extend(IFLA_IFALIAS.to_ne_bytes());
    message.extend(alias.as_bytes());
    message.resize(length, 0);
    // Protocol 0 is NETLINK_ROUTE.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    send(&socket, &message, SendFlags::empty())?;
    let mut answer = [0u8; 256];
    let (_, received) = recv(&socket, answer.as_mut_slice(), RecvFlags::empty())?;
    // nlmsgerr: a negative errno behind the header, 0 for done.
    match answer
        .get(16..20)
        .filter(|_| received >= 20)
        .and_then(|bytes| bytes.try_into().ok())
        .map(i32::from_ne_bytes)
    {
        Some(0) => Ok(()),
        Some(negative) => Err(Errno::from_raw_os_error(-negative)),
        None => Err(Errno::PROTO),
    }
}
