//! What is wrong in `ocibake.toml` is shown at its place.

use ocibake::error::Error;
use ocibake::plan::{AddSpec, Automatic, Spec};

use crate::support::base::no_base;

/// As the command line shows it.
fn shown(error: &Error) -> String {
    let excerpt = error.excerpt.as_ref().map(|excerpt| format!("\n{excerpt}")).unwrap_or_default();
    let hint = error.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
    format!("{error}{excerpt}{hint}")
}

fn refusal(text: &str) -> String {
    shown(&Spec::parse("ocibake.toml", text).expect_err(text))
}

/// The message and the words under the caret of the error for a spec.
fn blame(text: &str) -> (String, String) {
    let error = Spec::parse("ocibake.toml", text).expect_err(text);
    let excerpt = error.excerpt.as_ref().unwrap_or_else(|| panic!("{text}: {error} has no place"));
    let words = excerpt.text.chars().skip(excerpt.column - 1).take(excerpt.width).collect();
    (error.to_string(), words)
}

#[test]
fn an_unknown_key_is_shown_with_what_was_meant() {
    insta::assert_snapshot!(refusal("titel = \"api\"\n"), @r#"
    unknown key `titel`
     --> ocibake.toml:1:1
      |
    1 | titel = "api"
      | ^^^^^
    hint: did you mean `title`?
    "#);
    insta::assert_snapshot!(refusal("\n[[layer]]\nadd = [\n\t{ form = \"a\", to = \"/\" },\n]"), @r#"
    unknown key `form` in `add`
     --> ocibake.toml:4:4
      |
    4 | 	{ form = "a", to = "/" },
      | 	  ^^^^
    hint: did you mean `from`?
    "#);
    insta::assert_snapshot!(refusal("[config.healthcheck]\nzzz = 1"), @r"
    unknown key `zzz` in `healthcheck`
     --> ocibake.toml:2:1
      |
    2 | zzz = 1
      | ^^^
    hint: known keys are test, interval, timeout, start-period, start-interval, retries
    ");
}

#[test]
fn a_string_for_a_list_is_shown_as_a_list() {
    insta::assert_snapshot!(refusal("[config]\nentrypoint = \"/bin/api\""), @r#"
    `entrypoint` must be a list, not a string
     --> ocibake.toml:2:14
      |
    2 | entrypoint = "/bin/api"
      |              ^^^^^^^^^^
    hint: write it as a list: entrypoint = ["/bin/api"]
    "#);
}

#[test]
fn paths_that_leave_their_place_are_refused() {
    insta::assert_snapshot!(refusal("[[layer]]\nadd = [{ from = \"a\", to = \"/srv/../../x\" }]"), @r#"
    the destination `/srv/../../x` has `..`, which may lead out of the image
     --> ocibake.toml:2:27
      |
    2 | add = [{ from = "a", to = "/srv/../../x" }]
      |                           ^^^^^^^^^^^^^^
    hint: write the path from the image's root, as in `/srv/app/`
    "#);
    for from in ["../x", "a/../b", "/etc/passwd", "{arch}/.."] {
        let (message, words) = blame(&format!("[[layer]]\nadd = [{{ from = \"{from}\", to = \"/\" }}]"));
        assert!(message.contains("is outside of the context"), "{message}");
        assert_eq!(words, format!("\"{from}\""));
    }
}

#[test]
fn placeholders_that_say_nothing_are_refused() {
    insta::assert_snapshot!(refusal("[[layer]]\nadd = [{ from = \"{tripel}/x\", to = \"/\" }]"), @r#"
    unknown placeholder `{tripel}`
     --> ocibake.toml:2:17
      |
    2 | add = [{ from = "{tripel}/x", to = "/" }]
      |                 ^^^^^^^^^^^^
    hint: did you mean `{triple}`?
    "#);
    let windows = "platforms = [\"windows/amd64\"]\n[[layer]]\nadd = [{ from = \"{triple}/x\", to = \"/\" }]";
    let windows = Spec::parse("ocibake.toml", windows).unwrap();
    let error = windows.plan(".", &Automatic::default(), &mut no_base).unwrap_err();
    insta::assert_snapshot!(shown(&error), @r#"
    there is no target triple for windows/amd64, so `{triple}/x` says nothing
     --> ocibake.toml:3:17
      |
    3 | add = [{ from = "{triple}/x", to = "/" }]
      |                 ^^^^^^^^^^^^
    hint: use {os}, {arch} and {variant} in its place
    "#);
}

#[test]
fn modes_and_owners_are_explained() {
    insta::assert_snapshot!(refusal("[[layer]]\nadd = [{ from = \"a\", to = \"/\", mode = 755 }]"), @r#"
    `mode` is not octal
     --> ocibake.toml:2:39
      |
    2 | add = [{ from = "a", to = "/", mode = 755 }]
      |                                       ^^^
    hint: write it as a string, mode = "0755", or as 0o755
    "#);
    insta::assert_snapshot!(refusal("[[layer]]\nadd = [{ from = \"a\", to = \"/\", owner = \"nobody\" }]"), @r#"
    `nobody` is not an owner
     --> ocibake.toml:2:40
      |
    2 | add = [{ from = "a", to = "/", owner = "nobody" }]
      |                                        ^^^^^^^^
    hint: an owner is `user[:group]` as numbers (names need the passwd file that scratch does not have), or `preserve`
    "#);
}

#[test]
fn a_text_that_is_no_toml_is_shown_where_it_ends_to_be() {
    let (message, _) = blame("title = \n");
    assert!(message.starts_with("ocibake.toml is not valid TOML: "), "{message}");
    let error = Spec::parse("ocibake.toml", "title = \"a\"\nname = = 3").unwrap_err();
    assert_eq!(error.excerpt.unwrap().line, 2);
}

#[test]
fn every_wrong_value_is_refused_at_its_place() {
    let layer = |add: &str| format!("[[layer]]\nadd = {add}");
    for (text, words) in [
        ("name = \"Org/api\"".to_owned(), "\"Org/api\""),
        ("name = \"org/api:v1\"".to_owned(), "\"org/api:v1\""),
        ("platforms = []".to_owned(), "[]"),
        ("platforms = [\"linux/amd46\"]".to_owned(), "\"linux/amd46\""),
        ("platforms = [\"amd64\", \"linux/x86_64\"]".to_owned(), "\"linux/x86_64\""),
        ("index = \"yes\"".to_owned(), "\"yes\""),
        ("libc = \"glibc\"".to_owned(), "\"glibc\""),
        ("title = \"\"".to_owned(), "\"\""),
        ("version = 1".to_owned(), "1"),
        ("layer = []".to_owned(), "[]"),
        (layer("[]"), "[]"),
        (layer("[{ to = \"/\" }]"), "{ to = \"/\" }"),
        (layer("[{ from = \"a\" }]"), "{ from = \"a\" }"),
        (layer("[{ from = \"\", to = \"/\" }]"), "\"\""),
        (layer("[{ from = \"a**b\", to = \"/\" }]"), "\"a**b\""),
        (layer("[{ from = \"a[b\", to = \"/\" }]"), "\"a[b\""),
        (layer("[{ from = \"a\", to = \"\" }]"), "\"\""),
        (layer("[{ from = \"a\", to = \"\\u0000\" }]"), "\"\\u0000\""),
        (layer("[{ from = \"a\", to = \"/{\" }]"), "\"/{\""),
        (layer("[{ from = \"a\", to = \"/\", mode = 0o17777 }]"), "0o17777"),
        (layer("[{ from = \"a\", to = \"/\", mode = \"rwx\" }]"), "\"rwx\""),
        (layer("[{ from = \"a\", to = \"/\", owner = \"1:\" }]"), "\"1:\""),
        (layer("[{ from = \"a\", to = \"/\", owner = \"4294967295\" }]"), "\"4294967295\""),
        (layer("[{ from = \"a\", to = \"/\", exclude = [\" \"] }]"), "\" \""),
        (layer("[{ from = \"a\", to = \"/\", exclude = [\"{x}\"] }]"), "\"{x}\""),
        ("[config]\nports = [0]".to_owned(), "0"),
        ("[config]\nports = [65536]".to_owned(), "65536"),
        ("[config]\nports = [-1]".to_owned(), "-1"),
        ("[config]\nports = [\"9-8\"]".to_owned(), "\"9-8\""),
        ("[config]\nports = [\"80/icmp\"]".to_owned(), "\"80/icmp\""),
        ("[config]\nports = [\"+80\"]".to_owned(), "\"+80\""),
        ("[config]\nenv = { \"\" = \"x\" }".to_owned(), "\"\""),
        ("[config]\nenv = { \"A=B\" = \"x\" }".to_owned(), "\"A=B\""),
        ("[config]\nenv = { A = \"\\u0000\" }".to_owned(), "A"),
        ("[config]\nenv = [\"A\"]".to_owned(), "\"A\""),
        ("[config]\nenv = [\"A=1\", \"A=2\"]".to_owned(), "\"A=2\""),
        ("[config]\nenv = { A = 1 }".to_owned(), "1"),
        ("[config]\nuser = \"a:b:c\"".to_owned(), "\"a:b:c\""),
        ("[config]\nworkdir = \"srv\"".to_owned(), "\"srv\""),
        ("[config]\nvolumes = [\"data\"]".to_owned(), "\"data\""),
        ("[config]\nstop-signal = \"SIGTREM\"".to_owned(), "\"SIGTREM\""),
        ("[config]\nstop-signal = \"65\"".to_owned(), "\"65\""),
        ("[config]\nstop-signal = \"SIGRTMIN+16\"".to_owned(), "\"SIGRTMIN+16\""),
        ("[config]\nhealthcheck = \"x\"".to_owned(), "\"x\""),
        ("[config]\nhealthcheck = { retries = 1 }".to_owned(), "{ retries = 1 }"),
        ("[config]\nhealthcheck = { test = [\"/bin/x\"] }".to_owned(), "[\"/bin/x\"]"),
        ("[config]\nhealthcheck = { test = [\"NONE\"], interval = \"1\" }".to_owned(), "\"1\""),
        ("[config]\nhealthcheck = { test = [\"NONE\"], retries = -1 }".to_owned(), "-1"),
        ("[labels]\n\"\" = \"x\"".to_owned(), "\"\""),
        ("[labels]\na = 1".to_owned(), "1"),
    ] {
        let (message, blamed) = blame(&text);
        assert_eq!(blamed, words, "{text}: {message}");
    }
}

#[test]
fn a_missing_key_is_shown_at_its_table() {
    let (message, words) = blame("[[layer]]\nname = \"x\"");
    assert_eq!((message.as_str(), words.as_str()), ("a layer has no `add`", "[[layer]]"));
}

#[test]
fn several_platforms_are_not_one_manifest() {
    let spec = Spec::parse("ocibake.toml", "index = false\nplatforms = [\"amd64\", \"arm64\"]").unwrap();
    let error = spec.plan(".", &Automatic::default(), &mut no_base).unwrap_err();
    assert_eq!(error.to_string(), "an image for several platforms needs an index");
}

#[test]
fn a_wrong_flag_of_an_add_is_explained() {
    let refusal = |text| shown(&AddSpec::from_flag(text).expect_err(text));
    insta::assert_snapshot!(refusal("app"), @r"
    `app` does not say what to add where
    hint: the form is `SRC:DST[:mode=…,owner=…,exclude=…]`, with DST from the image's root, as in `app:/bin/`
    ");
    insta::assert_snapshot!(refusal("app:/bin/:ownr=0"), @r"
    `ownr=0` is not an option of an add
    hint: did you mean `owner=`?
    ");
    for wrong in ["", ":/bin", "app:bin", "app:/../x", "app:/bin:0755", "app:/bin:mode=x", "app:/bin:", "{x}:/bin"] {
        assert!(AddSpec::from_flag(wrong).is_err(), "{wrong}");
    }
}
