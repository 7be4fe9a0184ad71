//! Ids, capabilities, keyrings, seccomp: what /proc/self/status says is what was ordered.

use crate::need;
use crate::support::{NOBODY, Rustic, binary, payload, store};
use std::process::Command;

const ELEVEN: u64 = 0x8004_05fb;

/// The capability sets of a run in the order Inh Prm Eff Bnd Amb, and its ids and flags.
fn status(run: Rustic) -> ([u64; 5], String) {
    let ran = run.opt(["cat", "/proc/self/status"]).ran();
    assert_eq!(ran.code, 0, "{ran:?}");
    let text = ran.stdout;
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_once(':').unwrap().1.trim().replace('\t', " ")
    };
    let cap = |name| u64::from_str_radix(&field(name), 16).unwrap();
    let caps = [cap("CapInh"), cap("CapPrm"), cap("CapEff"), cap("CapBnd"), cap("CapAmb")];
    (
        caps,
        format!(
            "uid {} gid {} groups {} nnp {} seccomp {}",
            field("Uid"),
            field("Gid"),
            field("Groups"),
            field("NoNewPrivs"),
            field("Seccomp")
        ),
    )
}

/// What this process holds.
fn held() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let cap = |name: &str| {
        u64::from_str_radix(
            text.lines()
                .find(|line| line.starts_with(name))
                .unwrap()
                .split_once(':')
                .unwrap()
                .1
                .trim(),
            16,
        )
        .unwrap()
    };
    cap("CapPrm") & cap("CapBnd")
}

#[test]
fn the_five_sets_are_exactly_what_was_ordered() {
    need!(root);
    const MORE: u64 = ELEVEN | 0x2000;
    let all = held();
    for (args, expected) in [
        (vec![], [0, ELEVEN, ELEVEN, ELEVEN, 0]),
        (vec!["--caps", "none"], [0; 5]),
        (vec!["--caps", "all"], [0, all, all, all, 0]),
        (vec!["--caps", "NET_RAW,cap_chown"], [0, 0x2001, 0x2001, 0x2001, 0]),
        (
            vec!["--root", "chroot"],
            [0, ELEVEN & !(1 << 18), ELEVEN & !(1 << 18), ELEVEN & !(1 << 18), 0],
        ),
        (vec!["--root", "chroot", "--caps", "SYS_CHROOT"], [0, 1 << 18, 1 << 18, 1 << 18, 0]),
        // Another uid: the default set bounds it, a named one reaches CMD through the ambient set.
        (vec!["--uid", "1000"], [0, 0, 0, ELEVEN, 0]),
        (vec!["--uid", "1000", "--caps", "none"], [0; 5]),
        (vec!["--uid", "1000", "--caps", "CAP_NET_RAW"], [0x2000; 5]),
        // The default set and one more: another uid holds that one.
        (vec!["--caps", "default,net_raw"], [0, MORE, MORE, MORE, 0]),
        (vec!["--caps", "CAP_NET_RAW,default"], [0, MORE, MORE, MORE, 0]),
        (
            vec!["--uid", "1000", "--caps", "default,NET_RAW"],
            [0x2000, 0x2000, 0x2000, MORE, 0x2000],
        ),
        (vec!["--init"], [0, ELEVEN, ELEVEN, ELEVEN, 0]),
    ] {
        let (caps, rest) = status(Rustic::run().opt(args.iter().copied()));
        assert_eq!(caps, expected, "{args:?}");
        assert!(rest.ends_with("nnp 1 seccomp 2"), "{args:?}: {rest}");
    }
}

#[test]
fn in_a_user_namespace_the_sets_are_full_again_and_are_dropped_inside() {
    need!(root);
    let known = u64::MAX
        >> (63
            - std::fs::read_to_string("/proc/sys/kernel/cap_last_cap")
                .unwrap()
                .trim()
                .parse::<u64>()
                .unwrap());
    for run in [Rustic::run().ns("user", "yes"), Rustic::run().nobody()] {
        assert_eq!(status(run.clone()).0, [0, ELEVEN, ELEVEN, ELEVEN, 0]);
        assert_eq!(status(run.clone().opt(["--caps", "none"])).0, [0; 5]);
        assert_eq!(status(run.opt(["--caps", "all"])).0, [0, known, known, known, 0]);
    }
}

#[test]
fn a_bounding_set_that_lacks_one_bends_the_default_and_refuses_the_name() {
    need!(root);
    let run = |args: &[&str]| {
        let mut command = Command::new("setpriv");
        command
            .args(["--bounding-set", "-chown", "--inh-caps", "-chown"])
            .arg(binary())
            .arg("run")
            .args(args);
        command.env("RUSTIC_STORE", store());
        let output = command.output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let text = run(&["grep", "CapBnd", "/proc/self/status"]);
    assert!(text.contains(&format!("{:016x}", ELEVEN & !1)), "{text}");
    let text = run(&["--caps", "CAP_CHOWN", "true"]);
    assert!(text.contains("CAP_CHOWN") && text.contains("does not hold"), "{text}");
}

#[test]
fn ids_are_the_ordered_ones_and_no_group_of_the_caller_is_left() {
    need!(root);
    let grouped = Command::new("setpriv")
        .args(["--groups", "10,20"])
        .arg(binary())
        .args(["run", "--uid", "7", "--gid", "8", "id"])
        .env("RUSTIC_STORE", store())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&grouped.stdout), "uid=7 gid=8\n");
    let (_, rest) = status(Rustic::run().opt(["--uid", "1000"]));
    assert!(rest.starts_with("uid 1000 1000 1000 1000 gid 0 0 0 0 groups  nnp"), "{rest}");
}

#[test]
fn the_callers_groups_are_kept_where_that_is_ordered() {
    need!(root);
    for (user, groups) in [("no", "10 20"), ("yes", "65534 65534")] {
        let ran = |keep: &[&str]| {
            let run = Rustic::run().under(["setpriv", "--groups", "10,20"]).ns("user", user);
            run.opt(keep.iter().copied()).opt(["grep", "Groups", "/proc/self/status"]).ran().ok()
        };
        assert_eq!(ran(&["--groups", "keep"]).split_once(':').unwrap().1.trim(), groups);
        assert_eq!(ran(&[]).split_once(':').unwrap().1.trim(), "");
    }
    Rustic::run().opt(["--groups", "x", "true"]).ran().fails(125, &["say 'keep'"]);
    let told = Rustic::run().opt(["-v", "--groups", "keep", "true"]).ran().stderr;
    assert!(told.contains("a door: --groups keep: "), "{told}");
}

#[test]
fn a_plain_user_is_0_inside_and_himself_outside() {
    need!(root);
    assert_eq!(Rustic::run().nobody().opt(["id", "-u"]).ran().ok(), "0\n");
    assert!(
        Rustic::run()
            .nobody()
            .opt(["cat", "/proc/self/uid_map"])
            .ran()
            .ok()
            .split_whitespace()
            .eq(["0", &NOBODY.to_string(), "1"])
    );
    // With one id he is whom he says.
    let run = || Rustic::run().nobody().opt(["--uid", "1000", "--gid", "7"]);
    assert_eq!(run().opt(["id"]).ran().ok(), "uid=1000 gid=7\n");
    let map = run().opt(["cat", "/proc/self/uid_map"]).ran().ok();
    assert!(map.split_whitespace().eq(["1000", &NOBODY.to_string(), "1"]), "{map}");
}

#[test]
fn keyring_calls_are_refused_and_the_session_keyring_is_new() {
    need!(root);
    let bind = format!("{}:/mnt/payload", payload().display());
    let run =
        |args: &[&str]| Rustic::run().opt(["--bind", &bind]).opt(args.iter().copied()).ran().ok();
    assert_eq!(
        run(&["/mnt/payload", "add-key"]),
        "add_key Function not implemented (os error 38)\n"
    );
    // The control: without the filter the call is made, and the session is another one all the
    // same.
    let session = run(&["--seccomp", "none", "/mnt/payload", "session-keyring"]);
    let ours = Command::new(payload()).arg("session-keyring").output().unwrap();
    assert!(
        session.starts_with("session ") && session != String::from_utf8_lossy(&ours.stdout),
        "{session}"
    );
    assert_eq!(
        run(&["--seccomp", "none", "grep", "Seccomp:", "/proc/self/status"]),
        "Seccomp:\t0\n"
    );
}

#[test]
fn what_the_host_can_do_the_container_cannot() {
    need!(root);
    let ran = Rustic::run()
        .sh("mount -t tmpfs none /tmp 2>&1; mknod /tmp/x b 8 0 2>&1; dmesg 2>&1 | tail -1")
        .ran();
    assert_eq!(
        ran.stdout.matches("ermission denied").count()
            + ran.stdout.matches("not permitted").count(),
        3,
        "{ran:?}"
    );
}

#[test]
fn cmd_is_run_through_no_magic_link_and_with_no_inherited_personality() {
    need!(root);
    let folder = crate::support::scratch("magic");
    let script = |name: &str, line: &str| {
        let path = folder.join(name);
        std::fs::write(&path, format!("#!{line}\n")).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
    };
    script("direct", "/proc/self/exe");
    script("second", "/mnt/magic/direct");
    script("plain", "/bin/true");
    std::os::unix::fs::symlink("/proc/self/exe", folder.join("link")).unwrap();
    let bind = format!("{}:/mnt/magic", folder.display());
    let run = |cmd: &str| Rustic::run().opt(["--bind", &bind, cmd, "--version"]).ran();
    for cmd in ["/proc/self/exe", "/mnt/magic/link", "/mnt/magic/direct", "/mnt/magic/second"] {
        run(cmd).fails(126, &["ELOOP", "magic link"]);
    }
    // The control: a link and a script that lead nowhere else run.
    assert_eq!(run("/mnt/magic/plain").code, 0);
    assert_eq!(run("/bin/true").code, 0);

    let personality = |options: &[&str]| {
        let mut command = Command::new("setarch");
        command.arg("-R").args(options).args(["cat", "/proc/self/personality"]);
        command.env("RUSTIC_STORE", store());
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let rustic = binary();
    assert_eq!(personality(&[rustic.to_str().unwrap(), "run"]), "00000000\n");
    assert_eq!(personality(&[]), "00040000\n", "the control");
}
