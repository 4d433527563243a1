//! Holds that a name of a type means one thing: few types of `src/` share theirs with another.

use std::collections::BTreeMap;

use crate::support::source::{files, without_comments_and_strings, without_tests};

/// In hundredths of all types: so many that share their name are too many.
const TOO_MANY: usize = 10;

#[test]
fn few_types_share_their_name() {
    let types: Vec<_> = files().iter().flat_map(|(name, text)| types_of(name, text)).collect();
    assert!(types.len() > 300, "only {} types found", types.len());
    assert!(!is_too_much(&types), "\n{}", told(&shared(&types), types.len()));
}

#[test]
fn types_are_found_wherever_they_are_made() {
    let found = |text: &str| types_of("a.rs", text).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(found("pub struct A;\npub(super) enum B<T> {}\ntrait C: D {}\ntype E = F;"), ["A", "B", "C", "E"]);
    assert_eq!(found("pub(crate) struct A(B); pub(in crate::b) struct C2<'a>(&'a D);"), ["A", "C2"]);
    assert_eq!(found("fn f() -> impl G {\n    struct A;\n    type B = C;\n}"), ["A", "B"]);
    assert_eq!(
        found("mod a {\n    pub type A = B;\n}\nimpl A {\n    fn f() {\n        type C = D;\n    }\n}"),
        ["A", "C"]
    );
    assert_eq!(found("// struct A\n/* enum B */ const C: &str = \"trait D\";"), [""; 0]);
    assert_eq!(found("let structure = my_type; let x = r#type; fn f(typed: T) {}"), [""; 0]);
}

#[test]
fn associated_types_and_those_of_tests_do_not_count() {
    let found = |text: &str| types_of("a.rs", text).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(found("impl Deref for A {\n    type Target = B;\n    fn f() {}\n}\ntype C = D;"), ["C"]);
    assert_eq!(found("impl<'a> From<[u8; 4]> for A<'a> {\n    fn f() {}\n    type Err = B;\n}"), [""; 0]);
    assert_eq!(found("pub trait A {\n    fn f(&self) {}\n    type B: C;\n}\nstruct B;"), ["A", "B"]);
    assert_eq!(found("struct A;\n#[cfg(test)]\nmod tests {\n    struct A;\n}\nstruct B;"), ["A", "B"]);
}

#[test]
fn those_that_share_a_name_are_told_with_their_places() {
    let mut types = types_of("a.rs", "struct A;\n\nstruct B;\nstruct C;");
    types.extend(types_of("b/c.rs", "\nenum A {}\ntrait D {}"));
    let told = told(&shared(&types), types.len());
    assert_eq!(told, "2 of 5 types share their name with another:\nA: a.rs:1, b/c.rs:2");
}

#[test]
fn a_tenth_is_too_much() {
    let types = |apart: usize| {
        let names = (0..apart).map(|number| format!("T{number}")).chain(["A".to_owned(), "A".to_owned()]);
        names.map(|name| (name, "a.rs:1".to_owned())).collect::<Vec<_>>()
    };
    assert!(is_too_much(&types(17)));
    assert!(is_too_much(&types(18)));
    assert!(!is_too_much(&types(19)));
}

/// The types that `text`, that of `file`, makes, each with the place of its name. Associated types are none of them, nor is what
/// is there for tests alone.
fn types_of(file: &str, text: &str) -> Vec<(String, String)> {
    let code = without_tests(&without_comments_and_strings(text));
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    // Whether what is in each brace that is open is associated with a type or a trait.
    let mut open = Vec::new();
    // Of what stands before the next brace: its words, and how many brackets are open in it.
    let (mut words, mut brackets): (Vec<&str>, usize) = (Vec::new(), 0);
    let mut at = 0;
    while let Some(c) = code[at..].chars().next() {
        let end = code[at..].find(|c| !is_part(c)).map_or(code.len(), |length| at + length.max(c.len_utf8()));
        let word = &code[at..end];
        match c {
            '{' => {
                open.push(!words.contains(&"fn") && (words.contains(&"impl") || words.contains(&"trait")));
                words.clear();
            }
            '}' => {
                open.pop();
                words.clear();
            }
            '[' => brackets += 1,
            ']' => brackets = brackets.saturating_sub(1),
            ';' if brackets == 0 => words.clear(),
            _ if is_part(c) => {
                let makes = match words.last() {
                    Some(&("struct" | "enum" | "trait")) => true,
                    Some(&"type") => open.last() != Some(&true),
                    _ => false,
                };
                if makes && word.starts_with(char::is_uppercase) {
                    found.push((word.to_owned(), format!("{file}:{}", code[..at].matches('\n').count() + 1)));
                }
                words.push(word);
            }
            _ => {}
        }
        at = end;
    }
    found
}

/// The names that several of `types` have, with the places of all of these.
fn shared(types: &[(String, String)]) -> BTreeMap<&str, Vec<&str>> {
    let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, place) in types {
        places.entry(name).or_default().push(place);
    }
    places.retain(|_, places| places.len() > 1);
    places
}

fn is_too_much(types: &[(String, String)]) -> bool {
    let sharing: usize = shared(types).values().map(Vec::len).sum();
    100 * sharing >= TOO_MANY * types.len()
}

fn told(shared: &BTreeMap<&str, Vec<&str>>, all: usize) -> String {
    let sharing: usize = shared.values().map(Vec::len).sum();
    let lines = shared.iter().map(|(name, places)| format!("\n{name}: {}", places.join(", ")));
    format!("{sharing} of {all} types share their name with another:{}", lines.collect::<String>())
}
