//! The config of an image: how its program is run, and what its layers must be.

use super::choice::Platform;
use super::json::{lowered, misunderstood, or_nothing, parsed};
use crate::error::Failure;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How the program of an image is run, as the OCI image specification has it. A null is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ImageConfig {
    /// `USER`, `USER:GROUP`, by name or number.
    #[serde(alias = "user")]
    pub user: Option<String>,
    /// `K=V`.
    #[serde(alias = "env")]
    pub env: Option<Vec<String>>,
    /// What stands in front of CMD.
    #[serde(alias = "entrypoint")]
    pub entrypoint: Option<Vec<String>>,
    /// CMD, or its arguments.
    #[serde(alias = "cmd")]
    pub cmd: Option<Vec<String>>,
    /// The working directory.
    #[serde(alias = "workingdir")]
    pub working_dir: Option<String>,
    /// What ends the program.
    #[serde(alias = "stopsignal")]
    pub stop_signal: Option<String>,
    /// Directories that are to outlive a container.
    #[serde(alias = "volumes")]
    pub volumes: Option<BTreeMap<String, serde_json::Value>>,
    /// Ports that it listens on.
    #[serde(alias = "exposedports")]
    pub exposed_ports: Option<BTreeMap<String, serde_json::Value>>,
}

impl ImageConfig {
    /// What is not followed, for a reader.
    pub fn ignored(&self) -> Vec<String> {
        const SHOWN: usize = 8;
        let named = |what: &str, map: &Option<BTreeMap<String, serde_json::Value>>| {
            let names = map.iter().flatten().map(|(name, _)| name.as_str());
            let (shown, all) = (names.clone().take(SHOWN).collect::<Vec<_>>(), names.count());
            let more = all.checked_sub(SHOWN + 1).map(|more| format!(" and {} more", more + 1));
            (all > 0).then(|| format!("{what} {}{}", shown.join(" "), more.unwrap_or_default()))
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
    #[serde(flatten)]
    pub(super) platform: Platform,
    pub(super) config: Option<ImageConfig>,
    #[serde(deserialize_with = "or_nothing")]
    pub(super) rootfs: RootFs,
}

/// The digests of the layers, not compressed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RootFs {
    #[serde(deserialize_with = "or_nothing")]
    pub(super) diff_ids: Vec<String>,
}

impl ConfigFile {
    /// Of its text, however its names are spelled.
    ///
    /// # Errors
    /// What is no config.
    pub(super) fn of(text: &[u8]) -> Result<Self, Failure> {
        let mut whole = lowered(parsed(text, "the config")?);
        for part in ["config", "rootfs"] {
            if let Some(value) = whole.get_mut(part) {
                *value = lowered(value.take());
            }
        }
        serde_json::from_value(whole).map_err(|error| misunderstood("the config", &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_is_read_as_go_reads_it() {
        let text = br#"{"architecture": null, "OS": "linux", "rootfs": {"Diff_IDs": ["a"]},
            "config": {"entrypoint": ["/app"], "WORKINGDIR": "/srv", "Volumes": {"/Data": {}}}}"#;
        let file = ConfigFile::of(text).unwrap();
        let config = file.config.unwrap();
        assert_eq!(config.entrypoint, Some(vec!["/app".to_owned()]));
        assert_eq!(config.working_dir.as_deref(), Some("/srv"));
        assert_eq!(config.ignored(), ["volumes /Data"], "the names in a map are its own");
        assert_eq!((file.platform.os.as_str(), file.rootfs.diff_ids), ("linux", vec!["a".into()]));
        let nothing = ConfigFile::of(br#"{"rootfs": null, "config": null}"#).unwrap();
        assert!(nothing.config.is_none() && nothing.rootfs.diff_ids.is_empty());
        assert!(ConfigFile::of(b"[]").is_err());
    }

    #[test]
    fn a_long_list_is_cut() {
        let ports = (0..100).map(|port| (port.to_string(), serde_json::Value::Null)).collect();
        let config = ImageConfig { exposed_ports: Some(ports), ..ImageConfig::default() };
        assert!(config.ignored()[0].ends_with(" and 92 more"), "{:?}", config.ignored());
    }
}
