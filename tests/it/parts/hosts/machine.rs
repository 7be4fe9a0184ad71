//! A virtual machine of `scripts/vm`: a kernel of Debian, a root, and scripts that run there.

use crate::support::{Ran, binary, payload, scratch};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// What a machine runs on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Root {
    /// A tmpfs with busybox and nothing else.
    Busybox,
    /// The kernel's first one, with busybox.
    Initramfs,
    /// Debian, whose process 1 is a shell.
    Debian,
    /// Debian with systemd.
    Systemd,
}

/// A virtual machine, being put together.
#[derive(Debug)]
pub(super) struct Machine {
    /// The arguments of `scripts/vm-kernel`.
    kernel: Vec<&'static str>,
    root: Root,
    options: Vec<&'static str>,
    files: Vec<PathBuf>,
}

/// What every script may use: `rustic`, `payload`, and `as USER CMD`.
const SETTINGS: &str = r#"#!/bin/sh
export NO_COLOR=1 LC_ALL=C.UTF-8 HOME=/root
mkdir -p /usr/local/bin
for program in rustic payload; do
    [ -e /run/vm/$program ] || continue
    chmod 755 /run/vm/$program
    cp /run/vm/$program /usr/local/bin
    cp /run/vm/$program /bin
done
cat >/usr/local/bin/as <<'AS'
#!/bin/sh
user=$1
shift
cd /home/$user
exec setpriv --reuid $user --regid $user --init-groups env -i HOME=/home/$user PATH=$PATH NO_COLOR=1 "$@"
AS
chmod 755 /usr/local/bin/as
for script in /run/vm/[0-9]*.sh; do
    timeout 240 sh $script >/run/vm/out.txt 2>/run/vm/err.txt </dev/null
    code=$?
    echo "ran:$code:$(base64 -w 0 /run/vm/out.txt):$(base64 -w 0 /run/vm/err.txt)"
done
"#;

impl Machine {
    /// A machine with the newest kernel of a suite of Debian.
    pub(super) fn new(suite: &'static str, root: Root) -> Self {
        Self { kernel: vec![suite], root, options: Vec::new(), files: vec![binary(), payload()] }
    }

    /// One of another architecture, with the rustic that `scripts/build-aarch64` has made.
    pub(super) fn aarch64() -> Self {
        let (kernel, options) = (vec!["trixie", "arm64"], Vec::new());
        let files = vec![said(&mut script_of_the_project("build-aarch64")).into()];
        Self { kernel, root: Root::Busybox, options, files }
    }

    /// An option of `scripts/vm` more, and its value.
    pub(super) fn option(mut self, name: &'static str, value: &'static str) -> Self {
        self.options.extend([name, value]);
        self
    }

    /// A file more, in /run/vm.
    pub(super) fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push(path.into());
        self
    }

    /// Boots it and runs the scripts one after the other, as root. How each of them ended.
    #[track_caller]
    pub(super) fn boots<S: AsRef<str>>(self, scripts: &[S]) -> Vec<Ran> {
        let dir = scratch("machine");
        let name = |number: usize| dir.join(format!("{number:03}.sh"));
        fs::write(dir.join("all"), SETTINGS).unwrap();
        let files: Vec<PathBuf> = (0..scripts.len()).map(name).collect();
        for (file, script) in files.iter().zip(scripts) {
            fs::write(file, script.as_ref()).unwrap();
        }
        let mut vm = script_of_the_project("vm");
        match self.root {
            Root::Busybox => &mut vm,
            Root::Initramfs => vm.args(["--root", "initramfs"]),
            Root::Debian => vm.args(["--root", &said(&mut script_of_the_project("vm-root"))]),
            Root::Systemd => {
                vm.args(["--systemd", "--root", &said(&mut script_of_the_project("vm-root"))])
            }
        };
        vm.args(&self.options);
        vm.arg(said(script_of_the_project("vm-kernel").args(&self.kernel))).arg(dir.join("all"));
        let vm = vm.args(&self.files).args(&files).output().unwrap();
        let text = String::from_utf8_lossy(&vm.stdout);
        let ran: Vec<Ran> = text.lines().filter_map(parsed).collect();
        assert_eq!(ran.len(), scripts.len(), "{self:?}: {vm:?}");
        ran
    }
}

fn script_of_the_project(name: &str) -> Command {
    Command::new(format!("{}/scripts/{name}", env!("CARGO_MANIFEST_DIR")))
}

#[track_caller]
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn parsed(line: &str) -> Option<Ran> {
    let mut parts = line.strip_prefix("ran:")?.split(':');
    let text = |word: Option<&str>| {
        let bytes = BASE64_STANDARD.decode(word?).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    };
    let code = parts.next()?.parse().ok()?;
    Some(Ran { code, stdout: text(parts.next())?, stderr: text(parts.next())? })
}
