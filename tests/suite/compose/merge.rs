//! How a second file changes what the first one says.

use serde_json::{Value, json};

use super::Case;

/// The key of the service `a`, as both files say it together.
fn merged(key: &str, first: &str, second: &str) -> Value {
    let file = |value: &str| {
        format!("services:\n  a:\n    image: x\n    {key}: {value}\nsecrets: {{s: {{file: ./s}}, t: {{file: ./t}}}}\n")
    };
    let case = Case::new(&[("compose.yaml", &file(first)), ("compose.override.yaml", &file(second))]);
    case.service("a")[key].clone()
}

#[test]
fn every_rule_of_merging() {
    for (key, first, second, expected) in [
        ("hostname", "one", "two", json!("two")),
        ("hostname", "one", "null", json!("one")),
        ("hostname", "one", "!reset null", json!(null)),
        ("command", "[a, b]", "null", json!(null)),
        ("security_opt", "[a]", "[b]", json!(["a", "b"])),
        (
            "secrets",
            "[s]",
            "[{source: t, target: /run/secrets/s}]",
            json!([{"source": "t", "target": "/run/secrets/s"}]),
        ),
        ("command", "[a, b]", "[c]", json!(["c"])),
        ("entrypoint", "a b", "[]", json!([])),
        ("cap_add", "[A, B]", "[B, C]", json!(["A", "B", "C"])),
        ("environment", "{A: 1, B: 2}", "[B=3, C]", json!({"A": "1", "B": "3", "C": null})),
        ("environment", "[A=1]", "{A: !reset null, B: 2}", json!({"B": "2"})),
        ("labels", "[A=1, B]", "{A: 2}", json!({"A": "2", "B": ""})),
        ("dns", "1.1.1.1", "[8.8.8.8, 1.1.1.1]", json!(["1.1.1.1", "8.8.8.8"])),
        ("extra_hosts", "['a:1', 'b:2']", "{a: '3'}", json!(["a=1", "a=3", "b=2"])),
        ("ports", "['1:1', '2:2']", "['2:2', '3:3']", json!([1, 2, 3])),
        ("ports", "['1:1']", "!override ['2:2']", json!([2])),
        ("ports", "['1:1']", "!reset []", json!(null)),
        ("volumes", "['./a:/x', './b:/y']", "['./c:/x']", json!(["/P/c", "/P/b"])),
        (
            "ulimits",
            "{n: 1, m: {soft: 1, hard: 2}}",
            "{n: {soft: 3, hard: 4}, m: 5}",
            json!({"n": {"soft": 3, "hard": 4}, "m": 5}),
        ),
        (
            "logging",
            "{driver: a, options: {x: 1}}",
            "{driver: a, options: {y: 2}}",
            json!({"driver": "a", "options": {"x": "1", "y": "2"}}),
        ),
        ("logging", "{driver: a, options: {x: 1}}", "{driver: b}", json!({"driver": "b"})),
        (
            "healthcheck",
            "{test: [CMD, a], retries: 3}",
            "{test: [CMD, b]}",
            json!({"test": ["CMD", "b"], "retries": 3}),
        ),
        ("build", "./dir", "{target: t}", json!({"context": "/P/dir", "dockerfile": "Dockerfile", "target": "t"})),
        (
            "build",
            "{context: a, args: {A: 1, B: 2}}",
            "{args: [A=3]}",
            json!({"context": "/P/a", "dockerfile": "Dockerfile", "args": {"A": "3", "B": "2"}}),
        ),
        (
            "build",
            "{tags: [a, b]}",
            "{tags: [b, c]}",
            json!({"context": "/P", "dockerfile": "Dockerfile", "tags": ["a", "b", "c"]}),
        ),
        (
            "build",
            "{platforms: [linux/amd64]}",
            "{platforms: [linux/amd64]}",
            json!({"context": "/P", "dockerfile": "Dockerfile", "platforms": ["linux/amd64", "linux/amd64"]}),
        ),
        (
            "build",
            "{extra_hosts: ['a:1', 'b:2']}",
            "{extra_hosts: {a: '3'}}",
            json!({"context": "/P", "dockerfile": "Dockerfile", "extra_hosts": ["a=1", "a=3", "b=2"]}),
        ),
        (
            "build",
            "{target: a, args: {A: 1}}",
            "{target: !reset null, args: !override {B: 2}}",
            json!({"context": "/P", "dockerfile": "Dockerfile", "args": {"B": "2"}}),
        ),
        ("x-own", "{a: 1, b: 2}", "{b: 3}", json!(null)),
        (
            "deploy",
            "{replicas: 2, labels: {a: 1}}",
            "{labels: [a=2]}",
            json!({"replicas": 2, "labels": {"a": "2"}, "resources": {}, "placement": {}}),
        ),
        ("gpus", "all", "[{count: 1}]", json!([{"count": -1}, {"count": 1}])),
    ] {
        let mut found = merged(key, first, second);
        match key {
            "ports" if found.is_array() => {
                found = found.as_array().unwrap().iter().map(|port| port["target"].clone()).collect();
            }
            "volumes" => found = found.as_array().unwrap().iter().map(|mount| mount["source"].clone()).collect(),
            _ => {}
        }
        assert_eq!(found, expected, "{key}: {first} and {second}");
    }
}

#[test]
fn dependencies_and_networks_are_merged_whichever_way_they_are_written() {
    let case = Case::new(&[
        (
            "compose.yaml",
            "services: {a: {image: x, depends_on: [b], networks: [n]}, b: {image: x}, c: {image: x}}\nnetworks: {n: , m: }\n",
        ),
        (
            "compose.override.yaml",
            "services: {a: {depends_on: {b: {condition: service_healthy}, c: {condition: service_started}}, networks: {n: {aliases: [z]}, m: }}}\n",
        ),
    ]);
    let service = case.service("a");
    assert_eq!(
        service["depends_on"],
        json!({"b": {"condition": "service_healthy", "required": true}, "c": {"condition": "service_started", "required": true}})
    );
    assert_eq!(service["networks"], json!({"n": {"aliases": ["z"]}, "m": null}));
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let file =
        |limit: &str| format!("services:\n  a:\n    build:\n      context: .\n      ulimits: {{nofile: {limit}}}\n");
    let case = Case::new(&[("compose.yaml", &file("{soft: 1, hard: 2}")), ("compose.override.yaml", &file("3"))]);
    case.run(&["config"]).failure(1).says(&[
        "services.a.build.ulimits.nofile is a number here, but a mapping in the file that this overrides",
        "compose.override.yaml:5:25",
        "`!override`",
    ]);
    let case = Case::new(&[
        ("compose.yaml", "services: {a: {image: x, cap_add: [A]}}"),
        ("compose.override.yaml", "services: {a: {cap_add: {B: }}}"),
    ]);
    case.run(&["config"]).failure(1).says(&["services.a.cap_add is a mapping here"]);
}

#[test]
fn an_override_adds_services_and_takes_them_away() {
    let case = Case::new(&[
        ("compose.yaml", "services: {a: {image: x}, b: {image: x}}\nvolumes: {vol: {}}\n"),
        ("compose.override.yaml", "services: {b: !reset null, c: {image: y, volumes: ['vol:/v']}}\n"),
    ]);
    assert_eq!(case.run(&["config", "--services"]).success().stdout, "a\nc\n");
}

#[test]
fn address_ranges_of_one_subnet_are_laid_over_each_other() {
    let case = Case::new(&[
        (
            "compose.yaml",
            "services: {a: {image: x, networks: [n]}}\nnetworks: {n: {labels: {q: 1}, ipam: {config: [{subnet: 10.0.0.0/8}]}}}\nx-own: {a: 1}\n",
        ),
        (
            "compose.override.yaml",
            "networks: {n: {labels: [q=2], ipam: {config: [{subnet: 10.0.0.0/8, gateway: 10.0.0.1}]}}}\nx-own: {b: 2}\n",
        ),
    ]);
    let whole = case.config(&[]);
    let network = &whole["networks"]["n"];
    assert_eq!(network["ipam"], json!({"config": [{"subnet": "10.0.0.0/8", "gateway": "10.0.0.1"}]}));
    assert_eq!(network["labels"], json!({"q": "2"}));
    assert_eq!(whole["x-own"], json!({"a": 1, "b": 2}));
}
