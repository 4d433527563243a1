//! Holds the order of the modules and what each of them may touch, as the top of `src/lib.rs` tells it.

mod circles;
mod documents;
mod names;
mod size;

use std::collections::BTreeSet;

use crate::support::source::{files, without_comments_and_strings, without_tests};

/// A module uses only itself and those that stand before it.
pub const ORDER: &[&str] = &[
    "error", "sync", "kernel", "oci", "progress", "net", "tree", "plan", "layer", "store", "registry", "image",
    "source", "run", "build", "attest", "output", "release", "inspect", "serve", "cli",
];

/// What may stand in some modules only.
const RESERVED: &[(&[&str], &[&str])] = &[
    (&["println!", "print!", "eprintln!", "eprint!", "std::env"], &["cli", "main"]),
    (&["async", "await", "tokio"], &["net", "serve"]),
    (&["reqwest"], &["net"]),
    (&["hyper", "hyper_util", "tokio_rustls"], &["serve"]),
    (&["unsafe"], &["run"]),
    (&["target_os"], &["kernel", "run"]),
    (&[".unwrap()"], &[]),
];

#[test]
fn modules_use_only_what_stands_before_them() {
    let files = files();
    let faults: Vec<_> = files.iter().flat_map(|(name, text)| faults_of(name, text)).collect();
    assert!(files.len() > 10, "only {} files found", files.len());
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn a_use_of_a_later_module_is_a_fault() {
    assert_eq!(faults_of("oci/digest.rs", "use crate::store::Store;"), ["oci/digest.rs:1: oci uses store"]);
    assert_eq!(faults_of("layer/mod.rs", "\nfn f(x: crate::build::B) {}"), ["layer/mod.rs:2: layer uses build"]);
    assert_eq!(faults_of("build/mod.rs", "use ocibake::output::X;"), ["build/mod.rs:1: build uses output"]);
    assert_eq!(faults_of("oci/mod.rs", "use crate::\nimage::Image;"), ["oci/mod.rs:1: oci uses image"]);
    let groups = "use crate::{\n    error::{Error, plan},\n    cli, oci::{self, Digest},\n    output::layout,\n};";
    assert_eq!(
        faults_of("store/mod.rs", groups),
        ["store/mod.rs:1: store uses cli", "store/mod.rs:1: store uses output"]
    );
    let allowed = "use crate::error::Error;\nuse crate::{oci, progress::Event};\nuse crate::store::graph;";
    assert_eq!(faults_of("store/mod.rs", allowed), [""; 0]);
}

#[test]
fn main_alone_uses_cli() {
    assert_eq!(faults_of("main.rs", "ocibake::cli::main()"), [""; 0]);
    assert_eq!(faults_of("inspect/mod.rs", "crate::cli::f()"), ["inspect/mod.rs:1: inspect uses cli"]);
}

#[test]
fn modules_are_known_and_do_not_climb_out() {
    assert_eq!(faults_of("util.rs", ""), ["util.rs:1: `util` is not in the order of modules"]);
    assert_eq!(faults_of("oci/mod.rs", "use super::store;"), ["oci/mod.rs:1: `super` climbs out of oci"]);
    assert_eq!(faults_of("image.rs", "use super::store;"), ["image.rs:1: `super` climbs out of image"]);
    assert_eq!(faults_of("oci/digest.rs", "use super::super::store;"), ["oci/digest.rs:1: `super` climbs out of oci"]);
    assert_eq!(faults_of("oci/digest.rs", "use super::Platform;"), [""; 0]);
    assert_eq!(faults_of("registry/pull/blob.rs", "use super::super::client;"), [""; 0]);
    assert_eq!(faults_of("oci/mod.rs", "#[cfg(test)]\nmod tests {\n    use super::*;\n}"), [""; 0]);
    assert_eq!(faults_of("oci/mod.rs", "use crate::elsewhere::X;"), ["oci/mod.rs:1: oci uses elsewhere"]);
}

#[test]
fn reserved_words_stay_where_they_belong() {
    let cases = [
        ("layer/walk.rs", "eprintln!(\"x\");", "eprintln!"),
        ("output/mod.rs", "let x = std::env::var(\"HOME\");", "std::env"),
        ("output/mod.rs", "use std::{env, fs};", "std::env"),
        ("store/mod.rs", "pub async fn open() {}", "async"),
        ("build/mod.rs", "let client = reqwest::Client::new();", "reqwest"),
        ("serve/mod.rs", "let client = reqwest::Client::new();", "reqwest"),
        ("cli/serve.rs", "hyper::body::Bytes::new()", "hyper"),
        ("layer/read.rs", "unsafe { read() }", "unsafe"),
        ("layer/read.rs", "#[cfg(target_os = \"linux\")]\nmod a;", "target_os"),
        ("cli/mod.rs", "x.unwrap();", ".unwrap()"),
    ];
    for (file, text, word) in cases {
        assert_eq!(faults_of(file, text), [format!("{file}:1: `{word}` does not belong here")]);
    }
    let allowed = [
        ("cli/mod.rs", "println!(\"x\"); std::env::args();"),
        ("net/client.rs", "async { tokio::spawn(f).await }"),
        ("serve/listen.rs", "async { tokio::spawn(f).await }"),
        ("oci/platform.rs", "let here = std::env::consts::ARCH;"),
        ("kernel/macos.rs", "let own = std::env::current_exe()?;"),
        ("oci/mod.rs", "// x.unwrap() is unsafe\n/// crate::cli\nlet text = \"unsafe // async\";"),
        ("oci/mod.rs", "let unsafety = 1; /* unsafe\n crate::cli */ let asynchronous = r#\" \"unsafe\" \"#;"),
        ("oci/mod.rs", "#[cfg(test)]\nmod tests {\n    fn f() { x.unwrap(); }\n}"),
    ];
    for (file, text) in allowed {
        assert_eq!(faults_of(file, text), [""; 0], "{text}");
    }
    assert_eq!(
        faults_of("oci/mod.rs", "#[cfg(test)]\nmod tests {\n    f(\"}\");\n}\nfn f() { x.unwrap(); }"),
        ["oci/mod.rs:5: `.unwrap()` does not belong here"]
    );
    assert_eq!(
        faults_of("oci/mod.rs", "let quote = '\"'; unsafe {} let life: &'a str = \"\";"),
        ["oci/mod.rs:1: `unsafe` does not belong here"]
    );
}

/// What is wrong with `text`, that of the file `name` below `src/`.
fn faults_of(name: &str, text: &str) -> Vec<String> {
    let parts: Vec<&str> = name.trim_end_matches(".rs").split('/').collect();
    let module = parts[0];
    let code = without_tests(&without_comments_and_strings(text));
    let mut faults = Vec::new();
    let mut fault = |at: usize, what: String| {
        faults.push(format!("{name}:{}: {what}", code[..at].matches('\n').count() + 1));
    };
    let rank = ORDER.iter().position(|known| *known == module);
    if rank.is_none() && !matches!(module, "main" | "lib") {
        fault(0, format!("`{module}` is not in the order of modules"));
    }
    for (at, used) in uses(&code) {
        let later =
            ORDER.iter().position(|known| *known == used).is_none_or(|used| rank.is_some_and(|rank| used > rank));
        if later && module != "lib" {
            fault(at, format!("{module} uses {used}"));
        }
    }
    let depth = parts.iter().skip(1).filter(|part| **part != "mod").count();
    if let Some(at) = code.find(&"super::".repeat(depth + 1)).filter(|_| rank.is_some()) {
        fault(at, format!("`super` climbs out of {module}"));
    }
    // The program and the machine are not the environment.
    let code_for_words = ["consts", "current_exe"]
        .into_iter()
        .fold(code.clone(), |code, name| code.replace(&format!("std::env::{name}"), &format!("std::___::{name}")));
    for (words, allowed) in RESERVED {
        for word in words.iter().filter(|_| !allowed.contains(&module)) {
            if let Some(at) = find_word(&code_for_words, word) {
                fault(at, format!("`{word}` does not belong here"));
            }
        }
    }
    faults
}

/// The top modules that `code` names by `crate::` or `ocibake::`, with the place of the name.
fn uses(code: &str) -> Vec<(usize, String)> {
    let mut found = BTreeSet::new();
    for root in ["crate::", "ocibake::"] {
        for (at, _) in code.match_indices(root) {
            let is_whole = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            for name in first_names(&code[at + root.len()..]).into_iter().filter(|_| is_whole) {
                found.insert((at, name));
            }
        }
    }
    found.into_iter().collect()
}

/// `a` of `a::b::C`; `a` and `b` of `{a::{C, D}, b}`.
fn first_names(path: &str) -> Vec<String> {
    let path = path.trim_start();
    match path.strip_prefix('{') {
        Some(group) => parts(group).into_iter().filter_map(|part| word_at(part.trim_start())).collect(),
        None => word_at(path).into_iter().collect(),
    }
}

/// The parts of a group between its own commas; `group` begins behind the brace that opens it, and what stands behind the one
/// that closes it is left out.
fn parts(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(&group[start..at]);
                return parts;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&group[start..]);
    parts
}

fn word_at(text: &str) -> Option<String> {
    let word: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    // What begins with a capital is an item of the crate's root, not a module.
    Some(word).filter(|word| word.starts_with(|c: char| c.is_lowercase()))
}

fn find_word(code: &str, word: &str) -> Option<usize> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let whole = |at: usize| {
        let before = word.starts_with('.') || !code[..at].ends_with(is_part);
        before && (word.ends_with(['!', ')']) || !code[at + word.len()..].starts_with(is_part))
    };
    let direct = code.match_indices(word).map(|(at, _)| at).find(|at| whole(*at));
    let in_group = || {
        let (root, name) = word.split_once("::")?;
        code.match_indices(&format!("{root}::{{"))
            .map(|(at, _)| at)
            .find(|at| first_names(&code[at + root.len() + 2..]).iter().any(|first| first == name))
    };
    direct.or_else(in_group)
}
