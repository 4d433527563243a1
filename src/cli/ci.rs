//! What the variables of a CI service tell of the commit that it builds, where git itself does not.

use std::path::{Path, PathBuf};

use crate::net::date;
use crate::plan::label::source;
use crate::plan::{Branch, Checkout};

/// A CI service, by the names of its variables. The first of several that is set counts.
struct CiService {
    commit: &'static [&'static str],
    /// Each is the name of a branch, or a reference, which must be one below `refs/heads/`.
    branch: &'static [&'static str],
    default_branch: &'static [&'static str],
    /// Where one of these is set, and not to `false`, what is built is a tag or a pull request: the branch is none, or
    /// another one.
    elsewise: &'static [&'static str],
    /// Where the service has checked out the commit.
    workspace: &'static str,
    /// The address of the repository, with what stands before it, if that has a variable of its own.
    source: (&'static str, &'static str),
    /// The time of the commit.
    time: &'static str,
    /// Others use its names, too: the commit must be among those that are set.
    shares_names: bool,
}

const NO_SERVICE: CiService = CiService {
    commit: &[],
    branch: &[],
    default_branch: &[],
    elsewise: &[],
    workspace: "",
    source: ("", ""),
    time: "",
    shares_names: false,
};

/// GitHub, and Gitea and Forgejo; GitLab, and Woodpecker; Buildkite; CircleCI; Bitbucket; Drone; Travis; Azure; Semaphore;
/// AppVeyor; CodeBuild; and at last Jenkins, whose names others have, too.
const SERVICES: [CiService; 12] = [
    CiService {
        commit: &["GITHUB_SHA"],
        branch: &["GITHUB_REF", "GITHUB_REF_NAME"],
        // It is set for pull requests alone.
        elsewise: &["GITHUB_HEAD_REF"],
        workspace: "GITHUB_WORKSPACE",
        source: ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY"),
        ..NO_SERVICE
    },
    CiService {
        commit: &["CI_COMMIT_SHA"],
        branch: &["CI_COMMIT_BRANCH"],
        default_branch: &["CI_DEFAULT_BRANCH", "CI_REPO_DEFAULT_BRANCH"],
        elsewise: &["CI_COMMIT_TAG", "CI_MERGE_REQUEST_IID", "CI_COMMIT_PULL_REQUEST"],
        workspace: "CI_PROJECT_DIR",
        source: ("", "CI_PROJECT_URL"),
        time: "CI_COMMIT_TIMESTAMP",
        ..NO_SERVICE
    },
    CiService {
        commit: &["BUILDKITE_COMMIT"],
        branch: &["BUILDKITE_BRANCH"],
        default_branch: &["BUILDKITE_PIPELINE_DEFAULT_BRANCH"],
        elsewise: &["BUILDKITE_TAG", "BUILDKITE_PULL_REQUEST"],
        workspace: "BUILDKITE_BUILD_CHECKOUT_PATH",
        source: ("", "BUILDKITE_REPO"),
        ..NO_SERVICE
    },
    CiService {
        commit: &["CIRCLE_SHA1"],
        branch: &["CIRCLE_BRANCH"],
        elsewise: &["CIRCLE_TAG", "CIRCLE_PR_NUMBER"],
        source: ("", "CIRCLE_REPOSITORY_URL"),
        ..NO_SERVICE
    },
    CiService {
        commit: &["BITBUCKET_COMMIT"],
        branch: &["BITBUCKET_BRANCH"],
        elsewise: &["BITBUCKET_TAG", "BITBUCKET_PR_ID"],
        workspace: "BITBUCKET_CLONE_DIR",
        source: ("", "BITBUCKET_GIT_HTTP_ORIGIN"),
        ..NO_SERVICE
    },
    CiService {
        commit: &["DRONE_COMMIT_SHA", "DRONE_COMMIT"],
        branch: &["DRONE_COMMIT_BRANCH", "DRONE_BRANCH"],
        default_branch: &["DRONE_REPO_BRANCH"],
        elsewise: &["DRONE_TAG", "DRONE_PULL_REQUEST"],
        workspace: "DRONE_WORKSPACE",
        source: ("", "DRONE_REPO_LINK"),
        ..NO_SERVICE
    },
    CiService {
        commit: &["TRAVIS_COMMIT"],
        branch: &["TRAVIS_BRANCH"],
        elsewise: &["TRAVIS_TAG", "TRAVIS_PULL_REQUEST"],
        workspace: "TRAVIS_BUILD_DIR",
        ..NO_SERVICE
    },
    CiService {
        commit: &["BUILD_SOURCEVERSION"],
        branch: &["BUILD_SOURCEBRANCH"],
        elsewise: &["SYSTEM_PULLREQUEST_PULLREQUESTID"],
        workspace: "BUILD_SOURCESDIRECTORY",
        source: ("", "BUILD_REPOSITORY_URI"),
        ..NO_SERVICE
    },
    CiService {
        commit: &["SEMAPHORE_GIT_SHA"],
        branch: &["SEMAPHORE_GIT_BRANCH"],
        elsewise: &["SEMAPHORE_GIT_TAG_NAME", "SEMAPHORE_GIT_PR_NUMBER"],
        source: ("", "SEMAPHORE_GIT_URL"),
        ..NO_SERVICE
    },
    CiService {
        commit: &["APPVEYOR_REPO_COMMIT"],
        branch: &["APPVEYOR_REPO_BRANCH"],
        elsewise: &["APPVEYOR_REPO_TAG_NAME", "APPVEYOR_PULL_REQUEST_NUMBER"],
        workspace: "APPVEYOR_BUILD_FOLDER",
        ..NO_SERVICE
    },
    CiService {
        commit: &["CODEBUILD_RESOLVED_SOURCE_VERSION"],
        branch: &["CODEBUILD_WEBHOOK_HEAD_REF"],
        elsewise: &["CODEBUILD_WEBHOOK_BASE_REF"],
        workspace: "CODEBUILD_SRC_DIR",
        source: ("", "CODEBUILD_SOURCE_REPO_URL"),
        ..NO_SERVICE
    },
    CiService {
        commit: &["GIT_COMMIT"],
        branch: &["GIT_LOCAL_BRANCH", "BRANCH_NAME", "GIT_BRANCH"],
        elsewise: &["TAG_NAME", "CHANGE_ID"],
        workspace: "WORKSPACE",
        source: ("", "GIT_URL"),
        shares_names: true,
        ..NO_SERVICE
    },
];

/// The commit that a CI service builds, as its variables tell of it. Nothing of it is more than a claim.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CiCommit {
    /// As it is written there.
    commit: Option<String>,
    branch: Option<String>,
    default_branch: Option<String>,
    source: Option<String>,
    time: Option<i64>,
    workspace: Option<PathBuf>,
}

impl CiCommit {
    /// Reads it from the variables of the first service that has set some. What has not the form that it should have is not
    /// taken.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&str]| names.iter().find_map(|name| variable(name));
        let builds = |service: &&CiService| {
            first(service.commit).or(first(service.branch).filter(|_| !service.shares_names)).is_some()
        };
        let Some(service) = SERVICES.iter().find(builds) else { return CiCommit::default() };
        let is_elsewise = service.elsewise.iter().filter_map(|name| variable(name)).any(|value| value != "false")
            || variable("GITHUB_REF_TYPE").is_some_and(|kind| kind == "tag");
        let address = service.source.1;
        let address = variable(address).map(|address| match variable(service.source.0) {
            Some(server) => format!("{}/{address}", server.trim_end_matches('/')),
            None => address,
        });
        CiCommit {
            commit: first(service.commit),
            branch: first(service.branch).filter(|_| !is_elsewise).and_then(branch),
            default_branch: first(service.default_branch).and_then(branch),
            source: address.and_then(|address| source(&address)),
            time: variable(service.time).and_then(|time| date::seconds(&time)),
            workspace: variable(service.workspace).map(PathBuf::from).filter(|path| path.is_absolute()),
        }
    }

    /// Returns what is known of the checkout at `directory`: what git has `found`, with the branch by the service's name for it
    /// where a commit alone is checked out and is the one that the service builds; what the service says, where git has found
    /// nothing and the directory is not outside of the service's.
    pub fn complete(&self, found: Option<Checkout>, directory: &Path) -> Option<Checkout> {
        let named = |revision: &str, default: Option<&str>| {
            let name = self.branch.clone()?;
            let default = default.or(self.default_branch.as_deref());
            self.commit.as_ref().is_none_or(|commit| commit == revision).then(|| Branch::of(name, revision, default))
        };
        if let Some(found) = found {
            let branch = found.branch.or_else(|| named(&found.revision, found.default_branch.as_deref()));
            return Some(Checkout { branch, ..found });
        }
        let revision = self.commit.clone().filter(|commit| is_commit(commit) && self.has(directory))?;
        Some(Checkout {
            source: self.source.clone(),
            dirty: false,
            commit_time: self.time,
            branch: named(&revision, None),
            default_branch: self.default_branch.clone(),
            revision,
        })
    }

    /// Whether `directory` may be what the service has checked out.
    fn has(&self, directory: &Path) -> bool {
        let Ok(directory) = directory.canonicalize() else { return false };
        let workspace = self.workspace.as_ref().and_then(|path| path.canonicalize().ok());
        workspace.is_none_or(|workspace| directory.starts_with(workspace))
    }
}

/// Whether it is the ID of a commit (gitrevisions(7), in full): 40 digits, or 64 where SHA-256 names objects.
fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

/// The longest name of a branch that is taken, in bytes; git's own are files with such names.
const LONGEST_BRANCH: usize = 255;

/// Returns the name of a branch; none for a reference to anything else, and for what no branch can be called.
fn branch(text: String) -> Option<String> {
    let name = match text.strip_prefix("refs/heads/").or(text.strip_prefix("origin/")) {
        Some(name) => name.to_owned(),
        None => text,
    };
    // So services call what pull requests come to.
    let is_merge = name.strip_suffix("/merge").is_some_and(|number| number.bytes().all(|c| c.is_ascii_digit()));
    let is_request = name.starts_with("refs/") || name.starts_with("pull/") || is_merge;
    let is_name = !name.is_empty()
        && name.len() <= LONGEST_BRANCH
        && !name.starts_with('-')
        && !name.chars().any(|c| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c));
    (is_name && !is_request).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn read(variables: &[(&str, &str)]) -> CiCommit {
        CiCommit::read(|name| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned()))
    }

    fn detached(revision: &str) -> Option<Checkout> {
        Some(Checkout {
            revision: revision.to_owned(),
            source: None,
            dirty: false,
            commit_time: Some(7),
            branch: None,
            default_branch: None,
        })
    }

    fn branch_of(variables: &[(&str, &str)]) -> Option<(String, bool)> {
        let checkout = read(variables).complete(detached(COMMIT), Path::new("/")).unwrap();
        checkout.branch.map(|branch| (branch.name, branch.is_default))
    }

    #[test]
    fn every_service_tells_its_branch_on_a_detached_checkout() {
        let cases: [&[(&str, &str)]; 12] = [
            &[("GITHUB_SHA", COMMIT), ("GITHUB_REF", "refs/heads/dev"), ("GITHUB_REF_TYPE", "branch")],
            &[("GITHUB_SHA", COMMIT), ("GITHUB_REF_NAME", "dev")],
            &[("CI_COMMIT_SHA", COMMIT), ("CI_COMMIT_BRANCH", "dev")],
            &[("BUILDKITE_COMMIT", COMMIT), ("BUILDKITE_BRANCH", "dev"), ("BUILDKITE_PULL_REQUEST", "false")],
            &[("CIRCLE_SHA1", COMMIT), ("CIRCLE_BRANCH", "dev")],
            &[("BITBUCKET_COMMIT", COMMIT), ("BITBUCKET_BRANCH", "dev")],
            &[("DRONE_COMMIT_SHA", COMMIT), ("DRONE_BRANCH", "dev")],
            &[("TRAVIS_COMMIT", COMMIT), ("TRAVIS_BRANCH", "dev"), ("TRAVIS_PULL_REQUEST", "false")],
            &[("BUILD_SOURCEVERSION", COMMIT), ("BUILD_SOURCEBRANCH", "refs/heads/dev")],
            &[("GIT_COMMIT", COMMIT), ("GIT_BRANCH", "origin/dev")],
            &[("GIT_COMMIT", COMMIT), ("BRANCH_NAME", "dev")],
            &[("CI_COMMIT_BRANCH", "dev")],
        ];
        for variables in cases {
            assert_eq!(branch_of(variables), Some(("dev".to_owned(), false)), "{variables:?}");
        }
    }

    #[test]
    fn tags_and_pull_requests_are_no_branches() {
        let cases: [&[(&str, &str)]; 10] = [
            &[("GITHUB_SHA", COMMIT), ("GITHUB_REF", "refs/pull/5/merge"), ("GITHUB_REF_NAME", "5/merge")],
            &[("GITHUB_SHA", COMMIT), ("GITHUB_REF", "refs/tags/v1")],
            &[("GITHUB_SHA", COMMIT), ("GITHUB_REF_NAME", "v1"), ("GITHUB_REF_TYPE", "tag")],
            &[("GITHUB_SHA", COMMIT), ("GITHUB_REF", "refs/heads/main"), ("GITHUB_HEAD_REF", "dev")],
            &[("CI_COMMIT_SHA", COMMIT), ("CI_COMMIT_BRANCH", "main"), ("CI_COMMIT_TAG", "v1")],
            &[("BUILDKITE_COMMIT", COMMIT), ("BUILDKITE_BRANCH", "dev"), ("BUILDKITE_PULL_REQUEST", "5")],
            &[("CIRCLE_SHA1", COMMIT), ("CIRCLE_BRANCH", "pull/5")],
            &[("TRAVIS_COMMIT", COMMIT), ("TRAVIS_BRANCH", "main"), ("TRAVIS_PULL_REQUEST", "5")],
            &[("BUILD_SOURCEVERSION", COMMIT), ("BUILD_SOURCEBRANCH", "refs/pull/5/merge")],
            &[("GIT_COMMIT", COMMIT), ("BRANCH_NAME", "PR-5"), ("CHANGE_ID", "5")],
        ];
        for variables in cases {
            assert_eq!(branch_of(variables), None, "{variables:?}");
        }
    }

    #[test]
    fn the_service_may_tell_the_default_branch() {
        let gitlab = |branch, default| {
            branch_of(&[("CI_COMMIT_SHA", COMMIT), ("CI_COMMIT_BRANCH", branch), ("CI_DEFAULT_BRANCH", default)])
        };
        assert_eq!(gitlab("dev", "dev"), Some(("dev".to_owned(), true)));
        assert_eq!(gitlab("main", "dev"), Some(("main".to_owned(), false)));
        assert_eq!(branch_of(&[("CIRCLE_BRANCH", "main")]), Some(("main".to_owned(), true)));
        // What git knows of its remote goes first.
        let ci = read(&[("CI_COMMIT_BRANCH", "main"), ("CI_DEFAULT_BRANCH", "main")]);
        let found = detached(COMMIT).map(|found| Checkout { default_branch: Some("dev".to_owned()), ..found });
        assert!(!ci.complete(found, Path::new("/")).unwrap().branch.unwrap().is_default);
    }

    #[test]
    fn a_branch_of_another_commit_is_not_believed() {
        let other = "f".repeat(40);
        let ci = read(&[("CI_COMMIT_SHA", COMMIT), ("CI_COMMIT_BRANCH", "main")]);
        assert_eq!(ci.complete(detached(&other), Path::new("/")).unwrap().branch, None);
    }

    #[test]
    fn without_git_the_service_tells_of_the_commit() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().to_str().unwrap();
        let variables = [
            ("CI_COMMIT_SHA", COMMIT),
            ("CI_COMMIT_BRANCH", "main"),
            ("CI_PROJECT_URL", "https://user:secret@git.example/org/app"),
            ("CI_COMMIT_TIMESTAMP", "2001-09-09T01:46:40Z"),
            ("CI_PROJECT_DIR", path),
        ];
        let found = read(&variables).complete(None, place.path()).unwrap();
        assert_eq!((found.revision.as_str(), found.commit_time, found.dirty), (COMMIT, Some(1_000_000_000), false));
        assert_eq!(found.source.as_deref(), Some("https://git.example/org/app"));
        assert_eq!(found.branch.unwrap().commit_tag(), "main-0123456");
        // What lies elsewhere is not what the service has checked out.
        assert_eq!(read(&variables).complete(None, Path::new("/")), None);
        // Nor is what is to be fetched.
        assert_eq!(read(&variables[..4]).complete(None, Path::new("https://git.example/x.git")), None);
        let github = [
            ("GITHUB_SHA", COMMIT),
            ("GITHUB_SERVER_URL", "https://github.example/"),
            ("GITHUB_REPOSITORY", "org/app"),
        ];
        let found = read(&github).complete(None, Path::new("/")).unwrap();
        assert_eq!((found.source.as_deref(), found.commit_time), (Some("https://github.example/org/app"), None));
    }

    #[test]
    fn what_has_not_the_form_of_a_commit_or_a_branch_is_left_out() {
        for wrong in ["", "HEAD", "0123456", "\u{1b}[31m", &"G".repeat(40), &format!("{COMMIT}\n::error::")] {
            assert_eq!(read(&[("GITHUB_SHA", wrong)]).complete(None, Path::new("/")), None, "{wrong:?}");
        }
        for wrong in ["", "a b", "a\n::error::", "-x", "\u{1b}[31m", "refs/notes/x", &"a".repeat(300)] {
            assert_eq!(branch_of(&[("CI_COMMIT_SHA", COMMIT), ("CI_COMMIT_BRANCH", wrong)]), None, "{wrong:?}");
        }
        assert_eq!(branch_of(&[("CI_COMMIT_SHA", "HEAD"), ("CI_COMMIT_BRANCH", "main")]), None);
        // Names that are anybody's tell of no branch without the commit.
        assert_eq!(branch_of(&[("BRANCH_NAME", "main")]), None);
    }
}
