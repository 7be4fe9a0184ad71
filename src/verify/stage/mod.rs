//! The stage: a throw-away host. The verifier gives itself new uts, ipc, net, mount and time
//! namespaces, and plays the outside in them: host names, listeners, queues, mounts and clocks of
//! the real host are never touched, also where a container shares everything.

pub mod cleanup;
mod directory;
pub mod host_mounts;
mod mounts;
pub mod namespaces;
pub mod new_mounts;
pub mod place;
pub mod rtnetlink;
mod scene;

pub use scene::Scene;

use crate::causes::surroundings;
use crate::error::{Failure, errno_text};
use crate::host::Host;
use crate::namespace::Namespace;
use crate::random;
use crate::spec::Spec;
use crate::verify::caller::Caller;
use crate::walls::{hostname, network};
use caps::Capability;
use cleanup::{Cleanup, Traces};
use host_mounts::HostMounts;
use namespaces::StageRights;
use place::CgroupPlace;
use rustix::fs::{CWD, Mode, chmod, mkdirat};
use rustix::io::Errno;
use rustix::mount::mount;
use std::ffi::CString;
use std::path::{Path, PathBuf};

/// The throw-away host; or, where there can be none, the verifier's place on the real one.
pub struct Stage {
    /// Which of them it is.
    pub scene: Scene,
    /// Stands in the name of whatever the verifier makes.
    pub nonce: String,
    /// What only the outside knows.
    pub secret: String,
    /// A tmpfs of the stage's own, mounted where the host has an empty directory.
    pub directory: PathBuf,
    /// What was made new.
    pub namespaces: Vec<Namespace>,
    /// Whether its clocks were set ahead, and why not.
    pub clocks: Result<(), String>,
    /// What the verifier may do here.
    pub rights: StageRights,
    /// The capabilities of the caller, a bit each.
    pub held: u64,
    /// Who the caller is, and what the host was called.
    pub caller: Caller,
    /// Where a probe's program is put into a root of the caller's, and its path in there.
    pub planted: Option<(PathBuf, PathBuf)>,
    /// The file systems of the host, as they were before.
    pub host: HostMounts,
    /// The uid inside, where it is another one of the host's.
    pub other_uid: Option<u32>,
    /// Why /sys shows another network than the stage's, where it does.
    pub no_sysfs: Option<String>,
    /// Where in the cgroup tree the outside is.
    pub cgroup: Result<CgroupPlace, String>,
    /// What is removed last, when everything above is gone.
    _janitor: Cleanup,
}

impl Stage {
    /// Builds it around this process, which stays in it. `plant` is a root of the caller's that a
    /// probe's program is to be put into.
    ///
    /// # Errors
    /// What the caller may not do; nothing is left then.
    pub fn build(
        scene: Scene,
        host: &Host,
        spec: &Spec,
        plant: Option<&Path>,
    ) -> Result<Self, Failure> {
        let stage = Self::begin(scene, host, spec, plant)?;
        match scene {
            Scene::Host => stage.on_the_host(),
            Scene::Stage => stage.furnished(host),
        }
    }

    /// What stage and host have in common: names, a directory, a cgroup, and who removes them.
    fn begin(
        scene: Scene,
        host: &Host,
        spec: &Spec,
        plant: Option<&Path>,
    ) -> Result<Self, Failure> {
        let failed = |errno: Errno| Failure::new("cannot get random bytes").errno(errno);
        let nonce = random::letters(8).map_err(failed)?;
        let secret = random::letters(16).map_err(failed)?;
        // Whoever has that uid inside has its keyring too.
        let uid = spec.user.uid;
        let is_other = uid != host.uid && !spec.namespaces.is_new(Namespace::User);
        let other_uid = is_other.then_some(uid);
        let directories: Vec<PathBuf> = directory::folders(&spec.files.binds)
            .into_iter()
            .map(|folder| folder.join(format!("rustic.{nonce}")))
            .collect();
        let cgroup = CgroupPlace::choose(&nonce);
        let name = format!(".rustic-{nonce}");
        let planted = plant.map(|root| (root.join(&name), Path::new("/").join(&name)));
        let cleanup = Cleanup::start(Traces {
            nonce: nonce.clone(),
            directories: directories.clone(),
            cgroup: made(&cgroup),
            key: CString::new(key_name(&nonce)).unwrap_or_default(),
            other_uid,
            queue: (scene == Scene::Host).then(|| queue_name(&nonce)),
            contents: scene,
            planted: planted.as_ref().map(|(path, _)| path.clone()),
        })?;
        let untold = |what: &str| format!("the real host's {what} is left alone");
        Ok(Self {
            scene,
            directory: directory::first_made(directories)?,
            namespaces: Vec::new(),
            clocks: Err(untold("clock")),
            rights: namespaces::rights_on_the_host(host),
            held: host.held,
            caller: Caller::here(),
            planted,
            host: HostMounts::here(),
            other_uid,
            no_sysfs: Some(untold("network")),
            cgroup: cgroup.and_then(CgroupPlace::make),
            nonce,
            secret,
            _janitor: cleanup,
        })
    }

    fn on_the_host(self) -> Result<Self, Failure> {
        chmod(&self.directory, Mode::from_raw_mode(0o755)).map_err(|errno| {
            Failure::new(format!("cannot open {} to all", self.directory.display())).errno(errno)
        })?;
        Ok(self)
    }

    /// New namespaces, with what makes them a host.
    fn furnished(mut self, host: &Host) -> Result<Self, Failure> {
        host.is_mapped()?;
        self.rights = namespaces::enter_mount_namespace(host)?;
        let directory = &self.directory;
        mounts::own_tree(directory).map_err(|errno| {
            let what = format!("cannot mount a tmpfs on {}", directory.display());
            let failure = Failure::new(what).errno(errno).man("mount(2)");
            surroundings::explain(failure, errno, "mount(\"tmpfs\")", host)
        })?;
        for kind in ["mqueue", "sysfs"] {
            // Where the caller may not, there is nothing of the host's to be found, and its control
            // says so.
            let _ = mounts::show_of_the_host(kind, directory, &mut self.host);
        }
        self.namespaces = namespaces::enter(host)?;
        self.clocks = namespaces::set_clocks(&self.namespaces);
        self.no_sysfs = furnish(&self.nonce, &self.secret, &directory.join(QUEUES));
        Ok(self)
    }

    /// Whether the caller holds a right over the machine.
    pub fn holds(&self, capability: Capability) -> bool {
        self.rights == StageRights::Machine && self.held & capability.bitmask() != 0
    }

    /// Whether the verifier holds a right in the stage, whatever it is over.
    pub fn may(&self, capability: Capability) -> bool {
        let mine = rustix::thread::capabilities(None).map_or(0, |sets| sets.effective.bits());
        mine & capability.bitmask() != 0
    }

    /// The description of the keys that are planted.
    pub fn key_name(&self) -> CString {
        CString::new(key_name(&self.nonce)).unwrap_or_default()
    }

    /// Where the stage's message queues are files.
    pub fn queues(&self) -> PathBuf {
        self.directory.join(QUEUES)
    }

    /// Whether a mount of the inside is there because the stage has it: what stands for the host's
    /// in a control, and what no real host has. It is found inside where the whole tree is bound.
    pub fn is_own(&self, point: &Path) -> bool {
        let own = self.directory.strip_prefix("/").unwrap_or(&self.directory);
        [QUEUES, "host-mqueue", "host-sysfs"].iter().any(|name| point.ends_with(own.join(name)))
    }
}

/// What the new namespaces need to be a host's: queues, a name, a network and a sysfs that shows
/// it. Returns why /sys shows another network, where it does.
fn furnish(nonce: &str, secret: &str, queues: &Path) -> Option<String> {
    // Without it the way to a queue by its file cannot be shown; its control says so.
    let _ = mkdirat(CWD, queues, Mode::RWXU)
        .and_then(|()| mount("mqueue", queues, "mqueue", mounts::PLAIN, None));
    let _ = hostname::set(&format!("stage-{nonce}"));
    let _ = network::up();
    // A sysfs shows the network of who mounted it.
    let no_sysfs = rtnetlink::set_alias(secret).and_then(|()| mounts::own_sysfs()).err();
    no_sysfs.map(|errno| format!("the stage has no sysfs of its own: {}", errno_text(errno)))
}

/// The name of the verifier's message queue.
pub fn queue_name(nonce: &str) -> String {
    format!("/rustic.{nonce}")
}

fn key_name(nonce: &str) -> String {
    format!("rustic.{nonce}")
}

fn made(cgroup: &Result<CgroupPlace, String>) -> Option<PathBuf> {
    cgroup.as_ref().ok().and_then(|place| place.made.clone())
}

/// The name of the folder where the stage's message queues are files.
const QUEUES: &str = "mqueue";
