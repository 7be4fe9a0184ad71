//! Namespaces of others, joined by their files: what is shared then, and each wrong path.

use crate::judged::{report, verdicts, verify};
use crate::need;
use crate::support::{
    Rustic, children_of, eventually, finish, namespace, piped, shared, shell, store,
};
use std::fs;
use std::process::Child;

/// A container that runs, and the process in it that was its CMD.
struct Running {
    rustic: Child,
    cmd: u32,
}

impl Running {
    fn start(run: Rustic, script: &str) -> Self {
        let rustic = run.sh(&format!("echo up; {script}")).started_until("up");
        let cmd = children_of(children_of(rustic.id())[0])[0];
        Self { rustic, cmd }
    }

    /// The file of one of its namespaces.
    fn file(&self, entry: &str) -> String {
        format!("/proc/{}/ns/{entry}", self.cmd)
    }

    fn end(self) {
        drop(self);
    }
}

/// Also of a test that fails: nothing is left running.
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.rustic.kill();
        let _ = self.rustic.wait();
    }
}

/// Starts a server in one container, and asks it from another that has joined its network, and
/// from one that has not.
fn share_a_network(run: fn() -> Rustic) {
    let server = Running::start(run(), "while :; do echo from the server | nc -l -p 7000; done");
    let ask = "for i in 1 2 3 4 5 6 7 8 9; do nc 127.0.0.1 7000 && exit; sleep 0.1; done; exit 9";
    let joined = run().ns("net", &server.file("net")).sh(ask).ran();
    assert_eq!((joined.code, joined.stdout.trim()), (0, "from the server"), "{joined:?}");
    let apart = run().sh(ask).ran();
    assert_eq!((apart.code, apart.stdout.trim()), (9, ""), "{apart:?}");
    server.end();
}

#[test]
fn two_containers_share_one_network() {
    need!(root);
    share_a_network(Rustic::run);
}

#[test]
fn two_containers_of_a_plain_user_share_one_network() {
    need!(root);
    share_a_network(|| Rustic::run().nobody());
}

#[test]
fn a_plain_user_enters_the_owner_of_what_is_joined_with_and_without_its_rights() {
    need!(root);
    let other = Running::start(Rustic::run().nobody(), "read end");
    let run = || Rustic::run().nobody().ns("net", &other.file("net"));
    let look = "ls -l /proc/self/ns; ls /sys; ip link set lo down && \
        echo may";
    let owned = run().ns("user", &other.file("user")).sh(look).ran();
    assert!(owned.stdout.contains(&namespace(&other.cmd.to_string(), "net")), "{owned:?}");
    assert!(owned.stdout.contains(&namespace(&other.cmd.to_string(), "user")), "{owned:?}");
    // Rights over the network are those of its user namespace: its sysfs is mounted anew.
    assert!(owned.stdout.contains("class"), "{owned:?}");
    let nested = run().sh(look).ran();
    assert!(nested.stdout.contains(&namespace(&other.cmd.to_string(), "net")), "{nested:?}");
    assert!(!nested.stdout.contains(&namespace(&other.cmd.to_string(), "user")), "{nested:?}");
    assert!(!nested.stdout.contains("class") && !nested.stdout.contains("may"), "{nested:?}");
    other.end();
}

#[test]
fn every_kind_is_joined_and_nothing_of_it_is_set() {
    need!(root);
    let run = || Rustic::run().ns("time", "yes").opt(["--hostname", "other"]);
    let other = Running::start(run(), "touch /dev/mqueue/theirs; read end");
    for (name, entry) in [
        ("pid", "pid"),
        ("uts", "uts"),
        ("net", "net"),
        ("ipc", "ipc"),
        ("cgroup", "cgroup"),
        ("time", "time"),
    ] {
        let file = other.file(entry);
        let look = "hostname; cat /etc/hostname; ls /dev/mqueue; echo $$; ls -l /proc/self/ns";
        let joined = Rustic::run().ns(name, &file).sh(look).ran();
        let out = joined.stdout.clone();
        assert!(out.contains(&namespace(&other.cmd.to_string(), entry)), "{name}: {joined:?}");
        let own = out.lines().take(2).collect::<Vec<_>>();
        let expected = if name == "uts" { ["other"; 2] } else { ["rustic"; 2] };
        assert_eq!(own, expected, "{name}");
        assert_eq!(out.contains("theirs"), name == "ipc", "{name}: {joined:?}");
        assert_eq!(out.lines().any(|line| line == "1"), name != "pid", "{name}: {joined:?}");
    }
    // They live on, and so does what is in them.
    assert!(fs::metadata(other.file("net")).is_ok());
    other.end();
}

#[test]
fn a_container_in_a_joined_pid_namespace_sees_who_is_there_and_ends_alone() {
    need!(root);
    let other = Running::start(Rustic::run(), "sleep 4711; echo gone");
    let joined = Rustic::run()
        .ns("pid", &other.file("pid"))
        .sh("ps; sleep 4712 >/dev/null 2>&1 </dev/null & true")
        .ran();
    assert!(joined.stdout.clone().contains("sleep 4711"), "{joined:?}");
    // Its orphan goes to process 1 there, and lives on as long as that.
    let living = |word: &str| {
        fs::read_dir("/proc").unwrap().flatten().any(|entry| {
            fs::read(entry.path().join("cmdline"))
                .is_ok_and(|line| line == [b"sleep\0", word.as_bytes(), b"\0"].concat())
        })
    };
    assert!(living("4711"));
    other.end();
    eventually("the orphan has ended with the namespace", || !living("4712"));
}

#[test]
fn each_wrong_path_has_a_sentence_of_its_own() {
    need!(root);
    let other = Running::start(Rustic::run().ns("time", "yes"), "read end");
    let theirs = Running::start(Rustic::run().nobody(), "read end");
    let root = |words: [&str; 2]| Rustic::run().opt(words).opt(["true"]).ran();
    root(["--net", "/etc/passwd"]).fails(125, &["--net /etc/passwd is no namespace", "/proc/PID"]);
    root(["--net", "/nonexistent"]).fails(125, &["--net /nonexistent: ENOENT"]);
    let pid = other.file("pid");
    root(["--net", &pid]).fails(125, &["another kind of namespace: pid", &format!("--pid {pid}")]);
    root(["--mount", &other.file("mnt")]).fails(125, &["cannot be joined"]);
    let with = |words: &[&str]| Rustic::run().opt(words.iter().copied()).opt(["true"]).ran();
    with(&["--pid", &pid, "--user", "yes"]).fails(125, &["may mount no proc of it"]);
    with(&["--uts", &other.file("uts"), "--hostname", "x"]).fails(125, &["another's name"]);
    with(&["--net", &other.file("net"), "--sysctl", "net.ipv4.ip_forward=1"])
        .fails(125, &["would change that of who is in"]);

    let nobody = |words: &[&str]| Rustic::run().nobody().opt(words.iter().copied()).opt(["true"]);
    // The namespaces of root's processes cannot even be opened; one that is shown by a mount can.
    nobody(&["--net", &other.file("net")]).ran().fails(125, &["EACCES", "who"]);
    nobody(&["--net", &theirs.file("net"), "--user", "no"])
        .ran()
        .fails(125, &["--user no", &format!("--user {}", theirs.file("user"))]);
    nobody(&["--pid", &theirs.file("pid")]).ran().fails(125, &["may mount no proc of it"]);
    nobody(&["--uid", "5", "--net", &theirs.file("net")]).ran().fails(125, &["--uid 5"]);
    let script = format!(
        "touch $DIR/net && mount --bind {} $DIR/net && setpriv --reuid 65534 --regid 65534 \
            --clear-groups env -u RUSTIC_STORE $RUSTIC run --net $DIR/net true",
        other.file("net")
    );
    let dir = crate::support::scratch("joins");
    let mut command = shell(&["unshare", "--mount", "sh"], &script);
    let foreign = finish(piped(command.env("DIR", &dir).env("HOME", "/nonexistent")));
    foreign.fails(125, &["EPERM", "belongs to the host", "sudo"]);
    theirs.end();
    other.end();
}

#[test]
fn what_is_joined_is_told_in_every_voice() {
    need!(root);
    let other = Running::start(Rustic::run(), "read end");
    let net = other.file("net");
    let told = Rustic::run().ns("net", &net).opt(["-v", "true"]).ran();
    assert!(told.stderr.contains(&format!("net: {net} joined, a door")), "{told:?}");
    let explained = Rustic::run().ns("net", &net).opt(["--explain", "true"]).ran();
    let call = format!("setns({net}, CLONE_NEWNET), clone3(");
    assert!(explained.stderr.contains(&call), "{explained:?}");
    // One's own namespace is one that is shared.
    let own = Rustic::run().ns("net", "/proc/self/ns/net").opt(["-v", "true"]).ran();
    assert!(own.stderr.contains("net: shared, a door"), "{own:?}");
    other.end();
}

#[test]
fn verify_knows_a_joined_namespace_as_a_door() {
    need!(root);
    let other = Running::start(Rustic::run(), "read end");
    let (code, report) = report(verify().ns("net", &other.file("net")));
    assert_eq!(code, 0, "{report:#}");
    // To the caller it is a wall, which the crossings have tried.
    assert_eq!(verdicts(&report)["net"], "held", "{report:#}");
    let doors = report["doors"].to_string();
    assert!(doors.contains(&other.file("net")), "{doors}");
    other.end();
}

#[test]
fn nobody_in_a_joined_pid_namespace_reaches_the_host_by_a_chroot() {
    need!(root);
    let other = Running::start(Rustic::run(), "read end");
    for way in [["--root", "chroot"], ["--mount", "no"]] {
        let run = Rustic::run().ns("pid", &other.file("pid")).opt(way).opt(["true"]);
        run.ran().fails(125, &["entered by chroot", "/proc/PID/root"]);
    }
    other.end();
}

/// Looks again and again at the processes that it sees: whether one shows a file that is outside of
/// the container, by its root or by its descriptors.
const LOOK: &str = "mkfifo /go 2>/dev/null; while :; do for p in /proc/[2-9]*; do \
    [ -e $p/root/$MARK ] && echo reached $p/root; \
    ls -l $p/fd 2>/dev/null | grep -q \"$STORE\" && echo reached $p/fd; \
    case $(readlink $p/exe) in */rustic) echo reached $p/exe;; esac; done; done";

/// What a process of the one container has reached while others joined it.
fn reached(run: fn() -> Rustic, joins: &[(&str, &str)], times: usize) -> String {
    let mark = shared().join("rustic");
    let store = store();
    let script = LOOK.replace("$MARK", mark.to_str().unwrap().trim_start_matches('/'));
    let script = script.replace("$STORE", store.to_str().unwrap());
    let mut looking = Running::start(run(), &script);
    for _ in 0..times {
        let joined =
            joins.iter().fold(run(), |run, (name, entry)| run.ns(name, &looking.file(entry)));
        let ran = joined.opt(["true"]).ran();
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    let output = looking.rustic.stdout.take();
    looking.end();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut output.unwrap(), &mut text).unwrap();
    text
}

#[test]
fn a_child_on_its_way_shows_nothing_of_the_host_to_who_is_joined() {
    need!(root);
    // Who sees the host's processes, with every right, reaches it: the look can see.
    let open = || Rustic::run().ns("pid", "no").opt(["--caps", "all"]);
    assert!(reached(open, &[], 5).contains("reached"));
    assert_eq!(reached(Rustic::run, &[("pid", "pid")], 40), "");
    let nobody = || Rustic::run().nobody().opt(["--caps", "all"]);
    assert_eq!(reached(nobody, &[("user", "user"), ("pid", "pid")], 40), "");
}

#[test]
fn a_host_name_of_others_forges_no_line() {
    need!(root);
    let set = "hostname \"$(printf 'x\\n6.6.6.6 evil')\"; read end";
    let other = Running::start(Rustic::run().opt(["--caps", "SYS_ADMIN"]), set);
    let hosts =
        Rustic::run().ns("uts", &other.file("uts")).sh("cat /etc/hosts /etc/hostname").ran();
    assert!(!hosts.stdout.contains("evil") && hosts.stdout.contains("localhost"), "{hosts:?}");
    other.end();
}

#[test]
fn who_may_enter_a_container_on_its_way_is_warned_of() {
    need!(root);
    let run = || Rustic::run().nobody();
    let told = |other: &Running| run().ns("net", &other.file("net")).opt(["true"]).ran().stderr;
    let plain = Running::start(run(), "read end");
    assert_eq!(told(&plain), "");
    plain.end();
    let admin = Running::start(run().opt(["--caps", "all"]), "read end");
    assert!(told(&admin).contains("warning: who holds CAP_SYS_ADMIN in the user namespace"));
    admin.end();
}
