//! Standard labels and annotations.

use ocibake::oci::Map;
use ocibake::plan::label::{complete, rfc3339, source};
use ocibake::plan::{About, Automatic, Checkout};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::support::tool;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn map(pairs: &[(&str, &str)]) -> Map<String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn checkout(dirty: bool) -> Checkout {
    let source = source("git@example.org:org/api.git");
    Checkout { revision: COMMIT.to_owned(), source, dirty, commit_time: Some(0), branch: None, default_branch: None }
}

fn automatic(tag: &str, dirty: bool) -> Automatic {
    Automatic { created: Some(0), tag: Some(tag.to_owned()), checkout: Some(checkout(dirty)) }
}

#[test]
fn labels_and_annotations_are_filled_from_spec_git_and_tag() {
    let about = About { title: Some("api".to_owned()), licenses: Some("MIT".to_owned()), ..About::default() };
    let expected = map(&[
        ("org.opencontainers.image.created", "1970-01-01T00:00:00Z"),
        ("org.opencontainers.image.licenses", "MIT"),
        ("org.opencontainers.image.revision", COMMIT),
        ("org.opencontainers.image.source", "https://example.org/org/api"),
        ("org.opencontainers.image.title", "api"),
        ("org.opencontainers.image.version", "1.2.3+b5"),
    ]);
    let (labels, annotations) = complete(&about, &automatic("v1.2.3+b5", false), &map(&[]), &map(&[])).unwrap();
    assert_eq!(labels, expected);
    assert_eq!(annotations, expected);
}

#[test]
fn every_part_of_about_has_its_key() {
    let say = |word: &str| Some(word.to_owned());
    let about = About {
        title: say("t"),
        description: say("d"),
        vendor: say("ve"),
        url: say("u"),
        source: say("s"),
        licenses: say("l"),
        version: say("vn"),
        documentation: say("doc"),
        authors: say("a"),
    };
    let (labels, _) = complete(&about, &automatic("v1.0.0", false), &map(&[]), &map(&[])).unwrap();
    for (key, value) in [
        ("title", "t"),
        ("description", "d"),
        ("vendor", "ve"),
        ("url", "u"),
        ("source", "s"),
        ("licenses", "l"),
        ("version", "vn"),
        ("documentation", "doc"),
        ("authors", "a"),
    ] {
        assert_eq!(labels[&format!("org.opencontainers.image.{key}")], value);
    }
}

#[test]
fn a_dirty_checkout_says_so_and_a_word_is_no_version() {
    let (labels, _) = complete(&About::default(), &automatic("nightly", true), &map(&[]), &map(&[])).unwrap();
    assert_eq!(labels["org.opencontainers.image.revision"], format!("{COMMIT}-dirty"));
    assert!(!labels.contains_key("org.opencontainers.image.version"));
}

#[test]
fn what_the_user_sets_wins() {
    let (title, vendor) = ("org.opencontainers.image.title", "org.opencontainers.image.vendor");
    let about = About { title: Some("about".to_owned()), vendor: Some("about".to_owned()), ..About::default() };
    let labels = map(&[(title, "label"), (vendor, "label"), ("org.example.team", "core")]);
    let annotations = map(&[(vendor, "annotation"), ("org.example.note", "x")]);
    let (labels, annotations) = complete(&about, &automatic("v1.0.0", false), &labels, &annotations).unwrap();
    assert_eq!([&labels[title], &labels[vendor], &labels["org.example.team"]], ["label", "label", "core"]);
    assert_eq!(
        [&annotations[title], &annotations[vendor], &annotations["org.example.note"]],
        ["label", "annotation", "x"]
    );
    assert!(!annotations.contains_key("org.example.team"), "only standard labels are annotations too");
    assert!(!labels.contains_key("org.example.note"));
}

#[test]
fn a_remote_becomes_a_web_address_without_its_user() {
    for (remote, address) in [
        ("git@host:org/x.git", "https://host/org/x"),
        ("ssh://git@host/org/x.git", "https://host/org/x"),
        ("ssh://git@host:2222/org/x.git", "https://host/org/x"),
        ("https://user:token@host/org/x", "https://host/org/x"),
        ("https://token@host:8443/org/x.git/", "https://host:8443/org/x"),
        ("https://user:p@ss@host/org/x", "https://host/org/x"),
        ("https://host/org/x.git?private_token=secret#key", "https://host/org/x"),
        ("http://host/org/x", "http://host/org/x"),
        ("git://host/org/x.git", "https://host/org/x"),
        ("git@host:/org/x.git", "https://host/org/x"),
    ] {
        assert_eq!(source(remote).as_deref(), Some(address), "{remote}");
    }
}

#[test]
fn paths_and_what_may_hide_a_password_are_no_address() {
    for remote in [
        "",
        "/srv/git/x.git",
        "../x",
        "./a:b",
        "C:\\x",
        "C:/x",
        "file:///srv/git/x",
        "https://host",
        "https://host/",
        "https://user:to/ken@host/org/x",
        "https://user:12/34@host/org/x",
        "https://user@ho st/x",
        "ext::sh -c secret",
    ] {
        assert_eq!(source(remote), None, "{remote}");
    }
}

#[test]
fn times_outside_of_the_format_are_refused() {
    assert_eq!(rfc3339(0).unwrap(), "1970-01-01T00:00:00Z");
    assert_eq!(rfc3339(951_782_400).unwrap(), "2000-02-29T00:00:00Z");
    assert_eq!(rfc3339(253_402_300_799).unwrap(), "9999-12-31T23:59:59Z");
    for wrong in [-1, i64::MIN, 253_402_300_800, i64::MAX] {
        assert!(rfc3339(wrong).unwrap_err().to_string().contains("is not between the years 1970 and 9999"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_user_information_is_ever_left(
        scheme in "(https|http|ssh|git)://|",
        user in "[a-z]{1,5}(:SECRET[a-z/@:#?]{0,6})?",
        rest in "[a-z.]{2,8}[:/][a-z0-9/]{1,8}",
    ) {
        let address = source(&format!("{scheme}{user}@{rest}")).unwrap_or_default();
        prop_assert!(!address.contains("SECRET"), "{}", address);
        prop_assert!(!address.contains('@'), "{}", address);
    }
}

#[test]
fn times_are_those_of_date() {
    if !tool::require("date") {
        return;
    }
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
    let compared = TestRunner::new(config).run(&(0i64..253_402_300_800), |seconds| {
        let date = tool::run("date", ["-u", "-d", &format!("@{seconds}"), "+%FT%TZ"]);
        prop_assert_eq!(rfc3339(seconds).unwrap(), date.trim_end());
        Ok(())
    });
    compared.unwrap();
}

#[test]
fn what_is_set_to_nothing_is_no_annotation() {
    let (created, vendor) = ("org.opencontainers.image.created", "org.opencontainers.image.vendor");
    let set = map(&[(created, ""), ("org.example.note", "")]);
    let about = About { vendor: Some(String::new()), ..About::default() };
    let (labels, annotations) = complete(&about, &automatic("v1.0.0", false), &set, &set).unwrap();
    assert_eq!(labels[created], "");
    assert!(!annotations.contains_key(created) && !annotations.contains_key(vendor), "{annotations:?}");
    assert_eq!(annotations["org.example.note"], "");
}
