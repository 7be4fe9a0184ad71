//! What another launcher is given: the probe's program, and a root file system with the probe in
//! it. On a stage both lie on a file system of their own, which is gone with it: no launcher has
//! what is on it from the host.

use super::words::Places;
use crate::error::{Failure, printable, without_number};
use crate::host::Host;
use crate::rootfs::image::ImageChoice;
use crate::rootfs::meter::Hashing;
use crate::rootfs::store::{Making, Store};
use crate::rootfs::stream::Threads;
use crate::rootfs::unpack::Unpack;
use crate::rootfs::watch::Unwatched;
use crate::rootfs::writer::{SetIds, UnpackLimits, UnpackRights};
use crate::rootfs::{Archive, Origin};
use crate::spec::{PROBE, Rootfs, Spec};
use crate::verify::role::Launched;
use crate::verify::stage::{Scene, Stage};
use rustix::fd::AsFd;
use rustix::mount::{MountFlags, mount};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process;

/// The probe's program in a root file system, as a path inside.
pub const PLANTED: &str = "/.rustic-probe";

/// Makes it below the stage's directory. The root is made only where it is wanted; one that is a
/// directory of the caller's is taken as it is, and no probe is put into it.
///
/// # Errors
/// No mount, no room, an archive that cannot be unpacked.
pub fn make(stage: &Stage, spec: &Spec, host: &Host, root_wanted: bool) -> Result<Places, Failure> {
    let top = stage.directory.join("launch");
    let failed = |what: &str, error: &std::io::Error| {
        Failure::new(format!("cannot make {what} for the launcher: {}", without_number(error)))
    };
    folder(&top).map_err(|error| failed("a place", &error))?;
    if stage.scene == Scene::Stage {
        mount("rustic", &top, "tmpfs", MountFlags::NODEV, Some(c"mode=0755"))
            .map_err(|errno| Failure::new("cannot mount a tmpfs for the launcher").errno(errno))?;
    }
    let bin = top.join("rustic");
    copy_of_this_program(&bin).map_err(|error| failed("a copy of rustic", &error))?;
    let bin = match &stage.planted {
        None => bin,
        Some((path, inside)) => {
            copy_of_this_program(path).map_err(|error| {
                Failure::new(format!("--plant: {}: {}", path.display(), without_number(&error)))
            })?;
            inside.clone()
        }
    };
    let dir = match (&spec.rootfs, root_wanted) {
        (Rootfs::Directory(path), _) => path.clone(),
        (Rootfs::Builtin | Rootfs::Archive(_) | Rootfs::Stored(_), false) => top.join("root"),
        (Rootfs::Builtin | Rootfs::Archive(_) | Rootfs::Stored(_), true) => {
            let dir = top.join("root");
            folder(&dir).map_err(|error| failed("a root", &error))?;
            unpack(spec, host, &dir)?;
            let planted = dir.join(PLANTED.trim_start_matches('/'));
            copy_of_this_program(&planted).map_err(|error| failed("a probe", &error))?;
            dir
        }
    };
    Ok(Places { bin, dir, bundle: top.join("bundle"), work: top.join("work") })
}

fn folder(path: &Path) -> std::io::Result<()> {
    fs::create_dir(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// The program that runs now, to be executed by everybody and written by nobody.
pub fn copy_of_this_program(path: &Path) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    let mut copy = options.write(true).create_new(true).open(path)?;
    std::io::copy(&mut fs::File::open("/proc/self/exe")?, &mut copy)?;
    copy.set_permissions(fs::Permissions::from_mode(0o555))
}

fn unpack(spec: &Spec, host: &Host, dir: &Path) -> Result<(), Failure> {
    let choice = spec.image.choice.clone();
    let unpack = |origin: &Origin, choice: &ImageChoice| {
        let into = fs::File::open(dir).map_err(|error| {
            Failure::new(format!("cannot open {}: {}", dir.display(), without_number(&error)))
        })?;
        let unpack = Unpack {
            rights: UnpackRights { set_ids: SetIds::Kept, ..UnpackRights::of(host) },
            limits: UnpackLimits::default(),
            threads: Threads::One,
            hashing: Hashing::Unwanted,
            renumber: None,
            choice,
            watch: &mut Unwatched,
        };
        origin.unpack(unpack, into.as_fd()).map(drop)
    };
    let of = |archive: Archive| Origin::Archive { archive, choice: choice.clone() };
    match &spec.rootfs {
        Rootfs::Builtin => unpack(&of(Archive::builtin()?), &choice),
        Rootfs::Archive(path) => unpack(&of(Archive::at(path.clone())), &choice),
        Rootfs::Stored(name) => {
            let store: &PathBuf =
                spec.store.as_ref().ok_or_else(|| Failure::new("there is no store"))?;
            let held = Store::open_to_look(store, host)?.named(name, Making::No)?;
            let (name, tree) = (name.clone(), held.tree.clone());
            unpack(&Origin::Stored { name, tree, renumber: None }, &choice)
        }
        Rootfs::Directory(_) => Ok(()),
    }
}

/// Makes what a start finds empty, or new, and does what comes before it.
///
/// # Errors
/// What cannot be made, for a reader.
pub fn ready(launched: &Launched, program: &Path, nonce: &str) -> Result<(), String> {
    let Launched { command, places, before, .. } = launched;
    let work = &places.work;
    let _ = fs::remove_dir_all(work);
    fs::create_dir(work)
        .map_err(|error| format!("{}: {}", work.display(), without_number(&error)))?;
    if command.has_bundle() {
        write_bundle(program, places, nonce)?;
    }
    before.as_ref().map_or(Ok(()), |before| done(&before.words(nonce, places)))
}

/// Runs a command to its end.
///
/// # Errors
/// What it said when it failed, for a reader.
pub fn done(words: &[OsString]) -> Result<(), String> {
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let ran = process::Command::new(program)
        .args(arguments)
        .stdin(process::Stdio::null())
        .output()
        .map_err(|error| format!("{}: {}", program.display(), without_number(&error)))?;
    if ran.status.success() { Ok(()) } else { Err(printable_of(&ran.stderr)) }
}

/// Writes the bundle of an OCI runtime for one start: its own configuration, with the probe as the
/// process, pipes in place of a terminal, and the root that was made.
///
/// # Errors
/// A runtime that makes no configuration, for a reader.
fn write_bundle(program: &Path, places: &Places, nonce: &str) -> Result<(), String> {
    let bundle = &places.bundle;
    let failed =
        |error: std::io::Error| format!("{}: {}", bundle.display(), without_number(&error));
    let config = bundle.join("config.json");
    let _ = fs::remove_dir_all(bundle);
    fs::create_dir(bundle).map_err(failed)?;
    let made =
        process::Command::new(program).arg("spec").current_dir(bundle).output().map_err(failed)?;
    if !made.status.success() {
        return Err(format!("{} spec: {}", program.display(), printable_of(&made.stderr)));
    }
    let text = fs::read(&config).map_err(failed)?;
    let mut value: Value = serde_json::from_slice(&text)
        .map_err(|error| format!("the configuration of {}: {error}", program.display()))?;
    value["process"]["terminal"] = false.into();
    value["process"]["args"] = json!([PLANTED, PROBE.to_string_lossy(), nonce]);
    value["root"]["path"] = places.dir.to_string_lossy().into();
    fs::write(&config, value.to_string()).map_err(failed)
}

fn printable_of(bytes: &[u8]) -> String {
    printable(String::from_utf8_lossy(bytes).trim())
}
