//! The rungs of ids and rights, and what they are to be.

use super::ladder::Ladder;
use crate::error::Failure;
use crate::host::{Host, contains};
use crate::namespace::{Choice, Namespace, Switch};
use crate::run::step::ChildStep;
use crate::spec::{Capabilities, First, IdOrder, Seccomp, Spec, Supplementary, shown};
use crate::walls::id_range::IdRange;
use crate::walls::idmap::{IdMaps, OwnIds, Writer};
use crate::walls::privileges::{Credentials, Groups};
use crate::walls::seccomp::default::{self, FilterOptions};
use crate::walls::seccomp::{self, SelfSignals};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The ids of the container's user namespace; `None` where it has the caller's.
pub(in crate::run) fn maps(spec: &Spec, host: &Host, range: Option<&IdRange>) -> Option<IdMaps> {
    let inside = spec.inside.as_ref();
    if let (Some(seen), Some(_)) = (inside, &spec.joins.last) {
        let (uids, gids) = (seen.uids_outside.clone(), seen.gids_outside.clone());
        return Some(IdMaps { uids, gids, writer: Writer::Outside });
    }
    match (spec.namespaces.get(Namespace::User), inside.filter(|_| spec.joins.owner.is_some())) {
        (Choice::Shared, _) | (Choice::Join(_), None) => None,
        (Choice::New, None) => Some(range.map_or_else(
            || IdMaps::of(host, own_ids(spec, host)),
            |range| IdMaps::of_range(range.extent()),
        )),
        // Nested in the owner of what is joined: no more ids than that has.
        (Choice::New, Some(seen)) => Some(IdMaps::same(&seen.uids, &seen.gids, Writer::Joiner)),
        (Choice::Join(_), Some(seen)) => Some(IdMaps::same(&seen.uids, &seen.gids, Writer::Nobody)),
    }
}

/// Where one id is mapped alone the caller is who CMD is to be, and root otherwise, if its own
/// number is not to be kept.
fn own_ids(spec: &Spec, host: &Host) -> OwnIds {
    let kept = |order: &Option<IdOrder>, own| match order {
        Some(IdOrder::Keep) => own,
        Some(IdOrder::Number(_) | IdOrder::Name(_)) | None => 0,
    };
    let order = &spec.user_order;
    OwnIds {
        alone: (spec.user.uid, spec.user.gid),
        among_others: (kept(&order.uid, host.uid), kept(&order.gid, host.gid)),
    }
}

/// What CMD is to have.
pub(super) fn ordered(spec: &Spec, host: &Host, maps: Option<&IdMaps>) -> Credentials {
    // Denied in a user namespace, setgroups(2) is denied in every one below.
    let allowed = spec.inside.as_ref().map_or(host.setgroups, |inside| inside.setgroups);
    let groups = match (spec.groups, maps.map(|maps| &maps.writer), allowed) {
        (Supplementary::Kept, ..) | (_, Some(Writer::OneId), _) | (.., Switch::No) => Groups::Kept,
        (Supplementary::Dropped, _, Switch::Yes) => Groups::Set(spec.user.groups.clone()),
    };
    let kept = match &spec.caps {
        Capabilities::Default => 0,
        Capabilities::DefaultAnd(named) => named.iter().fold(0, |mask, cap| mask | cap.bitmask()),
        Capabilities::None | Capabilities::All | Capabilities::Named(_) => spec.cap_mask,
    };
    let (uid, gid) = (spec.user.uid, spec.user.gid);
    let new_privs = spec.kernel.new_privs;
    Credentials::ordered(uid, gid, spec.cap_mask, kept, groups, new_privs, host.last_cap)
}

/// Whether the user namespace will have CMD's ids.
///
/// # Errors
/// The option whose id it will not have.
pub(super) fn ids_are_mapped(spec: &Spec, host: &Host, maps: &IdMaps) -> Result<(), Failure> {
    let order = &spec.user_order;
    let said = |order: &Option<IdOrder>| order.as_ref().map_or("0".into(), IdOrder::to_string);
    // Where groups cannot be set there is one alone, and -v says so.
    let mut groups = spec.user.groups.iter().filter(|_| maps.writer != Writer::OneId);
    let group = groups.find(|&&gid| !contains(&maps.gids, gid));
    let has_gid = contains(&maps.gids, spec.user.gid);
    let missing = match (contains(&maps.uids, spec.user.uid), has_gid, group) {
        (false, ..) => format!("--uid {}", said(&order.uid)),
        (_, false, _) if order.gid.is_some() => format!("--gid {}", said(&order.gid)),
        (_, false, _) => format!("--uid {}, of group {}", said(&order.uid), spec.user.gid),
        (.., Some(gid)) => format!("--uid {}, of group {gid}", said(&order.uid)),
        (true, true, None) => return Ok(()),
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
            Writer::Joiner | Writer::Nobody | Writer::Outside => {
                "the user namespace that is joined has no such id"
            }
            Writer::Privileged | Writer::Range | Writer::OneId | Writer::Helpers { .. } => {
                "it lies outside the ids that are mapped"
            }
        })
        .remedy(match maps.writer {
            Writer::Joiner | Writer::Nobody | Writer::Outside => "an id that its uid_map has",
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
        // Without no_new_privs CAP_SYS_ADMIN is the right to attach a filter, seccomp(2): it comes
        // while that is held, and lets through what is still to be done.
        if credentials.new_privs == Switch::Yes {
            self.filter(credentials)?;
        }
        let bounding =
            if self.maps.is_some() { self.host.known_caps() } else { self.host.bounding };
        if bounding & !credentials.bounding != 0 {
            self.rung(ChildStep::DropBounding(bounding & !credentials.bounding));
        }
        match (&credentials.groups, self.spec.groups) {
            (Groups::Set(groups), _) => self.rung(ChildStep::SetGroups(groups.clone())),
            (Groups::Kept, Supplementary::Kept) => {}
            (Groups::Kept, Supplementary::Dropped) => {
                let wanted: Vec<_> = self.spec.user.groups.iter().map(u32::to_string).collect();
                let image = match wanted.is_empty() {
                    true => String::new(),
                    false => format!(", in place of {}", wanted.join(", ")),
                };
                self.remarks.push(format!(
                    "user: setgroups is denied in this user namespace: the caller's \
                     supplementary groups stay{image}"
                ));
            }
        }
        self.rung(ChildStep::SetGid(credentials.gid));
        self.rung(ChildStep::SetUid(credentials.uid));
        self.rung(ChildStep::SetCapabilities(credentials.clone()));
        self.rung(ChildStep::Chdir(self.spec.workdir.clone()));
        if credentials.new_privs == Switch::No {
            self.rung(ChildStep::NoNewPrivs);
        }
        self.rung(ChildStep::VerifyCredentials(credentials.clone()));
        if credentials.new_privs == Switch::No {
            self.filter(credentials)?;
        }
        Ok(())
    }

    fn filter(&mut self, credentials: &Credentials) -> Result<(), Failure> {
        if self.spec.kernel.seccomp == Seccomp::Default {
            // Only as PID 1 is CMD deaf to its own signals.
            let reaped = matches!(self.spec.first, First::Reaper | First::ReapedProbe(_));
            let pid_1 = self.is_new(Namespace::Pid) && !reaped;
            let self_signals = if pid_1 { SelfSignals::Told } else { SelfSignals::Untold };
            // What a set-user-ID program can come to counts as held.
            let capabilities = match credentials.new_privs {
                Switch::Yes => credentials.bounding,
                Switch::No => credentials.permitted,
            };
            let nest = self.spec.kernel.nest;
            let policy = default::policy(FilterOptions { capabilities, nest, self_signals });
            let filter = seccomp::compile(&policy).map_err(|refusal| {
                Failure::new(format!("cannot compile the seccomp filter: {refusal}"))
            })?;
            self.rung(ChildStep::Seccomp { self_signals, filter });
        }
        Ok(())
    }
}
