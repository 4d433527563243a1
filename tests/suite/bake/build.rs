//! Targets that are built: what is run for them, what they stand on, and where they go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use super::Case;
use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::{FakeRegistry, Reply, Request};
use crate::support::program::Program;
use crate::support::targets::{BASE, COUNTED, counts, events, with_shell};
use crate::support::tool::require;

fn inspect(program: &Program, format: &str, image: &str) -> String {
    program.run(["docker", "inspect", "--format", format, image]).success().stdout.trim().to_owned()
}

/// The lines of a Dockerfile that a definition has, as HCL.
fn inline(lines: &str) -> String {
    format!("dockerfile-inline = <<EOT\n{lines}\nEOT\n")
}

#[test]
fn eight_targets_of_one_context_run_a_command_once() {
    if !require("busybox") {
        return;
    }
    let hcl = format!(
        "target \"default\" {{
  name = \"service-${{n}}\"
  matrix = {{ n = [1, 2, 3, 4, 5, 6, 7, 8] }}
  target = \"s${{n}}\"
  tags = [\"team/service-${{n}}:1\"]
  {}}}",
        inline(&format!(
            "FROM {BASE} AS common\nCOPY requirements.txt /\n{COUNTED}\n{}",
            (1..=8).map(|n| format!("FROM common AS s{n}\nLABEL number={n}\n")).collect::<String>()
        ))
    );
    let case = Case::new(&[("docker-bake.hcl", &hcl), ("requirements.txt", "the same")]);
    let program = case.program();
    with_shell(&program);
    let outcome = program.run(["bake", "--progress", "json", "--metadata-file", "meta.json"]).success();
    assert_eq!(outcome.stdout, "");
    let told: String = events(&outcome, "command-output").iter().filter_map(|event| event["text"].as_str()).collect();
    assert_eq!(told, "ran 1\n");
    let counted = counts(&outcome);
    assert_eq!(counted.len(), 8);
    assert_eq!(counted.iter().map(|(_, run, _)| run).sum::<u64>(), 2, "a copy and a command: {counted:?}");
    for number in 1..=8 {
        let label = inspect(&program, "{{.Config.Labels.number}}", &format!("team/service-{number}:1"));
        assert_eq!(label, number.to_string());
    }
    let meta: Value = serde_json::from_str(&std::fs::read_to_string(case.path().join("meta.json")).unwrap()).unwrap();
    assert_eq!(meta.as_object().unwrap().len(), 8);
    let digest = inspect(&program, "{{.Id}}", "team/service-3:1");
    let known = &meta["service-3"];
    assert!([&known["containerimage.digest"], &known["containerimage.config.digest"]].contains(&&Value::from(digest)));
    assert_eq!(known["image.name"], "docker.io/team/service-3:1");
}

#[test]
fn a_target_stands_on_another_which_goes_nowhere() {
    let case = Case::new(&[
        (
            "docker-bake.hcl",
            r#"
target "default" {
  context = "app"
  contexts = { lib = "target:lib", files = "files" }
  args = { N = "1", NOT_SET = null }
  labels = { "of" = "a,b=\"c\"" }
  annotations = ["manifest:x.y=z"]
  tags = ["app:1", "app:2"]
  output = ["type=oci,dest=app.tar", "type=image"]
}
target "lib" {
  context = "lib"
  tags = ["lib:1"]
}
"#,
        ),
        ("app/Dockerfile", "FROM lib\nARG N\nCOPY --from=files file /$N\n"),
        ("files/file", "of files"),
        ("lib/Dockerfile", "FROM scratch\nENV OF=lib\n"),
    ]);
    let program = case.program();
    program.run(["bake"]).success();
    assert_eq!(inspect(&program, "{{.Config.Labels.of}}", "app:1"), "a,b=\"c\"");
    assert!(inspect(&program, "{{json .Config.Env}}", "app:2").contains("OF=lib"));
    program.run(["docker", "inspect", "lib:1"]).failure_with_result(1);
    assert!(case.path().join("app.tar").exists());
    let files = program.run(["ls", "app:1"]).success().stdout;
    assert!(files.lines().any(|line| line.ends_with("/1") || line.ends_with(" 1") || line == "1"), "{files}");
}

#[test]
fn a_target_that_fails_is_named() {
    if !require("busybox") {
        return;
    }
    let hcl = format!(
        "group \"default\" {{ targets = [\"fine\", \"above\"] }}
target \"fine\" {{\n{}tags = [\"fine\"]\n}}
target \"above\" {{\ncontexts = {{ below = \"target:below\" }}\n{}tags = [\"above\"]\n}}
target \"below\" {{\n{}}}",
        inline("FROM scratch\nLABEL a=b"),
        inline("FROM below\nLABEL a=b"),
        inline(&format!("FROM {BASE}\nRUN false"))
    );
    let case = Case::hcl(&hcl);
    let program = case.program();
    with_shell(&program);
    program.run(["bake"]).failure(1).says(&["target below: the command", "exit code 1", "RUN false"]);
    // All or nothing.
    program.run(["docker", "inspect", "fine"]).failure_with_result(1);
    program.run(["bake", "fine"]).success();
}

/// Two targets, one of which has tags.
fn system() -> Case {
    let hcl = format!(
        "group \"default\" {{ targets = [\"api\", \"web\"] }}
target \"lib\" {{\n{}}}
target \"api\" {{\ncontexts = {{ lib = \"target:lib\" }}\ntags = [\"team/system-api:dev\"]\n{}}}
target \"web\" {{\ncontexts = {{ lib = \"target:lib\" }}\n{}}}",
        inline("FROM scratch\nCOPY docker-bake.hcl /lib"),
        inline("FROM lib\nARG VERSION\nLABEL of=api version=$VERSION"),
        inline("FROM lib\nLABEL of=web"),
    );
    Case::hcl(&hcl)
}

#[test]
fn a_system_is_released_under_all_tags_of_one_version() {
    if !require("docker-registry") {
        return;
    }
    let (case, registry) = (system(), DockerRegistry::open());
    let program = case.program();
    let place = format!("{}/team", registry.address());
    let flags = ["--registry", &place, "--push", "--metadata-file", "meta.json", "--image-refs", "refs"];
    let first = program.run([&["bake", "--tag", "v1.2.0"], &flags[..]].concat()).success();
    let lines: Vec<&str> = first.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with(&format!("{place}/system-api:v1.2.0@sha256:")), "{lines:?}");
    assert!(lines[1].starts_with(&format!("{place}/web:v1.2.0@sha256:")), "{lines:?}");
    let refs = std::fs::read_to_string(case.path().join("refs")).unwrap();
    let digests: String = lines.iter().map(|line| format!("{}\n", line.replace(":v1.2.0@", "@"))).collect();
    assert_eq!(refs, digests);
    let of = |name: &str, tag: &str| {
        let outcome = program.run(["inspect", &format!("{place}/{name}:{tag}"), "--json"]);
        (outcome.code == Some(0)).then_some(outcome.stdout)
    };
    for name in ["system-api", "web"] {
        for tag in ["v1.2.0", "1.2.0", "1.2", "1", "latest"] {
            assert!(of(name, tag).is_some(), "{name}:{tag}");
        }
    }
    assert!(!registry.has_seen("team/lib"));
    // What would become of it, and nothing more.
    let next = program.run(["bake", "--tag", "v1.3.0", "--registry", &place, "--dry-run"]).success().stdout;
    assert!(next.contains("web:latest") && next.contains("moves from"), "{next}");
    assert_eq!(of("web", "v1.3.0"), None);
    // The next release, and back.
    program.run([&["bake", "--tag", "v1.3.0", "--set", "*.labels.new=yes"], &flags[..]].concat()).success();
    let back = program.run(["tags", "--rollback", "meta.json"]).success().stdout;
    for name in ["system-api", "web"] {
        assert!(back.contains(&format!("{place}/{name}:latest")), "{back}");
    }
    let is_new = |tag: &str| of("web", tag).unwrap().contains("\"new\"");
    assert!(is_new("v1.3.0") && !is_new("latest") && !is_new("1"));
    // The tag alone.
    let alone = ["bake", "web", "--tag", "v2.0.0", "--no-fan-out", "--registry", &place, "--push"];
    program.run(alone).success();
    assert!(of("web", "v2.0.0").is_some() && of("web", "2").is_none());
    assert_eq!(of("web", "v2.0.0").is_some(), of("system-api", "v2.0.0").is_none());
}

fn is_tag(request: &Request) -> bool {
    request.method == "PUT" && request.path.contains("/manifests/") && !request.path.contains("sha256:")
}

#[test]
fn no_tag_of_a_release_is_set_where_one_image_is_refused() {
    let is_failing = Arc::new(AtomicBool::new(true));
    let failing = is_failing.clone();
    let registry = FakeRegistry::scripted(move |request| {
        let is_refused = failing.load(Ordering::Relaxed)
            && request.method != "GET"
            && request.path.contains("team/web/blobs/uploads");
        is_refused.then(|| Reply::refusal(403, "DENIED", "not here"))
    });
    let case = system();
    let place = format!("{}/team", registry.address());
    let release = ["--tag", "v1.0.0", "--registry", &place, "--push"];
    case.run(&release).failure(1).says(&["team/web"]);
    assert!(!registry.requests().iter().any(is_tag));
    is_failing.store(false, Ordering::Relaxed);
    case.run(&release).success();
    assert_eq!(registry.requests().iter().filter(|request| is_tag(request)).count(), 10);
    // What stands there stays, if that is asked for.
    let immutable = [&release[..], &["--immutable", "--set", "api.labels.other=yes"]].concat();
    case.run(&immutable).failure(1).says(&["system-api:v1.0.0"]);
    assert_eq!(registry.requests().iter().filter(|request| is_tag(request)).count(), 10);
}

#[test]
fn tags_of_targets_are_pushed_as_buildx_does() {
    let registry = FakeRegistry::new();
    let address = registry.address();
    let hcl = format!(
        "group \"default\" {{ targets = [\"one\", \"two\", \"files\"] }}
target \"one\" {{\n{0}tags = [\"{address}/a/one:1\", \"{address}/a/one:2\"]\n}}
target \"two\" {{\n{0}tags = [\"{address}/a/two\"]\noutput = [\"type=registry\"]\n}}
target \"files\" {{\n{0}tags = [\"{address}/a/files\"]\noutput = [\"out\"]\n}}",
        inline("FROM scratch\nCOPY docker-bake.hcl /file")
    );
    let case = Case::hcl(&hcl);
    let program = case.program();
    program.run(["docker", "buildx", "bake", "--push"]).success();
    let has = |name: &str| registry.manifest(name).is_some();
    assert!(has("a/one/1") && has("a/one/2") && has("a/two/latest") && !has("a/files/latest"));
    assert!(case.path().join("out/file").exists());
}

#[test]
fn of_two_targets_with_one_name_the_last_gets_it_and_a_release_has_none_such() {
    let target = |name: &str| {
        format!("target \"{name}\" {{\n{}tags = [\"same\"]\n}}\n", inline(&format!("FROM scratch\nLABEL of={name}")))
    };
    let case = Case::hcl(&format!("{}{}group \"default\" {{ targets = [\"b\", \"a\"] }}", target("b"), target("a")));
    let program = case.program();
    program.run(["bake"]).success().says(&["a and b are both named same:latest, which will be the image of b"]);
    assert_eq!(inspect(&program, "{{.Config.Labels.of}}", "same"), "b");
    let outcome = program.run(["bake", "--tag", "v1", "--push"]).failure(1);
    outcome.says(&["the targets a and b would both be", "same:v1"]);
}

#[test]
fn all_images_go_into_one_archive() {
    let case = system();
    let program = case.program();
    program.run(["bake", "--tag", "v1.0.0", "-o", "system.tar"]).success();
    let archive = format!("oci-archive:{}", case.path().join("system.tar").display());
    let other = Program::new();
    other.run(["load", "-i", archive.trim_start_matches("oci-archive:")]).success();
    for (name, of) in [("team/system-api:v1.0.0", "api"), ("web:v1.0.0", "web")] {
        assert_eq!(inspect(&other, "{{.Config.Labels.of}}", name), of);
    }
}

#[test]
fn what_is_beyond_the_working_directory_is_to_be_allowed() {
    let case = Case::new(&[
        (
            "work/docker-bake.hcl",
            "target \"default\" {\ncontext = \"../other\"\ntags = [\"a\"]\n}\ntarget \"out\" {\ntags = [\"a\"]\noutput = [\"type=oci,dest=../out.tar\"]\n}\ntarget \"net\" { network = \"host\" }\ntarget \"unsafe\" { entitlements = [\"security.insecure\"] }\ntarget \"link\" { context = \"link\" }\ntarget \"cache\" {\ncache-from = [\"type=local,src=../from\"]\ncache-to = [\"type=local,dest=../to\"]\n}",
        ),
        ("work/Dockerfile", "FROM scratch\nCOPY docker-bake.hcl /\n"),
        ("other/Dockerfile", "FROM scratch\nCOPY Dockerfile /\n"),
    ]);
    std::os::unix::fs::symlink("../other", case.path().join("work/link")).unwrap();
    let run =
        |arguments: &[&str]| case.program().directory(case.path().join("work")).run([&["bake"], arguments].concat());
    run(&[]).failure(1).says(&["not allowed: to read ../other", "--allow=fs.read=../other"]);
    run(&["--allow", "fs.read=../other"]).success();
    run(&["link"]).failure(1).says(&["--allow=fs.read=../other"]);
    run(&["out"]).failure(1).says(&["to write ../out.tar", "--allow=fs.write=../out.tar"]);
    assert!(!case.path().join("out.tar").exists());
    let cache = ["--allow=fs.read=../from", "--allow=fs.write=../to"];
    run(&["cache"]).failure(1).says(&["to read ../from", "to write ../to", cache[0], cache[1]]);
    assert!(!case.path().join("to").exists());
    run(&["cache", cache[0], cache[1]]).success();
    assert!(case.path().join("to/steps").is_dir());
    run(&["out", "--allow=fs=.."]).success();
    run(&["net"]).failure(1).says(&["--allow=network.host"]);
    run(&["unsafe", "--allow=network.host"]).failure(1).says(&["--allow=security.insecure"]);
    let off = case.program().directory(case.path().join("work")).environment("BUILDX_BAKE_ENTITLEMENTS_FS", "0");
    off.run(["bake"]).success();
}

#[test]
fn dockerfiles_are_asked_about_in_the_place_of_builds() {
    let case = Case::new(&[
        (
            "docker-bake.hcl",
            "group \"default\" { targets = [\"good\", \"bad\"] }\ntarget \"good\" { description = \"all is well\" }\ntarget \"bad\" { dockerfile = \"bad\" }",
        ),
        ("Dockerfile", "FROM scratch AS first\nCOPY bad /\n"),
        ("bad", "FROM scratch as first\nCOPY bad /\n"),
    ]);
    let outcome = case.run(&["--check"]).failure_with_result(1);
    assert!(outcome.stdout.contains("good\nall is well\n\nno warnings\n"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("FromAsCasing"), "{}", outcome.stdout);
    outcome.says(&["the checks failed for bad"]);
    let json = case.run(&["--call=check,format=json"]).failure_with_result(1).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["group"]["default"]["targets"], serde_json::json!(["bad", "good"]));
    assert_eq!(json["target"]["bad"]["warnings"][0]["ruleName"], "FromAsCasing");
    let targets: Value = serde_json::from_str(&case.run(&["--call=targets,format=json"]).success().stdout).unwrap();
    assert_eq!(targets["target"]["good"]["targets"][0]["name"], "first");
}

#[test]
fn secrets_come_from_files_of_variables_too() {
    if !require("busybox") {
        return;
    }
    let hcl = format!(
        "target \"default\" {{\nsecret = [\"id=token,env=TOKEN\"]\ntags = [\"secret\"]\n{}}}",
        inline(&format!("FROM {BASE}\nRUN --mount=type=secret,id=token test \"$(cat /run/secrets/token)\" = hidden"))
    );
    let case = Case::new(&[("docker-bake.hcl", &hcl), ("variables", "TOKEN=hidden\n")]);
    let program = case.program();
    with_shell(&program);
    program.run(["bake", "--env-file", "variables"]).success();
}

#[test]
fn what_is_not_done_is_refused_and_what_changes_nothing_is_told() {
    let target = |key: &str| {
        Case::new(&[
            ("docker-bake.hcl", &format!("target \"default\" {{\n{key}\n}}")),
            ("Dockerfile", "FROM scratch\nLABEL a=b\n"),
        ])
    };
    target("attest = [\"type=sbom\"]")
        .run(&[])
        .failure(1)
        .says(&["target default: `attest`: ocibake does not write an SBOM", "--sbom=false"]);
    target("attest = [\"type=sbom\"]\ntags = [\"a\"]").run(&["--sbom=false"]).success();
    target("output = [\"type=floppy\"]").run(&[]).failure(1).says(&["target default: `output`:"]);
    target("network = \"moon\"").run(&[]).failure(1).says(&["target default: `network`:"]);
    target("cache-to = [\"type=gha\"]\ntags = [\"a\"]").run(&[]).success();
    target("").run(&[]).success().says(&["the image of the target default has no name and no output"]);
    target("context = \"nowhere\"").run(&[]).failure(1).says(&["there is no context nowhere"]);
    for tag in ["a:b", "a/b", "", "-x", "\u{1b}[31m"] {
        let refused = target("").run(&["--tag", tag, "--push"]);
        assert!(refused.code != Some(0) && !refused.stderr.contains("\u{1b}["), "{tag:?}: {refused:?}");
    }
    target("").run(&["--registry", "a.example"]).failure(2);
}

#[test]
fn services_hand_their_health_checks_on_if_that_is_asked_for() {
    let file = "services:\n  a:\n    image: a\n    build: .\n    healthcheck: {test: [CMD, c], retries: 3}\n";
    let override_file = "target \"a\" {\n  tags = [\"a\"]\n}\n";
    let dockerfile = "FROM scratch\nCOPY f /\nHEALTHCHECK CMD own\n";
    let files = [("compose.yaml", file), ("docker-bake.hcl", override_file), ("Dockerfile", dockerfile), ("f", "1")];
    let case = Case::new(&files);
    let program = case.program();
    for (flags, expected) in [
        (&[][..], serde_json::json!({"Test": ["CMD-SHELL", "own"]})),
        (&["--bake-healthchecks"], serde_json::json!({"Test": ["CMD", "c"], "Retries": 3})),
    ] {
        program.run([&["bake"], flags].concat()).success();
        let healthcheck: Value = serde_json::from_str(&inspect(&program, "{{json .Config.Healthcheck}}", "a")).unwrap();
        assert_eq!(healthcheck, expected);
    }
}
