//! What is around rustic: the kernel, a filter, a security profile, a container, cgroups.

use super::checks::makes_namespaces;
use super::lack::Lack;
use crate::error::Failure;
use crate::host::{Host, UserNamespace, is_filtered, security_profile};
use caps::Capability;
use rustix::fs::{FsWord, statfs};
use std::fs;
use std::path::{Path, PathBuf};

/// What is around rustic.
pub(super) struct Surroundings {
    /// The kernel's release, uname(2).
    pub(super) kernel: String,
    /// The container that rustic is in, by the name that its launcher gives itself.
    pub(super) container: Option<String>,
    /// What is worth a line.
    pub(super) notes: Vec<String>,
    filtered: bool,
}

impl Surroundings {
    pub(super) fn look(host: &Host) -> Self {
        let filtered = is_filtered();
        let container = container();
        let mut notes = vec![format!("cgroups: {}", cgroups())];
        if host.user_namespace == UserNamespace::Below {
            notes.push("rustic is in a user namespace: root here is not the host's root".into());
        }
        if filtered {
            notes.push("a seccomp filter is in force around rustic".into());
        }
        let profile = security_profile();
        notes.extend(profile.map(|profile| format!("the security profile of rustic: {profile}")));
        if host.uid == 0 && !makes_namespaces(host) {
            notes.push("root has no CAP_SYS_ADMIN here: all is tried with --user yes".into());
        }
        notes.extend(not_executed());
        let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
        Self { kernel, container, notes, filtered }
    }
}

/// Where the caller keeps temporary files, if no program of there runs.
fn not_executed() -> Option<String> {
    let place = std::env::temp_dir();
    let flags = rustix::fs::statvfs(&place).ok()?.f_flag;
    flags
        .contains(rustix::fs::StatVfsMountFlags::NOEXEC)
        .then(|| format!("{} is mounted noexec: no program of there runs", place.display()))
}

/// How the hierarchies are mounted, cgroups(7).
fn cgroups() -> &'static str {
    const CGROUP2_SUPER_MAGIC: FsWord = 0x6367_7270;
    match statfs("/sys/fs/cgroup").map(|stat| stat.f_type) {
        Ok(CGROUP2_SUPER_MAGIC) => "version 2",
        Ok(_) if Path::new("/sys/fs/cgroup/unified").is_dir() => "hybrid, controllers of version 1",
        Ok(_) if Path::new("/sys/fs/cgroup/pids").is_dir() => "version 1",
        Ok(_) | Err(_) => "none mounted",
    }
}

/// The container that rustic is in: what its launcher tells process 1, systemd's
/// Container Interface, and the files of podman and docker.
fn container() -> Option<String> {
    let of_init = fs::read("/proc/1/environ").unwrap_or_default();
    let told = of_init.split(|&byte| byte == 0).find_map(|line| line.strip_prefix(b"container="));
    let told = told.map(|name| String::from_utf8_lossy(name).into_owned());
    let own = || std::env::var("container").ok();
    let file = || fs::read_to_string("/run/systemd/container").ok();
    let marks = [("/run/.containerenv", "podman"), ("/.dockerenv", "docker")];
    let marked = || marks.iter().find(|(path, _)| Path::new(path).exists()).map(|(_, name)| name);
    told.or_else(own)
        .or_else(file)
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .or_else(|| marked().map(|&name| name.to_owned()))
}

/// Options of the container that rustic is in, for what lacks.
pub(super) fn options(around: &Surroundings, host: &Host, lacks: &[&Lack]) -> Vec<&'static str> {
    let Some(container) = &around.container else { return Vec::new() };
    let says = |word: &str| {
        let has = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains(word));
        lacks.iter().any(|lack| lack.what.contains(word) || has(&lack.why))
    };
    let lacks_right = host.uid == 0 && says("CAP_SYS_ADMIN");
    let lacks_network = host.uid == 0
        && !host.holds(Capability::CAP_NET_ADMIN)
        && (lacks_right || says("CAP_NET_ADMIN"));
    let filter = around.filtered && (says("EPERM") || says("ENOSYS") || says("seccomp filter"));
    let masked = says("seen whole");
    let [right, network, unfiltered, whole] = match container.as_str() {
        "podman" => [
            "--cap-add SYS_ADMIN",
            "--cap-add NET_ADMIN",
            "--security-opt seccomp=unconfined",
            "--security-opt unmask=ALL",
        ],
        "docker" => [
            "--cap-add SYS_ADMIN",
            "--cap-add NET_ADMIN",
            "--security-opt seccomp=unconfined",
            "--security-opt systempaths=unconfined",
        ],
        "systemd-nspawn" => [
            "--capability=CAP_SYS_ADMIN",
            "--capability=CAP_NET_ADMIN (or --private-network)",
            "--system-call-filter=CALL, with the name of each that lacks",
            "SYSTEMD_NSPAWN_API_VFS_WRITABLE=yes in its environment",
        ],
        "rustic" => {
            ["--caps default,SYS_ADMIN", "--caps default,NET_ADMIN", "--nest yes", "--proc open"]
        }
        _ => return Vec::new(),
    };
    let wanted = [
        (lacks_right, right),
        (lacks_network, network),
        (filter || (lacks_right && around.filtered), unfiltered),
        (masked, whole),
    ];
    wanted.into_iter().filter_map(|(wanted, option)| wanted.then_some(option)).collect()
}

/// A narrow profile of AppArmor for the binary: all that it gives is user namespaces, which
/// kernel.apparmor_restrict_unprivileged_userns keeps from programs without one.
///
/// # Errors
/// A binary that is not there any more.
pub fn apparmor_profile() -> Result<String, Failure> {
    Ok(format!(
        "# /etc/apparmor.d/rustic, loaded by apparmor_parser -r\n\
         abi <abi/4.0>,\n\
         include <tunables/global>\n\
         profile rustic {} flags=(unconfined) {{\n  userns,\n}}\n",
        own_binary()?.display()
    ))
}

/// The program that this process runs, by a path that is there.
pub(super) fn own_binary() -> Result<PathBuf, Failure> {
    let path = fs::read_link("/proc/self/exe").unwrap_or_default();
    if path.exists() {
        return Ok(path);
    }
    Err(Failure::new(format!("{} is not there any more, and cannot be tried", path.display())))
}
