//! What a word without quotation marks is: nothing, a truth, a number or text, as Go's readers decide it.

use super::node::NodeValue;

/// Returns what `text` stands for. `yes`, `no`, `on` and `off` are text, as are dates.
pub fn resolve(text: &str) -> NodeValue {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return NodeValue::Null,
        "true" | "True" | "TRUE" => return NodeValue::Boolean(true),
        "false" | "False" | "FALSE" => return NodeValue::Boolean(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return NodeValue::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return NodeValue::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return NodeValue::Float(f64::NAN),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return NodeValue::Text(text.to_owned());
    }
    let digits = text.replace('_', "");
    if let Some(number) = integer(&digits) {
        return NodeValue::Integer(number);
    }
    match is_float(&digits).then(|| digits.parse::<f64>()) {
        Some(Ok(number)) if number.is_finite() => NodeValue::Float(number),
        _ => NodeValue::Text(text.to_owned()),
    }
}

/// Reads a number of 64 bits with the prefixes that Go knows; one that begins with 0 is octal.
pub fn integer(text: &str) -> Option<i128> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (16, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let number = i128::from_str_radix(digits, radix).ok()?;
    let number = if is_negative { -number } else { number };
    (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&number).then_some(number)
}

/// Whether it is digits with a point or an exponent, and no more.
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (text, None),
    };
    let are_digits = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let is_number = are_digits(whole) && are_digits(part) && !(whole.is_empty() && part.is_empty());
    is_number && exponent.is_none_or(|exponent| !exponent.is_empty() && are_digits(exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_they_are_to_go() {
        let shown = |text: &str| match resolve(text) {
            NodeValue::Null => "null".to_owned(),
            NodeValue::Boolean(value) => format!("bool {value}"),
            NodeValue::Integer(number) => format!("int {number}"),
            NodeValue::Float(number) => format!("float {}", super::super::node::float(number)),
            NodeValue::Text(text) => format!("text {text}"),
            NodeValue::List(_) | NodeValue::Mapping(_) => "more".to_owned(),
        };
        for (text, value) in [
            ("", "null"),
            ("~", "null"),
            ("yes", "text yes"),
            ("on", "text on"),
            ("n", "text n"),
            ("True", "bool true"),
            ("tRue", "text tRue"),
            ("12", "int 12"),
            ("-0x1F", "int -31"),
            ("0755", "int 493"),
            ("0o755", "int 493"),
            ("0b101", "int 5"),
            ("089", "float 89"),
            ("1_000", "int 1000"),
            ("18446744073709551615", "int 18446744073709551615"),
            ("18446744073709551616", "float 1.8446744073709552e+19"),
            ("123456.5", "float 123456.5"),
            ("1234567.5", "float 1.2345675e+06"),
            ("1e400", "text 1e400"),
            ("3.10", "float 3.1"),
            ("1e3", "float 1000"),
            ("1e21", "float 1e+21"),
            ("1e-7", "float 1e-07"),
            (".5", "float 0.5"),
            ("1.", "float 1"),
            (".", "text ."),
            ("-", "text -"),
            ("1.2.3", "text 1.2.3"),
            ("2024-01-01", "text 2024-01-01"),
            ("22:22", "text 22:22"),
            (".inf", "float +Inf"),
            ("0x", "text 0x"),
            ("1e", "text 1e"),
        ] {
            assert_eq!(shown(text), value, "{text}");
        }
    }
}
