//! `--format`: what is listed, in the form of a Go template, as docker has it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use gotmpl::{Template, Value, to_value};
use serde::Serialize;

use crate::error::{Error, Result};

/// A form in which rows are shown: a template for each, a table of them, or JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    template: String,
    is_table: bool,
    /// `json` writes a member on each line.
    is_readable: bool,
}

/// The member of an object by which `json` shows it: its text, where the others are called as Go has them.
pub const AS_JSON: &str = "\0";

impl Format {
    /// Returns a table whose columns are the fields of these names.
    pub fn table(fields: &[&str]) -> Self {
        let columns: Vec<String> = fields.iter().map(|field| format!("{{{{.{field}}}}}")).collect();
        Format { template: columns.join("\t"), is_table: true, is_readable: false }
    }

    /// Returns the lines of `rows`, in their order. A table begins with the names of its columns: `titles` has those of fields
    /// that are not just their own in capitals. Fails where the template asks for what cannot be done; what a row does not
    /// have is `<no value>`.
    pub fn lines<T: Serialize>(&self, rows: &[T], titles: &[(&str, &str)]) -> Result<Vec<String>> {
        let template = self.parsed()?;
        let shown = |value: &Value| template.execute_to_string(value).map_err(|error| self.refused(&error));
        let values =
            rows.iter().map(|row| to_value(row).map_err(|error| self.refused(&error))).collect::<Result<Vec<_>>>()?;
        let texts = values.iter().map(shown).collect::<Result<Vec<_>>>()?;
        if !self.is_table {
            return Ok(texts.iter().flat_map(|text| text.split('\n').map(str::to_owned)).collect());
        }
        let title = |field: &str| {
            let own = titles.iter().find(|(name, _)| *name == field);
            own.map_or_else(|| field.to_uppercase(), |(_, title)| (*title).to_owned())
        };
        let mut head = BTreeMap::new();
        for field in fields(&self.template) {
            head.insert(field, title(field));
        }
        let head = to_value(&head).map_err(|error| self.refused(&error))?;
        let head = shown(&head)?;
        Ok(aligned(std::iter::once(head).chain(texts)))
    }

    /// Returns the same with a function `json` that writes a member on each line, as buildx has it.
    pub fn readable(self) -> Self {
        Format { is_readable: true, ..self }
    }

    /// Returns whether that is all of the template, but for white space.
    pub fn is(&self, template: &str) -> bool {
        self.template.chars().filter(|c| !c.is_whitespace()).eq(template.chars())
    }

    /// Returns whether it may show the field of this name of a row.
    pub fn shows(&self, field: &str) -> bool {
        let mentioned = fields(&self.template);
        let is_of_all = [".}", ". ", ".)", ".|"].iter().any(|dot| self.template.contains(dot));
        mentioned.contains(&field) || mentioned.is_empty() || is_of_all
    }

    fn parsed(&self) -> Result<Template> {
        let words = |args: &[Value], change: fn(&str) -> String| {
            Ok(Value::String(change(&args.first().map(ToString::to_string).unwrap_or_default()).into()))
        };
        let json = match self.is_readable {
            true => |value: &Value| format!("{:#}", plain(value)),
            false => |value: &Value| plain(value).to_string(),
        };
        let template = Template::new("format")
            .func("json", move |args| Ok(Value::String(args.first().map_or_else(|| "null".to_owned(), json).into())))
            .func("index", |args| match args {
                [value, keys @ ..] => keys.iter().try_fold(value.clone(), |value, key| element(&value, key)),
                [] => Ok(Value::Nil),
            })
            .func("lower", move |args| words(args, str::to_lowercase))
            .func("upper", move |args| words(args, str::to_uppercase))
            .func("title", move |args| words(args, titled))
            .func("join", |args| {
                let [Value::List(list), separator] = args else { return Ok(Value::String("".into())) };
                let texts: Vec<String> = list.iter().map(ToString::to_string).collect();
                Ok(Value::String(texts.join(&separator.to_string()).into()))
            })
            .func("split", |args| {
                let [text, separator] = args else { return Ok(Value::Nil) };
                let (text, separator) = (text.to_string(), separator.to_string());
                Ok(Value::List(text.split(&separator).map(|part| Value::String(part.into())).collect()))
            })
            .func("truncate", |args| {
                let [text, Value::Int(length)] = args else { return Ok(Value::String("".into())) };
                let length = usize::try_from(*length).unwrap_or_default();
                Ok(Value::String(text.to_string().chars().take(length).collect::<String>().into()))
            })
            .func("pad", |args| {
                let [text, Value::Int(before), Value::Int(after)] = args else { return Ok(Value::String("".into())) };
                let spaces = |count: i64| " ".repeat(usize::try_from(count).unwrap_or_default().min(WIDEST_PAD));
                Ok(Value::String(format!("{}{text}{}", spaces(*before), spaces(*after)).into()))
            });
        let parsed = template.parse(&self.template).map_err(|error| self.refused(&error))?;
        match unbalanced(&self.template) {
            Some(words) => Err(self.refused(&words)),
            None => Ok(parsed),
        }
    }

    fn refused(&self, error: &dyn Display) -> Error {
        Error::usage(format!("`{}`: {error}", self.template))
            .with_hint("it must be json, table, or a Go template such as '{{.ID}} {{json .}}'")
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (is_table, template) = match text.strip_prefix("table") {
            Some(rest) if rest.starts_with(char::is_whitespace) => (true, rest.trim_start()),
            _ => (false, text),
        };
        let template = if template == "json" { "{{json .}}" } else { template };
        // Shells pass these on as they are typed.
        let template = template.replace("\\t", "\t").replace("\\n", "\n");
        let format = Format { template, is_table, is_readable: false };
        format.parsed()?;
        Ok(format)
    }
}

/// Returns what `index` finds. A map of text, as labels are, has empty text under each key that it lacks, and so has one that is
/// not there at all.
fn element(value: &Value, key: &Value) -> gotmpl::Result<Value> {
    let is_of_text = match value {
        Value::Nil => true,
        Value::Map(members) => members.values().all(|member| matches!(member, Value::String(_))),
        _ => false,
    };
    match value.index(key) {
        Ok(Value::Nil) | Err(_) if is_of_text && matches!(key, Value::String(_)) => Ok(Value::String("".into())),
        found => found,
    }
}

/// Returns what Go says of a template with an `{{end}}` or an `{{else}}` too many, or with an `{{end}}` that is missing; none
/// if there is no such thing.
fn unbalanced(template: &str) -> Option<String> {
    let (mut open, mut rest) = (0_usize, template);
    while let Some((before, action)) = rest.split_once("{{") {
        let line = || template[..template.len() - rest.len() + before.len()].matches('\n').count() + 1;
        let word = action.trim_start_matches('-').trim_start();
        let length = word.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(word.len());
        match &word[..length] {
            "if" | "range" | "with" | "block" | "define" => open += 1,
            word @ ("end" | "else") if open == 0 => {
                return Some(format!("template: :{}: unexpected {{{{{word}}}}}", line()));
            }
            "end" => open -= 1,
            _ => {}
        }
        rest = &action[action_length(action)..];
    }
    (open > 0).then(|| format!("template: :{}: unexpected EOF", template.matches('\n').count() + 1))
}

/// Returns how long an action is, with the braces that end it: those in a comment or between quotation marks do not.
fn action_length(action: &str) -> usize {
    let comment = action.trim_start_matches('-').trim_start();
    if comment.starts_with("/*") {
        return action.find("*/").and_then(|end| Some(end + action[end..].find("}}")? + 2)).unwrap_or(action.len());
    }
    let mut quote = None;
    let mut is_escaped = false;
    for (at, character) in action.char_indices() {
        match (quote, character) {
            (None, '"' | '\'' | '`') => quote = Some(character),
            (None, '}') if action[at..].starts_with("}}") => return at + 2,
            (Some('"' | '\''), '\\') if !is_escaped => {
                is_escaped = true;
                continue;
            }
            (Some(mark), _) if mark == character && !is_escaped => quote = None,
            _ => {}
        }
        is_escaped = false;
    }
    action.len()
}

/// The most spaces that `pad` puts on a side.
const WIDEST_PAD: usize = 1000;

/// What stands between two columns at least, and the least width of one, as with docker.
const BETWEEN: usize = 3;
const NARROWEST: usize = 10;

/// Returns the names of the fields that a template mentions at its top.
fn fields(template: &str) -> Vec<&str> {
    let starts = template.match_indices('.').map(|(at, _)| &template[at + 1..]);
    let names = starts.map(|rest| &rest[..rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len())]);
    names.filter(|name| !name.is_empty()).collect()
}

/// Returns lines whose columns, which tabs separate, begin one below the other.
fn aligned(lines: impl Iterator<Item = String>) -> Vec<String> {
    let rows: Vec<Vec<String>> = lines.map(|line| line.split('\t').map(str::to_owned).collect()).collect();
    let mut widths: Vec<usize> = Vec::new();
    for row in &rows {
        for (at, cell) in row.iter().enumerate() {
            let width = (cell.chars().count() + BETWEEN).max(NARROWEST);
            match widths.get_mut(at) {
                Some(widest) => *widest = width.max(*widest),
                None => widths.push(width),
            }
        }
    }
    let line = |row: &Vec<String>| {
        let (last, others) = row.split_last().map_or(("", &[][..]), |(last, others)| (last.as_str(), others));
        let others: String = others.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{others}{last}").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn titled(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn plain(value: &Value) -> serde_json::Value {
    match value {
        Value::Nil | Value::Function(_) => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => (*value).into(),
        Value::Uint(value) => (*value).into(),
        Value::Float(value) => (*value).into(),
        Value::String(value) => value.as_ref().into(),
        Value::List(values) => values.iter().map(plain).collect(),
        Value::Map(values) => {
            if let Some(Value::String(text)) = values.get(AS_JSON) {
                return serde_json::from_str(text).unwrap_or_default();
            }
            values.iter().map(|(key, value)| (key.to_string(), plain(value))).collect::<serde_json::Map<_, _>>().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines(format: &str, rows: &[serde_json::Value]) -> Vec<String> {
        format.parse::<Format>().unwrap().lines(rows, &[("ID", "IMAGE ID")]).unwrap()
    }

    fn rows() -> [serde_json::Value; 2] {
        [
            json!({"ID": "0123456789ab", "Tag": "1.0", "Labels": {"a.b": "c"}, "Names": ["x", "y"], "Size": 7}),
            json!({"ID": "ba9876543210", "Tag": "a-tag-longer-than-others", "Labels": {}, "Names": [], "Size": 0}),
        ]
    }

    #[test]
    fn rows_are_shown_as_the_template_says() {
        assert_eq!(lines("{{.ID}}:{{.Tag}}", &rows()), ["0123456789ab:1.0", "ba9876543210:a-tag-longer-than-others"]);
        assert_eq!(lines("{{json .Names}} {{.Size}}", &rows()), [r#"["x","y"] 7"#, "[] 0"]);
        assert_eq!(
            lines(r#"{{join .Names ","}}\t{{upper .Tag}}"#, &rows()),
            ["x,y\t1.0", "\tA-TAG-LONGER-THAN-OTHERS"]
        );
        assert_eq!(lines("{{range .Names}}<{{.}}>{{else}}none{{end}}", &rows()), ["<x><y>", "none"]);
        assert_eq!(lines(r#"{{index .Labels "a.b"}}"#, &rows()[..1]), ["c"]);
        assert_eq!(lines(r#"<{{index .Labels "none"}}{{index .Nothing "a"}}>"#, &rows()), ["<>", "<>"]);
        assert_eq!(lines(r#"{{index .Names 1}}{{index .Nothing "a"}}"#, &rows()[..1]), ["y"]);
        assert_eq!(lines("{{.Nothing}}", &rows()[..1]), ["<no value>"]);
        let row: serde_json::Value = serde_json::from_str(&lines("json", &rows())[0]).unwrap();
        assert_eq!(row, rows()[0]);
    }

    #[test]
    fn a_table_has_a_head_and_columns() {
        assert_eq!(
            lines(r"table {{.ID}}\t{{.Tag}}\t{{.Size}}", &rows()),
            [
                "IMAGE ID       TAG                        SIZE",
                "0123456789ab   1.0                        7",
                "ba9876543210   a-tag-longer-than-others   0",
            ]
        );
    }

    #[test]
    fn blocks_that_are_not_whole_are_refused_in_gos_words() {
        for (wrong, words) in [
            ("{{end}}", "template: :1: unexpected {{end}}"),
            ("{{.ID}}\n{{- end -}}", "template: :2: unexpected {{end}}"),
            ("{{else}}", "template: :1: unexpected {{else}}"),
            ("{{range .Names}}{{.}}", "template: :1: unexpected EOF"),
            ("{{if .ID}}a{{else}}b", "template: :1: unexpected EOF"),
            ("{{with .ID}}{{end}}{{end}}", "template: :1: unexpected {{end}}"),
        ] {
            let error = wrong.parse::<Format>().unwrap_err();
            assert!(error.message.ends_with(words), "{wrong}: {}", error.message);
        }
        for right in [
            r#"{{"{{end}}"}}{{range .Names}}{{"}}"}}{{end}}"#,
            "{{/* {{end}} */}}",
            "{{if .ID}}{{range .Names}}{{end}}{{else if .Tag}}{{end}}",
            "{{.end}}{{.ID}} end",
            "{{- range .Names -}} a {{- end -}}",
        ] {
            assert!(right.parse::<Format>().is_ok(), "{right}: {:?}", right.parse::<Format>());
        }
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for wrong in ["{{.ID", "{{if}}"] {
            let error = wrong.parse::<Format>().unwrap_err();
            assert!(error.message.starts_with(&format!("`{wrong}`: ")), "{}", error.message);
        }
        // What a function is, is known when it is called.
        let error = "{{nothing .ID}}".parse::<Format>().unwrap().lines(&rows(), &[]).unwrap_err();
        assert!(error.message.starts_with("`{{nothing .ID}}`: "), "{}", error.message);
    }
}
