//! Calls of the kernel that fail, as strace makes them.

use crate::need;
use crate::support::{Rustic, marker, processes};
use std::path::Path;

/// Lets a call fail. The run says so in one message with these words, and leaves no process; gives
/// its exit code.
fn failed(inject: &str, options: &[&str], words: &[&str]) -> i32 {
    let mark = marker();
    // The execve of rustic itself is made before the injection counts: strace starts it.
    let run = Rustic::run().inject(inject).input(Path::new("/dev/null"));
    let ran = run.opt(options.iter().copied()).opt(["true", &mark]).ran();
    assert_eq!(ran.stderr.matches("rustic: ").count(), 1, "{inject}: {ran:?}");
    for word in words {
        assert!(ran.stderr.contains(word), "{inject}: '{word}' is not in: {ran:?}");
    }
    assert_eq!(processes(&mark), Vec::<i32>::new(), "{inject}");
    ran.code
}

/// What the kernel answers when one of its calls fails: the calls of strace's injection, and words
/// of the message.
#[test]
fn calls_that_fail_are_named() {
    need!(root);
    for (inject, options, words) in [
        ("clone3:error=EPERM:when=1", vec![], vec!["CAP_SYS_ADMIN"]),
        ("clone3:error=ENOMEM:when=1", vec![], vec!["ENOMEM"]),
        ("unshare:error=ENOMEM:when=1", vec![], vec!["make a network namespace", "ENOMEM"]),
        ("setns:error=EPERM:when=1", vec![], vec!["going back to the caller's network"]),
        ("mount_setattr:error=EPERM:when=1", vec![], vec!["make the mounts private"]),
        ("fsopen:error=ENODEV:when=2", vec![], vec!["overlay", "ENODEV"]),
        ("fsopen:error=EPERM:when=3", vec![], vec!["mount proc", "seen whole"]),
        ("fsmount:error=ENOMEM:when=8", vec![], vec!["mount sysfs", "ENOMEM"]),
        ("pivot_root:error=EINVAL:when=1", vec![], vec!["pivot into the root", "pivot_root(2)"]),
        ("chroot:error=EPERM:when=1", vec!["--root", "chroot"], vec!["chroot into the root"]),
        ("mknodat:error=EPERM:when=3", vec![], vec!["/dev/full"]),
        ("sethostname:error=EPERM:when=1", vec![], vec!["host name 'rustic'"]),
        ("keyctl:error=EDQUOT:when=1", vec!["--seccomp", "none"], vec!["kernel.keys.maxkeys"]),
        ("mq_open:error=EMFILE", vec!["--ready", "queue"], vec!["RLIMIT_MSGQUEUE"]),
        ("mq_timedsend:error=EMSGSIZE:when=1", vec!["--ipc", "no"], vec!["send READY"]),
        ("capset:error=EPERM:when=1", vec![], vec!["capabilities"]),
        ("seccomp:error=EINVAL", vec![], vec!["seccomp filter"]),
        ("execve:error=EIO:when=1", vec![], vec!["cannot execute true", "EIO"]),
        ("openat2:error=EAGAIN", vec![], vec!["EAGAIN"]),
        ("socketpair:error=EMFILE:when=1", vec![], vec!["socket pair"]),
    ] {
        let code = failed(inject, &options, &words);
        assert!(matches!(code, 125..=127), "{inject}: {code}");
    }
}

#[test]
fn a_full_key_quota_is_bearable_behind_the_filter() {
    need!(root);
    let run = Rustic::run().inject("keyctl:error=EDQUOT:when=1");
    assert_eq!(run.clone().opt(["echo", "up"]).ran().stdout, "up\n");
    assert_eq!(run.opt(["--seccomp", "none", "echo", "up"]).ran().code, 125);
}

#[test]
fn what_cannot_be_said_or_waited_for_ends_the_run_with_a_cause() {
    need!(root);
    // The calls are those of every process: parent, warden and child.
    for (inject, words) in [
        ("sendmsg:error=ENOMEM", vec!["ENOMEM"]),
        ("recvmsg:error=EIO", vec!["EIO"]),
        ("waitid:error=EIO:when=1", vec!["EIO"]),
        ("rt_sigaction:error=EIO:when=60+", vec!["EIO"]),
        ("setsid:error=EPERM", vec!["EPERM"]),
    ] {
        assert_eq!(failed(inject, &[], &words), 125, "{inject}");
    }
}

#[test]
fn a_sample_of_all_faults_and_kills_breaks_nothing() {
    need!(root);
    crate::parts::faults::expect_what_is_missing_to_be_seen();
    let seed = crate::parts::faults::today();
    crate::parts::faults::expect_nothing_wrong(200, 100, seed);
}
