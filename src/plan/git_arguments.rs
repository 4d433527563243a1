//! The names by which Dockerfiles commonly ask for what the tag and git know, with what these know of them.

use super::label::{Automatic, revision, rfc3339};
use super::version;

/// Returns what the build argument `name` asks for by its name, as far as `automatic` knows it: the version or the tag, the
/// commit, its time (that of the image, so that the same commit builds the same image), its repository, its branch. None for
/// any other name.
pub fn value(name: &str, automatic: &Automatic) -> Option<String> {
    let checkout = automatic.checkout.as_ref();
    let tag = || automatic.tag.clone().filter(|tag| version::of_tag(tag).is_some());
    match name {
        "VERSION" | "APP_VERSION" | "BUILD_VERSION" | "IMAGE_VERSION" => {
            tag().and_then(|tag| version::of_tag(&tag)).map(|version| version.to_string())
        }
        "GIT_TAG" => tag(),
        "COMMIT" | "COMMIT_SHA" | "COMMIT_HASH" | "GIT_COMMIT" | "GIT_SHA" | "GIT_HASH" | "GIT_REV"
        | "GIT_REVISION" | "VCS_REF" | "VCS_REVISION" | "REVISION" | "SOURCE_COMMIT" | "BUILD_COMMIT" => {
            checkout.map(revision)
        }
        "BUILD_DATE" | "BUILD_TIME" | "BUILD_TIMESTAMP" | "BUILDDATE" | "BUILDTIME" | "CREATED" | "COMMIT_DATE" => {
            automatic.created.and_then(|created| rfc3339(created).ok())
        }
        "GIT_URL" | "SOURCE_URL" | "VCS_URL" => checkout?.source.clone(),
        "GIT_BRANCH" | "VCS_BRANCH" => checkout?.branch.as_ref().map(|branch| branch.name.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Branch, Checkout};

    #[test]
    fn names_ask_for_what_the_tag_and_git_know() {
        let revision = "0123456789abcdef0123456789abcdef01234567";
        let checkout = Checkout {
            revision: revision.to_owned(),
            source: Some("https://git.example/org/app".to_owned()),
            dirty: true,
            commit_time: Some(0),
            branch: Some(Branch::of("main".to_owned(), revision, None)),
            default_branch: None,
        };
        let tag = Some("v1.2.0".to_owned());
        let all = Automatic { created: Some(1_000_000_000), tag, checkout: Some(checkout) };
        let dirty = format!("{revision}-dirty");
        for (name, expected) in [
            ("VERSION", "1.2.0"),
            ("GIT_TAG", "v1.2.0"),
            ("COMMIT", dirty.as_str()),
            ("VCS_REF", dirty.as_str()),
            ("BUILD_DATE", "2001-09-09T01:46:40Z"),
            ("VCS_URL", "https://git.example/org/app"),
            ("GIT_BRANCH", "main"),
        ] {
            assert_eq!(value(name, &all).as_deref(), Some(expected), "{name}");
            assert_eq!(value(name, &Automatic::default()), None, "{name}");
        }
        for name in ["version", "GO_VERSION", "DATE", "TAG", ""] {
            assert_eq!(value(name, &all), None, "{name}");
        }
        let latest = Automatic { tag: Some("latest".to_owned()), ..Automatic::default() };
        assert_eq!(value("VERSION", &latest), None);
    }
}
