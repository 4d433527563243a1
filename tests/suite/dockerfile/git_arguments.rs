//! Build arguments without a value that the tag or git has, and labels that come out empty for the want of one.

use serde_json::Value;

use crate::support::fake_registry::FakeRegistry;
use crate::support::program::{Outcome, Program};
use crate::support::tree::Tree;

const DOCKERFILE: &str = "FROM scratch
ARG VERSION
ARG VCS_REF
ARG BUILD_DATE
ARG OTHER
ARG APP_VERSION=mine
LABEL org.opencontainers.image.created=$BUILD_DATE org.opencontainers.image.revision=$VCS_REF
LABEL version=$VERSION app=$APP_VERSION other=$OTHER
COPY f /
";

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

struct Bench {
    context: tempfile::TempDir,
    program: Program,
}

impl Bench {
    fn new(dockerfile: &str) -> Self {
        let context = Tree::new().file("Dockerfile", dockerfile).file("f", "f").plant();
        let program = Program::new()
            .directory(context.path())
            .environment("GITHUB_SHA", COMMIT)
            .environment("SOURCE_DATE_EPOCH", "1000000000");
        Bench { context, program }
    }

    fn labels(&self, image: &str) -> Value {
        let report = self.program.run(["inspect", "--json", image]).success().stdout;
        serde_json::from_str::<Value>(&report).unwrap()["images"][0]["config"]["Labels"].clone()
    }

    fn build(&self, flags: &[&str]) -> Outcome {
        assert!(self.context.path().exists());
        self.program.run([&["build", "-t", "app:v1.2.0", "."], flags].concat()).success()
    }
}

fn check_all(labels: &Value) {
    assert_eq!(labels["version"], "1.2.0");
    assert_eq!(labels["org.opencontainers.image.revision"], COMMIT);
    assert_eq!(labels["org.opencontainers.image.created"], "2001-09-09T01:46:40Z");
    assert_eq!((&labels["app"], &labels["other"]), (&"mine".into(), &"".into()), "what has a value keeps it");
}

#[test]
fn arguments_have_the_values_of_the_tag_and_git_if_that_is_asked_for() {
    let bench = Bench::new(DOCKERFILE);
    let outcome = bench.build(&["--git-args"]);
    assert!(!outcome.stderr.contains("warning"), "{}", outcome.stderr);
    check_all(&bench.labels("app:v1.2.0"));
    // Values that are given stand.
    bench.build(&["--git-args", "--build-arg", "VERSION=9", "--build-arg", "VCS_REF="]);
    let labels = bench.labels("app:v1.2.0");
    assert_eq!((&labels["version"], &labels["org.opencontainers.image.revision"]), (&"9".into(), &"".into()));
}

#[test]
fn a_build_offers_them_once_and_says_which_labels_are_empty() {
    let bench = Bench::new(DOCKERFILE);
    let stderr = bench.build(&[]).stderr;
    let offer = "warning: no value for ARG BUILD_DATE, VCS_REF, VERSION: --git-args takes it from the tag and git\n";
    assert_eq!(stderr.matches(offer).count(), 1, "{stderr}");
    assert!(stderr.contains("the label org.opencontainers.image.created is empty"), "{stderr}");
    assert!(stderr.contains("the label org.opencontainers.image.revision is empty"), "{stderr}");
    // As docker has it, all the same.
    let labels = bench.labels("app:v1.2.0");
    assert_eq!((&labels["org.opencontainers.image.created"], &labels["version"]), (&"".into(), &"".into()));
    let stderr = bench.build(&["--git-args=false"]).stderr;
    assert!(!stderr.contains("--git-args") && stderr.contains("created is empty"), "{stderr}");
}

#[test]
fn a_push_of_a_version_gives_them_and_says_so_once() {
    let (bench, registry) = (Bench::new(DOCKERFILE), FakeRegistry::new());
    let name = format!("{}/org/app", registry.address());
    let outcome = bench.program.run(["push", &format!("{name}:v1.2.0"), "."]).success();
    let told = format!("from the tag and git: BUILD_DATE=2001-09-09T01:46:40Z, VCS_REF={COMMIT}, VERSION=1.2.0 (");
    assert_eq!(outcome.stderr.matches(&told).count(), 1, "{}", outcome.stderr);
    check_all(&bench.labels(&format!("{name}:1.2")));
    // What is no version is built as ever.
    let outcome = bench.program.run(["push", &format!("{name}:nightly"), "."]).success();
    assert!(outcome.stderr.contains("--git-args takes it"), "{}", outcome.stderr);
    let outcome = bench.program.run(["push", "--git-args=false", &format!("{name}:v1.3.0"), "."]).success();
    assert!(!outcome.stderr.contains("--git-args"), "{}", outcome.stderr);
    assert_eq!(bench.labels(&format!("{name}:v1.3.0"))["version"], "");
}

#[test]
fn a_time_in_another_form_is_told() {
    for (value, is_told) in [
        ("2001-09-09T01:46:40Z", false),
        ("2001-09-09T01:46:40.5+02:00", false),
        ("2001-09-09", true),
        ("'Sun Sep 9'", true),
        ("'\u{1b}[31m'", true),
    ] {
        let bench = Bench::new(&format!("FROM scratch\nLABEL org.opencontainers.image.created={value}\nCOPY f /\n"));
        let stderr = bench.build(&[]).stderr;
        assert_eq!(stderr.contains("but must be a time such as"), is_told, "{value}: {stderr}");
        assert!(!stderr.contains('\u{1b}'), "{stderr}");
    }
    // A spec's, too.
    let context =
        Tree::new().file("ocibake.toml", "[labels]\n\"org.opencontainers.image.created\" = \"now\"\n").plant();
    let outcome = Program::new().run(["build", context.path().to_str().unwrap()]).success();
    outcome.says(&["the label org.opencontainers.image.created is `now`"]);
}
