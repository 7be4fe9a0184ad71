//! Families of sockets, by the native gate and by that of i386.

use super::answer::{answer, of, row};
use super::child::in_a_child;
use libc::c_int;

const FAMILIES: [(&str, c_int); 16] = [
    ("AF_UNIX", libc::AF_UNIX),
    ("AF_INET", libc::AF_INET),
    ("AF_X25", libc::AF_X25),
    ("AF_PACKET", libc::AF_PACKET),
    ("AF_RDS", libc::AF_RDS),
    ("AF_CAN", libc::AF_CAN),
    ("AF_TIPC", libc::AF_TIPC),
    ("AF_BLUETOOTH", libc::AF_BLUETOOTH),
    ("AF_ALG", libc::AF_ALG),
    ("AF_VSOCK", libc::AF_VSOCK),
    ("AF_KCM", 41),
    ("AF_QIPCRTR", 42),
    ("AF_SMC", 43),
    ("AF_XDP", libc::AF_XDP),
    ("AF_MCTP", 45),
    ("AF_INET6", libc::AF_INET6),
];

pub(super) fn sockets() {
    let made = |family: c_int, kind: c_int, protocol: c_int| {
        // SAFETY: numbers only; the socket is closed again.
        let fd = unsafe { libc::socket(family, kind, protocol) };
        let said = of(fd.into());
        // SAFETY: the descriptor is this function's own, or -1, which close refuses.
        unsafe { libc::close(fd) };
        said
    };
    let kinds = [libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_SEQPACKET, libc::SOCK_RAW];
    for (name, family) in FAMILIES {
        let tried: Vec<String> = kinds.iter().map(|&kind| made(family, kind, 0)).collect();
        let open = tried.iter().any(|said| said == "open");
        row("socket", name, if open { "open" } else { &tried[0] });
        #[cfg(target_arch = "x86_64")]
        {
            // A kernel without this gate ends who calls through it.
            let said = in_a_child(|| {
                let tried = kinds.iter().map(|&kind| compat::socket(family, kind));
                compat::said(tried.max().unwrap_or(-1))
            });
            row("socket", &format!("{name} by int 0x80"), &said);
        }
    }
    for protocol in 0..23 {
        let said = made(libc::AF_NETLINK, libc::SOCK_RAW, protocol);
        row("socket", &format!("AF_NETLINK {protocol}"), &said);
    }
    #[cfg(target_arch = "x86_64")]
    row("socket", "socketcall by int 0x80", &in_a_child(|| compat::said(compat::socketcall())));
}

/// Calls of i386 from a 64-bit program.
#[cfg(target_arch = "x86_64")]
mod compat {
    use std::arch::asm;

    fn call(number: i32, [a, b, c]: [i32; 3]) -> i32 {
        let answer: i32;
        // SAFETY: the gate saves every register but the result; rbx is the compiler's and is put
        // back. Only numbers are passed.
        unsafe {
            asm!("push rbx", "mov ebx, {a:e}", "int 0x80", "pop rbx", a = in(reg) a,
                 inlateout("eax") number => answer, in("ecx") b, in("edx") c,
                 lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _);
        }
        answer
    }

    pub(crate) fn socket(family: i32, kind: i32) -> i32 {
        let fd = call(359, [family, kind, 0]);
        if fd >= 0 {
            call(6, [fd, 0, 0]);
        }
        fd
    }

    /// SYS_SOCKET with its arguments at an address that is none.
    pub(crate) fn socketcall() -> i32 {
        call(102, [1, 0, 0])
    }

    pub(crate) fn said(answer: i32) -> String {
        let failed = std::io::Error::from_raw_os_error(-answer);
        super::answer(if answer < 0 { Err(failed) } else { Ok(()) })
    }
}
