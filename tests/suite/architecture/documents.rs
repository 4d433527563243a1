//! Holds that what SECURITY.md and CONTRIBUTING.md name is there: every test, module and item.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::find_word;

/// What may stand before the name of an item where it is declared.
const DECLARATIONS: &[&str] = &["fn", "struct", "enum", "trait", "type", "const", "static", "mod"];

#[test]
fn every_name_in_security_md_is_there() {
    let names = names(&document("SECURITY.md"));
    assert!(names.len() > 50, "only {} names found", names.len());
    let missing: Vec<_> = names.iter().filter(|name| !is_test(name) && !is_item(name)).collect();
    assert!(missing.is_empty(), "SECURITY.md names what is neither in tests/suite nor in src: {missing:#?}");
}

/// The column of tests names nothing but tests, and folders and files of them.
#[test]
fn every_test_in_security_md_is_there() {
    let text = document("SECURITY.md");
    let rows = text.lines().filter(|line| line.starts_with('|') && line.matches('|').count() == 4);
    let tests: Vec<String> = rows.flat_map(|row| names(row.split('|').nth(3).unwrap())).collect();
    assert!(tests.len() > 30, "only {} tests found", tests.len());
    let missing: Vec<_> = tests.iter().filter(|name| !is_test(name)).collect();
    assert!(missing.is_empty(), "SECURITY.md names tests that are not there: {missing:#?}");
}

/// What begins with the name of a crate is the crate's.
#[test]
fn every_name_in_contributing_md_is_there() {
    let text = document("CONTRIBUTING.md");
    let is_ours = |name: &String| {
        let first = name.split("::").next().unwrap_or_default();
        ["src", "tests/suite"].iter().any(|tree| file_of(tree, &[first]).is_some() || root(tree).join(first).is_dir())
    };
    let names: Vec<String> = names(&text).into_iter().filter(is_ours).collect();
    let missing: Vec<_> = names.iter().filter(|name| !is_test(name) && !is_item(name)).collect();
    assert!(missing.is_empty(), "CONTRIBUTING.md names what is neither in tests/suite nor in src: {missing:#?}");
}

/// Each crate has a row that says what it is for; for those that one would reach for, another says where they serve.
#[test]
fn contributing_md_has_the_crates_of_cargo_toml() {
    let manifest: toml::Table = document("Cargo.toml").parse().unwrap();
    let text = document("CONTRIBUTING.md");
    for (section, heading) in
        [("dependencies", "| crate | what for | why this one |\n"), ("dev-dependencies", "| crate | what for |\n")]
    {
        // Some are for one system alone.
        let systems = manifest["target"].as_table().unwrap().values();
        let tables = systems.filter_map(|system| system.get(section)).chain([&manifest[section]]);
        let expected: BTreeSet<&str> =
            tables.flat_map(|table| table.as_table().unwrap().keys().map(String::as_str)).collect();
        let rows = rows(&text, heading);
        let found: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
        assert_eq!(found, Vec::from_iter(expected), "CONTRIBUTING.md and [{section}] of Cargo.toml");
        assert!(rows.iter().all(|row| !row[1].is_empty()), "{rows:?}");
    }
    let rows = rows(&text, "| crate | where it serves | where not, and why |\n");
    let found: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    let usual = ["oci-client", "oci-spec", "tar", "flate2", "sha2", "reqwest", "tokio", "serde_json", "clap", "rayon"];
    assert_eq!(found, usual);
    assert!(rows.iter().all(|row| !row[1].is_empty()), "{rows:?}");
}

/// The words of the glossary are there once each.
#[test]
fn no_word_of_the_glossary_has_two_meanings() {
    let text = document("CONTRIBUTING.md");
    let rows = rows(&text, "| word | what it is | what it is not |\n");
    assert!(rows.len() > 20, "only {} words", rows.len());
    let mut words: Vec<&str> = rows.iter().flat_map(|row| row[0].split(", ")).collect();
    let count = words.len();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), count, "{words:?}");
}

#[test]
fn what_is_not_there_is_missed() {
    assert!(is_test("architecture::documents::what_is_not_there_is_missed"));
    assert!(is_test("architecture::documents") && is_test("architecture::circles"));
    assert!(is_test("error::escape::tests"), "a module of unit tests");
    assert!(!is_test("architecture::documents::what_was_there_once"));
    assert!(!is_test("architecture::documents::is_test"), "no test");
    assert!(!is_test("architecture::nothing") && !is_test("nothing::documents"));
    assert!(!is_test("error::escape"), "no tests, but what is tested");
    assert!(is_item("error::escape") && is_item("oci::Digest") && is_item("progress::WarningKind"));
    assert!(is_item("layer::unpack") && is_item("layer::Layer"), "what is taken from a file below");
    assert!(!is_item("oci::Digset") && !is_item("digest::oci"));
    assert_eq!(names("`a::b`, `c` and `d::e::F` (`a b::c`)"), ["a::b", "d::e::F"]);
}

fn root(tree: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(tree)
}

fn read(name: &str) -> Option<String> {
    fs::read_to_string(root(name)).ok()
}

fn document(name: &str) -> String {
    read(name).unwrap_or_else(|| panic!("there is no {name}"))
}

/// The rows of the table below `heading`, each with its cells.
fn rows<'a>(text: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let table = text.split_once(heading).unwrap_or_else(|| panic!("no table has the heading {heading}")).1;
    let rows = table.lines().skip(1).take_while(|row| row.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// The paths of modules, items and tests that stand in a text between backticks.
fn names(text: &str) -> Vec<String> {
    let spans = text.split('`').skip(1).step_by(2);
    let is_path = |span: &&str| {
        let is_name = |name: &str| !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
        span.contains("::") && span.split("::").all(is_name)
    };
    spans.filter(is_path).map(str::to_owned).collect()
}

/// Whether `name` is a test, a file or a folder of tests, or a module of unit tests or one of these.
fn is_test(name: &str) -> bool {
    let parts: Vec<&str> = name.split("::").collect();
    if root("tests/suite").join(parts.join("/")).is_dir() || file_of("tests/suite", &parts).is_some() {
        return true;
    }
    let Some((last, before)) = parts.split_last() else { return false };
    let is_in = |text: &str| {
        let at = find_word(text, &format!("fn {last}"));
        at.is_some_and(|at| {
            text[..at].lines().rev().take_while(|line| !line.is_empty()).any(|line| line.trim() == "#[test]")
        })
    };
    match before.split_last() {
        _ if *last == "tests" => file_of("src", before).is_some_and(|text| text.contains("mod tests {")),
        Some((&"tests", module)) => file_of("src", module).is_some_and(|text| is_in(&text)),
        _ => file_of("tests/suite", before).is_some_and(|text| is_in(&text)),
    }
}

/// Whether `name` is a module of the source, or something that one declares or takes from another.
fn is_item(name: &str) -> bool {
    let parts: Vec<&str> = name.split("::").collect();
    let Some((last, before)) = parts.split_last() else { return false };
    let declares = |text: String| {
        let exports = ["pub use ", "pub(crate) use "].into_iter().flat_map(|words| text.split(words).skip(1));
        let mut exports = exports.map(|rest| rest.split(';').next().unwrap_or_default());
        exports.any(|export| find_word(export, last).is_some())
            || DECLARATIONS.iter().any(|declaration| find_word(&text, &format!("{declaration} {last}")).is_some())
    };
    file_of("src", &parts).is_some() || file_of("src", before).is_some_and(declares)
}

/// The text of the file that is the module of that path below `tree`.
fn file_of(tree: &str, module: &[&str]) -> Option<String> {
    let path = module.join("/");
    [format!("{tree}/{path}.rs"), format!("{tree}/{path}/mod.rs")].iter().find_map(|name| read(name))
}
