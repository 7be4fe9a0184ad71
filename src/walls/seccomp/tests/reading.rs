//! A policy read without a program, and whether a program decides the same everywhere.

use super::super::arch::{Arch, X32_BIT};
use super::super::calls::Syscall;
use super::super::compile;
use super::super::policy::{Action, Comparison, Operator, Policy, SyscallRule};
use super::machine::{SeccompData, run};
use libc::sock_filter;
use std::collections::BTreeMap;

fn holds(comparison: &Comparison, arch: Arch, arguments: [u64; 6]) -> bool {
    let (argument, value) = (arguments[usize::from(comparison.argument)], comparison.value);
    let argument =
        if matches!(arch, Arch::I386 | Arch::Arm) { argument & 0xffff_ffff } else { argument };
    match comparison.operator {
        Operator::Eq => argument == value,
        Operator::Ne => argument != value,
        Operator::Lt => argument < value,
        Operator::Le => argument <= value,
        Operator::Ge => argument >= value,
        Operator::Gt => argument > value,
        Operator::MaskedEq(mask) => argument & mask == value,
    }
}

/// A policy as it is read by people: for each call its rules, from the first to the last.
struct Reading<'a> {
    policy: &'a Policy,
    rules: BTreeMap<(Arch, u32), Vec<&'a SyscallRule>>,
}

impl<'a> Reading<'a> {
    fn of(policy: &'a Policy) -> Self {
        let mut rules = BTreeMap::<(Arch, u32), Vec<&SyscallRule>>::new();
        for rule in &policy.rules {
            for &arch in &policy.architectures {
                if let Some(number) = arch.number(rule.call) {
                    rules.entry((arch, number)).or_default().push(rule);
                }
            }
        }
        Self { policy, rules }
    }

    fn answer(&self, call: SeccompData) -> Action {
        let known = |arch: &Arch| self.policy.architectures.contains(arch);
        let x32 = call.arch == X86 && call.number >= X32_BIT && known(&Arch::X86_64);
        if x32 && !known(&Arch::X32) {
            return Action::Errno(libc::ENOSYS as u16);
        }
        let arch = if x32 {
            Some(Arch::X32)
        } else {
            let mut archs = Arch::ALL.into_iter().filter(|&arch| arch != Arch::X32);
            archs.find(|arch| arch.audit() == call.arch)
        };
        let Some(arch) = arch.filter(known) else { return self.policy.foreign };
        let rules = self.rules.get(&(arch, call.number)).into_iter().flatten();
        let mut deciding =
            rules.filter(|rule| rule.when.iter().all(|one| holds(one, arch, call.arguments)));
        deciding.next().map_or(self.policy.otherwise, |rule| rule.action)
    }
}

const X86: u32 = Arch::X86_64.audit();

/// The arguments at which a policy could decide otherwise about a call: each value of its rules and
/// its neighbours, alone and with other upper halves.
pub(super) fn boundaries(policy: &Policy, call: Syscall) -> Vec<[u64; 6]> {
    let mut all = vec![[0; 6], [u64::MAX; 6]];
    for comparison in
        policy.rules.iter().filter(|rule| rule.call == call).flat_map(|rule| &rule.when)
    {
        let value = comparison.value;
        for near in [value, value.wrapping_add(1), value.wrapping_sub(1)] {
            for one in [near, near ^ 1 << 32, near | 0xffff_ffff << 32, near & 0xffff_ffff] {
                for rest in [0, 1, u64::MAX] {
                    let mut arguments = [rest; 6];
                    arguments[usize::from(comparison.argument)] = one;
                    all.push(arguments);
                }
            }
        }
    }
    all
}

fn agree(reading: &Reading<'_>, program: &[sock_filter], call: SeccompData) {
    assert_eq!(run(program, call), reading.answer(call).value(), "{call:x?}");
}

/// Every number of every architecture, each with the arguments that could matter for it.
pub(super) fn agrees_everywhere(policy: &Policy) -> usize {
    let (program, reading) = (compile(policy).unwrap(), Reading::of(policy));
    let mut compared = 0;
    for arch in Arch::ALL {
        let known: Vec<(Syscall, u32)> =
            Syscall::all().filter_map(|call| Some((call, arch.number(call)?))).collect();
        let named = known.iter().flat_map(|(call, number)| {
            boundaries(policy, *call).into_iter().map(|at| (*number, at))
        });
        let bit = if arch == Arch::X32 { X32_BIT } else { 0 };
        let others = [0x3fff_ffff, X32_BIT, X32_BIT - 1, 0x7fff_ffff, 0x8000_0000, u32::MAX];
        let unnamed = (0..600).map(|number| number | bit).chain(others).map(|at| (at, [0; 6]));
        for (number, arguments) in named.chain(unnamed) {
            agree(&reading, &program, SeccompData { arch: arch.audit(), number, arguments });
            compared += 1;
        }
    }
    for arch in [0, 1, X86 ^ 1, 0x4000_00b7, u32::MAX] {
        agree(&reading, &program, SeccompData { arch, number: 1, arguments: [0; 6] });
    }
    compared
}
