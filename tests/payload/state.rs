//! What the kernel says of this process.

use super::say::say;

/// What the kernel says of this process, its namespaces, mounts, descriptors and limits.
pub(super) fn state() {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_else(|error| error.to_string());
    for line in read("/proc/self/status").lines() {
        let wanted =
            ["Uid", "Gid", "Groups", "Cap", "NoNewPrivs", "Seccomp:", "Sig", "Umask", "NSpid"];
        // SigQ counts the signals of all processes of the user.
        if !line.starts_with("SigQ") && wanted.iter().any(|name| line.starts_with(name)) {
            // Digits of masks are letters here, so that they are compared.
            let digits = |c: char| c.to_digit(10).map_or(c, |digit| (b'a' + digit as u8) as char);
            say(&line.chars().map(digits).collect::<String>());
        }
    }
    for line in read("/proc/self/mountinfo").lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let kind = line.split(" - ").nth(1).and_then(|rest| rest.split(' ').next());
        say(&format!("{} {} {} {kind:?}", fields[4], fields[5], fields[6]));
    }
    for fd in 0..64 {
        if let Ok(path) = std::fs::read_link(format!("/proc/self/fd/{fd}")) {
            say(&format!("descriptor {}", path.display()));
        }
    }
    let host = |entry: &str| read(entry).trim().to_owned();
    say(&format!("{} {}", host("/proc/sys/kernel/hostname"), host("/proc/self/personality")));
    say(&format!("{:?} {:?}", std::env::current_dir(), std::env::vars().collect::<Vec<_>>()));
    for entry in ["pid", "mnt", "uts", "net", "ipc", "user", "cgroup", "time"] {
        // A namespace of the machine's first ones has a number that is known, proc_ns.h.
        let link = std::fs::read_link(format!("/proc/self/ns/{entry}"));
        let text = link.map(|link| link.display().to_string()).unwrap_or_default();
        say(&format!("{entry} {}", if text.contains("[40265318") { "initial" } else { "other" }));
    }
}
