//! Any bytes on the queue are some message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rustic::parts::message::{QueueMessage, parse, ready};

const NONCE: &str = "k3v2x2q7";

fuzz_target!(|bytes: &[u8]| {
    let message = parse(bytes, NONCE);
    assert_eq!(
        message == QueueMessage::Ready,
        bytes.split(|&byte| byte == 0).next() == Some(ready(NONCE).as_bytes())
    );
});
