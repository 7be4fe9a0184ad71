//! Hosts that give less than a container wants: each gets its own sentence, and its advice works.

use crate::need;
use crate::support::{Ran, binary, finish, payload, piped, shell, store};
use std::process::Command;

/// Runs rustic behind a filter that answers one call so.
fn behind_a_filter(answer: &str, call: i64, options: &[&str]) -> Ran {
    let mut command = Command::new(payload());
    command.args(["filtered", answer, &call.to_string()]).arg(binary()).arg("run").args(options);
    finish(piped(command.arg("true").env("RUSTIC_STORE", store())))
}

/// Whether it ended with 125 and one message that says all of this.
#[track_caller]
fn refused(ran: &Ran, words: &[&str]) {
    assert_eq!(ran.code, 125, "{ran:?}");
    assert_eq!(ran.stderr.matches("rustic: ").count(), 1, "{ran:?}");
    for word in words {
        assert!(ran.stderr.contains(word), "'{word}' is not in {ran:?}");
    }
}

#[test]
fn a_filter_that_kills_is_named_with_the_call_before_anything_is_made() {
    need!(root);
    let calls = [
        ("clone3", libc::SYS_clone3),
        ("fsopen", libc::SYS_fsopen),
        ("keyctl", libc::SYS_keyctl),
        ("mount_setattr", libc::SYS_mount_setattr),
        ("mq_open", libc::SYS_mq_open),
        ("openat2", libc::SYS_openat2),
        ("pivot_root", libc::SYS_pivot_root),
        ("seccomp", libc::SYS_seccomp),
        ("setns", libc::SYS_setns),
        ("unshare", libc::SYS_unshare),
    ];
    for (name, number) in calls {
        let ran = behind_a_filter("kill", number, &[]);
        refused(&ran, &[&format!("the seccomp filter around rustic ends whoever calls {name}(2)")]);
    }
    // Control: what a start does not make is nobody's business.
    for (number, options) in [
        (libc::SYS_mq_open, &["--ready", "none"] as &[&str]),
        (libc::SYS_fsopen, &["--mount", "no"]),
        (libc::SYS_kexec_load, &[]),
    ] {
        assert_eq!(behind_a_filter("kill", number, options).code, 0, "{number} {options:?}");
    }
}

#[test]
fn a_filter_that_answers_is_told_from_an_old_kernel_and_a_missing_right() {
    need!(root);
    let nosys = libc::ENOSYS.to_string();
    for (name, number) in [
        ("fsopen", libc::SYS_fsopen),
        ("mount_setattr", libc::SYS_mount_setattr),
        ("pivot_root", libc::SYS_pivot_root),
        ("unshare", libc::SYS_unshare),
        ("close_range", libc::SYS_close_range),
        ("seccomp", libc::SYS_seccomp),
    ] {
        let why = format!("{name}(2)");
        refused(&behind_a_filter(&nosys, number, &[]), &["a seccomp filter around rustic", &why]);
    }
    let perm = libc::EPERM.to_string();
    for number in [libc::SYS_unshare, libc::SYS_fsopen, libc::SYS_pivot_root] {
        let words = ["rustic has CAP_SYS_ADMIN: the seccomp filter around it answers so"];
        refused(&behind_a_filter(&perm, number, &[]), &words);
    }
    // Control: without the right it is the right.
    let mut script = shell(
        &["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-all", "sh"],
        "exec $RUSTIC run --user no true",
    );
    let ran = finish(piped(&mut script));
    assert!(!ran.stderr.contains("seccomp filter"), "{ran:?}");
    assert!(ran.code == 125 && ran.stderr.contains("CAP_SYS_ADMIN"), "{ran:?}");
    // The advice works.
    assert_eq!(behind_a_filter(&nosys, libc::SYS_fsopen, &["--mount", "no"]).code, 0);
}

#[test]
fn a_limit_on_threads_slows_a_first_start_and_one_on_processes_is_named() {
    need!(root);
    // A user whom nobody else has: the limit counts all of a user's processes.
    let as_user = "exec setpriv --reuid 61234 --regid 61234 --clear-groups prlimit --nproc=";
    for (limit, code) in [("1", 125), ("2", 125), ("50", 0)] {
        let own = "mktemp -d /tmp/rustic.nproc.XXXXXX";
        let script = format!(
            "d=$({own}); chown 61234 $d; cp $RUSTIC $d/rustic; export RUSTIC_STORE=$d/store HOME=$d
             ({as_user}{limit} $d/rustic run true); code=$?; rm -rf $d; exit $code"
        );
        let ran = finish(piped(&mut shell(&["sh"], &script)));
        assert_eq!(ran.code, code, "{limit}: {ran:?}");
        assert!(!ran.stderr.contains("panicked"), "{limit}: {ran:?}");
        if code == 125 {
            assert!(ran.stderr.contains("a limit on processes is reached"), "{limit}: {ran:?}");
        }
    }
}

#[test]
fn few_descriptors_are_named_wherever_they_are_missed() {
    need!(root);
    for limit in 4..=40 {
        let script = format!("ulimit -n {limit}; exec $RUSTIC run true");
        let ran = finish(piped(&mut shell(&["sh"], &script)));
        if ran.code != 0 {
            refused(&ran, &["EMFILE", "the limit of open descriptors is too low"]);
        }
    }
    assert_eq!(finish(piped(&mut shell(&["sh"], "ulimit -n 64; exec $RUSTIC run true"))).code, 0);
    for command in ["verify", "doctor"] {
        let script = format!("ulimit -n 12; exec $RUSTIC {command}");
        let ran = finish(piped(&mut shell(&["sh"], &script)));
        assert!(ran.code != 0 && ran.stdout.contains("RLIMIT_NOFILE"), "{ran:?}");
    }
}

#[test]
fn the_reaper_starts_where_memory_files_cannot_be_executed() {
    need!(root);
    // In a pid namespace of its own: the parameter belongs to it, and cannot be lowered again.
    let own = ["unshare", "--pid", "--fork", "--mount-proc", "sh"];
    for forbidden in [0, 1, 2] {
        let script =
            format!("echo {forbidden} >/proc/sys/vm/memfd_noexec; exec $RUSTIC run --init echo up");
        let ran = finish(piped(&mut shell(&own, &script)));
        assert_eq!((ran.code, ran.stdout.trim()), (0, "up"), "{forbidden}: {ran:?}");
    }
}

#[test]
fn who_has_no_id_in_its_own_namespace_is_told_so() {
    need!(root);
    let ran = finish(piped(&mut shell(&["unshare", "--user", "sh"], "exec $RUSTIC run true")));
    let words = ["user id has no place in its user namespace", "unshare --map-root-user"];
    refused(&ran, &words);
    for command in ["verify", "doctor"] {
        let script = format!("exec $RUSTIC {command}");
        let ran = finish(piped(&mut shell(&["unshare", "--user", "sh"], &script)));
        let said = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(ran.code != 0 && words.iter().all(|words| said.contains(words)), "{ran:?}");
    }
    let mapped = ["unshare", "--user", "--map-root-user", "sh"];
    let ran = finish(piped(&mut shell(&mapped, "exec $RUSTIC run --store /dev/null/none true")));
    assert!(!ran.stderr.contains("no place in its user namespace"), "{ran:?}");
}

#[test]
fn root_without_a_right_starts_without_it_or_names_it() {
    need!(root);
    let without = |right: &str, options: &str| {
        let drop = format!("-{right}");
        let words = ["setpriv", "--bounding-set", &drop, "--inh-caps", "-all", "sh"];
        finish(piped(&mut shell(&words, &format!("exec $RUSTIC run {options}"))))
    };
    // Its nodes are the host's, bound.
    let ran = without("mknod", "sh -c 'echo x >/dev/null && grep -c \" /dev/null \" /proc/mounts'");
    assert_eq!((ran.code, ran.stdout.trim()), (0, "1"), "{ran:?}");
    // Control: with the right they are its own.
    let ran =
        without("net_raw", "sh -c 'echo x >/dev/null && grep -c \" /dev/null \" /proc/mounts'");
    assert_eq!(ran.stdout.trim(), "0", "{ran:?}");
    let ran = without("net_admin", "true");
    refused(&ran, &["bringing lo up needs CAP_NET_ADMIN", "--net no"]);
    assert_eq!(without("net_admin", "--net no true").code, 0, "the advice works");
    refused(&without("sys_admin", "true"), &["needs CAP_SYS_ADMIN", "try   --user yes"]);
}

#[test]
fn a_root_on_a_file_system_that_runs_no_program_is_named() {
    need!(root);
    // The way in of a temporary folder, and of a store, that are mounted noexec.
    let script = |options: &str| {
        format!(
            "d=$(mktemp -d); mount -t tmpfs -o {options} t $d; $RUSTIC rootfs unpack $BUILTIN $d/root \
             >/dev/null; RUSTIC_STORE=$d/store $RUSTIC run echo up; RUSTIC_STORE=$d/store $RUSTIC \
             run --mount no echo up; $RUSTIC run --rootfs $d/root --ephemeral echo up; exec $RUSTIC \
             run --rootfs $d/root echo up"
        )
    };
    let builtin = concat!(env!("CARGO_MANIFEST_DIR"), "/rootfs/rootfs.tar.gz");
    let ran = |options: &str| {
        let mut command = shell(&["unshare", "--mount", "sh"], &script(options));
        finish(piped(command.env("BUILTIN", builtin)))
    };
    let refused = ran("noexec");
    assert_eq!((refused.code, refused.stdout.as_str()), (126, "up\nup\n"), "{refused:?}");
    let why = "is on a file system that is mounted noexec";
    assert_eq!(refused.stderr.matches(why).count(), 2, "{refused:?}");
    // The control.
    assert_eq!(ran("mode=700").ok(), "up\n".repeat(4));
}

/// rustic as root without these rights, started by a program of these words.
fn without(rights: &str, under: &[&str], options: &[&str]) -> Ran {
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", rights]).args(under).arg(binary()).arg("run").args(options);
    finish(piped(command.arg("true").env("RUSTIC_STORE", store())))
}

#[test]
fn a_filter_is_not_blamed_for_a_right_that_is_missing() {
    need!(root);
    // One that answers a call that nobody makes.
    let payload = payload();
    let filter = [payload.to_str().unwrap(), "filtered", "1", "999"];
    let ran = without("-net_admin", &filter, &[]);
    refused(&ran, &["bringing lo up needs CAP_NET_ADMIN\n", "--net no, or that right"]);
    assert_eq!(without("-net_admin", &filter, &["--net", "no"]).code, 0);
}

#[test]
fn root_is_told_which_right_its_map_of_ids_lacks() {
    need!(root);
    for (rights, named) in [("-setuid", "CAP_SETUID"), ("-setgid", "CAP_SETGID")] {
        let words = format!("mapping the ids of a user namespace needs {named}");
        refused(&without(rights, &[], &["--user", "yes"]), &[&words]);
    }
    // Only for its own uid 0, which root of the machine does not map.
    assert_eq!(without("-setfcap", &[], &["--user", "yes"]).code, 0);
    let words = ["needs CAP_SETFCAP"];
    refused(&without("-setfcap,-sys_admin", &[], &["--user", "yes"]), &words);
    // Where it would not help, --user yes is no advice.
    let ran = without("-all", &[], &[]);
    refused(&ran, &["that right, from whoever has taken it"]);
    assert!(!ran.stderr.contains("--user yes"), "{ran:?}");
    refused(&without("-sys_admin", &[], &[]), &["--user yes, or that right"]);
    assert_eq!(without("-sys_admin", &[], &["--user", "yes", "--net", "no"]).code, 0);
}
