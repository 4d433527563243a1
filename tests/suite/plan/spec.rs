//! `ocibake.toml` and the flags beside it.

use std::path::PathBuf;

use ocibake::oci::{Platform, Settings};
use ocibake::plan::{Add, AddSpec, Automatic, Base, ImagePath, Libc, Owner, Plan, Source, Spec, Step, Work, setting};
use ocibake::tree::Mode;
use proptest::prelude::*;

use crate::support::base::no_base;

const EVERYTHING: &str = r#"
name = "example.org/org/api"
base = "scratch"
platforms = ["linux/amd64", "linux/arm64", "linux/arm/v7"]
index = true
libc = "gnu"
title = "api"
licenses = "MIT"

[[layer]]
name = "application"
add = [
    { from = "target/{triple}/release/api", to = "/bin/", mode = "0755", owner = "65532" },
    { from = "share/{os}-{arch}{variant}", to = "usr//./share/{{x}}", mode = 0o640, exclude = ["**/*.tmp", "!{arch}.tmp"] },
]

[[layer]]
[[layer.add]]
from = "./assets/**/*.html"
to = "/"
owner = "preserve"

[config]
entrypoint = ["/bin/api"]
cmd = ["--port", "8080"]
env = { ZEBRA = "1", A = "b=c" }
user = "65532:65532"
workdir = "/srv"
ports = [8080, "53/UDP", "8000-8002"]
volumes = ["/data"]
stop-signal = "sigterm"
shell = ["/bin/sh", "-c"]
on-build = ["RUN true"]
healthcheck = { test = ["CMD", "/bin/api", "--health"], interval = "1m30s", timeout = "1.5s", start-period = "5s", start-interval = "500ms", retries = 3 }

[labels]
"org.example.team" = "core"

[annotations]
"org.example.note" = "x"
"#;

fn adds(step: &Step) -> &[Add] {
    match &step.work {
        Work::Adds(adds) => adds,
        other => panic!("{other:?}"),
    }
}

fn plan(text: &str) -> Plan {
    Spec::parse("ocibake.toml", text).unwrap().plan("/context", &Automatic::default(), &mut no_base).unwrap()
}

#[test]
fn a_spec_is_expanded_for_every_platform() {
    let plan = plan(EVERYTHING);
    assert!(plan.targets[0].index);
    let platforms: Vec<String> = plan.stages.iter().map(|stage| stage.platform.to_string()).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64", "linux/arm/v7"]);
    for (stage, triple, name) in [
        (&plan.stages[0], "x86_64-unknown-linux-gnu", "amd64"),
        (&plan.stages[1], "aarch64-unknown-linux-gnu", "arm64"),
        (&plan.stages[2], "armv7-unknown-linux-gnueabihf", "armv7"),
    ] {
        let context = |pattern: String| Source::Context { context: 0, pattern };
        assert_eq!(stage.base, Base::Scratch);
        let [application, assets] = &stage.steps[..] else { panic!("{:?}", stage.steps) };
        assert_eq!(application.title, "application");
        assert_eq!(adds(application)[0].source, context(format!("target/{triple}/release/api")));
        assert_eq!(adds(application)[0].to, ImagePath { path: "bin".to_owned(), into: true });
        assert_eq!(adds(application)[0].mode, Some(Mode::parse("755").unwrap()));
        assert_eq!(adds(application)[0].owner, Owner::Numbers { user: 65532, group: 65532 });
        assert_eq!(adds(application)[0].place.as_ref().unwrap().line, 13);
        assert_eq!(adds(application)[1].source, context(format!("share/linux-{name}")));
        assert_eq!(adds(application)[1].to, ImagePath { path: "usr/share/{x}".to_owned(), into: false });
        assert_eq!(adds(application)[1].mode, Some(Mode::parse("640").unwrap()));
        assert_eq!(adds(application)[1].owner, Owner::ROOT);
        assert_eq!(adds(application)[1].exclude[0], "**/*.tmp");
        assert_eq!(adds(application)[1].exclude[1], format!("!{}.tmp", stage.platform.architecture));
        assert_eq!(assets.title, "add to /");
        assert_eq!(adds(assets)[0].to, ImagePath { path: String::new(), into: true });
        assert_eq!(adds(assets)[0].owner, Owner::Preserve);
    }
}

#[test]
fn the_config_is_written_as_docker_writes_it() {
    let expected = serde_json::json!({
        "User": "65532:65532",
        "ExposedPorts": { "53/udp": {}, "8000/tcp": {}, "8001/tcp": {}, "8002/tcp": {}, "8080/tcp": {} },
        "Env": ["ZEBRA=1", "A=b=c"],
        "Entrypoint": ["/bin/api"],
        "Cmd": ["--port", "8080"],
        "Volumes": { "/data": {} },
        "WorkingDir": "/srv",
        "StopSignal": "SIGTERM",
        "Healthcheck": {
            "Test": ["CMD", "/bin/api", "--health"],
            "Interval": 90_000_000_000_u64,
            "Timeout": 1_500_000_000_u64,
            "StartPeriod": 5_000_000_000_u64,
            "StartInterval": 500_000_000_u64,
            "Retries": 3,
        },
        "Shell": ["/bin/sh", "-c"],
        "OnBuild": ["RUN true"],
    });
    let settings = plan(EVERYTHING).stages[0].settings.clone();
    assert_eq!(serde_json::to_value(&Settings { labels: None, ..settings }).unwrap(), expected);
}

#[test]
fn labels_and_annotations_are_complete() {
    let plan = plan(EVERYTHING);
    let labels = plan.stages[0].settings.labels.as_ref().unwrap();
    assert_eq!(labels["org.opencontainers.image.title"], "api");
    assert_eq!(labels["org.example.team"], "core");
    assert_eq!(plan.targets[0].annotations["org.opencontainers.image.licenses"], "MIT");
    assert_eq!(plan.targets[0].annotations["org.example.note"], "x");
}

#[test]
fn a_variant_is_empty_where_there_is_none() {
    let plan = plan("platforms = [\"amd64\"]\n[[layer]]\nadd = [{ from = \"a{variant}\", to = \"/{variant}/b\" }]");
    assert_eq!(plan.stages[0].steps[0].title, "add to /b");
}

#[test]
fn an_empty_spec_is_nothing_on_scratch_for_this_machine() {
    assert_eq!(Spec::parse("ocibake.toml", "").unwrap(), Spec::default());
    let plan = plan("");
    assert!(!plan.targets[0].index);
    assert_eq!(plan.stages.len(), 1);
    assert_eq!(plan.stages[0].platform, Platform::host());
    assert!(plan.stages[0].steps.is_empty());
    assert_eq!(Spec::default().libc, Libc::Musl);
}

#[test]
fn equal_layers_of_platforms_are_equal_steps() {
    let plan = plan(
        "platforms = [\"amd64\", \"arm64\"]\n[[layer]]\nadd = [{ from = \"a\", to = \"/\" }]\n\
         [[layer]]\nadd = [{ from = \"{arch}\", to = \"/\" }]",
    );
    let [one, other] = &plan.stages[..] else { panic!() };
    assert_eq!(one.steps[0], other.steps[0]);
    assert_ne!(one.steps[1], other.steps[1]);
}

#[test]
fn a_healthcheck_can_be_none() {
    let spec = Spec::parse("ocibake.toml", "[config]\nhealthcheck = \"none\"").unwrap();
    assert_eq!(spec.config.healthcheck.unwrap().test, ["NONE"]);
}

#[test]
fn the_flag_of_an_add_says_what_the_spec_says() {
    let flag = AddSpec::from_flag("dir:x/{arch}:/srv/app/:mode=u=rwX,go=rX,owner=1:2,exclude=*.a,exclude=*.b").unwrap();
    let spec = Spec {
        platforms: vec![Platform::new("linux", "arm64", None)],
        layers: vec![ocibake::plan::LayerSpec { name: None, adds: vec![flag] }],
        ..Spec::default()
    };
    let plan = spec.plan("/nowhere", &Automatic::default(), &mut no_base).unwrap();
    let step = &plan.stages[0].steps[0];
    assert_eq!(step.title, "add to /srv/app/");
    let add = &adds(step)[0];
    assert_eq!(add.source, Source::Path(PathBuf::from("dir:x/arm64")));
    assert_eq!(add.to, ImagePath { path: "srv/app".to_owned(), into: true });
    assert_eq!(add.mode, Some(Mode::parse("u=rwX,go=rX").unwrap()));
    assert_eq!(add.owner, Owner::Numbers { user: 1, group: 2 });
    assert_eq!(add.exclude, ["*.a", "*.b"]);
}

#[test]
fn durations_are_those_of_go() {
    for (text, nanoseconds) in [
        ("0", 0),
        ("0s", 0),
        ("1ms", 1_000_000),
        ("1m30s", 90_000_000_000),
        ("1.5h", 5_400_000_000_000),
        (".5s", 500_000_000),
        ("2h45m0.25s", 9_900_250_000_000),
        ("1000us", 1_000_000),
        ("1000µs", 1_000_000),
    ] {
        assert_eq!(setting::duration(text).unwrap(), nanoseconds, "{text}");
    }
    for wrong in [
        "",
        "1",
        "s",
        "-1s",
        "1 s",
        "1d",
        ".s",
        "1..5s",
        "999us",
        "9999999h",
        "99999999999999999999999999999999999999999s",
    ] {
        assert!(setting::duration(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn signals_are_names_or_numbers() {
    for (text, kept) in
        [("SIGTERM", "SIGTERM"), ("int", "INT"), ("9", "9"), ("SIGRTMIN+3", "SIGRTMIN+3"), ("rtmax-14", "RTMAX-14")]
    {
        assert_eq!(setting::stop_signal(text).unwrap(), kept);
    }
    let error = setting::stop_signal("SIGTREM").unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("did you mean `SIGTERM`?"));
    for wrong in ["", "0", "SIG", "SIGRTMIN-1", "SIGRTMAX-15"] {
        assert!(setting::stop_signal(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn command_lines_are_json_or_one_word() {
    assert_eq!(setting::words("/bin/api").unwrap(), ["/bin/api"]);
    assert_eq!(setting::words(" [\"/bin/api\", \"a b\"]").unwrap(), ["/bin/api", "a b"]);
    assert!(setting::words("[/bin/api]").is_err());
    assert!(setting::words("[1]").is_err());
}

#[test]
fn a_variable_that_is_set_again_keeps_its_place() {
    let mut settings = ocibake::oci::Settings::default();
    for variable in ["A=1", "B=2", "A=3=4", "C="] {
        setting::set_variable(&mut settings, variable).unwrap();
    }
    assert_eq!(settings.env.unwrap(), ["A=3=4", "B=2", "C="]);
}

#[test]
fn lists_of_platforms_are_split_at_commas() {
    let names: Vec<String> =
        setting::platforms("linux/amd64, arm64").unwrap().iter().map(Platform::to_string).collect();
    assert_eq!(names, ["linux/amd64", "linux/arm64"]);
    for wrong in ["", "amd64,", "amd64,linux/amd64"] {
        assert!(setting::platforms(wrong).is_err(), "{wrong}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reading_a_spec_never_panics(text in "(?s).{0,80}|([a-z]{1,8} ?= ?[\\[\\]{}\"a-z0-9,= ]{0,20}\n){0,4}") {
        let _ = Spec::parse("ocibake.toml", &text);
    }

    #[test]
    fn a_spec_with_a_piece_cut_out_never_panics(start in 0..EVERYTHING.len(), length in 0usize..40) {
        let mut text = EVERYTHING.to_owned();
        text.replace_range(start..(start + length).min(EVERYTHING.len()), "");
        let _ = Spec::parse("ocibake.toml", &text);
    }

    #[test]
    fn reading_settings_and_flags_never_panics(text in ".{0,30}|[0-9a-z:/=.,µ-]{0,20}") {
        let _ = AddSpec::from_flag(&text);
        let _ = setting::duration(&text);
        let _ = setting::stop_signal(&text);
        let _ = setting::words(&text);
        let _ = setting::expose(&mut Default::default(), &text);
        let _ = setting::set_variable(&mut Default::default(), &text);
    }

    #[test]
    fn a_destination_stays_below_the_root(text in "[./a]{0,12}|.{0,12}") {
        let Ok(destination) = text.parse::<ImagePath>() else { return Ok(()) };
        prop_assert!(!destination.path.starts_with('/') && !destination.path.contains('\0'));
        let unnamed = |part: &str| matches!(part, "" | "." | "..");
        prop_assert!(destination.path.is_empty() || !destination.path.split('/').any(unnamed));
    }
}
