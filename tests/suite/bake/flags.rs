//! Flags: what is changed, pushed, listed and asked, also under docker's name.

use serde_json::{Value, json};

use super::Case;

const FILE: &str = r#"
variable "VERSION" {
  type        = string
  default     = "1.0"
  description = "What is released"
}
variable "PORTS" {
  type    = list(number)
  default = [80, 443]
}
variable "NONE" {
  type = bool
}
group "default" {
  targets = ["app", "db"]
}
target "app" {
  description = "The program"
  tags        = ["app:${VERSION}"]
}
target "db" {}
target "_base" {}
"#;

#[test]
fn what_flags_stand_for_is_said_of_all_targets() {
    let case = Case::hcl(FILE);
    let target = case.print(&["--push", "--no-cache", "--pull=false", "--sbom", "true"])["target"]["db"].clone();
    let expected = json!({
        "attest": [{"type": "sbom"}],
        "context": ".",
        "dockerfile": "Dockerfile",
        "no-cache": true,
        "output": [{"push": "true", "type": "image"}],
        "pull": false,
    });
    assert_eq!(target, expected);
    let outputs = case.target(&["db", "--push", "--load"])["output"].clone();
    assert_eq!(outputs, json!([{"push": "true", "type": "image"}, {"type": "docker"}]));
    assert_eq!(case.target(&["db", "--check"])["call"], "lint");
    assert_eq!(case.target(&["db", "--call", "outline"])["call"], "outline");
    assert_eq!(case.target(&["db", "--call", "build"])["call"], Value::Null);
}

#[test]
fn one_name_is_as_good_as_another() {
    let case = Case::hcl(FILE);
    for (one, other) in [
        ("app.tag=x", "app.tags=x"),
        ("app.arg.A=1", "app.args.A=1"),
        ("app.platform=linux/arm64", "app.platforms=linux/arm64"),
        ("app.label.a=b", "app.labels.a=b"),
        ("app.extra-host.h=1.1.1.1", "app.extra-hosts.h=1.1.1.1"),
        ("app.ulimit=nofile=5", "app.ulimits=nofile=5"),
        ("app.resource.memory=1g", "app.resources.memory=1g"),
        ("app.annotation=a=b", "app.annotations=a=b"),
        ("app.entitlement=network.host", "app.entitlements=network.host"),
    ] {
        assert_eq!(case.target(&["app", "--set", one]), case.target(&["app", "--set", other]), "{one}");
    }
    assert_eq!(case.target(&["app", "--set", "app.network=none"])["network"], "none");
    assert_eq!(case.target(&["app", "--set", "app.no-cache-filter=a"])["no-cache-filter"], json!(["a"]));
}

#[test]
fn the_source_of_a_secret_is_changed_that_a_file_declares() {
    let case = Case::hcl("target \"app\" {\n  secret = [\"id=token,env=HOME\"]\n}\n");
    let secrets = case.target(&["app", "--set", "app.secret.token=env=PATH"])["secret"].clone();
    assert_eq!(secrets, json!([{"id": "token", "env": "PATH"}]));
    case.run(&["app", "--print", "--set", "app.secret.tokem=env=PATH"]).failure(2).says(&["did you mean `token`"]);
}

#[test]
fn what_is_defined_is_listed() {
    let case = Case::hcl(FILE);
    let listed = case.run(&["--list", "targets"]).success().stdout;
    assert_eq!(listed, "TARGET\tDESCRIPTION\napp\tThe program\ndb\t\ndefault\tapp, db\n");
    let listed = case.run(&["--list", "variables"]).success().stdout;
    let expected = "VARIABLE\tTYPE\t\tVALUE\t\tDESCRIPTION\nNONE\t\tbool\t\t<null>\t\t\nPORTS\t\tlist of number\t[80,443]\t\nVERSION\t\tstring\t\t1.0\t\tWhat is released\n";
    assert_eq!(listed, expected);
    let listed = case.run(&["--list=type=targets,format=json"]).success().stdout;
    let expected = json!([
        {"name": "app", "description": "The program"},
        {"name": "db"},
        {"name": "default", "description": "app, db", "group": true},
    ]);
    assert_eq!(serde_json::from_str::<Value>(&listed).unwrap(), expected);
    let listed = case.run(&["--list=type=variables,format=json"]).success().stdout;
    let expected = json!([
        {"name": "NONE", "type": "bool"},
        {"name": "PORTS", "type": "list of number", "value": "[80,443]"},
        {"name": "VERSION", "description": "What is released", "type": "string", "value": "1.0"},
    ]);
    assert_eq!(serde_json::from_str::<Value>(&listed).unwrap(), expected);
    case.run(&["--list", "target"]).failure(2).says(&["--list"]);
    case.run(&["--list", "targets", "--print"]).failure(2).says(&["mutually exclusive"]);
}

#[test]
fn text_that_html_or_a_template_could_take_is_escaped() {
    let text = "target \"a\" {\n  dockerfile-inline = \"RUN a < b && c > d $${X} %%{Y}\"\n}\n";
    let printed = Case::hcl(text).run(&["a", "--print"]).success().stdout;
    let line = printed.lines().find(|line| line.contains("RUN")).unwrap();
    assert_eq!(line.trim(), r#""dockerfile-inline": "RUN a \u003c b \u0026\u0026 c \u003e d $${X} %%{Y}""#);
}

#[test]
fn docker_has_the_command_too() {
    let case = Case::hcl(FILE);
    let own = case.run(&["--print"]).success().stdout;
    for words in [&["docker", "buildx", "bake"][..], &["docker", "buildx", "f"], &["docker", "bake"]] {
        let printed = case.program().run([words, &["--print"]].concat()).success();
        assert_eq!(printed.stdout, own, "{words:?}");
    }
    let outcome = case.program().run(["docker", "buildx", "bake", "--allow", "nothing", "--print"]);
    outcome.failure(1).says(&["--allow nothing"]);
}

#[test]
fn a_function_that_answers_otherwise_each_time_is_a_warning() {
    let case = Case::hcl("target \"a\" {\n  tags = [\"a:${formatdate(\"YYYY\", timestamp())}\"]\n}\n");
    case.run(&["a", "--print"]).success().says(&["warning: timestamp() answers differently each time"]);
}
