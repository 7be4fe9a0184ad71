//! Kernel parameters: those of the namespaces of the container, and no others.

use crate::need;
use crate::support::Rustic;
use std::fs;

/// Whether this kernel is that new.
fn since(major: u32, minor: u32) -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (major, minor)
}

#[test]
fn parameters_of_the_containers_own_namespaces_can_be_set_and_no_others() {
    need!(root);
    let before = fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap();
    let other = if before.trim() == "0" { "1" } else { "0" };
    need!(
        since(6, 9),
        "before Linux 6.9 a user namespace may not write the parameters of its IPC namespace"
    );
    let show =
        "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmni /proc/sys/fs/mqueue/msg_max";
    for run in [Rustic::run(), Rustic::run().ns("user", "yes"), Rustic::run().nobody()] {
        let forward = format!("net.ipv4.ip_forward={other}");
        let run = run.opt(["--sysctl", &forward, "--sysctl", "fs.mqueue.msg_max=5"]);
        let run = run.opt(["--sysctl", "kernel.shmmni=77"]);
        assert_eq!(run.sh(show).ran().ok(), format!("{other}\n77\n5\n"));
    }
    assert_eq!(fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap(), before);
    // The name of an interface may have a dot in it, sysctl(8).
    for name in ["net.ipv4.conf.lo.forwarding", "net/ipv4/conf/lo/forwarding"] {
        let run = Rustic::run().opt(["--sysctl", &format!("{name}=1")]);
        assert_eq!(run.opt(["cat", "/proc/sys/net/ipv4/conf/lo/forwarding"]).ran().ok(), "1\n");
    }

    let refused = |options: &[&str], words: &[&str]| {
        Rustic::run().opt(options.iter().copied()).sh("true").ran().fails(125, words);
    };
    refused(&["--sysctl", "kernel.core_pattern=x"], &["kernel.core_pattern", "whole machine"]);
    refused(&["--sysctl", "vm.swappiness=1"], &["vm.swappiness", "whole machine"]);
    refused(&["--sysctl", "net.ipv4.ip_forward=1", "--net", "no"], &["net namespace", "--net yes"]);
    refused(&["--sysctl", "kernel.sem=1", "--ipc", "no"], &["ipc namespace", "--ipc yes"]);
    // Below net, and the whole machine's all the same.
    refused(&["--sysctl", "net.netfilter.nf_hooks_lwtunnel=1"], &["whole machine"]);
    refused(&["--sysctl", "net..x=1"], &["no name of a kernel parameter"]);
    refused(&["--sysctl", "net.ipv4.nothing=1"], &["net.ipv4.nothing=1", "ENOENT"]);
    refused(&["--sysctl", "net.ipv4.ip_forward=much"], &["ip_forward=much", "EINVAL"]);
    refused(&["--sysctl", "net.ipv4.ip_forward"], &["KEY=VALUE"]);
    refused(&["--sysctl", "net.ipv4.ip_forward="], &["KEY=VALUE"]);
    refused(&["--sysctl", "net/../kernel/core_pattern=x"], &["no name of a kernel parameter"]);
    refused(&["--sysctl", "net.//.kernel.core_pattern=x"], &["no name of a kernel parameter"]);
    refused(&["--sysctl", "net.ipv4.ip_forward=1", "--mount", "no"], &["--sysctl", "--mount no"]);
    refused(&["--proc", "open", "--mount", "no"], &["--proc open", "--mount no"]);
}
