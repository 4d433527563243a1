//! Whatever a file holds, reading it and evaluating what it has comes to an end, and soon.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ocibake::plan::hcl::{EvaluationBudget, HclBody, Scope, Surroundings, UserFunction, Value};
use proptest::prelude::*;

use super::{evaluated, hcl, json};

/// More than any of these takes where everything else is busy, too.
const SOON: Duration = Duration::from_secs(20);

#[test]
fn what_would_take_for_ever_is_refused() {
    let range = "range(1024)";
    let doubled = (0..40).fold("\"xxxxxxxxxxxxxxxx\"".to_owned(), |text, _| format!("replace({text}, \"x\", \"xx\")"));
    let cases = [
        format!("[for a in {range} : [for b in {range} : [for c in {range} : a]]]"),
        format!("length([for a in {range} : [for b in {range} : [for c in {range} : 1]]])"),
        format!("setproduct({range}, {range}, {range})"),
        format!(
            "\"%{{ for a in {range} }}%{{ for b in {range} }}%{{ for c in {range} }}x%{{ endfor }}%{{ endfor }}%{{ endfor }}\""
        ),
        "format(\"%1000000000d\", 1)".to_owned(),
        "format(\"%.1000000000f\", 1)".to_owned(),
        "indent(1000000000000, \"a\\nb\")".to_owned(),
        "bcrypt(\"x\", 31)".to_owned(),
        "1 / convert(\"1e999999999\", number)".to_owned(),
        "convert(\"1e-999999999999999999999\", number)".to_owned(),
        "jsondecode(join(\"\", [for i in range(1000) : \"[\"]))".to_owned(),
        "regex(\"((a{1000}){1000}){1000}\", \"a\")".to_owned(),
        doubled,
    ];
    for expression in cases {
        let start = Instant::now();
        let given = evaluated(&expression, &Scope::default());
        let shown = &expression[..expression.len().min(80)];
        assert!(given.is_err(), "{shown}");
        assert!(start.elapsed() < SOON, "{shown} took {:?}", start.elapsed());
    }
}

/// Each variable is a few of the one before, so that the last would be more than there is room for.
#[test]
fn values_do_not_grow_beyond_all_bounds_from_variable_to_variable() {
    let mut scope = Scope::default();
    scope.variables.insert("v".to_owned(), Value::text("lol"));
    let body: HclBody = hcl("v = [v, v, v, v, v, v, v, v, v, v]\nw = {a = [v]}\n").unwrap();
    let surroundings = Surroundings { now: 0, home: "/", random: &|_| () };
    for name in ["v", "w"] {
        let mut scope = scope.clone();
        let budget = EvaluationBudget::default();
        let value = &body.attribute(name).unwrap().value;
        let error = (0..1000).find_map(|_| match value.evaluate(&scope, &surroundings, &budget) {
            Ok(value) => {
                scope.variables.insert("v".to_owned(), value);
                None
            }
            Err(error) => Some(error.to_string()),
        });
        let error = error.unwrap_or_else(|| panic!("{name} has no bounds"));
        assert!(error.contains("too large") || error.contains("deep"), "{error}");
    }
}

/// All evaluations of a file share one budget.
#[test]
fn many_small_evaluations_come_to_an_end_as_well() {
    let body = hcl("v = long\n").unwrap();
    let surroundings = Surroundings { now: 0, home: "/", random: &|_| () };
    let (mut scope, budget) = (Scope::default(), EvaluationBudget::default());
    scope.variables.insert("long".to_owned(), Value::text("x".repeat(1 << 24)));
    let error = (0..100_000).find_map(|_| body.attributes[0].value.evaluate(&scope, &surroundings, &budget).err());
    assert!(error.is_some_and(|error| error.to_string().contains("too long")));
}

/// Each function calls the one before.
#[test]
fn functions_call_each_other_only_so_deep() {
    let mut scope = Scope::default();
    for number in 0..300 {
        let result = if number == 0 { "x".to_owned() } else { format!("\"${{f{}(x)}}\"", number - 1) };
        let body = hcl(&format!("v = {result}\n")).unwrap();
        let result = body.attributes[0].value.clone();
        let function = UserFunction { parameters: vec!["x".to_owned()], variadic: None, result };
        scope.functions.insert(format!("f{number}"), Arc::new(function));
    }
    assert_eq!(evaluated("f20(1)", &scope).unwrap(), "1");
    assert!(evaluated("f299(1)", &scope).is_err_and(|error| error.to_string().contains("deep")));
}

#[test]
fn what_stands_within_each_other_may_be_only_so_deep() {
    let deep =
        |open: &str, inner: &str, close: &str| format!("v = {}{inner}{}\n", open.repeat(10_000), close.repeat(10_000));
    let sources = [
        deep("[", "1", "]"),
        deep("(", "1", ")"),
        deep("{a = ", "1", "}"),
        deep("\"${", "1", "}\""),
        deep("[for x in ", "1", " : x]"),
        deep("f(", "1", ")"),
        deep("!", "true", ""),
        deep("-", "1", ""),
        deep("true ? 1 : ", "1", ""),
        deep("1 + ", "1", ""),
        deep("\"%{ if true }", "", "%{ endif }\"").replace("\"%{ endif }\"", "%{ endif }").replace("}\"%", "}%"),
        format!("v = a{}\n", ".b".repeat(10_000)),
        format!("v = a{}\n", "[0]".repeat(10_000)),
        format!("v = a{}\n", "[*]".repeat(10_000)),
        "b {\n".repeat(10_000) + &"}\n".repeat(10_000),
    ];
    for source in sources {
        let start = Instant::now();
        if let Ok(body) = hcl(&source) {
            for attribute in &body.attributes {
                let _ = attribute.value.variables();
                let surroundings = Surroundings { now: 0, home: "/", random: &|_| () };
                let _ = attribute.value.evaluate(&Scope::default(), &surroundings, &EvaluationBudget::default());
            }
        }
        assert!(start.elapsed() < SOON, "{}: {:?}", &source[..40], start.elapsed());
    }
    let nested = "{\"a\": ".repeat(10_000) + "1" + &"}".repeat(10_000);
    assert!(json(&nested).is_err());
}

/// Text that is likely to be nearly a file.
fn nearly_hcl() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "a",
        "target",
        "\"",
        "\"app\"",
        " = ",
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        "\n",
        "\r\n",
        "${",
        "%{ if true }",
        "%{ endif }",
        "%{ for x in [1] ~}",
        "%{ endfor }",
        "<<EOT\n",
        "<<-EOT\n",
        "EOT\n",
        "for x in y : ",
        "=>",
        "...",
        "?",
        ":",
        ",",
        ".",
        ".*",
        "[*]",
        "+",
        "-",
        "!",
        "&&",
        "1",
        "0.5e3",
        "null",
        "true",
        "upper(",
        "#",
        "//",
        "/*",
        "*/",
        "\\",
        "\\u00e9",
        "$${",
        "~}",
        "é",
        "日",
        "\u{feff}",
        "x if z",
        " ",
        "\0",
    ]);
    prop::collection::vec(words, 0..40).prop_map(|words| words.concat())
}

/// Expressions of all kinds within each other.
fn expressions() -> impl Strategy<Value = String> {
    let leaves = prop::sample::select(vec![
        "1",
        "-2.5",
        "\"x\"",
        "true",
        "null",
        "v",
        "range(30)",
        "[1, 2, 3]",
        "{a = 1, b = \"y\"}",
        "[\"b\", \"a\"]",
        "10000",
    ]);
    leaves.prop_map(str::to_owned).prop_recursive(5, 60, 4, |inner| {
        let functions = prop::sample::select(vec![
            "concat",
            "setproduct",
            "join",
            "format",
            "formatlist",
            "merge",
            "flatten",
            "range",
            "pow",
            "indent",
            "replace",
            "regexall",
            "zipmap",
            "jsonencode",
            "jsondecode",
            "csvdecode",
            "substr",
            "element",
            "lookup",
            "cidrsubnet",
            "timeadd",
            "formatdate",
            "convert",
            "try",
            "parseint",
            "chunklist",
            "slice",
            "coalesce",
            "uuidv5",
            "title",
        ]);
        let operators = prop::sample::select(vec!["+", "-", "*", "/", "%", "==", "<", "&&", "||"]);
        prop_oneof![
            (functions, prop::collection::vec(inner.clone(), 0..4))
                .prop_map(|(name, arguments)| format!("{name}({})", arguments.join(", "))),
            (inner.clone(), operators, inner.clone())
                .prop_map(|(left, operator, right)| format!("({left} {operator} {right})")),
            (inner.clone(), inner.clone()).prop_map(|(list, body)| format!("[for k, v in {list} : {body}]")),
            (inner.clone(), inner.clone()).prop_map(|(list, body)| format!("{{for k, v in {list} : k => {body}...}}")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}]")),
            inner.clone().prop_map(|a| format!("\"<${{{a}}}>\"")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}[{b}]")),
            inner.prop_map(|a| format!("{a}[*]")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in nearly_hcl()) {
        if let Err(error) = hcl(&text) {
            prop_assert!(error.excerpt.is_some(), "{text:?}: {error}");
        }
        let _ = json(&text);
        let string = serde_json::to_string(&text).unwrap();
        let _ = json(&format!("{{\"a\": {string}, {string}: 1, \"target\": {{\"x\": {{{string}: {string}}}}}}}"));
    }

    #[test]
    fn any_bytes_are_read_or_refused(text in "\\PC{0,60}") {
        let _ = (hcl(&text), json(&text));
    }

    #[test]
    fn any_expression_gives_a_value_or_an_error_with_its_place(expression in expressions()) {
        let start = Instant::now();
        let mut scope = Scope::default();
        scope.variables.insert("v".to_owned(), Value::text("v"));
        if let Err(error) = evaluated(&expression, &scope) {
            prop_assert!(error.excerpt.is_some() || error.message.contains("infinite"), "{expression}: {error}");
        }
        prop_assert!(start.elapsed() < SOON, "{expression} took {:?}", start.elapsed());
    }
}
