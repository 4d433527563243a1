//! How files are read: attributes and blocks, HCL and JSON, and what is wrong with them.

use ocibake::plan::hcl::{HclBody, Scope, value_json};

use super::{evaluated, hcl, json, value_of};
use crate::support::reading::shown;

/// Attributes and blocks on a line each, with what the attributes give.
fn outline(body: &HclBody, indent: &str) -> String {
    let mut outline = String::new();
    for attribute in &body.attributes {
        let value = value_of(body, &attribute.name, &Scope::default());
        let value = value.map_or_else(|error| error.to_string(), |value| value_json(&value).unwrap());
        outline += &format!("{indent}{} = {value}\n", attribute.name);
    }
    for block in &body.blocks {
        let labels: String = block.labels.iter().map(|label| format!(" {:?}", label.text)).collect();
        outline += &format!("{indent}{}{labels}\n{}", block.kind, outline_of(&block.body, indent));
    }
    outline
}

fn outline_of(body: &HclBody, indent: &str) -> String {
    outline(body, &format!("{indent}  "))
}

#[test]
fn attributes_and_blocks_are_read_in_their_order() {
    let source = "\u{feff}# remark\r\na = 1 // one\r\n/* two\r\n */ target \"app\" {\r\n  b = [\r\n    1,\r\n    2\r\n  ]\r\n  inner {}\r\n}\r\ntarget db { c = 1 }\r\nx y \"z\" {\r\n}\r\nd = <<EOT\r\nline\r\nEOT\r\n";
    insta::assert_snapshot!(outline(&hcl(source).unwrap(), ""), @r#"
    a = 1
    d = "line\r\n"
    target "app"
      b = [1,2]
      inner
    target "db"
      c = 1
    x "y" "z"
    "#);
    assert!(hcl("").unwrap().attributes.is_empty());
    assert_eq!(hcl("a = 1").unwrap().attributes.len(), 1);
}

#[test]
fn json_is_read_as_the_hcl_that_it_stands_for() {
    let source = r#"{
      "//": "remark",
      "a": "${1 + 1}", "b": ["x$${y}", 1.50, null, true], "${"c"}": {"k${1}": "%{ if true }v%{ endif }"},
      "target": {"app": {"b": "x", "//": 1}, "db": [{"c": 1}, {"c": 2}]},
      "variable": [{"V": {"validation": [{"condition": "${true}"}, {}]}}, {"W": null}]
    }"#;
    insta::assert_snapshot!(outline(&json(&source.replace("\"${\"c\"}\"", "\"c\"")).unwrap(), ""), @r#"
    a = 2
    b = ["x${y}",1.5,null,true]
    c = {"k1":"v"}
    target "app"
      b = "x"
    target "db"
      c = 1
    target "db"
      c = 2
    variable "V"
      validation
        condition = true
      validation
    "#);
    assert!(json("{}").unwrap().attributes.is_empty() && json("[{\"a\": 1}]").unwrap().attributes.len() == 1);
}

#[test]
fn strings_of_json_are_names_types_and_templates() {
    let body = json(r#"{"name": "param", "type": "list(string)", "text": "a b"}"#).unwrap();
    assert_eq!(body.attribute("name").and_then(|attribute| attribute.value.keyword()), Some("param"));
    assert_eq!(body.attribute("text").and_then(|attribute| attribute.value.keyword()), None);
    let kind = body.attribute("type").unwrap().value.type_constraint().unwrap();
    assert_eq!(kind.name(), "list of string");
}

/// The message and what stands under the caret.
fn blame(error: &ocibake::error::Error) -> (String, String) {
    let excerpt = error.excerpt.as_ref().unwrap_or_else(|| panic!("{error} has no place"));
    let words = excerpt.text.chars().skip(excerpt.column - 1).take(excerpt.width).collect();
    (format!("{}: {error}", excerpt.line), words)
}

#[test]
fn what_is_no_hcl_is_shown_at_its_place() {
    insta::assert_snapshot!(shown(&hcl("a = 1\na = 2\n").unwrap_err()), @r"
    this attribute already exists
     --> docker-bake.hcl:2:1
      |
    2 | a = 2
      | ^
    ");
    insta::assert_snapshot!(shown(&hcl("target \"app\" {\n  a = [1, 2\n}\n").unwrap_err()), @r"
    this `}` does not close the `[` of line 2
     --> docker-bake.hcl:3:1
      |
    3 | }
      | ^
    ");
    insta::assert_snapshot!(shown(&hcl("a = \"x\nb = 1\n").unwrap_err()), @r#"
    this text is not closed before its line ends
     --> docker-bake.hcl:1:5
      |
    1 | a = "x
      |     ^^
    hint: write `\n` for the end of a line, or `<<EOT` for text of several lines
    "#);
    let cases = [
        ("a = <<EOT\nx\n", "1: this text is not closed: there is no line `EOT`", "<<EOT"),
        ("target \"app\" {\n", "1: this `{` is not closed", "{"),
        ("a = \"${1\"\n", "1: this text is not closed before its line ends", "\""),
        ("a = )\n", "1: this `)` closes nothing", ")"),
        ("a = 1 /* x\n", "1: this comment is not closed", "/*"),
        ("a = {b.c = 1}\n", "1: this may be a key with dots in it, or a variable", "b.c"),
        ("a = {b = 1, b = 2}\n", "1: this key already exists", "b"),
        ("a = [[1]].*.*\n", "1: `.*` cannot follow `.*`", ".*"),
    ];
    for (source, message, words) in cases {
        assert_eq!(blame(&hcl(source).unwrap_err()), (message.to_owned(), words.to_owned()), "{source}");
    }
}

#[test]
fn what_is_no_json_is_shown_at_its_place() {
    insta::assert_snapshot!(shown(&json("{\n  \"a\": [1,\n}\n").unwrap_err()), @r"
    this is not JSON: expected value
     --> docker-bake.json:3:1
      |
    3 | }
      | ^
    ");
    insta::assert_snapshot!(shown(&json("{\"target\": {\"app\": 1}}").unwrap_err()), @r#"
    `target` takes an object, or a list of objects
     --> docker-bake.json:1:20
      |
    1 | {"target": {"app": 1}}
      |                    ^
    "#);
    let cases = [
        ("{\"a\": 1, \"a\": 2}", "1: the attribute `a` already exists", "\"a\""),
        ("{\"target\": {}}", "1: there is no `target` in here: its name is the key of an object", "{"),
        ("1", "1: attributes and blocks must be in an object, or in a list of objects", "1"),
        ("{\n\"a\": \"${1 +}\"}", "2: this is not HCL", "}"),
    ];
    for (source, message, words) in cases {
        let (said, at) = blame(&json(source).unwrap_err());
        assert!(said.starts_with(message), "{source}: {said}");
        assert_eq!(at, words, "{source}");
    }
}

#[test]
fn what_cannot_be_evaluated_is_shown_at_its_place() {
    let refused = |expression: &str| {
        let mut scope = Scope::default();
        scope.variables.insert("version".to_owned(), ocibake::plan::hcl::Value::text("1"));
        shown(&evaluated(expression, &scope).unwrap_err())
    };
    insta::assert_snapshot!(refused("\"v${versoin}\""), @r#"
    there is no variable `versoin`
     --> docker-bake.hcl:1:9
      |
    1 | v = "v${versoin}"
      |         ^^^^^^^
    hint: did you mean `version`?
    "#);
    insta::assert_snapshot!(refused("uper(version)"), @r"
    there is no function `uper`
     --> docker-bake.hcl:1:5
      |
    1 | v = uper(version)
      |     ^^^^
    hint: did you mean `upper`?
    ");
    insta::assert_snapshot!(refused("upper([1])"), @r"
    `upper` cannot take this as its `str`: expected string, but this is tuple
     --> docker-bake.hcl:1:11
      |
    1 | v = upper([1])
      |           ^^^
    ");
    insta::assert_snapshot!(refused("split(\",\")"), @r#"
    `split` takes 2 arguments: there is no `str`
     --> docker-bake.hcl:1:5
      |
    1 | v = split(",")
      |     ^^^^^^^^^^
    "#);
    insta::assert_snapshot!(refused("{name = 1}.nmae"), @r"
    this object has no `nmae`
     --> docker-bake.hcl:1:5
      |
    1 | v = {name = 1}.nmae
      |     ^^^^^^^^^^^^^^^
    hint: did you mean `name`?
    ");
    insta::assert_snapshot!(refused("1 + \"x\""), @r#"
    `+` cannot take this: expected a number, but this is "x"
     --> docker-bake.hcl:1:9
      |
    1 | v = 1 + "x"
      |         ^^^
    "#);
    insta::assert_snapshot!(refused("[1, 2][2]"), @r"
    there is no element 2: the last of 2 is 1
     --> docker-bake.hcl:1:5
      |
    1 | v = [1, 2][2]
      |     ^^^^^^^^^
    ");
    insta::assert_snapshot!(refused("true ? [1] : {}"), @r"
    both results must have a type in common: tuple and object
     --> docker-bake.hcl:1:12
      |
    1 | v = true ? [1] : {}
      |            ^^^^^^^^
    ");
    insta::assert_snapshot!(refused("regex(\"(\", \"\")"), @r#"
    `regex` cannot take this as its `pattern`: it is not a regular expression: unclosed group
     --> docker-bake.hcl:1:11
      |
    1 | v = regex("(", "")
      |           ^^^
    "#);
    insta::assert_snapshot!(refused("try(versoin)"), @r"
    `try` finds nothing that works: there is no variable `versoin`
     --> docker-bake.hcl:1:9
      |
    1 | v = try(versoin)
      |         ^^^^^^^
    hint: did you mean `version`?
    ");
}

#[test]
fn escapes_of_json_do_not_move_the_place_out_of_the_string() {
    let body = json(r#"{"a": "\"${x}\""}"#).unwrap();
    let error = value_of(&body, "a", &Scope::default()).unwrap_err();
    assert_eq!(blame(&error), ("1: there is no variable `x`".to_owned(), r#""\"${x}\"""#.to_owned()));
    let body = json(r#"{"a": "é ${x}"}"#).unwrap();
    let error = value_of(&body, "a", &Scope::default()).unwrap_err();
    assert_eq!(blame(&error), ("1: there is no variable `x`".to_owned(), "x".to_owned()));
}
