//! What is wrong in a Dockerfile is shown at its place, with what to do.

use crate::support::reading::{refusal, refused};

#[test]
fn misspelt_instructions_and_flags_are_shown_with_what_was_meant() {
    insta::assert_snapshot!(refused("COPPY a b"), @r"
    unknown instruction `COPPY`
     --> Dockerfile:2:1
      |
    2 | COPPY a b
      | ^^^^^
    hint: did you mean `COPY`?
    ");
    insta::assert_snapshot!(refused("RUN a &&\n    b --c"), @r"
    unknown instruction `b`
     --> Dockerfile:3:5
      |
    3 |     b --c
      |     ^
    hint: a line continues below only if it ends with the escape character
    ");
    insta::assert_snapshot!(refused("COPY a \\\n  b\nCOPY \\\n  --form=x a b"), @r"
    `COPY` has no flag `--form`
     --> Dockerfile:5:3
      |
    5 |   --form=x a b
      |   ^^^^^^^^
    hint: did you mean `--from`?
    ");
    insta::assert_snapshot!(refused("RUN --mount type=cache,target=/x a"), @r"
    `--mount` needs a value
     --> Dockerfile:2:5
      |
    2 | RUN --mount type=cache,target=/x a
      |     ^^^^^^^
    hint: write it with an equals sign: `--mount=…`
    ");
    insta::assert_snapshot!(refused("WORKDIR --x /a"), @r"
    `WORKDIR` has no flag `--x`
     --> Dockerfile:2:9
      |
    2 | WORKDIR --x /a
      |         ^^^
    hint: it has none
    ");
    insta::assert_snapshot!(refused("COPY --link=maybe a b"), @r"
    `--link` takes `true` or `false`, not `maybe`
     --> Dockerfile:2:6
      |
    2 | COPY --link=maybe a b
      |      ^^^^^^^^^^^^
    ");
    insta::assert_snapshot!(refused("COPY --from=a --from=b c d"), @r"
    `--from` is given twice
     --> Dockerfile:2:15
      |
    2 | COPY --from=a --from=b c d
      |               ^^^^^^^^
    hint: only one of them can apply
    ");
    insta::assert_snapshot!(refused("RUN --network=nonne a"), @r"
    `--network` cannot be `nonne`
     --> Dockerfile:2:15
      |
    2 | RUN --network=nonne a
      |               ^^^^^
    hint: did you mean `none`?
    ");
}

#[test]
fn a_file_without_a_stage_says_how_one_begins() {
    insta::assert_snapshot!(refusal(""), @r"
    Dockerfile is empty
    hint: a Dockerfile starts with its base image, as in `FROM debian` or `FROM scratch`
    ");
    insta::assert_snapshot!(refusal("# a\n\n"), @r"
    Dockerfile has no instructions: there is nothing to build
    hint: a Dockerfile starts with its base image, as in `FROM debian` or `FROM scratch`
    ");
    insta::assert_snapshot!(refusal("ARG A"), @r"
    Dockerfile has no `FROM`: there is nothing to build
    hint: a Dockerfile starts with its base image, as in `FROM debian` or `FROM scratch`
    ");
    insta::assert_snapshot!(refusal("ARG A\nRUN a\nFROM b"), @r"
    `RUN` comes before the first `FROM`
     --> Dockerfile:2:1
      |
    2 | RUN a
      | ^^^
    hint: only `ARG` may: a stage begins with `FROM`
    ");
}

#[test]
fn stages_have_names_of_letters() {
    insta::assert_snapshot!(refusal("FROM a AS 1st"), @r"
    `1st` cannot be the name of a stage
     --> Dockerfile:1:11
      |
    1 | FROM a AS 1st
      |           ^^^
    hint: a name begins with a letter, followed by letters, digits, `-`, `_` and `.`
    ");
    insta::assert_snapshot!(refusal("FROM a build"), @r"
    `FROM` takes an image, or an image and a name
     --> Dockerfile:1:8
      |
    1 | FROM a build
      |        ^^^^^
    hint: as in `FROM debian` or `FROM debian AS build`
    ");
    insta::assert_snapshot!(refusal("FROM"), @r"
    `FROM` needs an image
     --> Dockerfile:1:1
      |
    1 | FROM
      | ^^^^
    hint: as in `FROM debian`
    ");
}

#[test]
fn directives_are_checked() {
    insta::assert_snapshot!(refusal("# escape=x\nFROM a"), @r"
    `x` cannot be the escape character
     --> Dockerfile:1:10
      |
    1 | # escape=x
      |          ^
    hint: it is a backslash (\) or a backtick (`)
    ");
    insta::assert_snapshot!(refusal("# syntax=a\n# SYNTAX=b\nFROM a"), @r"
    there are two `syntax` directives
     --> Dockerfile:2:1
      |
    2 | # SYNTAX=b
      | ^^^^^^^^^^
    hint: leave one of them out
    ");
    insta::assert_snapshot!(refusal("# check=skip\nFROM a"), @r"
    `skip` is not a check option
     --> Dockerfile:1:9
      |
    1 | # check=skip
      |         ^^^^
    hint: known options are skip=RULE,… (or skip=all), error=true and experimental=RULE,…
    ");
}

#[test]
fn missing_arguments_are_shown_with_an_example() {
    for name in ["MAINTAINER", "WORKDIR", "USER", "STOPSIGNAL"] {
        assert!(refused(name).starts_with(&format!("`{name}` needs an argument\n --> Dockerfile:2:1")), "{name}");
    }
    for name in ["ENV", "LABEL", "ONBUILD", "HEALTHCHECK", "EXPOSE", "VOLUME", "ARG", "SHELL", "COPY a", "ADD", "COPY"]
    {
        let shown = refused(name);
        assert!(shown.contains(" needs ") && shown.contains("\nhint: as in `"), "{shown}");
    }
    insta::assert_snapshot!(refused("COPY a"), @r"
    `COPY` needs at least one source and a destination
     --> Dockerfile:2:1
      |
    2 | COPY a
      | ^^^^
    hint: as in `COPY app /usr/bin/`
    ");
}

#[test]
fn wrong_arguments_are_shown() {
    let known = [
        ("ENV a", "`ENV` has no value for `a`"),
        ("ENV a=b c", "`c` has no equals sign"),
        ("LABEL =b", "there is no name before the equals sign"),
        ("ARG =b", "there is no name before the equals sign"),
        ("SHELL bash -c", "`SHELL` takes a JSON array of strings"),
        ("VOLUME [\" \"]", "a volume's path cannot be empty"),
        ("HEALTHCHECK curl x", "`HEALTHCHECK` takes `CMD` or `NONE`, not `curl`"),
        ("HEALTHCHECK NONE x", "`HEALTHCHECK NONE` takes no arguments"),
        ("HEALTHCHECK CMD", "`HEALTHCHECK CMD` needs a command"),
        ("HEALTHCHECK --interval=50ns CMD x", "`--interval` cannot be less than 1ms"),
        ("HEALTHCHECK --timeout=3 CMD x", "`3` is not a duration"),
        ("HEALTHCHECK --retries=-1 CMD x", "`-1` is not a number of retries"),
        ("ONBUILD ONBUILD RUN x", "`ONBUILD` is not allowed in `ONBUILD`"),
        ("ONBUILD from x", "`FROM` is not allowed in `ONBUILD`"),
        ("ONBUILD MAINTAINER x", "`MAINTAINER` is not allowed in `ONBUILD`"),
        ("COPY a <<E\nE", "a heredoc cannot be the destination of `COPY`"),
        ("RUN <<E\na", "the heredoc `E` has no end"),
        ("RUN --mount=from=$x,target=/y a", "the `from` of a mount cannot hold variables"),
        ("RUN --security=none a", "`--security` cannot be `none`"),
        ("RUN --device=,required a", "`--device` names no device"),
    ];
    for (line, message) in known {
        let shown = refused(line);
        assert!(shown.starts_with(&format!("{message}\n --> Dockerfile:2:")), "{line}: {shown}");
    }
}
