//! From a Dockerfile to stages of a plan: scopes of variables, stages and what they stand on, settings.

use std::sync::Arc;

use ocibake::error::{Error, ErrorKind, Result};
use ocibake::oci::{Digest, ImageConfig, Platform, Settings, from_json};
use ocibake::plan::dockerfile::{Dockerfile, LintRule, Lowered, LoweringRequest, NamedSource, Warning};
use ocibake::plan::{
    Automatic, Base, BaseImage, Context, Copy, CopyItem, Directory, Entitlement, ImagePath, Provider, Spec, Stage, Work,
};
use serde_json::{Value, json};

/// What a build is asked for, beside its Dockerfile.
pub(super) struct Asked<'a> {
    pub(super) platforms: &'a [&'a str],
    pub(super) target: Option<&'a str>,
    pub(super) arguments: &'a [(&'a str, &'a str)],
    pub(super) named: &'a [(&'a str, NamedSource)],
    pub(super) allowed: &'a [Entitlement],
    /// The `config` of the one image that is there, `base`.
    pub(super) base: Value,
}

impl Default for Asked<'_> {
    fn default() -> Self {
        Asked { platforms: &[], target: None, arguments: &[], named: &[], allowed: &[], base: json!({}) }
    }
}

impl Asked<'_> {
    pub(super) fn lower(&self, text: &str) -> Result<Lowered> {
        self.with_request(|request| {
            let bases = &mut |name: &str, platform: &Platform| self.find(name, platform);
            Dockerfile::read("Dockerfile", text.as_bytes())?.lower(request, bases)
        })
    }

    pub(super) fn check(&self, text: &str) -> Result<Vec<Warning>> {
        self.with_request(|request| {
            let bases = &mut |name: &str, platform: &Platform| self.find(name, platform);
            Dockerfile::read("Dockerfile", text.as_bytes())?.check(request, bases).map(|checked| checked.warnings)
        })
    }

    fn with_request<T>(&self, work: impl FnOnce(&LoweringRequest<'_>) -> Result<T>) -> Result<T> {
        let platforms: Vec<Platform> = self.platforms.iter().map(|name| name.parse().unwrap()).collect();
        let arguments = self.arguments.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let named = |name: &str| {
            let found = self.named.iter().find(|(own, _)| *own == name);
            found.map(|(_, named)| named.clone())
        };
        let context = |root: &str| Context { title: root.to_owned(), ignore: Vec::new() };
        work(&LoweringRequest {
            platforms: &platforms,
            build_platform: Platform::new("linux", "amd64", None),
            target: self.target,
            arguments: &arguments,
            contexts: &["/context", "/other"].map(context),
            named: &named,
            ignores: &|path| path == "ignored",
            overlay: &|_: &mut Spec| Ok(()),
            automatic: &Automatic::default(),
            git_arguments: false,
            allowed: self.allowed,
        })
    }

    fn find(&self, name: &str, platform: &Platform) -> Result<Arc<BaseImage>> {
        if name != "base" {
            return Err(Error::new(ErrorKind::Registry, format!("there is no {name}")));
        }
        let config = json!({
            "architecture": platform.architecture, "os": platform.os, "config": self.base,
            "rootfs": { "type": "layers", "diff_ids": [] }, "author": "who made the base",
        });
        let config: ImageConfig = from_json("config", config.to_string().as_bytes()).unwrap();
        let digest = Digest::of(platform.to_string().as_bytes());
        Ok(Arc::new(BaseImage { name: name.to_owned(), root: digest, manifest: digest, layers: Vec::new(), config }))
    }
}

pub(super) fn lower(text: &str) -> Lowered {
    Asked::default().lower(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub(super) fn image(lowered: &Lowered) -> &Stage {
    &lowered.plan.stages[lowered.plan.targets[0].images[0]]
}

/// The settings of the image, without what every image has, and without labels that come by themselves.
fn settings(text: &str) -> Value {
    let lowered = lower(text);
    let stage = image(&lowered);
    let mut labels = stage.settings.labels.clone().unwrap_or_default();
    labels.retain(|key, _| !key.starts_with("org.opencontainers.image."));
    let labels = Some(labels).filter(|labels| !labels.is_empty());
    let mut value = serde_json::to_value(Settings { labels, ..stage.settings.clone() }).unwrap();
    value["Env"].as_array_mut().unwrap().retain(|variable| !variable.as_str().unwrap().starts_with("PATH="));
    if value["WorkingDir"] == "/" {
        value.as_object_mut().unwrap().remove("WorkingDir");
    }
    if value["Env"].as_array().unwrap().is_empty() {
        value.as_object_mut().unwrap().remove("Env");
    }
    value
}

fn copies(stage: &Stage) -> Vec<&Copy> {
    let copy = |step: &'_ ocibake::plan::Step| matches!(step.work, Work::Copy(_));
    let steps = stage.steps.iter().filter(|step| copy(step));
    steps
        .map(|step| match &step.work {
            Work::Copy(copy) => copy,
            _ => unreachable!(),
        })
        .collect()
}

fn destination(path: &str, into: bool) -> ImagePath {
    ImagePath { path: path.to_owned(), into }
}

/// By the Dockerfile reference's chapters of the instructions.
#[test]
fn settings_are_those_that_instructions_give() {
    for (text, expected) in [
        ("ENV A=1 B=\"two words\" C=x\\ y", json!({ "Env": ["A=1", "B=two words", "C=x y"] })),
        ("ENV A=1\nENV B=$A A=2\nENV A=3", json!({ "Env": ["A=3", "B=1"] })),
        // The reference's own example: a value is that of before the instruction.
        ("ENV abc=hello\nENV abc=bye def=$abc\nENV ghi=$abc", json!({ "Env": ["abc=bye", "def=hello", "ghi=bye"] })),
        ("ENV A=x\nLABEL \"a b\"=\"$A y\" c='$A'", json!({ "Env": ["A=x"], "Labels": { "a b": "x y", "c": "$A" } })),
        ("EXPOSE 80 53/udp 8000-8002", {
            json!({ "ExposedPorts": { "80/tcp": {}, "53/udp": {}, "8000/tcp": {}, "8001/tcp": {}, "8002/tcp": {} } })
        }),
        ("ENV P=\"80 90/UDP\"\nEXPOSE $P", {
            json!({ "Env": ["P=80 90/UDP"], "ExposedPorts": { "80/tcp": {}, "90/udp": {} } })
        }),
        ("VOLUME /a /b\nVOLUME [\"/c d\"]", json!({ "Volumes": { "/a": {}, "/b": {}, "/c d": {} } })),
        ("USER 1:2", json!({ "User": "1:2" })),
        ("CMD echo $A", json!({ "Cmd": ["/bin/sh", "-c", "echo $A"] })),
        ("SHELL [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"]\nCMD a b", {
            json!({ "Shell": ["/bin/bash", "-o", "pipefail", "-c"], "Cmd": ["/bin/bash", "-o", "pipefail", "-c", "a b"] })
        }),
        ("CMD [\"a\", \"$B\"]", json!({ "Cmd": ["a", "$B"] })),
        ("ENTRYPOINT [\"e\"]\nCMD [\"c\"]", json!({ "Entrypoint": ["e"], "Cmd": ["c"] })),
        ("CMD [\"c\"]\nENTRYPOINT [\"e\"]", json!({ "Entrypoint": ["e"], "Cmd": ["c"] })),
        ("STOPSIGNAL SIGQUIT", json!({ "StopSignal": "SIGQUIT" })),
        ("HEALTHCHECK --interval=1m --retries=2 CMD true", {
            json!({ "Healthcheck": { "Test": ["CMD-SHELL", "true"], "Interval": 60_000_000_000_u64, "Retries": 2 } })
        }),
        ("HEALTHCHECK NONE", json!({ "Healthcheck": { "Test": ["NONE"] } })),
        ("ONBUILD COPY . /src\nONBUILD USER 7", json!({ "OnBuild": ["COPY . /src", "USER 7"] })),
        ("WORKDIR /a\nWORKDIR b\nWORKDIR ../c/./d/", json!({ "WorkingDir": "/a/c/d" })),
        ("ARG V=1\nENV A=$V\nARG V=2\nENV B=${V}x", json!({ "Env": ["A=1", "B=2x"] })),
    ] {
        assert_eq!(settings(&format!("FROM scratch\n{text}\n")), expected, "{text}");
    }
}

/// The Dockerfile reference, "Understand how ARG and FROM interact" and "Scope".
#[test]
fn arguments_are_seen_where_they_are_declared() {
    for (text, expected) in [
        ("ARG A=1\nFROM scratch\nENV B=$A", "B="),
        ("ARG A=1\nFROM scratch\nARG A\nENV B=$A", "B=1"),
        ("ARG A=1\nFROM scratch\nARG A=2\nENV B=$A", "B=2"),
        ("ARG A=1\nARG C=${A}2\nFROM scratch\nARG C\nENV B=$C", "B=12"),
        ("FROM scratch AS one\nARG A=1\nFROM one\nENV B=$A", "B=1"),
        ("FROM scratch AS one\nARG A=1\nFROM scratch\nENV B=$A", "B="),
        ("FROM scratch\nENV B=$TARGETARCH", "B="),
        ("FROM scratch\nARG TARGETARCH\nENV B=$TARGETARCH", "B=amd64"),
        ("FROM scratch\nARG BUILDPLATFORM TARGETVARIANT\nENV B=$BUILDPLATFORM,$TARGETVARIANT", "B=linux/amd64,"),
        ("FROM scratch\nENV A=e\nARG A=a\nENV B=$A", "B=a"),
        ("FROM scratch\nARG A=a\nENV A=e\nENV B=$A", "B=e"),
    ] {
        let lowered = lower(text);
        let variables = image(&lowered).settings.env.clone().unwrap();
        assert_eq!(variables.last().unwrap(), expected, "{text}");
    }
}

#[test]
fn build_arguments_take_the_place_of_defaults() {
    let asked =
        Asked { arguments: &[("A", "given"), ("B", "base"), ("TARGETARCH", "own"), ("X", "1")], ..Asked::default() };
    let lowered = asked.lower("ARG B=other\nFROM $B\nARG A=default\nARG TARGETARCH\nENV C=$A D=$TARGETARCH").unwrap();
    let variables = image(&lowered).settings.env.clone().unwrap();
    assert_eq!(variables[variables.len() - 2..], ["C=given", "D=own"]);
    assert!(matches!(&image(&lowered).base, Base::Image(base) if base.name == "base"));
    assert_eq!(lowered.unused, ["X"]);
}

#[test]
fn what_the_base_has_is_inherited() {
    let asked = Asked {
        base: json!({
            "Env": ["PATH=/opt", "A=1"], "Cmd": ["c"], "Entrypoint": ["e"], "WorkingDir": "/w", "User": "u",
            "Labels": { "l": "1" }, "ExposedPorts": { "1/tcp": {} },
        }),
        ..Asked::default()
    };
    let lowered = asked.lower("FROM base\nENV B=$A$PATH\nWORKDIR x\nENTRYPOINT [\"f\"]\nEXPOSE 2\nLABEL m=2").unwrap();
    let stage = image(&lowered);
    let settings = &stage.settings;
    assert_eq!(settings.env.as_ref().unwrap()[..], ["PATH=/opt", "A=1", "B=1/opt"]);
    assert_eq!((settings.working_dir.as_str(), settings.user.as_str()), ("/w/x", "u"));
    assert_eq!((&settings.entrypoint, &settings.cmd), (&Some(vec!["f".to_owned()]), &None));
    assert_eq!(settings.exposed_ports.as_ref().unwrap().keys().collect::<Vec<_>>(), ["1/tcp", "2/tcp"]);
    let labels = settings.labels.as_ref().unwrap();
    assert_eq!((labels["l"].as_str(), labels["m"].as_str()), ("1", "2"));
    assert_eq!(stage.author.as_deref(), Some("who made the base"));
    // What USER says owns the directories that WORKDIR makes.
    let owner = Some("u".to_owned());
    assert!(
        stage
            .steps
            .iter()
            .any(|step| step.work == Work::Directory(Directory { path: "w/x".to_owned(), owner: owner.clone() }))
    );
}

#[test]
fn triggers_of_the_base_run_first_and_once() {
    let asked = Asked { base: json!({ "OnBuild": ["ENV A=1", "COPY a /b"] }), ..Asked::default() };
    let lowered = asked.lower("FROM base AS one\nENV A=${A}2\nFROM one\nENV B=$A").unwrap();
    let stage = image(&lowered);
    assert_eq!(stage.settings.env.as_ref().unwrap()[1..], ["A=12", "B=12"]);
    assert_eq!(stage.settings.on_build, None);
    let Base::Stage(one) = stage.base else { panic!("{:?}", stage.base) };
    assert_eq!(copies(&lowered.plan.stages[one]).len(), 1);

    let own = lower("FROM scratch AS one\nONBUILD ENV A=1\nFROM one AS two\nFROM two\nENV B=$A");
    assert_eq!(image(&own).settings.env.as_ref().unwrap()[1..], ["A=1", "B=1"]);
}

#[test]
fn only_what_the_target_needs_is_there() {
    let text = "FROM missing AS unneeded\nRUN x\nFROM scratch AS files\nCOPY f /\nFROM scratch AS wanted\nCOPY --from=files /f /g\n\
                FROM missing2\nCOPY --from=unneeded a b";
    let lowered = Asked { target: Some("Wanted"), ..Asked::default() }.lower(text).unwrap();
    let titles: Vec<&str> = lowered.plan.stages.iter().map(|stage| stage.title.as_str()).collect();
    assert_eq!(titles, ["files", "wanted"]);
    let copy = copies(image(&lowered))[0];
    assert_eq!((&copy.from, &copy.to), (&Provider::Stage(0), &destination("g", false)));
    assert_eq!(copy.items, [CopyItem::Pattern("/f".to_owned())]);
}

#[test]
fn stages_are_one_for_all_platforms_where_the_platform_does_not_matter() {
    let text = "FROM --platform=$BUILDPLATFORM base AS build\nCOPY a /\n\
                FROM base\nARG TARGETARCH\nCOPY --from=build /a /$TARGETARCH";
    let lowered = Asked { platforms: &["linux/amd64", "linux/arm64"], ..Asked::default() }.lower(text).unwrap();
    let of: Vec<(&str, String)> =
        lowered.plan.stages.iter().map(|stage| (stage.title.as_str(), stage.platform.to_string())).collect();
    let expected = [("build", "linux/amd64"), ("stage-1", "linux/amd64"), ("stage-1", "linux/arm64")];
    assert_eq!(of, expected.map(|(title, platform)| (title, platform.to_owned())));
    assert_eq!(lowered.plan.targets[0].images, [1, 2]);
    assert_eq!(copies(&lowered.plan.stages[2])[0].to, destination("arm64", false));
}

#[test]
fn destinations_are_relative_to_the_working_directory() {
    for (to, expected) in [
        ("x", destination("w/x", false)),
        ("x/", destination("w/x", true)),
        (".", destination("w", true)),
        ("./", destination("w", true)),
        ("..", destination("", true)),
        ("/", destination("", true)),
        ("/a/./b/../c/", destination("a/c", true)),
        ("/a/.", destination("a", true)),
        ("../../../x", destination("x", false)),
    ] {
        let lowered = lower(&format!("FROM scratch\nWORKDIR /w\nCOPY f {to}"));
        assert_eq!(copies(image(&lowered))[0].to, expected, "{to}");
    }
}

#[test]
fn named_contexts_take_the_place_of_stages_and_images() {
    let named = [
        ("lib", NamedSource::Directory(1)),
        ("alpine", NamedSource::Image("base".to_owned())),
        ("two", NamedSource::Directory(1)),
    ];
    let asked = Asked { named: &named, ..Asked::default() };
    let lowered =
        asked.lower("FROM missing AS two\nRUN x\nFROM alpine\nCOPY --from=lib a /\nCOPY --from=two b /").unwrap();
    let stage = image(&lowered);
    assert!(matches!(&stage.base, Base::Image(base) if base.name == "base"));
    let [lib, two] = copies(stage)[..] else { panic!() };
    assert_eq!(lib.from, Provider::Context(1));
    let Provider::Stage(two) = two.from else { panic!("{:?}", two.from) };
    assert_eq!(copies(&lowered.plan.stages[two])[0].from, Provider::Context(1));
}

#[test]
fn a_context_of_nothing_is_a_base_and_a_source_without_files() {
    let named = [("empty", NamedSource::Nothing), ("two", NamedSource::Nothing)];
    let asked = Asked { named: &named, ..Asked::default() };
    let lowered =
        asked.lower("FROM missing AS two\nRUN x\nFROM empty\nENV A=1\nCOPY --from=two / /\nCOPY --from=empty / /");
    let lowered = lowered.unwrap();
    let stage = image(&lowered);
    assert_eq!((&stage.base, &stage.settings.working_dir[..]), (&Base::Scratch, "/"));
    for copy in copies(stage) {
        let Provider::Stage(number) = copy.from else { panic!("{:?}", copy.from) };
        let from = &lowered.plan.stages[number];
        assert_eq!((&from.base, from.steps.len()), (&Base::Scratch, 0));
    }
}

/// As BuildKit's `NormalizeWorkdir` has it for all but Windows.
#[test]
fn an_absolute_working_directory_stays_as_it_is_written() {
    for (text, expected, made) in [
        ("WORKDIR /a/", "/a/", "a"),
        ("WORKDIR /a/../b//c", "/a/../b//c", "b/c"),
        ("WORKDIR /a/\nWORKDIR b/", "/a/b", "a/b"),
        ("WORKDIR /a/\nENV E=\nWORKDIR $E", "/a", "a"),
        ("WORKDIR b/", "/b", "b"),
    ] {
        let lowered = lower(&format!("FROM scratch\n{text}\n"));
        let stage = image(&lowered);
        assert_eq!(stage.settings.working_dir, expected, "{text}");
        let last = stage.steps.last().unwrap();
        assert_eq!(last.title, format!("WORKDIR {expected}"));
        assert_eq!(last.work, Work::Directory(Directory { path: made.to_owned(), owner: None }));
    }
}

#[test]
fn an_empty_checksum_is_none() {
    let of = |arguments: &[(&str, &str)], text: &str| Asked { arguments, ..Asked::default() }.lower(text);
    for text in ["http://a.example/f", "http://a.example/f http://a.example/g", "local", "https://a.example/r.git"] {
        let text = format!("FROM scratch\nARG SUM\nADD --checksum=$SUM {text} /x/\n");
        let lowered = of(&[], &text).unwrap();
        for item in &copies(image(&lowered))[0].items {
            assert!(
                !matches!(item, CopyItem::Url { checksum: Some(_), .. } | CopyItem::Git { checksum: Some(_), .. }),
                "{item:?}"
            );
        }
    }
    let error = of(&[("SUM", "x")], "FROM scratch\nARG SUM\nADD --checksum=$SUM http://a.example/f /x/\n").unwrap_err();
    assert!(error.message.contains("`x` is not a digest"), "{error:?}");
}

/// What BuildKit refuses of them as soon as a stage is looked at.
#[test]
fn mounts_are_looked_at_before_a_command_is_run() {
    for (options, words) in [
        ("typ=tmpfs", "no option `typ`"),
        ("type=tmp,target=/x", "no mount of type `tmp`"),
        ("type=cache,target=/x,sharing=some", "`some` cannot be the `sharing`"),
        ("type=bind,source=a", "the root as its target"),
        ("type=tmpfs,target=/", "the root as its target"),
        ("type=cache,target=$NONE", "the root as its target"),
        ("type=secret,mode=rw", "`rw` cannot be the `mode`"),
        ("type=secret", "needs an `id`"),
        ("type=$KIND,target=/x", "no mount of type `none`"),
        ("type=bind,target=/x,from=later", "stage `later`"),
        ("type=bind,target", "needs a value"),
        ("type=tmpfs,target=/x,mode=700", "no mode, uid or gid"),
    ] {
        let text = format!("FROM scratch\nENV KIND=none\nRUN \\\n --mount={options} true\nFROM scratch AS later\n");
        let error = Asked::default().check(&text).unwrap_err();
        assert!(error.message.contains(words), "{options}: {error:?}");
        assert_eq!(error.excerpt.map(|excerpt| excerpt.line), Some(4), "{options}");
    }
    for options in [
        "type=cache,target=/x,sharing=LOCKED,mode=0755,uid=1",
        "target=/x",
        "type=bind,target=rel,ro=false",
        "type=tmpfs,dst=/x,size=1m",
        "type=secret,id=a,env=A",
        "type=ssh",
        "type=cache,target=$CACHE",
    ] {
        let text = format!("FROM scratch\nENV CACHE=/cache\nRUN --mount={options} true\n");
        assert_eq!(Asked::default().check(&text).unwrap(), [], "{options}");
    }
    // Of an image that nobody has seen a variable may be anything.
    assert_eq!(Asked::default().check("FROM other\nRUN --mount=type=cache,target=$HOME true\n").unwrap(), []);
    let error = Asked::default().lower("FROM scratch\nRUN --mount=typ=a true\n").unwrap_err();
    assert!(error.message.contains("no option `typ`"), "a build says so, too: {error:?}");
}

/// As BuildKit's `finalizeResultImage` has it.
#[test]
fn an_image_is_for_the_platform_that_was_asked_for() {
    let of = |asked: &str, base: Value| {
        let asked: Platform = asked.parse().unwrap();
        let base: Platform = serde_json::from_value(base).unwrap();
        let found = asked.standing_on(&base);
        (found.to_string(), found.os_version.unwrap_or_default(), found.os_features.len())
    };
    let windows = json!({ "os": "windows", "architecture": "amd64", "os.version": "10.0", "os.features": ["win32k"] });
    for (asked, base, expected) in [
        ("linux/arm64", json!({ "os": "linux", "architecture": "amd64", "variant": "v2" }), ("linux/arm64", "", 0)),
        ("linux/amd64", json!({ "os": "linux", "architecture": "amd64", "variant": "v2" }), ("linux/amd64/v2", "", 0)),
        ("linux/arm/v6", json!({ "os": "linux", "architecture": "arm", "variant": "v7" }), ("linux/arm/v6", "", 0)),
        ("linux/arm64", json!({ "os": "linux", "architecture": "arm64", "variant": "v8" }), ("linux/arm64", "", 0)),
        ("windows/amd64", windows.clone(), ("windows/amd64", "10.0", 1)),
        ("linux/amd64", windows, ("linux/amd64", "", 0)),
    ] {
        let (platform, version, features) = of(asked, base.clone());
        assert_eq!((&platform[..], &version[..], features), expected, "{asked} on {base}");
    }
}

#[test]
fn what_is_wrong_is_shown_where_it_stands() {
    for (text, line, words) in [
        ("FROM scratch AS one\nCOPY --from=two a /\nFROM scratch AS two\nCOPY --from=one a /", 2, "stage `two`"),
        ("FROM scratch AS own\nCOPY --from=own a /", 2, "stage `own`"),
        ("FROM scratch AS builder\nFROM scratch\nCOPY --from=bulider a /", 3, "there is no bulider"),
        ("FROM scratch\nCOPY --from=7 a /", 2, "no stage 7"),
        ("ARG X=1\nFROM scratch\nCOPY --from=$X a /", 3, "--from"),
        ("FROM scratch\n\nRUN []", 3, "RUN"),
        ("ARG V\nFROM $V", 2, "names no image"),
        ("FROM scratch\nENV A=${B:?missing}", 2, "missing"),
        ("FROM scratch\nEXPOSE 70000", 2, "70000"),
        ("FROM scratch\nSTOPSIGNAL SIGX", 2, "SIGX"),
        ("FROM scratch\nCOPY --chmod=888 a /", 2, "888"),
        ("FROM scratch\nCOPY https://example.com/a /", 2, "COPY cannot download"),
        ("FROM scratch\nADD --checksum=sha256:0 a /", 2, "checksum"),
        ("FROM nothing", 1, "there is no nothing"),
        ("FROM --platform=linux/amd46 scratch", 1, "amd46"),
    ] {
        let error = Asked::default().lower(text).unwrap_err();
        let place = error.excerpt.as_ref().unwrap_or_else(|| panic!("{text}: {error} is nowhere"));
        assert_eq!(place.line, line, "{text}: {error}");
        assert!(error.message.contains(words), "{text}: {error}");
    }
    let error = Asked { target: Some("biuld"), ..Asked::default() }.lower("FROM scratch AS build").unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("did you mean `build`?"));
}

/// The names and words of the rules are those of docker's build checks.
#[test]
fn checks_that_need_values_are_made() {
    for (text, line, expected) in [
        ("FROM scratch\nENV FOO=1\nLABEL a=$FOP", 3, "Usage of undefined variable '$FOP' (did you mean $FOO?)"),
        (
            "# check=experimental=CopyIgnoredFile\nFROM scratch\nCOPY ignored /",
            3,
            "Attempting to Copy file \"ignored\" that is excluded by .dockerignore",
        ),
        ("FROM --platform=$TARGETPLATFORM base", 1, {
            "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior"
        }),
        ("FROM scratch\nWORKDIR app", 2, {
            "Relative workdir \"app\" can have unexpected results if the base image changes"
        }),
        ("ARG V=base\nFROM ${V}${W}", 2, "FROM argument 'W' is not declared"),
        ("FROM --platform=linux/amd64 base", 1, "FROM --platform flag should not use constant value \"linux/amd64\""),
    ] {
        let warnings = lower(text).warnings;
        let messages: Vec<(usize, &str)> =
            warnings.iter().map(|warning| (warning.place.line, warning.message.as_str())).collect();
        assert!(messages.contains(&(line, expected)), "{text}: {messages:?}");
        if !text.starts_with('#') {
            assert_eq!(lower(&format!("# check=skip=all\n{text}")).warnings, [], "{text}");
        }
    }
    assert_eq!(lower("ARG A\nFROM scratch\nARG A\nLABEL b=$A").warnings, []);
    let arguments = [("V", "base")];
    let given = Asked { arguments: &arguments, ..Asked::default() }.lower("ARG V\nFROM $V").unwrap().warnings;
    assert_eq!(given[0].message, "Default value for ARG $V results in empty or invalid base image name");
}

#[test]
fn checks_do_without_an_image_that_is_not_to_be_had() {
    let text = "FROM missing AS one\nENV A=$OF_THE_IMAGE\nRUN make\nCOPY --from=missing2 a /\nFROM scratch\nENV B=$C\nWORKDIR w";
    let found = Asked::default().check(text).unwrap();
    let lines: Vec<(usize, LintRule)> = found.iter().map(|warning| (warning.place.line, warning.rule)).collect();
    assert_eq!(lines, [(6, LintRule::UndefinedVar), (7, LintRule::WorkdirRelativePath)]);
}

#[test]
fn heredocs_are_files() {
    let lowered = lower("FROM scratch\nARG A=1\nCOPY <<one <<-\"two\" f /d/\n$A \"q\"\none\n\t$A\ntwo\n");
    let text = |name: &str, content: &str| CopyItem::Text { name: name.to_owned(), content: content.into() };
    let expected = [CopyItem::Pattern("f".to_owned()), text("one", "1 \"q\"\n"), text("two", "$A\n")];
    assert_eq!(copies(image(&lowered))[0].items, expected);
}

#[test]
fn chains_of_stages_may_be_long() {
    for link in ["FROM s{below} AS s{number}\n", "FROM scratch AS s{number}\nCOPY --from=s{below} a /\n"] {
        let mut text = "FROM scratch AS s0\n".to_owned();
        for number in 1..2000 {
            let link = link.replace("{below}", &(number - 1).to_string()).replace("{number}", &number.to_string());
            text.push_str(&link);
        }
        assert_eq!(lower(&text).plan.stages.len(), 2000);
    }
}
