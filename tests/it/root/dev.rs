//! /dev: its devices, and what is ordered over them.

use crate::need;
use crate::support::{Rustic, scratch};
use std::fs;

#[test]
fn the_container_has_the_devices_of_every_program_and_no_other() {
    need!(root);
    for nobody in [false, true] {
        let run = if nobody { Rustic::run().nobody() } else { Rustic::run() };
        let out = run
            .sh("ls /dev; echo x >/dev/null; head -c 3 /dev/zero | wc -c; head -c 5 \
            /dev/urandom | wc -c; echo >/dev/full")
            .ran();
        let expected = "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom \
            zero 3 5 ";
        assert!(out.stdout.replace('\n', " ").starts_with(expected), "{out:?}");
        assert!(out.stderr.contains("No space left on device"), "{out:?}");
    }
}

#[test]
fn what_is_ordered_over_dev_is_shown_and_never_written_to() {
    need!(root);
    for nobody in [false, true] {
        let dir = scratch("over-dev");
        std::os::unix::fs::chown(&dir, Some(65534), Some(65534)).unwrap();
        let run = || if nobody { Rustic::run().nobody() } else { Rustic::run() };
        run()
            .opt(["--bind".to_owned(), format!("{}:/dev", dir.display()), "true".into()])
            .ran()
            .ok();
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "no node and no link on the host");
        assert_eq!(run().opt(["--tmpfs", "/dev"]).sh("ls /dev | wc -l").ran().ok(), "0\n");
        assert!(run().opt(["--bind", "/dev:/dev", "ls", "/dev/null"]).ran().code == 0);
    }
}

#[test]
fn a_device_that_is_bound_by_name_can_be_used() {
    need!(root);
    assert_eq!(
        Rustic::run()
            .opt(["--bind", "/dev/zero:/dev/other"])
            .sh("head -c 3 /dev/other | wc -c")
            .ran()
            .ok(),
        "3\n"
    );
}
