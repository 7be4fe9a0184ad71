//! The config of an image: how its program is run, and what its layers must be.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How the program of an image is run, as the OCI image specification has it. A null is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ImageConfig {
    /// `USER`, `USER:GROUP`, by name or number.
    pub user: Option<String>,
    /// `K=V`.
    pub env: Option<Vec<String>>,
    /// What stands in front of CMD.
    pub entrypoint: Option<Vec<String>>,
    /// CMD, or its arguments.
    pub cmd: Option<Vec<String>>,
    /// The working directory.
    pub working_dir: Option<String>,
    /// What ends the program.
    pub stop_signal: Option<String>,
    /// Directories that are to outlive a container.
    pub volumes: Option<BTreeMap<String, serde_json::Value>>,
    /// Ports that it listens on.
    pub exposed_ports: Option<BTreeMap<String, serde_json::Value>>,
}

impl ImageConfig {
    /// What is not followed, for a reader.
    pub fn ignored(&self) -> Vec<String> {
        let named = |what: &str, map: &Option<BTreeMap<String, serde_json::Value>>| {
            let names: Vec<&str> = map.iter().flatten().map(|(name, _)| name.as_str()).collect();
            (!names.is_empty()).then(|| format!("{what} {}", names.join(" ")))
        };
        [named("volumes", &self.volumes), named("ports", &self.exposed_ports)]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// The whole of it, as far as it is used.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ConfigFile {
    pub(super) architecture: String,
    pub(super) os: String,
    pub(super) variant: Option<String>,
    pub(super) config: Option<ImageConfig>,
    pub(super) rootfs: RootFs,
}

/// The digests of the layers, not compressed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RootFs {
    pub(super) diff_ids: Vec<String>,
}
