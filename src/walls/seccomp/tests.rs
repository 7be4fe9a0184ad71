//! The compiler beside other readings of the same policy: a plain one, seccompiler's programs, and
//! libseccomp's numbers.

use super::calls::Syscall;
use super::default::{self, ABSENT, ALLOWED, CLOSED, FilterOptions, WITH_A_CAPABILITY};
use super::policy::{Action, Arch, Comparison, Operator, Policy, SyscallRule, X32_BIT};
use super::{SelfSignals, compile};
use crate::namespace::Switch;
use libc::sock_filter;
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::{BTreeMap, BTreeSet};

/// A call with its arguments, as a filter sees it.
#[derive(Clone, Copy, Debug)]
struct SeccompData {
    arch: u32,
    number: u32,
    arguments: [u64; 6],
}

/// Runs a program as the kernel does, net/core/filter.c, for any instruction that it takes.
fn run(program: &[sock_filter], call: SeccompData) -> u32 {
    let word = |offset: u32| match offset {
        0 => call.number,
        4 => call.arch,
        16..64 => {
            let argument = call.arguments[(offset as usize - 16) / 8];
            if offset.is_multiple_of(8) { argument as u32 } else { (argument >> 32) as u32 }
        }
        other => panic!("offset {other}"),
    };
    let (mut at, mut accumulator) = (0, 0);
    loop {
        let sock_filter { code, jt, jf, k } = program[at];
        at += 1;
        let jump = |holds: bool| usize::from(if holds { jt } else { jf });
        match code {
            0x20 => accumulator = word(k),
            0x54 => accumulator &= k,
            0x05 => at += k as usize,
            0x15 => at += jump(accumulator == k),
            0x25 => at += jump(accumulator > k),
            0x35 => at += jump(accumulator >= k),
            0x06 => return k,
            other => panic!("instruction {other:#x}"),
        }
    }
}

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

fn actions() -> impl Strategy<Value = Action> {
    select(vec![
        Action::Allow,
        Action::Errno(1),
        Action::Errno(38),
        Action::Errno(4095),
        Action::Notify,
        Action::Trap(7),
        Action::Trace(9),
        Action::Log,
        Action::KillThread,
        Action::KillProcess,
    ])
}

/// Values at which comparisons of halves go wrong.
fn values() -> impl Strategy<Value = u64> {
    let edges = [0, 1, 2, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];
    let edge = move || select(edges.to_vec());
    prop_oneof![(edge(), edge()).prop_map(|(high, low)| high << 32 | low), any::<u64>()]
}

fn comparisons() -> impl Strategy<Value = Comparison> {
    let operator = prop_oneof![
        select(vec![
            Operator::Eq,
            Operator::Ne,
            Operator::Lt,
            Operator::Le,
            Operator::Ge,
            Operator::Gt,
        ]),
        values().prop_map(Operator::MaskedEq),
    ];
    (0_u8..6, operator, values()).prop_map(|(argument, operator, value)| Comparison {
        argument,
        operator,
        value,
    })
}

fn policies() -> impl Strategy<Value = Policy> {
    let rule = (
        select(Syscall::all().collect::<Vec<_>>()),
        prop::collection::vec(comparisons(), 0..4),
        actions(),
    )
        .prop_map(|(call, when, action)| SyscallRule { call, when, action });
    let architectures = prop::sample::subsequence(Arch::ALL.to_vec(), 1..=Arch::ALL.len())
        // x32 has its entrance in that of x86-64.
        .prop_filter("x32 alone", |archs| {
            !archs.contains(&Arch::X32) || archs.contains(&Arch::X86_64)
        });
    (architectures, prop::collection::vec(rule, 0..120), actions(), actions()).prop_map(
        |(architectures, rules, otherwise, foreign)| Policy {
            architectures,
            rules,
            otherwise,
            foreign,
        },
    )
}

/// The arguments at which a policy could decide otherwise about a call: each value of its rules and
/// its neighbours, alone and with other upper halves.
fn boundaries(policy: &Policy, call: Syscall) -> Vec<[u64; 6]> {
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
fn agrees_everywhere(policy: &Policy) -> usize {
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_program_decides_as_its_policy_says(policy in policies()) {
        prop_assert!(agrees_everywhere(&policy) > 3000);
    }

    #[test]
    fn a_program_decides_as_that_of_another_compiler(policy in policies()) {
        as_seccompiler_decides(&policy);
    }
}

/// seccompiler knows two actions for each filter and two of the architectures, and gives a call
/// that has a rule without comparisons away to it.
fn as_seccompiler_decides(policy: &Policy) {
    use seccompiler::{SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition};
    let condition = |comparison: &Comparison| {
        let operator = match comparison.operator {
            Operator::Eq => SeccompCmpOp::Eq,
            Operator::Ne => SeccompCmpOp::Ne,
            Operator::Lt => SeccompCmpOp::Lt,
            Operator::Le => SeccompCmpOp::Le,
            Operator::Ge => SeccompCmpOp::Ge,
            Operator::Gt => SeccompCmpOp::Gt,
            Operator::MaskedEq(mask) => SeccompCmpOp::MaskedEq(mask),
        };
        let Comparison { argument, value, .. } = *comparison;
        SeccompCondition::new(argument, SeccompCmpArgLen::Qword, operator, value).unwrap()
    };
    for (arch, theirs) in [
        (Arch::X86_64, seccompiler::TargetArch::x86_64),
        (Arch::Aarch64, seccompiler::TargetArch::aarch64),
    ] {
        let two_actions = Policy {
            architectures: vec![arch],
            rules: (policy.rules.iter())
                .map(|rule| SyscallRule { action: Action::Errno(1), ..rule.clone() })
                // It masks the value of a masked comparison, where libseccomp does not.
                .filter(|rule| {
                    rule.when.iter().all(|one| match one.operator {
                        Operator::MaskedEq(mask) => one.value & !mask == 0,
                        _ => true,
                    })
                })
                .collect(),
            otherwise: Action::Allow,
            foreign: Action::KillProcess,
        };
        let mut rules = BTreeMap::<i64, Vec<seccompiler::SeccompRule>>::new();
        let mut always = BTreeSet::new();
        for rule in &two_actions.rules {
            let Some(number) = arch.number(rule.call).map(i64::from) else { continue };
            let of_this_call = rules.entry(number).or_default();
            if rule.when.is_empty() {
                always.insert(number);
            } else {
                let conditions = rule.when.iter().map(condition).collect();
                of_this_call.push(seccompiler::SeccompRule::new(conditions).unwrap());
            }
        }
        always.into_iter().for_each(|number| drop(rules.insert(number, Vec::new())));
        let filter = seccompiler::SeccompFilter::new(
            rules,
            SeccompAction::Allow,
            SeccompAction::Errno(1),
            theirs,
        );
        let theirs: seccompiler::BpfProgram = filter.unwrap().try_into().unwrap();
        let theirs: Vec<sock_filter> = theirs
            .iter()
            .map(|one| sock_filter { code: one.code, jt: one.jt, jf: one.jf, k: one.k })
            .collect();
        let ours = compile(&two_actions).unwrap();
        for named in Syscall::all() {
            let Some(number) = arch.number(named) else { continue };
            for arguments in boundaries(&two_actions, named) {
                let call = SeccompData { arch: arch.audit(), number, arguments };
                assert_eq!(run(&ours, call), run(&theirs, call), "{named:?} {call:x?}");
            }
        }
    }
}

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
fn what_a_deny_list_closes_is_closed_for_every_calling_convention() {
    let policy = Policy {
        architectures: vec![Arch::X86_64, Arch::I386],
        rules: vec![
            SyscallRule {
                call: Syscall::named("mount"),
                when: Vec::new(),
                action: Action::Errno(1),
            },
            SyscallRule {
                call: Syscall::named("socket"),
                when: vec![Comparison { argument: 0, operator: Operator::Eq, value: 40 }],
                action: Action::Errno(1),
            },
        ],
        otherwise: Action::Allow,
        foreign: Action::KillProcess,
    };
    let program = compile(&policy).unwrap();
    let answer = |arch: Arch, number, first| {
        run(&program, SeccompData { arch: arch.audit(), number, arguments: [first; 6] })
    };
    let mount = Arch::X32.number(Syscall::named("mount")).unwrap();
    assert_eq!(answer(Arch::X32, mount, 0), Action::Errno(libc::ENOSYS as u16).value());
    // A 64-bit program behind int 0x80 has upper halves, and the kernel cuts them off afterwards.
    let socket = Arch::I386.number(Syscall::named("socket")).unwrap();
    assert_eq!(answer(Arch::I386, socket, 1 << 32 | 40), Action::Errno(1).value());
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

#[test]
fn a_policy_that_cannot_be_a_program_is_refused() {
    let rule = |argument| SyscallRule {
        call: Syscall::named("open"),
        when: vec![Comparison { argument, operator: Operator::Eq, value: 0 }],
        action: Action::Allow,
    };
    let policy = |rules| Policy {
        architectures: Arch::HERE.to_vec(),
        rules,
        otherwise: Action::Errno(38),
        foreign: Action::KillProcess,
    };
    let refused = |rules| compile(&policy(rules)).unwrap_err();
    let lone = Policy { architectures: vec![Arch::X32], ..policy(Vec::new()) };
    assert_eq!(compile(&lone).unwrap_err(), super::CompileError::LoneX32);
    assert_eq!(refused(vec![rule(6)]), super::CompileError::UnknownArgument(6));
    let many = (0..3000).map(|n| SyscallRule { action: Action::Errno(n % 4000), ..rule(0) });
    assert!(
        matches!(refused(many.collect()), super::CompileError::TooLong(length) if length > 4096)
    );
}

#[test]
#[allow(clippy::print_stderr, reason = "a test says why it is skipped")]
fn numbers_are_those_of_libseccomp() {
    let Ok(version) = std::process::Command::new("scmp_sys_resolver").arg("-h").output() else {
        assert!(
            std::env::var_os("RUSTIC_NEED").is_none_or(|need| need != "all"),
            "needed: scmp_sys_resolver of the package seccomp"
        );
        eprintln!("skipped: scmp_sys_resolver of the package seccomp is missing");
        return;
    };
    drop(version);
    let mut compared = 0;
    for (arch, theirs) in Arch::ALL.into_iter().zip(["x86_64", "x86", "x32", "aarch64", "arm"]) {
        for call in Syscall::all() {
            let name = call.name();
            let output = std::process::Command::new("scmp_sys_resolver")
                .args(["-a", theirs, name])
                .output()
                .unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            // It does not know the newest calls, and says -1; a call that the architecture lacks
            // has a negative number of its own.
            let Some(number) = text.trim().parse::<i64>().ok().filter(|&number| number >= 0) else {
                continue;
            };
            assert_eq!(arch.number(call).map(i64::from), Some(number), "{theirs} {name}");
            compared += 1;
        }
    }
    assert!(compared > 1500, "only {compared} numbers were compared");
}
