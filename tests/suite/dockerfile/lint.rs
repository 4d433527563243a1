//! The build checks that need nothing but the text. Each case is the "Bad" or the "Good" example of the rule's page
//! (docs.docker.com/reference/build-checks), or stands close to it.

use ocibake::plan::dockerfile::LintRule::{self, *};

use crate::support::reading::{findings, read};

/// The findings of one rule, by line and message.
fn told(rule: LintRule, text: &str) -> Vec<(usize, String)> {
    let found = read(text).warnings.into_iter().filter(|warning| warning.rule == rule);
    found.map(|warning| (warning.place.line, warning.message)).collect()
}

#[track_caller]
fn assert_told(rule: LintRule, text: &str, expected: &[(usize, &str)]) {
    let found = told(rule, text);
    assert_eq!(found.iter().map(|(line, message)| (*line, &**message)).collect::<Vec<_>>(), expected, "{text}");
}

#[test]
fn names_of_stages() {
    assert_told(StageNameCasing, "FROM alpine AS BuilderBase", &[(1, "Stage name 'BuilderBase' should be lowercase")]);
    assert_told(StageNameCasing, "FROM alpine AS builder-base", &[]);
    assert_told(
        DuplicateStageName,
        "FROM a AS builder\nRUN x\nFROM b AS Builder",
        &[(3, "Duplicate stage name \"builder\", stage names should be unique")],
    );
    assert_told(
        ReservedStageName,
        "FROM alpine AS scratch\nFROM alpine AS context\nFROM alpine AS x",
        &[
            (1, "Stage name should not use the same name as reserved stage \"scratch\""),
            (2, "Stage name should not use the same name as reserved stage \"context\""),
        ],
    );
}

#[test]
fn cases() {
    assert_told(FromAsCasing, "FROM debian:latest as builder", &[(1, "'as' and 'FROM' keywords' casing do not match")]);
    assert_told(FromAsCasing, "from debian:latest AS builder", &[(1, "'AS' and 'from' keywords' casing do not match")]);
    assert_told(FromAsCasing, "from debian as a\nFROM debian AS b\nFrom debian as c", &[]);
    assert_told(
        ConsistentInstructionCasing,
        "From alpine\nRun echo hello > /greeting.txt\nEntRYpOiNT [\"cat\", \"/greeting.txt\"]",
        &[
            (1, "Command 'From' should match the case of the command majority (uppercase)"),
            (2, "Command 'Run' should match the case of the command majority (uppercase)"),
            (3, "Command 'EntRYpOiNT' should match the case of the command majority (uppercase)"),
        ],
    );
    assert_told(
        ConsistentInstructionCasing,
        "ARG A\nfrom alpine\nrun a\nRUN b",
        &[(4, "Command 'RUN' should match the case of the command majority (lowercase)")],
    );
}

#[test]
fn empty_continuations() {
    assert_told(
        NoEmptyContinuation,
        "FROM alpine\nRUN apk add \\\n\n  gnupg \\\n \t\n  curl\nRUN a \\\n # c\n b",
        &[(3, "Empty continuation line")],
    );
}

#[test]
fn shell_forms() {
    let message = |name: &str| {
        format!("JSON arguments recommended for {name} to prevent unintended behavior related to OS signals")
    };
    let text = "FROM a\nENTRYPOINT x\nCMD [\"y\"]\nFROM b\nCMD z";
    assert_eq!(told(JsonArgsRecommended, text), [(2, message("ENTRYPOINT")), (5, message("CMD"))]);
    // The page's way out, which also holds for stages on top.
    assert_told(JsonArgsRecommended, "FROM a AS x\nSHELL [\"/bin/bash\", \"-c\"]\nENTRYPOINT y\nFROM x\nCMD z", &[]);
    assert_eq!(told(JsonArgsRecommended, "FROM a\nCMD ['x', \"y\"]"), [(2, message("CMD"))]);
}

#[test]
fn old_ways() {
    assert_told(
        MaintainerDeprecated,
        "FROM a\nMAINTAINER moby@example.com",
        &[(2, "Maintainer instruction is deprecated in favor of using label")],
    );
    assert_told(
        LegacyKeyValueFormat,
        "FROM a\nENV DEPS curl make\nLABEL a b\nENV A=b c=d\nenv x y=z",
        &[
            (2, "\"ENV key=value\" should be used instead of legacy \"ENV key value\" format"),
            (3, "\"LABEL key=value\" should be used instead of legacy \"LABEL key value\" format"),
            (5, "\"env key=value\" should be used instead of legacy \"env key value\" format"),
        ],
    );
}

#[test]
fn repetitions() {
    let message = |name| {
        format!(
            "Multiple {name} instructions should not be used in the same stage because only the last one will be used"
        )
    };
    let text = "FROM a\nENTRYPOINT [\"a\"]\nCMD [\"a\"]\nCMD [\"b\"]\nENTRYPOINT [\"b\"]\nCMD [\"c\"]\nHEALTHCHECK NONE\nFROM b\nCMD [\"d\"]";
    assert_eq!(
        told(MultipleInstructionsDisallowed, text),
        [(2, message("ENTRYPOINT")), (3, message("CMD")), (4, message("CMD"))]
    );
}

#[test]
fn secrets() {
    let named = |names: &str| {
        let found = told(SecretsUsedInArgOrEnv, &format!("ARG TOKEN\nFROM a\nENV {names}"));
        found.into_iter().map(|(_, message)| message).collect::<Vec<_>>()
    };
    for name in ["api_key", "DATABASE_PASSWORD", "GITHUB_TOKEN", "secret_MESSAGE", "AUTH", "a_apikey_b", "Credentials"]
    {
        let message = format!("Do not use ARG or ENV instructions for sensitive data (ENV \"{name}\")");
        assert_eq!(named(&format!("{name}=1")), [message], "{name}");
    }
    for name in ["KEYBOARD", "authors", "PUBLIC_KEY", "TOKEN_FILE", "key_version", "PASS"] {
        assert_eq!(named(&format!("{name}=1")), [""; 0], "{name}");
    }
    assert_told(
        SecretsUsedInArgOrEnv,
        "FROM scratch\nARG a AWS_SECRET_ACCESS_KEY",
        &[(2, "Do not use ARG or ENV instructions for sensitive data (ARG \"AWS_SECRET_ACCESS_KEY\")")],
    );
}

#[test]
fn constant_platforms() {
    assert_told(
        FromPlatformFlagConstDisallowed,
        "FROM --platform=linux/amd64 alpine AS base\nFROM --platform=linux/arm64 alpine AS build_arm64\nFROM --platform=$BUILDPLATFORM a\nFROM --platform=what a",
        &[(1, "FROM --platform flag should not use constant value \"linux/amd64\"")],
    );
}

#[test]
fn ports() {
    assert_told(
        ExposeProtoCasing,
        "FROM alpine\nEXPOSE 80/TcP 443/udp $P/TCP",
        &[(2, "Defined protocol '80/TcP' in EXPOSE instruction should be lowercase")],
    );
    assert_told(
        ExposeInvalidFormat,
        "FROM alpine\nEXPOSE 127.0.0.1:80:80\nEXPOSE 80\nEXPOSE 80:80",
        &[
            (2, "EXPOSE instruction should not define an IP address or host-port mapping, found '127.0.0.1:80:80'"),
            (4, "EXPOSE instruction should not define an IP address or host-port mapping, found '80:80'"),
        ],
    );
}

#[test]
fn descriptions() {
    let text = "# a non-descriptive comment\nFROM scratch AS base\n\n# another non-descriptive comment\nARG VERSION=1\n# x\nARG A B";
    assert_told(
        InvalidDefinitionDescription,
        text,
        &[
            (2, "Comment for FROM should follow the format: `# base <description>`"),
            (5, "Comment for ARG should follow the format: `# VERSION <description>`"),
            (7, "Comment for ARG should follow the format: `# <arg_key> <description>`"),
        ],
    );
    let good = "# syntax=x\nARG A\n# a comment\n\nFROM scratch AS base\n# comment\n#\nARG VERSION=1\n# B is\nARG A B\n# base is\nFROM a\n";
    assert_told(InvalidDefinitionDescription, good, &[]);
    assert_eq!(findings(text), [], "it is experimental");
    assert_eq!(findings(&format!("# check=experimental=InvalidDefinitionDescription\n{text}")).len(), 3);
}

#[test]
fn the_check_directive_says_what_is_told() {
    let text = "FROM a as b\nMAINTAINER c\n";
    assert_eq!(findings(text), [(FromAsCasing, 1), (MaintainerDeprecated, 2)]);
    assert_eq!(findings(&format!("# check=skip=FromAsCasing;error=true\n{text}")), [(MaintainerDeprecated, 3)]);
    assert_eq!(findings(&format!("# check=error=1;skip=FromAsCasing,MaintainerDeprecated,What\n{text}")), []);
    assert_eq!(findings(&format!("#!x\n# check = skip=all // opts\n{text}")), []);
    assert_eq!(findings(&format!("FROM a\n# check=skip=all\n\n{text}")).len(), 2);
    let error = |text: &str| read(text).directives.check.error;
    assert!(error("# check=skip=all;error=True\nFROM a"));
    assert!(!error("# check=error=false\nFROM a"));
    assert!(!error("FROM a"));
}

/// BuildKit has it since November 2025 (moby/buildkit#6334).
#[test]
fn a_comment_above_an_instruction_leaves_rules_out_for_it_alone() {
    for (comments, expected) in [
        ("# check=skip=LegacyKeyValueFormat", &[4][..]),
        ("# check=skip=LegacyKeyValueFormat // the old way", &[4]),
        ("# Check = skip=What,LegacyKeyValueFormat// the old way", &[4]),
        ("# check=skip=all", &[4]),
        ("# check=skip=MaintainerDeprecated", &[3, 4]),
        ("# check=skip=", &[3, 4]),
        ("# check=what", &[3, 4]),
        ("# check=error=true", &[3, 4]),
        ("# checked: skip=all", &[3, 4]),
        ("# check=skip=all\n#", &[4, 5]),
        ("# check=skip=all\n", &[4, 5]),
        ("# check=skip=all\n# another word", &[5]),
        ("# check=skip=MaintainerDeprecated\n# check=skip=LegacyKeyValueFormat", &[5]),
    ] {
        let found = findings(&format!("FROM a\n{comments}\nENV a b\nENV c d\n"));
        let lines: Vec<usize> = found.iter().map(|(_, line)| *line).collect();
        assert_eq!(lines, expected, "{comments}");
    }
    let text =
        "# check=skip=LegacyKeyValueFormat\nFROM a\n# check=skip=SecretsUsedInArgOrEnv\nENV A_TOKEN b\nENV B_TOKEN=c";
    assert_eq!(findings(text), [(SecretsUsedInArgOrEnv, 5)], "what the file says holds as well");
    // A finding on whatever line of the instruction is one of it, and `FROM` is an instruction, too.
    assert_eq!(findings("FROM a\n# check=skip=all\nENV A=1 \\\n  B_TOKEN=2 \\\n\n  C=3\n"), []);
    assert_eq!(findings("ARG X\n# check=skip=FromAsCasing\nFROM a as b\nFROM b as c"), [(FromAsCasing, 4)]);
    // What describes stands above or below it.
    let described = "# check=experimental=InvalidDefinitionDescription\nFROM a\n# A is one\n# check=skip=all\nARG A\n";
    assert_eq!(findings(described), []);
    let named = "FROM a\n# what it is\n# check=experimental=InvalidDefinitionDescription\nARG A\n# what\nARG B\n";
    assert_eq!(findings(named), [(InvalidDefinitionDescription, 4)]);
}

#[test]
fn findings_know_their_stage() {
    let warnings = read("FROM a\nFROM b as c\nENV x y\n").warnings;
    let stages: Vec<_> = warnings.iter().map(|warning| (warning.rule, warning.stage)).collect();
    assert_eq!(stages, [(FromAsCasing, None), (LegacyKeyValueFormat, Some(1))]);
}

#[test]
fn rules_have_their_names_and_pages() {
    for name in ["StageNameCasing", "JSONArgsRecommended", "CopyIgnoredFile", "InvalidBaseImagePlatform"] {
        assert_eq!(LintRule::named(name).map(LintRule::name), Some(name));
    }
    assert_eq!(LintRule::named("jsonargsrecommended"), None);
    let page = "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/";
    assert_eq!(JsonArgsRecommended.url().as_deref(), Some(page));
}
