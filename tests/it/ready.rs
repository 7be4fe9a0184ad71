//! The queue of readiness: seen and not seen, and every way in which it cannot be had.

use crate::need;
use crate::support::{
    Rustic, binary, eventually, finish, host, marker, payload, processes, queues, scratch, shared,
    traced, tree,
};
use std::fs;
use std::io::Read;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn ipc_no_shares_the_hosts_queues_and_ready_arrives() {
    need!(root);
    let ran = Rustic::run().opt(["-v"]).ns("ipc", "no").sh("exit 3").ran();
    assert_eq!(ran.code, 3);
    for line in [
        "Parent: opening message queue /rustic.",
        " Child: opening message queue /rustic.",
        " Child: sending READY to parent",
        "Parent: received READY from child ",
    ] {
        assert!(ran.stderr.contains(line), "{line}: {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("ENOENT"));
}

#[test]
fn ipc_yes_hides_them_and_that_is_said_at_once() {
    need!(root);
    let ran = Rustic::run().opt(["-v"]).ns("ipc", "yes").sh("exit 3").ran();
    assert_eq!(ran.code, 3);
    for line in [
        " Child: mq_open: ENOENT",
        "Parent: the child cannot see /rustic.",
        "another IPC namespace",
    ] {
        assert!(ran.stderr.contains(line), "{line}: {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("received READY"));
}

#[test]
fn a_queue_of_the_host_is_listed_inside_with_ipc_no_and_not_with_yes() {
    need!(root);
    use nix::mqueue::{MQ_OFlag, mq_open, mq_unlink};
    let name = format!("/rustic-it.{}", std::process::id());
    let mode = nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR;
    let attributes = nix::mqueue::MqAttr::new(0, 1, 8, 0);
    let queue = mq_open(
        name.as_str(),
        MQ_OFlag::O_CREAT | MQ_OFlag::O_EXCL | MQ_OFlag::O_RDWR,
        mode,
        Some(&attributes),
    )
    .unwrap();
    let listed = |ipc| Rustic::run().ns("ipc", ipc).opt(["ls", "/dev/mqueue"]).ran().ok();
    let (open, closed) = (listed("no"), listed("yes"));
    mq_unlink(name.as_str()).unwrap();
    nix::mqueue::mq_close(queue).unwrap();
    assert!(open.contains(&name[1..]), "{open}");
    assert_eq!(closed, "");
}

#[test]
fn ready_none_makes_no_queue() {
    need!(root);
    let ran = Rustic::run().opt(["-v", "--ready", "none"]).ns("ipc", "no").sh("true").ran();
    assert!(!ran.stderr.contains("queue /rustic."), "{}", ran.stderr);
}

/// A shell in an IPC namespace of its own, in which limits can be changed without hurting anybody.
fn in_own_ipc(script: &str) -> (i32, String) {
    let output = Command::new("unshare")
        .args(["--ipc", "--mount", "sh", "-c", script])
        .env("RUSTIC", binary())
        .env("RUSTIC_STORE", shared().join("store"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
    )
}

#[test]
fn queue_limits_bend_or_are_named() {
    need!(root);
    let (code, text) = in_own_ipc(
        "echo 1 >/proc/sys/fs/mqueue/msg_max; echo 128 >/proc/sys/fs/mqueue/msgsize_max; $RUSTIC \
            run --ipc no echo up",
    );
    assert_eq!((code, text.as_str()), (0, "up\n"), "one small message is enough");
    let (code, text) = in_own_ipc(
        "echo 0 >/proc/sys/fs/mqueue/queues_max; setpriv --bounding-set -sys_resource --inh-caps \
            -sys_resource $RUSTIC run --ready queue --ipc no echo up",
    );
    assert_eq!(code, 125, "{text}");
    assert!(text.contains("queues_max") && text.contains("--ready none"), "{text}");
    let (code, text) = in_own_ipc(
        "setpriv --bounding-set -sys_resource --inh-caps -sys_resource prlimit --msgqueue=0 \
            $RUSTIC run --ready queue --ipc no echo up",
    );
    assert_eq!(code, 125, "{text}");
    assert!(text.contains("RLIMIT_MSGQUEUE"), "{text}");
    let (code, text) = in_own_ipc("prlimit --msgqueue=0 $RUSTIC run --ready none --ipc no echo up");
    assert_eq!((code, text.as_str()), (0, "up\n"));
}

#[test]
fn the_payload_has_half_of_the_queue_bytes() {
    need!(root);
    let outside: u64 =
        host("awk", ["/Max msgqueue/ {print $4}", "/proc/self/limits"]).trim().parse().unwrap();
    let inside: u64 = Rustic::run()
        .sh("grep 'Max msgqueue' /proc/self/limits | awk '{print $4}'")
        .ran()
        .ok()
        .trim()
        .parse()
        .unwrap();
    assert_eq!(inside, outside / 2);
}

#[test]
fn nothing_of_the_queue_is_left() {
    need!(root);
    let before = queues();
    for ipc in ["no", "yes"] {
        Rustic::run().ns("ipc", ipc).sh("true").ran().ok();
        assert_eq!(Rustic::run().ns("ipc", ipc).opt(["nosuch"]).ran().code, 127);
    }
    // Other tests run beside this one and have queues for a moment.
    eventually("no queue is left", || queues().is_subset(&before));
}

/// A run whose events go to a pipe: the shell gives it descriptor 5, and the events come behind
/// what CMD says.
fn with_events(options: &[&str], script: &str) -> (i32, String, String) {
    let events = scratch("events").join("events");
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec 5>\"$EVENTS\"; exec \"$RUSTIC\" run --info-fd 5 \"$@\"", "sh"])
        .args(options)
        .args(["sh", "-c", script]);
    command
        .env("EVENTS", &events)
        .env("RUSTIC", binary())
        .env("RUSTIC_STORE", shared().join("store"));
    let ran = finish(
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    (ran.code, ran.stdout + &ran.stderr, fs::read_to_string(events).unwrap())
}

/// The names of the events, and by which way readiness was told.
fn order(events: &str) -> Vec<String> {
    let field = |line: &str, name: &str| {
        Some(line.split_once(&format!("\"{name}\":\""))?.1.split('"').next()?.to_owned())
    };
    events
        .lines()
        .map(|line| {
            format!(
                "{}{}",
                field(line, "event").unwrap(),
                field(line, "via").map(|via| format!(" via {via}")).unwrap_or_default()
            )
        })
        .collect()
}

#[test]
fn the_program_inside_says_ready_by_queue_by_descriptor_or_by_socket() {
    need!(root);
    let bind = format!("{}:/mnt/payload", payload().display());
    for (options, script, via) in [
        (vec!["--ipc", "no"], "/mnt/payload ready-queue", "queue"),
        (vec!["--ipc", "no", "--uid", "1000"], "/mnt/payload ready-queue", "queue"),
        (vec!["--ipc", "yes"], "echo >&$RUSTIC_READY_FD", "fd"),
        (vec!["--ipc", "no"], "printf READY=1 >&$RUSTIC_READY_FD", "fd"),
        (vec!["--user", "yes", "--uid", "7"], "echo >&$RUSTIC_READY_FD", "fd"),
        (vec!["--mount", "no"], "echo >&$RUSTIC_READY_FD", "fd"),
        (vec!["--init"], "echo >&$RUSTIC_READY_FD", "fd"),
        (
            vec!["--ipc", "yes", "--uid", "1000"],
            "/mnt/payload notify 'STATUS=warm\\nREADY=1'",
            "socket",
        ),
    ] {
        let bound = if options.contains(&"no") && options.contains(&"--mount") {
            vec![]
        } else {
            vec!["--bind", &bind]
        };
        let all: Vec<_> =
            ["--ready", "app"].into_iter().chain(options.iter().copied()).chain(bound).collect();
        let (code, text, events) = with_events(&all, &format!("{script}; sleep 0.1; exit 6"));
        assert_eq!(code, 6, "{options:?}: {text}");
        assert_eq!(
            order(&events),
            ["started", &format!("ready via {via}"), "exited"],
            "{options:?}: {text} {events}"
        );
    }
}

#[test]
fn the_walls_say_ready_when_they_stand() {
    need!(root);
    for (options, via) in [
        (vec!["--ipc", "no"], Some("queue")),
        (vec!["--ipc", "yes"], Some("exec")),
        (vec!["--ready", "none"], None),
    ] {
        let (code, _, events) = with_events(&options, "exit 4");
        let ready = via.map(|via| format!("ready via {via}"));
        let expected: Vec<_> =
            ["started".to_owned()].into_iter().chain(ready).chain(["exited".to_owned()]).collect();
        assert_eq!((code, order(&events)), (4, expected), "{options:?}");
    }
}

#[test]
fn events_tell_pid_namespaces_code_and_milliseconds() {
    need!(root);
    let (_, out, events) = with_events(
        &["--ipc", "no"],
        "readlink /proc/self/ns/ipc; readlink /proc/self/ns/net; kill -9 $$",
    );
    let inode =
        |entry: &str| crate::support::number_after::<u64>(&out, &format!("{entry}:[")).unwrap();
    let lines: Vec<_> = events.lines().collect();
    assert!(
        lines[0].contains(&format!("\"ipc\":{}", inode("ipc"))) && lines[0].contains("\"pid\":"),
        "{events} {out}"
    );
    assert!(lines[0].contains(&format!("\"net\":{}", inode("net"))), "{events} {out}");
    assert!(lines[2].contains("\"code\":137,\"signal\":9"), "{events}");
    let times: Vec<f64> = lines
        .iter()
        .map(|line| line.rsplit_once(":").unwrap().1.trim_end_matches('}').parse().unwrap())
        .collect();
    assert!(times.is_sorted(), "{events}");
    Rustic::run().opt(["--info-fd", "77", "true"]).ran().fails(125, &["--info-fd 77", "EBADF"]);
}

#[test]
fn a_program_that_ends_before_it_is_ready_ends_the_wait() {
    need!(root);
    let since = Instant::now();
    let (code, text, events) = with_events(&["--ready", "app"], "exit 9");
    assert_eq!((code, text.as_str()), (9, ""));
    assert_eq!(order(&events), ["started", "exited"]);
    assert!(since.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_container_that_was_ended_before_it_ran_did_not_start() {
    need!(root);
    let events = scratch("events").join("events");
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "inject=sethostname:signal=SIGKILL",
        "sh",
        "-c",
    ]);
    command.arg("exec 5>\"$EVENTS\"; exec \"$RUSTIC\" run --info-fd 5 true");
    command
        .env("EVENTS", &events)
        .env("RUSTIC", binary())
        .env("RUSTIC_STORE", shared().join("store"));
    assert_eq!(command.output().unwrap().status.code(), Some(137));
    assert_eq!(order(&fs::read_to_string(events).unwrap()), ["exited"]);
}

#[test]
fn a_program_that_never_says_so_is_ended_with_a_sentence() {
    need!(root);
    let mark = marker();
    let ran = Rustic::run()
        .opt(["--ready", "app", "--ready-timeout", "1"])
        .sh(&format!("sleep 600; : {mark}"))
        .ran();
    ran.fails(125, &["did not say that it is ready within 1 s", "--ready-timeout"]);
    assert_eq!(processes(&mark), Vec::<i32>::new());
}

#[test]
fn every_start_is_heard() {
    need!(root);
    for _ in 0..150 {
        for (ipc, word) in [("no", "received READY"), ("yes", "cannot see")] {
            let ran = Rustic::run().opt(["-v"]).ns("ipc", ipc).opt(["true"]).ran();
            assert!(ran.code == 0 && ran.stderr.contains(word), "{ran:?}");
        }
    }
}

#[test]
fn the_real_systemd_notify_is_understood() {
    need!(root);
    // A directory root with the host's /usr: what a Debian tree looks like to a program.
    let root = tree("notify");
    fs::remove_dir_all(root.join("bin")).unwrap();
    for link in ["bin", "lib", "lib64", "sbin"] {
        std::os::unix::fs::symlink(format!("usr/{link}"), root.join(link)).unwrap();
    }
    let (_, text, events) = with_events(
        &["--ready", "app", "--rootfs", root.to_str().unwrap(), "--bind", "/usr:/usr:ro"],
        "systemd-notify --status=warm && systemd-notify --ready && sleep 0.1",
    );
    assert_eq!(order(&events), ["started", "ready via socket", "exited"], "{text}");
}

#[test]
fn the_notify_socket_answers_barriers_and_keeps_no_descriptor() {
    need!(root);
    let bind = format!("{}:/mnt/payload", payload().display());
    let script = "stat -c %a $NOTIFY_SOCKET; for i in $(seq 30); do /mnt/payload notify \
        STATUS=$i; done; /mnt/payload notify BARRIER=1; echo >&3";
    let out = Rustic::run().opt(["--ready", "app", "--bind", &bind]).sh(script).ran().ok();
    assert_eq!(
        out,
        format!("666\n{}", "barrier Ok(0)\n".repeat(31)),
        "everything is read, and what came along is closed"
    );
}

#[test]
fn ready_and_mainpid_reach_the_outside_and_its_socket_does_not_get_inside() {
    need!(root);
    let path = scratch("outer").join("notify");
    let outer = UnixDatagram::bind(&path).unwrap();
    outer.set_read_timeout(Some(crate::support::CEILING)).unwrap();
    let run = Rustic::run().env("NOTIFY_SOCKET", path.to_str().unwrap()).opt(["-v"]);
    let child = run.sh("echo inside=$NOTIFY_SOCKET; sleep 0.2").started();
    let mut buffer = [0; 200];
    let length = outer.recv(&mut buffer).unwrap();
    let ran = finish(child);
    let pid = crate::support::number_after::<i32>(&ran.stderr, "PID of child is").unwrap();
    assert_eq!(String::from_utf8_lossy(&buffer[..length]), format!("READY=1\nMAINPID={pid}\n"));
    assert_eq!(ran.stdout, "inside=\n");
    // A socket that nobody listens on, and a value that is none, are no errors of the run.
    drop(outer);
    for value in [path.to_str().unwrap(), "nonsense", "@rustic-it-nobody"] {
        Rustic::run().env("NOTIFY_SOCKET", value).sh("true").ran().ok();
    }
}

/// A run whose queue has a name that the test knows, held for a moment before it says READY.
fn held(name: &str, options: &[&str]) -> std::process::Child {
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "inject=sethostname:delay_enter=700000"])
        .arg(binary());
    command.args(["run", "-v", "--ipc", "no"]).args(options).args(["sh", "-c", "echo up"]);
    command.env("RUSTIC_QUEUE_NAME", name).env("RUSTIC_STORE", shared().join("store"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn strangers_on_the_queue_are_told_apart_and_do_not_hold_the_start() {
    need!(root);
    use nix::mqueue::{MQ_OFlag, mq_open, mq_send};
    let name = format!("stranger{}", std::process::id());
    let child = held(&name, &[]);
    let mut queue = None;
    eventually("the queue is there", || {
        queue = mq_open(
            format!("/rustic.{name}").as_str(),
            MQ_OFlag::O_WRONLY | MQ_OFlag::O_NONBLOCK,
            nix::sys::stat::Mode::empty(),
            None,
        )
        .ok();
        queue.is_some()
    });
    let queue = queue.unwrap();
    for message in ["hello", "@r1 aaaaaaaa READY=1", "READY=1"] {
        mq_send(&queue, message.as_bytes(), 0).unwrap();
    }
    // And as many as it takes, until the start is over.
    let flood = std::thread::spawn(move || {
        let since = Instant::now();
        while since.elapsed() < Duration::from_millis(1500) {
            let _ = mq_send(&queue, b"flood", 0);
        }
        let _ = nix::mqueue::mq_close(queue);
    });
    let ran = finish(child);
    flood.join().unwrap();
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "up\n"), "{}", ran.stderr);
    for line in [
        "and is ignored: hello",
        "a message for another run",
        "and is ignored: READY=1",
        "received READY from child",
    ] {
        assert!(ran.stderr.contains(line), "{line}: {}", ran.stderr);
    }
}

#[test]
fn a_squatter_on_the_name_is_named_and_not_used() {
    need!(root);
    use nix::mqueue::{MQ_OFlag, mq_open, mq_unlink};
    let name = format!("squatter{}", std::process::id());
    let path = format!("/rustic.{name}");
    let attributes = nix::mqueue::MqAttr::new(0, 1, 128, 0);
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o666);
    let queue =
        mq_open(path.as_str(), MQ_OFlag::O_CREAT | MQ_OFlag::O_RDWR, mode, Some(&attributes))
            .unwrap();
    Rustic::run()
        .env("RUSTIC_QUEUE_NAME", &name)
        .sh("true")
        .ran()
        .fails(125, &["EEXIST", "somebody else"]);
    let still = mq_open(path.as_str(), MQ_OFlag::O_RDWR, nix::sys::stat::Mode::empty(), None);
    mq_unlink(path.as_str()).unwrap();
    assert!(still.is_ok(), "and what is somebody else's is left to them");
    nix::mqueue::mq_close(queue).unwrap();
}

#[test]
fn all_queues_taken_by_another_keeps_no_start_but_one_that_asks_for_a_queue() {
    need!(root);
    // 256 queues of a namespace, held by a process in it. Both runs meet the same one: the kernel
    // gives the bytes of a namespace back to their user some time after its end.
    let script = "
        $PAYLOAD fill-queues >$FILLED & filler=$!
        while ! grep -q filled $FILLED; do sleep 0.05; done
        $RUSTIC run -v --info-fd 1 --ipc no echo up; echo first $?
        $RUSTIC run --ready queue --ipc no echo up >$FILLED 2>&1; echo second $?
        cat $FILLED; kill $filler";
    let filled = scratch("fill").join("out");
    let script = script
        .replace("$PAYLOAD", payload().to_str().unwrap())
        .replace("$FILLED", filled.to_str().unwrap());
    let (_, text) = in_own_ipc(&script);
    assert!(text.contains("up\n") && text.contains("goes on without a queue"), "{text}");
    // Readiness is told all the same, by the way that is left.
    assert!(text.contains("\"event\":\"ready\",\"via\":\"exec\""), "{text}");
    assert!(text.contains("first 0\nsecond 125\n"), "{text}");
    assert!(
        text.contains("cannot make message queue")
            && (text.contains("EMFILE") || text.contains("ENOSPC")),
        "{text}"
    );
}

#[test]
fn a_container_that_fills_its_queues_does_not_stop_the_next_start() {
    need!(root);
    let bind = format!("{}:/mnt/payload", payload().display());
    let mut hungry = Rustic::run().opt(["--bind", &bind, "/mnt/payload", "fill-queues"]).started();
    let mut said = [0; 11];
    hungry.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
    assert_eq!(&said, b"filled true");
    for _ in 0..5 {
        assert_eq!(Rustic::run().ns("ipc", "no").sh("echo up").ran().ok(), "up\n");
    }
    hungry.kill().unwrap();
    hungry.wait().unwrap();
}

#[test]
fn no_wait_looks_at_the_wall_clock() {
    need!(root);
    let trace = scratch("clock").join("trace");
    for options in [vec!["--ipc", "no"], vec!["--ready", "app"]] {
        let mut command = Command::new("strace");
        command.args([
            "-f",
            "-qq",
            "-e",
            "trace=mq_timedreceive,mq_timedsend,ppoll,poll,pselect6,clock_nanosleep,timer_settime,timerfd_settime,futex",
            "-o",
        ]);
        command.arg(&trace).arg(binary()).arg("run").args(&options).args([
            "sh",
            "-c",
            "test -z \"$RUSTIC_READY_FD\" || echo >&3",
        ]);
        assert!(command.env("RUSTIC_STORE", shared().join("store")).status().unwrap().success());
        let text = fs::read_to_string(&trace).unwrap();
        assert!(text.contains("poll("), "the control: the waits are seen");
        for (_, call) in traced(&text).iter().filter(|(_, call)| call.starts_with("mq_timed")) {
            assert!(call.contains("NULL"), "no absolute CLOCK_REALTIME: {call}");
        }
        assert!(!text.contains("CLOCK_REALTIME"), "{text}");
    }
}

#[test]
fn a_reader_of_events_that_does_not_read_holds_nothing() {
    need!(root);
    // A fifo that nobody reads, filled by its own writer.
    let dir = scratch("full");
    let script = "mkfifo $DIR/fifo; exec 6<>$DIR/fifo; timeout 1 dd if=/dev/zero of=$DIR/fifo \
        bs=4096 2>/dev/null; \
                  exec 5>$DIR/fifo; exec \"$RUSTIC\" run --info-fd 5 --ready app --ready-timeout \
                      1 sleep 600";
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .env("DIR", &dir)
        .env("RUSTIC", binary())
        .env("RUSTIC_STORE", shared().join("store"));
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    finish(child).fails(125, &["did not say that it is ready"]);
}

#[test]
fn ready_on_the_descriptor_is_a_line_however_it_is_cut() {
    need!(root);
    for (script, expected) in [
        (
            "printf R >&3; sleep 0.1; printf EADY=1 >&3; sleep 0.2",
            vec!["started", "ready via fd", "exited"],
        ),
        ("printf NOTREADY=10 >&3; sleep 0.2", vec!["started", "exited"]),
        ("printf READY=10 >&3; sleep 0.2", vec!["started", "exited"]),
        ("printf 'anything\\n' >&3; sleep 0.2", vec!["started", "ready via fd", "exited"]),
    ] {
        let (_, _, events) = with_events(&["--ready", "app"], script);
        assert_eq!(order(&events), expected, "{script}");
    }
}

#[test]
fn a_descriptor_that_cannot_carry_events_is_refused() {
    need!(root);
    for open in ["5</dev/null", "5</"] {
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("exec {open}; exec \"$RUSTIC\" run --info-fd 5 true")])
            .env("RUSTIC", binary());
        finish(
            command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap(),
        )
        .fails(125, &["--info-fd 5"]);
    }
}

#[test]
fn a_descriptor_whose_close_waits_for_minutes_keeps_nobody() {
    need!(root);
    let bind = format!("{}:/mnt/payload", payload().display());
    let events = scratch("lingering").join("events");
    let mut child = Rustic::run()
        .opt(["--ready", "app", "--info-fd", "2", "--bind", &bind])
        .opt(["/mnt/payload", "notify-lingering"])
        .std()
        .stdin(Stdio::piped())
        .stderr(fs::File::create(&events).unwrap())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // The other end reads nothing for as long as stdin is open: until then no close comes back.
    eventually("READY is heard", || {
        fs::read_to_string(&events).unwrap().contains("\"via\":\"socket\"")
    });
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
