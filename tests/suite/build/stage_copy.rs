//! What `COPY` puts where. The rules are those of BuildKit's file operations and of fsutil's copier; each expectation was
//! derived from them by hand.

use ocibake::plan::{Base, Copy, CopyItem, Work};
use ocibake::tree::Mode;

use crate::support::handmade::{self, Handmade};
use crate::support::stages::{TIME, Workshop, copy, destination, directory};
use crate::support::tree::Tree;

/// A context with a bit of everything.
fn context() -> Tree {
    Tree::new()
        .file("a.txt", "a")
        .file("b.txt", "b")
        .file("run.sh", "run")
        .mode(0o755)
        .directory("empty")
        .mode(0o700)
        .file("src/one.c", "1")
        .mode(0o600)
        .file("src/sub/two.c", "22")
        .file("src/sub/deep/three.h", "333")
        .symlink("src/link", "one.c")
        .symlink("to-src", "src")
        .symlink("to-a", "/a.txt")
        .file("odd/[x].txt", "odd")
}

/// A base with an ordinary tree in it: `/bin` leads to `/usr/bin`, `/tmp` is for all.
fn base() -> Handmade {
    use handmade::{directory, file, symlink};
    Handmade::of(&[
        &[
            directory("usr"),
            directory("usr/bin").mode(0o751).owner(3, 4),
            file("usr/bin/sh", "shell").mode(0o755),
            symlink("bin", "usr/bin"),
            directory("tmp").mode(0o1777),
            directory("etc"),
            file("etc/passwd", "root:x:0:0::/:\nalice:x:1000:1001::/home/alice:/bin/sh\nbob:x:7:8\n"),
            file("etc/group", "root:x:0:\nstaff:x:50:alice\n"),
            file("srv/gone", "gone"),
            file("srv/file", "file"),
            directory("srv/sub").mode(0o2750).owner(9, 9),
            symlink("srv/dangling", "../new/place"),
            symlink("srv/to-file", "file"),
        ],
        &[file("srv/.wh.gone", "")],
    ])
}

fn based() -> (Workshop, Base) {
    let mut workshop = Workshop::new(&context());
    let image = workshop.image(base());
    (workshop, Base::Image(image))
}

/// The lines of the layer that one `COPY` on the base comes to.
fn copied(work: Copy) -> Vec<String> {
    let (workshop, base) = based();
    workshop.steps(base, vec![Work::Copy(work)]).lines()
}

#[test]
fn a_file_goes_to_the_destination_or_into_a_directory() {
    assert_eq!(copied(copy(&["a.txt"], "/new")), ["f 644 0:0 new"]);
    assert_eq!(copied(copy(&["a.txt"], "/new/")), ["d 755 0:0 new", "f 644 0:0 new/a.txt"]);
    assert_eq!(copied(copy(&["a.txt"], "/x/y/z")), ["d 755 0:0 x", "d 755 0:0 x/y", "f 644 0:0 x/y/z"]);
    assert_eq!(
        copied(copy(&["a.txt"], "/tmp")),
        ["d 1777 0:0 tmp", "f 644 0:0 tmp/a.txt"],
        "a directory that is there"
    );
    assert_eq!(copied(copy(&["a.txt"], "/")), ["f 644 0:0 a.txt"]);
    assert_eq!(copied(copy(&["run.sh", "a.txt"], "/x/")), ["d 755 0:0 x", "f 644 0:0 x/a.txt", "f 755 0:0 x/run.sh"]);
    assert_eq!(copied(copy(&["/../a.txt"], "/x")), ["f 644 0:0 x"], "above the context is the context");
}

#[test]
fn a_directory_gives_its_contents() {
    let sources = ["l 0 0:0 x/link -> one.c", "f 600 0:0 x/one.c", "d 755 0:0 x/sub", "d 755 0:0 x/sub/deep"];
    let expected =
        [&["d 755 0:0 x"], &sources[..], &["f 644 0:0 x/sub/deep/three.h", "f 644 0:0 x/sub/two.c"]].concat();
    assert_eq!(copied(copy(&["src"], "/x")), expected);
    assert_eq!(copied(copy(&["src/"], "/x/")), expected);
    assert_eq!(copied(copy(&["to-src"], "/x")), expected, "a link that is named is followed");
    assert_eq!(copied(copy(&["empty"], "/x")), ["d 755 0:0 x"], "the directory itself is not copied");
    assert_eq!(copied(copy(&["to-a"], "/x/")), ["d 755 0:0 x", "f 644 0:0 x/to-a"], "under the link's own name");
}

#[test]
fn links_on_the_way_and_at_the_end_are_followed() {
    let parents = ["d 755 0:0 usr", "d 751 3:4 usr/bin"];
    assert_eq!(copied(copy(&["a.txt"], "/bin/")), [&parents[..], &["f 644 0:0 usr/bin/a.txt"]].concat());
    assert_eq!(copied(copy(&["a.txt"], "/bin/new")), [&parents[..], &["f 644 0:0 usr/bin/new"]].concat());
    assert_eq!(copied(copy(&["a.txt"], "/bin")), [&parents[..], &["f 644 0:0 usr/bin/a.txt"]].concat());
    assert_eq!(copied(copy(&["a.txt"], "/srv/to-file")), ["d 755 0:0 srv", "f 644 0:0 srv/file"]);
    assert_eq!(copied(copy(&["a.txt"], "/srv/dangling")), ["d 755 0:0 new", "f 644 0:0 new/place"]);
    assert_eq!(
        copied(copy(&["a.txt"], "/srv/dangling/")),
        ["d 755 0:0 new", "d 755 0:0 new/place", "f 644 0:0 new/place/a.txt"]
    );
}

#[test]
fn directories_are_merged_and_take_over_what_the_source_says() {
    let mut workshop = Workshop::new(&Tree::new().file("tree/sub/new", "new").directory("tree/sub").mode(0o711));
    let base = Base::Image(workshop.image(base()));
    let outcome = workshop.steps(base, vec![Work::Copy(copy(&["tree"], "/srv"))]);
    let expected = ["d 755 0:0 srv", "d 711 0:0 srv/sub", "f 644 0:0 srv/sub/new"];
    assert_eq!(outcome.lines(), expected, "the one that is copied to stays, and one that is copied does not");
}

#[test]
fn what_cannot_take_the_place_of_what_is_there_is_refused() {
    let mut workshop = Workshop::new(&Tree::new().file("d/bin/x", "x").file("f/srv", "f").file("plain", "p"));
    let base = Base::Image(workshop.image(base()));
    for (work, says) in [
        (copy(&["d"], "/"), "/bin is not a directory in the image"),
        (copy(&["f"], "/"), "/srv is a directory in the image"),
        (copy(&["plain"], "/srv/file/"), "/srv/file must be a directory"),
        (copy(&["plain"], "/srv/file/x"), "/srv/file must be a directory"),
        (copy(&["d"], "/srv/file"), "/srv/file is not a directory in the image"),
    ] {
        let error = workshop.error(base.clone(), vec![Work::Copy(work)]);
        assert!(error.message.contains(says), "{error:?}");
        assert_eq!(error.excerpt.unwrap().line, 2);
    }
    let error = workshop.error(base, vec![directory("srv/file/x", None)]);
    assert!(error.message.contains("/srv/file"), "{error:?}");
}

#[test]
fn wildcards_are_those_of_filepath_match_name_by_name() {
    let names = |patterns: &[&str]| {
        let (workshop, base) = based();
        let outcome = workshop.steps(base, vec![Work::Copy(copy(patterns, "/x/"))]);
        (outcome.last()[1..].join(" "), outcome.warnings)
    };
    for (patterns, expected) in [
        (&["*.txt"][..], "x/a.txt x/b.txt"),
        (&["[ab].t?t"], "x/a.txt x/b.txt"),
        (&["src/*.c"], "x/one.c"),
        (&["s*/sub/*.c"], "x/two.c"),
        (&["src/**"], "x/deep x/deep/three.h x/link x/one.c x/two.c"),
        (&["src/su*"], "x/deep x/deep/three.h x/two.c"),
        (&["odd/[[]x].txt"], "x/[x].txt"),
        (&["odd/\\[x].tx*"], "x/[x].txt"),
        (&["to-s*/one.c"], ""),
        (&["to-src/*.c"], "x/one.c"),
        (&["to-*"], "x/link x/one.c x/sub x/sub/deep x/sub/deep/three.h x/sub/two.c x/to-a"),
    ] {
        let (found, warnings) = match expected {
            "" => {
                // A file that is there, for there to be a layer.
                let (found, warnings) = names(&[patterns, &["a.txt"]].concat());
                assert_eq!(found, "x/a.txt");
                (String::new(), warnings)
            }
            _ => names(patterns),
        };
        assert_eq!(found, expected, "{patterns:?}");
        assert_eq!(warnings.len(), usize::from(expected.is_empty()), "{warnings:?}");
    }
}

#[test]
fn a_pattern_that_finds_nothing_copies_nothing_and_a_name_must_be_there() {
    let (workshop, base) = based();
    let outcome = workshop.steps(base.clone(), vec![Work::Copy(copy(&["*.go"], "/x/"))]);
    assert_eq!(outcome.images[0].layers.len(), 0);
    assert!(
        outcome.warnings[0].contains("`*.go`") && outcome.warnings[0].contains("the context"),
        "{:?}",
        outcome.warnings
    );
    assert!(outcome.images[0].config.history.last().unwrap().empty_layer);
    for missing in ["missing", "missing/*.txt", "a.txt/x"] {
        let error = workshop.error(base.clone(), vec![Work::Copy(copy(&[missing], "/x/"))]);
        assert!(error.message.contains("missing") || error.message.contains("a.txt"), "{error:?}");
        assert_eq!(error.excerpt.unwrap().line, 2);
    }
}

#[test]
fn owners_are_numbers_or_names_of_the_image() {
    let owned = |owner: &str| {
        let work = Copy { owner: Some(owner.to_owned()), ..copy(&["a.txt"], "/x/") };
        let (workshop, base) = based();
        let outcome = workshop.steps(base, vec![Work::Copy(work)]);
        let lines = outcome.lines();
        let owners: Vec<&str> = lines.iter().map(|line| line.split(' ').nth(2).unwrap()).collect();
        assert_eq!(owners[0], owners[1], "directories on the way have the same owner");
        (owners[0].to_owned(), outcome.warnings.len())
    };
    for (owner, expected) in [
        ("5", "5:5"),
        ("5:6", "5:6"),
        ("alice", "1000:1001"),
        ("alice:staff", "1000:50"),
        ("alice:9", "1000:9"),
        ("5:staff", "5:50"),
        ("bob", "7:8"),
        (":staff", "0:50"),
        ("root", "0:0"),
        ("root:staff", "0:50"),
        ("alice:root", "1000:0"),
    ] {
        assert_eq!(owned(owner), (expected.to_owned(), 0), "{owner}");
    }
    assert_eq!(owned("nobody-there"), ("0:0".to_owned(), 1));
    assert_eq!(owned("alice:nobody-there"), ("1000:1001".to_owned(), 1));
    let (workshop, _) = based();
    let work = Copy { owner: Some("alice".to_owned()), ..copy(&["a.txt"], "/x/") };
    let error = workshop.error(Base::Scratch, vec![Work::Copy(work)]);
    assert!(error.message.contains("`alice`"), "{error:?}");
    // As BuildKit has it, these need no file that knows them.
    for owner in ["root", "0", "root:root", "0:root", ":root", "root:0"] {
        for link in [false, true] {
            let work = Copy { owner: Some(owner.to_owned()), link, ..copy(&["a.txt"], "/x/") };
            let outcome = workshop.steps(Base::Scratch, vec![Work::Copy(work)]);
            assert_eq!(outcome.lines(), ["d 755 0:0 x", "f 644 0:0 x/a.txt"], "{owner}");
        }
        let made = workshop.steps(Base::Scratch, vec![directory("made", Some(owner))]);
        assert_eq!(made.lines(), ["d 755 0:0 made"], "{owner}");
    }
}

#[test]
fn modes_are_for_all_but_links_and_symbolic_ones_not_for_what_is_made_on_the_way() {
    let changed = |mode: &str| copied(Copy { mode: Some(Mode::parse(mode).unwrap()), ..copy(&["src"], "/x") });
    let lines = |modes: [&str; 6]| {
        let [made, one, sub, deep, three, two] = modes;
        [
            format!("d {made} 0:0 x"),
            "l 0 0:0 x/link -> one.c".to_owned(),
            format!("f {one} 0:0 x/one.c"),
            format!("d {sub} 0:0 x/sub"),
            format!("d {deep} 0:0 x/sub/deep"),
            format!("f {three} 0:0 x/sub/deep/three.h"),
            format!("f {two} 0:0 x/sub/two.c"),
        ]
    };
    assert_eq!(changed("0640"), lines(["640"; 6]));
    assert_eq!(changed("4755"), lines(["4755"; 6]));
    assert_eq!(changed("u=rwX,go=rX"), lines(["755", "644", "755", "755", "644", "644"]));
    assert_eq!(changed("a+x"), lines(["755", "711", "755", "755", "755", "755"]));
}

#[test]
fn excluded_files_stay_behind() {
    let without = |exclude: &[&str], work: Copy| {
        copied(Copy { exclude: exclude.iter().map(|pattern| (*pattern).to_owned()).collect(), ..work })
    };
    let paths =
        |lines: Vec<String>| lines.iter().map(|line| line.split(' ').nth(3).unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(
        paths(without(&["*.c", "link"], copy(&["src"], "/x"))),
        ["x", "x/sub", "x/sub/deep", "x/sub/deep/three.h", "x/sub/two.c"]
    );
    assert_eq!(
        paths(without(&["**/*.c", "link"], copy(&["src"], "/x"))),
        ["x", "x/sub", "x/sub/deep", "x/sub/deep/three.h"]
    );
    assert_eq!(paths(without(&["*", "!sub/two.c"], copy(&["src"], "/x"))), ["x", "x/sub", "x/sub/two.c"]);
    assert_eq!(paths(without(&["b*"], copy(&["*.txt"], "/x/"))), ["x", "x/a.txt"], "a file by its name");
}

#[test]
fn parents_are_kept_from_the_pivot_on() {
    let parents = |pattern: &str| copied(Copy { parents: true, ..copy(&[pattern], "/x/") });
    let paths = |pattern: &str| {
        parents(pattern).iter().map(|line| line.split(' ').nth(3).unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(parents("src/one.c"), ["d 755 0:0 x", "d 755 0:0 x/src", "f 600 0:0 x/src/one.c"]);
    assert_eq!(paths("./src/./sub/two.c"), "x x/sub x/sub/two.c");
    assert_eq!(paths("src/sub/./deep"), "x x/deep x/deep/three.h");
    assert_eq!(paths("src/*/*.c"), "x x/src x/src/sub x/src/sub/two.c");
    assert_eq!(paths("s*/./sub/*.c"), "x x/sub x/sub/two.c");
    assert_eq!(paths("**/*.h"), "x x/src x/src/sub x/src/sub/deep x/src/sub/deep/three.h");
    let (workshop, base) = based();
    let work = Copy { parents: true, ..copy(&["src/missing"], "/x/") };
    let error = workshop.error(base, vec![Work::Copy(work)]);
    assert!(error.message.contains("`src/missing`"), "{error:?}");
}

#[test]
fn a_linked_copy_does_not_look_below() {
    let linked = copied(Copy { link: true, ..copy(&["a.txt"], "/bin/") });
    assert_eq!(linked, ["d 755 0:0 bin", "f 644 0:0 bin/a.txt"], "a directory takes the place of the link");
    let linked = copied(Copy { link: true, owner: Some("alice".to_owned()), ..copy(&["a.txt"], "/tmp/") });
    assert_eq!(linked, ["d 755 1000:1001 tmp", "f 644 1000:1001 tmp/a.txt"]);
    let mode = Some(Mode::parse("600").unwrap());
    let changed = copied(Copy { link: true, mode, ..copy(&["a.txt"], "/bin/") });
    assert_eq!(changed, ["d 755 0:0 usr", "d 751 3:4 usr/bin", "f 600 0:0 usr/bin/a.txt"], "--chmod takes --link away");
    // What comes later finds what the linked copy has left.
    let (workshop, base) = based();
    let first = Work::Copy(Copy { link: true, ..copy(&["a.txt"], "/bin/") });
    let outcome = workshop.steps(base, vec![first, Work::Copy(copy(&["b.txt"], "/bin/"))]);
    assert_eq!(outcome.lines(), ["d 755 0:0 bin", "f 644 0:0 bin/b.txt"]);
}

#[test]
fn texts_are_files_of_root() {
    let text = |name: &str| CopyItem::Text { name: name.to_owned(), content: "hello\n".into() };
    let work = |to| Copy { items: vec![text("one"), text("two")], ..copy(&[], to) };
    assert_eq!(copied(work("/x/")), ["d 755 0:0 x", "f 644 0:0 x/one", "f 644 0:0 x/two"]);
    let single = Copy { items: vec![text("one")], to: destination("/srv/sub"), ..copy(&[], "/") };
    assert_eq!(copied(single), ["d 755 0:0 srv", "d 2750 9:9 srv/sub", "f 644 0:0 srv/sub/one"]);
}

#[test]
fn the_later_of_two_sources_wins() {
    let (workshop, base) = based();
    let items = vec![
        CopyItem::Pattern("a.txt".to_owned()),
        CopyItem::Text { name: "a.txt".to_owned(), content: "much longer".into() },
    ];
    let outcome = workshop.steps(base, vec![Work::Copy(Copy { items, ..copy(&[], "/x/") })]);
    assert!(outcome.record("x/a.txt").to_string().contains("file of 11 bytes"), "{}", outcome.record("x/a.txt"));
}

#[test]
fn ignored_files_are_not_in_the_context() {
    let (mut workshop, base) = based();
    workshop.contexts[0].1 = ["src", "!src/sub/two.c", "odd", "to-*", "empty"].map(str::to_owned).to_vec();
    let outcome = workshop.steps(base.clone(), vec![Work::Copy(copy(&["."], "/x"))]);
    assert_eq!(outcome.last(), ["x", "x/a.txt", "x/b.txt", "x/run.sh", "x/src", "x/src/sub", "x/src/sub/two.c"]);
    let error = workshop.error(base, vec![Work::Copy(copy(&["src/one.c"], "/x"))]);
    assert!(error.message.contains("`src/one.c`"), "{error:?}");
}

#[test]
fn hard_links_and_special_files_come_along_and_attributes_stay_behind() {
    let tree = Tree::new()
        .file("d/a", "same")
        .hard_link("d/b", "d/a")
        .hard_link("other", "d/a")
        .file("d/noted", "n")
        .attribute("user.note", "of this machine")
        .fifo("d/pipe")
        .socket("d/socket");
    let workshop = Workshop::new(&tree);
    let outcome = workshop.steps(Base::Scratch, vec![Work::Copy(copy(&["d"], "/x"))]);
    assert_eq!(
        outcome.lines(),
        ["d 755 0:0 x", "f 644 0:0 x/a = x/a", "f 644 0:0 x/b = x/a", "f 644 0:0 x/noted", "s 644 0:0 x/pipe"]
    );
    assert!(outcome.record("x/noted").attributes.is_empty(), "docker's client does not send them");
}

#[test]
fn a_working_directory_is_made_if_it_is_missing() {
    let (workshop, base) = based();
    let steps = vec![
        directory("bin/work/sub", Some("alice")),
        directory("usr/bin", Some("alice")),
        directory("srv/dangling", None),
    ];
    let outcome = workshop.steps(base, steps);
    let layers = &outcome.images[0].layers;
    assert_eq!(layers.len(), 2, "one that is there makes no layer");
    assert_eq!(
        crate::support::stages::lines(&layers[0]),
        ["d 755 0:0 usr", "d 751 3:4 usr/bin", "d 755 1000:1001 usr/bin/work", "d 755 1000:1001 usr/bin/work/sub"]
    );
    assert_eq!(crate::support::stages::lines(&layers[1]), ["d 755 0:0 new", "d 755 0:0 new/place"]);
    let empty: Vec<bool> = outcome.images[0].config.history.iter().map(|step| step.empty_layer).collect();
    assert_eq!(empty, [false, true, false]);
}

#[test]
fn all_that_is_made_has_the_time_of_the_build_unless_times_are_kept() {
    use ocibake::source::modified::{FILES_TIME, Modified};
    let mut workshop = Workshop::new(&Tree::new().file("d/f", "x").time(1_000_000_000).symlink("d/l", "f").time(5));
    let outcome = workshop.steps(Base::Scratch, vec![Work::Copy(copy(&["d"], "/x"))]);
    assert!(outcome.layer(0).0.values().all(|record| record.time == TIME), "{:?}", outcome.layer(0));
    workshop.options.modified = Modified::Preserve;
    let outcome = workshop.steps(Base::Scratch, vec![Work::Copy(copy(&["d"], "/x"))]);
    let times: Vec<i64> = outcome.layer(0).0.values().map(|record| record.time).collect();
    assert_eq!(times, [FILES_TIME, 1_000_000_000, 5], "the directory is made here");
}
