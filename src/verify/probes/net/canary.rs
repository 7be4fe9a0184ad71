//! Sockets of the outside.

use crate::error::{errno_text, without_number};
use crate::sys::vsock;
use crate::verify::outside::Canary;
use crate::verify::probes::receipt::comes;
use crate::verify::stage::Stage;
use crate::verify::verdict::Identity;
use rustix::fd::OwnedFd;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};
use std::path::PathBuf;

/// Listeners of the stage.
pub struct NetCanary {
    /// On the loopback.
    pub(super) tcp: TcpListener,
    /// Its port.
    pub(super) port: u16,
    /// An abstract one.
    pub(super) unix: UnixListener,
    /// One whose name is the secret.
    _named: UnixListener,
    /// On the loopback of IPv6.
    pub(super) tcp6: Result<TcpListener, String>,
    /// On the loopback, for datagrams.
    pub(super) udp: UdpSocket,
    /// A port of AF_VSOCK that is taken.
    pub(super) vsock: Result<(OwnedFd, u32), String>,
}

impl Canary for NetCanary {
    fn plant(stage: &Stage, _: &[PathBuf]) -> Result<Self, String> {
        let planted = || -> std::io::Result<Self> {
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            tcp.set_nonblocking(true)?;
            let unix =
                UnixListener::bind_addr(&UnixAddr::from_abstract_name(abstract_name(stage))?)?;
            unix.set_nonblocking(true)?;
            let tcp6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0))
                .and_then(|tcp6| tcp6.set_nonblocking(true).map(|()| tcp6))
                .map_err(|error| without_number(&error));
            let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            udp.set_nonblocking(true)?;
            let vsock = vsock::socket()
                .and_then(|socket| vsock::bind(&socket, vsock::ANY_PORT).map(|port| (socket, port)))
                .map_err(errno_text);
            let named = UnixAddr::from_abstract_name(&stage.secret)?;
            let named = UnixListener::bind_addr(&named)?;
            Ok(Self { port: tcp.local_addr()?.port(), tcp, unix, _named: named, tcp6, udp, vsock })
        };
        planted().map_err(|error| without_number(&error))
    }
}

impl NetCanary {
    /// Whether the mark came as a datagram. In the network of the sender it comes, if perhaps a
    /// little later, and is waited for.
    pub(super) fn has_received(&self, mark: &str, network: &Identity) -> bool {
        let mut text = [0; 64];
        if *network == Identity::Same {
            comes(&self.udp);
        }
        self.udp.recv(&mut text).is_ok_and(|length| text[..length] == *mark.as_bytes())
    }
}

/// The name of the abstract socket.
pub(super) fn abstract_name(stage: &Stage) -> String {
    format!("rustic.{}", stage.nonce)
}
