//! Types, and values of variables as the environment has them.

use ocibake::plan::hcl::{Type, json_value, text_value, value_json};

use super::hcl;
use crate::support::reading::shown;

fn kind(source: &str) -> Type {
    let body = hcl(&format!("v = {source}\n")).unwrap();
    body.attributes[0].value.type_constraint().unwrap_or_else(|error| panic!("{source}: {error}"))
}

#[test]
fn types_are_read_and_named() {
    let cases = [
        ("string", "string", "string"),
        ("number", "number", "number"),
        ("bool", "bool", "bool"),
        ("any", "dynamic", "any type"),
        ("list(string)", "list of string", "list of string"),
        ("list(any)", "list of dynamic", "list of any single type"),
        ("set(number)", "set of number", "set of number"),
        ("map(list(bool))", "map of list of bool", "map of list of bool"),
        ("tuple([string, any])", "tuple", "tuple"),
        ("object({a = string, b = optional(number)})", "object", "object"),
    ];
    for (source, name, constraint) in cases {
        assert_eq!((kind(source).name().as_str(), kind(source).constraint_name().as_str()), (name, constraint));
    }
    let refused = |source: &str| {
        shown(&hcl(&format!("v = {source}\n")).unwrap().attributes[0].value.type_constraint().unwrap_err())
    };
    insta::assert_snapshot!(refused("strng"), @r"
    there is no type `strng`
     --> docker-bake.hcl:1:5
      |
    1 | v = strng
      |     ^^^^^
    hint: did you mean `string`?
    ");
    insta::assert_snapshot!(refused("list"), @r"
    `list` takes the type of its elements
     --> docker-bake.hcl:1:5
      |
    1 | v = list
      |     ^^^^
    hint: write `list(string)`, or `list(any)` for any one type
    ");
    for source in ["list()", "list(string, string)", "string()", "\"string\"", "optional(string)", "object([])", "1"] {
        let body = hcl(&format!("v = {source}\n")).unwrap();
        assert!(body.attributes[0].value.type_constraint().is_err(), "{source}");
    }
}

fn of_text(source: &str, text: &str) -> String {
    text_value(text, &kind(source)).map_or_else(|_| "error".to_owned(), |value| value_json(&value).unwrap())
}

fn of_json(source: &str, text: &str) -> String {
    json_value(text, &kind(source)).map_or_else(|_| "error".to_owned(), |value| value_json(&value).unwrap())
}

#[test]
fn text_of_the_environment_becomes_what_a_variable_is() {
    let cases = [
        ("string", "a,b", r#""a,b""#),
        ("string", "", r#""""#),
        ("number", "0.1", "0.1"),
        ("number", "1e3", "1000"),
        ("number", "+5", "5"),
        ("number", "1_000", "1000"),
        ("number", "123456789012345678901", "123456789012345680000"),
        ("number", " 5", "error"),
        ("number", "NaN", "error"),
        ("number", "Infinity", "error"),
        ("number", "1e400", "error"),
        ("bool", "T", "true"),
        ("bool", "False", "false"),
        ("bool", "yes", "error"),
        ("bool", "tRUE", "error"),
        ("list(string)", "", "error"),
        ("list(string)", "a", r#"["a"]"#),
        ("list(string)", "\"a,b\",c", r#"["a,b","c"]"#),
        ("list(string)", "a\"b", "error"),
        ("list(string)", "\"a\"b", "error"),
        ("list(string)", " a, b", r#"[" a"," b"]"#),
        ("list(string)", "a,", r#"["a",""]"#),
        ("list(number)", "1,2.5", "[1,2.5]"),
        ("list(number)", "1, 2", "error"),
        ("set(string)", "b,a,b", r#"["a","b"]"#),
        ("set(number)", "3,1", "[1,3]"),
        ("tuple([string, number])", "a,1", r#"["a",1]"#),
        ("tuple([string, number])", "a", "error"),
        ("map(string)", "a:b,c:d", r#"{"a":"b","c":"d"}"#),
        ("map(string)", "a:,:b", r#"{"":"b","a":""}"#),
        ("map(string)", "a:b,a:c", r#"{"a":"c"}"#),
        ("map(string)", "\"\"\"a:x\"\":b\"", r#"{"a:x":"b"}"#),
        ("map(string)", "a", "error"),
        ("map(string)", "a:b:c", "error"),
        ("map(string)", "a:\"b\"", "error"),
        ("map(number)", "a:x", "error"),
        ("list(list(string))", "a", "error"),
        ("list(any)", "a", "error"),
        ("object({a = string})", "a", "error"),
        ("any", "a", "error"),
    ];
    for (source, text, wanted) in cases {
        assert_eq!(of_text(source, text), wanted, "{source} of {text:?}");
    }
}

#[test]
fn json_of_the_environment_becomes_what_a_variable_is() {
    let cases = [
        ("string", r#""a""#, r#""a""#),
        ("string", "1.50", r#""1.50""#),
        ("string", "true", r#""true""#),
        ("string", "null", "null"),
        ("string", "a", "error"),
        ("number", r#""5""#, "5"),
        ("number", "true", "error"),
        ("bool", r#""true""#, "true"),
        ("bool", "1", "error"),
        ("list(string)", r#"["a", 1]"#, r#"["a","1"]"#),
        ("list(string)", r#""a""#, "error"),
        ("set(string)", r#"["b", "a"]"#, r#"["a","b"]"#),
        ("map(string)", r#"{"b": 1, "a": "x"}"#, r#"{"a":"x","b":"1"}"#),
        ("tuple([string, number])", r#"["a", 1]"#, r#"["a",1]"#),
        ("tuple([string, number])", r#"["a"]"#, "error"),
        ("object({a = string})", r#"{"a": 1}"#, r#"{"a":"1"}"#),
        ("object({a = string})", r#"{"a": 1, "b": 2}"#, "error"),
        ("object({a = string, b = optional(string)})", r#"{"a": 1}"#, r#"{"a":"1","b":null}"#),
        ("any", r#"{"type": "string", "value": "x"}"#, r#""x""#),
        ("any", r#"{"type": ["list", "string"], "value": [1]}"#, r#"["1"]"#),
        ("list(any)", r#"[{"type": "string", "value": "x"}]"#, r#"["x"]"#),
        ("any", r#"{"a": [1, "x"]}"#, r#"{"a":[1,"x"]}"#),
        ("list(any)", r#"[[1], "x"]"#, "error"),
    ];
    for (source, text, wanted) in cases {
        assert_eq!(of_json(source, text), wanted, "{source} of {text:?}");
    }
}
