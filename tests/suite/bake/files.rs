//! Which files are read, and the variables that they are read with.

use serde_json::json;

use super::Case;

const TAGGED: &str = "target \"app\" {\n  tags = [TAG]\n}\nvariable \"TAG\" { default = \"usual\" }\n";

#[test]
fn files_are_found_by_their_names_and_laid_over_each_other() {
    let case = Case::new(&[
        ("compose.yaml", "services: {app: {build: {context: c, args: {a: compose}, tags: [compose]}}}"),
        ("docker-bake.json", r#"{"target": {"app": {"tags": ["json"], "args": {"b": "json"}}}}"#),
        ("docker-bake.hcl", "target \"app\" {\n  tags = [\"hcl\"]\n}\n"),
        ("docker-bake.override.hcl", "target \"app\" {\n  args = { c = \"override\" }\n}\n"),
    ]);
    let target = case.target(&["app"]);
    assert_eq!(target["tags"], json!(["hcl"]));
    assert_eq!(target["args"], json!({"a": "compose", "b": "json", "c": "override"}));
    assert_eq!(target["context"], "c");
    // Compose files come first, wherever they are named.
    let target = case.target(&["-f", "docker-bake.json", "-f", "compose.yaml", "app"]);
    assert_eq!(target["tags"], json!(["json"]));
    Case::new(&[]).run(&["--print"]).failure(1).says(&["couldn't find a bake definition", "docker-bake.hcl"]);
}

#[test]
fn a_variable_says_which_files_are_read() {
    let case = Case::new(&[
        ("one.hcl", "target \"default\" {\n  tags = [\"one\"]\n}\n"),
        ("two.hcl", "target \"default\" {\n  tags = [\"two\"]\n}\n"),
    ]);
    let case = case.variable("BUILDX_BAKE_FILE", "one.hcl:two.hcl");
    assert_eq!(case.target(&[])["tags"], json!(["two"]));
    assert_eq!(case.target(&["-f", "one.hcl"])["tags"], json!(["one"]));
    let case = case.variable("BUILDX_BAKE_FILE", "two.hcl | one.hcl").variable("BUILDX_BAKE_PATH_SEPARATOR", "|");
    assert_eq!(case.target(&[])["tags"], json!(["one"]));
    let case = case.variable("BUILDX_BAKE_FILE", "three.hcl");
    case.run(&["--print"]).failure(1).says(&["cannot open three.hcl"]);
}

#[test]
fn the_command_line_goes_before_the_environment_and_that_before_files_of_variables() {
    let case = Case::new(&[("docker-bake.hcl", TAGGED), ("own.env", "TAG=file\n")]);
    assert_eq!(case.target(&["app"])["tags"], json!(["usual"]));
    assert_eq!(case.target(&["app", "--env-file", "own.env"])["tags"], json!(["file"]));
    let case = case.variable("TAG", "environment");
    assert_eq!(case.target(&["app", "--env-file", "own.env"])["tags"], json!(["environment"]));
    assert_eq!(case.target(&["app", "--var", "TAG=command"])["tags"], json!(["command"]));
    let case = case.variable("BUILDX_BAKE_DISABLE_VARS_ENV_LOOKUP", "1");
    assert_eq!(case.target(&["app"])["tags"], json!(["usual"]));
    case.run(&["app", "--print", "--var", "TAG"]).failure(2).says(&["NAME=VALUE"]);
    case.run(&["app", "--print", "--var", "TAF=x"]).success().says(&["warning: --var TAF", "did you mean `TAG`"]);
}

#[test]
fn compose_files_have_the_variables_of_dot_env() {
    let case = Case::new(&[
        ("compose.yaml", "services: {app: {build: {context: '${WHERE}', args: [WHAT]}}}"),
        (".env", "WHERE=there\nWHAT=this\n"),
    ]);
    let target = case.target(&["app"]);
    assert_eq!((&target["context"], &target["args"]), (&json!("there"), &json!({"WHAT": "this"})));
}

#[test]
fn paths_are_relative_to_the_working_directory_or_if_that_is_asked_to_the_file() {
    let case = Case::new(&[
        (
            "build/docker-bake.hcl",
            "target \"app\" {\n  context = \"src\"\n  contexts = { lib = \"../lib\", own = \"cwd://x\" }\n}\ntarget \"other\" {}\n",
        ),
        ("build/compose.yaml", "services: {service: {build: s}}"),
    ]);
    let files = ["-f", "build/docker-bake.hcl", "-f", "build/compose.yaml", "*"];
    let printed = case.print(&files);
    assert_eq!(printed["target"]["app"]["context"], "src");
    assert_eq!(printed["target"]["service"]["context"], "s");
    let printed = case.variable("BUILDX_BAKE_FILE_RELATIVE_PATHS", "1").print(&files);
    assert_eq!(printed["target"]["app"]["context"], "build/src");
    assert_eq!(printed["target"]["app"]["contexts"], json!({"lib": "lib", "own": "cwd://x"}));
    assert_eq!(printed["target"]["other"]["context"], "build");
    assert_eq!(printed["target"]["service"]["context"], "build/s");
}

#[test]
fn the_time_of_the_environment_is_an_argument() {
    let case = Case::hcl("target \"a\" {}\ntarget \"b\" {\n  args = { SOURCE_DATE_EPOCH = \"7\" }\n}\n");
    let printed = case.variable("SOURCE_DATE_EPOCH", "1").print(&["a", "b"]);
    assert_eq!(printed["target"]["a"]["args"]["SOURCE_DATE_EPOCH"], "1");
    assert_eq!(printed["target"]["b"]["args"]["SOURCE_DATE_EPOCH"], "7");
}
