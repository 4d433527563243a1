//! Which files are read: by name, one laid over the other, included, extended; and which services are on.

use serde_json::json;

use super::Case;

const SERVICE: &str = "services: {a: {image: x}}";

#[test]
fn files_are_found_by_their_names() {
    for (files, arguments, image) in [
        (
            &[("docker-compose.yaml", "d"), ("docker-compose.yml", "c"), ("compose.yml", "b"), ("compose.yaml", "a")][..],
            &[][..],
            "a",
        ),
        (&[("docker-compose.yaml", "d"), ("docker-compose.yml", "c")], &[], "c"),
        (&[("docker-compose.yml", "c"), ("docker-compose.override.yml", "o")], &[], "o"),
        (&[("compose.yaml", "a"), ("compose.override.yaml", "o")], &["-f", "compose.yaml"], "a"),
        (&[("one.yaml", "first"), ("two.yaml", "second")], &["-f", "one.yaml", "-f", "two.yaml"], "second"),
        (&[("sub/compose.yaml", "s")], &["--project-directory", "sub"], "s"),
    ] {
        let texts: Vec<(&str, String)> =
            files.iter().map(|(name, image)| (*name, format!("services: {{a: {{image: {image}}}}}"))).collect();
        let texts: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
        assert_eq!(Case::new(&texts).config(arguments)["services"]["a"]["image"], image, "{files:?}");
    }
    let case = Case::new(&[("one.yaml", SERVICE), ("two.yaml", "services: {a: {image: y}}")]);
    case.run(&["config"]).failure(1).says(&["there is no compose file in", "compose.yaml, compose.yml"]);
    let case = case.variable("COMPOSE_FILE", "one.yaml:two.yaml");
    assert_eq!(case.service("a")["image"], "y");
    let case = case.variable("COMPOSE_FILE", "one.yaml|two.yaml").variable("COMPOSE_PATH_SEPARATOR", "|");
    assert_eq!(case.service("a")["image"], "y");
}

#[test]
fn a_file_above_is_found_and_paths_are_relative_to_it() {
    let case = Case::new(&[
        ("compose.yaml", "services: {a: {build: x, image: '${V}'}}"),
        (".env", "V=v"),
        ("sub/deep/file", ""),
    ]);
    let outcome = case.program().directory(case.path().join("sub/deep")).run(["compose", "config"]).success();
    let context = format!("context: {}/x\n", case.path().display());
    assert!(outcome.stdout.contains(&context) && outcome.stdout.contains("image: v\n"), "{}", outcome.stdout);
}

#[test]
fn profiles_turn_services_on() {
    let case = Case::of(
        "services:
  a: {image: x, depends_on: {b: {condition: service_started, required: false}}}
  b: {image: x, profiles: [one]}
  c: {image: x, profiles: [two, three]}
",
    );
    let services = |arguments: &[&str]| case.run(&[arguments, &["config", "--services"]].concat()).success().stdout;
    assert_eq!(services(&[]), "a\n");
    assert_eq!(services(&["--profile", "one"]), "b\na\n");
    assert_eq!(services(&["--profile", "*"]), "b\na\nc\n");
    assert_eq!(case.run(&["config", "--profiles"]).success().stdout, "one\nthree\ntwo\n");
    let case = case.variable("COMPOSE_PROFILES", "three,none");
    assert_eq!(case.run(&["config", "--services"]).success().stdout, "a\nc\n");
}

#[test]
fn services_extend_others_of_this_file_and_of_another() {
    let case = Case::new(&[
        (
            "compose.yaml",
            "
services:
  base: {image: x, environment: {A: '1', B: '1'}, command: one, ports: ['1:1']}
  a: {extends: base, environment: [B=2], command: two, ports: ['2:2']}
  b: {extends: {service: other, file: sub/other.yaml}, environment: {C: own}}
  c: {extends: {service: a}, labels: {l: 1}, ports: !reset []}
",
        ),
        (
            "sub/other.yaml",
            "
services:
  first: {build: ./dir, env_file: [vars.env], environment: {C: first, D: first}}
  other: {extends: first, volumes: ['./data:/data']}
",
        ),
        ("sub/vars.env", "E=file\n"),
    ]);
    let whole = case.config(&[]);
    let service = |name: &str| whole["services"][name].clone();
    assert_eq!(service("a")["environment"], json!({"A": "1", "B": "2"}));
    assert_eq!(service("a")["command"], json!(["two"]));
    assert_eq!(service("a")["ports"].as_array().unwrap().len(), 2);
    assert_eq!(service("b")["build"]["context"], "/P/sub/dir");
    assert_eq!(service("b")["environment"], json!({"C": "own", "D": "first", "E": "file"}));
    assert_eq!(service("b")["volumes"][0]["source"], "/P/sub/data");
    assert_eq!((service("c")["ports"].clone(), service("c")["image"].clone()), (json!(null), json!("x")));
    let case = Case::of("services:\n  web: {image: x}\n  a: {extends: webb}\n");
    case.run(&["config"]).failure(1).says(&[
        "there is no service `webb` to extend",
        "did you mean `web`?",
        "compose.yaml:3:16",
    ]);
}

#[test]
fn projects_include_others_with_their_own_directory_and_variables() {
    let case = Case::new(&[
        (
            "compose.yaml",
            "
include:
  - sub/compose.yaml
  - {path: [two/a.yaml, two/b.yaml], project_directory: two/dir, env_file: two/vars}
services:
  a: {image: x, depends_on: [b]}
  e: {extends: b, image: e}
",
        ),
        ("sub/compose.yaml", "services: {b: {build: ., image: '${WHERE}-$$x'}}\nvolumes: {v: {}}\n"),
        ("sub/.env", "WHERE=sub\n"),
        ("two/a.yaml", "services: {c: {build: x, image: '${WHERE}', labels: {a: 1}}}\n"),
        ("two/b.yaml", "services: {c: {labels: {b: 2}}}\n"),
        ("two/vars", "WHERE=two\n"),
    ]);
    let whole = case.config(&[]);
    let service = |name: &str| whole["services"][name].clone();
    assert_eq!((&service("b")["build"]["context"], &service("b")["image"]), (&json!("/P/sub"), &json!("sub-$$x")));
    assert_eq!((&service("c")["build"]["context"], &service("c")["image"]), (&json!("/P/two/dir/x"), &json!("two")));
    assert_eq!(service("c")["labels"], json!({"a": "1", "b": "2"}));
    assert_eq!(service("e")["build"]["context"], "/P/sub");
    let case = case.variable("WHERE", "environment");
    assert_eq!(case.service("b")["image"], "environment-$$x");
    let case = Case::new(&[
        ("compose.yaml", "include: [b.yaml]\nservices: {a: {image: x}}\n"),
        ("b.yaml", "services: {a: {image: y}}\n"),
    ]);
    case.run(&["config"])
        .failure(1)
        .says(&["services.a already exists, and differs from what is included", "compose.yaml:2:12"]);
    let case = Case::of("include: [none.yaml]\n");
    case.run(&["config"]).failure(1).says(&["there is no file", "none.yaml", "compose.yaml:1:11"]);
}

#[test]
fn a_file_may_come_on_standard_input() {
    let case = Case::new(&[("Dockerfile", "FROM scratch\nCOPY f /\n"), ("f", "1")]);
    let mut command = case.program().command(["compose", "-f", "-", "build", "-q"]);
    let mut child = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"services: {a: {build: .}}\n").unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn questions_have_short_answers() {
    let case = Case::of(
        "services: {a: {image: 'x:${T:-1}', volumes: ['vol:/v']}, b: {build: ., depends_on: [a]}}\nvolumes: {vol: {}, w: {}}\nx-own: $${N}${M:?no}\n",
    )
    .variable("M", "m");
    let answer = |arguments: &[&str]| case.run(&[&["config"], arguments].concat()).success().stdout;
    assert_eq!(answer(&["--services"]), "a\nb\n");
    assert_eq!(answer(&["--images"]), "x:1\nproject-b\n");
    assert_eq!(answer(&["--volumes"]), "vol\n");
    assert_eq!(answer(&["-q"]), "");
    assert!(answer(&["--environment"]).contains("M=m\n"));
    let variables = answer(&["--variables"]);
    let lines: Vec<Vec<&str>> = variables.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines, [vec!["M", "true"], vec!["T", "false", "1"]]);
    assert!(answer(&["--no-interpolate"]).contains("image: x:${T:-1}\n"));
    let one = answer(&["--hash", "a"]);
    assert!(one.starts_with("a ") && one.len() == 67 && answer(&["--hash", "*"]).starts_with(&one), "{one}");
    answer(&["-o", "out.yaml"]);
    let again = case.run(&["-f", "out.yaml", "config"]).success().stdout;
    assert_eq!(again, answer(&[]));
    assert_eq!(
        again.replace(case.path().to_str().unwrap(), "/P"),
        "name: project
services:
  a:
    image: x:1
    networks:
      default: null
    volumes:
      - type: volume
        source: vol
        target: /v
        volume: {}
  b:
    build:
      context: /P
      dockerfile: Dockerfile
    depends_on:
      a:
        condition: service_started
        required: true
    networks:
      default: null
networks:
  default:
    name: project_default
volumes:
  vol:
    name: project_vol
x-own: $${N}m
"
    );
}
