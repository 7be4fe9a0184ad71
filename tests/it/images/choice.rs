//! Several images in one archive: by platform, and by name.

use super::{Image, listed, packed, unpacked, with_index};
use crate::corpus::bytes::file;
use crate::need;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn of(architecture: &str) -> (BTreeMap<String, Vec<u8>>, Value) {
    let image = Image::new(&[&[file("which", architecture)]]).platform(architecture);
    let (files, mut descriptor) = image.oci();
    descriptor["platform"] = json!({ "os": "linux", "architecture": architecture });
    (files, descriptor)
}

fn together(images: Vec<(BTreeMap<String, Vec<u8>>, Value)>) -> Vec<u8> {
    let (files, descriptors): (Vec<_>, Vec<_>) = images.into_iter().unzip();
    packed(&with_index(files.into_iter().flatten().collect(), &descriptors))
}

const HERE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };

fn which(archive: &[u8], options: &[&str]) -> Result<String, String> {
    let (ran, tree) = unpacked(archive, options);
    match ran.code {
        0 => Ok(listed(&tree)[0].replace("which=", "")),
        _ => Err(ran.stderr),
    }
}

#[test]
fn this_machines_is_taken_and_another_one_where_it_is_ordered() {
    need!(root);
    let archive = together(vec![of("riscv64"), of(HERE), of("s390x")]);
    assert_eq!(which(&archive, &[]).as_deref(), Ok(HERE));
    assert_eq!(which(&archive, &["--platform", "linux/s390x"]).as_deref(), Ok("s390x"));
    let none = which(&archive, &["--platform", "linux/mips"]).unwrap_err();
    for word in ["no image for linux/mips", "--platform, of linux/", "linux/riscv64, linux/s390x"] {
        assert!(none.contains(word), "{none}");
    }
    let foreign = together(vec![of("riscv64"), of("s390x")]);
    assert!(which(&foreign, &[]).unwrap_err().contains("no image for linux/"));
    // Of one nothing was chosen: that it is another machine's is told.
    let (ran, tree) = unpacked(&together(vec![of("s390x")]), &[]);
    assert_eq!(listed(&tree), ["which=s390x"]);
    assert!(ran.ok().contains("its programs may not run"));
}

#[test]
fn an_index_may_lie_in_another_one_and_attestations_are_no_images() {
    need!(root);
    let (mut files, here) = of(HERE);
    let (others, other) = of("s390x");
    let (attested, mut attestation) = of("unknown");
    attestation["platform"] = json!({ "os": "unknown", "architecture": "unknown" });
    attestation["annotations"] = json!({ "vnd.docker.reference.type": "attestation-manifest" });
    files.extend(others);
    files.extend(attested);
    let index = json!({ "schemaVersion": 2, "manifests": [other, attestation, here] }).to_string();
    let digest = super::sha256(index.as_bytes());
    files.insert(format!("blobs/sha256/{digest}"), index.into_bytes());
    let outer = json!({ "digest": format!("sha256:{digest}") });
    assert_eq!(which(&packed(&with_index(files, &[outer])), &[]).as_deref(), Ok(HERE));
}

#[test]
fn of_several_names_one_has_to_be_said() {
    need!(root);
    let named = |name: &str, content: &str| {
        let (files, mut descriptor) = Image::new(&[&[file("which", content)]]).oci();
        descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
        (files, descriptor)
    };
    let archive = together(vec![named("app:1", "one"), named("app:2", "two")]);
    assert_eq!(which(&archive, &["--ref", "app:2"]).as_deref(), Ok("two"));
    for options in [&[][..], &["--ref", "app:3"]] {
        let refused = which(&archive, options).unwrap_err();
        assert!(refused.contains("--ref, of app:1, app:2"), "{refused}");
    }
    // The same of docker save.
    let (one, two) =
        (Image::new(&[&[file("which", "one")]]), Image::new(&[&[file("which", "two")]]));
    let (mut files, others) = (one.saved(), two.saved());
    let entry = |files: &BTreeMap<String, Vec<u8>>, tag: &str| {
        let mut saved: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        saved[0]["RepoTags"] = json!([tag]);
        saved[0].take()
    };
    let manifest = json!([entry(&files, "app:1"), entry(&others, "app:2")]);
    files.extend(others);
    files.insert("manifest.json".into(), manifest.to_string().into_bytes());
    let archive = packed(&files);
    assert_eq!(which(&archive, &["--ref", "app:2"]).as_deref(), Ok("two"));
    assert!(which(&archive, &[]).unwrap_err().contains("several images"));
}

#[test]
fn two_choices_of_one_archive_are_two_images_of_the_store() {
    need!(root);
    let dir = crate::support::scratch("two-choices");
    let store = crate::support::scratch("two-choices-store");
    std::fs::set_permissions(&store, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    std::fs::write(dir.join("image"), together(vec![of(HERE), of("s390x")])).unwrap();
    let import = |name: &str, options: &[&str]| {
        let words = ["import", name, dir.join("image").to_str().unwrap()].map(str::to_owned);
        let run = crate::support::Rustic::command("rootfs").opt(words);
        run.opt(["--store", store.to_str().unwrap()]).opt(options.iter().copied()).ran().ok()
    };
    for _ in 0..2 {
        import("here", &[]);
        import("there", &["--platform", "linux/s390x"]);
    }
    let mut trees: Vec<String> = std::fs::read_dir(store.join("roots"))
        .unwrap()
        .map(|entry| listed(&entry.unwrap().path().join("tree"))[0].clone())
        .collect();
    trees.sort_unstable();
    assert_eq!(trees, [format!("which={HERE}"), "which=s390x".to_owned()]);
}

#[test]
fn of_other_machines_nothing_need_be_there() {
    need!(root);
    let (mut files, here) = of(HERE);
    let absent = |platform: serde_json::Value| {
        let digest = format!("sha256:{}", super::sha256(platform.to_string().as_bytes()));
        json!({ "digest": digest, "size": 7, "platform": platform })
    };
    let arm = absent(json!({ "os": "linux", "architecture": "riscv64" }));
    let index = json!({ "schemaVersion": 2, "manifests": [arm, here] }).to_string();
    let digest = super::sha256(index.as_bytes());
    files.insert(format!("blobs/sha256/{digest}"), index.into_bytes());
    let outer = json!({ "digest": format!("sha256:{digest}") });
    let archive = packed(&with_index(files, &[outer]));
    assert_eq!(which(&archive, &[]).as_deref(), Ok(HERE));
    let missing = which(&archive, &["--platform", "linux/riscv64"]).unwrap_err();
    assert!(missing.contains("ENOENT"), "{missing}");
}

#[test]
fn one_image_under_two_names_is_one() {
    need!(root);
    let (files, descriptor) = of(HERE);
    let named = |name: &str| {
        let mut descriptor = descriptor.clone();
        descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
        descriptor
    };
    let archive = packed(&with_index(files, &[named("app:1"), named("app:latest")]));
    assert_eq!(which(&archive, &[]).as_deref(), Ok(HERE));
    assert_eq!(which(&archive, &["--ref", "app:latest"]).as_deref(), Ok(HERE));
    assert!(which(&archive, &["--ref", "other"]).is_err());
}

#[test]
fn a_variant_that_goes_without_saying_need_not_be_said() {
    need!(root);
    let (files, mut descriptor) = of("arm64");
    descriptor["platform"] = json!({ "os": "linux", "architecture": "arm64" });
    let archive = packed(&with_index(files, &[descriptor]));
    for (platform, is_there) in
        [("linux/arm64", true), ("linux/arm64/v8", true), ("linux/arm64/v7", false)]
    {
        assert_eq!(which(&archive, &["--platform", platform]).is_ok(), is_there, "{platform}");
    }
}

#[test]
fn of_variants_the_usual_one_comes_first() {
    need!(root);
    let variant = |variant: &str| {
        let (files, mut descriptor) = Image::new(&[&[file("which", variant)]]).oci();
        descriptor["platform"] = json!({ "os": "linux", "architecture": HERE });
        if !variant.is_empty() {
            descriptor["platform"]["variant"] = variant.into();
        }
        (files, descriptor)
    };
    let archive = together(vec![variant("v9"), variant(""), variant("v7")]);
    assert_eq!(which(&archive, &[]).as_deref(), Ok(""));
    let v9 = format!("linux/{HERE}/v9");
    assert_eq!(which(&archive, &["--platform", &v9]).as_deref(), Ok("v9"));
    // Where there is no usual one it is the same each time.
    let archive = together(vec![variant("v9"), variant("v7")]);
    assert_eq!(which(&archive, &[]).as_deref(), Ok("v7"));
}

#[test]
fn of_two_images_that_nothing_tells_apart_none_is_taken() {
    need!(root);
    let named = |name: Option<&str>, content: &str| {
        let (files, mut descriptor) = Image::new(&[&[file("which", content)]]).oci();
        if let Some(name) = name {
            descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
        }
        (files, descriptor)
    };
    for name in [None, Some("a")] {
        let archive = together(vec![named(name, "one"), named(name, "two")]);
        let refused = which(&archive, &[]).unwrap_err();
        assert!(refused.contains("there are several images for linux/"), "{refused}");
    }
    // The control: one of them is.
    assert_eq!(which(&together(vec![named(None, "one")]), &[]).as_deref(), Ok("one"));
}
