//! `rustic doctor` and its options.

use super::rootfs::Common;
use super::store_order;
use crate::doctor::Form;
use crate::spec::StoreOrder;
use clap::Args;

pub(super) const NOTES: &str = "\
Each check is a start of rustic's own, and what it says is what run says. Nothing on the host is
changed. Exit code 0: all of it works; 1: something lacks.";

/// What `rustic doctor` is asked for.
pub struct DoctorOrder {
    /// Whom the diagnosis is for; nobody, where the profile is wanted.
    pub form: Option<Form>,
    /// The store that was named.
    pub store: StoreOrder,
}

#[derive(Args)]
pub(super) struct DoctorArgs {
    /// Print a profile of AppArmor that lets rustic make user namespaces, and check nothing
    #[arg(long, conflicts_with = "json")]
    apparmor_profile: bool,
    #[command(flatten)]
    common: Common,
}

impl DoctorArgs {
    pub(super) fn order(self) -> DoctorOrder {
        let Common { store, json } = self.common;
        let form = if json { Form::Json } else { Form::Text };
        DoctorOrder { form: (!self.apparmor_profile).then_some(form), store: store_order(store) }
    }
}
