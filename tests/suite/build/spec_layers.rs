//! The layers of a spec say what its adds ask for and nothing else of what is below them.

use crate::support::layout::{Layout, tar_of};
use crate::support::listing::{Kind, Listing, Record};
use crate::support::program::Program;
use crate::support::tree::Tree;
use crate::support::world::World;

/// A spec for one platform whose layers have the `adds`.
fn spec(base: &str, layers: &[&str]) -> String {
    let layers: String = layers.iter().map(|adds| format!("[[layer]]\nadd = [{adds}]\n")).collect();
    format!("{base}\nplatforms = [\"linux/amd64\"]\n{layers}")
}

/// What each layer of the image holds, the lowest first.
fn layers(world: &World, flags: &[&str]) -> Vec<Listing> {
    // A layout keeps the images that it has.
    let place = tempfile::tempdir_in(world.place.path()).unwrap();
    let layout = format!("{}/", place.path().join("image").display());
    world.build(&[&["-o", &layout], flags].concat()).success();
    let image = Layout::open(layout).images().remove(0);
    image.layers.iter().map(|layer| Listing::of_tar(tar_of(layer))).collect()
}

fn paths(layer: &Listing) -> Vec<String> {
    layer.0.keys().map(|path| String::from_utf8(path.clone()).unwrap()).collect()
}

/// Mode, user and group.
fn looks(layer: &Listing, path: &str) -> (u32, u64, u64) {
    let Record { mode, user, group, .. } = layer.0[path.as_bytes()];
    (mode, user, group)
}

/// A base whose `/bin` is a link to `/usr/bin`, and whose `/srv` is 7's alone.
fn merged() -> (&'static str, Tree) {
    let tree = Tree::new()
        .file("root/usr/bin/sh", "sh")
        .symlink("root/bin", "usr/bin")
        .file("srv/kept", "kept")
        .file("app", "app")
        .file("tree/bin/tool", "tool");
    (r#"{ from = "root", to = "/" }"#, tree)
}

const PRIVATE: &str = r#"{ from = "srv", to = "/srv", owner = "7:8", mode = "0700" }"#;

#[test]
fn links_to_directories_are_followed() {
    for (adds, expected) in [
        (r#"{ from = "app", to = "/bin/" }"#, "usr/bin/app"),
        (r#"{ from = "app", to = "/bin/app" }"#, "usr/bin/app"),
        (r#"{ from = "app", to = "/bin/deep/er/" }"#, "usr/bin/deep/er/app"),
        (r#"{ from = "tree", to = "/" }"#, "usr/bin/tool"),
        (r#"{ from = "tree/bin", to = "/bin" }"#, "usr/bin/tool"),
        (r#"{ from = "tree/bin", to = "/bin/" }"#, "usr/bin/tool"),
    ] {
        let (below, tree) = merged();
        let world = World::of(&tree.file("ocibake.toml", spec("", &[below, adds])));
        let made = layers(&world, &[]);
        let paths = paths(&made[1]);
        assert!(paths.contains(&expected.to_owned()), "{adds}: {paths:?}");
        assert!(!paths.iter().any(|path| path == "bin" || path.starts_with("bin/")), "{adds}: {paths:?}");
        world.build(&["-o", "type=local,dest=root"]).success();
        let root = Listing::of_directory(&world.path("root"));
        assert_eq!(root.0[&b"bin"[..]].kind, Kind::Symlink { target: b"usr/bin".to_vec() }, "{adds}");
        assert!(root.0.contains_key(&b"usr/bin/sh"[..]), "{adds}");
    }
}

#[test]
fn the_same_holds_for_a_base() {
    let (below, tree) = merged();
    let base = World::of(&tree.file("ocibake.toml", spec("", &[below])));
    base.build(&["-o", "base/"]).success();
    let base = format!("base = \"oci:{}\"", base.path("base").display());
    let world = World::of(
        &Tree::new().file("app", "app").file("ocibake.toml", spec(&base, &[r#"{ from = "app", to = "/bin/" }"#])),
    );
    assert_eq!(paths(&layers(&world, &[])[1]), ["usr", "usr/bin", "usr/bin/app"]);
}

#[test]
fn a_directory_on_the_way_keeps_owner_and_mode() {
    for to in ["/srv/", "/srv/sub/", "/srv/sub/app"] {
        let adds = format!(r#"{{ from = "app", to = "{to}", owner = "1:1", mode = "0644" }}"#);
        let world = World::of(&merged().1.file("ocibake.toml", spec("", &[PRIVATE, &adds])));
        let made = layers(&world, &[]);
        assert_eq!(looks(&made[0], "srv"), (0o700, 7, 8));
        assert_eq!(looks(&made[1], "srv"), (0o700, 7, 8), "{to}");
        assert!(!made[1].0.contains_key(&b"srv/kept"[..]), "{to}: it is in the layer below");
        if to != "/srv/" {
            assert!(made[1].0.contains_key(&b"srv/sub/app"[..]), "{to}");
        }
    }
}

#[test]
fn a_destination_changes_as_far_as_its_add_says() {
    for (options, expected) in [
        ("", (0o700, 7, 8)),
        (r#", mode = "0711""#, (0o711, 7, 8)),
        (r#", owner = "1:2""#, (0o700, 1, 2)),
        (r#", owner = "1:2", mode = "u=rwx""#, (0o755, 1, 2)),
    ] {
        let adds = format!(r#"{{ from = "tree", to = "/srv"{options} }}"#);
        let world = World::of(&merged().1.file("ocibake.toml", spec("", &[PRIVATE, &adds])));
        assert_eq!(looks(&layers(&world, &[])[1], "srv"), expected, "{adds}");
    }
}

/// Both bring the same entries, and only one of them says something of the directory that is there.
#[test]
fn what_an_add_does_not_ask_for_is_not_taken_from_one_that_asks() {
    let below = World::of(&merged().1.file("ocibake.toml", spec("", &[PRIVATE])));
    below.build(&["-o", "base/"]).success();
    let base = format!("base = \"oci:{}\"", below.path("base").display());
    let world = World::of(&Tree::new().directory("only/sub").mode(0o755).file("ocibake.toml", ""));
    for (options, expected) in [("", 0o700), (r#", mode = "0755""#, 0o755), ("", 0o700)] {
        let adds = format!(r#"{{ from = "only", to = "/srv"{options} }}"#);
        std::fs::write(world.context.path().join("ocibake.toml"), spec(&base, &[&adds])).unwrap();
        let layer = &layers(&world, &[])[1];
        assert_eq!(looks(layer, "srv"), (expected, 7, 8), "{adds}");
        assert_eq!(looks(layer, "srv/sub"), (0o755, 0, 0), "{adds}");
    }
}

#[test]
fn files_and_directories_do_not_give_way_to_each_other() {
    for (adds, says) in [
        (r#"{ from = "app", to = "/usr/bin" }"#, "/usr/bin is a directory in the image, and a file is added there"),
        (r#"{ from = "tree", to = "/usr/bin/sh/" }"#, "/usr/bin/sh is not a directory in the image"),
        (r#"{ from = "tree", to = "/usr/bin/sh" }"#, "/usr/bin/sh is not a directory in the image"),
        (r#"{ from = "app", to = "/usr/bin/sh/" }"#, "/usr/bin/sh is not a directory in the image"),
    ] {
        let (below, tree) = merged();
        let world = World::of(&tree.file("ocibake.toml", spec("", &[below, adds])));
        world.build(&["-o", "image/"]).failure(1).says(&[says]);
        assert!(!world.path("image").exists());
    }
}

#[test]
fn hard_links_are_hard_links_over_what_is_below() {
    let (below, tree) = merged();
    let tree = tree.file("two/one", "content").hard_link("two/other", "two/one");
    let world = World::of(&tree.file("ocibake.toml", spec("", &[below, r#"{ from = "two", to = "/bin/" }"#])));
    let layer = &layers(&world, &[])[1];
    assert_eq!(paths(layer), ["usr", "usr/bin", "usr/bin/one", "usr/bin/other"]);
    for path in ["usr/bin/one", "usr/bin/other"] {
        let Kind::File { link, .. } = &layer.0[path.as_bytes()].kind else { panic!("{path} is no file") };
        assert_eq!(link.as_deref(), Some(&b"usr/bin/one"[..]), "{path}");
    }
}

#[test]
fn a_layer_that_is_known_is_made_again_where_what_is_below_has_changed() {
    let (below, tree) = merged();
    let world = World::of(&tree.file("ocibake.toml", spec("", &[below, r#"{ from = "app", to = "/bin/" }"#])));
    let first = layers(&world, &[]);
    assert_eq!(layers(&world, &[]), first, "nothing has changed");
    let (context, root) = (world.context.path(), world.context.path().join("root"));
    std::fs::remove_file(root.join("bin")).unwrap();
    std::fs::create_dir(root.join("bin")).unwrap();
    let second = layers(&world, &[]);
    assert_eq!(paths(&second[1]), ["bin", "bin/app"]);
    let fresh = Program::new().images(context, &[]).remove(0);
    let fresh: Vec<Listing> = fresh.layers.iter().map(|layer| Listing::of_tar(tar_of(layer))).collect();
    assert_eq!(second, fresh);
}
