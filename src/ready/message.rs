//! What a message on the queue says: `@r1 <nonce> KEY=VALUE` with sd_notify(3)'s keys, or plain
//! text as in the article. The parser is total.

/// Length of a nonce.
pub const NONCE: usize = 8;

/// The longest message without its NUL; mq_msgsize is one more, as in the article.
pub const LONGEST: usize = 80;

/// A message, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueMessage {
    /// The walls stand.
    Ready,
    /// Another key of sd_notify(3), not acted on.
    Other(String),
    /// Typed, but for another run.
    Foreign,
    /// Bytes of another form, as text.
    Plain(String),
}

/// The message that says READY for a nonce.
pub fn ready(nonce: &str) -> String {
    format!("@r1 {nonce} READY=1")
}

/// Reads a message: any bytes, with or without the closing NUL.
pub fn parse(bytes: &[u8], nonce: &str) -> QueueMessage {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end]);
    match typed(&text) {
        Some((theirs, _)) if theirs != nonce => QueueMessage::Foreign,
        Some((_, "READY=1")) => QueueMessage::Ready,
        Some((_, assignment)) => QueueMessage::Other(assignment.to_owned()),
        None => QueueMessage::Plain(text.into_owned()),
    }
}

/// The nonce and the assignment of a typed message.
fn typed(text: &str) -> Option<(&str, &str)> {
    let (nonce, assignment) = text.strip_prefix("@r1 ")?.split_once(' ')?;
    let (key, _) = assignment.split_once('=')?;
    let nonce_ok =
        nonce.len() == NONCE && nonce.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'));
    let key_ok = (1..=16).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    (nonce_ok && key_ok).then_some((nonce, assignment))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINE: &str = "k3v2x2q7";

    #[test]
    fn ready_is_ready_with_and_without_its_nul() {
        let message = ready(MINE);
        assert!(message.len() <= LONGEST);
        assert_eq!(parse(message.as_bytes(), MINE), QueueMessage::Ready);
        assert_eq!(parse(format!("{message}\0rest").as_bytes(), MINE), QueueMessage::Ready);
    }

    #[test]
    fn a_wrong_nonce_is_foreign_and_plain_text_is_plain() {
        assert_eq!(parse(b"@r1 aaaaaaaa READY=1", MINE), QueueMessage::Foreign);
        assert_eq!(parse(b"READY=1", MINE), QueueMessage::Plain("READY=1".into()));
        assert_eq!(
            parse(b"@r1 k3v2x2q7 STATUS=warm", MINE),
            QueueMessage::Other("STATUS=warm".into())
        );
        assert_eq!(parse(b"", MINE), QueueMessage::Plain(String::new()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_some_message(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let message = parse(&bytes, MINE);
            let is_ready = message == QueueMessage::Ready;
            prop_assert!(!is_ready || bytes.starts_with(b"@r1 k3v2x2q7 READY=1"));
        }
    }
}
