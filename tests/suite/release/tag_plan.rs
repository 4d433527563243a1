//! The tags that a build gets.

use ocibake::oci::is_valid_tag;
use ocibake::plan::{Branch, version};
use ocibake::release::tag::{TagKind, TagPlan, alone, fan_out, from_template, split_name};
use proptest::prelude::*;

fn names(plan: &TagPlan) -> String {
    plan.tags.iter().map(|tag| tag.name.as_str()).collect::<Vec<_>>().join(" ")
}

fn branch(name: &str, is_default: bool) -> Branch {
    Branch { name: name.to_owned(), commit: "0123456789abcdef0123456789abcdef01234567".to_owned(), is_default }
}

#[test]
fn versions_fan_out() {
    for (tag, tags) in [
        ("v0.2.0", "v0.2.0 0.2.0 0.2 0 latest"),
        ("0.2.0", "0.2.0 0.2 0 latest"),
        ("v1.0.0-rc.1", "v1.0.0-rc.1 1.0.0-rc.1"),
        ("1.0.0-rc.1", "1.0.0-rc.1"),
        ("v1.2.3+b5", "v1.2.3-b5 1.2.3-b5 1.2 1 latest"),
        ("1.2.3-rc.1+b5", "1.2.3-rc.1-b5"),
        ("10.20.30", "10.20.30 10.20 10 latest"),
    ] {
        assert_eq!(names(&fan_out(tag, None).unwrap()), tags);
    }
}

#[test]
fn what_is_no_version_stands_alone() {
    for tag in ["latest", "nightly", "1.2", "1", "v1", "1.2.3.4", "01.2.3", "vv1.2.3", "V1.2.3", "1.2.3-", "main"] {
        assert_eq!(names(&fan_out(tag, None).unwrap()), tag);
    }
}

#[test]
fn a_branch_gets_its_commit_and_the_default_one_latest() {
    assert_eq!(names(&fan_out("main", Some(&branch("main", true))).unwrap()), "main-0123456 main latest");
    assert_eq!(names(&fan_out("next", Some(&branch("next", false))).unwrap()), "next-0123456 next");
    let feature = branch("feature/new+x", false);
    assert_eq!(names(&fan_out("feature-new-x", Some(&feature)).unwrap()), "feature-new-x-0123456 feature-new-x");
    assert_eq!(names(&fan_out("feature/new+x", Some(&feature)).unwrap()), "feature-new-x-0123456 feature-new-x");
    assert_eq!(names(&fan_out("other", Some(&branch("main", true))).unwrap()), "other");
    assert_eq!(names(&fan_out("v1.0.0", Some(&branch("main", true))).unwrap()), "v1.0.0 1.0.0 1.0 1 latest");
}

#[test]
fn each_tag_says_whether_and_why_it_moves() {
    let told: Vec<_> = fan_out("v0.2.0", None).unwrap().tags.into_iter().map(|tag| (tag.kind, tag.reason)).collect();
    use TagKind::{Exact, Floating};
    assert_eq!(
        told,
        [
            (Exact, "as given"),
            (Exact, "version"),
            (Floating, "minor"),
            (Floating, "major"),
            (Floating, "latest release")
        ]
    );
}

#[test]
fn alone_is_just_the_named_tag() {
    assert_eq!(names(&alone("v1.2.3+b5").unwrap()), "v1.2.3-b5");
    assert!(alone("-x").is_err());
}

#[test]
fn a_template_takes_the_place_of_the_fan_out() {
    let main = branch("main", true);
    let tags = |template, tag| from_template(template, tag, Some(&main)).map(|plan| names(&plan));
    assert_eq!(tags("{version}, {major}.{minor}, latest, {tag}", "v1.2.3").unwrap(), "1.2.3 v1.2.3 1.2 latest");
    assert_eq!(tags("{branch}-{sha7},{major}.{minor}.{patch}", "v1.2.3").unwrap(), "main-0123456 1.2.3");
    assert_eq!(tags("latest,latest,{tag}", "nightly").unwrap(), "nightly latest");
    assert_eq!(tags("{version}", "1.2.3+b5").unwrap(), "1.2.3-b5");
}

#[test]
fn a_template_that_cannot_be_filled_is_an_error() {
    let refusal = |template, tag| {
        let error = from_template(template, tag, None).unwrap_err();
        format!("{error}; {}", error.hint.as_deref().unwrap_or_default())
    };
    insta::assert_snapshot!(refusal("{verison}", "v1.0.0"), @"unknown placeholder `{verison}`; did you mean `{version}`?");
    insta::assert_snapshot!(refusal("{version}", "nightly"), @"the template's `{version}` needs a version, which `nightly` is not; a version is three numbers, as in v1.2.0 or 1.2.0-rc.1");
    insta::assert_snapshot!(refusal("{sha7}", "v1.0.0"), @"the template's `{sha7}` needs a git branch, and none is checked out; ");
    insta::assert_snapshot!(refusal("{tag", "v1.0.0"), @"`{tag` has a lone brace; a placeholder is `{name}`; write a literal brace twice, as `{{` or `}}`");
    insta::assert_snapshot!(refusal("a,,b", "v1.0.0"), @"a tag is empty; a tag has letters, digits, `_`, `.` and `-`, starts with a letter, digit or `_`, and is at most 128 long");
    insta::assert_snapshot!(refusal("{{x}}", "v1.0.0"), @"`{x}` is not a tag; a tag has letters, digits, `_`, `.` and `-`, starts with a letter, digit or `_`, and is at most 128 long");
}

#[test]
fn a_version_is_three_numbers_with_or_without_v() {
    assert_eq!(version::of_tag("v1.2.3-rc.1+b5").unwrap().to_string(), "1.2.3-rc.1+b5");
    assert_eq!(version::of_tag("1.2.3").unwrap().to_string(), "1.2.3");
    assert_eq!(version::of_tag("1.2"), None);
}

#[test]
fn a_name_comes_apart_from_a_tag_that_no_reference_may_hold() {
    let apart = |text| split_name(text).map(|(reference, tag)| (reference.to_string(), tag));
    let is = |name: &str, tag: Option<&str>| (name.to_owned(), tag.map(str::to_owned));
    assert_eq!(apart("ghcr.io/org/api:v1.0.0+b5").unwrap(), is("ghcr.io/org/api", Some("v1.0.0+b5")));
    assert_eq!(apart("127.0.0.1:5000/org/api:v0.2.0").unwrap(), is("127.0.0.1:5000/org/api", Some("v0.2.0")));
    assert_eq!(apart("127.0.0.1:5000/org/api").unwrap(), is("127.0.0.1:5000/org/api", None));
    assert_eq!(apart("nginx").unwrap(), is("docker.io/library/nginx", None));
    for wrong in ["api:", "api:-x", "api:a b", "Api:v1", ":v1", "", "api@sha256:00", "api:v1:v2"] {
        assert!(apart(wrong).is_err(), "{wrong}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn plans_hold_valid_tags_once_with_the_exact_ones_first(
        tag in "v?[0-9]{1,3}\\.[0-9]{1,2}\\.[0-9]{1,2}([-+][0-9a-z.+-]{1,6})?|main|[a-z/]{1,8}|.{0,6}",
        name in "main|[a-z/]{1,8}|.{0,6}",
        is_default: bool,
        given: bool,
    ) {
        let branch = branch(&name, is_default);
        let Ok(plan) = fan_out(&tag, given.then_some(&branch)) else { return Ok(()) };
        prop_assert_eq!(plan.tags[0].kind, TagKind::Exact);
        prop_assert!(plan.tags.iter().all(|tag| is_valid_tag(&tag.name)));
        let floating = plan.tags.iter().skip_while(|tag| tag.kind == TagKind::Exact);
        prop_assert!(floating.into_iter().all(|tag| tag.kind == TagKind::Floating));
        let mut once: Vec<_> = plan.tags.iter().map(|tag| &tag.name).collect();
        once.sort();
        once.dedup();
        prop_assert_eq!(once.len(), plan.tags.len());
    }

    #[test]
    fn taking_names_and_templates_apart_never_panics(text in ".{0,30}", template in "[{}a-z,]{0,20}") {
        let _ = split_name(&text);
        let _ = from_template(&template, &text, None);
    }
}
