//! The default filter: what CMD may ask the kernel. Three answers are given to what it
//! may not: EPERM where a program expects to lack a right; ENOSYS, also for every call that is not
//! named here, where it expects an older kernel and has another way; EAFNOSUPPORT and
//! EPROTONOSUPPORT for sockets, which programs forgive.
//!
//! `docs/walls.md` says the same with the reasons at length.

use super::SelfSignals;
use super::arch::Arch;
use super::calls::Syscall;
use super::policy::{Action, Comparison, Policy, SyscallRule};
use super::tables::{ABSENT, ALLOWED, CHROOT, CLOSED, NAMESPACES, WITH_A_CAPABILITY};
use crate::namespace::Switch;
use caps::Capability::{self, *};
use libc::{EAFNOSUPPORT, ENOSYS, EPERM, EPROTONOSUPPORT};

/// What the default filter depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterOptions {
    /// The capabilities of CMD, a bit each: what belongs to them is open.
    pub capabilities: u64,
    /// Whether CMD may make user namespaces, and containers in them.
    pub nest: Switch,
    /// Whether signals to PID 1 are told to a listener.
    pub self_signals: SelfSignals,
}

/// The capability bits of a row.
fn opens(held: u64, row: &[Capability]) -> bool {
    row.iter().any(|capability| held & capability.bitmask() != 0)
}

/// CLONE_NEW* of linux/sched.h that clone(2) takes, and all that unshare(2) takes.
const CLONE_NEW: u32 = 0x7e02_0000;
const CLONE_NEWTIME: u32 = 0x80;
const CLONE_NEWUSER: u32 = 0x1000_0000;

/// Requests of ioctl(2) that put characters into a terminal's input, tty_ioctl(4),
/// ioctl_console(2).
const TIOCSTI: u32 = 0x5412;
const TIOCLINUX: u32 = 0x541c;

/// Personalities that change what uname(2) says and nothing else: PER_LINUX, PER_LINUX32, each with
/// and without UNAME26; and the question for the present one, personality(2).
const PERSONALITIES: [u32; 5] = [0, 0x0008, 0x0002_0000, 0x0002_0008, u32::MAX];

/// Families of sockets, socket(2), that everybody may have.
const FAMILIES: [i32; 3] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6];

/// Sub-calls of socketcall(2), whose arguments are in memory: SYS_SOCKET, SYS_SOCKETPAIR.
const HIDDEN_SOCKETS: [u32; 2] = [1, 8];

/// The calls whose arguments decide.
const CLONE: Syscall = Syscall::named("clone");
const CLONE3: Syscall = Syscall::named("clone3");
const UNSHARE: Syscall = Syscall::named("unshare");
const SOCKET: Syscall = Syscall::named("socket");
const SOCKETPAIR: Syscall = Syscall::named("socketpair");
const SOCKETCALL: Syscall = Syscall::named("socketcall");
const IOCTL: Syscall = Syscall::named("ioctl");
const PERSONALITY: Syscall = Syscall::named("personality");
const SIGNALS: [Syscall; 3] = Syscall::list(["kill", "tkill", "tgkill"]);

/// The default policy of this machine's architectures.
pub fn policy(order: FilterOptions) -> Policy {
    let mut rules = Rules(Vec::with_capacity(512));
    rules.all(ALLOWED, Action::Allow);
    for &(capabilities, calls) in WITH_A_CAPABILITY {
        let nested = order.nest == Switch::Yes && (calls == NAMESPACES || calls == CHROOT);
        let open = nested || opens(order.capabilities, capabilities);
        rules.all(calls, if open { Action::Allow } else { errno(EPERM) });
    }
    rules.all(CLOSED, errno(EPERM));
    rules.all(ABSENT, errno(ENOSYS));
    rules.namespaces(order);
    rules.sockets(order);
    rules.terminals();
    rules.personalities();
    rules.signals(order.self_signals);
    Policy {
        architectures: Arch::HERE.to_vec(),
        rules: rules.0,
        otherwise: errno(ENOSYS),
        // A third calling convention does not exist on these machines. If one comes, it is refused
        // rather than let through unseen.
        foreign: Action::KillProcess,
    }
}

const fn errno(number: i32) -> Action {
    Action::Errno(number as u16)
}

struct Rules(Vec<SyscallRule>);

impl Rules {
    fn add(&mut self, call: Syscall, when: Vec<Comparison>, action: Action) {
        self.0.push(SyscallRule { call, when, action });
    }

    fn all(&mut self, calls: &[Syscall], action: Action) {
        calls.iter().for_each(|&call| self.add(call, Vec::new(), action));
    }

    /// clone3 returns ENOSYS where flags matter, since they cannot be seen.
    fn namespaces(&mut self, order: FilterOptions) {
        if order.nest == Switch::Yes {
            return self.all(&[CLONE, CLONE3, UNSHARE], Action::Allow);
        }
        let closed = if opens(order.capabilities, &[CAP_SYS_ADMIN]) {
            [CLONE_NEWUSER, CLONE_NEWUSER]
        } else {
            [CLONE_NEW, CLONE_NEW | CLONE_NEWTIME]
        };
        self.add(CLONE3, Vec::new(), errno(ENOSYS));
        for (call, flags) in [CLONE, UNSHARE].into_iter().zip(closed) {
            self.add(call, vec![Comparison::low(0, flags, 0)], Action::Allow);
            self.add(call, Vec::new(), errno(EPERM));
        }
    }

    fn sockets(&mut self, order: FilterOptions) {
        let held = order.capabilities;
        let family = |family: i32| Comparison::low(0, u32::MAX, family as u32);
        let protocol = |protocol: i32| Comparison::low(2, u32::MAX, protocol as u32);
        for call in [SOCKET, SOCKETPAIR] {
            for one in FAMILIES {
                self.add(call, vec![family(one)], Action::Allow);
            }
        }
        // Who lacks the right for packets is told so by the kernel too.
        let may = opens(held, &[CAP_NET_RAW]) || order.nest == Switch::Yes;
        let packets = if may { Action::Allow } else { errno(EPERM) };
        self.add(SOCKET, vec![family(libc::AF_PACKET)], packets);
        if opens(held, &[CAP_NET_RAW]) {
            self.add(SOCKET, vec![family(libc::AF_XDP)], Action::Allow);
        }
        if opens(held, &[CAP_NET_ADMIN]) {
            self.add(SOCKET, vec![family(libc::AF_NETLINK)], Action::Allow);
        }
        for audit in [CAP_AUDIT_CONTROL, CAP_AUDIT_READ, CAP_AUDIT_WRITE] {
            if opens(held, &[audit]) {
                let audit = protocol(libc::NETLINK_AUDIT);
                self.add(SOCKET, vec![family(libc::AF_NETLINK), audit], Action::Allow);
            }
        }
        for one in [libc::NETLINK_ROUTE, libc::NETLINK_SOCK_DIAG] {
            self.add(SOCKET, vec![family(libc::AF_NETLINK), protocol(one)], Action::Allow);
        }
        self.add(SOCKET, vec![family(libc::AF_NETLINK)], errno(EPROTONOSUPPORT));
        self.add(SOCKET, Vec::new(), errno(EAFNOSUPPORT));
        self.add(SOCKETPAIR, Vec::new(), errno(EAFNOSUPPORT));
        for hidden in HIDDEN_SOCKETS {
            let sub_call = Comparison::low(0, u32::MAX, hidden);
            self.add(SOCKETCALL, vec![sub_call], errno(ENOSYS));
        }
        self.add(SOCKETCALL, Vec::new(), Action::Allow);
    }

    fn terminals(&mut self) {
        for request in [TIOCSTI, TIOCLINUX] {
            self.add(IOCTL, vec![Comparison::low(1, u32::MAX, request)], errno(EPERM));
        }
        self.add(IOCTL, Vec::new(), Action::Allow);
    }

    fn personalities(&mut self) {
        for one in PERSONALITIES {
            self.add(PERSONALITY, vec![Comparison::low(0, u32::MAX, one)], Action::Allow);
        }
        self.add(PERSONALITY, Vec::new(), errno(EPERM));
    }

    /// The target comes first. Only what is sent to PID 1 is told.
    fn signals(&mut self, self_signals: SelfSignals) {
        for call in SIGNALS {
            if self_signals == SelfSignals::Told {
                self.add(call, vec![Comparison::low(0, u32::MAX, 1)], Action::Notify);
            }
            self.add(call, Vec::new(), Action::Allow);
        }
    }
}
