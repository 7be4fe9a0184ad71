//! A program behind a filter, as a launcher around rustic makes one.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// Installs a filter that answers one call so, `kill` or the number of an errno, and becomes a
/// program.
pub(super) fn filtered(answer: &str, call: &str, command: &[&str]) {
    let number = call.parse().unwrap_or(u32::MAX);
    let answer = match answer {
        "kill" => libc::SECCOMP_RET_KILL_PROCESS,
        errno => libc::SECCOMP_RET_ERRNO | errno.parse::<u32>().unwrap_or_default(),
    };
    let one = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut program = [
        one(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        one(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, number),
        one(libc::BPF_RET | libc::BPF_K, 0, 0, answer),
        one(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: 4, filter: program.as_mut_ptr() };
    // SAFETY: the program outlives the call, which copies it.
    let installed = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program)
    };
    assert_eq!(installed, 0, "the filter was not taken");
    let [program, words @ ..] = command else { panic!("no program") };
    panic!("{}", Command::new(program).args(words).exec());
}
