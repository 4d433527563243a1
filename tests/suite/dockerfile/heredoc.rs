//! Heredocs, as the reference's "Here-Documents" and the test cases of BuildKit's parser have them.

use ocibake::plan::dockerfile::{Command, CommandLine, CopyCommand, Heredoc};

use crate::support::reading::{command, commands, read, refused, texts};

fn heredocs(lines: &str) -> Vec<Heredoc> {
    match command(lines) {
        Command::Run(run) => run.heredocs,
        Command::Copy(copy) => copy.transfer.texts,
        Command::Add(add) => add.transfer.texts,
        other => panic!("{other:?}"),
    }
}

fn only(lines: &str) -> Heredoc {
    let mut heredocs = heredocs(lines);
    assert_eq!(heredocs.len(), 1, "{lines}");
    heredocs.remove(0)
}

fn copy(lines: &str) -> CopyCommand {
    match command(lines) {
        Command::Copy(copy) => copy,
        other => panic!("{other:?}"),
    }
}

/// BuildKit's `TestParseExtractsHeredoc`, one by one.
#[test]
fn names_and_contents_are_those_of_buildkit() {
    let known = [
        ("RUN <<EMPTY\nEMPTY", "EMPTY", "", true, false),
        ("RUN <<INDENT\n\tfoo\n\tbar\nINDENT", "INDENT", "\tfoo\n\tbar\n", true, false),
        ("RUN <<-UNINDENT\n\tbaz\n\tquux\nUNINDENT", "UNINDENT", "\tbaz\n\tquux\n", true, true),
        ("RUN <<-UNINDENT2\n\tbaz\n\tquux\n\tUNINDENT2", "UNINDENT2", "\tbaz\n\tquux\n", true, true),
        ("RUN <<-'NOEXPAND'\n\tdon't expand $NAME\nNOEXPAND", "NOEXPAND", "\tdon't expand $NAME\n", false, true),
        ("RUN <<C\n# internal comment\necho a # b\nC", "C", "# internal comment\necho a # b\n", true, false),
        ("RUN --mount=type=cache,target=/foo <<MOUNT\necho hello\nMOUNT", "MOUNT", "echo hello\n", true, false),
        ("COPY <<EOF /quotes\n\"foo\"\n'bar'\nEOF", "EOF", "\"foo\"\n'bar'\n", true, false),
        ("RUN <<COMPLEX python3\nprint('hello world')\nCOMPLEX", "COMPLEX", "print('hello world')\n", true, false),
        ("COPY <<file.txt /dest\nhello world\nfile.txt", "file.txt", "hello world\n", true, false),
        ("RUN <<eo'f'\necho foo\neof", "eof", "echo foo\n", false, false),
        ("RUN <<eo\\'f\necho foo\neo'f", "eo'f", "echo foo\n", true, false),
        ("RUN <<'e'o\\'f\necho foo\neo'f", "eo'f", "echo foo\n", false, false),
        ("RUN <<'one two'\necho bar\none two", "one two", "echo bar\n", false, false),
        ("RUN <<$EOF\n$EOF", "$EOF", "", true, false),
        ("RUN <<  EOF\nEOF", "EOF", "", true, false),
        ("RUN <<  EOF  > foo\nEOF", "EOF", "", true, false),
        ("RUN << -EOF\n-EOF", "-EOF", "", true, false),
    ];
    for (lines, name, content, expand, strip_tabs) in known {
        let found = only(lines);
        assert_eq!((found.name.as_str(), found.content.as_str()), (name, content), "{lines}");
        assert_eq!((found.expand, found.strip_tabs), (expand, strip_tabs), "{lines}");
    }
    // Arguments of ADD and COPY end at whitespace, so a name with a space begins no file.
    assert_eq!(heredocs("ADD <<\"a b\" /\nx\na b"), []);
    assert_eq!(only("RUN 3<<EMPTY2\nEMPTY2").file_descriptor, 3);
    assert_eq!(only("RUN cat <<E\nE").file_descriptor, 0);
}

#[test]
fn several_are_read_in_their_order() {
    let contents = |lines| heredocs(lines).into_iter().map(|text| (text.name, text.content)).collect::<Vec<_>>();
    let pair = |name: &str, content: &str| (name.to_owned(), content.to_owned());
    assert_eq!(contents("COPY <<X <<Y /dest\nY\nX\nX\nY"), [pair("X", "Y\n"), pair("Y", "X\n")]);
    assert_eq!(contents("RUN <<A cat && <<B tee\na\nA\nb\nB"), [pair("A", "a\n"), pair("B", "b\n")]);
    assert_eq!(contents("RUN cat <<A ; \\\n cat <<B\na\nA\nb\nB"), [pair("A", "a\n"), pair("B", "b\n")]);
    // BuildKit finds contents by their names: of two of one name, the last counts for both.
    assert_eq!(contents("COPY <<A <<A /x\n1\nA\n2\nA"), [pair("A", "2\n"), pair("A", "2\n")]);
}

#[test]
fn the_command_line_keeps_its_words() {
    let Command::Run(run) = command("RUN python3 <<E\nprint()\nE") else { panic!("not RUN") };
    assert!(matches!(run.line, CommandLine::Shell(word) if word.text == "python3 <<E"));
    assert_eq!(run.heredocs.len(), 1);
    let dockerfile = read("FROM x\nRUN <<E\na\nE\nRUN b");
    let instructions = &dockerfile.stages[0].instructions;
    assert_eq!((instructions[0].original.as_str(), instructions[1].line), ("RUN <<E", 5));
    assert_eq!(&dockerfile.text.content[instructions[0].span.clone()], "RUN <<E\na\nE");
}

#[test]
fn files_come_behind_paths() {
    let copy = copy("COPY --chmod=755 <<a.sh b <<'c' d/ /e/\n$x\na.sh\n$y\nc");
    assert_eq!(texts(&copy.transfer.sources), ["b", "d/"]);
    assert_eq!(copy.transfer.to.text, "/e/");
    let files: Vec<_> = copy.transfer.texts.iter().map(|text| (&*text.name, &*text.content, text.expand)).collect();
    assert_eq!(files, [("a.sh", "$x\n", true), ("c", "$y\n", false)]);
}

#[test]
fn tabs_are_taken_away_only_where_the_form_says_so() {
    assert_eq!(only("RUN <<-E\n\t\ta\n \tb\nc\n\tE").stripped(), "a\n \tb\nc\n");
    assert_eq!(only("RUN <<E\n\ta\nE").stripped(), "\ta\n");
}

#[test]
fn line_ends_stay_in_the_content() {
    let found = only("RUN <<E\r\na\r\n\r\nE\r");
    assert_eq!((found.name.as_str(), found.content.as_str()), ("E", "a\r\n\r\n"));
}

/// What does not begin a heredoc leaves the next line an instruction.
#[test]
fn what_is_no_heredoc_begins_none() {
    let lines = [
        "RUN \"<<E\"",
        "RUN '<<E'",
        "RUN [\"<<E\"]",
        "RUN [\"a\", \"<<'E'\"]",
        "USER <<E",
        "CMD cat <<E",
        "RUN cat<<E",
        "RUN cat <<<E",
        "RUN cat <E",
        "RUN echo <<",
        "RUN cat <<- E",
        // Only spaces, tabs and carriage returns may stand before the name.
        "RUN cat <<\u{b}E",
        "RUN \\<<E",
        "RUN a=<<E",
        // A quote or a brace without its end: BuildKit then looks for none.
        "RUN echo don't <<E",
        "RUN echo ${x <<E",
        "RUN echo ${x^} <<E",
        // These operators, which its lexer refuses, do the same, wherever they stand.
        "RUN echo ${x:#a} <<E",
        "RUN <<E cat ${x:%%a}",
        "COPY <<E /${x:##a}",
        "ENV a=<<E",
        "ONBUILD CMD <<E",
        "ONBUILD RUN [\"<<E\"]",
    ];
    for line in lines {
        assert_eq!(commands(&format!("{line}\nRUN E")).len(), 2, "{line}");
    }
    // A shift to the left is one in shell, but not to BuildKit.
    assert!(refused("RUN echo $((1 << 2))").starts_with("the heredoc `2))` has no end"));
    assert_eq!(heredocs("RUN echo ${x:-a} $y ${z//a/b} ${x:/a} $(c) <<E\nE").len(), 1);
}

#[test]
fn json_form_copies_have_no_content() {
    let copy = copy("COPY [\"a b\", \"c\", \"/d e/\"]");
    assert_eq!(texts(&copy.transfer.sources), ["a b", "c"]);
    assert_eq!(copy.transfer.to.text, "/d e/");
}

#[test]
fn deep_nesting_is_no_heredoc_and_no_harm() {
    let nested = format!("RUN {}x{} <<E\nRUN E", "${a:-".repeat(9000), "}".repeat(9000));
    assert_eq!(commands(&nested).len(), 2);
}
