//! Another architecture, which a processor of this machine only plays.

use super::case::{Case, hold};
use super::kernels::flags;
use super::machine::Machine;
use crate::need;

#[test]
fn on_aarch64_each_wall_stands_as_ordered() {
    need!(root);
    let bob = "mkdir -p /home/bob; chown 1001 /home/bob; chmod 755 /root /run /run/vm
        echo bob:x:1001:1001::/home/bob:/bin/sh >/etc/passwd";
    let ready = "rustic run -v --ready app sh -c 'echo >&$RUSTIC_READY_FD'";
    let by_bob = |words: &str| format!("su bob -c '{words}'");
    let mut cases = vec![
        Case::new(
            "rustic run --ipc no sh -c 'echo $(id -u) $(hostname) $(uname -m)'",
            0,
            &["0 rustic aarch64\n"],
        ),
        Case::new("rustic verify", 0, &["Every wall is as ordered"]),
        Case::new("rustic verify --flip", 0, &["8 of 8 walls follow their own namespace"]),
        Case::new("rustic doctor", 0, &["13 of 13 work"]),
        Case::new("echo haunt | rustic invoke -vpmun -i no true", 0, &[">> haunt"]),
        Case::new(ready, 0, &["the program said READY on descriptor 3"]),
        // A call that the filter of the other architecture knows by another number.
        Case::new("rustic run unshare --user true", 1, &["Operation not permitted"]),
        Case::new("rustic run --nest yes unshare --user true", 0, &[]),
        Case::new(bob, 0, &[]),
        Case::new(by_bob("rustic verify --user yes"), 3, &["→ Unknown: cgroup."]),
        Case::new(by_bob("rustic run --user no true"), 125, &["CAP_SYS_ADMIN"]),
    ];
    cases.extend(flags("root", ""));
    hold(Machine::aarch64(), &cases);
}
