//! What expressions give, function by function and operator by operator.

use std::sync::Arc;

use ocibake::plan::hcl::{Scope, UserFunction, Value, is_function, is_reproducible};

use super::{evaluated, hcl};

/// Expressions, each with a line of what it gives behind `=> `: JSON, or that it fails.
const TABLE: &str = include_str!("expressions.txt");

fn scope() -> Scope {
    let mut scope = Scope::default();
    scope.variables.insert("empty".to_owned(), Value::text(""));
    scope
}

#[test]
fn expressions_give_what_the_table_has() {
    let (mut count, mut faults, mut expression) = (0, Vec::new(), String::new());
    for line in TABLE.lines() {
        let Some(wanted) = line.strip_prefix("=> ") else {
            if !expression.is_empty() || !line.is_empty() {
                expression = format!("{expression}{line}\n");
            }
            continue;
        };
        let given = evaluated(expression.trim_end_matches('\n'), &scope());
        let shown = given.as_ref().map_or_else(ToString::to_string, String::clone);
        if given.as_ref().map_or("error", String::as_str) != wanted {
            faults.push(format!("{expression}wanted {wanted}\ngiven  {shown}\n"));
        }
        (count, expression) = (count + 1, String::new());
    }
    assert!(faults.is_empty(), "{} of {count} are wrong:\n{}", faults.len(), faults.join("\n"));
    assert!(count > 800, "{count}");
}

/// These are not in the table, for they are younger than what it was made with.
#[test]
fn younger_functions_give_what_they_should() {
    let cases = [
        (r#"semvercmp("1.2.3", ">= 1.0.0")"#, "true"),
        (r#"semvercmp("2.1.0", "< 2.0.0")"#, "false"),
        (r#"semvercmp("3.22", ">= 3.20")"#, "true"),
        (r#"semvercmp("v1.2.3", "~1.2 || ^2")"#, "true"),
        (r#"semvercmp("1.3.0", "~1.2, != 1.2.5")"#, "false"),
        (r#"semvercmp("0.2.5", "^0.2.3")"#, "true"),
        (r#"semvercmp("0.3.0", "^0.2.3")"#, "false"),
        (r#"semvercmp("1.4.9", "1.2 - 1.4.9")"#, "true"),
        (r#"semvercmp("1.2.9", "1.2.x")"#, "true"),
        (r#"semvercmp("1.3.0-rc.1", ">1.2")"#, "false"),
        (r#"semvercmp("1.3.0-rc.2", ">=1.3.0-rc.1")"#, "true"),
        (r#"formattimestamp("X", "2015-10-21T00:00:00Z")"#, "\"1445385600\""),
        (r#"formattimestamp("X", 1445385600)"#, "\"1445385600\""),
        (r#"formattimestamp("YYYY-MM-DD", "2025-09-16T12:00:00Z")"#, "\"2025-09-16\""),
        (r#"formattimestamp("YYYY-MM-DD'T'hh:mm:ssZ", 1690328596)"#, "\"2023-07-25T23:43:16Z\""),
        (r#"formattimestamp("YYYY-MM-DD'T'hh:mm:ssZ", -1)"#, "\"1969-12-31T23:59:59Z\""),
        (
            "unixtimestampparse(1690328596)",
            r#"{"day":25,"hour":23,"iso_week":30,"iso_year":2023,"minute":43,"month":7,"month_name":"July","rfc3339":"2023-07-25T23:43:16Z","second":16,"weekday":2,"weekday_name":"Tuesday","year":2023,"year_day":206}"#,
        ),
        ("unixtimestampparse(0).iso_week", "1"),
        ("[unixtimestampparse(-1).iso_year, unixtimestampparse(-1).year_day]", "[1970,365]"),
    ];
    for (expression, wanted) in cases {
        assert_eq!(evaluated(expression, &scope()).unwrap(), wanted, "{expression}");
    }
    let refused = [
        r#"semvercmp("not-a-version", ">= 1.0.0")"#,
        r#"semvercmp("1.2.3", "not-a-constraint")"#,
        r#"semvercmp("", ">= 1.0.0")"#,
        r#"semvercmp("1.2.3", "")"#,
        r#"formattimestamp("YYYY", 1.2)"#,
        r#"formattimestamp("X", "0")"#,
        "unixtimestampparse(1.2)",
    ];
    for expression in refused {
        assert!(evaluated(expression, &scope()).is_err(), "{expression}");
    }
}

#[test]
fn what_comes_from_outside_is_what_was_handed_in() {
    let of = |expression| evaluated(expression, &scope()).unwrap();
    assert_eq!(of("timestamp()"), "\"2023-11-14T22:13:20Z\"");
    assert_eq!(of("homedir()"), "\"/home/me\"");
    assert_eq!(of("uuidv4()"), "\"07070707-0707-4707-8707-070707070707\"");
    assert_eq!(of(r#"substr(bcrypt("x", 4), 0, 7)"#), "\"$2a$04$\"");
    for name in ["timestamp", "homedir", "uuidv4", "bcrypt"] {
        assert!(is_function(name) && !is_reproducible(name), "{name}");
    }
    assert!(is_reproducible("uuidv5") && is_function("try") && !is_function("timestmap"));
}

/// The key was made for this test, and the text encrypted with `openssl pkeyutl`.
#[test]
fn what_a_key_of_rsa_encrypted_is_decrypted() {
    let wanted = "hello";
    let key = include_str!("rsa.key.txt").replace('\n', "\\n");
    let cipher = include_str!("rsa.cipher.txt").trim();
    assert_eq!(evaluated(&format!(r#"rsadecrypt("{cipher}", "{key}")"#), &scope()).unwrap(), format!("\"{wanted}\""));
    let other = cipher.replacen(&cipher[..1], if cipher.starts_with('A') { "B" } else { "A" }, 1);
    assert!(
        evaluated(&format!(r#"rsadecrypt("{other}", "{key}")"#), &scope())
            .is_err_and(|error| !error.message.contains("BEGIN"))
    );
}

#[test]
fn functions_of_files_see_what_their_callers_see_and_their_parameters() {
    let body = hcl("f = \"${prefix}-${name}-${join(\",\", more)}\"\n").unwrap();
    let mut scope = scope();
    scope.variables.insert("prefix".to_owned(), Value::text("p"));
    let function = UserFunction {
        parameters: vec!["name".to_owned()],
        variadic: Some("more".to_owned()),
        result: body.attributes[0].value.clone(),
    };
    scope.functions.insert("f".to_owned(), Arc::new(function));
    assert_eq!(evaluated("f(\"a\")", &scope).unwrap(), "\"p-a-\"");
    assert_eq!(evaluated("f([\"a\", \"b\", \"c\"]...)", &scope).unwrap(), "\"p-a-b,c\"");
    assert_eq!(evaluated("[for name in [1, 2] : f(\"x\", name)]", &scope).unwrap(), "[\"p-x-1\",\"p-x-2\"]");
    assert!(evaluated("f()", &scope).is_err() && evaluated("f(null)", &scope).is_err());
    scope.variables.remove("prefix");
    assert!(evaluated("f(\"a\")", &scope).is_err());
}

#[test]
fn an_expression_says_what_it_refers_to_and_calls() {
    let source = r#"v = upper("${a.b.c} ${[for k, a in x.y[d].z : "${k}${a}${e}" if f(g)]}") == { h = i, (j) = convert(k, list(string)) }
"#;
    let body = hcl(source).unwrap();
    let value = &body.attributes[0].value;
    let variables: Vec<String> = value
        .variables()
        .iter()
        .map(|path| [vec![path.name.clone()], path.attributes.clone()].concat().join("."))
        .collect();
    assert_eq!(variables, ["a.b.c", "x.y", "d", "e", "g", "i", "j", "k"]);
    let functions: Vec<String> = value.functions().into_iter().map(|function| function.name).collect();
    assert_eq!(functions, ["upper", "f", "convert"]);
    let place = value.variables()[4].place.excerpt();
    assert_eq!((place.line, place.text.chars().nth(place.column - 1)), (1, Some('g')));
}
