//! Where adds put what they name: docker's COPY rules, and the errors beyond them.

use std::collections::BTreeMap;
use std::path::Path;

use ocibake::error::{Error, Result};
use ocibake::plan::{Add, Owner, Source};
use ocibake::source::modified::{FILES_TIME, Modified};
use ocibake::tree::{Entry, Kind, Mode, read_xattrs};
use tempfile::TempDir;

use crate::support::entry::entries;
use crate::support::tool::require_root;
use crate::support::tree::Tree;

#[test]
fn the_contents_of_a_directory_go_to_the_destination() {
    let context = Tree::new().file("dir/a", "").file("dir/sub/b", "").plant();
    for to in ["/", "/opt/", "/opt", "opt", "/deep/er"] {
        let place = to.trim_matches('/');
        let below = |path: &str| if place.is_empty() { path.to_owned() } else { format!("{place}/{path}") };
        let mut expected = vec![below("a"), below("sub"), below("sub/b")];
        let parents = place.split('/').scan(String::new(), |path, part| {
            *path = if path.is_empty() { part.to_owned() } else { format!("{path}/{part}") };
            Some(path.clone())
        });
        expected.extend(parents.filter(|parent| !parent.is_empty()));
        expected.sort();
        assert_eq!(paths(&added(&context, &[add("dir", to)]).unwrap()), expected, "to {to}");
    }
}

#[test]
fn a_destination_with_a_slash_is_a_directory_of_its_own_and_without_one_becomes_the_source() {
    let context = Tree::new().directory("dir").mode(0o700).time(5).file("dir/a", "").plant();
    let mode = |to: &str| added(&context, &[add("dir", to)]).unwrap()[0].attributes.mode;
    assert_eq!((mode("/opt/"), mode("/opt")), (0o755, 0o700));
}

#[test]
fn a_file_goes_to_the_destination_or_into_it() {
    let context = Tree::new().file("dir/a", "").plant();
    for (to, expected) in [
        ("/x", vec!["x"]),
        ("/x/", vec!["x", "x/a"]),
        ("/", vec!["a"]),
        ("/x/y/z", vec!["x", "x/y", "x/y/z"]),
        ("x/.", vec!["x", "x/a"]),
    ] {
        assert_eq!(paths(&added(&context, &[add("dir/a", to)]).unwrap()), expected, "to {to}");
    }
}

#[test]
fn a_pattern_takes_files_by_name_and_directories_by_content() {
    let tree = Tree::new().file("a.txt", "").file("b.txt", "").file("c.md", "").file("d.txt/below", "");
    let context = tree.file("sub/e.txt", "").plant();
    assert_eq!(paths(&added(&context, &[add("*.txt", "/x/")]).unwrap()), ["x", "x/a.txt", "x/b.txt", "x/below"]);
    assert_eq!(paths(&added(&context, &[add("**/e.txt", "/")]).unwrap()), ["e.txt"]);
    assert_eq!(paths(&added(&context, &[add("?.md", "/")]).unwrap()), ["c.md"]);
    assert_eq!(paths(&added(&context, &[add("[ab].txt", "/")]).unwrap()), ["a.txt", "b.txt"]);
}

#[test]
fn several_sources_need_a_destination_with_a_slash() {
    let context = Tree::new().file("a.txt", "").file("b.txt", "").plant();
    let error = added(&context, &[add("*.txt", "/x")]).unwrap_err();
    assert!(error.message.contains("2 sources") && error.message.contains("/x"), "{error}");
    assert!(error.hint.is_some_and(|hint| hint.contains("`to = \"/x/\"`")));
    // A pattern that one file matches is as good as its name.
    assert_eq!(paths(&added(&context, &[add("a*", "/x")]).unwrap()), ["x"]);
}

#[test]
fn what_is_not_there_is_named() {
    let context = Tree::new().file("a.txt", "").plant();
    for pattern in ["missing", "*.md", "sub/*"] {
        let error = added(&context, &[add(pattern, "/")]).unwrap_err();
        assert!(error.message.contains(pattern), "{error}");
    }
    assert!(added(&context, &[add("a.txt/below", "/")]).is_err());
}

#[test]
fn a_link_out_of_the_context_is_refused() {
    let elsewhere = Tree::new().file("secret/key", "").plant();
    let secret = elsewhere.path().join("secret");
    let context = Tree::new().symlink("out", secret.to_str().unwrap()).symlink("up", "../..").file("a", "").plant();
    for pattern in ["out", "out/key", "out/*", "up", "o*"] {
        let error = added(&context, &[add(pattern, "/x/")]).unwrap_err();
        assert!(error.message.contains("leads out of the context"), "{pattern}: {error}");
    }
}

#[test]
fn a_link_is_followed_where_it_is_named_and_kept_below() {
    let tree = Tree::new().file("dir/a", "content").symlink("dir/link", "a").symlink("dir/out", "/etc/passwd");
    let context = tree.symlink("to-dir", "dir").symlink("to-file", "dir/a").plant();
    let named = added(&context, &[add("to-dir", "/")]).unwrap();
    assert_eq!(paths(&named), ["a", "link", "out"]);
    assert_eq!(named[1].kind, Kind::Symlink { target: b"a".to_vec() });
    assert_eq!(named[2].kind, Kind::Symlink { target: b"/etc/passwd".to_vec() });
    // Under the link's name, not its target's.
    let named = added(&context, &[add("to-file", "/x/")]).unwrap();
    assert_eq!(paths(&named), ["x", "x/to-file"]);
    assert!(matches!(named[1].kind, Kind::File(_)));
    let broken = Tree::new().symlink("broken", "nowhere").plant();
    assert!(added(&broken, &[add("broken", "/")]).unwrap_err().message.contains("broken"));
}

#[test]
fn a_typed_path_may_be_anywhere() {
    let elsewhere = Tree::new().file("a", "").symlink("link", "a").plant();
    let typed = |name: &str| Add { source: Source::Path(elsewhere.path().join(name)), ..add("", "/x/") };
    assert_eq!(paths(&entries(&[typed("link")], Path::new("none"), Modified::At(0)).unwrap()), ["x", "x/link"]);
    assert_eq!(paths(&entries(&[typed("")], Path::new("none"), Modified::At(0)).unwrap()), ["x", "x/a", "x/link"]);
    assert!(entries(&[typed("none")], Path::new("none"), Modified::At(0)).unwrap_err().message.contains("none"));
}

#[test]
fn two_adds_may_put_the_same_thing_at_one_path() {
    let context =
        Tree::new().file("a", "same").time(1).file("b", "same").time(2).directory("c/d").directory("e/d").plant();
    assert_eq!(paths(&added(&context, &[add("a", "/x"), add("b", "/x")]).unwrap()), ["x"]);
    assert_eq!(paths(&added(&context, &[add("a", "/x"), add("a", "/x")]).unwrap()), ["x"]);
    assert_eq!(paths(&added(&context, &[add("c", "/"), add("e", "/")]).unwrap()), ["d"]);
    let noted = Tree::new().file("a", "same").attribute("user.note", "n").file("b", "same").attribute("user.note", "n");
    assert_eq!(paths(&added(&noted.plant(), &[add("a", "/x"), add("b", "/x")]).unwrap()), ["x"]);
    // With their own times they are not the same.
    assert!(entries(&[add("a", "/x"), add("b", "/x")], context.path(), Modified::Preserve).is_err());
}

#[test]
fn two_adds_that_put_different_things_at_one_path_disagree() {
    let tree = Tree::new().file("a", "one").file("b", "two").file("b-longer", "longer").file("m", "one").mode(0o600);
    let tree = tree.file("noted", "one").attribute("user.note", "n");
    let context =
        tree.directory("dir").symlink("links/x", "one").symlink("others/x", "two").file("files/x", "").plant();
    for (one, other) in [
        (add("a", "/x"), add("b", "/x")),
        (add("a", "/x"), add("b-longer", "/x")),
        (add("a", "/x"), add("m", "/x")),
        (add("a", "/x"), add("noted", "/x")),
        (add("a", "/x"), add("dir", "/x")),
        (add("links", "/"), add("others", "/")),
        (add("links", "/"), add("files", "/")),
        (add("a", "/x"), Add { owner: Owner::Numbers { user: 1, group: 0 }, ..add("a", "/x") }),
    ] {
        for adds in [[one.clone(), other.clone()], [other, one]] {
            let error = added(&context, &adds).unwrap_err();
            assert!(error.message.contains("two adds disagree about /x"), "{error}");
            assert!(error.hint.is_some());
        }
    }
}

#[test]
fn a_hard_link_has_the_attributes_of_its_file() {
    let tree = Tree::new().file("dir/a", "").attribute("user.note", "n").hard_link("dir/b", "dir/a").file("dir/c", "");
    let context = tree.plant();
    let mut made = added(&context, &[add("dir", "/")]).unwrap();
    read_xattrs(&mut made).unwrap();
    assert_eq!(made[1].kind, Kind::HardLink { target: b"a".to_vec() });
    let noted = BTreeMap::from([(b"user.note".to_vec(), b"n".to_vec())]);
    assert_eq!(
        made.into_iter().map(|entry| entry.attributes.xattrs).collect::<Vec<_>>(),
        [noted.clone(), noted, BTreeMap::new()]
    );
}

#[test]
fn a_directory_is_no_file() {
    let context = Tree::new().file("a", "a").symlink("links/x", "y").directory("empty").plant();
    for adds in [
        [add("a", "/x"), add("a", "/x/y")],
        [add("a", "/x"), add("a", "/x/deep/y")],
        [add("links", "/"), add("a", "/x/y")],
        [add("a", "/x"), add("empty", "/x/")],
    ] {
        for adds in [adds.clone(), {
            let [one, other] = adds;
            [other, one]
        }] {
            let error = added(&context, &adds).unwrap_err();
            assert!(error.message.contains("two adds disagree about /x"), "{error}");
        }
    }
}

#[test]
fn parents_that_nobody_describes_are_roots() {
    let context = Tree::new().file("a", "").directory("opt").mode(0o700).plant();
    let owner = Owner::Numbers { user: 7, group: 8 };
    let made = entries(&[Add { owner, ..add("a", "/opt/deep/a") }], context.path(), Modified::At(99)).unwrap();
    let described = |entry: &Entry| {
        (entry.attributes.mode, entry.attributes.user, entry.attributes.group, entry.attributes.modified.seconds)
    };
    assert_eq!(
        made.iter().map(described).collect::<Vec<_>>(),
        [(0o755, 0, 0, 99), (0o755, 0, 0, 99), (0o644, 7, 8, 99)]
    );
    // One that an add describes is as described, whatever the order.
    for adds in [[add("a", "/opt/a"), add("opt", "/opt")], [add("opt", "/opt"), add("a", "/opt/a")]] {
        let made = added(&context, &adds).unwrap();
        assert_eq!((paths(&made), made[0].attributes.mode), (vec!["opt".to_owned(), "opt/a".to_owned()], 0o700));
    }
}

/// As docker's `COPY empty/ /srv/` makes /srv.
#[test]
fn a_destination_is_there_even_if_nothing_goes_into_it() {
    let context = Tree::new().directory("empty").plant();
    assert_eq!(paths(&added(&context, &[add("empty", "/srv/www/")]).unwrap()), ["srv", "srv/www"]);
    assert_eq!(paths(&added(&context, &[add("empty", "/srv")]).unwrap()), ["srv"]);
    assert_eq!(paths(&added(&context, &[add("empty", "/")]).unwrap()), [""; 0]);
}

#[test]
fn owners_are_given_or_preserved() {
    if !require_root() {
        return;
    }
    let context = Tree::new().file("dir/a", "").owner(12, 34).plant();
    for (owner, expected) in
        [("0:0", (0, 0)), ("5", (5, 5)), ("5:6", (5, 6)), ("4294967294:1", (4_294_967_294, 1)), ("preserve", (12, 34))]
    {
        let made = added(&context, &[Add { owner: owner.parse().unwrap(), ..add("dir/a", "/a") }]).unwrap();
        assert_eq!((made[0].attributes.user, made[0].attributes.group), expected, "{owner}");
    }
}

#[test]
fn modes_are_for_files_and_directories_and_not_for_links() {
    let tree = Tree::new().directory("dir/sub").mode(0o700).file("dir/run", "").mode(0o700).file("dir/text", "");
    let context = tree.mode(0o600).symlink("dir/way", "text").plant();
    // In order: run, sub, text, way.
    for (mode, expected) in [
        ("0640", [0o640, 0o750, 0o640, 0o777]),
        ("4755", [0o4755, 0o755, 0o4755, 0o777]),
        ("u=rwX,go=rX", [0o755, 0o755, 0o644, 0o777]),
        ("a+x", [0o711, 0o711, 0o711, 0o777]),
        ("go=u", [0o777, 0o777, 0o666, 0o777]),
        ("u-w", [0o500, 0o500, 0o400, 0o777]),
        ("+t", [0o1700, 0o1700, 0o1600, 0o777]),
    ] {
        let made = added(&context, &[Add { mode: Some(Mode::parse(mode).unwrap()), ..add("dir", "/") }]).unwrap();
        assert_eq!(paths(&made), ["run", "sub", "text", "way"]);
        assert_eq!(made.iter().map(|entry| entry.attributes.mode).collect::<Vec<_>>(), expected, "{mode}");
    }
}

#[test]
fn times_are_given_or_preserved() {
    let context = Tree::new().file("dir/a", "").time(1234).plant();
    let made = |modified| entries(&[add("dir/a", "/x/a")], context.path(), modified).unwrap();
    assert_eq!(
        made(Modified::At(-5)).iter().map(|entry| entry.attributes.modified.seconds).collect::<Vec<_>>(),
        [-5, -5]
    );
    assert_eq!(
        made(Modified::Preserve).iter().map(|entry| entry.attributes.modified.seconds).collect::<Vec<_>>(),
        [FILES_TIME, 1234]
    );
}

#[test]
fn excludes_are_relative_to_the_directory_that_is_added() {
    let context =
        Tree::new().file("dir/a.log", "").file("dir/b", "").file("dir/sub/c.log", "").file("d.log", "").plant();
    let without = |from: &str, patterns: &[&str]| {
        let exclude = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        paths(&added(&context, &[Add { exclude, ..add(from, "/") }]).unwrap())
    };
    assert_eq!(without("dir", &["*.log"]), ["b", "sub", "sub/c.log"]);
    assert_eq!(without("dir", &["dir/*.log"]), ["a.log", "b", "sub", "sub/c.log"]);
    assert_eq!(without("dir", &["**/*.log", "!a.log"]), ["a.log", "b", "sub"]);
    assert_eq!(without("*.log", &["d.log"]), [""; 0]);
}

#[test]
fn names_of_one_file_are_links_to_the_first_of_them() {
    let context = Tree::new().file("dir/m", "").hard_link("dir/a", "dir/m").hard_link("dir/z", "dir/m").plant();
    let made = added(&context, &[add("dir", "/")]).unwrap();
    assert!(matches!(made[0].kind, Kind::File(_)));
    let link = Kind::HardLink { target: b"a".to_vec() };
    assert_eq!((&made[1].kind, &made[2].kind), (&link, &link));
    // In two places of the image as well.
    let made = added(&context, &[add("dir/m", "/y/m"), add("dir/z", "/x/z")]).unwrap();
    assert_eq!(made[3].kind, Kind::HardLink { target: b"x/z".to_vec() });
}

#[test]
fn names_of_one_file_that_look_different_are_files() {
    let context = Tree::new().file("a", "").hard_link("b", "a").hard_link("c", "a").hard_link("d", "a").plant();
    let mode = |from: &str, mode: &str| Add { mode: Some(Mode::parse(mode).unwrap()), ..add(from, "/x/") };
    let adds = [mode("a", "600"), mode("b", "644"), mode("c", "600"), mode("d", "644")];
    let made = added(&context, &adds).unwrap();
    assert!(matches!((&made[1].kind, &made[2].kind), (Kind::File(_), Kind::File(_))));
    assert_eq!(made[3].kind, Kind::HardLink { target: b"x/a".to_vec() });
    assert_eq!(made[4].kind, Kind::HardLink { target: b"x/b".to_vec() });
    let owner = |from: &str, user| Add { owner: Owner::Numbers { user, group: 0 }, ..add(from, "/") };
    let made = added(&context, &[owner("a", 1), owner("b", 2)]).unwrap();
    assert!(made.iter().all(|entry| matches!(entry.kind, Kind::File(_))));
}

#[test]
fn a_link_whose_first_name_is_excluded_stands_for_itself() {
    let context = Tree::new().file("dir/a", "").hard_link("dir/b", "dir/a").hard_link("dir/c", "dir/a").plant();
    let made = added(&context, &[Add { exclude: vec!["a".to_owned()], ..add("dir", "/") }]).unwrap();
    assert!(matches!(made[0].kind, Kind::File(_)));
    assert_eq!(made[1].kind, Kind::HardLink { target: b"b".to_vec() });
}

#[test]
fn an_error_shows_the_line_that_asked_for_it() {
    let place = ocibake::error::Excerpt::new("ocibake.toml", "first\nfrom = \"gone\"\n", 6..10);
    let context = Tree::new().plant();
    let error: Error = added(&context, &[Add { place: Some(place.clone()), ..add("gone", "/") }]).unwrap_err();
    assert_eq!(error.excerpt.as_deref(), Some(&place));
}

/// Of root, with no mode, from the context.
fn add(from: &str, to: &str) -> Add {
    let source = Source::Context { context: 0, pattern: from.to_owned() };
    Add { source, to: to.parse().unwrap(), mode: None, owner: Owner::ROOT, exclude: Vec::new(), place: None }
}

fn added(context: &TempDir, adds: &[Add]) -> Result<Vec<Entry>> {
    entries(adds, context.path(), Modified::At(0))
}

fn paths(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| String::from_utf8(entry.path.clone()).unwrap()).collect()
}
