//! Those who wait outside: events on a descriptor, and the socket of the caller.

use super::{order, with_events};
use crate::need;
use crate::support::{Rustic, ended, finish, scratch, shell};
use std::fs;
use std::os::unix::net::UnixDatagram;

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
fn a_container_that_was_ended_before_it_ran_did_not_start() {
    need!(root);
    let events = scratch("events").join("events");
    let inject = "inject=sethostname:signal=SIGKILL";
    let words = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", inject, "sh"];
    let script = "exec 5>\"$EVENTS\"; exec \"$RUSTIC\" run --info-fd 5 true";
    assert_eq!(ended(shell(&words, script).env("EVENTS", &events)).code, 137);
    assert_eq!(order(&fs::read_to_string(events).unwrap()), ["exited"]);
}

#[test]
fn ready_reaches_the_outside_and_its_socket_does_not_get_inside() {
    need!(root);
    let path = scratch("outer").join("notify");
    let outer = UnixDatagram::bind(&path).unwrap();
    outer.set_read_timeout(Some(crate::support::CEILING)).unwrap();
    let run = Rustic::run().env("NOTIFY_SOCKET", path.to_str().unwrap()).opt(["-v"]);
    let child = run.sh("echo inside=$NOTIFY_SOCKET; sleep 0.2").started();
    let mut buffer = [0; 200];
    let length = outer.recv(&mut buffer).unwrap();
    let ran = finish(child);
    // No MAINPID: rustic stays the main process, and its exit code is the unit's.
    assert_eq!(String::from_utf8_lossy(&buffer[..length]), "READY=1\n");
    assert_eq!(ran.stdout, "inside=\n");
    // A socket that nobody listens on, and a value that is none, are no errors of the run.
    drop(outer);
    for value in [path.to_str().unwrap(), "nonsense", "@rustic-it-nobody"] {
        Rustic::run().env("NOTIFY_SOCKET", value).sh("true").ran().ok();
    }
}

#[test]
fn what_a_program_says_of_its_service_reaches_the_outside() {
    need!(root);
    let dir = scratch("service");
    let outer = UnixDatagram::bind(dir.join("notify")).unwrap();
    outer.set_read_timeout(Some(crate::support::CEILING)).unwrap();
    let run = Rustic::run().env("NOTIFY_SOCKET", dir.join("notify").to_str().unwrap());
    let bind = format!("{}:/payload:ro", crate::support::payload().display());
    let script = "/payload notify 'STATUS=half way\\nMAINPID=1\\nEXTEND_TIMEOUT_USEC=9' >&2
        /payload notify 'READY=1' >&2; /payload notify 'READY=1\\nWATCHDOG=1' >&2
        /payload notify 'STOPPING=1\\nFDSTORE=1' >&2";
    let ran = run.opt(["--ready", "app", "--bind", &bind]).sh(script).ran();
    assert_eq!((ran.code, ran.stderr.matches("barrier Ok(0)").count()), (0, 4), "{ran:?}");
    let mut told = String::new();
    while !told.ends_with("STOPPING=1\n") {
        let mut buffer = [0; 200];
        let length = outer.recv(&mut buffer).unwrap();
        told.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    let expected = "STATUS=half way\nEXTEND_TIMEOUT_USEC=9\nREADY=1\nWATCHDOG=1\nSTOPPING=1\n";
    assert_eq!(told, expected);
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
    let ran = ended(shell(&["sh"], script).env("DIR", &dir));
    ran.fails(125, &["did not say that it is ready"]);
}

#[test]
fn a_descriptor_that_cannot_carry_events_is_refused() {
    need!(root);
    for open in ["5</dev/null", "5</"] {
        let script = format!("exec {open}; exec \"$RUSTIC\" run --info-fd 5 true");
        ended(&mut shell(&["sh"], &script)).fails(125, &["--info-fd 5"]);
    }
}
