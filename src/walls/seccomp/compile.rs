//! Policy → program: for each architecture a balanced tree over the numbers of its calls, whose
//! leaves are decisions. The kernel runs a filter at each call, and once for every number when it
//! is attached (seccomp's bitmap of calls that need no look at their arguments, Linux 5.11): depth
//! is what costs, so a list of comparisons would be ten times dearer.

use super::arch::{Arch, X32_BIT};
use super::policy::{Action, Policy};
use super::program::{ARCH, NUMBER, Position, Program};
use libc::{BPF_JEQ, BPF_JGE, sock_filter};
use std::fmt;

/// The longest program that the kernel takes, linux/bpf_common.h.
const BPF_MAXINSNS: usize = 4096;

/// Why a policy cannot become a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompileError {
    /// A call has six arguments, counted from 0.
    UnknownArgument(u8),
    /// x32 has its entrance in that of x86-64, which is missing.
    LoneX32,
    /// It is longer than the kernel takes.
    TooLong(usize),
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownArgument(number) => write!(f, "a call has no argument {number}"),
            Self::LoneX32 => f.write_str("x32 without x86-64 cannot be told apart"),
            Self::TooLong(length) => {
                write!(f, "{length} instructions, and the kernel takes {BPF_MAXINSNS}")
            }
        }
    }
}

/// The program of a policy.
///
/// # Errors
/// A rule that means nothing, or more rules than the kernel has room for.
pub fn compile(policy: &Policy) -> Result<Vec<sock_filter>, CompileError> {
    let arguments = policy.rules.iter().flat_map(|rule| &rule.when);
    if let Some(wrong) = arguments.map(|comparison| comparison.argument).find(|&one| one > 5) {
        return Err(CompileError::UnknownArgument(wrong));
    }
    let knows = |arch| policy.architectures.contains(&arch);
    if knows(Arch::X32) && !knows(Arch::X86_64) {
        return Err(CompileError::LoneX32);
    }
    let mut program = Program::new();
    let foreign = program.decide(policy.foreign);
    let mut next = foreign;
    for arch in policy.architectures.iter().rev().filter(|&&arch| arch != Arch::X32) {
        program.width = arch.width();
        let leaves = leaves(policy, *arch);
        let tree = program.tree(&leaves, policy);
        let entry = program.load(NUMBER, tree);
        next = program.branch(BPF_JEQ, arch.audit(), entry, next);
    }
    program.load(ARCH, next);
    let code = program.into_code();
    if code.len() > BPF_MAXINSNS { Err(CompileError::TooLong(code.len())) } else { Ok(code) }
}

/// What is decided about a stretch of numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Decision {
    /// Whatever the arguments are.
    Always(Action),
    /// By these rules of the policy, in order.
    Rules(Vec<usize>),
}

/// A stretch of numbers, from its first one to that of the next leaf.
struct Leaf {
    first: u32,
    decision: Decision,
}

/// Every number of an architecture: sorted, without gaps, neighbours that are alike as one.
fn leaves(policy: &Policy, arch: Arch) -> Vec<Leaf> {
    let with_x32 = arch == Arch::X86_64 && policy.architectures.contains(&Arch::X32);
    let mut ruled: Vec<Ruled> = Vec::with_capacity(policy.rules.len() * 2);
    for (place, rule) in policy.rules.iter().enumerate() {
        ruled.extend(arch.number(rule.call).map(|number| Ruled::new(number, place)));
        let x32 = Arch::X32.number(rule.call).filter(|_| with_x32);
        ruled.extend(x32.map(|number| Ruled::new(number, place)));
    }
    ruled.sort_unstable();

    let mut leaves = Vec::with_capacity(ruled.len());
    leaves.push(Leaf { first: 0, decision: Decision::Always(policy.otherwise) });
    let mut expected = 0;
    for of_one_call in ruled.chunk_by(|one, other| one.number() == other.number()) {
        let number = of_one_call[0].number();
        if number != expected {
            add(&mut leaves, expected, Decision::Always(policy.otherwise));
        }
        add(&mut leaves, number, decision(policy, of_one_call));
        expected = number + 1;
    }
    add(&mut leaves, expected, Decision::Always(policy.otherwise));
    if arch == Arch::X86_64 && !with_x32 {
        add(&mut leaves, X32_BIT, Decision::Always(NO_X32));
    }
    leaves
}

/// The number of a call and the place of a rule about it: as one number, which is sorted in a third
/// of the time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Ruled(u64);

impl Ruled {
    const fn new(number: u32, rule: usize) -> Self {
        Self((number as u64) << 32 | rule as u64)
    }

    const fn number(self) -> u32 {
        (self.0 >> 32) as u32
    }

    const fn rule(self) -> usize {
        self.0 as u32 as usize
    }
}

/// What a kernel without x32 answers to its calls.
const NO_X32: Action = Action::Errno(libc::ENOSYS as u16);

/// What the rules of one call come to: those behind one that always holds decide nothing.
fn decision(policy: &Policy, rules: &[Ruled]) -> Decision {
    let always = |one: &Ruled| policy.rules[one.rule()].when.is_empty();
    match rules.iter().position(always) {
        Some(0) => Decision::Always(policy.rules[rules[0].rule()].action),
        last => {
            let deciding = last.map_or(rules, |last| &rules[..=last]);
            Decision::Rules(deciding.iter().map(|one| one.rule()).collect())
        }
    }
}

fn add(leaves: &mut Vec<Leaf>, first: u32, decision: Decision) {
    match leaves.last_mut() {
        Some(last) if last.decision == decision => {}
        Some(last) if last.first == first => last.decision = decision,
        _ => leaves.push(Leaf { first, decision }),
    }
}

impl Program {
    /// A decision about the number that was loaded, among the leaves that it can lie in.
    fn tree(&mut self, leaves: &[Leaf], policy: &Policy) -> Position {
        match leaves {
            [] => self.decide(policy.otherwise),
            [leaf] => match &leaf.decision {
                Decision::Always(action) => self.decide(*action),
                Decision::Rules(rules) => self.rules(rules, policy),
            },
            _ => {
                let (below, above) = leaves.split_at(leaves.len() / 2);
                let above_entry = self.tree(above, policy);
                let below_entry = self.tree(below, policy);
                self.branch(BPF_JGE, above[0].first, above_entry, below_entry)
            }
        }
    }

    /// The first rule whose comparisons hold decides.
    fn rules(&mut self, rules: &[usize], policy: &Policy) -> Position {
        let mut next = None;
        for rule in rules.iter().rev().map(|&rule| &policy.rules[rule]) {
            let otherwise = match (next, rule.when.is_empty()) {
                (_, true) => {
                    next = Some(self.decide(rule.action));
                    continue;
                }
                (Some(next), false) => next,
                (None, false) => self.decide(policy.otherwise),
            };
            let action = self.decide(rule.action);
            let compared = rule
                .when
                .iter()
                .rev()
                .fold(action, |then, comparison| self.comparison(comparison, then, otherwise));
            next = Some(compared);
        }
        next.unwrap_or_else(|| self.decide(policy.otherwise))
    }
}
