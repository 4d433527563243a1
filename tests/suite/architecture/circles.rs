//! Holds that no files of `src/` import each other in a circle.

use std::collections::{BTreeMap, BTreeSet};

use super::{find_word, parts};
use crate::support::source::{files, without_comments_and_strings, without_tests};

/// The circles that are still to be undone, each with its files in the order of their names.
const TO_UNDO: &[&[&str]] = &[];

#[test]
fn no_files_import_each_other_in_a_circle() {
    let texts = files();
    let imports = imports(texts.iter().map(|(name, text)| (name.as_str(), text.as_str())));
    let count: usize = imports.values().map(BTreeSet::len).sum();
    assert!(count > texts.len(), "only {count} imports found in {} files", texts.len());
    let faults = faults_of(&imports, TO_UNDO);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn a_circle_is_found() {
    let two = [("lib.rs", "mod a;\nmod b;"), ("a.rs", "use crate::b::B;"), ("b.rs", "fn f(a: &super::a::A) {}")];
    assert_eq!(circles(&imports(two)), [["a.rs", "b.rs"]]);
    let three = [
        ("lib.rs", ""),
        ("a.rs", "use crate::b::B;"),
        ("b.rs", "use super::c;\nfn f() { c::g() }"),
        ("c.rs", "use crate::a::A;"),
    ];
    assert_eq!(circles(&imports(three)), [["a.rs", "b.rs", "c.rs"]]);
    let line = [("lib.rs", ""), ("a.rs", "use crate::b::B;"), ("b.rs", "use crate::c::C;"), ("c.rs", "use std::fs;")];
    assert_eq!(circles(&imports(line)), [[""; 0]; 0]);
    let apart =
        [("lib.rs", ""), ("a.rs", "use super::b::B;"), ("b.rs", "use super::a::A;"), ("c.rs", "use super::a::A;")];
    assert_eq!(circles(&imports(apart)), [["a.rs", "b.rs"]]);
}

#[test]
fn a_circle_must_be_listed_and_a_listed_one_must_be_there() {
    let files = [("lib.rs", ""), ("a.rs", "use crate::b::B;"), ("b.rs", "use crate::a::A;")];
    let imports = imports(files);
    assert_eq!(faults_of(&imports, &[&["a.rs", "b.rs"]]), [""; 0]);
    let found = "a.rs, b.rs import each other:\n  a.rs imports b.rs\n  b.rs imports a.rs";
    assert_eq!(faults_of(&imports, &[]), [found]);
    let gone = "a.rs, c.rs are no circle any more: strike them from TO_UNDO";
    assert_eq!(faults_of(&imports, &[&["a.rs", "b.rs"], &["a.rs", "c.rs"]]), [gone]);
}

#[test]
fn every_form_of_an_import_is_read() {
    let imported = |text: &str| {
        let others = [
            ("lib.rs", ""),
            ("top.rs", ""),
            (
                "a/mod.rs",
                "mod x;\nmod y;\npub use x::X;\npub(crate) use self::y::{f as g, y};\nuse crate::top::T;\npub fn z() {}",
            ),
            ("a/x.rs", ""),
            ("a/y.rs", ""),
            ("a/z.rs", ""),
            ("b/mod.rs", "pub use super::a::X as W;"),
            ("b/deep.rs", ""),
        ];
        let all = imports(others.into_iter().chain([("b/c.rs", text)]));
        all["b/c.rs"].iter().cloned().collect::<Vec<_>>()
    };
    assert_eq!(imported("use crate::{top::{self, T}, a::{x::{P, Q}, y::R}};"), ["a/x.rs", "a/y.rs", "top.rs"]);
    assert_eq!(imported("use super::super::top::T;"), ["top.rs"]);
    assert_eq!(imported("use super::deep::D;"), ["b/deep.rs"]);
    assert_eq!(imported("use ocibake::top::T;"), ["top.rs"]);
    assert_eq!(imported("pub use crate::top::T;"), ["top.rs"]);
    assert_eq!(imported("use crate::a::X;"), ["a/x.rs"], "a name is followed to the file that defines it");
    assert_eq!(imported("use crate::a::g;"), ["a/y.rs"]);
    assert_eq!(imported("use super::W;"), ["a/x.rs"], "one is followed after the other");
    assert_eq!(imported("use crate::a::T;"), ["top.rs"]);
    assert_eq!(imported("use crate::a::Other;"), ["a/mod.rs"], "mod.rs defines what it does not take from elsewhere");
    assert_eq!(imported("use crate::a::z;\nfn f() { z() }"), ["a/mod.rs"], "a function named like a module");
    assert_eq!(imported("use crate::a::y;"), ["a/y.rs"], "a name that is a module's too");
    assert_eq!(imported("use crate::a;"), [""; 0], "a module's name alone uses nothing of it");
    assert_eq!(imported("use crate::a;\nfn f() { a::X::new(); a::x::f(); }"), ["a/x.rs"]);
    assert_eq!(imported("use crate::a as e;\nfn f() { e::Other }"), ["a/mod.rs"]);
    assert_eq!(imported("use crate::a::x::*;"), ["a/x.rs"]);
    assert_eq!(imported("fn f() -> crate::a::X { super::deep::f::<u8>() }"), ["a/x.rs", "b/deep.rs"]);
    assert_eq!(
        imported("impl crate::top::T for C {\n    fn f(&self) { self::g(); Self::h(); self.top::<u8>() }\n}"),
        ["top.rs"]
    );
    let none = "use std::{fs, top::a};\nuse top::T;\n// use crate::top::T;\nlet s = \"crate::top::T\";\nfn f() { fs::read() }\n\
        #[cfg(test)]\nmod tests {\n    use crate::top::T;\n}";
    assert_eq!(imported(none), [""; 0]);
}

#[test]
fn a_module_imports_what_it_names_and_not_what_it_hands_on() {
    let imported = |text| imports([("a/mod.rs", text), ("a/x.rs", "")])["a/mod.rs"].iter().cloned().collect::<Vec<_>>();
    assert_eq!(imported("mod x;\npub use x::X;\npub(crate) use x::Y;"), [""; 0]);
    assert_eq!(imported("mod x;\nuse x::X;"), ["a/x.rs"]);
    assert_eq!(imported("mod x;\nuse self::x::X;"), ["a/x.rs"]);
    assert_eq!(imported("mod x;\nfn f() { x::g() }"), ["a/x.rs"]);
    let both = [("a/mod.rs", "mod x;\nuse x::X;\npub struct A;"), ("a/x.rs", "use super::A;")];
    assert_eq!(circles(&imports(both)), [["a/mod.rs", "a/x.rs"]]);
}

/// The files that each file imports.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// A path's names, as written or from the crate's root.
type Names = Vec<String>;

struct Module {
    file: String,
    code: String,
    uses: Vec<Use>,
}

/// One name that a `use` brings in; `*` for all of a module's.
struct Use {
    name: String,
    path: Names,
    is_public: bool,
}

/// The circles of `imports` that are not listed in `to_undo`, and what is listed and no circle.
fn faults_of(imports: &Imports, to_undo: &[&[&str]]) -> Vec<String> {
    let found = circles(imports);
    let new = found.iter().filter(|circle| !to_undo.iter().any(|listed| listed == circle)).map(|circle| {
        let lines = circle.iter().map(|file| {
            let within: Vec<&str> =
                imports[file].iter().map(String::as_str).filter(|to| circle.iter().any(|known| known == to)).collect();
            format!("\n  {file} imports {}", within.join(", "))
        });
        format!("{} import each other:{}", circle.join(", "), lines.collect::<String>())
    });
    let gone = to_undo
        .iter()
        .filter(|listed| !found.iter().any(|circle| circle == *listed))
        .map(|listed| format!("{} are no circle any more: strike them from TO_UNDO", listed.join(", ")));
    new.chain(gone).collect()
}

/// Every largest set of more than one file in which each leads to each other.
fn circles(imports: &Imports) -> Vec<Names> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        imports.keys().map(|file| (file.as_str(), reached(imports, file))).collect();
    let sets: BTreeSet<Names> = reached
        .iter()
        .map(|(file, there)| there.iter().filter(|to| reached[*to].contains(file)).map(|to| (*to).to_owned()).collect())
        .collect();
    sets.into_iter().filter(|set| set.len() > 1).collect()
}

fn reached<'a>(imports: &'a Imports, file: &str) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut left: Vec<&str> = imports[file].iter().map(String::as_str).collect();
    while let Some(next) = left.pop() {
        if seen.insert(next) {
            left.extend(imports[next].iter().map(String::as_str));
        }
    }
    seen
}

/// What each of `files` imports, given by its name below `src/` and its text.
fn imports<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Imports {
    let modules: BTreeMap<Names, Module> =
        files.into_iter().filter(|(name, _)| *name != "main.rs").map(|(name, text)| read(name, text)).collect();
    let crate_ = Crate(modules);
    crate_.0.iter().map(|(place, module)| (module.file.clone(), crate_.imported(place, module))).collect()
}

/// The module that `text`, that of the file `name`, is, and its path.
fn read(name: &str, text: &str) -> (Names, Module) {
    let path = name.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    let place = path.split('/').filter(|part| *part != "lib").map(str::to_owned).collect();
    let (code, uses) = split_uses(&without_tests(&without_comments_and_strings(text)));
    (place, Module { file: name.to_owned(), code, uses })
}

/// The modules by their paths from the root.
struct Crate(BTreeMap<Names, Module>);

impl Crate {
    fn imported(&self, place: &Names, module: &Module) -> BTreeSet<String> {
        let hands_on = module.file.ends_with("mod.rs") || module.file == "lib.rs";
        let used = module.uses.iter().filter(|used| !(hands_on && used.is_public)).map(|used| used.path.clone());
        let files = used.chain(paths(&module.code)).filter_map(|path| self.file_of(place, &path, 0));
        files.filter(|file| *file != module.file).collect()
    }

    /// The file that defines what `path` names in the module at `place`; none for a module alone and for what is
    /// not of this crate.
    fn file_of(&self, place: &[String], path: &[String], depth: usize) -> Option<String> {
        let (mut place, mut rest) = (place.to_vec(), path);
        match rest.first()?.as_str() {
            "crate" | "ocibake" => place.clear(),
            "self" | "super" => {}
            first if self.child(&place, first).is_some() => {}
            first if self.0.get(&place)?.uses.iter().any(|used| used.name == first) => {}
            _ => return None,
        }
        while let Some((name, after)) = rest.split_first() {
            rest = after;
            if matches!(name.as_str(), "crate" | "ocibake" | "self") {
                continue;
            }
            if name == "super" {
                place.pop()?;
                continue;
            }
            let module = self.0.get(&place)?;
            let used = module.uses.iter().find(|used| used.name == *name);
            match (self.child(&place, name), used) {
                (Some(child), _) if !rest.is_empty() => place = child,
                (_, Some(used)) => {
                    // A name that leads to itself is of another crate: `use x::x;`.
                    let path: Names = used.path.iter().chain(rest).cloned().collect();
                    return if depth < 16 { self.file_of(&place, &path, depth + 1) } else { None };
                }
                (Some(_), None) if find_word(&module.code, &format!("fn {name}")).is_none() => return None,
                _ => return Some(module.file.clone()),
            }
        }
        None
    }

    fn child(&self, place: &[String], name: &str) -> Option<Names> {
        let child: Names = place.iter().cloned().chain([name.to_owned()]).collect();
        self.0.contains_key(&child).then_some(child)
    }
}

/// The code without its `use` items, and these.
fn split_uses(code: &str) -> (String, Vec<Use>) {
    let (mut rest_of_code, mut uses) = (String::new(), Vec::new());
    let mut rest = code;
    while let Some(at) = find_word(rest, "use") {
        let end = rest[at..].find(';').map_or(rest.len(), |end| at + end);
        let before = rest[..at].trim_end();
        let is_public = before.ends_with("pub")
            || (before.ends_with(')') && before.contains("pub(") && {
                let open = before.rfind('(').unwrap_or(0);
                before[..open].ends_with("pub")
            });
        add_uses(&rest[at + "use".len()..end], &[], is_public, &mut uses);
        rest_of_code.push_str(&rest[..at]);
        rest = &rest[end..];
    }
    rest_of_code.push_str(rest);
    (rest_of_code, uses)
}

/// Adds each name of `tree`, such as `a::{self, b as c}`, that stands behind `before`.
fn add_uses(tree: &str, before: &[String], is_public: bool, uses: &mut Vec<Use>) {
    let tree = tree.trim();
    if let Some((head, group)) = tree.split_once('{') {
        let path: Names = before.iter().cloned().chain(names(head)).collect();
        for part in parts(group) {
            add_uses(part, &path, is_public, uses);
        }
        return;
    }
    let (path, alias) = tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias.trim())));
    let mut path: Names = before.iter().cloned().chain(names(path)).collect();
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    if let Some(last) = path.last() {
        uses.push(Use { name: alias.unwrap_or(last).to_owned(), path, is_public });
    }
}

fn names(path: &str) -> Names {
    path.split("::").map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The paths of more than one name that stand in `code`.
fn paths(code: &str) -> Vec<Names> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let words = code.split(|c| !is_part(c)).map(|word| word.trim_end_matches(':'));
    words
        .filter(|word| word.contains("::") && !word.starts_with(':'))
        .map(names)
        .filter(|path| path.len() > 1)
        .collect()
}
