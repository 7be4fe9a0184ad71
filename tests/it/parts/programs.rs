//! Programs that people run: behind the default walls, and those that make containers themselves
//! with the order that they need. Each has to do its work, not just to start.

use crate::need;
use crate::support::{Ran, Rustic, binary, host, roomy};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A program: its name, and a script that fails where the program does not do its work.
type Program = (&'static str, &'static str);

/// A package with one script, for dpkg and apt.
const PACKAGE: &str = "mkdir -p /tmp/p/DEBIAN /tmp/p/usr/bin /repo && cd /tmp && \
    printf '#!/bin/sh\\necho walls\\n' >p/usr/bin/walls && chmod 755 p/usr/bin/walls && \
    printf 'Package: walls\\nVersion: 1\\nArchitecture: all\\nMaintainer: a <a@b>\\n\
    Description: x\\n' >p/DEBIAN/control && dpkg-deb -b p /repo/walls.deb >/dev/null && ";

const PYTHON: &str = r#"
import asyncio, multiprocessing, socket, subprocess, tempfile, threading
def square(n): return n * n
if __name__ == "__main__":
    found = []
    threads = [threading.Thread(target=found.append, args=(n,)) for n in range(20)]
    [t.start() for t in threads]; [t.join() for t in threads]
    assert sorted(found) == list(range(20))
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(4) as pool:
            assert pool.map(square, range(5)) == [0, 1, 4, 9, 16]
    async def talk():
        async def answer(reader, writer):
            writer.write(await reader.readline()); await writer.drain(); writer.close()
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"walls\n"); await writer.drain()
        assert await reader.readline() == b"walls\n"
        process = await asyncio.create_subprocess_exec("true")
        assert await process.wait() == 0
    asyncio.run(talk())
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * 1000000)
    assert subprocess.check_output(["id", "-u"])
    from multiprocessing import shared_memory
    memory = shared_memory.SharedMemory(create=True, size=4096)
    memory.close(); memory.unlink()
    print("done")
"#;

const NODE: &str = r#"
const http = require("http"), { Worker } = require("worker_threads");
const server = http.createServer((_, answer) => answer.end("walls"));
server.listen(0, "127.0.0.1", () => http.get(server.address(), answer => {
  answer.on("data", text => {
    const worker = new Worker("require('worker_threads').parentPort.postMessage(6 * 7)", { eval: true });
    worker.on("message", number => { console.log(text.toString(), number); server.close(); });
  });
}));
"#;

const C: &str = r#"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static void *thread(void *number) { return number; }
int main(void) {
  pthread_t one; void *back; struct stat stat_; struct timespec now; int status;
  if (pthread_create(&one, 0, thread, &status) || pthread_join(one, &back) || back != &status) return 1;
  if (stat("/etc/passwd", &stat_) || clock_gettime(CLOCK_MONOTONIC, &now)) return 2;
  pid_t child = fork();
  if (!child) _exit(7);
  if (waitpid(child, &status, 0) != child || WEXITSTATUS(status) != 7) return 3;
  FILE *file = tmpfile();
  if (!file || fputs("x", file) < 0 || fclose(file)) return 4;
  printf("%d bits\n", (int)(8 * sizeof(void *)));
  return 0;
}
"#;

/// What runs behind the default walls.
const PROGRAMS: [Program; 17] = [
    ("dpkg -i", "dpkg -i /repo/walls.deb >/dev/null && walls | grep -q walls"),
    (
        "apt-get with a local repository",
        "cd /repo && dpkg-scanpackages . 2>/dev/null >Packages && \
         rm -f /etc/apt/sources.list.d/* && echo 'deb [trusted=yes] file:/repo ./' \
         >/etc/apt/sources.list && apt-get update -q >/dev/null && \
         apt-get install -y -q walls >/dev/null && walls | grep -q walls && \
         apt-get remove -y -q walls >/dev/null",
    ),
    ("python3", "python3 /programs/p.py | grep -q done"),
    (
        "git",
        "cd /tmp && git init -q one && cd one && git config user.email a@b && \
         git config user.name a && seq 1000 >f && git add f && git commit -qm x && \
         git clone -q /tmp/one /tmp/two && git -C /tmp/two gc -q && git -C /tmp/two fsck --strict",
    ),
    ("gcc", "cd /tmp && gcc -O1 -o c /programs/c.c -pthread && ./c | grep -q '64 bits'"),
    (
        "an i386 program",
        "cd /tmp && gcc -m32 -o c /programs/c.c -pthread && ./c | grep -q '32 bits'",
    ),
    (
        "cargo",
        "cd /tmp && export HOME=/tmp && cargo new -q walls 2>/dev/null; cd walls && \
         cargo test -q >/dev/null && cargo run -q | grep -q world",
    ),
    ("node", "node /programs/n.js | grep -q 'walls 42'"),
    (
        "nginx",
        "printf 'events {}\\nhttp { server { listen 127.0.0.1:8080; root /programs; } }\\n' \
         >/tmp/n && nginx -c /tmp/n && python3 -c 'import urllib.request as u; \
         print(u.urlopen(\"http://127.0.0.1:8080/c.c\").read().decode())' | grep -q pthread",
    ),
    (
        "postgres",
        "export PATH=$PATH:$(echo /usr/lib/postgresql/*/bin) && mkdir /tmp/pg && \
         chown postgres /tmp/pg && \
         as='setpriv --reuid postgres --regid postgres --clear-groups' && \
         cd /tmp/pg && $as initdb -D /tmp/pg/d >/dev/null && \
         $as pg_ctl -w -D /tmp/pg/d -o '-k /tmp/pg' -l /tmp/pg/log start >/dev/null && \
         $as psql -h /tmp/pg -c 'select 6*7 as n' postgres | grep -q 42 && \
         $as pg_ctl -w -D /tmp/pg/d stop >/dev/null",
    ),
    ("sshd -T", "ssh-keygen -A >/dev/null && mkdir -p /run/sshd && sshd -T | grep -q '^port 22'"),
    (
        "busybox httpd",
        "busybox httpd -p 127.0.0.1:8081 -h /programs && \
         busybox wget -qO- http://127.0.0.1:8081/c.c | grep -q pthread",
    ),
    ("strace", "strace -f -o /tmp/t sh -c 'true; id -u' >/dev/null && grep -q execve /tmp/t"),
    (
        "gdb",
        "cd /tmp && gcc -g -o c /programs/c.c -pthread && gdb -batch -ex 'break thread' -ex run \
         -ex bt -ex continue ./c >/tmp/g 2>&1 && grep -q 'thread (number=' /tmp/g && \
         grep -q '64 bits' /tmp/g",
    ),
    ("tar", "tar -C /usr/share -cf - doc | tar -C /tmp -xf - && test -d /tmp/doc/bash"),
    ("su", "su postgres -s /bin/sh -c 'id -un' | grep -q postgres"),
    ("useradd", "useradd -m walls && id walls >/dev/null && chown walls /home/walls"),
];

/// The root with all of them, imported once, and the folder with what they are given.
fn root() -> &'static (PathBuf, PathBuf) {
    static ROOT: OnceLock<(PathBuf, PathBuf)> = OnceLock::new();
    ROOT.get_or_init(|| {
        let archive = std::env::var("RUSTIC_PROGRAMS_ROOT").unwrap();
        let (store, work) = (roomy("programs-store"), roomy("programs-work"));
        let store_word = store.to_str().unwrap();
        let words = ["rootfs", "import", "--store", store_word, "programs", &archive];
        host(binary().to_str().unwrap(), words);
        for (name, text) in [("p.py", PYTHON), ("n.js", NODE), ("c.c", C)] {
            std::fs::write(work.join(name), text).unwrap();
        }
        (store, work)
    })
}

fn run(options: &[&str], script: &str) -> Ran {
    let (store, work) = root();
    let bind = |folder: &Path| format!("{}:/programs:ro", folder.display());
    Rustic::run()
        .opt(["--store", store.to_str().unwrap(), "--rootfs", "programs"])
        .opt(["--scratch-size", "2G", "--bind", &bind(work)])
        .opt(options.iter().copied())
        .sh(script)
        .ran()
}

fn is_there() -> bool {
    std::env::var_os("RUSTIC_PROGRAMS_ROOT").is_some()
}

#[test]
fn programs_do_their_work_behind_the_default_walls() {
    need!(root);
    need!(is_there(), "RUSTIC_PROGRAMS_ROOT names no root: scripts/test --programs makes one");
    let mut failed = Vec::new();
    for options in [&[][..], &["--user", "yes"]] {
        let here = |(name, _): &Program| *name != "an i386 program" || cfg!(target_arch = "x86_64");
        for (name, script) in PROGRAMS.into_iter().filter(here) {
            let ran = run(options, &format!("{PACKAGE}{script}"));
            if ran.code != 0 {
                failed
                    .push(format!("{name} {options:?}: {} {}{}", ran.code, ran.stdout, ran.stderr));
            }
        }
    }
    assert_eq!(failed, Vec::<String>::new());
}

#[test]
fn programs_that_make_containers_work_with_the_order_that_they_need_and_not_without() {
    need!(root);
    need!(is_there(), "RUSTIC_PROGRAMS_ROOT names no root: scripts/test --programs makes one");
    let nest = ["--nest", "yes"];
    let open = ["--nest", "yes", "--proc", "open"];
    let browser = "export HOME=/tmp && chromium --headless --disable-gpu --dump-dom \
        'data:text/html,<script>document.write(6*7)</script>' 2>/tmp/log | grep -q 42 || \
        { cat /tmp/log; false; }";
    let user = ["--uid", "1000", "--gid", "1000", "--nest", "yes"];
    assert_eq!(run(&nest, "test $(unshare -r id -u) = 0").code, 0);
    assert_ne!(run(&[], "unshare -r id -u").code, 0);
    for script in [
        "bwrap --ro-bind / / --proc /proc --dev /dev --unshare-all ls /proc/self/status",
        "unshare --user --map-root-user --pid --fork --mount-proc ls /proc/self/status",
    ] {
        let ran = run(&open, script);
        assert_eq!(ran.code, 0, "{script}: {ran:?}");
        assert_ne!(run(&nest, script).code, 0, "{script}");
    }
    let bind = format!("{}:/rustic", binary().display());
    let rustic = "/rustic run --user yes --store /tmp/store echo up";
    let ran = run(&[&open[..], &["--bind", &bind]].concat(), rustic);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "up\n"), "{ran:?}");
    assert_ne!(run(&[&nest[..], &["--bind", &bind]].concat(), rustic).code, 0);
    let has_browser = run(&[], "command -v chromium").code == 0;
    need!(has_browser, "this release has no package of chromium");
    let ran = run(&user, browser);
    assert_eq!(ran.code, 0, "chromium: {ran:?}");
    assert_ne!(run(&user[..4], browser).code, 0);
}

/// A socket as glibc of i386 makes it: by socketcall, which hides the family in memory.
#[cfg(target_arch = "x86_64")]
const SOCKET: &str = "printf '#include <stdio.h>\\n#include <sys/socket.h>\\nint main(void) \
    { if (socket(AF_INET, SOCK_STREAM, 0) < 0) { perror(\"socket\"); return 1; } return 0; }' \
    >/tmp/s.c && cd /tmp && gcc -m32 -o s s.c && strace -o t ./s; grep socket t";

#[test]
#[cfg(target_arch = "x86_64")]
fn what_cannot_run_shows_which_call_it_was_and_runs_without_the_filter() {
    need!(root);
    need!(is_there(), "RUSTIC_PROGRAMS_ROOT names no root: scripts/test --programs makes one");
    let ran = run(&[], SOCKET);
    assert!(ran.stderr.contains("socket: Function not implemented"), "{ran:?}");
    assert!(ran.stdout.contains("ENOSYS"), "{ran:?}");
    let ran = run(&["--seccomp", "none"], SOCKET);
    assert!(ran.code == 0 && !ran.stdout.contains("ENOSYS"), "{ran:?}");
}

#[test]
fn no_row_is_more_open_than_with_podmans_configuration() {
    need!(root);
    need!(is_there(), "scripts/test --programs installs podman and runc");
    let table = host::<&str>(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/compare-walls"), []);
    assert!(
        table.contains("| unshare CLONE_NEWUSER | EPERM | EPERM | EPERM | **open** |"),
        "{table}"
    );
    // The page shows what the script says, where it was made with the same versions.
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/walls.md"));
    let (page, versions) = (page.unwrap(), table.lines().next().unwrap());
    let old: Vec<&str> = table.lines().filter(|line| !page.contains(line)).collect();
    need!(page.contains(versions), "the page was made with other versions of the kernel or podman");
    assert_eq!(old, Vec::<&str>::new(), "rows that docs/walls.md does not have");
}
