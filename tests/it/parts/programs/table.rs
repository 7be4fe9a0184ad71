//! What the programs are, and how each shows that it does its work.

/// A program: its name, and a script that fails where the program does not do its work.
pub(super) type Program = (&'static str, &'static str);

/// A package with one script, for dpkg and apt.
pub(super) const PACKAGE: &str = "mkdir -p /tmp/p/DEBIAN /tmp/p/usr/bin /repo && cd /tmp && \
    printf '#!/bin/sh\\necho walls\\n' >p/usr/bin/walls && chmod 755 p/usr/bin/walls && \
    printf 'Package: walls\\nVersion: 1\\nArchitecture: all\\nMaintainer: a <a@b>\\n\
    Description: x\\n' >p/DEBIAN/control && dpkg-deb -b p /repo/walls.deb >/dev/null && ";

pub(super) const PYTHON: &str = r#"
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

pub(super) const NODE: &str = r#"
const http = require("http"), { Worker } = require("worker_threads");
const server = http.createServer((_, answer) => answer.end("walls"));
server.listen(0, "127.0.0.1", () => http.get(server.address(), answer => {
  answer.on("data", text => {
    const worker = new Worker("require('worker_threads').parentPort.postMessage(6 * 7)", { eval: true });
    worker.on("message", number => { console.log(text.toString(), number); server.close(); });
  });
}));
"#;

pub(super) const C: &str = r#"
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
pub(super) const PROGRAMS: [Program; 19] = [
    ("dpkg -i", "dpkg -i /repo/walls.deb >/dev/null && walls | grep -q walls"),
    (
        "apt-get with a local repository",
        "cd /repo && dpkg-scanpackages . 2>/dev/null >Packages && \
         rm -f /etc/apt/sources.list.d/* && echo 'deb [trusted=yes] file:/repo ./' \
         >/etc/apt/sources.list && apt-get update -q >/dev/null && \
         apt-get install -y -q walls >/dev/null && walls | grep -q walls && \
         apt-get remove -y -q walls >/dev/null",
    ),
    ("ping", "ping -c 1 -W 5 127.0.0.1 | grep -q '1 received' && hostname -f | grep -q rustic"),
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
        "sshd",
        "ssh-keygen -A >/dev/null && mkdir -p /run/sshd && useradd -m joe && usermod -p '*' joe && \
         mkdir -m 700 /home/joe/.ssh && ssh-keygen -q -t ed25519 -N '' -f /tmp/key && \
         cp /tmp/key.pub /home/joe/.ssh/authorized_keys && chown -R joe:joe /home/joe/.ssh && \
         $(command -v sshd) -p 2222 -o UsePAM=no && ssh -i /tmp/key -p 2222 -o LogLevel=ERROR \
         -o ConnectionAttempts=30 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
         joe@127.0.0.1 id -un | grep -qx joe",
    ),
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

/// What changes users, as one who is not root, where that is ordered.
pub(super) const CHANGES_OF_USER: [Program; 2] = [
    ("sudo", "setpriv --reuid joe --regid joe --clear-groups sudo -n id -u | grep -qx 0"),
    (
        "su",
        "echo secret | setpriv --reuid joe --regid joe --clear-groups su -c 'id -u' | grep -qx 0",
    ),
];

pub(super) const JOE: &str = "useradd -m -u 1000 joe && echo root:secret | chpasswd && \
    echo 'joe ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/joe && ";
