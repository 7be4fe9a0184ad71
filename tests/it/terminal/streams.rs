//! A terminal beside a file or a pipe.

use super::screen::Screen;
use crate::need;
use crate::support::scratch;
use std::fs;

#[test]
fn a_file_as_stdout_is_not_changed_by_a_terminal_beside_it() {
    need!(root);
    let dir = scratch("tar");
    let script = format!(
        "$RUSTIC run tar c /etc >{0}/x.tar; $RUSTIC run cat /bin/busybox >{0}/busybox; echo done",
        dir.display()
    );
    Screen::shell(&script).until("done");
    assert_eq!(fs::read(dir.join("busybox")).unwrap(), fs::read("/bin/busybox").unwrap());
    let list = crate::support::host("tar", ["tf", dir.join("x.tar").to_str().unwrap()]);
    assert!(list.contains("etc/passwd"), "{list}");
}

#[test]
fn a_terminal_as_stdout_alone_shows_lines_as_they_are() {
    need!(root);
    let mut screen =
        Screen::shell("echo in | $RUSTIC run sh -c 'cat; echo two; tty <&1'; echo done");
    let text = screen.until("done");
    assert!(text.starts_with("in\r\ntwo\r\n/dev/pts/0\r\n"), "{text:?}");
}

#[test]
fn an_unpack_that_takes_long_says_how_far_it_is() {
    need!(root);
    let dir = scratch("progress");
    let archive = dir.join("a.tar");
    std::fs::write(&archive, crate::corpus::bytes::tar([crate::corpus::bytes::file("a", "x")]))
        .unwrap();
    let (archive, out) = (archive.display(), dir.join("out"));
    let script = format!(
        "(head -c 600 {archive}; sleep 1; tail -c +601 {archive}) | $RUSTIC rootfs unpack - {}; \
            echo code $?",
        out.display()
    );
    let mut screen = Screen::shell(&script);
    screen.until("unpacking stdin 600 B");
    screen.until("code 0");
    // One that is done at once says nothing, and so does one whose stderr is no terminal, as every
    // other test sees.
    let mut screen =
        Screen::shell(&format!("$RUSTIC rootfs unpack {archive} {}2; echo code $?", out.display()));
    assert!(!screen.until("code 0").contains("unpacking"));
}
