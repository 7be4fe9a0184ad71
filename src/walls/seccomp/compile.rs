//! Policy → program: for each architecture a balanced tree over the numbers of its calls, whose
//! leaves are decisions. The kernel runs a filter at each call, and once for every number when it
//! is attached (seccomp's bitmap of calls that need no look at their arguments, Linux 5.11): depth
//! is what costs, so a list of comparisons would be ten times dearer.
//!
//! Classic BPF jumps forward only, and conditionally at most 255 instructions far. The program is
//! therefore made from its end: whatever is jumped to is there already, and what is too far away is
//! repeated (a decision) or reached by an unconditional jump, which knows no such limit.

use super::policy::{Action, Arch, Comparison, Operator, Policy, Width, X32_BIT};
use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JGT, BPF_JMP, BPF_K, BPF_LD, BPF_RET,
    BPF_W, sock_filter,
};
use std::fmt;

/// The longest program that the kernel takes, linux/bpf_common.h.
const BPF_MAXINSNS: usize = 4096;

/// Offsets in `struct seccomp_data`, seccomp(2). An argument's low half is the first one: every
/// machine that rustic is built for is little-endian.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

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
    let mut program = Program { backwards: Vec::new(), width: Width::Bits64, decided: Vec::new() };
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
    let mut code = program.backwards;
    code.reverse();
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
    let mut ruled: Vec<(u32, usize)> = Vec::with_capacity(policy.rules.len() * 2);
    for (place, rule) in policy.rules.iter().enumerate() {
        ruled.extend(arch.number(rule.call).map(|number| (number, place)));
        let x32 = Arch::X32.number(rule.call).filter(|_| with_x32);
        ruled.extend(x32.map(|number| (number, place)));
    }
    ruled.sort_unstable();

    let mut leaves = vec![Leaf { first: 0, decision: Decision::Always(policy.otherwise) }];
    let mut expected = 0;
    for of_one_call in ruled.chunk_by(|one, other| one.0 == other.0) {
        let number = of_one_call[0].0;
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

/// What a kernel without x32 answers to its calls.
const NO_X32: Action = Action::Errno(libc::ENOSYS as u16);

/// What the rules of one call come to: those behind one that always holds decide nothing.
fn decision(policy: &Policy, rules: &[(u32, usize)]) -> Decision {
    let always = |&(_, rule): &(u32, usize)| policy.rules[rule].when.is_empty();
    match rules.iter().position(always) {
        Some(0) => Decision::Always(policy.rules[rules[0].1].action),
        last => {
            let deciding = last.map_or(rules, |last| &rules[..=last]);
            Decision::Rules(deciding.iter().map(|&(_, rule)| rule).collect())
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

/// A program, made from its end: instruction `n` stands behind `n` others.
struct Program {
    backwards: Vec<sock_filter>,
    /// How much of an argument counts.
    width: Width,
    /// Where each action was decided last.
    decided: Vec<(Action, Position)>,
}

/// Where an instruction stands, counted from the end.
type Position = usize;

impl Program {
    fn add(&mut self, code: u32, k: u32, jt: u8, jf: u8) -> Position {
        self.backwards.push(sock_filter { code: code as u16, jt, jf, k });
        self.backwards.len() - 1
    }

    /// Where an action is decided: a place that is near enough to be jumped to, or a new one.
    fn decide(&mut self, action: Action) -> Position {
        /// Half of what a conditional jump reaches, so that a few instructions find room.
        const NEAR: usize = 127;
        let last = self.decided.iter().position(|&(decided, _)| decided == action);
        if let Some((_, place)) = last.map(|at| self.decided[at])
            && self.distance(place) <= NEAR
        {
            return place;
        }
        let place = self.add(BPF_RET | BPF_K, action.value(), 0, 0);
        match last {
            Some(at) => self.decided[at].1 = place,
            None => self.decided.push((action, place)),
        }
        place
    }

    /// Loads 32 bits of `struct seccomp_data` and goes on at `next`.
    fn load(&mut self, offset: u32, next: Position) -> Position {
        self.go_on_at(next);
        self.add(BPF_LD | BPF_W | BPF_ABS, offset, 0, 0)
    }

    /// Makes the next instruction to be added run into `next`.
    fn go_on_at(&mut self, next: Position) {
        if self.distance(next) > 0 {
            self.repeat_or_jump(next);
        }
    }

    /// How many instructions one that is added now would jump over to reach `place`.
    fn distance(&self, place: Position) -> usize {
        self.backwards.len() - place - 1
    }

    fn repeat_or_jump(&mut self, to: Position) -> Position {
        let target = self.backwards[to];
        if u32::from(target.code) == BPF_RET | BPF_K {
            return self.add(BPF_RET | BPF_K, target.k, 0, 0);
        }
        let distance = self.distance(to) as u32;
        self.add(BPF_JMP | BPF_JA | BPF_K, distance, 0, 0)
    }

    /// `to`, or what leads there, near enough for a conditional jump with `room` more instructions
    /// in between.
    fn near(&mut self, to: Position, room: usize) -> Position {
        let far = self.distance(to) + room > u8::MAX.into();
        if far { self.repeat_or_jump(to) } else { to }
    }

    /// Compares what was loaded with `k`.
    fn branch(&mut self, test: u32, k: u32, yes: Position, no: Position) -> Position {
        if yes == no {
            return yes;
        }
        let no = self.near(no, 1);
        let yes = self.near(yes, 0);
        let (jt, jf) = (self.distance(yes) as u8, self.distance(no) as u8);
        self.add(BPF_JMP | test | BPF_K, k, jt, jf)
    }

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

    /// A comparison of 64 bits by two of 32, the upper half first.
    fn comparison(&mut self, comparison: &Comparison, yes: Position, no: Position) -> Position {
        let offset = ARGUMENTS + 8 * u32::from(comparison.argument);
        let halves = |value: u64| [value as u32, (value >> 32) as u32];
        let value = comparison.value;
        match comparison.operator {
            Operator::Eq => self.masked(offset, u64::MAX, value, yes, no),
            Operator::Ne => self.masked(offset, u64::MAX, value, no, yes),
            Operator::MaskedEq(mask) => self.masked(offset, mask, value, yes, no),
            Operator::Ge => self.ordered(offset, BPF_JGE, halves(value), yes, no),
            Operator::Gt => self.ordered(offset, BPF_JGT, halves(value), yes, no),
            Operator::Lt => self.ordered(offset, BPF_JGE, halves(value), no, yes),
            Operator::Le => self.ordered(offset, BPF_JGT, halves(value), no, yes),
        }
    }

    fn masked(
        &mut self,
        offset: u32,
        mask: u64,
        value: u64,
        yes: Position,
        no: Position,
    ) -> Position {
        if value & !mask != 0 {
            return no;
        }
        let high = value >> 32;
        if self.width == Width::Bits32 {
            return if high == 0 {
                self.half(offset, mask as u32, value as u32, yes, no)
            } else {
                no
            };
        }
        let low = self.half(offset, mask as u32, value as u32, yes, no);
        self.half(offset + 4, (mask >> 32) as u32, high as u32, low, no)
    }

    fn half(
        &mut self,
        offset: u32,
        mask: u32,
        value: u32,
        yes: Position,
        no: Position,
    ) -> Position {
        if mask == 0 {
            return yes;
        }
        let compared = self.branch(BPF_JEQ, value, yes, no);
        if mask == u32::MAX {
            return self.load(offset, compared);
        }
        self.go_on_at(compared);
        let masked = self.add(BPF_ALU | BPF_AND | BPF_K, mask, 0, 0);
        self.load(offset, masked)
    }

    fn ordered(
        &mut self,
        offset: u32,
        test: u32,
        [low, high]: [u32; 2],
        yes: Position,
        no: Position,
    ) -> Position {
        if self.width == Width::Bits32 && high > 0 {
            // Every argument is less.
            return no;
        }
        let compared = self.branch(test, low, yes, no);
        let low_half = self.load(offset, compared);
        if self.width == Width::Bits32 {
            return low_half;
        }
        let equal = self.branch(BPF_JEQ, high, low_half, no);
        let greater = self.branch(BPF_JGT, high, yes, equal);
        self.load(offset + 4, greater)
    }
}
