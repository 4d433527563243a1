//! `RUN`, lowered: what is run and what it is given. Expectations follow BuildKit's `dispatchRun`, `dispatchRunMounts` and
//! what these make of secrets and agents.

use std::fmt::Debug;

use ocibake::plan::dockerfile::NamedSource;
use ocibake::plan::{
    CacheSharing, Entitlement, Provider, Run, RunFile, RunMountKind, RunNetwork, RunSecurity, Stage, Step, Work,
};
use serde_json::json;

use super::lower::{Asked, image, lower};

fn steps(stage: &Stage) -> Vec<(&Step, &Run)> {
    let run = |step: &'_ Step| matches!(step.work, Work::Run(_));
    let steps = stage.steps.iter().filter(|step| run(step));
    steps
        .map(|step| match &step.work {
            Work::Run(run) => (step, run),
            _ => unreachable!(),
        })
        .collect()
}

/// What the last `RUN` of a Dockerfile comes to.
fn asked_run(asked: &Asked<'_>, text: &str) -> Run {
    let lowered = asked.lower(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    steps(image(&lowered)).last().unwrap().1.clone()
}

fn run(line: &str) -> Run {
    asked_run(&Asked::default(), &format!("FROM scratch\n{line}\n"))
}

/// The variables without `PATH`, as `env` shows them.
fn variables(run: &Run) -> Vec<String> {
    let own = run.environment.iter().filter(|(name, _)| name != "PATH");
    own.map(|(name, value)| format!("{name}={value}")).collect()
}

fn lines(all: &[impl Debug]) -> String {
    all.iter().map(|one| format!("{one:?}\n")).collect()
}

/// The lines of the history that are a command's.
fn histories(text: &str) -> Vec<String> {
    let lowered = lower(text);
    steps(image(&lowered)).iter().map(|(step, _)| step.created_by.clone().unwrap()).collect()
}

#[test]
fn a_command_as_a_whole() {
    let text = "FROM scratch\nARG V=1\nENV A=$V\nWORKDIR /app/../srv/\nUSER app:staff\n\
                RUN --network=none --mount=type=tmpfs,target=tmp,size=1k make  \"$A\"   && true\n";
    let lowered = lower(text);
    let (step, run) = steps(image(&lowered))[0];
    insta::assert_debug_snapshot!(run, @r#"
    Run {
        arguments: [
            "/bin/sh",
            "-c",
            "make  \"$A\"   && true",
        ],
        files: [],
        environment: [
            (
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            ),
            (
                "V",
                "1",
            ),
            (
                "A",
                "1",
            ),
        ],
        secret_variables: [],
        directory: "/srv",
        user: "app:staff",
        network: None,
        security: Sandbox,
        mounts: [
            RunMount {
                target: "/srv/tmp",
                kind: Tmpfs {
                    size: Some(
                        1024,
                    ),
                },
                read_only: false,
            },
        ],
    }
    "#);
    assert_eq!(step.title, "RUN --network=none --mount=type=tmpfs,target=tmp,size=1k make  \"$A\"   && true");
    assert_eq!(step.created_by.as_deref(), Some("RUN |1 V=1 /bin/sh -c make  \"$A\"   && true # buildkit"));
    assert_eq!(step.place.as_ref().unwrap().line, 6);
}

#[test]
fn the_shell_reads_a_line_and_nobody_a_list() {
    for (text, expected) in [
        ("RUN echo $A \\\n  # c\n  'b c'", &["/bin/sh", "-c", "echo $A   'b c'"][..]),
        ("RUN", &["/bin/sh", "-c", ""]),
        (
            "SHELL [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"]\nRUN a | b",
            &["/bin/bash", "-o", "pipefail", "-c", "a | b"],
        ),
        ("RUN [\"/bin/echo\", \"$A\", \"\"]", &["/bin/echo", "$A", ""]),
        ("SHELL [\"/bin/bash\", \"-c\"]\nRUN [\"a\"]", &["a"]),
        // It is no list, so it is a line.
        ("RUN [ -d /x ]", &["/bin/sh", "-c", "[ -d /x ]"]),
        ("RUN ['a']", &["/bin/sh", "-c", "['a']"]),
    ] {
        assert_eq!(run(text).arguments, expected, "{text}");
        assert!(run(text).files.is_empty());
    }
    let inherited = Asked { base: json!({ "Shell": ["/bin/ash", "-c"] }), ..Asked::default() };
    assert_eq!(asked_run(&inherited, "FROM base\nRUN a").arguments, ["/bin/ash", "-c", "a"]);
}

#[test]
fn a_heredoc_alone_is_the_script() {
    for (text, expected) in [
        ("RUN <<E\necho $A\n\ttab\nE", "echo $A\n\ttab\n"),
        ("RUN <<'E'\necho $A\nE", "echo $A\n"),
        ("RUN <<-E\n\t\techo\n\tE", "echo\n"),
        ("RUN <<E\nE", ""),
        ("RUN 3<< E\na\nE", "a\n"),
        // What stands in a line stays there for the shell, which strips tabs by itself.
        ("RUN python3 <<E\nprint()\nE", "python3 <<E\nprint()\nE"),
        ("RUN <<E cat\na\nE", "<<E cat\na\nE"),
        ("RUN <<-E cat && <<'F' tee\n\ta\n\tE\nb\nF", "<<-E cat && <<'F' tee\n\ta\nE\nb\nF"),
    ] {
        let found = run(text);
        assert_eq!(found.arguments, ["/bin/sh", "-c", expected], "{text}");
        assert!(found.files.is_empty(), "{text}");
    }
    let lowered = lower("FROM scratch\nRUN --network=none <<E\n\necho a\necho b\nE\n");
    let (step, _) = steps(image(&lowered))[0];
    assert_eq!(step.title, "RUN --network=none <<E (echo a...)");
    assert_eq!(step.created_by.as_deref(), Some("RUN /bin/sh -c \necho a\necho b\n # buildkit"));
}

#[test]
fn a_heredoc_that_names_its_program_is_a_program() {
    let found =
        run("SHELL [\"/bin/bash\", \"-c\"]\nRUN <<-script.py\n\t#!/usr/bin/env python3\n\tprint('$A')\n\tscript.py");
    assert_eq!(found.arguments, ["/dev/pipes/script.py"]);
    let content = "#!/usr/bin/env python3\nprint('$A')\n".into();
    assert_eq!(found.files, [RunFile { path: "/dev/pipes/script.py".to_owned(), content, mode: 0o755 }]);
    // Only if it is alone, and only at its very beginning.
    assert_eq!(run("RUN cat <<E\n#!/bin/sh\nE").files, []);
    assert_eq!(run("RUN <<E\n #!/bin/sh\nE").files, []);
    for name in ["../x", "a/b", "..", "."] {
        let error = Asked::default().lower(&format!("FROM scratch\nRUN <<{name}\n#!/bin/sh\n{name}\n")).unwrap_err();
        assert!(error.message.contains("cannot be the name of a script"), "{error}");
    }
}

/// Of `ARG` and `ENV` the later one counts, as in BuildKit's own list of variables.
#[test]
fn variables_are_those_of_the_image_and_of_the_build() {
    for (text, expected) in [
        ("ENV A=1 B=2\nRUN x", &["A=1", "B=2"][..]),
        ("ENV A=1\nENV B=2\nENV A=3\nRUN x", &["B=2", "A=3"]),
        ("ARG A=1\nRUN x", &["A=1"]),
        ("ARG A\nRUN x", &[]),
        ("ARG A=\nRUN x", &["A="]),
        ("ENV A=e\nARG A=a\nRUN x", &["A=a"]),
        ("ARG A=a\nENV A=e\nRUN x", &["A=e"]),
        ("RUN x\nARG A=1", &[]),
        ("ARG GIVEN=1\nRUN x", &["GIVEN=given"]),
        ("ARG GIVEN\nRUN x", &["GIVEN=given"]),
        ("ARG GLOBAL\nRUN x", &["GLOBAL=g"]),
        ("RUN x", &[]),
        ("ARG TARGETARCH BUILDPLATFORM\nRUN x", &["TARGETARCH=amd64", "BUILDPLATFORM=linux/amd64"]),
        // Proxies are there without being declared, too, but in no plan.
        ("ARG HTTP_PROXY\nRUN x", &["HTTP_PROXY=http://p:1"]),
        ("ARG SOURCE_DATE_EPOCH\nRUN x", &["SOURCE_DATE_EPOCH=7"]),
    ] {
        let arguments = [("GIVEN", "given"), ("HTTP_PROXY", "http://p:1"), ("SOURCE_DATE_EPOCH", "7"), ("OTHER", "1")];
        let asked = Asked { arguments: &arguments, ..Asked::default() };
        let found = asked_run(&asked, &format!("ARG GLOBAL=g\nFROM scratch\n{text}\n"));
        assert_eq!(variables(&found), expected, "{text}");
    }
    // A stage on top of another begins with what its image has.
    let below = "FROM scratch AS one\nENV E=e F=f\nARG E=arg A=1\n";
    assert_eq!(variables(&asked_run(&Asked::default(), &format!("{below}RUN x\n"))), ["F=f", "E=arg", "A=1"]);
    assert_eq!(variables(&asked_run(&Asked::default(), &format!("{below}FROM one\nRUN x\n"))), ["A=1", "E=e", "F=f"]);
    let usual = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(run("RUN x").environment, [("PATH".to_owned(), usual.to_owned())]);
    let base = json!({ "Env": ["PATH=/opt", "A=1", "B", "A=2"], "WorkingDir": "w", "User": "7" });
    let found = asked_run(&Asked { base, ..Asked::default() }, "FROM base\nENV PATH=/mine:$PATH\nRUN x");
    assert_eq!(found.environment.last().unwrap().1, "/mine:/opt");
    assert_eq!(variables(&found), ["B=", "A=2"]);
    assert_eq!((found.directory.as_str(), found.user.as_str()), ("/w", "7"));
}

#[test]
fn stages_hand_their_arguments_on() {
    let text = "FROM scratch AS one\nARG A=1\nARG N\nFROM one\nARG B=2\nENV N=env\nRUN x\nARG A=3\nRUN y\nARG Z=1\n";
    let expected = ["RUN |3 A=1 N=env B=2 /bin/sh -c x # buildkit", "RUN |3 A=3 N=env B=2 /bin/sh -c y # buildkit"];
    assert_eq!(histories(text), expected);
    // One without a value is there, and empty.
    assert_eq!(histories("FROM scratch\nARG N\nRUN [\"a\", \"b c\"]\n"), ["RUN |1 N= a b c # buildkit"]);
    assert_eq!(histories("FROM scratch\nRUN apt-get update\n"), ["RUN /bin/sh -c apt-get update # buildkit"]);
}

/// The lines are those that docker 28 has written for these instructions.
#[test]
fn the_history_is_written_as_docker_writes_it() {
    let text = "FROM scratch\nSHELL [\"/bin/ash\", \"-c\"]\nCMD echo \"a\"\nENTRYPOINT [\"b\", \"c d\"]\nEXPOSE 80 53/udp\n\
                VOLUME /d1 \"/d2\"\nVOLUME [\"/d 3\"]\nCOPY --chown=1:2 --chmod=u+x a b /c/\nCOPY a ./d/\nADD <<E /e\nE\nRUN <<E\n#!/bin/awk -f\nE\n";
    let lowered = lower(text);
    let history: Vec<_> =
        image(&lowered).steps.iter().map(|step| step.created_by.as_ref().unwrap_or(&step.title).as_str()).collect();
    assert_eq!(
        history,
        [
            "SHELL [/bin/ash -c]",
            r#"CMD ["/bin/ash" "-c" "echo \"a\""]"#,
            r#"ENTRYPOINT ["b" "c d"]"#,
            "EXPOSE [53/udp 80/tcp]",
            "VOLUME [/d1 /d2]",
            "VOLUME [/d 3]",
            "COPY --chown=1:2 --chmod=u+x a b /c/ # buildkit",
            "COPY a ./d/ # buildkit",
            "ADD <<E /e # buildkit",
            "RUN /bin/ash -c /dev/pipes/E # buildkit",
        ]
    );
}

#[test]
fn mounts_of_every_type() {
    let lowered = Asked {
        named: &[("lib", NamedSource::Directory(1)), ("pinned", NamedSource::Image("base".to_owned()))],
        ..Asked::default()
    }
    .lower(
        "FROM scratch AS build\nCOPY a /\nFROM base AS other\nCOPY b /\nFROM scratch\nWORKDIR /w\nENV D=/d\n\
         RUN --mount=target=ctx --mount=source=/a/../b,target=/z,rw --mount=from=build,source=x/,target=$D/one \
         --mount=from=1,dst=/two --mount=from=lib,dst=/three --mount=from=scratch,dst=/four,rw --mount=src=f \
         --mount=type=cache,target=cache/./x/ \
         --mount=type=cache,target=/root/.cache//,from=Build,src=c,sharing=locked,uid=1,gid=2,mode=0700,ro \
         --mount=type=cache,id=../../etc,target=/c --mount=type=tmpfs,target=/t,size=1m --mount=type=tmpfs,target=/t/u x\n",
    )
    .unwrap();
    let (_, run) = steps(image(&lowered))[0];
    let targets: Vec<&str> = run.mounts.iter().map(|mount| mount.target.as_str()).collect();
    let expected =
        ["/c", "/d/one", "/four", "/root/.cache", "/t", "/t/u", "/three", "/two", "/w", "/w/cache/x", "/w/ctx", "/z"];
    assert_eq!(targets, expected);
    insta::assert_snapshot!(lines(&run.mounts), @r#"
    RunMount { target: "/c", kind: Cache { id: "../../etc", sharing: Shared, from: None, source: "", mode: 493, user: 0, group: 0 }, read_only: false }
    RunMount { target: "/d/one", kind: Bind { from: Stage(0), source: "x" }, read_only: true }
    RunMount { target: "/four", kind: Bind { from: Stage(2), source: "" }, read_only: false }
    RunMount { target: "/root/.cache", kind: Cache { id: "/root/.cache", sharing: Locked, from: Some(Stage(0)), source: "c", mode: 448, user: 1, group: 2 }, read_only: true }
    RunMount { target: "/t", kind: Tmpfs { size: Some(1048576) }, read_only: false }
    RunMount { target: "/t/u", kind: Tmpfs { size: None }, read_only: false }
    RunMount { target: "/three", kind: Bind { from: Context(1), source: "" }, read_only: true }
    RunMount { target: "/two", kind: Bind { from: Stage(1), source: "" }, read_only: true }
    RunMount { target: "/w", kind: Bind { from: Context(0), source: "f" }, read_only: true }
    RunMount { target: "/w/cache/x", kind: Cache { id: "cache/x", sharing: Shared, from: None, source: "", mode: 493, user: 0, group: 0 }, read_only: false }
    RunMount { target: "/w/ctx", kind: Bind { from: Context(0), source: "" }, read_only: true }
    RunMount { target: "/z", kind: Bind { from: Context(0), source: "b" }, read_only: false }
    "#);
    let titles: Vec<&str> = run.stages().map(|stage| lowered.plan.stages[stage].title.as_str()).collect();
    assert_eq!(titles, ["build", "scratch", "build", "other"]);
    let image = asked_run(&Asked::default(), "FROM scratch\nRUN --mount=from=base,dst=/x a");
    assert!(matches!(image.providers().next(), Some(Provider::Image(image)) if image.name == "base"));
}

#[test]
fn secrets_and_agents_have_their_places() {
    let found = run("WORKDIR /w\nRUN --mount=type=secret,id=a --mount=type=secret,id=dir/b,env=B,required \
                     --mount=type=secret,id=c,env=C,target=c,mode=0444,uid=1,gid=2 --mount=type=secret,target=/x/d \
                     --mount=type=secret,src=e,target=/e,required=true --mount=type=ssh,target=/s \
                     --mount=type=ssh,id=other,required --mount=type=secret,id=b2,env=B x");
    insta::assert_snapshot!(lines(&found.secret_variables), @r#"
    SecretVariable { name: "C", id: "c", required: false }
    SecretVariable { name: "B", id: "b2", required: false }
    "#);
    insta::assert_snapshot!(lines(&found.mounts), @r#"
    RunMount { target: "/e", kind: Secret { id: "e", required: true, mode: 256, user: 0, group: 0 }, read_only: true }
    RunMount { target: "/run/buildkit/ssh_agent.1", kind: Ssh { id: "other", required: true, mode: 384, user: 0, group: 0 }, read_only: true }
    RunMount { target: "/run/secrets/a", kind: Secret { id: "a", required: false, mode: 256, user: 0, group: 0 }, read_only: true }
    RunMount { target: "/s", kind: Ssh { id: "default", required: false, mode: 384, user: 0, group: 0 }, read_only: true }
    RunMount { target: "/w/c", kind: Secret { id: "c", required: false, mode: 292, user: 1, group: 2 }, read_only: true }
    RunMount { target: "/x/d", kind: Secret { id: "d", required: false, mode: 256, user: 0, group: 0 }, read_only: true }
    "#);
    assert_eq!(variables(&found), ["SSH_AUTH_SOCK=/s"]);
    assert_eq!(variables(&run("RUN --mount=type=ssh --mount=type=ssh x")), ["SSH_AUTH_SOCK=/run/buildkit/ssh_agent.0"]);
    assert_eq!(variables(&run("ENV SSH_AUTH_SOCK=/own\nRUN --mount=type=ssh x")), ["SSH_AUTH_SOCK=/own"]);
    for (mount, words) in [
        ("type=secret,id=/", "has no file name"),
        ("type=secret,id=a,env=", "cannot be the name of a variable"),
        ("type=secret,id=a,env=A=B", "cannot be the name of a variable"),
        ("type=ssh,source=/s", "no `source`"),
        ("type=secret,id=a,target=/", "the root as its target"),
    ] {
        let error = Asked::default().lower(&format!("FROM scratch\nRUN --mount={mount} x")).unwrap_err();
        assert!(error.message.contains(words), "{mount}: {error}");
    }
}

#[test]
fn caches_of_a_namespace_are_apart() {
    let id = |arguments: &[(&str, &str)], mount: &str| {
        let asked = Asked { arguments, ..Asked::default() };
        let found = asked_run(&asked, &format!("FROM scratch\nRUN --mount=type=cache,{mount} x"));
        let RunMountKind::Cache { id, sharing, .. } = &found.mounts[0].kind else { panic!("{found:?}") };
        assert_eq!(*sharing, CacheSharing::Shared);
        id.clone()
    };
    assert_eq!(id(&[], "target=/a/../b/"), "/b");
    assert_eq!(id(&[], "target=/a,id=go"), "go");
    assert_eq!(id(&[("BUILDKIT_CACHE_MOUNT_NS", "ns")], "target=/a,id=go"), "ns/go");
    assert_eq!(id(&[("BUILDKIT_CACHE_MOUNT_NS", "ns")], "target=/a"), "ns//a");
}

/// CVE-2024-23653: what is asked for has to be allowed, wherever the instruction comes from.
#[test]
fn what_is_asked_for_has_to_be_allowed() {
    let both = [Entitlement::NetworkHost, Entitlement::SecurityInsecure];
    for (flag, word, entitlement) in [
        ("--network=host", "network.host", Entitlement::NetworkHost),
        ("--security=insecure", "security.insecure", Entitlement::SecurityInsecure),
    ] {
        let other = both.into_iter().find(|other| *other != entitlement).unwrap();
        let trigger = format!("RUN {flag} x");
        for (base, text) in [
            (json!({}), format!("FROM scratch\nRUN {flag} x")),
            (json!({}), format!("FROM scratch AS one\nONBUILD RUN {flag} x\nFROM one")),
            (json!({}), format!("FROM scratch AS one\nRUN {flag} x\nFROM scratch\nCOPY --from=one / /")),
            (json!({}), format!("FROM scratch AS one\nRUN {flag} x\nFROM scratch\nRUN --mount=from=one,dst=/x y")),
            (json!({ "OnBuild": [trigger] }), "FROM base".to_owned()),
        ] {
            for allowed in [&[][..], &[other]] {
                let error = Asked { base: base.clone(), allowed, ..Asked::default() }.lower(&text).unwrap_err();
                assert_eq!(error.message, format!("`{flag}` is not allowed in this build"), "{text}");
                assert!(error.hint.unwrap().ends_with(&format!("--allow {word}")));
                assert!(error.excerpt.is_some());
            }
            Asked { base, allowed: &[entitlement], ..Asked::default() }.lower(&text).unwrap();
        }
        // Nothing is run for the checks.
        assert_eq!(Asked::default().check(&format!("FROM scratch\nRUN {flag} x\n")).unwrap(), []);
    }
    let asked = Asked { allowed: &both, ..Asked::default() };
    let found = asked_run(&asked, "FROM scratch\nRUN --network=host --security=insecure x");
    assert_eq!((found.network, found.security), (RunNetwork::Host, RunSecurity::Insecure));
    assert_eq!((run("RUN x").network, run("RUN x").security), (RunNetwork::Default, RunSecurity::Sandbox));
}

#[test]
fn what_cannot_be_run_is_shown_where_it_stands() {
    let refused = |text: &str| {
        let error = Asked { allowed: &[], platforms: &[], base: json!({ "Env": ["A=\0"] }), ..Asked::default() };
        crate::support::reading::shown(&error.lower(text).unwrap_err())
    };
    insta::assert_snapshot!(refused("FROM scratch\nRUN --network=host --mount=type=tmpfs,target=/x a"), @r"
    `--network=host` is not allowed in this build
     --> Dockerfile:2:1
      |
    2 | RUN --network=host --mount=type=tmpfs,target=/x a
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: if you trust the Dockerfile and its bases, allow it with --allow network.host
    ");
    insta::assert_snapshot!(refused("FROM scratch\nRUN --device=vendor.com/gpu=all a"), @r"
    the device `vendor.com/gpu=all` is not available: a build has no devices
     --> Dockerfile:2:14
      |
    2 | RUN --device=vendor.com/gpu=all a
      |              ^^^^^^^^^^^^^^^^^^
    hint: leave `--device` out, or do what needs the device in a container of the image
    ");
    insta::assert_snapshot!(refused("FROM scratch\nRUN []"), @r#"
    `RUN []` runs nothing
     --> Dockerfile:2:1
      |
    2 | RUN []
      | ^^^^^^
    hint: name a program, as in `RUN ["/bin/true"]`
    "#);
    insta::assert_snapshot!(refused("FROM scratch\nRUN [\"a\\u0000b\"]"), @r#"
    a command cannot hold a NUL byte
     --> Dockerfile:2:1
      |
    2 | RUN ["a\u0000b"]
      | ^^^^^^^^^^^^^^^^
    "#);
    insta::assert_snapshot!(refused("FROM base\nRUN a"), @r"
    the variable `A` cannot hold a NUL byte
     --> Dockerfile:2:1
      |
    2 | RUN a
      | ^^^^^
    ");
    insta::assert_snapshot!(refused("FROM scratch\nRUN <<a/b\n#!/bin/sh\na/b"), @r"
    `a/b` cannot be the name of a script
     --> Dockerfile:2:1
      |
    2 | RUN <<a/b
      | ^^^^^^^^^
    hint: the script becomes a file of that name: take one without a slash, such as EOF
    ");
    let windows = Asked { platforms: &["windows/amd64"], ..Asked::default() };
    let error = windows.lower("FROM scratch\nRUN dir").unwrap_err();
    assert_eq!(error.message, "a command of an image for Windows cannot be executed here");
}

#[test]
fn stages_that_a_command_mounts_are_made_before_it() {
    let mut text = "FROM scratch AS s0\n".to_owned();
    for number in 1..2000 {
        text.push_str(&format!("FROM scratch AS s{number}\nRUN --mount=from=s{},target=/x a\n", number - 1));
    }
    assert_eq!(lower(&text).plan.stages.len(), 2000);
    // What no mount takes files of is not looked at.
    let unneeded = "FROM missing AS one\nFROM scratch\nRUN --mount=type=tmpfs,from=one,target=/x a\n";
    assert_eq!(lower(unneeded).plan.stages.len(), 1);
}

#[test]
fn what_commands_come_to_has_a_budget() {
    let mut text = format!("FROM scratch\nENV A={}\n", "a".repeat(60_000));
    text.push_str(&"RUN x\n".repeat(5000));
    let error = Asked::default().lower(&text).unwrap_err();
    assert!(error.message.contains("expand to more than"), "{error}");
}
