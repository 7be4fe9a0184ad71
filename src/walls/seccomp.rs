//! The first seccomp filter: the calls that manage keyrings answer EPERM. The user keyring of the caller's uid can be reached whatever
//! the session keyring is, so joining a new one is not a wall by itself, keyrings(7).

use libc::{BPF_ABS, BPF_ALU, BPF_AND, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, sock_filter};
use rustix::io::Result;

/// One calling convention of the machine and the numbers of add_key, request_key and keyctl in it.
struct Abi {
    audit_arch: u32,
    denied: [u32; 3],
}

/// AUDIT_ARCH_* of linux/audit.h, numbers of the kernel's system call tables. The 32-bit convention is there on every 64-bit kernel
/// built for it, so a filter that knows only the native one has a second entrance.
#[cfg(target_arch = "x86_64")]
const ABIS: [Abi; 2] = [Abi { audit_arch: 0xc000_003e, denied: [248, 249, 250] }, Abi { audit_arch: 0x4000_0003, denied: [286, 287, 288] }];
#[cfg(target_arch = "aarch64")]
const ABIS: [Abi; 2] = [Abi { audit_arch: 0xc000_00b7, denied: [217, 218, 219] }, Abi { audit_arch: 0x4000_0028, denied: [309, 310, 311] }];

/// x32 shares AUDIT_ARCH_X86_64 and sets this bit in the number (`__X32_SYSCALL_BIT`).
const WITHOUT_X32_BIT: u32 = !0x4000_0000;

/// Offsets in `struct seccomp_data`, seccomp(2).
const NUMBER: u32 = 0;
const ARCH: u32 = 4;

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn jump_if_equal(k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: (BPF_JMP | BPF_JEQ | BPF_K) as u16, jt, jf, k }
}

/// The program.
pub fn filter() -> Vec<sock_filter> {
    let deny = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    let mut program = Vec::new();
    for abi in ABIS {
        program.push(statement(BPF_LD | BPF_W | BPF_ABS, ARCH));
        program.push(jump_if_equal(abi.audit_arch, 0, 7));
        program.push(statement(BPF_LD | BPF_W | BPF_ABS, NUMBER));
        program.push(statement(BPF_ALU | BPF_AND | BPF_K, WITHOUT_X32_BIT));
        let [add_key, request_key, keyctl] = abi.denied;
        program.push(jump_if_equal(add_key, 2, 0));
        program.push(jump_if_equal(request_key, 1, 0));
        program.push(jump_if_equal(keyctl, 0, 1));
        program.push(statement(BPF_RET | BPF_K, deny));
        program.push(statement(BPF_RET | BPF_K, libc::SECCOMP_RET_ALLOW));
    }
    // A third convention does not exist on these machines; if one comes, it is refused rather than let through unseen.
    program.push(statement(BPF_RET | BPF_K, libc::SECCOMP_RET_KILL_PROCESS));
    program
}

/// Installs the filter.
///
/// # Errors
/// EACCES without no_new_privs; EINVAL in a kernel without CONFIG_SECCOMP_FILTER.
pub fn install(filter: &[sock_filter]) -> Result<()> {
    crate::sys::set_seccomp_filter(filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program as seccomp does, for the five instructions that it uses.
    fn verdict(arch: u32, number: u32) -> u32 {
        let program = filter();
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let instruction = program[at];
            at += 1;
            match u32::from(instruction.code) {
                code if code == BPF_LD | BPF_W | BPF_ABS => accumulator = if instruction.k == ARCH { arch } else { number },
                code if code == BPF_ALU | BPF_AND | BPF_K => accumulator &= instruction.k,
                code if code == BPF_JMP | BPF_JEQ | BPF_K => {
                    at += usize::from(if accumulator == instruction.k { instruction.jt } else { instruction.jf });
                }
                code if code == BPF_RET | BPF_K => return instruction.k,
                code => panic!("instruction {code}"),
            }
        }
    }

    #[test]
    fn the_three_calls_are_refused_in_every_convention_and_no_other_is() {
        for abi in ABIS {
            for number in 0..600 {
                let expected =
                    if abi.denied.contains(&number) { libc::SECCOMP_RET_ERRNO | libc::EPERM as u32 } else { libc::SECCOMP_RET_ALLOW };
                assert_eq!(verdict(abi.audit_arch, number), expected, "{:x} {number}", abi.audit_arch);
            }
            let x32 = verdict(abi.audit_arch, abi.denied[2] | 0x4000_0000);
            assert_eq!(x32, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32);
        }
        assert_eq!(verdict(0xdead, 1), libc::SECCOMP_RET_KILL_PROCESS);
    }
}
