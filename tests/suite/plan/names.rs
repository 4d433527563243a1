//! The names that the specifications prescribe, as oci-spec has them: media types, keys of annotations, platforms.

use std::collections::BTreeSet;

use oci_spec::image::{self as spec, Arch, MediaType, Os, ToDockerV2S2};
use ocibake::oci::{Map, Platform, media_type};
use ocibake::plan::label::{About, Automatic, Checkout, complete};
use ocibake::plan::{BASE_DIGEST, BASE_NAME};
use ocibake::store::REF_NAME;

#[test]
fn media_types() {
    let layers = [MediaType::ImageLayer, MediaType::ImageLayerGzip, MediaType::ImageLayerZstd];
    let withheld = [
        MediaType::ImageLayerNonDistributable,
        MediaType::ImageLayerNonDistributableGzip,
        MediaType::ImageLayerNonDistributableZstd,
    ];
    for (ours, other) in [
        (media_type::IMAGE_INDEX, MediaType::ImageIndex),
        (media_type::IMAGE_MANIFEST, MediaType::ImageManifest),
        (media_type::IMAGE_CONFIG, MediaType::ImageConfig),
        (media_type::LAYER, MediaType::ImageLayer),
        (media_type::LAYER_GZIP, MediaType::ImageLayerGzip),
        (media_type::LAYER_ZSTD, MediaType::ImageLayerZstd),
        (media_type::EMPTY, MediaType::EmptyJSON),
    ] {
        assert_eq!(ours, other.as_ref());
    }
    for (ours, other) in [
        (media_type::DOCKER_MANIFEST_LIST, MediaType::ImageIndex),
        (media_type::DOCKER_MANIFEST, MediaType::ImageManifest),
        (media_type::DOCKER_CONFIG, MediaType::ImageConfig),
    ] {
        assert_eq!(Ok(ours), other.to_docker_v2s2());
    }
    let docker = MediaType::ImageLayerGzip.to_docker_v2s2().unwrap().to_owned();
    assert_eq!(media_type::oci_layer(&docker), MediaType::ImageLayerGzip.as_ref());
    assert!(layers.iter().chain(&withheld).all(|of| media_type::is_layer(of.as_ref())));
    assert!(withheld.iter().all(|of| media_type::is_nondistributable(of.as_ref())));
    assert!(!layers.iter().any(|of| media_type::is_nondistributable(of.as_ref())));
}

#[test]
fn keys_of_annotations() {
    let some = |text: &str| Some(text.to_owned());
    let about = About {
        title: some("a"),
        description: some("a"),
        vendor: some("a"),
        url: some("a"),
        source: some("a"),
        licenses: some("MIT"),
        version: some("1.0.0"),
        documentation: some("a"),
        authors: some("a"),
    };
    let checkout = Checkout {
        revision: "a".repeat(40),
        source: None,
        dirty: false,
        commit_time: Some(0),
        branch: None,
        default_branch: None,
    };
    let automatic = Automatic { created: Some(0), tag: None, checkout: Some(checkout) };
    let (labels, annotations) = complete(&about, &automatic, &Map::new(), &Map::new()).unwrap();
    let expected = [
        spec::ANNOTATION_AUTHORS,
        spec::ANNOTATION_CREATED,
        spec::ANNOTATION_DESCRIPTION,
        spec::ANNOTATION_DOCUMENTATION,
        spec::ANNOTATION_LICENSES,
        spec::ANNOTATION_REVISION,
        spec::ANNOTATION_SOURCE,
        spec::ANNOTATION_TITLE,
        spec::ANNOTATION_URL,
        spec::ANNOTATION_VENDOR,
        spec::ANNOTATION_VERSION,
    ];
    for found in [labels, annotations] {
        assert_eq!(found.keys().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(expected));
    }
    assert_eq!(BASE_NAME, spec::ANNOTATION_BASE_IMAGE_NAME);
    assert_eq!(BASE_DIGEST, spec::ANNOTATION_BASE_IMAGE_DIGEST);
    assert_eq!(REF_NAME, spec::ANNOTATION_REF_NAME);
}

/// Every system and architecture that is taken is one that the other knows, but Go's younger `wasip1`.
#[test]
fn platforms() {
    let known = |wrong: &str| {
        let hint = wrong.parse::<Platform>().unwrap_err().hint.unwrap();
        let names = hint.strip_prefix("known ones are ").unwrap_or_else(|| panic!("{hint}"));
        names.split(", ").map(str::to_owned).collect::<Vec<_>>()
    };
    let (systems, architectures) = (known("????/amd64"), known("linux/????"));
    assert!(systems.len() > 10 && architectures.len() > 10);
    let others: Vec<&String> = systems.iter().filter(|name| matches!(Os::from(&name[..]), Os::Other(_))).collect();
    assert_eq!(others, ["wasip1"]);
    for name in &architectures {
        assert!(!matches!(Arch::from(&name[..]), Arch::Other(_)), "{name}");
        assert_eq!(Arch::from(&name[..]).to_string(), *name);
    }
}
