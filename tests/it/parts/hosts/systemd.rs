//! With systemd: sessions of plain users, and services that rustic is the main process of.

use super::case::{Case, hold};
use super::machine::{Machine, Root};
use crate::need;
use std::fs;

/// A command as somebody with a session of his own, as `ssh` would give it, and its exit code.
fn session(user: &str, words: &str) -> String {
    format!(
        "machinectl -q shell {user}@ /bin/sh -c 'NO_COLOR=1 {words}; echo code $?' </dev/null | cat"
    )
}

#[test]
fn in_sessions_and_units_each_wall_stands_as_ordered() {
    need!(root);
    let mut cases = vec![
        Case::new(
            "until systemctl is-system-running | grep -qE 'running|degraded|starting'; do sleep 1
             done; loginctl enable-linger alice; until [ -S /run/user/1000/bus ]; do sleep 0.2; done",
            0,
            &[],
        ),
        Case::runs("rustic run --ipc no"),
        Case::new("rustic verify", 0, &["Every wall is as ordered"]),
        Case::new("rustic doctor", 0, &["cgroups: version 2"]),
        // A cgroup that was delegated, to root and to a user.
        Case::new(
            "systemd-run -q --wait --pipe -p Delegate=yes rustic verify",
            0,
            &["Every wall is as ordered"],
        ),
        Case::new(
            "systemd-run -q --wait --pipe --user -M alice@ -p Delegate=yes /usr/local/bin/rustic verify",
            0,
            &["Every wall is as ordered"],
        ),
    ];
    for user in ["alice", "bob"] {
        cases.push(Case::new(session(user, "rustic run --ipc no id -u"), 0, &["0\r\ncode 0"]));
        let words = &["Every wall is as ordered", "code 0"];
        cases.push(Case::new(session(user, "rustic verify"), 0, words));
    }
    hold(Machine::new("trixie", Root::Systemd), &cases);
}

/// A service that says when it is ready, takes its time to stop, and writes down what it was told.
const SERVICE: &str = r#"
mkdir -p /shared && chmod 777 /shared
cat >/usr/local/bin/service <<'PROGRAM'
#!/bin/sh
terms=0
trap 'terms=$((terms + 1))' TERM
echo >&$RUSTIC_READY_FD
while [ $terms = 0 ]; do sleep 0.1; done
sleep 1
echo "stopped after TERM" >/shared/told
exit 0
PROGRAM
chmod 755 /usr/local/bin/service
"#;

fn wait(kind: &str, script: &str) -> String {
    format!("systemd-run -q --wait -p Type={kind} rustic run --init sh -c '{script}'")
}

fn restarts(kind: &str) -> Case {
    let script = format!(
        "systemd-run -q --unit=r-{kind} -p Type={kind} -p Restart=on-failure -p RestartSec=0.1 \
         rustic run sh -c 'sleep 0.3; exit 7' || true
         for i in $(seq 100); do
            restarts=$(systemctl show -P NRestarts r-{kind}); [ $restarts -lt 2 ] || break; sleep 0.2
         done; systemctl stop r-{kind}; [ $restarts -ge 2 ] && echo restarted"
    );
    Case::new(script, 0, &["restarted"])
}

fn stops(mode: &str) -> Case {
    let script = format!(
        "rm -f /shared/told; systemd-run -q --unit=stop-{mode} -p Type=notify -p KillMode={mode} \
         rustic run --ready app --bind /shared:/shared --bind \
         /usr/local/bin/service:/service:ro /service
         systemctl show -p ActiveState stop-{mode}; systemctl stop stop-{mode}
         cat /shared/told; systemctl show -p Result -p ExecMainStatus stop-{mode}"
    );
    let words = ["ActiveState=active", "stopped after TERM", "Result=success", "ExecMainStatus=0"];
    Case::new(script, 0, &words)
}

#[test]
fn a_unit_has_the_exit_code_of_what_runs_inside() {
    need!(root);
    hold(
        Machine::new("bookworm", Root::Systemd),
        &[
            Case::new(SERVICE, 0, &[]),
            Case::new(wait("notify", "sleep 0.5; exit 7"), 7, &[]),
            Case::new(wait("exec", "sleep 0.5; exit 7"), 7, &[]),
            Case::new(wait("notify", "sleep 0.5; exit 0"), 0, &[]),
            // Of two dollars systemd makes one.
            Case::new(wait("notify", "kill -9 $$$$"), 137, &[]),
            restarts("notify"),
            restarts("exec"),
            stops("mixed"),
            stops("control-group"),
        ],
    );
}

#[test]
fn what_a_service_says_reaches_systemd_and_the_documented_unit_runs() {
    need!(root);
    let unit = unit_of_the_documentation();
    hold(
        Machine::new("bookworm", Root::Systemd),
        &[
            Case::new(
                "systemd-run -q --unit=status -p Type=notify rustic run --ready app --bind \
                 /usr/local/bin/payload:/payload:ro sh -c '/payload notify \
                 \"STATUS=half way\\nREADY=1\"; sleep 100'
                 systemctl show -p StatusText -p ActiveState status; systemctl stop status",
                0,
                &["StatusText=half way", "ActiveState=active"],
            ),
            // Nobody's socket, and what is none, keep nothing from starting.
            Case::runs("NOTIFY_SOCKET=/nonexistent rustic run"),
            Case::runs("NOTIFY_SOCKET=vsock:2:1234 rustic run"),
            Case::new(
                format!(
                    "cat >/etc/systemd/system/box.service <<'UNIT'\n{unit}UNIT\n
                     systemctl daemon-reload && systemctl start box && systemctl show -p \
                     ActiveState -p StatusText box && systemctl stop box && systemctl show -p \
                     Result box"
                ),
                0,
                &["ActiveState=active", "Result=success"],
            ),
        ],
    );
}

#[test]
fn what_a_unit_restricts_is_named_where_it_matters() {
    need!(root);
    let unit = |user: &str, properties: &str, words: &str| {
        let properties: String =
            properties.split("  ").map(|property| format!(" -p '{property}'")).collect();
        format!("systemd-run -q --wait --pipe -p User={user}{properties} rustic {words}")
    };
    let filter = "the seccomp filter around";
    let refused = [
        ("root", "SystemCallFilter=~@mount", "ends whoever calls fsconfig(2)"),
        ("bob", "SystemCallFilter=~@mount", "ends whoever calls fsconfig(2)"),
        ("root", "SystemCallFilter=~@mount  SystemCallErrorNumber=EPERM", filter),
        ("bob", "SystemCallFilter=~@mount  SystemCallErrorNumber=EPERM", filter),
        ("root", "RestrictNamespaces=yes", filter),
        ("bob", "RestrictNamespaces=yes", filter),
        ("root", "ProtectHostname=yes", "RestrictNamespaces=, RestrictSUIDSGID=, ProtectHostname="),
        ("root", "RestrictSUIDSGID=yes", "a seccomp filter around rustic answers so"),
        ("root", "RestrictAddressFamilies=AF_UNIX", "refuses this family of sockets"),
        ("bob", "RestrictAddressFamilies=AF_UNIX", "refuses this family of sockets"),
        ("root", "CapabilityBoundingSet=", "that right, from whoever has taken it"),
        ("root", "LimitNOFILE=8", "the limit of open descriptors is too low"),
        ("bob", "LimitNPROC=1", "a limit on processes is reached"),
        ("bob", "ReadOnlyPaths=/", "/proc is mounted read-only"),
    ];
    let mut cases: Vec<Case> = refused
        .into_iter()
        .map(|(user, property, why)| Case::refused(unit(user, property, "run true"), &[why]))
        .collect();
    // The advice works.
    for (user, properties, options) in [
        ("root", "RestrictAddressFamilies=AF_UNIX", "--net no"),
        ("bob", "RestrictAddressFamilies=AF_UNIX AF_INET AF_NETLINK", ""),
        ("root", "ProtectHostname=yes", "--uts no"),
        ("root", "CapabilityBoundingSet=~CAP_SYS_ADMIN", "--user yes"),
        ("root", "ProcSubset=pid", ""),
        ("bob", "ProtectKernelTunables=yes", ""),
        ("root", "NoNewPrivileges=yes  ProtectSystem=strict  PrivateDevices=yes", ""),
    ] {
        cases.push(Case::runs(&unit(user, properties, &format!("run {options}"))));
    }
    // What verify and the doctor say.
    let forbidden = "SystemCallFilter=~@mount  SystemCallErrorNumber=EPERM";
    cases.push(Case::new(unit("root", forbidden, "verify"), 3, &[filter]));
    cases.push(Case::new(unit("root", forbidden, "doctor"), 1, &[filter]));
    hold(Machine::new("bookworm", Root::Systemd), &cases);
}

/// The unit of docs/readiness.
fn unit_of_the_documentation() -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/readiness.md");
    let text = fs::read_to_string(page).unwrap();
    let (_, rest) = text.split_once("```ini\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}
