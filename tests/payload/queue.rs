//! Message queues: one that is told, and all that can be had.

use super::say::say;
use nix::mqueue::{MQ_OFlag, MqAttr, mq_open, mq_send};
use nix::sys::stat::Mode;

/// Says READY=1 on the queue that RUSTIC_READY_QUEUE names.
pub(super) fn ready_on_the_queue() {
    let name = std::env::var("RUSTIC_READY_QUEUE").unwrap_or_default();
    let queue = mq_open(name.as_str(), MQ_OFlag::O_WRONLY, Mode::empty(), None);
    println!("sent {:?}", queue.and_then(|queue| mq_send(&queue, b"READY=1", 0)));
}

/// Takes every byte and every queue that it can get, and keeps them.
pub(super) fn fill_queues() {
    let mut made = 0;
    let mut fill = || {
        // Large ones first, for the bytes, then the smallest, for the rest of both.
        for attributes in [MqAttr::new(0, 10, 8192, 0), MqAttr::new(0, 1, 1, 0)] {
            let flags = MQ_OFlag::O_CREAT | MQ_OFlag::O_RDWR;
            while mq_open(
                format!("/fill.{made}").as_str(),
                flags,
                Mode::S_IRUSR | Mode::S_IWUSR,
                Some(&attributes),
            )
            .is_ok()
            {
                made += 1;
            }
        }
        made
    };
    say(&format!("filled {}", fill() > 0));
    // Bytes of the same user come free wherever a queue is removed.
    loop {
        fill();
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}
