//! The calls that a filter closes, what opens them, and a death by a filter.

use super::{answer, inside};
use crate::need;
use crate::support::{Rustic, payload};

#[test]
fn calls_that_reach_too_far_are_closed_and_a_capability_or_an_order_opens_them() {
    need!(root);
    let closed = inside(Rustic::run());
    let open = inside(Rustic::run().opt(["--seccomp", "none", "--caps", "all"]));
    for (kind, name, refusal) in [
        ("call", "io_uring_setup", "ENOSYS"),
        ("call", "keyctl", "ENOSYS"),
        ("call", "clone3", "ENOSYS"),
        ("call", "userfaultfd", "EPERM"),
        ("call", "perf_event_open", "EPERM"),
        ("call", "bpf", "EPERM"),
        ("call", "kcmp", "EPERM"),
        ("call", "mount", "EPERM"),
        ("call", "setns", "EPERM"),
        ("call", "open_by_handle_at", "EPERM"),
        ("call", "unshare CLONE_NEWUSER", "EPERM"),
        ("call", "personality ADDR_NO_RANDOMIZE", "EPERM"),
        ("socket", "AF_VSOCK", "EAFNOSUPPORT"),
        ("socket", "AF_XDP", "EAFNOSUPPORT"),
        ("socket", "AF_NETLINK 15", "EPROTONOSUPPORT"),
        ("ioctl", "TIOCSTI", "EPERM"),
    ] {
        assert_eq!(answer(&closed, kind, name), refusal, "{name}");
        assert_ne!(answer(&open, kind, name), refusal, "the control: {name}");
    }
    // AF_ALG is closed whether this kernel has it or not.
    assert_eq!(answer(&closed, "socket", "AF_ALG"), "EAFNOSUPPORT");
    for (capability, name) in [
        ("SYS_ADMIN", "mount"),
        ("SYS_ADMIN", "setns"),
        ("BPF", "bpf"),
        ("PERFMON", "perf_event_open"),
        ("SYS_PTRACE", "kcmp"),
        ("DAC_READ_SEARCH", "open_by_handle_at"),
    ] {
        let opened = inside(Rustic::run().opt(["--caps", capability]));
        assert_ne!(answer(&opened, "call", name), "EPERM", "{name} with {capability}");
        assert_eq!(answer(&opened, "call", "userfaultfd"), "EPERM");
        assert_eq!(answer(&opened, "call", "unshare CLONE_NEWUSER"), "EPERM");
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn what_is_closed_is_closed_through_the_32_bit_gate_too() {
    need!(root);
    let (closed, open) = (inside(Rustic::run()), inside(Rustic::run().opt(["--seccomp", "none"])));
    for (name, refusal) in [("AF_VSOCK", "EAFNOSUPPORT"), ("AF_PACKET", "EPERM")] {
        assert_eq!(answer(&closed, "socket", &format!("{name} by int 0x80")), refusal);
    }
    assert_eq!(answer(&closed, "socket", "socketcall by int 0x80"), "ENOSYS");
    // The control, and the families that are open by it.
    assert_eq!(answer(&open, "socket", "AF_VSOCK by int 0x80"), "open");
    assert_eq!(answer(&open, "socket", "socketcall by int 0x80"), "EFAULT");
    assert_eq!(answer(&closed, "socket", "AF_INET by int 0x80"), "open");
}

#[test]
fn a_death_by_a_filter_is_told_with_its_cause() {
    need!(root);
    let bind = format!("{}:/mnt/payload", payload().display());
    let run =
        |words: &[&str]| Rustic::run().opt(["--bind", &bind]).opt(words.iter().copied()).ran();
    let ran = run(&["/mnt/payload", "forbidden-call"]);
    assert_eq!(ran.code, 128 + libc::SIGSYS);
    assert!(ran.stderr.contains("SIGSYS") && ran.stderr.contains("strace -f"), "{}", ran.stderr);
    let ran = run(&["--init", "/mnt/payload", "forbidden-call"]);
    assert_eq!(
        (ran.code, ran.stderr.matches("SIGSYS").count()),
        (128 + libc::SIGSYS, 1),
        "{ran:?}"
    );
    // The control: another death says nothing.
    for options in [&[][..], &["--init"]] {
        let ran = run(&[options, &["sh", "-c", "exit 159"]].concat());
        assert_eq!((ran.code, ran.stderr.as_str()), (159, ""));
    }
}
