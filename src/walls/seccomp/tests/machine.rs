//! The kernel's machine for filters.

use libc::sock_filter;

/// A call with its arguments, as a filter sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeccompData {
    pub(super) arch: u32,
    pub(super) number: u32,
    pub(super) arguments: [u64; 6],
}

/// Runs a program as the kernel does, net/core/filter.c, for any instruction that it takes.
pub(super) fn run(program: &[sock_filter], call: SeccompData) -> u32 {
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
