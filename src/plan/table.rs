//! The tables of a TOML document, read key by key, with errors that show the line.

use std::cell::RefCell;

use toml::de::{DeArray, DeTable, DeValue};

use crate::error::{Error, Excerpt, Result, suggestion};

/// A span in bytes.
type TomlSpan = std::ops::Range<usize>;

/// The text that is being read, and what to call it.
#[derive(Clone, Copy)]
pub(super) struct TomlDocument<'a> {
    pub file: &'a str,
    pub text: &'a str,
}

/// A TOML table that knows which of its keys were asked for, so that the rest can be refused.
pub(super) struct TomlTable<'a> {
    document: TomlDocument<'a>,
    entries: &'a DeTable<'a>,
    span: TomlSpan,
    /// The name as in `[config]`, for errors; empty for the document itself.
    name: &'a str,
    asked: RefCell<Vec<&'static str>>,
}

/// A TOML value and the key that it stands under. Errors show its place.
pub(super) struct TomlValue<'a> {
    document: TomlDocument<'a>,
    pub key: &'a str,
    key_span: TomlSpan,
    value: &'a DeValue<'a>,
    span: TomlSpan,
}

impl<'a> TomlDocument<'a> {
    /// Returns the document's own table, whose entries are `entries`.
    pub fn root(self, entries: &'a DeTable<'a>) -> TomlTable<'a> {
        TomlTable { document: self, entries, span: 0..0, name: "", asked: RefCell::default() }
    }

    /// Returns the error for a text that is no TOML.
    pub fn malformed(self, cause: &toml::de::Error) -> Error {
        let error = Error::input(format!("{} is not valid TOML: {}", self.file, cause.message()));
        error.with_excerpt(self.excerpt(cause.span().unwrap_or(0..0)))
    }

    fn excerpt(self, span: TomlSpan) -> Excerpt {
        Excerpt::new(self.file, self.text, span)
    }
}

impl<'a> TomlTable<'a> {
    /// Returns the value of `key`, which [`finish`](Self::finish) then knows; none if it is not there.
    pub fn take(&self, key: &'static str) -> Option<TomlValue<'a>> {
        self.know(key);
        let (key, value) = self.entries.get_key_value(key)?;
        Some(self.value(key, value))
    }

    /// Has [`finish`](Self::finish) know `key`.
    pub fn know(&self, key: &'static str) {
        if !self.asked.borrow().contains(&key) {
            self.asked.borrow_mut().push(key);
        }
    }

    /// Returns all entries of a table whose keys are the user's, in the order of the file.
    pub fn entries(&self) -> Vec<TomlValue<'a>> {
        let mut values: Vec<TomlValue> = self.entries.iter().map(|(key, value)| self.value(key, value)).collect();
        values.sort_by_key(|value| value.key_span.start);
        values
    }

    /// Returns about how many bytes its entries come to, but for that of the key `except`.
    pub fn weight(&self, except: &str) -> usize {
        let entries = self.entries.iter().filter(|(key, _)| key.get_ref() != except);
        entries.map(|(key, value)| key.get_ref().len() + weight(value.get_ref())).sum()
    }

    /// Refuses the first key that was not asked for.
    pub fn finish(&self) -> Result<()> {
        let asked = self.asked.borrow();
        let Some(stranger) = self.entries().into_iter().find(|value| !asked.contains(&value.key)) else {
            return Ok(());
        };
        let place = if self.name.is_empty() { String::new() } else { format!(" in `{}`", self.name) };
        let error = Error::input(format!("unknown key `{}`{place}", stranger.key));
        let error = error.with_excerpt(self.document.excerpt(stranger.key_span));
        Err(error.with_hint(match suggestion(stranger.key, asked.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known keys are {}", asked.join(", ")),
        }))
    }

    /// Returns `error` with the place of the table.
    pub fn blame(&self, error: Error) -> Error {
        error.with_excerpt(self.document.excerpt(self.span.clone()))
    }

    fn value(
        &self,
        key: &'a toml::Spanned<toml::de::DeString<'a>>,
        value: &'a toml::Spanned<DeValue<'a>>,
    ) -> TomlValue<'a> {
        TomlValue {
            document: self.document,
            key: key.get_ref(),
            key_span: key.span(),
            value: value.get_ref(),
            span: value.span(),
        }
    }
}

impl<'a> TomlValue<'a> {
    /// Returns the line of the value.
    pub fn place(&self) -> Excerpt {
        self.document.excerpt(self.span.clone())
    }

    /// Returns the line of the key.
    pub fn key_place(&self) -> Excerpt {
        self.document.excerpt(self.key_span.clone())
    }

    /// Returns `error` with the place of the value.
    pub fn blame(&self, error: Error) -> Error {
        error.with_excerpt(self.place())
    }

    /// Returns `error` with the place of the key.
    pub fn blame_key(&self, error: Error) -> Error {
        error.with_excerpt(self.key_place())
    }

    /// Returns the string. Fails for any other value.
    pub fn string(&self) -> Result<&'a str> {
        let quoted = || match self.value {
            DeValue::Integer(number) => Some(format!("write it as a string: \"{number}\"")),
            DeValue::Boolean(word) => Some(format!("write it as a string: \"{word}\"")),
            _ => None,
        };
        self.value.as_str().ok_or_else(|| self.wrong_type("a string", quoted()))
    }

    /// Returns what `parse` makes of the string. Fails for any other value, and, with the place, where `parse` does.
    pub fn parse<T>(&self, parse: impl FnOnce(&'a str) -> Result<T>) -> Result<T> {
        parse(self.string()?).map_err(|error| self.blame(error))
    }

    /// Returns a string with something in it. Fails for any other value.
    pub fn text(&self) -> Result<String> {
        self.parse(|text| match text.is_empty() {
            true => Err(Error::input(format!("`{}` is empty", self.key)).with_hint("leave the key out instead")),
            false => Ok(text.to_owned()),
        })
    }

    /// Returns the boolean. Fails for any other value.
    pub fn boolean(&self) -> Result<bool> {
        self.value.as_bool().ok_or_else(|| self.wrong_type("true or false", None))
    }

    /// Returns the digits of an integer and their base; none for any other value.
    pub fn integer(&self) -> Option<(&'a str, u32)> {
        self.value.as_integer().map(|number| (number.as_str(), number.radix()))
    }

    /// Returns whether it is a string.
    pub fn is_string(&self) -> bool {
        self.value.is_str()
    }

    /// Returns whether it is an array.
    pub fn is_array(&self) -> bool {
        self.value.is_array()
    }

    /// Returns the elements of the array. Fails for any other value.
    pub fn list(&self) -> Result<Vec<TomlValue<'a>>> {
        let listed = || match self.value {
            DeValue::String(text) => Some(format!("write it as a list: {} = [{text:?}]", self.key)),
            DeValue::Integer(number) => Some(format!("write it as a list: {} = [{number}]", self.key)),
            DeValue::Table(_) => Some(format!("write it as a list: {} = [{{ … }}]", self.key)),
            _ => None,
        };
        let array: &'a DeArray = self.value.as_array().ok_or_else(|| self.wrong_type("a list", listed()))?;
        let element = |value: &'a toml::Spanned<DeValue<'a>>| TomlValue {
            document: self.document,
            key: self.key,
            key_span: self.key_span.clone(),
            value: value.get_ref(),
            span: value.span(),
        };
        Ok(array.iter().map(element).collect())
    }

    /// Returns the strings of an array of them. Fails for any other value.
    pub fn strings(&self) -> Result<Vec<String>> {
        self.list()?.iter().map(|element| element.string().map(str::to_owned)).collect()
    }

    /// Returns the table. Fails for any other value.
    pub fn table(&self) -> Result<TomlTable<'a>> {
        let entries = self.value.as_table().ok_or_else(|| self.wrong_type("a table", None))?;
        let (document, span, name) = (self.document, self.span.clone(), self.key);
        Ok(TomlTable { document, entries, span, name, asked: RefCell::default() })
    }

    fn wrong_type(&self, wanted: &str, hint: Option<String>) -> Error {
        let kind = match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let mut error = self.blame(Error::input(format!("`{}` must be {wanted}, not {kind}", self.key)));
        error.hint = hint;
        error
    }
}

fn weight(value: &DeValue<'_>) -> usize {
    /// Of a value that has nothing in it.
    const EMPTY: usize = 64;
    EMPTY
        + match value {
            DeValue::String(text) => text.len(),
            DeValue::Array(list) => list.iter().map(|element| weight(element.get_ref())).sum(),
            DeValue::Table(entries) => {
                entries.iter().map(|(key, value)| key.get_ref().len() + weight(value.get_ref())).sum()
            }
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => 0,
        }
}
