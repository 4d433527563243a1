//! `.dockerignore` means what it means to docker.

use ocibake::plan::dockerignore;
use ocibake::tree::{Above, Ignore};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use crate::support::pattern_matcher::{answers, require_pattern_matcher};

/// The lines of a file (parted by `;`), paths that it ignores, and paths that it does not (parted by spaces).
///
/// The expectations follow from the Dockerfile reference (".dockerignore file"), from the documentation of Go's
/// `filepath.Match` and `filepath.Clean`, and, where those are silent, from moby/patternmatcher's tests and code.
const TABLE: &[(&str, &str, &str)] = &[
    // The reference's own examples.
    (
        "# comment;*/temp*;*/*/temp*;temp?",
        "somedir/temporary.txt somedir/temp d/e/temporary.txt tempa",
        "temp/x temporary",
    ),
    ("*.md;!README.md", "a.md", "README.md b/a.md"),
    ("*.md;!README*.md;README-secret.md", "a.md README-secret.md", "README.md README-x.md"),
    ("*.md;README-secret.md;!README*.md", "a.md", "README.md README-secret.md"),
    ("**/*.go", "a.go b/a.go b/c/d/a.go", "a.got b/a.g"),
    ("/foo/bar", "foo/bar foo/bar/x", "foo x/foo/bar"),
    ("foo/bar", "foo/bar foo/bar/x/y", "foo/barx foo/ba"),
    (".git", ".git .git/config .git/a/b", "x/.git .gitignore"),
    ("**/.git", ".git x/.git x/.git/config", ".gitignore x/.gitignore"),
    ("Dockerfile;.dockerignore", "Dockerfile .dockerignore Dockerfile/x", "x/Dockerfile Dockerfile2"),
    // One name.
    ("a", "a a/b a/b/c", "b b/a ab"),
    ("*", "a a/b .a", ""),
    ("?", "a a/b", "ab ab/c"),
    ("??", "ab é7 aé", "a é abc"),
    ("a?c", "abc aéc a.c", "ac a/c abbc"),
    ("*a*", "a bac xa ax/b", "b b/xc"),
    ("a*b", "ab axb a.b/c", "a axbc a/b"),
    (".*", ".a .a/b .", "a a/.b"),
    ("*.", "a. b.", "a .a/b"),
    ("*.*", "a.b . .b c.", "ab ab/c.d"),
    ("a.b", "a.b", "axb a_b"),
    ("a+b;a(b;a)b;a$b", "a+b a(b a)b a$b", "aab ab"),
    ("a+*", "a+ a+b", "aa aab"),
    ("*(1)*", "x(1) (1)y", "x1 1"),
    ("$*", "$ $a", "a"),
    ("A", "A", "a"),
    ("a b", "", "a b"),
    // Several names.
    ("a/b", "a/b a/b/c", "a b ab a/bc"),
    ("*/b", "a/b x/b/c", "b a/c x/y/b"),
    ("a/*", "a/b a/b/c a/.b", "a b"),
    ("a/*/c", "a/b/c a/b/c/d", "a/c a/b/x/c"),
    ("*/*", "a/b a/b/c", "a"),
    ("*/*/*", "a/b/c a/b/c/d", "a a/b"),
    ("a/b*/c?", "a/b/cc a/bx/cd/e", "a/b/c a/x/cc"),
    // Any number of directories.
    ("**", "a a/b .a/b/c", ""),
    ("**/", "a a/b", ""),
    ("**/**", "a a/b", ""),
    ("**/a", "a x/a x/y/a a/b x/a/b", "b xa x/ya"),
    ("**/a/b", "a/b x/a/b x/y/a/b/c", "a b x/a xa/b"),
    ("**/a*", "a ab x/ab x/y/a", "b x/ba"),
    ("**/*", "a a/b a/b/c", ""),
    ("**/*/b", "a/b x/a/b", "b a x/c"),
    ("**/**/a", "a x/a x/y/a", "b"),
    ("**a", "a ba x/a x/ba a/b", "b ab x/ab"),
    ("**a/b", "a/b xa/b x/ya/b", "b x/b a"),
    ("**.txt", "a.txt x/a.txt .txt", "txt a.txtx"),
    ("**?", "a a/b", ""),
    ("**ab*", "ab abc x/abc", "xab xabc x/yab"),
    ("a/**", "a/b a/b/c", "a b ab"),
    ("a/**/", "a/b a/b/c", "a"),
    ("a/**/*", "a/b a/b/c", "a b"),
    ("a/**/b", "a/b a/x/b a/x/y/b a/b/c", "a b a/xb ab"),
    ("a/**/**/b", "a/b a/x/b", "a ab"),
    ("a**", "a ab a/b ab/c", "b ba"),
    ("a**/b", "ab axb/b a/x/b a/b", "b xa/b"),
    ("a**b", "ab a/b axx/b a/x/b", "axb a b"),
    ("a/**b", "a/b a/x/b", "a/xb ab b"),
    ("*/**", "a/b a/b/c", "a"),
    ("*/**/c", "a/c a/b/c", "c a/b"),
    ("**/a/**", "a/b x/a/b x/y/a/b/c", "a x/a b"),
    ("***", "a a/b", ""),
    ("a.b/**", "a.b/c", "axb/c a.b"),
    ("a?/**", "ab/c", "ab a/c"),
    (
        "**/node_modules;!**/keep",
        "node_modules node_modules/x a/node_modules/y",
        "a/node_modules/keep keep node_modules/keep/x",
    ),
    // Sets.
    ("[a-c]", "a b c a/x", "d A ab"),
    ("[^a-c]", "d A d/x", "a b c"),
    ("[abc]x", "ax bx cx", "dx x"),
    ("[!a]", "! a", "b"),
    ("x[a-cx-z]", "xa xc xy", "xd xw x"),
    ("[\\]]", "]", "a"),
    ("[\\-]", "-", "a \\"),
    ("[a\\-c]", "a - c", "b"),
    ("[+.]", "+ .", "a"),
    ("[é-ë]", "é ê", "e ì"),
    ("[a]*[b]", "ab axb", "a/b b"),
    ("[^/]x", "ax", "x a/x"),
    ("[a/]b", "ab", "b"),
    ("[[:digit:]]", "1 7/x", "a d :]"),
    ("[^[:alpha:]]x", "1x .x", "ax"),
    ("[[:x]", "[ : x", "a"),
    ("[\\d]", "4", "d \\"),
    ("a]", "a]", "a"),
    // Behind a star that cannot match a dot, patterns are looked at by Go's regular expressions alone.
    ("x*[a-]", "xa x- xyza", "x xb"),
    ("x/*[-_]t", "x/a-t x/_t", "x/at"),
    ("x*\\", "x$ xa$ xa$b", "x xa"),
    // What moby leaves to Go's regular expressions.
    ("[*]", "[] ^] ^^]", "* a"),
    ("[?]", "[] ^]", "? a"),
    ("a|b", "a|b", "a b"),
    ("a|b*", "a ab abc xb xbc", "xa c"),
    ("{a,b}*", "{a,b} {a,b}c", "a b a,b"),
    ("*.{js,ts}", "x.{js,ts}", "x.js x.ts"),
    ("a{2}*", "aa aab", "a a{2}"),
    ("a{2}", "a{2}", "aa"),
    ("a{,2}*", "a{,2}", "aa a"),
    ("a^*", "", "a^ a a^b"),
    ("a^", "a^", "a"),
    ("\\d", "1 5/x", "d \\d"),
    ("\\w\\s*", "", "ws w"),
    ("\\x41*", "A Ab", "x41"),
    ("\\101*", "A", "101"),
    // What is escaped.
    ("\\*", "*", "a \\*"),
    ("a\\*b", "a*b", "axb ab"),
    ("\\?", "?", "a"),
    ("\\[a\\]", "[a]", "a"),
    ("\\#a", "#a #a/b", "a"),
    ("\\!a", "!a !a/b", "a"),
    ("\\\\", "\\", "\\\\ a"),
    ("a\\/b", "a/b", "a"),
    ("\\.a", ".a", "a xa"),
    ("\\{\\}", "{}", "a"),
    // How lines are read.
    (" a ", "a", "b"),
    ("\ta\t", "a", "b"),
    ("a\r", "a", "b"),
    ("#a", "", "a #a"),
    (" #a", "#a", "a"),
    ("a #b", "", "a b"),
    (";;  ;\t", "", "a"),
    ("\u{feff}a", "a", "\u{feff}a"),
    ("\u{feff}#a;b", "b", "a"),
    ("b;\u{feff}a", "b \u{feff}a", "a"),
    ("\u{a0}a\u{3000}", "a", "b"),
    ("a/", "a a/b", "b"),
    ("/a", "a a/b", "b/a"),
    ("//a//b//", "a/b a/b/c", "a"),
    ("./a", "a", "b"),
    ("a/.", "a a/b", "b"),
    ("a/..", "", "a"),
    ("a/../b", "b", "a a/b"),
    ("a/b/../../c", "c", "a"),
    (".", "", "a .a"),
    ("./", "", "a"),
    ("/", "", "a"),
    ("..", "", "a"),
    ("../a", "", "a"),
    ("/../a", "a", "b"),
    ("/./a/./b", "a/b", "a b"),
    ("a/*/../b", "a/b", "a/x/b"),
    ("**/..", "", "a a/b"),
    ("..*", "..a ..", "a .a"),
    // What is taken back, and in what order.
    ("!a", "", "a b"),
    ("!a;a", "a a/b", "b"),
    ("a;!a", "", "a a/b"),
    ("a;!a;a", "a a/b", "b"),
    ("a;!a/b", "a a/c", "a/b a/b/c"),
    ("a;! a/b", "a a/c", "a/b"),
    ("a;!/a/b", "a a/c", "a/b"),
    ("a;!./a//b/", "a a/c", "a/b"),
    ("a/*;!a/b", "a/c a/c/b", "a a/b a/b/c"),
    ("*;!a", "b b/a", "a a/b"),
    ("*;!a/b", "a b a/c", "a/b a/b/c"),
    ("*;!**/*.go", "a b/c go", "a.go b/a.go b/c/a.go"),
    ("*;!src;src/*.o", "a src/x.o", "src src/a src/d/x.o"),
    ("**;!a/**", "a b", "a/b a/b/c"),
    ("a/b;!a;a/b/c", "a/b/c a/b/c/d", "a a/b a/b/d"),
    ("a;!a/b;a", "a a/b a/b/c", "b"),
    ("a;!a/b;a/b/c;!a/b/c/d", "a a/b/c a/b/c/e", "a/b a/b/c/d"),
    ("*.a;!*.b", "x.a", "x.b x"),
    ("a*;!*b", "a ac a/c", "ab b acb acb/c"),
    ("!!a", "", "a !a"),
    ("!a;*", "a b", ""),
    ("*;!\\!a", "a", "!a"),
    ("**/*.md;!docs/**;docs/x", "a.md docs/x docs/x/y.md", "docs/a.md docs/d/b.md"),
];

/// Files whose patterns docker refuses, by its rules: those of Go's `filepath.Match` and `regexp`.
const REFUSED: &[&str] = &[
    "!",
    "a\n!",
    "! ",
    "[",
    "[a",
    "[]",
    "[^]",
    "[]a]",
    "[^]a]",
    "[a-]",
    "[-a]",
    "[a-",
    "[a-]b]",
    "[z-a]",
    "a\\",
    "[\\",
    "[a\\",
    "a/[",
    "![a",
    "*\\y",
    "\\é",
    "[[:foo:]]",
    "*{2000}",
    "?{3,2}",
    "a|{2}*",
    "?{2}{3}",
    "*{2}",
    "[\\y]",
    "\\8",
];

#[test]
fn files_ignore_what_the_table_says() {
    for (lines, ignored, kept) in TABLE {
        let ignore = read(text(lines).as_bytes()).unwrap_or_else(|| panic!("{lines} is refused"));
        ignored.split_whitespace().for_each(|path| assert!(ignore.matches(path.as_bytes()), "{lines} ignores {path}"));
        kept.split_whitespace().for_each(|path| assert!(!ignore.matches(path.as_bytes()), "{lines} keeps {path}"));
    }
}

#[test]
fn docker_agrees_with_the_table() {
    if !require_pattern_matcher() {
        return;
    }
    let files: Vec<String> = TABLE.iter().map(|(lines, _, _)| text(lines)).collect();
    let paths = |row: usize| TABLE[row].1.split_whitespace().chain(TABLE[row].2.split_whitespace()).map(str::as_bytes);
    let questions = files.iter().enumerate().map(|(row, file)| (file.as_bytes(), paths(row).collect()));
    for (answer, (lines, ignored, kept)) in answers(questions).iter().zip(TABLE) {
        let expected = [vec![true; ignored.split_whitespace().count()], vec![false; kept.split_whitespace().count()]];
        assert!(!answer.refused, "{lines}");
        assert_eq!(answer.ignored(), expected.concat(), "{lines} on {ignored} and {kept}");
        assert_eq!(answer.patterns(), dockerignore::patterns(text(lines).as_bytes()), "{lines}");
    }
}

#[test]
fn what_docker_refuses_is_refused() {
    for file in REFUSED {
        assert!(read(file.as_bytes()).is_none(), "{file}");
    }
    if require_pattern_matcher() {
        for (answer, file) in answers(REFUSED.iter().map(|file| (file.as_bytes(), Vec::new()))).iter().zip(REFUSED) {
            assert!(answer.refused, "{file}");
        }
    }
}

#[test]
fn docker_agrees_on_any_file_and_paths() {
    if !require_pattern_matcher() {
        return;
    }
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let mut case = || (any_file(), any_paths()).new_tree(&mut runner).unwrap().current();
    let cases: Vec<(Vec<u8>, Vec<Vec<u8>>)> = (0..4000).map(|_| case()).collect();
    let questions = cases.iter().map(|(file, paths)| (&file[..], paths.iter().map(Vec::as_slice).collect()));
    let answers = answers(questions);
    assert!(answers.iter().filter(|answer| !answer.refused).count() > 1000, "most files are none");
    for (answer, (file, paths)) in answers.iter().zip(&cases) {
        let shown = || format!("{} on {:?}", file.escape_ascii(), paths.iter().map(|it| it.escape_ascii().to_string()));
        assert_eq!(answer.patterns(), dockerignore::patterns(file), "{}", shown());
        let ignore = read(file);
        assert_eq!(ignore.is_none(), answer.refused, "{}", shown());
        let ignored: Vec<bool> = paths.iter().filter_map(|path| Some(ignore.as_ref()?.matches(path))).collect();
        assert_eq!(ignored, answer.ignored(), "{}", file.escape_ascii());
    }
}

#[test]
fn a_walk_comes_to_the_same() {
    let config = Config { cases: 2000, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&(any_file(), any_paths()), |(file, paths)| {
        let Some(ignore) = read(&file) else { return Ok(()) };
        for path in &paths {
            let slashes: Vec<usize> = (0..path.len()).filter(|at| path[*at] == b'/').collect();
            let mut above = Above::default();
            let mut is_left = false;
            for slash in slashes {
                let directory = &path[..slash];
                is_left |= ignore.matches_in(&above, directory) && !ignore.may_take_back_below(directory);
                above = ignore.enter(&above, directory);
            }
            prop_assert_eq!(ignore.matches_in(&above, path), ignore.matches(path));
            prop_assert!(!is_left || ignore.matches(path), "{} is not found", path.escape_ascii());
        }
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn directories_are_left_unread_where_nothing_is_taken_back() {
    let left = |file: &str, directory: &str| !read(file.as_bytes()).unwrap().may_take_back_below(directory.as_bytes());
    assert!(left("a", "a"));
    assert!(left("a\n!b", "a"));
    assert!(left("*\n!b/c", "b/c/d"));
    assert!(left("*\n!b/*.md", "a"));
    assert!(left("*\n!b/c/*.md", "b/d"));
    assert!(left("*\n!bc/*.md", "b"));
    assert!(!left("*\n!b/c", "b"));
    assert!(!left("*\n!b/*.md", "b"));
    assert!(!left("*\n!b/**/c", "b/d/e"));
    assert!(!left("*\n!**/*.md", "a"));
    assert!(!left("*\n!x|*.md", "a"));
}

#[test]
fn no_pattern_takes_long() {
    let long = "a".repeat(4000);
    let stars = "*a".repeat(200) + "b";
    let directories = "**/a*/".repeat(60) + "b";
    let deep = "a/".repeat(1500) + "c";
    for (pattern, path) in [(&stars, &long), (&directories, &deep), (&"?".repeat(500), &long)] {
        assert!(!read(pattern.as_bytes()).unwrap().matches(path.as_bytes()));
    }
    assert!(read("[[:".repeat(2000).as_bytes()).is_none());
}

fn text(lines: &str) -> String {
    lines.replace(';', "\n")
}

fn read(file: &[u8]) -> Option<Ignore> {
    Ignore::new(dockerignore::patterns(file).iter().map(String::as_str)).ok()
}

fn any_file() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&str] = &[
        "a",
        "b",
        "ab",
        "c",
        ".",
        "..",
        "/",
        "/",
        "*",
        "*",
        "**",
        "**/",
        "/**",
        "?",
        "[",
        "]",
        "[ab]",
        "[^a]",
        "[a-c]",
        "-",
        "^",
        "\\",
        "\\*",
        "\\d",
        "!",
        "\n",
        "\n!",
        "\n",
        " ",
        "#",
        "\r",
        "\t",
        "{",
        "}",
        "{2}",
        "|",
        "+",
        "(",
        ")",
        "$",
        "\u{e9}",
        "2",
        ",",
        "[:alpha:]",
    ];
    // Bytes that are no UTF-8 are left out: docker compares some of them as they are.
    let piece = prop::sample::select(PIECES).prop_map(str::as_bytes);
    prop::collection::vec(piece, 1..14).prop_map(|pieces| pieces.concat())
}

fn any_paths() -> impl Strategy<Value = Vec<Vec<u8>>> {
    const NAMES: &[&[u8]] = &[
        b"a",
        b"a",
        b"b",
        b"ab",
        b"aa",
        b"c",
        b"ba",
        b".a",
        b"a.b",
        b"a b",
        b"[",
        b"]",
        b"^",
        b"\\",
        b"*",
        b"!a",
        b"#",
        b"{2}",
        b"2",
        b"|",
        b"a+",
        b"(a)",
        b"$",
        b"\xc3\xa9",
        b"\xe9",
        b"a\nb",
        b"\xef\xbf\xbd",
    ];
    let path = prop::collection::vec(prop::sample::select(NAMES), 1..5).prop_map(|names| names.join(&b'/'));
    prop::collection::vec(path, 8)
}
