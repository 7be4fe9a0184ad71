//! The rungs of ids and rights, and what they are to be.

use super::ladder::Ladder;
use crate::error::Failure;
use crate::host::{Host, contains};
use crate::namespace::{Choice, Namespace, Switch};
use crate::run::step::ChildStep;
use crate::spec::{Capabilities, First, Seccomp, Spec, Supplementary, shown};
use crate::walls::id_range::IdRange;
use crate::walls::idmap::{IdMaps, Writer};
use crate::walls::privileges::{Credentials, Groups, Keep};
use crate::walls::seccomp::default::{self, FilterOptions};
use crate::walls::seccomp::{self, SelfSignals};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The ids of the container's user namespace; `None` where it has the caller's.
pub(in crate::run) fn maps(spec: &Spec, host: &Host, range: Option<&IdRange>) -> Option<IdMaps> {
    let inside = spec.inside.as_ref();
    match (spec.namespaces.get(Namespace::User), inside.filter(|_| spec.joins.owner.is_some())) {
        (Choice::Shared, _) | (Choice::Join(_), None) => None,
        (Choice::New, None) => Some(range.map_or_else(
            || IdMaps::of(host, (spec.uid, spec.gid)),
            |range| IdMaps::of_range(range.extent()),
        )),
        // Nested in the owner of what is joined: no more ids than that has.
        (Choice::New, Some(seen)) => Some(IdMaps::same(&seen.uids, &seen.gids, Writer::Joiner)),
        (Choice::Join(_), Some(seen)) => Some(IdMaps::same(&seen.uids, &seen.gids, Writer::Nobody)),
    }
}

/// What CMD is to have.
pub(super) fn ordered(spec: &Spec, host: &Host, maps: Option<&IdMaps>) -> Credentials {
    // Denied in a user namespace, setgroups(2) is denied in every one below.
    let allowed = spec.inside.as_ref().map_or(host.setgroups, |inside| inside.setgroups);
    let groups = match (spec.groups, maps.map(|maps| &maps.writer), allowed) {
        (Supplementary::Kept, ..) | (_, Some(Writer::OneId), _) | (.., Switch::No) => Groups::Kept,
        (Supplementary::Dropped, _, Switch::Yes) => Groups::Dropped,
    };
    let keep = if spec.caps == Capabilities::Default { Keep::Default } else { Keep::Named };
    Credentials::ordered(spec.uid, spec.gid, spec.cap_mask, keep, groups, host.last_cap)
}

/// Whether the user namespace will have CMD's ids.
///
/// # Errors
/// The option whose id it will not have.
pub(super) fn ids_are_mapped(spec: &Spec, host: &Host, maps: &IdMaps) -> Result<(), Failure> {
    let missing = match (contains(&maps.uids, spec.uid), contains(&maps.gids, spec.gid)) {
        (false, _) => format!("--uid {}", spec.uid),
        (_, false) => format!("--gid {}", spec.gid),
        _ => return Ok(()),
    };
    let failure = Failure::new(format!("{missing}: the user namespace will not have this id"));
    if let Some(refused) = &host.ranges_refused {
        return Err(failure
            .why(format!("the subordinate ids cannot be mapped: {refused}"))
            .remedy("start rustic where newuidmap has its set-user-ID bit, and may use it")
            .man("newuidmap(1)"));
    }
    Err(failure
        .why(match maps.writer {
            Writer::Joiner | Writer::Nobody => "the user namespace that is joined has no such id",
            Writer::Privileged | Writer::Range | Writer::OneId | Writer::Helpers { .. } => {
                "it lies outside the ids that are mapped"
            }
        })
        .remedy(match maps.writer {
            Writer::Joiner | Writer::Nobody => "an id that its uid_map has",
            Writer::Range => "an id of the container's range, or --ids START:COUNT with more",
            Writer::OneId | Writer::Privileged | Writer::Helpers { .. } => {
                "add ranges to /etc/subuid and /etc/subgid and install newuidmap, or run as root"
            }
        })
        .man("subuid(5)"))
}

/// Whether an overlay can be written over a directory: what is written is copied first, with its
/// owner, and an owner that the user namespace does not map cannot be given.
///
/// # Errors
/// The directory, or a file of its /etc that the container has its own of.
pub(super) fn owners_are_mapped(maps: &IdMaps, directory: &Path) -> Result<(), Failure> {
    let places = ["etc", "etc/hosts", "etc/hostname", "etc/resolv.conf"];
    let places = places.map(|place| directory.join(place));
    for path in [directory.to_owned()].into_iter().chain(places) {
        let Ok(stat) = path.symlink_metadata() else { continue };
        if !maps.has_owner(stat.uid(), stat.gid()) {
            let (shown, uid, gid) = (shown(&path), stat.uid(), stat.gid());
            return Err(Failure::new(format!("--ephemeral: {shown} belongs to {uid}:{gid}"))
                .why(
                    "the container's user namespace has no such owner: nothing could be written \
                     over it",
                )
                .remedy("an archive of it, an own copy, or --read-only")
                .man("user_namespaces(7)"));
        }
    }
    Ok(())
}

impl Ladder<'_> {
    /// Says why there is one id alone, where there could be more.
    pub(super) fn name_refused_ranges(&mut self) {
        if let Some(refused) = self.maps.and(self.host.ranges_refused.as_ref()) {
            self.remarks.push(format!(
                "user: one id, because the subordinate ids cannot be mapped: {refused}"
            ));
        }
    }

    pub(super) fn privileges(&mut self, credentials: &Credentials) -> Result<(), Failure> {
        let bounding =
            if self.maps.is_some() { self.host.known_caps() } else { self.host.bounding };
        if bounding & !credentials.bounding != 0 {
            self.rung(ChildStep::DropBounding(bounding & !credentials.bounding));
        }
        if credentials.groups == Groups::Dropped {
            self.rung(ChildStep::DropGroups);
        } else if self.spec.groups == Supplementary::Dropped {
            self.remarks.push(
                "user: setgroups is denied in this user namespace: the caller's \
                supplementary groups stay"
                    .into(),
            );
        }
        self.rung(ChildStep::SetGid(credentials.gid));
        self.rung(ChildStep::SetUid(credentials.uid));
        self.rung(ChildStep::SetCapabilities(credentials.clone()));
        self.rung(ChildStep::Chdir(self.spec.workdir.clone()));
        self.rung(ChildStep::NoNewPrivs);
        self.rung(ChildStep::VerifyCredentials(credentials.clone()));
        if self.spec.kernel.seccomp == Seccomp::Default {
            // Only as PID 1 is CMD deaf to its own signals.
            let reaped = matches!(self.spec.first, First::Reaper | First::ReapedProbe(_));
            let pid_1 = self.is_new(Namespace::Pid) && !reaped;
            let self_signals = if pid_1 { SelfSignals::Told } else { SelfSignals::Untold };
            let (capabilities, nest) = (credentials.permitted, self.spec.kernel.nest);
            let policy = default::policy(FilterOptions { capabilities, nest, self_signals });
            let filter = seccomp::compile(&policy).map_err(|refusal| {
                Failure::new(format!("cannot compile the seccomp filter: {refusal}"))
            })?;
            self.rung(ChildStep::Seccomp { self_signals, filter });
        }
        Ok(())
    }
}
