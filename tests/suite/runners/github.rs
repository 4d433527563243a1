//! The step of the Action that builds, against a registry.

use serde_json::Value;

use super::{Action, HOSTILE, is_owned, labels};
use crate::support::docker_registry::DockerRegistry;
use crate::support::runner::has_tools;
use crate::support::tool::{install, require, require_root, run};
use crate::support::tree::Tree;

const DOCKERFILE: &str = "FROM scratch\nARG TEXT\nLABEL text=$TEXT\nCOPY a /a\n";

#[test]
fn an_image_is_built_and_pushed() {
    if !has_tools() || !["skopeo", "jq"].into_iter().all(require) {
        return;
    }
    let registry = DockerRegistry::open();
    let name = format!("{}/org/api", registry.address());
    let action = Action::new(Tree::new().file("server/Dockerfile", DOCKERFILE).file("server/a", "x").plant());
    let tags = format!("{name}:v1.2.0\n\n  {name}:latest , {name}:odd  \n");
    let inputs = [
        ("context", "server"),
        ("push", "true"),
        ("tags", &tags),
        ("labels", "one=1, 2\n\"two=a \"\"b\"\"\"\n"),
        ("build-args", "TEXT=a b,c=d"),
        ("platforms", "linux/amd64,linux/arm64"),
        ("provenance", "false"),
    ];
    let outcome = action.run("Build", &inputs).success();
    assert_eq!(outcome.stdout, "");
    let digest = action.outputs()["digest"].clone();
    let expected: Vec<(String, String)> =
        ["latest", "odd", "v1.2.0"].iter().map(|tag| (format!("org/api:{tag}"), digest.clone())).collect();
    assert_eq!(registry.standing().into_iter().collect::<Vec<_>>(), expected);
    // An index has no configuration of its own.
    assert_eq!(action.outputs()["imageid"], digest);
    let metadata: Value = serde_json::from_str(&action.outputs()["metadata"]).unwrap();
    assert_eq!(metadata["containerimage.digest"], digest);
    let labels = labels(&format!("{name}:latest"));
    assert_eq!(
        (&labels["one"], &labels["two"], &labels["text"]),
        (&"1, 2".into(), &"a \"b\"".into(), &"a b,c=d".into())
    );
    let summary = action.summary();
    for line in [
        format!("| digest | `{digest}` |"),
        format!("| name | `{name}:v1.2.0` |"),
        "| `linux/amd64` | 1.2 KiB |".to_owned(),
        "| `linux/arm64` | 1.2 KiB |".to_owned(),
    ] {
        assert!(summary.lines().any(|found| found == line), "{line} is not in {summary}");
    }
    assert_eq!(action.left(), ["output", "summary"]);
}

#[test]
fn commands_and_secrets_are_there() {
    let tools = ["busybox", "jq"];
    if !require_root() || !has_tools() || !tools.into_iter().all(require) {
        return;
    }
    let dockerfile = "FROM scratch\nCOPY busybox /bin/sh\nCOPY busybox /bin/cat\n\
        RUN --mount=type=secret,id=KEY --mount=type=secret,id=env --mount=type=secret,id=file \
        test \"$(cat /run/secrets/KEY /run/secrets/env /run/secrets/file)\" = \"$(printf 'line 1\\n\"line\" 2=3of variableof file')\"\n\
        RUN echo '| `x` <b>' && echo '::error::foreign'\n";
    let place = Tree::new().file("Dockerfile", dockerfile).file("secret,file", "of file").plant();
    install(run("sh", ["-c", "command -v busybox"]).trim().as_ref(), &place.path().join("busybox"));
    let action = Action::new(place).variable("TOKEN", "of variable");
    let inputs = [
        ("secrets", "\"KEY=line 1\n\"\"line\"\" 2=3\""),
        ("secret-envs", "env=TOKEN"),
        ("secret-files", "file=secret,file"),
        ("outputs", "type=oci,dest=image.tar"),
    ];
    let outcome = action.run("Build", &inputs).success();
    // What a command writes is no command to the runner.
    assert!(
        outcome.stderr.lines().any(|line| line.starts_with('#') && line.ends_with(" ::error::foreign")),
        "{outcome:#?}"
    );
    assert!(!outcome.stderr.lines().any(|line| line.trim_start().starts_with("::")), "{}", outcome.stderr);
    assert!(action.path().join("image.tar").exists());
    let outputs = action.outputs();
    let metadata: Value = serde_json::from_str(&outputs["metadata"]).unwrap();
    assert_eq!(outputs["imageid"], metadata["containerimage.config.digest"]);
    let summary = action.summary();
    let row = summary.lines().find(|line| line.contains("foreign")).unwrap();
    assert_eq!(row.matches('|').count(), 4, "{summary}");
    assert!(row.matches('`').count() == 4 && !row.contains('<'), "{summary}");
}

#[test]
fn whatever_an_input_holds_is_run_by_nobody() {
    if !has_tools() || !require("skopeo") {
        return;
    }
    let registry = DockerRegistry::open();
    let name = format!("{}/org/api:v1", registry.address());
    for hostile in HOSTILE {
        let action = Action::new(Tree::new().file("Dockerfile", DOCKERFILE).file("a", "x").plant());
        // With quotation marks around it, a record has several lines.
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let (label, argument) = (quoted(&format!("label={hostile}")), quoted(&format!("TEXT={hostile}")));
        let inputs = [("push", "true"), ("tags", &name), ("labels", &label), ("build-args", &argument)];
        action.run("Build", &inputs).success();
        let labels = labels(&name);
        assert_eq!((labels["label"].as_str(), labels["text"].as_str()), (Some(hostile), Some(hostile)));
        assert!(!is_owned(action.path()));
        // Where it means nothing it is an error, and not run either.
        for input in ["tags", "context", "file", "target", "platforms", "network", "call", "allow"] {
            let outcome = action.run("Build", &[(input, hostile)]);
            assert!(matches!(outcome.code, Some(1 | 2)), "{input}: {outcome:#?}");
            assert!(!is_owned(action.path()), "{input}");
            let commands = outcome.stderr.lines().filter(|line| line.trim_start().starts_with("::"));
            assert!(commands.count() <= 2, "{input}: {}", outcome.stderr);
        }
    }
}
