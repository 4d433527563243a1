//! A project as YAML again, in the order and the styles of compose.

use super::node::{NodeMapping, NodeValue, YamlNode, float};
use super::scalar::resolve;
use super::shape::Shape;
use crate::error::escape;

/// Returns `node` as YAML, with the keys of records in the order of `shape`, and all others in that of their names.
pub fn yaml(node: &YamlNode, shape: &Shape) -> String {
    let mut text = String::new();
    let shape = shape.plain(node);
    match &node.value {
        NodeValue::Mapping(mapping) if !mapping.is_empty() => put_mapping(mapping, shape, 0, &mut text),
        NodeValue::List(values) if !values.is_empty() => put_list(values, shape, 0, &mut text),
        _ => {
            put_scalar(node, 0, &mut text);
            text.push('\n');
        }
    }
    text
}

/// Returns text as a value on one line.
pub fn scalar(content: &str) -> String {
    let mut text = String::new();
    put_text(content, 0, true, &mut text);
    text
}

/// The entries of a mapping in their order, each with the shape of its value.
fn entries<'a>(mapping: &'a NodeMapping, shape: &'a Shape) -> Vec<(&'a String, &'a YamlNode, &'a Shape)> {
    match shape {
        Shape::Record(fields) => {
            let own = fields
                .iter()
                .filter_map(|(name, shape)| mapping.get_key_value(*name).map(|(key, node)| (key, node, shape)));
            let others = mapping.iter().filter(|(key, _)| !fields.iter().any(|(name, _)| name == key));
            own.chain(others.map(|(key, node)| (key, node, &Shape::Any))).collect()
        }
        Shape::Map(inner) | Shape::Named(inner) => mapping.iter().map(|(key, node)| (key, node, *inner)).collect(),
        _ => mapping.iter().map(|(key, node)| (key, node, &Shape::Any)).collect(),
    }
}

fn put_mapping(mapping: &NodeMapping, shape: &Shape, indent: usize, text: &mut String) {
    for (number, (key, node, shape)) in entries(mapping, shape).into_iter().enumerate() {
        // The first key of an item of a list stands behind its dash.
        if number > 0 || !text.ends_with("- ") {
            text.push_str(&" ".repeat(indent));
        }
        put_text(key, indent, true, text);
        text.push(':');
        put_value(node, shape, indent, text);
    }
}

fn put_value(node: &YamlNode, shape: &Shape, indent: usize, text: &mut String) {
    let shape = shape.plain(node);
    match &node.value {
        NodeValue::Mapping(mapping) if !mapping.is_empty() => {
            text.push('\n');
            put_mapping(mapping, shape, indent + 2, text);
        }
        NodeValue::List(values) if !values.is_empty() => {
            text.push('\n');
            put_list(values, shape, indent + 2, text);
        }
        _ => {
            text.push(' ');
            put_scalar(node, indent + 2, text);
            text.push('\n');
        }
    }
}

fn put_list(values: &[YamlNode], shape: &Shape, indent: usize, text: &mut String) {
    let shape = if let Shape::List(inner) = shape { inner } else { &Shape::Any };
    for value in values {
        if !text.ends_with("- ") {
            text.push_str(&" ".repeat(indent));
        }
        text.push_str("- ");
        let shape = shape.plain(value);
        match &value.value {
            NodeValue::Mapping(mapping) if !mapping.is_empty() => put_mapping(mapping, shape, indent + 2, text),
            NodeValue::List(inner) if !inner.is_empty() => put_list(inner, shape, indent + 2, text),
            _ => {
                put_scalar(value, indent + 2, text);
                text.push('\n');
            }
        }
    }
}

fn put_scalar(node: &YamlNode, indent: usize, text: &mut String) {
    match &node.value {
        NodeValue::Null => text.push_str("null"),
        NodeValue::Boolean(value) => text.push_str(&value.to_string()),
        NodeValue::Integer(number) => text.push_str(&number.to_string()),
        NodeValue::Float(number) => text.push_str(&match number.is_finite() {
            true => float(*number),
            false if number.is_nan() => ".nan".to_owned(),
            false => if *number > 0.0 { ".inf" } else { "-.inf" }.to_owned(),
        }),
        NodeValue::Text(content) => put_text(content, indent, false, text),
        NodeValue::List(_) => text.push_str("[]"),
        NodeValue::Mapping(_) => text.push_str("{}"),
    }
}

/// Writes text in the first style that it can have: plain, a block, in single quotation marks, in double ones.
fn put_text(content: &str, indent: usize, is_key: bool, text: &mut String) {
    let is_strange = |c: char| c == '\t' || u32::from(c) > 0xffff || (escape::is_hidden(c) && c != '\n');
    let reads_otherwise = !matches!(resolve(content), NodeValue::Text(_)) || is_of_yaml_1_1(content);
    // As a key it would be read as what it takes its entries from.
    let is_merge = is_key && content == "<<";
    if content.chars().any(is_strange) || reads_otherwise || is_merge {
        return put_double_quoted(content, text);
    }
    if content.contains('\n') {
        // What begins or ends with blanks cannot stand in a block as it is.
        let lines_fit = content.split('\n').all(|line| !line.ends_with(' ')) && !content.starts_with([' ', '\n']);
        return if lines_fit && !is_key { put_block(content, indent, text) } else { put_double_quoted(content, text) };
    }
    if is_plain(content) {
        return text.push_str(content);
    }
    text.push('\'');
    text.push_str(&content.replace('\'', "''"));
    text.push('\'');
}

/// Truths and times of YAML 1.1, which older readers would not take for text.
fn is_of_yaml_1_1(content: &str) -> bool {
    let truths = ["y", "yes", "n", "no", "on", "off"];
    let are_digits = |part: &str| part.bytes().all(|c| c.is_ascii_digit() || c == b'_');
    // Numbers to the base of sixty, as in 1:30.
    let is_sixties = content.contains(':') && {
        let digits = content.strip_prefix(['-', '+']).unwrap_or(content);
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let is_sixtieth = |part: &str| match part.as_bytes() {
            [c] => c.is_ascii_digit(),
            [first, second] => matches!(first, b'0'..=b'5') && second.is_ascii_digit(),
            _ => false,
        };
        let mut parts = whole.split(':');
        let first = parts.next().unwrap_or_default();
        first.starts_with(|c: char| c.is_ascii_digit())
            && are_digits(first)
            && parts.all(is_sixtieth)
            && are_digits(part)
    };
    let is_truth = truths.iter().any(|truth| {
        let mut capital = truth[..1].to_uppercase();
        capital.push_str(&truth[1..]);
        content == *truth || content == truth.to_uppercase() || content == capital
    });
    is_truth || is_sixties || is_date(content)
}

fn is_date(content: &str) -> bool {
    let bytes = content.as_bytes();
    bytes.len() >= 8
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && bytes[4] == b'-'
        && bytes
            .iter()
            .all(|c| c.is_ascii_digit() || matches!(c, b'-' | b':' | b'.' | b'T' | b't' | b'Z' | b' ' | b'+'))
        && content.matches('-').count() >= 2
}

/// Whether text can stand without quotation marks.
fn is_plain(content: &str) -> bool {
    let first = content.chars().next().unwrap_or(' ');
    let second = content.chars().nth(1);
    let begins = match first {
        '-' | '?' | ':' => second.is_some_and(|c| c != ' '),
        c => !matches!(
            c,
            ',' | '[' | ']' | '{' | '}' | '#' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' | ' '
        ),
    };
    let is_marker = content.starts_with("---") || content.starts_with("...");
    begins && !is_marker && !content.ends_with([' ', ':']) && !content.contains(": ") && !content.contains(" #")
}

fn put_block(content: &str, indent: usize, text: &mut String) {
    let body = content.trim_end_matches('\n');
    let ends = content.len() - body.len();
    text.push_str(match ends {
        0 => "|-",
        1 => "|",
        _ => "|+",
    });
    for line in body.split('\n').chain(std::iter::repeat_n("", ends.saturating_sub(1))) {
        text.push('\n');
        if !line.is_empty() {
            text.push_str(&" ".repeat(indent));
            text.push_str(line);
        }
    }
}

fn put_double_quoted(content: &str, text: &mut String) {
    text.push('"');
    for c in content.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\0' => text.push_str("\\0"),
            '\u{7}' => text.push_str("\\a"),
            '\u{8}' => text.push_str("\\b"),
            '\u{1b}' => text.push_str("\\e"),
            '\u{85}' => text.push_str("\\N"),
            '\u{2028}' => text.push_str("\\L"),
            '\u{2029}' => text.push_str("\\P"),
            c if escape::is_hidden(c) || u32::from(c) > 0xffff => {
                let code = u32::from(c);
                text.push_str(&match code {
                    0..0x100 => format!("\\x{code:02X}"),
                    0x100..0x10000 => format!("\\u{code:04X}"),
                    _ => format!("\\U{code:08X}"),
                });
            }
            c => text.push(c),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::node::{ComposeText, MergeMark, TextPlace};
    use super::*;

    fn node(value: NodeValue) -> YamlNode {
        let text = Arc::new(ComposeText { file: String::new(), text: String::new() });
        YamlNode { value, place: TextPlace { text, start: 0, end: 0 }, key: None, mark: MergeMark::Merged }
    }

    #[test]
    fn text_is_written_in_the_styles_of_go() {
        for (content, written) in [
            ("plain", "plain"),
            ("", "\"\""),
            ("3000", "\"3000\""),
            ("1.5", "\"1.5\""),
            ("true", "\"true\""),
            ("yes", "\"yes\""),
            ("null", "\"null\""),
            ("22:22", "\"22:22\""),
            ("2024-01-02", "\"2024-01-02\""),
            ("8080:80/tcp", "8080:80/tcp"),
            ("a: b", "'a: b'"),
            ("it's: x", "'it''s: x'"),
            ("*.py", "'*.py'"),
            ("-p", "-p"),
            ("- p", "'- p'"),
            ("echo \"x\"", "echo \"x\""),
            ("a #b", "'a #b'"),
            ("a\tb", "\"a\\tb\""),
            ("\u{1b}[31m", "\"\\e[31m\""),
            ("a\nb\n", "|\n    a\n    b"),
            ("a\n\nb", "|-\n    a\n\n    b"),
            (" a\nb", "\" a\\nb\""),
        ] {
            let mut text = String::new();
            put_text(content, 4, false, &mut text);
            assert_eq!(text, written, "{content:?}");
        }
    }

    fn any_value() -> impl Strategy<Value = NodeValue> {
        let text =
            prop_oneof![any::<String>(), "[ -~\n]{0,12}", "[0-9:.eExXob_+-]{0,6}", "(yes|on|~|null|<<|---|\\.\\.\\.)"];
        let leaf = prop_oneof![
            text.prop_map(NodeValue::Text),
            any::<i64>().prop_map(|number| NodeValue::Integer(number.into())),
            any::<bool>().prop_map(NodeValue::Boolean),
            Just(NodeValue::Null),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            let values = prop::collection::vec(inner.clone(), 0..5);
            let keys = prop_oneof![any::<String>(), "[ -~\n]{0,8}"];
            prop_oneof![
                values.prop_map(|values| NodeValue::List(values.into_iter().map(node).collect())),
                prop::collection::btree_map(keys, inner.prop_map(node), 0..5).prop_map(NodeValue::Mapping),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(value in any_value()) {
            let whole = node(NodeValue::Mapping([("whole".to_owned(), node(value))].into()));
            let text = yaml(&whole, &Shape::Any);
            let text = Arc::new(ComposeText { file: "written".to_owned(), text });
            let read = super::super::yaml::read(&text);
            match read {
                Ok(documents) => assert!(documents[0].says_the_same(&whole), "{}", text.text),
                Err(error) => panic!("{}\n{}", error.message, text.text),
            }
        }
    }
}
