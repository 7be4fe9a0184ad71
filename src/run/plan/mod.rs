//! Spec → Plan: the ladder. Here and in its files below, and nowhere else, the order of the walls is
//! decided.
//!
//! [`ladder`] has the rungs, [`root`], [`attach`], [`mounts`], [`ordered`], [`hides`] and [`kernel_files`] those
//! of the root file system, [`credentials`] those of ids and rights, [`process`] what is left.

mod attach;
mod credentials;
mod hides;
mod kernel_files;
mod ladder;
mod mounts;
mod ordered;
mod process;
mod root;

pub(super) use credentials::maps;

use crate::error::Failure;
use crate::host::Host;
use crate::namespace::{Choice, Namespace, Namespaces};
use crate::ready::queue::Name;
use crate::rootfs::Image;
use crate::run::leak;
use crate::run::pty::Terminals;
use crate::run::resource::Resource;
use crate::run::step::{ChildStep, ParentStep, Side, Step, WardenStep};
use crate::run::streams::Stream;
use crate::spec::{Ready, Spec};
use crate::walls::id_range::IdRange;
use crate::walls::idmap::IdMaps;
use ladder::Ladder;
use std::rc::Rc;

/// What the processes will do, and what must be taken away after them.
#[derive(Debug)]
pub struct Plan {
    /// The steps, in order; a step's number is its place here.
    pub steps: Vec<Step>,
    /// What they make outside of the container, in the order in which it is made.
    pub resources: Vec<Resource>,
    /// How many mount descriptors the child keeps.
    pub slots: usize,
    /// The parent's queue.
    pub queue: Option<Name>,
    /// Which namespaces are new, shared and joined.
    pub namespaces: Namespaces,
    /// The ids of the user namespace.
    pub maps: Option<IdMaps>,
    /// Walls that this container does not have though they are the default, each with its reason,
    /// for -v.
    pub remarks: Vec<String>,
    /// What is as it was ordered, and may surprise.
    pub warnings: Vec<String>,
}

/// What the plan is made of.
pub struct Ingredients<'a> {
    /// What is wanted.
    pub spec: &'a Spec,
    /// What is there.
    pub host: &'a Host,
    /// The root file system, found.
    pub image: Image,
    /// The streams that are terminals.
    pub terminals: Terminals,
    /// What CMD gets as standard streams.
    pub streams: [Stream; 3],
    /// The queue's name, where one is wanted.
    pub queue: Option<Name>,
    /// The range of ids that the container has for itself, where it has one.
    pub range: Option<Rc<IdRange>>,
}

impl Plan {
    /// The plan of a container.
    ///
    /// # Errors
    /// An order that cannot be met on this host, an id that the user namespace will not have above
    /// all.
    pub fn new(from: Ingredients<'_>) -> Result<Self, Failure> {
        let Ingredients { spec, host, image, terminals, streams, queue, range } = from;
        let maps = maps(spec, host, range.as_deref());
        if let Some(maps) = &maps {
            credentials::ids_are_mapped(spec, host, maps)?;
        }
        let credentials = credentials::ordered(spec, host, maps.as_ref());

        let mut ladder = Ladder::new(spec, host, maps.as_ref());
        ladder.resources.extend(range.map(Resource::IdRange));
        let soft_limit = ladder.raise_descriptor_limit();
        ladder.open_streams(streams);
        ladder.make_queue(queue.as_ref());
        ladder.clone_child(&image);
        ladder.root(image)?;
        ladder.system_mounts(terminals);
        ladder.take_streams();
        ladder.loopback();
        ladder.hostname();
        ladder.keyring();
        ladder.readiness_opened(queue.as_ref());
        ladder.rung(ChildStep::CloseDescriptors { soft_limit });
        let name = spec.user_order.name().map(str::to_owned);
        ladder.rung(ChildStep::FindAccount { uid: spec.user.uid, name });
        ladder.name_refused_ranges();
        ladder.privileges(&credentials)?;
        let is_shared = *spec.namespaces.get(Namespace::Ipc) == Choice::Shared;
        let seen = queue.as_ref().filter(|_| is_shared);
        if let Some(name) = seen.filter(|_| spec.ready == Ready::Queue) {
            ladder.rung(ChildStep::SendReady(name.clone()));
        }
        let env = ladder.environment(queue.as_ref());
        ladder.rung(ChildStep::Exec { cmd: spec.cmd.clone(), env, first: spec.first });
        if let Some(name) = seen {
            ladder.rung(ParentStep::ReceiveReady(name.clone()));
        }
        if let Some(name) = &queue {
            ladder.rung(ParentStep::RemoveQueue(name.clone()));
        }

        let Ladder { mut steps, resources, mounts, remarks, warnings, .. } = ladder;
        leak::inject(&mut steps);
        let namespaces = spec.namespaces.clone();
        let slots = mounts.len();
        Ok(Self { steps, resources, slots, queue, namespaces, maps, remarks, warnings })
    }

    /// What a uid inside is for the parent; `None` for one that the container does not have.
    pub fn outside(&self, uid: u32) -> Option<u32> {
        self.maps.as_ref().map_or(Some(uid), |maps| maps.outside(uid))
    }

    /// The steps of one side, with their numbers.
    pub fn side(&self, side: Side) -> impl Iterator<Item = (usize, &Step)> {
        self.steps.iter().enumerate().filter(move |(_, step)| step.side() == side)
    }

    /// The parent's steps, with their numbers.
    pub fn parent(&self) -> impl Iterator<Item = (usize, &Step, &ParentStep)> {
        self.steps.iter().enumerate().filter_map(|(number, whole)| match whole {
            Step::Parent(step) => Some((number, whole, step)),
            Step::Warden(_) | Step::Builder(_) | Step::Rootfs(_) | Step::Child(_) => None,
        })
    }

    /// The warden's steps, with their numbers.
    pub fn warden(&self) -> impl Iterator<Item = (usize, &Step, &WardenStep)> {
        self.steps.iter().enumerate().filter_map(|(number, whole)| match whole {
            Step::Warden(step) => Some((number, whole, step)),
            Step::Parent(_) | Step::Builder(_) | Step::Rootfs(_) | Step::Child(_) => None,
        })
    }
}
