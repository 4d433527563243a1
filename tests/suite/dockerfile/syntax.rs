//! How the lines of a Dockerfile become instructions. Expectations follow Docker's Dockerfile reference ("Format", "Parser
//! directives", "escape") and the cases that BuildKit's own parser is tested with.

use ocibake::plan::dockerfile::{Command, CommandLine, Dockerfile, read_trigger};
use proptest::prelude::*;

use crate::support::reading::{command, commands, read, refusal, refused, shown, text, texts};

fn shell_forms(lines: &str) -> Vec<String> {
    let shell_form = |command| match command {
        Command::Run(run) => match run.line {
            CommandLine::Shell(word) => word.text,
            CommandLine::Exec(arguments) => panic!("{arguments:?}"),
        },
        other => panic!("{other:?}"),
    };
    commands(lines).into_iter().map(shell_form).collect()
}

#[test]
fn comments_and_empty_lines_part_instructions() {
    let lines = "# RUN a\n\n   # RUN b\n\t RUN c # kept\nRUN echo 'some # things'\n#";
    assert_eq!(shell_forms(lines), ["c # kept", "echo 'some # things'"]);
}

#[test]
fn continuations_are_joined_without_comments_and_empty_lines() {
    // The examples of the reference's "Format".
    assert_eq!(shell_forms("RUN echo hello \\\n# comment\nworld"), ["echo hello world"]);
    assert_eq!(shell_forms("RUN echo \"\\\n     hello\\\n     world\""), ["echo \"     hello     world\""]);
    // BuildKit's test for empty continuation lines.
    assert_eq!(shell_forms("RUN something \\\n\n    following \\\n\n    more"), ["something     following     more"]);
    assert_eq!(shell_forms("RUN indented \\\n    # a comment \\\n    goes on"), ["indented     goes on"]);
    assert_eq!(shell_forms("RUN a \\ \t\n b\nRUN c\\"), ["a  b", "c"]);
    assert_eq!(shell_forms("RUN a \\\\\nRUN b"), ["a \\\\", "b"], "an escaped escape character ends the line");
    assert_eq!(shell_forms("\\\nRUN a"), ["a"]);
    assert_eq!(shell_forms("RUN \\\n  a"), ["a"]);
}

#[test]
fn line_feeds_and_carriage_returns_and_a_byte_order_mark_are_taken() {
    let dockerfile = read("\u{feff}# escape=`\r\nFROM scratch\r\nRUN a `\r\n b\r\n");
    assert_eq!(dockerfile.directives.escape, '`');
    assert_eq!(dockerfile.stages[0].instructions[0].original, "RUN a  b");
    assert_eq!(read("\u{feff}FROM a").stages[0].base.text, "a");
    assert_eq!(read("\u{feff}FROM a").excerpt(&(3..7)).line, 1);
}

#[test]
fn the_escape_directive_chooses_what_continues_a_line() {
    // The reference's example for Windows paths.
    let windows = read("# escape=`\n\nFROM x\nCOPY testfile.txt c:\\\nRUN dir c:\\\n");
    assert_eq!(windows.stages[0].instructions.len(), 2);
    assert_eq!(read("FROM x\nCOPY testfile.txt c:\\\nRUN dir c:\\\n").stages[0].instructions.len(), 1);
    let Command::Env(pairs) = &read("# escape=`\nFROM x\nENV A=a` b C=c\\ D=d").stages[0].instructions[0].command
    else {
        panic!("not ENV");
    };
    assert_eq!(texts(pairs.iter().map(|pair| &pair.value)), ["a` b", "c\\", "d"]);
}

#[test]
fn directives_are_taken_from_the_very_top_alone() {
    let directives = |text: &str| read(format!("{text}\nFROM x\n")).directives;
    for line in ["#syntax=a", "# syntax =a", "#\tsyntax= a", "# syntax = a", "#\t  sYnTaX=a", "# syntax = a // opts"] {
        assert_eq!(text(&directives(line).syntax), Some("a"), "{line}");
    }
    assert_eq!(text(&directives("# escape=`\n# syntax=b").syntax), Some("b"));
    for line in ["# About\n# syntax=a", "\n# syntax=a", "# unknown=a\n# syntax=a", "# synt \\\n# ax=a", "# syntax="] {
        assert_eq!(text(&directives(line).syntax), None, "{line}");
    }
    assert_eq!(text(&directives("#!/bin/sh\n# syntax = a").syntax), Some("a"));
    assert_eq!(text(&directives("#!/bin/sh\n\n# syntax = a").syntax), None);
    assert_eq!(directives("# EScape=\\").escape, '\\');
    assert_eq!(read("FROM x\n# escape=`\nRUN a \\\n b").stages[0].instructions[0].original, "RUN a  b");
}

#[test]
fn stages_hold_their_instructions_and_arguments_before_them_stand_apart() {
    let dockerfile = read(
        "ARG A\nARG B=1 C=\"x y\"\nfrom --platform=$BUILDPLATFORM alpine:$B AS Build-1\nARG A\nFROM build-1\nRUN x\nFROM scratch as out",
    );
    let arguments: Vec<_> =
        dockerfile.arguments.iter().map(|argument| (&*argument.name.text, text(&argument.default))).collect();
    assert_eq!(arguments, [("A", None), ("B", Some("1")), ("C", Some("\"x y\""))]);
    let stage = |at: usize| &dockerfile.stages[at];
    assert_eq!((stage(0).base.text.as_str(), text(&stage(0).name)), ("alpine:$B", Some("build-1")));
    assert_eq!(text(&stage(0).platform), Some("$BUILDPLATFORM"));
    assert_eq!(stage(0).original, "from --platform=$BUILDPLATFORM alpine:$B AS Build-1");
    assert_eq!((stage(1).base.text.as_str(), text(&stage(1).name), stage(1).line), ("build-1", None, 5));
    assert_eq!(dockerfile.stages.iter().map(|stage| stage.instructions.len()).collect::<Vec<_>>(), [1, 1, 0]);
    assert_eq!(
        ["BUILD-1", "out", "0", "2", "3", "x"].map(|name| dockerfile.stage(name)),
        [Some(0), Some(2), Some(0), Some(2), None, None]
    );
}

#[test]
fn exec_form_is_a_json_array_of_strings_and_all_else_is_shell_form() {
    let line = |line: &str| match command(line) {
        Command::Cmd(line) => line,
        other => panic!("{other:?}"),
    };
    let exec = |arguments: &[&str]| CommandLine::Exec(arguments.iter().map(|&argument| argument.to_owned()).collect());
    assert_eq!(line(r#"CMD ["a", "b c", "\u0041\"\\"]"#), exec(&["a", "b c", "A\"\\"]));
    assert_eq!(line("CMD [ ]"), exec(&[]));
    assert_eq!(line("CMD [\"a\", \\\n \"b\"]"), exec(&["a", "b"]));
    for text in ["[ -f x ] && y", "['a', 'b']", r#"["a"] b"#, r#"["a",]"#, r#"["c:\dir"]"#, "echo [\"a\"]", "[]]"] {
        let CommandLine::Shell(word) = line(&format!("CMD {text}  ")) else { panic!("{text}") };
        assert_eq!(word.text, text);
    }
    assert!(matches!(line("CMD"), CommandLine::Shell(word) if word.text.is_empty()));
    assert!(refused("CMD [\"a\", 1]").starts_with("`1` in a JSON array is not a string"));
}

#[test]
fn names_and_values_come_in_the_new_form_and_the_old_one() {
    let pairs = |line: &str| match command(line) {
        Command::Env(pairs) | Command::Label(pairs) => {
            pairs.into_iter().map(|pair| (pair.key.text, pair.value.text)).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    let expect = |line: &str, expected: &[(&str, &str)]| {
        let found = pairs(line);
        assert_eq!(found.iter().map(|(key, value)| (&**key, &**value)).collect::<Vec<_>>(), expected, "{line}");
    };
    // The reference's examples for ENV.
    expect(
        r#"ENV MY_NAME="John Doe" MY_DOG=Rex\ The\ Dog"#,
        &[("MY_NAME", "\"John Doe\""), ("MY_DOG", "Rex\\ The\\ Dog")],
    );
    expect("ENV ONE TWO= THREE=world", &[("ONE", "TWO= THREE=world")]);
    expect("ENV  a   b  c ", &[("a", "b  c")]);
    expect("ENV a=b=c d=", &[("a", "b=c"), ("d", "")]);
    expect("ENV a='x \" y'\"$b \\\" z\" c=é", &[("a", "'x \" y'\"$b \\\" z\""), ("c", "é")]);
    expect(
        "LABEL \"com.example.vendor\"=\"ACME Incorporated\"",
        &[("\"com.example.vendor\"", "\"ACME Incorporated\"")],
    );
    expect("LABEL multi=\"a \\\nb\"", &[("multi", "\"a b\"")]);
}

#[test]
fn settings_are_typed() {
    let Command::Expose(ports) = command("EXPOSE 80/tcp $p 443") else { panic!("not EXPOSE") };
    assert_eq!(texts(&ports), ["$p", "443", "80/tcp"]);
    let Command::Volume(volumes) = command(r#"VOLUME ["/a b", " /c "]"#) else { panic!("not VOLUME") };
    assert_eq!(texts(&volumes), ["/a b", "/c"]);
    let Command::Volume(volumes) = command("volume /a  /b") else { panic!("not VOLUME") };
    assert_eq!(texts(&volumes), ["/a", "/b"]);
    let Command::Workdir(path) = command("WORKDIR /a b ") else { panic!("not WORKDIR") };
    assert_eq!(path.text, "/a b");
    let Command::Shell(shell) = command(r#"SHELL ["powershell", "-command"]"#) else { panic!("not SHELL") };
    assert_eq!(shell, ["powershell", "-command"]);
    let Command::Maintainer(name) = command("MAINTAINER A <a@b>") else { panic!("not MAINTAINER") };
    assert_eq!(name.text, "A <a@b>");
    let Command::Healthcheck(check) = command("HEALTHCHECK --interval=5m --retries=3 CMD curl -f x || exit 1") else {
        panic!("not HEALTHCHECK");
    };
    assert_eq!(check.test, ["CMD-SHELL", "curl -f x || exit 1"]);
    assert_eq!((check.interval, check.retries, check.timeout), (300_000_000_000, 3, 0));
    let Command::Healthcheck(check) = command("HEALTHCHECK cmd [\"a\", \"b\"]") else { panic!("not HEALTHCHECK") };
    assert_eq!(check.test, ["CMD", "a", "b"]);
    let Command::Healthcheck(check) = command("HEALTHCHECK none") else { panic!("not HEALTHCHECK") };
    assert_eq!(check.test, ["NONE"]);
}

#[test]
fn triggers_are_kept_as_they_stand_and_read_later() {
    let trigger = |lines: &str| match commands(lines).remove(0) {
        Command::OnBuild(trigger) => trigger.text,
        other => panic!("{other:?}"),
    };
    assert_eq!(trigger("onbuild  ADD . /src "), "ADD . /src ");
    assert_eq!(trigger("ONBUILD RUN a \\\n  b"), "RUN a   b");
    let heredoc = trigger("ONBUILD COPY <<A <<-B /x\n1\nA\n\t2\n\tB");
    assert_eq!(heredoc, "COPY <<A <<-B /x\n1\nA\n\t2\nB");
    let instruction = read_trigger("a trigger of debian", &heredoc).unwrap();
    let Command::Copy(copy) = &instruction.command else { panic!("{instruction:?}") };
    assert_eq!(copy.transfer.texts.iter().map(|text| text.stripped()).collect::<Vec<_>>(), ["1\n", "2\n"]);
    assert_eq!((instruction.line, instruction.original.as_str()), (1, "COPY <<A <<-B /x"));
    let error = |text: &str| shown(&read_trigger("a trigger of debian", text).unwrap_err());
    insta::assert_snapshot!(error("COPI a b"), @r"
    unknown instruction `COPI`
     --> a trigger of debian:1:1
      |
    1 | COPI a b
      | ^^^^
    hint: did you mean `COPY`?
    ");
    assert!(error("RUN a\nRUN b").contains("is not one instruction"));
    assert!(error("").contains("is not one instruction"));
    assert!(error("FROM x").starts_with("`FROM` cannot be a trigger"));
}

#[test]
fn bytes_that_are_not_utf8_are_taken_in_comments_alone() {
    let dockerfile = read(b"# caf\xe9\nFROM scratch\nRUN a \\\n# \xff\n b\n");
    assert_eq!(dockerfile.stages[0].instructions[0].original, "RUN a  b");
    let latin = refusal(b"FROM scratch\nLABEL \\\n a=caf\xe9");
    assert!(latin.starts_with("Dockerfile is not UTF-8 here\n --> Dockerfile:3:7"), "{latin}");
    let nul = refusal(b"FROM scratch\nRUN a\0b\n");
    assert!(nul.starts_with("an instruction cannot hold a NUL byte\n --> Dockerfile:2:6"), "{nul}");
    let heredoc = refusal(b"FROM scratch\nCOPY <<E /\na\n\xff\nE\n");
    assert!(heredoc.starts_with("the heredoc is not UTF-8 here\n --> Dockerfile:4:1"), "{heredoc}");
}

/// BuildKit's scanner takes 65535 bytes and refuses one more.
#[test]
fn a_line_has_a_longest_length() {
    let line = |length: usize| format!("FROM scratch\nRUN {}\n", "a".repeat(length - 4));
    assert_eq!(read(line(65535)).stages[0].instructions.len(), 1);
    assert!(refusal(line(65536)).starts_with("line 2 of Dockerfile is longer than 65535 bytes"));
}

#[test]
fn places_are_those_of_the_words() {
    let dockerfile =
        read("# c\n\nFROM scratch\nRUN --network=host \\\n  --mount=type=cache,target=/x \\\n # c\n  a \\\n  b\n\n");
    let instruction = &dockerfile.stages[0].instructions[0];
    assert_eq!(instruction.line, 4);
    assert!(dockerfile.text.content[instruction.span.clone()].ends_with("b"));
    let Command::Run(run) = &instruction.command else { panic!("not RUN") };
    let (key, value) = &run.mounts[0].fields[1];
    assert_eq!((key.as_str(), text(value)), ("target", Some("/x")));
    let place = instruction.excerpt(&value.as_ref().unwrap().span);
    assert_eq!((place.line, place.column, place.width), (5, 29, 2));
    let CommandLine::Shell(word) = &run.line else { panic!("not shell form") };
    assert_eq!((word.text.as_str(), instruction.excerpt(&word.span).line), ("a   b", 7));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reading_never_panics(text in any::<Vec<u8>>()) {
        let _ = Dockerfile::read("Dockerfile", &text);
    }

    /// Of lines that are mostly right.
    #[test]
    fn places_lie_in_the_file(lines in proptest::collection::vec(line(), 0..12)) {
        let text = format!("FROM a AS b\n{}", lines.concat());
        let count = text.split('\n').count();
        match Dockerfile::read("Dockerfile", text.as_bytes()) {
            Err(error) => prop_assert!(error.excerpt.is_none_or(|excerpt| excerpt.line <= count)),
            Ok(dockerfile) => {
                for instruction in dockerfile.stages.iter().flat_map(|stage| &stage.instructions) {
                    prop_assert_eq!(&text[..instruction.span.start].matches('\n').count() + 1, instruction.line);
                    let name = text[instruction.span.clone()].split(|c: char| !c.is_ascii_alphabetic()).next();
                    prop_assert!(name.is_some_and(|name| name.is_empty() || name.eq_ignore_ascii_case(instruction.command.name())));
                }
                for warning in dockerfile.warnings {
                    let line = text.split('\n').nth(warning.place.line - 1).map(|line| line.trim_end_matches('\r'));
                    prop_assert_eq!(line, Some(&*warning.place.text));
                }
            }
        }
    }
}

fn line() -> impl Strategy<Value = String> {
    let words = [
        "RUN",
        "copy",
        "ENV",
        "ARG",
        "FROM",
        "ONBUILD",
        "EXPOSE",
        "CMD",
        "<<E",
        "E",
        "--link",
        "--mount=type=cache",
        "a=b",
        "\"a b\"",
        "80:80",
        "[\"x\"]",
        "$X",
        "#",
        "é",
        "\\",
        "\t",
        "'",
    ];
    let end = prop_oneof![Just("\n"), Just(" \\\n"), Just("\n\n"), Just("\r\n")];
    (proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..5), end)
        .prop_map(|(words, end)| format!("{}{end}", words.join(" ")))
}
