//! The default filter: as its tables say, and as its reasons say.

use super::super::arch::Arch;
use super::super::calls::Syscall;
use super::super::default::{self, FilterOptions};
use super::super::policy::Action;
use super::super::tables::{ABSENT, ALLOWED, CLOSED, WITH_A_CAPABILITY};
use super::super::{SelfSignals, compile};
use super::machine::{SeccompData, run};
use super::reading::agrees_everywhere;
use crate::namespace::Switch;
use std::collections::BTreeSet;

fn order(capabilities: u64, nest: Switch) -> FilterOptions {
    FilterOptions { capabilities, nest, self_signals: SelfSignals::Told }
}

#[test]
fn the_default_filter_decides_as_its_table_says() {
    let every: Vec<u64> = (0..41).map(|capability| 1 << capability).collect();
    for capabilities in [0, u64::MAX].into_iter().chain(every) {
        for nest in [Switch::Yes, Switch::No] {
            let mut policy = default::policy(order(capabilities, nest));
            policy.architectures =
                Arch::ALL.into_iter().filter(|&arch| arch != Arch::X32).collect();
            assert!(agrees_everywhere(&policy) > 3000);
        }
    }
}

/// What the default filter answers to a call of an architecture of this machine.
fn answer(order: FilterOptions, arch: Arch, call: Syscall, arguments: [u64; 6]) -> Action {
    let number = arch.number(call).unwrap();
    let program = compile(&default::policy(order)).unwrap();
    let value = run(&program, SeccompData { arch: arch.audit(), number, arguments });
    let errno = |number: i32| Action::Errno(number as u16);
    [
        Action::Allow,
        Action::Notify,
        errno(libc::EPERM),
        errno(libc::ENOSYS),
        errno(libc::EAFNOSUPPORT),
        errno(libc::EPROTONOSUPPORT),
    ]
    .into_iter()
    .find(|action| action.value() == value)
    .unwrap()
}

#[test]
fn what_stands_above_32_bits_leads_past_no_rule() {
    let none = order(0, Switch::No);
    for high in [0, 1 << 32, 0xffff_ffff << 32] {
        for (name, argument, value, expected) in [
            ("ioctl", 1, 0x5412, libc::EPERM),
            ("ioctl", 1, 0x541c, libc::EPERM),
            ("socket", 0, 38, libc::EAFNOSUPPORT),
            ("socket", 0, 40, libc::EAFNOSUPPORT),
            ("clone", 0, 0x1000_0000, libc::EPERM),
            ("unshare", 0, 0x1000_0000, libc::EPERM),
            ("unshare", 0, 0x80, libc::EPERM),
            ("personality", 0, 0x0040_0000, libc::EPERM),
        ] {
            let mut arguments = [0; 6];
            arguments[argument] = value | high;
            for &arch in Arch::HERE {
                let errno = Action::Errno(expected as u16);
                assert_eq!(
                    answer(none, arch, Syscall::named(name), arguments),
                    errno,
                    "{name} {high:x}"
                );
            }
        }
        // The control: what is allowed is, whatever stands above.
        assert_eq!(
            answer(none, Arch::HERE[0], Syscall::named("socket"), [1 | high, 1, 0, 0, 0, 0]),
            Action::Allow
        );
    }
}

#[test]
fn a_capability_opens_what_belongs_to_it_and_nothing_else_does() {
    for (capabilities, calls) in WITH_A_CAPABILITY {
        for &call in *calls {
            let Some(&arch) = Arch::HERE.iter().find(|arch| arch.number(call).is_some()) else {
                continue;
            };
            for bit in 0..41 {
                let opened = capabilities.iter().any(|capability| *capability as u8 == bit);
                let expected =
                    if opened { Action::Allow } else { Action::Errno(libc::EPERM as u16) };
                let given = answer(order(1 << bit, Switch::No), arch, call, [0; 6]);
                assert_eq!(given, expected, "{} with capability {bit}", call.name());
            }
        }
    }
}

#[test]
fn new_user_namespaces_are_for_nest_alone() {
    let user = [0x1000_0000, 0, 0, 0, 0, 0];
    for &arch in Arch::HERE {
        for (capabilities, nest, clone3) in [
            (0, Switch::No, Action::Errno(libc::ENOSYS as u16)),
            (u64::MAX, Switch::No, Action::Errno(libc::ENOSYS as u16)),
            (0, Switch::Yes, Action::Allow),
        ] {
            let order = order(capabilities, nest);
            let expected =
                if nest == Switch::Yes { Action::Allow } else { Action::Errno(libc::EPERM as u16) };
            assert_eq!(answer(order, arch, Syscall::named("clone"), user), expected);
            assert_eq!(answer(order, arch, Syscall::named("unshare"), user), expected);
            assert_eq!(answer(order, arch, Syscall::named("clone3"), [0; 6]), clone3);
        }
        // A thread is none: glibc's flags for one.
        let thread = [0x003d_0f00, 0, 0, 0, 0, 0];
        assert_eq!(
            answer(order(0, Switch::No), arch, Syscall::named("clone"), thread),
            Action::Allow
        );
    }
}

#[test]
fn a_call_stands_in_one_of_the_tables_and_is_found_by_its_name() {
    let rows = WITH_A_CAPABILITY.iter().flat_map(|(_, calls)| calls.iter());
    let calls: Vec<Syscall> =
        ALLOWED.iter().chain(rows).chain(CLOSED).chain(ABSENT).copied().collect();
    let once: BTreeSet<Syscall> = calls.iter().copied().collect();
    assert_eq!(once.len(), calls.len(), "a call stands twice");
    assert!(Syscall::all().all(|call| Syscall::find(call.name()) == Some(call)));
    assert_eq!(Syscall::find("opne"), None);
}
