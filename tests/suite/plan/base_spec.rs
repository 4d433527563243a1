//! `base` of `ocibake.toml`: what an image has of the one that it stands on.

use std::sync::Arc;

use ocibake::error::Error;
use ocibake::oci::{Descriptor, Digest, Platform, from_json, to_json};
use ocibake::plan::{Automatic, Base, BaseImage, Plan, Spec};
use serde_json::{Value, json};

/// As image-spec's config.md and docker's additions have it.
fn base(config: &Value) -> Arc<BaseImage> {
    let document = json!({
        "os": "linux", "architecture": "amd64", "author": "someone", "config": config,
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(b"tar").to_string()]},
    });
    Arc::new(BaseImage {
        name: "docker.io/library/debian:13".to_owned(),
        root: Digest::of(b"index"),
        manifest: Digest::of(b"manifest"),
        layers: vec![Descriptor::of("application/vnd.oci.image.layer.v1.tar+gzip", b"layer")],
        config: from_json("a config", document.to_string().as_bytes()).unwrap(),
    })
}

fn plan(spec: &str, base: &Arc<BaseImage>) -> Plan {
    let spec = Spec::parse("ocibake.toml", spec).unwrap();
    spec.plan("/context", &Automatic::default(), &mut |name, _| {
        assert_eq!(name, "debian:13");
        Ok(base.clone())
    })
    .unwrap()
}

/// The settings of the only image, without the labels that are about the build.
fn settings(spec: &str, config: &Value) -> Value {
    let plan = plan(&format!("base = \"debian:13\"\n{spec}"), &base(config));
    let mut settings: Value = from_json("settings", &to_json(&plan.stages[0].settings)).unwrap();
    if let Some(labels) = settings.get_mut("Labels").and_then(Value::as_object_mut) {
        labels.retain(|key, _| !key.starts_with("org.opencontainers."));
        assert!(!labels.is_empty(), "an image without labels says nothing of them");
    }
    settings
}

fn everything() -> Value {
    json!({
        "User": "www",
        "ExposedPorts": {"80/tcp": {}},
        "Env": ["PATH=/usr/bin", "LANG=C"],
        "Entrypoint": ["/entry"],
        "Cmd": ["serve"],
        "Volumes": {"/data": {}},
        "WorkingDir": "/srv",
        "Labels": {"team": "base", "kept": "yes"},
        "StopSignal": "SIGQUIT",
        "Healthcheck": {"Test": ["CMD", "/health"], "Interval": 1_000_000_000_u64},
        "Shell": ["/bin/ash", "-c"],
        "OnBuild": ["RUN true"],
        "MacAddress": "unknown here",
    })
}

#[test]
fn what_is_not_said_is_the_bases() {
    assert_eq!(settings("", &everything()), everything());
}

/// docs.docker.com/reference/dockerfile, on each of the instructions; `ENTRYPOINT`: "If CMD is defined from the base image,
/// setting ENTRYPOINT will reset CMD to an empty value."
#[test]
fn what_is_said_goes_over_the_bases_as_in_a_dockerfile() {
    let spec = r#"
        [config]
        env = { LANG = "C.UTF-8", MINE = "1" }
        entrypoint = ["/mine"]
        user = "7"
        workdir = "/mine"
        ports = [8080]
        volumes = ["/mine"]
        stop-signal = "SIGTERM"
        healthcheck = "none"
        shell = ["/bin/sh"]
        on-build = []
        [labels]
        team = "mine"
        "#;
    let expected = json!({
        "User": "7",
        "ExposedPorts": {"80/tcp": {}, "8080/tcp": {}},
        "Env": ["PATH=/usr/bin", "LANG=C.UTF-8", "MINE=1"],
        "Entrypoint": ["/mine"],
        "Volumes": {"/data": {}, "/mine": {}},
        "WorkingDir": "/mine",
        "Labels": {"team": "mine", "kept": "yes"},
        "StopSignal": "SIGTERM",
        "Healthcheck": {"Test": ["NONE"]},
        "Shell": ["/bin/sh"],
        "MacAddress": "unknown here",
    });
    assert_eq!(settings(spec, &everything()), expected);
}

#[test]
fn a_command_stays_with_its_entrypoint() {
    let config = json!({"Entrypoint": ["/entry"], "Cmd": ["serve"]});
    let both = |entrypoint: Value, cmd: Value| {
        let all = json!({"Entrypoint": entrypoint, "Cmd": cmd});
        Value::Object(all.as_object().unwrap().clone().into_iter().filter(|(_, value)| !value.is_null()).collect())
    };
    let cases = [
        ("", both(json!(["/entry"]), json!(["serve"]))),
        ("cmd = [\"x\"]", both(json!(["/entry"]), json!(["x"]))),
        ("entrypoint = [\"/mine\"]", both(json!(["/mine"]), Value::Null)),
        ("entrypoint = [\"/mine\"]\ncmd = [\"x\"]", both(json!(["/mine"]), json!(["x"]))),
        ("entrypoint = []", both(Value::Null, Value::Null)),
    ];
    for (lines, expected) in cases {
        assert_eq!(settings(&format!("[config]\n{lines}\n"), &config), expected, "{lines}");
    }
}

#[test]
fn the_image_says_what_it_stands_on_unless_it_is_told_what_to_say() {
    let base = base(&json!({}));
    let stage = &plan("base = \"debian:13\"", &base).stages[0];
    assert_eq!(stage.base, Base::Image(base.clone()));
    assert_eq!(stage.author.as_deref(), Some("someone"));
    let of = |key: &str| format!("org.opencontainers.image.base.{key}");
    assert_eq!(stage.annotations[&of("name")], "docker.io/library/debian:13");
    assert_eq!(stage.annotations[&of("digest")], Digest::of(b"index").to_string());
    assert_eq!(stage.settings.labels, None);

    let told = format!("base = \"debian:13\"\n[annotations]\n\"{}\" = \"mine\"\n", of("name"));
    let plan = plan(&told, &base);
    assert_eq!(plan.targets[0].annotations[&of("name")], "mine");
    assert!(!plan.stages[0].annotations.contains_key(&of("name")));
}

#[test]
fn a_base_is_asked_for_each_platform_and_scratch_for_none() {
    let asked = |text: &str| {
        let mut asked = Vec::new();
        let spec = Spec::parse("ocibake.toml", text).unwrap();
        let mut find = |name: &str, platform: &Platform| {
            asked.push(format!("{name} {platform}"));
            Ok::<_, Error>(base(&json!({})))
        };
        spec.plan("/context", &Automatic::default(), &mut find).unwrap();
        asked
    };
    let platforms = "platforms = [\"linux/arm/v7\", \"linux/amd64\"]";
    assert_eq!(asked(&format!("base = \"debian\"\n{platforms}")), ["debian linux/arm/v7", "debian linux/amd64"]);
    assert_eq!(asked("base = \"debian\""), [format!("debian {}", Platform::host())]);
    assert_eq!(asked(&format!("base = \"scratch\"\n{platforms}")), [""; 0]);
}
