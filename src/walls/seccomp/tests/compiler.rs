//! The compiler beside a plain reading of any policy, and beside seccompiler's programs.

use super::super::CompileError;
use super::super::arch::Arch;
use super::super::calls::Syscall;
use super::super::compile;
use super::super::policy::{Action, Comparison, Operator, Policy, SyscallRule};
use super::machine::{SeccompData, run};
use super::reading::{agrees_everywhere, boundaries};
use libc::sock_filter;
use proptest::prelude::*;
use proptest::sample::select;
use seccompiler::{SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition};
use std::collections::{BTreeMap, BTreeSet};

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
    for (arch, theirs) in [
        (Arch::X86_64, seccompiler::TargetArch::x86_64),
        (Arch::Aarch64, seccompiler::TargetArch::aarch64),
    ] {
        let two_actions = with_two_actions(policy, arch);
        let theirs = by_seccompiler(&two_actions, arch, theirs);
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

/// The policy with what both compilers can say of it.
fn with_two_actions(policy: &Policy, arch: Arch) -> Policy {
    Policy {
        architectures: vec![arch],
        rules: (policy.rules.iter())
            .map(|rule| SyscallRule { action: Action::Errno(1), ..rule.clone() })
            // It masks the value of a masked comparison, where libseccomp does not.
            .filter(|rule| {
                rule.when.iter().all(|one| match one.operator {
                    Operator::MaskedEq(mask) => one.value & !mask == 0,
                    Operator::Eq
                    | Operator::Ne
                    | Operator::Lt
                    | Operator::Le
                    | Operator::Ge
                    | Operator::Gt => true,
                })
            })
            .collect(),
        otherwise: Action::Allow,
        foreign: Action::KillProcess,
    }
}

fn by_seccompiler(
    policy: &Policy,
    arch: Arch,
    target: seccompiler::TargetArch,
) -> Vec<sock_filter> {
    let mut rules = BTreeMap::<i64, Vec<seccompiler::SeccompRule>>::new();
    let mut always = BTreeSet::new();
    for rule in &policy.rules {
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
        target,
    );
    let theirs: seccompiler::BpfProgram = filter.unwrap().try_into().unwrap();
    theirs
        .iter()
        .map(|one| sock_filter { code: one.code, jt: one.jt, jf: one.jf, k: one.k })
        .collect()
}

fn condition(comparison: &Comparison) -> SeccompCondition {
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
    assert_eq!(compile(&lone).unwrap_err(), CompileError::LoneX32);
    assert_eq!(refused(vec![rule(6)]), CompileError::UnknownArgument(6));
    let many = (0..3000).map(|n| SyscallRule { action: Action::Errno(n % 4000), ..rule(0) });
    assert!(matches!(refused(many.collect()), CompileError::TooLong(length) if length > 4096));
}
