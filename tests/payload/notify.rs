//! The socket of NOTIFY_SOCKET, and descriptors that are sent along.

use super::say::say;
use std::os::fd::AsFd;

/// Sends a message to NOTIFY_SOCKET with a descriptor, and says whether that was closed on the
/// other side.
pub(super) fn notify(text: &str) {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg_addr};
    let path = std::env::var("NOTIFY_SOCKET").unwrap_or_default();
    let sent = (|| -> rustix::io::Result<usize> {
        let (kept, passed) = rustix::pipe::pipe()?;
        let socket = rustix::net::socket(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::DGRAM,
            None,
        )?;
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors = [passed.as_fd()];
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        let words = text.replace("\\n", "\n");
        let address = rustix::net::SocketAddrUnix::new(path.as_str())?;
        sendmsg_addr(
            &socket,
            &address,
            &[std::io::IoSlice::new(words.as_bytes())],
            &mut ancillary,
            SendFlags::empty(),
        )?;
        drop(passed);
        // End of file comes when nobody has the other end any more.
        rustix::io::read(&kept, &mut [0; 1])
    })();
    println!("barrier {sent:?}");
}

/// Sends NOTIFY_SOCKET a connection whose close waits for ten minutes, as its other end reads
/// nothing, then READY=1 without one.
pub(super) fn notify_lingering() {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg_addr};
    use std::net::{TcpListener, TcpStream};
    let path = std::env::var("NOTIFY_SOCKET").unwrap_or_default();
    let sent = (|| -> std::io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let connection = TcpStream::connect(listener.local_addr()?)?;
        let (unread, _) = listener.accept()?;
        rustix::net::sockopt::set_socket_linger(
            &connection,
            Some(std::time::Duration::from_secs(600)),
        )?;
        connection.set_nonblocking(true)?;
        while std::io::Write::write(&mut &connection, &[0; 65536]).is_ok() {}
        let socket = rustix::net::socket(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::DGRAM,
            None,
        )?;
        let address = rustix::net::SocketAddrUnix::new(path.as_str())?;
        let (from, to) = (socket.try_clone()?, address.clone());
        // Whoever closes last waits: rustic, or this thread.
        std::thread::spawn(move || {
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            let passed = [connection.as_fd()];
            ancillary.push(SendAncillaryMessage::ScmRights(&passed));
            let text = [std::io::IoSlice::new(b"STATUS=x")];
            let _ = sendmsg_addr(&from, &to, &text, &mut ancillary, SendFlags::empty());
            drop(connection);
        });
        std::thread::sleep(std::time::Duration::from_millis(50));
        let mut nothing = SendAncillaryBuffer::default();
        let text = [std::io::IoSlice::new(b"READY=1")];
        sendmsg_addr(&socket, &address, &text, &mut nothing, SendFlags::empty())?;
        say("sent");
        // The end of stdin lets the other side go.
        std::io::Read::read_to_end(&mut std::io::stdin(), &mut Vec::new())?;
        drop(unread);
        Ok(())
    })();
    if let Err(error) = sent {
        say(&format!("not sent: {error}"));
    }
}

/// Puts as many descriptors in flight as its user may have, and keeps them there.
pub(super) fn fill_in_flight() {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let mut kept = Vec::new();
    let refused = 'filling: loop {
        let pair = rustix::net::socketpair(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::DGRAM,
            rustix::net::SocketFlags::NONBLOCK,
            None,
        );
        let Ok(pair) = pair else { break Err(()) };
        // What is in flight lives as long as its sockets.
        kept.push(pair);
        let Some((one, _)) = kept.last() else { break Err(()) };
        loop {
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(200))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            let passed = [one.as_fd(); 200];
            ancillary.push(SendAncillaryMessage::ScmRights(&passed));
            let text = [std::io::IoSlice::new(b"x")];
            match sendmsg(one, &text, &mut ancillary, SendFlags::empty()) {
                Ok(_) => {}
                Err(rustix::io::Errno::TOOMANYREFS) => break 'filling Ok(()),
                Err(_) => break,
            }
        }
    };
    say(&format!("filled {refused:?}"));
    std::thread::sleep(std::time::Duration::from_secs(600));
}
