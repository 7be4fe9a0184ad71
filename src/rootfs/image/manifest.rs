//! Which image of an archive it is, and of which layers it is made.

use super::candidates::{Candidate, Candidates};
use super::choice::{ImageChoice, Platform};
use super::config::ConfigFile;
use super::json::{or_nothing, parsed};
use super::texts::{Digest, Kind, Saved, Texts, sha256};
use crate::error::{Failure, printable};
use rustix::io::Errno;
use serde::Deserialize;
use std::collections::BTreeMap;

/// As many layers as are taken: engines stop at 127.
const MOST_LAYERS: usize = 500;

/// As deep as an index may lie in another one.
const DEEPEST: usize = 4;

/// A layer: where its blob is, and what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The name of its file.
    pub name: String,
    /// Of the blob as it is, where that is said.
    pub digest: Option<Digest>,
    /// Of what is in it, not compressed.
    pub diff_id: Digest,
}

/// The image that was chosen.
pub struct Chosen {
    pub(super) config: ConfigFile,
    /// The operating system and processor that it is for.
    pub platform: Platform,
    /// The name that it has in its archive.
    pub reference: Option<String>,
    /// From the first to the last.
    pub layers: Vec<Layer>,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Clone, Deserialize)]
struct Descriptor {
    digest: String,
    platform: Option<Platform>,
    #[serde(rename = "mediaType")]
    media_type: Option<String>,
    #[serde(default, deserialize_with = "or_nothing")]
    annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// What those who build an image say of it (attestations).
    fn is_no_image(&self) -> bool {
        let is_unknown =
            |platform: &Platform| platform.os == "unknown" && platform.architecture == "unknown";
        self.annotations.contains_key("vnd.docker.reference.type")
            || self.platform.as_ref().is_some_and(is_unknown)
    }

    fn names(&self) -> Vec<String> {
        ["io.containerd.image.name", "org.opencontainers.image.ref.name"]
            .into_iter()
            .filter_map(|name| self.annotations.get(name).cloned())
            .collect()
    }

    /// The platform of an image; `None` where its config must say it, and for an index.
    fn platform_of_image(&self) -> Option<&Platform> {
        let kind = self.media_type.as_deref().unwrap_or_default();
        let is_index = kind.contains("image.index") || kind.contains("manifest.list");
        self.platform.as_ref().filter(|platform| !is_index && !platform.is_unsaid())
    }
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    #[serde(default, deserialize_with = "or_nothing")]
    layers: Vec<Descriptor>,
}

/// The image that is meant by a choice.
///
/// # Errors
/// No image, several, texts that cannot be understood or do not fit each other.
pub fn chosen(texts: &dyn Texts, layout: Kind, choice: &ImageChoice) -> Result<Chosen, Failure> {
    match layout {
        Kind::Oci => of_oci(texts, choice),
        Kind::Docker => of_docker(texts, choice),
    }
}

fn of_oci(texts: &dyn Texts, choice: &ImageChoice) -> Result<Chosen, Failure> {
    let index: Index = parsed(&texts.text("index.json")?, "index.json")?;
    let mut found = Candidates::default();
    images(texts, index, &[], 0, &mut found)?;
    let Candidate { names, platform, id, .. } = found.one(choice)?;
    let manifest: Manifest = parsed(&texts.blob(&Digest::of(&id)?)?, "a manifest")?;
    let (config, config_digest) = (&manifest.config, Digest::of(&manifest.config.digest)?);
    if let Some(kind) = &config.media_type
        && !kind.contains("config")
        && !kind.contains("image")
    {
        return Err(Failure::new(format!("it is no image, but {}", printable(kind))));
    }
    let config = ConfigFile::of(&texts.blob(&config_digest)?)?;
    let digests: Result<Vec<_>, _> =
        manifest.layers.iter().map(|layer| Digest::of(&layer.digest)).collect();
    let blobs_of_layers = digests?.into_iter().map(|digest| (digest.blob(), Some(digest)));
    let layers = with_diff_ids(blobs_of_layers.collect(), &config)?;
    let platform = platform.unwrap_or_else(|| config.platform.clone());
    Ok(Chosen {
        config,
        platform,
        reference: choice.reference.clone().or(names.into_iter().next()),
        layers,
    })
}

/// Every image of an index and of those below it. Of those for other machines nothing need be there
/// but the word of the index.
fn images(
    texts: &dyn Texts,
    index: Index,
    above: &[String],
    depth: usize,
    found: &mut Candidates<()>,
) -> Result<(), Failure> {
    if depth > DEEPEST {
        return Err(Failure::new(format!("an index too deep in others: more than {DEEPEST}")));
    }
    for descriptor in index.manifests.into_iter().filter(|one| !one.is_no_image()) {
        let own = descriptor.names();
        let names = if own.is_empty() { above.to_vec() } else { own };
        let mut platform = descriptor.platform_of_image().cloned();
        let text = match platform {
            Some(_) => None,
            None => {
                if_there(Digest::of(&descriptor.digest).and_then(|digest| texts.blob(&digest)))?
            }
        };
        if let Some(text) = text {
            if let Ok(index) = serde_json::from_slice::<Index>(&text) {
                images(texts, index, &names, depth + 1, found)?;
                continue;
            }
            let manifest: Manifest = parsed(&text, "a manifest")?;
            let config = Digest::of(&manifest.config.digest).and_then(|digest| texts.blob(&digest));
            // What is no config is told when the image is chosen.
            platform = if_there(config)?
                .and_then(|text| ConfigFile::of(&text).ok())
                .map(|config| config.platform);
        }
        found.add(Candidate { names, platform, id: descriptor.digest, what: () })?;
    }
    Ok(())
}

/// What an archive with one image of several need not have.
fn if_there<T>(result: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match result {
        Err(failure) if failure.errno == Some(Errno::NOENT) => Ok(None),
        result => result.map(Some),
    }
}

fn of_docker(texts: &dyn Texts, choice: &ImageChoice) -> Result<Chosen, Failure> {
    let mut found = Candidates::default();
    for saved in texts.saved()? {
        let config = if_there(config_of(texts, &saved))?;
        let names = saved.repo_tags.clone();
        let id = format!("{} {}", saved.config, saved.layers.join(" "));
        let platform = config.as_ref().map(|config| config.platform.clone());
        found.add(Candidate { names, platform, id, what: saved })?;
    }
    let Candidate { names, what: saved, .. } = found.one(choice)?;
    let config = config_of(texts, &saved)?;
    let layers = saved.layers.into_iter().map(|name| (name, None)).collect();
    let layers = with_diff_ids(layers, &config)?;
    let platform = config.platform.clone();
    Ok(Chosen {
        config,
        platform,
        reference: choice.reference.clone().or(names.into_iter().next()),
        layers,
    })
}

fn config_of(texts: &dyn Texts, saved: &Saved) -> Result<ConfigFile, Failure> {
    let text = texts.text(&saved.config)?;
    // Most makers call it by its digest.
    let named = saved.config.strip_suffix(".json").unwrap_or(&saved.config);
    let named = named.rsplit(['/', ':']).next().unwrap_or(named);
    if let Some(digest) = Digest::of_hex(named) {
        digest.check(&sha256(&text), &format!("'{}'", printable(&saved.config)))?;
    }
    ConfigFile::of(&text)
}

fn with_diff_ids(
    layers: Vec<(String, Option<Digest>)>,
    config: &ConfigFile,
) -> Result<Vec<Layer>, Failure> {
    let ids = &config.rootfs.diff_ids;
    if layers.len() > MOST_LAYERS {
        let count = layers.len();
        return Err(Failure::new(format!("{count} layers, and more than {MOST_LAYERS} are none")));
    }
    if layers.len() != ids.len() {
        let (layers, ids) = (layers.len(), ids.len());
        return Err(Failure::new(format!("{layers} layers, and the config has digests of {ids}")));
    }
    let of = |((name, digest), id): ((String, Option<Digest>), &String)| {
        Ok(Layer { name, digest, diff_id: Digest::of(id)? })
    };
    layers.into_iter().zip(ids).map(of).collect()
}
