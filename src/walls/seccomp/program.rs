//! A program of classic BPF, instruction by instruction.
//!
//! It jumps forward only, and conditionally at most 255 instructions far. The program is therefore
//! made from its end: whatever is jumped to is there already, and what is too far away is repeated
//! (a decision) or reached by an unconditional jump, which knows no such limit.

use super::arch::Width;
use super::policy::{Action, Comparison, Operator};
use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JGT, BPF_JMP, BPF_K, BPF_LD, BPF_RET,
    BPF_W, sock_filter,
};

/// Offsets in `struct seccomp_data`, seccomp(2). An argument's low half is the first one: every
/// machine that rustic is built for is little-endian.
pub(super) const NUMBER: u32 = 0;
pub(super) const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

/// A program, made from its end: instruction `n` stands behind `n` others.
pub(super) struct Program {
    backwards: Vec<sock_filter>,
    /// How much of an argument counts.
    pub(super) width: Width,
    /// Where each action was decided last.
    decided: Vec<(Action, Position)>,
}

/// Where an instruction stands, counted from the end.
pub(super) type Position = usize;

impl Program {
    /// Of no instruction yet.
    pub(super) fn new() -> Self {
        Self { backwards: Vec::new(), width: Width::Bits64, decided: Vec::new() }
    }

    /// The instructions in the order in which the kernel runs them.
    pub(super) fn into_code(mut self) -> Vec<sock_filter> {
        self.backwards.reverse();
        self.backwards
    }

    fn add(&mut self, code: u32, k: u32, jt: u8, jf: u8) -> Position {
        self.backwards.push(sock_filter { code: code as u16, jt, jf, k });
        self.backwards.len() - 1
    }

    /// Where an action is decided: a place that is near enough to be jumped to, or a new one.
    pub(super) fn decide(&mut self, action: Action) -> Position {
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
    pub(super) fn load(&mut self, offset: u32, next: Position) -> Position {
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
    pub(super) fn branch(&mut self, test: u32, k: u32, yes: Position, no: Position) -> Position {
        if yes == no {
            return yes;
        }
        let no = self.near(no, 1);
        let yes = self.near(yes, 0);
        let (jt, jf) = (self.distance(yes) as u8, self.distance(no) as u8);
        self.add(BPF_JMP | test | BPF_K, k, jt, jf)
    }

    /// A comparison of 64 bits by two of 32, the upper half first.
    pub(super) fn comparison(
        &mut self,
        comparison: &Comparison,
        yes: Position,
        no: Position,
    ) -> Position {
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
