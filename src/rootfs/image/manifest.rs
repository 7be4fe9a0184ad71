//! Which image of an archive it is, and of which layers it is made.

use super::blobs::{Blobs, Digest, Kind, Saved, sha256};
use super::choice::{ImageChoice, Platform};
use super::config::ConfigFile;
use crate::error::{Failure, printable};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// As many layers as are taken: engines stop at 127.
const MOST_LAYERS: usize = 500;

/// As deep as an index may lie in another one, and as many images as are looked at.
const DEEPEST: usize = 4;
const MOST_IMAGES: usize = 500;

/// A layer: where its blob is, and what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layer {
    pub(super) name: String,
    /// Of the blob as it is, where that is said.
    pub(super) digest: Option<Digest>,
    /// Of what is in it, not compressed.
    pub(super) diff_id: Digest,
}

/// The image that was chosen.
pub(super) struct Chosen {
    pub(super) config: ConfigFile,
    pub(super) platform: Platform,
    pub(super) reference: Option<String>,
    pub(super) layers: Vec<Layer>,
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
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

/// An image of the archive, before it is chosen.
struct Candidate<T> {
    names: Vec<String>,
    platform: Platform,
    what: T,
}

/// The image that is meant by a choice.
pub(super) fn chosen(blobs: &Blobs, choice: &ImageChoice) -> Result<Chosen, Failure> {
    match blobs.layout {
        Kind::Oci => of_oci(blobs, choice),
        Kind::Docker => of_docker(blobs, choice),
    }
}

fn of_oci(blobs: &Blobs, choice: &ImageChoice) -> Result<Chosen, Failure> {
    let index: Index = parsed(&blobs.text("index.json")?, "index.json")?;
    let mut found = Vec::new();
    images(blobs, index, &[], 0, &mut found)?;
    let Candidate { names, platform, what: manifest } = one(found, choice)?;
    let (config, config_digest) = (&manifest.config, Digest::of(&manifest.config.digest)?);
    if let Some(kind) = &config.media_type
        && !kind.contains("config")
        && !kind.contains("image")
    {
        return Err(Failure::new(format!("it is no image, but {}", printable(kind))));
    }
    let config: ConfigFile = parsed(&blobs.blob(&config_digest)?, "the config")?;
    let digests: Result<Vec<_>, _> =
        manifest.layers.iter().map(|layer| Digest::of(&layer.digest)).collect();
    let blobs_of_layers = digests?.into_iter().map(|digest| (digest.blob(), Some(digest)));
    let layers = with_diff_ids(blobs_of_layers.collect(), &config)?;
    Ok(Chosen { config, platform, reference: names.into_iter().next(), layers })
}

/// Every image of an index and of those below it. What is said of an image by those who build it
/// (attestations) is none.
fn images(
    blobs: &Blobs,
    index: Index,
    above: &[String],
    depth: usize,
    found: &mut Vec<Candidate<Manifest>>,
) -> Result<(), Failure> {
    if depth > DEEPEST || found.len() + index.manifests.len() > MOST_IMAGES {
        return Err(Failure::new("an index that is too deep or too long"));
    }
    for descriptor in index.manifests {
        let annotation = |name: &str| {
            descriptor.annotations.as_ref().and_then(|annotations| annotations.get(name)).cloned()
        };
        let is_unknown =
            |platform: &Platform| platform.os == "unknown" && platform.architecture == "unknown";
        if annotation("vnd.docker.reference.type").is_some()
            || descriptor.platform.as_ref().is_some_and(is_unknown)
        {
            continue;
        }
        let own: Vec<String> = ["io.containerd.image.name", "org.opencontainers.image.ref.name"]
            .into_iter()
            .filter_map(annotation)
            .collect();
        let names = if own.is_empty() { above.to_vec() } else { own };
        let text = blobs.blob(&Digest::of(&descriptor.digest)?)?;
        if let Ok(index) = serde_json::from_slice::<Index>(&text) {
            images(blobs, index, &names, depth + 1, found)?;
            continue;
        }
        let manifest: Manifest = parsed(&text, "a manifest")?;
        let platform = match descriptor.platform {
            Some(platform) => platform,
            None => {
                let config = blobs.blob(&Digest::of(&manifest.config.digest)?)?;
                platform_of(&parsed(&config, "the config")?)
            }
        };
        found.push(Candidate { names, platform, what: manifest });
    }
    Ok(())
}

fn of_docker(blobs: &Blobs, choice: &ImageChoice) -> Result<Chosen, Failure> {
    let saved: Vec<Saved> = parsed(&blobs.text("manifest.json")?, "manifest.json")?;
    let mut found = Vec::new();
    for saved in saved.into_iter().take(MOST_IMAGES) {
        let text = blobs.text(&saved.config)?;
        // Most makers call it by its digest.
        let named = saved.config.strip_suffix(".json").unwrap_or(&saved.config);
        let named = named.rsplit(['/', ':']).next().unwrap_or(named);
        if let Some(digest) = Digest::of_hex(named) {
            digest.check(&sha256(&text), &format!("'{}'", printable(&saved.config)))?;
        }
        let config: ConfigFile = parsed(&text, "the config")?;
        let names = saved.repo_tags.clone().unwrap_or_default();
        found.push(Candidate { names, platform: platform_of(&config), what: (saved, config) });
    }
    let Candidate { names, platform, what: (saved, config) } = one(found, choice)?;
    let layers = saved.layers.into_iter().map(|name| (name, None)).collect();
    let layers = with_diff_ids(layers, &config)?;
    Ok(Chosen { config, platform, reference: names.into_iter().next(), layers })
}

fn platform_of(config: &ConfigFile) -> Platform {
    Platform {
        os: config.os.clone(),
        architecture: config.architecture.clone(),
        variant: config.variant.clone(),
    }
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

/// The one that is meant.
fn one<T>(mut found: Vec<Candidate<T>>, choice: &ImageChoice) -> Result<Candidate<T>, Failure> {
    if found.is_empty() {
        return Err(Failure::new("there is no image in it"));
    }
    let mut names: Vec<String> =
        found.iter().filter_map(|candidate| candidate.names.first().cloned()).collect();
    names.dedup();
    if let Some(wanted) = &choice.reference {
        found.retain(|candidate| candidate.names.iter().any(|name| name == wanted));
        if found.is_empty() {
            let what = format!("no image in it is called '{}'", printable(wanted));
            return Err(with_names(Failure::new(what), &names));
        }
    }
    let is_another = |candidate: &Candidate<T>| candidate.names != found[0].names;
    if found.iter().any(is_another) {
        return Err(with_names(Failure::new("there are several images in it"), &names));
    }
    let wanted = choice.platform.clone().unwrap_or_else(Platform::here);
    let place = found.iter().position(|candidate| wanted.means(&candidate.platform));
    match (place, found.len()) {
        (Some(place), _) => Ok(found.swap_remove(place)),
        // Of one image nothing was chosen: that it is another machine's is told.
        (None, 1) if choice.platform.is_none() => Ok(found.remove(0)),
        (None, _) => {
            let there: Vec<String> =
                found.iter().map(|candidate| candidate.platform.to_string()).collect();
            Err(Failure::new(format!("there is no image for {wanted} in it"))
                .remedy(format!("--platform, of {}", there.join(", "))))
        }
    }
}

fn with_names(failure: Failure, names: &[String]) -> Failure {
    let names: Vec<String> = names.iter().map(|name| printable(name)).collect();
    match names.is_empty() {
        true => failure.why("none of them has a name"),
        false => failure.remedy(format!("--ref, of {}", names.join(", "))),
    }
}

fn parsed<T: DeserializeOwned>(text: &[u8], what: &str) -> Result<T, Failure> {
    serde_json::from_slice(text)
        .map_err(|error| Failure::new(format!("{what} cannot be understood: {error}")))
}
