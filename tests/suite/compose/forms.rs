//! Each phase of reading: YAML, variables, short forms, and what is left unsaid.

use serde_json::json;

use super::Case;

#[test]
fn words_are_what_they_are_in_go() {
    let case = Case::of(
        "services:\n  a:\n    image: x\n    environment: {A: yes, B: on, C: 0755, D: 0x1F, E: 1_000, F: 3.10, G: 2024-01-01, H: ~, I: true, J: 1e3, K: !!str 5, L: '', M: 22:22}\n",
    );
    let expected = json!({
        "A": "yes", "B": "on", "C": "493", "D": "31", "E": "1000", "F": "3.1", "G": "2024-01-01", "H": null, "I": "true",
        "J": "1000", "K": "5", "L": "", "M": "22:22",
    });
    assert_eq!(case.service("a")["environment"], expected);
}

#[test]
fn anchors_and_merge_keys_are_followed() {
    let case = Case::of(
        "
x-one: &one {A: '1', B: '1'}
x-two: &two {B: '2', C: '2'}
x-image: &image alpine
services:
  a:
    image: *image
    environment:
      <<: [*one, *two]
      D: '4'
  b:
    image: *image
    environment: &own
      <<: *two
      C: own
    labels: *own
",
    );
    assert_eq!(case.service("a")["environment"], json!({"A": "1", "B": "1", "C": "2", "D": "4"}));
    assert_eq!(case.service("b")["labels"], json!({"B": "2", "C": "own"}));
}

#[test]
fn variables_come_from_the_environment_before_files() {
    let file = "
services:
  a:
    image: x:${TAG}
    command: echo $$HOME ${UNSET:-${OTHER:-default}} ${TAG:+set} ${EMPTY-kept}
    labels: {a: '${A}', b: \"${B}\"}
    deploy: {replicas: '${N:-2}'}
";
    let case = Case::new(&[
        ("compose.yaml", file),
        (".env", "TAG=file\nA='$B literal'\nexport B=\"two ${TAG} \\$x\" # comment\nEMPTY=\n"),
        ("other.env", "TAG=other\nN=3\n"),
    ]);
    let service = case.service("a");
    assert_eq!(service["image"], "x:file");
    assert_eq!(service["command"], json!(["echo", "$$HOME", "default", "set"]));
    assert_eq!(service["labels"], json!({"a": "$$B literal", "b": "two file $$x"}));
    assert_eq!(service["deploy"]["replicas"], 2);
    let case = case.variable("TAG", "environment");
    assert_eq!(case.service("a")["image"], "x:environment");
    let outcome = case.run(&["--env-file", "other.env", "config", "--format", "json"]).success();
    assert!(
        outcome.stdout.contains("x:environment") && outcome.stdout.contains("\"replicas\": 3"),
        "{}",
        outcome.stdout
    );
    assert_eq!(outcome.stderr.matches("The \"A\" variable is not set. Defaulting to a blank string.").count(), 1);
    case.run(&["--env-file", "none.env", "config"]).failure(1).says(&["there is no file of variables none.env"]);
}

#[test]
fn a_variable_that_has_to_be_there_is_missed() {
    let case = Case::of("services:\n  a:\n    image: x:${TAG:?set TAG}\n");
    case.run(&["config"]).failure(1).says(&[
        "required variable TAG is missing a value: set TAG",
        "--> compose.yaml:3:12",
        "3 |     image: x:${TAG:?set TAG}",
        "  |            ^^^^^^^^^^^^^^^^^",
    ]);
}

#[test]
fn short_forms_become_long_ones() {
    let case = Case::of(
        "
services:
  a:
    image: x
    command: run 'two words' --flag=\"x y\"
    depends_on: [b]
    networks: [back]
    ports: ['8080:80', '127.0.0.1:9000-9001:90-91/udp', 70, {target: 60, published: 6000}]
    volumes: ['./src:/src:ro', 'data:/data', '/anonymous']
    secrets: [token]
    env_file: .one
    extra_hosts: {one: 10.0.0.1}
    healthcheck: {test: curl -f localhost, interval: 90s}
    ulimits: {nofile: 1024, nproc: {soft: 1, hard: 2}}
    mem_limit: 64m
    tmpfs: /tmp
  b: {image: y}
networks: {back: }
volumes: {data: }
secrets: {token: {file: ./token}}
",
    );
    std::fs::write(case.path().join(".one"), "ONE=1\n").unwrap();
    let whole = case.config(&[]);
    let service = &whole["services"]["a"];
    assert_eq!(service["command"], json!(["run", "two words", "--flag=x y"]));
    assert_eq!(service["depends_on"], json!({"b": {"condition": "service_started", "required": true}}));
    assert_eq!(service["networks"], json!({"back": null}));
    let port = |target: u16, published: &str| json!({"mode": "ingress", "target": target, "published": published, "protocol": "tcp"});
    let udp = |target: u16, published: &str| json!({"mode": "ingress", "host_ip": "127.0.0.1", "target": target, "published": published, "protocol": "udp"});
    assert_eq!(
        service["ports"],
        json!([
            port(80, "8080"),
            udp(90, "9000"),
            udp(91, "9001"),
            {"mode": "ingress", "target": 70, "protocol": "tcp"},
            port(60, "6000"),
        ])
    );
    assert_eq!(
        service["volumes"],
        json!([
            {"type": "bind", "source": "/P/src", "target": "/src", "read_only": true, "bind": {"create_host_path": true}},
            {"type": "volume", "source": "data", "target": "/data", "volume": {}},
            {"type": "volume", "target": "/anonymous", "volume": {}},
        ])
    );
    assert_eq!(service["secrets"], json!([{"source": "token", "target": "/run/secrets/token"}]));
    assert_eq!(service["environment"], json!({"ONE": "1"}));
    assert_eq!(service["env_file"], json!(null));
    assert_eq!(service["extra_hosts"], json!(["one=10.0.0.1"]));
    assert_eq!(service["healthcheck"], json!({"test": ["CMD-SHELL", "curl -f localhost"], "interval": "1m30s"}));
    assert_eq!(service["ulimits"], json!({"nofile": 1024, "nproc": {"soft": 1, "hard": 2}}));
    assert_eq!(service["mem_limit"], "67108864");
    assert_eq!(service["tmpfs"], json!(["/tmp"]));
    assert_eq!(whole["volumes"], json!({"data": {"name": "project_data"}}));
    assert_eq!(whole["networks"]["back"]["name"], "project_back");
    assert_eq!(whole["networks"]["default"]["name"], "project_default");
    assert_eq!(whole["secrets"], json!({"token": {"name": "project_token", "file": "/P/token"}}));
}

#[test]
fn every_key_of_a_build_is_read() {
    let case = Case::of(
        "
services:
  a:
    build:
      context: ./dir
      dockerfile: x.Dockerfile
      entitlements: [network.host]
      args: [A=1, B]
      provenance: mode=max
      sbom: true
      ssh: [default, key=/k]
      labels: [L, M=1]
      cache_from: ['type=registry,ref=x']
      cache_to: ['type=inline']
      no_cache: true
      no_cache_filter: [stage]
      additional_contexts: [one=./one, two=docker-image://x]
      pull: 'true'
      extra_hosts: ['h:1.2.3.4']
      isolation: default
      network: host
      target: t
      secrets: [s]
      shm_size: 128m
      tags: [t:1, t:1, u:2]
      ulimits: {nofile: {soft: 1, hard: 2}}
      platforms: [linux/amd64]
      privileged: true
      x-own: {any: 1}
  b: {build: https://example.com/x.git#main}
  c:
    build: {dockerfile_inline: FROM scratch}
secrets: {s: {environment: S}}
",
    )
    .variable("B", "2");
    let whole = case.config(&[]);
    assert_eq!(
        whole["services"]["a"]["build"],
        json!({
            "context": "/P/dir", "dockerfile": "x.Dockerfile", "entitlements": ["network.host"], "args": {"A": "1", "B": "2"},
            "provenance": "mode=max", "sbom": "true", "ssh": ["default", "key: /k"], "labels": {"L": "", "M": "1"},
            "cache_from": ["type=registry,ref=x"], "cache_to": ["type=inline"], "no_cache": true, "no_cache_filter": ["stage"],
            "additional_contexts": {"one": "/P/one", "two": "docker-image://x"}, "pull": true, "extra_hosts": ["h=1.2.3.4"],
            "isolation": "default", "network": "host", "target": "t", "secrets": [{"source": "s"}], "shm_size": "134217728",
            "tags": ["t:1", "u:2"], "ulimits": {"nofile": {"soft": 1, "hard": 2}}, "platforms": ["linux/amd64"],
            "privileged": true,
        })
    );
    assert_eq!(
        whole["services"]["b"]["build"],
        json!({"context": "https://example.com/x.git#main", "dockerfile": "Dockerfile"})
    );
    assert_eq!(whole["services"]["c"]["build"], json!({"context": "/P", "dockerfile_inline": "FROM scratch"}));
}

#[test]
fn what_is_written_wrongly_is_shown() {
    for (file, parts) in [
        (
            "services:\n  a:\n    build:\n      contxt: .\n",
            &["has no key `contxt`", "did you mean `context`?", "compose.yaml:4:7"][..],
        ),
        ("services:\n  a:\n    biuld: .\n", &["`services.a` has no key `biuld`", "did you mean `build`?"]),
        ("servics: {}\n", &["a compose file has no key `servics`", "did you mean `services`?"]),
        (
            "services:\n  a:\n    image: [x]\n",
            &["services.a.image is a list, but it must be text", "compose.yaml:3:12"],
        ),
        ("services:\n  a: {image: x, image: y}\n", &["the key `image` already exists, in line 2"]),
        ("services:\n  80: {image: x}\n", &["a key must be text, but this is a number", "compose.yaml:2:3"]),
        ("services:\n  a: {image: x\n", &["this is not YAML"]),
        ("- a\n", &["a compose file must be a mapping of keys, but this is a list"]),
        ("", &["there is nothing in compose.yaml"]),
        ("services: {a: {}}\n", &["the service `a` has neither an image nor a build"]),
        ("services: {a: {image: x, depends_on: [c]}, bc: {image: x}}\n", &["there is no service `c`"]),
        ("services: {a: {image: x, networks: [n]}}\n", &["there is no network `n`"]),
        ("services: {a: {image: x, volumes: ['vol:/x']}}\n", &["there is no volume `vol`"]),
        ("services: {a: {image: x, secrets: [s]}}\n", &["there is no secret `s`"]),
        ("services: {a: {image: x, ports: [a-b]}}\n", &["`a-b` is not a port"]),
        ("services: {a: {image: 'x${'}}\n", &["has a `${` that begins no variable"]),
        (
            "services: {a: {build: {dockerfile: a, dockerfile_inline: b}}}\n",
            &["both `dockerfile` and `dockerfile_inline`"],
        ),
        ("name: '..'\nservices: {a: {image: x}}\n", &["the project has no name", "compose.yaml:1:7"]),
    ] {
        Case::of(file).run(&["config"]).failure(1).says(parts);
    }
    for (build, parts) in [
        ("platforms: [linux/nothing]", &["linux/nothing", "compose.yaml:1:"][..]),
        ("ulimits: {nofile: x}", &["compose.yaml:1:"]),
        ("network: elsewhere", &["elsewhere", "compose.yaml:1:"]),
        ("shm_size: many", &["many", "compose.yaml:1:"]),
        ("secrets: [s]", &["there is no secret `s` in `secrets` of the file"]),
        ("additional_contexts: {x: 'service:y'}", &["there is no service `y`"]),
        ("tags: ['A B']", &["compose.yaml:1:"]),
    ] {
        let file = format!("services: {{a: {{build: {{context: ., {build}}}}}}}\n");
        Case::of(&file).run(&["build"]).failure(1).says(parts);
    }
}

#[test]
fn a_project_has_the_name_that_was_given_last() {
    let name = |case: &Case, arguments: &[&str]| case.config(arguments)["name"].as_str().unwrap().to_owned();
    let case = Case::of("services: {a: {image: '${COMPOSE_PROJECT_NAME}'}}");
    assert_eq!(name(&case, &[]), "project");
    assert_eq!(case.service("a")["image"], "project");
    let case = Case::of("name: of-${WHAT:-the}-file\nservices: {a: {image: x}}");
    assert_eq!(name(&case, &[]), "of-the-file");
    let case = case.variable("COMPOSE_PROJECT_NAME", "of-the-environment");
    assert_eq!(name(&case, &[]), "of-the-environment");
    assert_eq!(name(&case, &["-p", "of-the-flag"]), "of-the-flag");
    case.run(&["-p", "No", "config"]).failure(1).says(&["`No` cannot be the name of a project"]);
}
