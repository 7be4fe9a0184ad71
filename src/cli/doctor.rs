//! `rustic doctor` and its options.

use super::from_environment;
use crate::doctor::Form;
use clap::Args;
use std::path::PathBuf;

pub(super) const NOTES: &str = "\
Each check is a start of rustic's own, and what it says is what run says. Nothing on the host is
changed. Exit code 0: all of it works; 1: something lacks.";

/// What `rustic doctor` is asked for.
pub struct DoctorOrder {
    /// Whom the diagnosis is for; nobody, where the profile is wanted.
    pub form: Option<Form>,
    /// The store that was named.
    pub store: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct DoctorArgs {
    /// One JSON object
    #[arg(long)]
    json: bool,
    /// Print a profile of AppArmor that lets rustic make user namespaces, and check nothing
    #[arg(long, conflicts_with = "json")]
    apparmor_profile: bool,
    /// Where unpacked images are kept [default: $RUSTIC_STORE, /var/lib/rustic as root,
    /// $XDG_DATA_HOME/rustic otherwise]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
}

impl DoctorArgs {
    pub(super) fn order(self) -> DoctorOrder {
        let form = if self.json { Form::Json } else { Form::Text };
        DoctorOrder {
            form: (!self.apparmor_profile).then_some(form),
            store: self.store.or_else(|| from_environment("RUSTIC_STORE")),
        }
    }
}
