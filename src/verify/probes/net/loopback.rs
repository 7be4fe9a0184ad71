//! Ports and names that the outside listens on.

use super::canary::{NetCanary, abstract_name};
use super::inside::NetCrossing;
use crate::namespace::Namespace;
use crate::verify::attempt::Try;
use crate::verify::outside::Outside;
use crate::verify::probes::receipt::{delivered, heard};
use crate::verify::target::Target;
use rustix::io::Errno;
use std::net::{Ipv4Addr, SocketAddr};

pub(super) fn tcp(outside: &Outside<'_>, subject: &Target) -> Try {
    outside.planted("connect", |canary: &NetCanary| {
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, canary.port));
        let crossing = NetCrossing::Tcp { to, mark: subject.mark.clone() };
        let reply = subject.ask(&crossing);
        let (receipt, seen) = heard(&canary.tcp, &reply, &subject.mark);
        Try::marking(
            reply,
            subject.identity(Namespace::Net),
            receipt,
            seen,
            &[Errno::CONNREFUSED, Errno::NETUNREACH],
        )
    })
}

pub(super) fn abstract_socket(outside: &Outside<'_>, subject: &Target) -> Try {
    outside.planted("connect", |canary: &NetCanary| {
        let crossing = NetCrossing::Abstract {
            name: abstract_name(outside.stage),
            mark: subject.mark.clone(),
        };
        let reply = subject.ask(&crossing);
        let (receipt, seen) = heard(&canary.unix, &reply, &subject.mark);
        Try::marking(reply, subject.identity(Namespace::Net), receipt, seen, &[Errno::CONNREFUSED])
    })
}

pub(super) fn tcp6(outside: &Outside<'_>, subject: &Target) -> Try {
    outside.planted("connect", |canary: &NetCanary| {
        let listener = match &canary.tcp6 {
            Ok(listener) => listener,
            Err(reason) => {
                return Try::untried("connect", &format!("the host has no IPv6: {reason}"));
            }
        };
        let Ok(to) = listener.local_addr() else {
            return Try::unplanted("connect", "its port could not be read");
        };
        let crossing = NetCrossing::Tcp { to, mark: subject.mark.clone() };
        let reply = subject.ask(&crossing);
        let (receipt, seen) = heard(listener, &reply, &subject.mark);
        let walled = [Errno::CONNREFUSED, Errno::NETUNREACH, Errno::ADDRNOTAVAIL];
        Try::marking(reply, subject.identity(Namespace::Net), receipt, seen, &walled)
    })
}

pub(super) fn udp(outside: &Outside<'_>, subject: &Target) -> Try {
    outside.planted("sendto", |canary: &NetCanary| {
        let Ok(to) = canary.udp.local_addr() else {
            return Try::unplanted("sendto", "its port could not be read");
        };
        let crossing = NetCrossing::Udp { to, mark: subject.mark.clone() };
        let reply = subject.ask(&crossing);
        let network = subject.identity(Namespace::Net);
        let (receipt, seen) = delivered(canary.has_received(&subject.mark, &network));
        // A datagram to a port that nobody has is lost: that it was sent says nothing.
        Try::marking(reply, network, receipt, seen, &[Errno::NETUNREACH]).or_stayed()
    })
}
