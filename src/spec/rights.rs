//! Which right of the caller is missing for the namespaces that are wanted, said before anything is
//! tried.

use super::ids::has_range;
use crate::error::Failure;
use crate::host::Host;
use crate::namespace::{Choice, Namespace, Namespaces};
use caps::Capability;

/// Whether the caller may make them.
///
/// # Errors
/// The right that is missing.
pub(super) fn check(namespaces: &Namespaces, host: &Host) -> Result<(), Failure> {
    if *namespaces.get(Namespace::User) != Choice::Shared {
        return check_map_rights(namespaces, host);
    }
    let wanted: Vec<_> = namespaces.new_ones().map(Namespace::name).collect();
    let (what, capability) = if wanted.is_empty() {
        ("entering a root file system by chroot".to_owned(), Capability::CAP_SYS_CHROOT)
    } else {
        (format!("making namespaces ({})", wanted.join(" ")), Capability::CAP_SYS_ADMIN)
    };
    if host.holds(capability) {
        return Ok(());
    }
    let own_user = namespaces.clone().with(Namespace::User, Choice::New);
    Err(Failure::new(format!(
        "{what} with --user no needs {capability}, which uid {} does not hold here",
        host.uid
    ))
    .remedy(match (host.uid, unmapped(&own_user, host)) {
        (0, None) => "--user yes, or that right",
        (0, Some(_)) => "that right, from whoever has taken it from this root",
        _ => "sudo, or --user yes",
    })
    .man("capabilities(7)"))
}

/// The right that root lacks to map its ids, user_namespaces(7): CAP_SETFCAP is for a map of the
/// caller's own uid 0, since Linux 5.12, and root of the machine takes a range. Who is not root maps
/// his own id, or leaves it to newuidmap(1).
fn unmapped(namespaces: &Namespaces, host: &Host) -> Option<Capability> {
    let maps_itself = !has_range(namespaces, host) && host.kernel >= (5, 12);
    let wanted = [Capability::CAP_SETUID, Capability::CAP_SETGID]
        .into_iter()
        .chain(maps_itself.then_some(Capability::CAP_SETFCAP));
    wanted.filter(|_| host.uid == 0).find(|&right| !host.holds(right))
}

fn check_map_rights(namespaces: &Namespaces, host: &Host) -> Result<(), Failure> {
    match unmapped(namespaces, host).filter(|_| namespaces.is_new(Namespace::User)) {
        None => Ok(()),
        Some(right) => Err(Failure::new(format!(
            "mapping the ids of a user namespace needs {right}, which uid 0 does not hold here"
        ))
        .remedy("that right, from whoever has taken it from this root; or another user")
        .man("user_namespaces(7)")),
    }
}
