//! Names of images, as another reader of docker's grammar takes them.

use oci_spec::distribution::Reference as Other;
use ocibake::oci::Reference;
use proptest::prelude::*;

/// Whether both take `text`, and for the same. The other one takes digests of kinds that cannot be checked, in `Org/api`
/// it finds a host with a capital before it finds that it is none, and in `a_b.io/c` it takes the host for a part of
/// the path until it is to be a host again.
#[track_caller]
fn assert_agreed(text: &str) {
    let ours: Option<Reference> = text.parse().ok();
    let other: Option<Other> = text.parse().ok().filter(|other: &Other| {
        !other.repository().contains(char::is_uppercase)
            && !other.registry().contains('_')
            && other.digest().is_none_or(|digest| digest.parse::<ocibake::oci::Digest>().is_ok())
    });
    match (&ours, &other) {
        (Some(ours), Some(other)) => {
            assert_eq!((ours.registry(), ours.repository()), (other.registry(), other.repository()), "{text}");
            assert_eq!(ours.tag().or(Some("latest").filter(|_| other.digest().is_none())), other.tag(), "{text}");
            assert_eq!(ours.digest().map(|digest| digest.to_string()).as_deref(), other.digest(), "{text}");
        }
        _ => assert_eq!(ours.is_some(), other.is_some(), "{text:?}: {ours:?}, {other:?}"),
    }
}

#[test]
fn names_as_people_write_them() {
    let hex = "0123456789abcdef".repeat(4);
    let long = "a".repeat(255);
    for text in [
        "nginx",
        "nginx:1.27",
        "library/nginx",
        "docker.io/nginx",
        "index.docker.io/nginx",
        "docker.io/library/nginx:x",
        "ghcr.io/org/app:v1.2.3",
        "localhost/x",
        "localhost:5000/x:y",
        "localhost:5000",
        "127.0.0.1:5000/a/b/c",
        "host:5000/x",
        "Host.io/x",
        "Org/api",
        "org/Api",
        "a/b/c",
        "a//b",
        "/a",
        "a/",
        "",
        ":",
        "@",
        "a:",
        "a@",
        "a b",
        "a__b/c",
        "a___b",
        "a--b",
        "a---b",
        "a..b",
        "a._b",
        "a.b",
        "-a",
        "a-",
        "_a",
        "a_",
        "é",
        "a:.x",
        "a:_x",
        "a:-x",
        "host.io:/x",
        "host.io:x/y",
        "-host.io/x",
        "host-.io/x",
        "host..io/x",
        ".io/x",
        "1.2/x",
        "x:5000:1",
        "a:b/c:d",
        "x/y:t/z",
        &format!("a@sha256:{hex}"),
        &format!("a:t@sha256:{hex}"),
        "a@sha256:0123",
        &format!("a@sha512:{hex}"),
        &long,
        &format!("host.io/{long}"),
        &format!("host.io/{long}a"),
        &format!("a:{}", "t".repeat(128)),
        &format!("a:{}", "t".repeat(129)),
        &format!("a@{hex}"),
        &format!("a@sha256:{hex}@sha256:{hex}"),
    ] {
        assert_agreed(text);
    }
}

#[test]
fn where_the_other_one_is_stricter_or_more_lenient() {
    let name: Reference = "[::1]:5000/org/api:v1".parse().unwrap();
    assert_eq!((name.registry(), name.repository(), name.tag()), ("[::1]:5000", "org/api", Some("v1")));
    // The other one takes letters of any language in tags.
    assert!("a:é".parse::<Reference>().is_err());
    for wrong in ["[::1/x", "[::1]5000/x", "[::g]:5000/x", "[]:5000/x", "[::1]:/x"] {
        assert!(wrong.parse::<Reference>().is_err(), "{wrong}");
    }
}

#[test]
fn a_name_as_other_programs_have_it_is_told_from_one() {
    for (text, name) in [
        ("docker://registry.example:5000/org/api:v1", "registry.example:5000/org/api:v1"),
        ("https://registry.example/org/api", "registry.example/org/api"),
    ] {
        let hint = text.parse::<Reference>().unwrap_err().hint.unwrap();
        assert!(hint.starts_with("leave out `") && hint.ends_with(&format!("`{name}`")), "{hint}");
        name.parse::<Reference>().unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn names_of_all_kinds(text in "([a-zA-B0-1.:_-]{0,6}/){0,3}[a-bA_.0-]{0,6}(:[a-zA-Z_.0-]{0,4})?(@sha256:[0-9a-f]{64})?") {
        assert_agreed(&text);
    }

    #[test]
    fn names_of_few_characters(text in "[aB0._:/@-]{0,9}") {
        assert_agreed(&text);
    }
}
