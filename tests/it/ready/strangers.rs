//! Others on the queue: they are told apart, and hold nothing.

use crate::need;
use crate::support::{Rustic, eventually, finish};
use std::process::Child;
use std::time::{Duration, Instant};

/// A run whose queue has a name that the test knows, held for a moment before it says READY.
fn held(name: &str) -> Child {
    let run = Rustic::run().inject("sethostname:delay_enter=700000").env("RUSTIC_QUEUE_NAME", name);
    run.opt(["-v", "--ipc", "no"]).sh("echo up").started()
}

#[test]
fn strangers_on_the_queue_are_told_apart_and_do_not_hold_the_start() {
    need!(root);
    use nix::mqueue::{MQ_OFlag, mq_open, mq_send};
    let name = format!("stranger{}", std::process::id());
    let child = held(&name);
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
