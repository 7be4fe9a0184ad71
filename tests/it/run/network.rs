//! The network of the container's own: names, ports, ping.

use crate::need;
use crate::support::{Rustic, end, payload, piped, shell, until_line};
use std::fs;

#[test]
fn hosts_has_the_name_of_the_container_and_what_stands_before_its_dot() {
    need!(root);
    for options in [&[][..], &["--user", "yes"], &["--caps", "none"]] {
        let run = || Rustic::run().opt(options.iter().copied());
        assert_eq!(
            run().sh("cat /etc/hosts; hostname -f").ran().ok(),
            "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n127.0.1.1\trustic\nrustic\n",
        );
        let named = run().opt(["--hostname", "web.example.org"]);
        assert_eq!(
            named.sh("tail -n 1 /etc/hosts; hostname -f; hostname -s").ran().ok(),
            "127.0.1.1\tweb.example.org web\nweb.example.org\nweb\n",
        );
    }
}

#[test]
fn on_the_callers_network_hosts_is_the_callers_and_a_new_name_is_added() {
    need!(root);
    let theirs = fs::read_to_string("/etc/hosts").unwrap();
    let theirs = if theirs.ends_with('\n') { theirs } else { theirs + "\n" };
    let shared = Rustic::run().ns("net", "no");
    let own = shared.clone().opt(["--hostname", "new.example.org"]).sh("cat /etc/hosts");
    assert_eq!(own.ran().ok(), format!("{theirs}127.0.1.1\tnew.example.org new\n"));
    // A name that is in it already has its address, and one that is not its own is not added.
    let known = shared.clone().opt(["--hostname", "LOCALHOST"]).sh("cat /etc/hosts").ran().ok();
    assert_eq!(known.trim_end(), theirs.trim_end());
    let same = shared.ns("uts", "no").sh("cat /etc/hosts").ran().ok();
    assert_eq!(same.trim_end(), theirs.trim_end());
}

#[test]
fn the_name_of_a_joined_namespace_is_added_too() {
    need!(root);
    let script = "hostname joined.example.org; echo up; read end";
    let holder = until_line(piped(&mut shell(&["unshare", "--uts", "sh"], script)), "up");
    let uts = format!("/proc/{}/ns/uts", holder.id());
    let ran = Rustic::run().ns("net", "no").ns("uts", &uts).sh("tail -n 1 /etc/hosts").ran();
    assert_eq!(ran.ok(), "127.0.1.1\tjoined.example.org joined\n");
    end(holder);
}

/// In a network of its own a user without rights listens on port 80 and pings; on the caller's he
/// may what he may there.
#[test]
fn low_ports_and_ping_are_for_everybody_in_a_network_of_its_own() {
    need!(root);
    let bind = format!("{}:/mnt/payload", payload().display());
    let tries = |options: &[&str]| {
        let run = Rustic::run().opt(["--caps", "none", "--uid", "1000", "--bind", &bind]);
        let run = run.opt(options.iter().copied());
        run.sh("/mnt/payload listen 80; /mnt/payload ping").ran().ok()
    };
    for options in
        [&[][..], &["--user", "yes"], &["--proc", "open"], &["--sysctl", "net.ipv4.ip_forward=1"]]
    {
        assert_eq!(tries(options), "listens\nan answer\n", "{options:?}");
    }
    // What was ordered stands.
    let ordered = ["--sysctl", "net.ipv4.ip_unprivileged_port_start=81"];
    assert_eq!(tries(&ordered), "EACCES\nan answer\n");
    let ordered = ["--sysctl", "net/ipv4/ping_group_range=1 0"];
    assert_eq!(tries(&ordered), "listens\nEACCES\n");
    // Without mounts too, where the payload must be in the root.
    let root = crate::support::tree("network");
    let run = Rustic::run().opt(["--mount", "no", "--rootfs", root.to_str().unwrap()]);
    let run = run.opt(["--caps", "none", "--uid", "1000"]);
    assert_eq!(run.clone().opt(["payload", "listen", "80"]).ran().ok(), "listens\n");
    assert_eq!(run.opt(["payload", "ping"]).ran().ok(), "an answer\n");
}

/// The control, in a network that rustic has not set up.
#[test]
fn without_them_low_ports_and_ping_are_not_for_everybody() {
    need!(root);
    let payload = payload();
    let path = payload.display();
    let script = format!(
        "ip link set lo up 2>/dev/null; setpriv --reuid=1000 --regid=1000 \
         --clear-groups --bounding-set=-all sh -c '{path} listen 80; {path} ping'"
    );
    let made = crate::support::host("unshare", ["--net", "sh", "-c", &script]);
    assert_eq!(made, "EACCES\nEACCES\n");
}

#[test]
fn a_plain_user_has_them_too() {
    need!(root);
    let bind = format!("{}:/mnt/payload", payload().display());
    let run = Rustic::run().nobody().opt(["--caps", "none", "--bind", &bind]);
    let ran = run.sh("/mnt/payload listen 80; /mnt/payload ping").ran();
    assert_eq!(ran.ok(), "listens\nan answer\n");
}

/// A static program looks names up without the libraries that its libc would load for it.
#[test]
fn names_are_looked_up_in_the_built_in_root() {
    need!(root);
    for options in [&[][..], &["--user", "yes"], &["--mount", "no"], &["--uid", "1000"]] {
        let run = |what: &str| {
            let script = format!("wget -O - http://{what}/ 2>&1; echo code $?");
            Rustic::run().opt(options.iter().copied()).sh(&script).ran().ok()
        };
        for host in ["127.0.0.1:9", "localhost:9", "rustic:9", "[::1]:9"] {
            let said = run(host);
            assert!(said.contains("Connection refused"), "{options:?} {host}: {said}");
            assert!(said.ends_with("code 1\n"), "{options:?} {host}: {said}");
        }
        let said = run("nothing.invalid");
        assert!(said.ends_with("code 1\n") && said.contains("bad address"), "{said}");
    }
}
