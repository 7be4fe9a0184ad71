//! execve of CMD: found along PATH inside, and when it cannot run, why.

use crate::error::{SysError, printable};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, StatVfsMountFlags, open, openat2, statvfs};
use rustix::io::Errno;
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Replaces this process by CMD. A name without a slash is looked for along the PATH of `env`,
/// execvp(3).
///
/// Returns only when CMD cannot be run: ENOENT without a detail means that there is no such
/// command.
pub fn execute(cmd: &[CString], env: &[CString]) -> SysError {
    let Some(name) = cmd.first() else { return Errno::NOENT.into() };
    let mut refused = None;
    for path in candidates(name, env) {
        if let Some(link) = magic_link(path_of(&path), INTERPRETERS) {
            let shown = printable(&link.to_string_lossy());
            let detail =
                format!("{shown} is a magic link of /proc, and leads out of the container");
            return SysError::new(Errno::LOOP, detail);
        }
        match nix::unistd::execve(&path, cmd, env) {
            Ok(never) => match never {},
            Err(nix::errno::Errno::ENOENT | nix::errno::Errno::ENOTDIR) if !exists(&path) => {}
            // execvp goes on after EACCES: another directory may have one that can be executed.
            Err(nix::errno::Errno::EACCES) => refused = refused.or(Some((path, Errno::ACCESS))),
            Err(errno) => return why(&path, SysError::from(errno).errno),
        }
    }
    match refused {
        Some((path, errno)) => why(&path, errno),
        None => Errno::NOENT.into(),
    }
}

/// How many interpreters of interpreters the kernel runs, and one more, execve(2).
const INTERPRETERS: usize = 6;

/// What of a program, or of what it names as its interpreter or loader, is reached through a magic
/// link: /proc/self/exe is rustic itself as long as CMD has not taken its place, and whoever runs
/// the host's binary inside holds a way to it (CVE-2019-5736).
fn magic_link(path: &Path, depth: usize) -> Option<PathBuf> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let plain = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS);
    match plain {
        Err(Errno::LOOP) => {
            let exists = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).is_ok();
            exists.then(|| path.to_owned())
        }
        // It cannot be read by CMD's user: execve needs the right to execute alone. Then what it
        // names is not seen here.
        Err(_) => None,
        Ok(file) => {
            let depth = depth.checked_sub(1)?;
            let mut start = Vec::with_capacity(START as usize);
            File::from(file).take(START).read_to_end(&mut start).ok()?;
            magic_link(Path::new(OsStr::from_bytes(&needed(&start)?)), depth)
        }
    }
}

/// As much of a file is read for what it needs.
const START: u64 = 4096;

/// The interpreter or the loader that the start of a program names.
fn needed(start: &[u8]) -> Option<Vec<u8>> {
    match start.strip_prefix(b"#!") {
        Some(line) => interpreter_of(line).map(<[u8]>::to_vec),
        None => Elf::read(start)?.interpreter,
    }
}

/// The word behind `#!`.
fn interpreter_of(line: &[u8]) -> Option<&[u8]> {
    let line = line.split(|&byte| byte == b'\n').next()?.trim_ascii_start();
    line.split(u8::is_ascii_whitespace).next().filter(|name| !name.is_empty())
}

pub(super) fn candidates(name: &CStr, env: &[CString]) -> Vec<CString> {
    if name.to_bytes().contains(&b'/') || name.is_empty() {
        return vec![name.to_owned()];
    }
    let path = env
        .iter()
        .find_map(|line| line.to_bytes().strip_prefix(b"PATH="))
        .unwrap_or(b"/bin:/usr/bin");
    path.split(|&byte| byte == b':')
        .filter_map(|dir| {
            let dir: &[u8] = if dir.is_empty() { b"." } else { dir };
            CString::new([dir, b"/", name.to_bytes()].concat()).ok()
        })
        .collect()
}

fn path_of(path: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(path.to_bytes()))
}

fn exists(path: &CStr) -> bool {
    path_of(path).symlink_metadata().is_ok()
}

/// What execve's errno does not say.
fn why(path: &CStr, errno: Errno) -> SysError {
    let shown = printable(&path.to_string_lossy());
    let detail = match (errno, path_of(path).metadata()) {
        (_, Err(_)) if exists(path) => format!("{shown} is a symlink to nothing"),
        (_, Ok(stat)) if stat.is_dir() => format!("{shown} is a directory"),
        (Errno::ACCESS, Ok(stat)) if !executable(&stat) => format!("{shown} has no execute bit"),
        (Errno::ACCESS, Ok(_)) if is_noexec(path) => {
            format!("{shown} is on a file system that is mounted noexec")
        }
        (Errno::NOENT | Errno::NOEXEC, Ok(_)) => interpreter(path).map_or_else(
            || format!("{shown} is not a program that this kernel runs"),
            |what| format!("{shown} {what}"),
        ),
        _ => shown,
    };
    SysError::new(errno, detail)
}

fn is_noexec(path: &CStr) -> bool {
    statvfs(path).is_ok_and(|stat| stat.f_flag.contains(StatVfsMountFlags::NOEXEC))
}

fn executable(stat: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    stat.permissions().mode() & 0o111 != 0
}

/// What the start of a file says about why it does not run.
fn interpreter(path: &CStr) -> Option<String> {
    let mut start = Vec::new();
    File::open(path_of(path)).ok()?.take(64 * 1024).read_to_end(&mut start).ok()?;
    if let Some(line) = start.strip_prefix(b"#!") {
        let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
        if line.ends_with(b"\r") {
            return Some(
                "ends its #! line with CR LF: the CR is taken as part of the interpreter's name"
                    .into(),
            );
        }
        let name = interpreter_of(line).unwrap_or_default();
        return Some(format!(
            "wants the interpreter {}, which is missing inside",
            printable(&String::from_utf8_lossy(name))
        ));
    }
    let Some(elf) = Elf::read(&start) else {
        let is_text = !start.starts_with(b"\x7fELF") && !start.contains(&0);
        return is_text.then(|| "is text without a #! line: 'sh PATH' runs it".into());
    };
    if elf.machine != NATIVE_MACHINE {
        return Some(format!(
            "is for another machine ({}), and this kernel has no emulator for it",
            machine_name(elf.machine)
        ));
    }
    let loader = elf.interpreter?;
    Some(format!(
        "wants the loader {}, which is missing inside",
        printable(&String::from_utf8_lossy(&loader))
    ))
}

#[cfg(target_arch = "x86_64")]
const NATIVE_MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const NATIVE_MACHINE: u16 = 183;

/// e_machine of elf.h.
fn machine_name(machine: u16) -> String {
    match machine {
        3 => "i386".into(),
        8 => "mips".into(),
        21 => "ppc64".into(),
        22 => "s390x".into(),
        40 => "arm".into(),
        62 => "x86_64".into(),
        183 => "aarch64".into(),
        243 => "riscv".into(),
        other => format!("e_machine {other}"),
    }
}

/// What is needed of an ELF file, elf(5).
struct Elf {
    machine: u16,
    interpreter: Option<Vec<u8>>,
}

impl Elf {
    /// Reads the start of a file: 64-bit little-endian in full, of other classes the machine alone.
    fn read(start: &[u8]) -> Option<Self> {
        const PT_INTERP: u64 = 3;
        if !start.starts_with(b"\x7fELF") {
            return None;
        }
        let big_endian = start.get(5) == Some(&2);
        let number = |at: usize, width: usize| -> Option<u64> {
            let bytes = start.get(at..at.checked_add(width)?)?;
            let add = |value: u64, &byte: &u8| value << 8 | u64::from(byte);
            Some(if big_endian {
                bytes.iter().fold(0, add)
            } else {
                bytes.iter().rev().fold(0, add)
            })
        };
        let machine = u16::try_from(number(18, 2)?).ok()?;
        let segments = if start.get(4) == Some(&2) {
            (number(32, 8)?, number(54, 2)?, number(56, 2)?)
        } else {
            (0, 0, 0)
        };
        let interpreter = (0..segments.2).find_map(|index| {
            let header = usize::try_from(segments.0.checked_add(index * segments.1)?).ok()?;
            if number(header, 4)? != PT_INTERP {
                return None;
            }
            let (offset, length) = (
                usize::try_from(number(header + 8, 8)?).ok()?,
                usize::try_from(number(header + 32, 8)?).ok()?,
            );
            let name = start.get(offset..offset.checked_add(length)?)?;
            Some(name.split(|&byte| byte == 0).next().unwrap_or_default().to_vec())
        });
        Some(Self { machine, interpreter })
    }
}
