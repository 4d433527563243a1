//! What `config` prints, to the letter, and what it refuses, as docker compose does both.

use serde_json::json;

use super::Case;

/// What `config` prints of the service `a` with these keys, without what every service has.
#[track_caller]
fn printed(keys: &str) -> String {
    let keys: String = keys.lines().map(|line| format!("    {line}\n")).collect();
    let case = Case::of(&format!(
        "services:\n  a:\n    image: x\n{keys}  b: {{image: y}}\nnetworks: {{net: {{}}}}\nvolumes: {{vol: {{}}}}\nsecrets: {{sec: {{file: ./s}}}}\nconfigs: {{cfg: {{file: ./c}}}}\n"
    ));
    let text = case.run(&["config"]).success().stdout.replace(case.path().to_str().unwrap(), "/P");
    let (_, service) = text.split_once("\n  a:\n").unwrap();
    let (service, _) = service.split_once("\n  b:\n").unwrap();
    let usual = ["    image: x", "    networks:", "      default: null"];
    let lines: Vec<&str> = service.lines().filter(|line| !usual.contains(line)).collect();
    lines.iter().map(|line| format!("{}\n", line.strip_prefix("    ").unwrap_or(line))).collect()
}

#[test]
fn values_are_written_in_compose_s_order_and_forms() {
    for (keys, expected) in [
        (
            "ulimits: {nofile: {hard: 2, soft: 1}, nproc: 0}",
            "ulimits:\n  nofile:\n    soft: 1\n    hard: 2\n  nproc:\n    soft: 0\n    hard: 0\n",
        ),
        (
            "volumes: ['./a:/x/', 'vol:/y:ro,nocopy', 'c:/d:/e', ab, {type: bind, source: ./f, target: /g}]",
            "volumes:\n  - type: bind\n    source: /P/a\n    target: /x\n    bind:\n      create_host_path: true\n  - type: volume\n    source: vol\n    target: /y\n    read_only: true\n    volume:\n      nocopy: true\n  - type: bind\n    source: c:/d\n    target: /e\n    bind:\n      create_host_path: true\n  - type: volume\n    target: ab\n  - type: bind\n    source: /P/f\n    target: /g\n",
        ),
        (
            "ports: ['9-10:9-10', '[::1]:8080:80', ':70', {target: 60, published: 6000}]",
            "ports:\n  - mode: ingress\n    target: 10\n    published: \"10\"\n    protocol: tcp\n  - mode: ingress\n    target: 9\n    published: \"9\"\n    protocol: tcp\n  - mode: ingress\n    host_ip: ::1\n    target: 80\n    published: \"8080\"\n    protocol: tcp\n  - mode: ingress\n    target: 70\n    protocol: tcp\n  - mode: ingress\n    target: 60\n    published: \"6000\"\n    protocol: tcp\n",
        ),
        ("command: a 'b c' \"d\" && e", "command:\n  - a\n  - b c\n  - d\n"),
        ("command: a=$$(b c) `d e` f\\ g", "command:\n  - a=$$(b c)\n  - '`d e`'\n  - f g\n"),
        ("command: ''", "command: []\n"),
        ("command: $1 $(x) 5$", "command:\n  - $$1\n  - $$(x)\n  - 5$$\n"),
        (
            "develop: {watch: [{action: sync, path: ./s, target: /t, ignore: n}]}",
            "develop:\n  watch:\n    - path: /P/s\n      action: sync\n      target: /t\n      ignore:\n        - \"n\"\n",
        ),
        (
            "deploy: {resources: {reservations: {devices: [{driver: d, capabilities: [gpu]}]}}}",
            "deploy:\n  resources:\n    reservations:\n      devices:\n        - capabilities:\n            - gpu\n          driver: d\n          count: -1\n",
        ),
        ("scale: 2\ndeploy: {update_config: {delay: 0s}}", "deploy:\n  replicas: 2\n  update_config: {}\nscale: 2\n"),
        (
            "secrets: [sec, {source: sec, target: t, mode: 0440}]",
            "secrets:\n  - source: sec\n    target: /run/secrets/sec\n  - source: sec\n    target: t\n    mode: \"0440\"\n",
        ),
        (
            "healthcheck: {test: c, interval: 1w, retries: '3'}",
            "healthcheck:\n  test:\n    - CMD-SHELL\n    - c\n  interval: 168h0m0s\n  retries: 3\n",
        ),
        (
            "cpus: '0.1234567891'\nmem_limit: '1e3'\nmemswap_limit: -1\nuser: 80:80",
            "cpus: 0.12345679\nmem_limit: \"1000\"\nmemswap_limit: \"-1\"\nuser: 80:80\n",
        ),
        (
            "environment: {A: 1234567.5, B: 1e15, C: 1e400}",
            "environment:\n  A: \"1.2345675e+06\"\n  B: \"1e+15\"\n  C: 1e400\n",
        ),
        (
            "blkio_config: {device_read_bps: [{path: /dev/a, rate: 12mb}]}",
            "blkio_config:\n  device_read_bps:\n    - path: /dev/a\n      rate: \"12582912\"\n",
        ),
        ("extra_hosts: {a: [1.1.1.1, '[::1]']}", "extra_hosts:\n  - a=1.1.1.1\n  - a=::1\n"),
        (
            "build: {ssh: {k: ./key, default: }, provenance: true}",
            "build:\n  context: /P\n  dockerfile: Dockerfile\n  provenance: \"true\"\n  ssh:\n    - default\n    - 'k: /P/key'\n",
        ),
    ] {
        assert_eq!(printed(keys), expected, "{keys}");
    }
}

#[test]
fn json_has_the_order_of_compose_and_what_it_never_leaves_out() {
    let case = Case::of(
        "services: {a: {image: x, labels: {l: '<&>'}, deploy: {replicas: 1}, networks: [n]}}\nnetworks: {n: }\n",
    );
    let text = case.run(&["config", "--format", "json"]).success().stdout;
    let expected = r#"{
  "name": "project",
  "networks": {
    "n": {
      "name": "project_n",
      "ipam": {}
    }
  },
  "services": {
    "a": {
      "command": null,
      "deploy": {
        "replicas": 1,
        "resources": {},
        "placement": {}
      },
      "entrypoint": null,
      "image": "x",
      "labels": {
        "l": "\u003c\u0026\u003e"
      },
      "networks": {
        "n": null
      }
    }
  }
}"#;
    assert_eq!(text, expected);
}

#[test]
fn digests_of_services_are_those_of_compose() {
    // What compose says of the same service.
    let case = Case::of("services: {a: {image: x}}\n");
    let expected = "a d5457d0b2799957b606d2ac4ed52d85a1e75799490e56229948300b9a59e8953\n";
    assert_eq!(case.run(&["config", "--hash", "*"]).success().stdout, expected);
    let more =
        "services: {a: {image: x, build: ., profiles: [''], pull_policy: always, depends_on: [b]}, b: {image: y}}\n";
    assert_eq!(Case::of(more).run(&["config", "--hash", "a"]).success().stdout, expected);
}

#[test]
fn what_compose_refuses_is_refused_where_it_stands() {
    for (keys, parts) in [
        ("user: 1000", &["services.a.user is a number, but it must be text", "compose.yaml:3:11"][..]),
        ("init:", &["services.a.init is nothing, but it must be text or true or false", "compose.yaml:3:5"]),
        ("privileged: '1'", &["services.a.privileged is `1`, but it must be true or false"]),
        ("cap_add: [1]", &["a list of text contains a number"]),
        ("security_opt: [s, s]", &["services.a.security_opt has `s` twice", "compose.yaml:3:23"]),
        ("depends_on: {a: {required: false}}", &["services.a.depends_on.a has no `condition`"]),
        ("depends_on: {a: {condition: service_heathy}}", &["did you mean `service_healthy`?"]),
        ("volumes: [{type: bind, target: /x}]", &["what is mounted has no `source`"]),
        ("volumes: [{type: bnd, source: a, target: /x}]", &["did you mean `bind`?"]),
        ("volumes: ['vol:/x', {type: tmpfs, target: /y}]\ntmpfs: [/y]", &["something is already mounted at /y"]),
        ("ports: [{target: 80, host_ip: here}]", &["`here` is not an address that a port can use"]),
        ("network_mode: host\nnetworks: [default]", &["has `network_mode` and `networks`"]),
        ("healthcheck: {test: [curl]}", &["the test of a health check begins with `curl`"]),
        ("healthcheck: {interval: 5}", &["services.a.healthcheck.interval is a number, but it must be a time"]),
        ("mem_limit: '-1'", &["`-1` is not a size"]),
        ("scale: 2\ncontainer_name: one", &["has several containers, but only one name for them"]),
        (
            "cpus: 1\ndeploy: {resources: {limits: {cpus: '2'}}}",
            &["has another `cpus` than `deploy.resources.limits.cpus`"],
        ),
        ("gpus: [{count: 1, device_ids: [d]}]", &["requested by both `count` and `device_ids`"]),
        ("oom_score_adj: 2000", &["is 2000, but it must be between -1000 and 1000"]),
        ("depends_on: [a]", &["services depend on each other in a circle: a -> a"]),
        ("command: (a)", &["this line cannot be split into words"]),
        ("build: {ssh: [key]}", &["`key` is not an SSH agent"]),
    ] {
        let keys: String = keys.lines().map(|line| format!("    {line}\n")).collect();
        Case::of(&format!("services:\n  a:\n{keys}    image: x\nvolumes: {{vol: {{}}}}\n"))
            .run(&["config"])
            .failure(1)
            .says(parts);
    }
    for (top, parts) in [
        ("volumes: {v: {external: true, driver: d}}", &["the volume `v` is external, but has `driver`"][..]),
        ("secrets: {s: {}}", &["the secret `s` does not say where it comes from"]),
        ("configs: {c: {file: f, content: c}}", &["the config `c` has `file` and `content`"]),
        ("networks: {n: {external: {name: a}, name: b}}", &["it is called `b` here, and `a` in `external`"]),
        ("services: {'a b': {image: x}}", &["`a b` cannot be a name in `services`"]),
        ("services: ~", &["services is nothing, but it must be a mapping"]),
    ] {
        let file = if top.starts_with("services") {
            format!("{top}\n")
        } else {
            format!("services: {{a: {{image: x}}}}\n{top}\n")
        };
        Case::of(&file).run(&["config"]).failure(1).says(parts);
    }
}

#[test]
fn services_that_are_named_turn_on_those_of_their_profiles() {
    let case = Case::of(
        "services:\n  a: {image: x}\n  b: {image: y, profiles: [p], depends_on: [c]}\n  c: {image: z, profiles: [p]}\n  d: {profiles: [q]}\n",
    );
    let names = |arguments: &[&str]| -> Vec<String> {
        case.config_of(arguments)["services"].as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(names(&["config"]), ["a"]);
    assert_eq!(names(&["config", "b"]), ["b", "c"]);
    assert_eq!(names(&["--profile", "p", "config"]), ["a", "b", "c"]);
    case.run(&["--profile", "q", "config"]).failure(1).says(&["the service `d` has neither an image nor a build"]);
    let case = Case::of("services:\n  a: {image: x, depends_on: [b]}\n  b: {image: y, profiles: [p]}\n");
    case.run(&["config"]).failure(1).says(&["the service `a` depends on `b`, which is disabled", "compose.yaml:2:30"]);
}

#[test]
fn what_is_left_unsaid_and_left_in_stays_so() {
    let case = Case::of(
        "services:\n  a:\n    image: x:${T:-1}\n    environment: [A=$A, B]\n    ports: ['80', '${P}:90']\n    mem_limit: 64m\n    build: {context: ., args: [C]}\nvolumes: {v: }\n",
    )
    .variable("C", "c");
    let text = case.run(&["config", "--no-interpolate"]).success().stdout;
    for part in
        ["- A=$A\n      - B\n", "mem_limit: 64m\n", "- \"80\"\n      - ${P}:90\n", "args: []\n", "name: project_v\n"]
    {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let case = Case::of("services: {a: {build: {args: [C]}}}\nvolumes: {v: }\n").variable("C", "c");
    let text = case.run(&["--all-resources", "config", "--no-normalize", "--no-path-resolution"]).success().stdout;
    assert_eq!(
        text,
        "name: project\nservices:\n  a:\n    build:\n      context: .\n      args:\n        C: null\nvolumes:\n  v: {}\n"
    );
}

#[test]
fn what_would_be_built_is_printed_as_a_bake_file() {
    let case = Case::of(
        "
services:
  a:
    image: im
    build: {context: ., dockerfile: sub/../D, secrets: [s], ssh: [default], shm_size: 1k, provenance: mode=max, sbom: true, ulimits: {nofile: 0}, extra_hosts: {h: [1.1.1.1, 2.2.2.2]}, additional_contexts: {x: 'service:b.c'}}
    depends_on: [d]
  b.c: {build: ./b}
  d: {build: ./d}
  e: {image: only}
secrets: {s: {environment: S}}
",
    );
    let text = case.run(&["build", "--print", "a"]).success().stdout.replace(case.path().to_str().unwrap(), "/P");
    let whole: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(whole["group"], json!({"default": {"targets": ["a", "b_c"]}}));
    let targets: Vec<&String> = whole["target"].as_object().unwrap().keys().collect();
    assert_eq!(targets, ["a", "b_c", "d"]);
    let target = &whole["target"]["a"];
    for (key, expected) in [
        ("dockerfile", json!("/P/D")),
        ("secret", json!(["id=s,type=env,env=S"])),
        ("ssh", json!(["default="])),
        ("shm-size", json!("1024")),
        ("attest", json!(["type=provenance,mode=max", "type=sbom"])),
        ("ulimits", json!(["nofile=0:0"])),
        ("extra-hosts", json!({"h": "1.1.1.1,2.2.2.2"})),
        ("contexts", json!({"x": "target:b_c"})),
        ("tags", json!(["im"])),
        ("output", json!(["type=docker"])),
    ] {
        assert_eq!(target[key], expected, "{key}");
    }
    assert_eq!(case.run(&["build", "--print", "e"]).success().stdout, "");
    let text = case.run(&["build", "--print", "--check", "d"]).success().stdout;
    assert!(text.contains("\"call\":\"lint\"") && !text.contains("output"), "{text}");
}
