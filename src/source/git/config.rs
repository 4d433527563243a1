//! The text of a git configuration (git-config(1), "Syntax"). Nothing that it includes is read, and nothing that it says
//! is done here.

/// The settings of a configuration, in its order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Config {
    settings: Vec<Setting>,
}

#[derive(Debug, PartialEq, Eq)]
struct Setting {
    /// Section and key in lower case, the subsection between them as it stands: `remote.origin.url`.
    name: String,
    /// The value; none where there is no `=`, which stands for true.
    value: Option<String>,
}

impl Config {
    /// Reads a configuration, and passes over lines that do not belong to one.
    pub fn parse(text: &[u8]) -> Config {
        let text = String::from_utf8_lossy(text);
        let mut rest = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let (mut settings, mut section) = (Vec::new(), None);
        loop {
            rest = rest.trim_start();
            if rest.is_empty() {
                return Config { settings };
            }
            if let Some(header) = rest.strip_prefix('[') {
                let (name, after) = read_header(header);
                (section, rest) = (name, after);
            } else if rest.starts_with(['#', ';']) {
                rest = after_line(rest);
            } else {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(rest.len());
                let (key, after) = rest.split_at(end);
                let after = after.trim_start_matches([' ', '\t']);
                let value;
                (value, rest) = match after.strip_prefix('=') {
                    Some(after) => read_value(after),
                    None => (None, after_line(after)),
                };
                if let Some(section) = section.as_deref().filter(|_| !key.is_empty()) {
                    settings.push(Setting { name: format!("{section}.{}", key.to_ascii_lowercase()), value });
                }
            }
        }
    }

    /// Returns the last value of a setting, which is the one that counts, and an empty one where there is no `=`; none
    /// if it is not set.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.settings.iter().rev().find(|setting| setting.name == name)?;
        Some(found.value.as_deref().unwrap_or_default())
    }

    /// Returns a setting that is true or false (git-config(1), "Values"); none for what is neither, as if it were not
    /// there.
    pub fn is(&self, name: &str) -> Option<bool> {
        let found = self.settings.iter().rev().find(|setting| setting.name == name)?;
        match found.value.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None | Some("true" | "yes" | "on" | "1") => Some(true),
            Some("false" | "no" | "off" | "0" | "") => Some(false),
            _ => None,
        }
    }

    /// Returns what the subsections of `section` set for `key`: the subsection and the value, in their order.
    pub fn of_each<'c>(&'c self, section: &str, key: &str) -> impl Iterator<Item = (&'c str, &'c str)> {
        let (before, after) = (format!("{section}."), format!(".{key}"));
        self.settings.iter().filter_map(move |setting| {
            let subsection = setting.name.strip_prefix(&before)?.strip_suffix(&after)?;
            Some((subsection, setting.value.as_deref().unwrap_or_default()))
        })
    }
}

/// The name of a section, from behind its `[`, and what follows its `]`; none if it is not a name.
fn read_header(text: &str) -> (Option<String>, &str) {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '.').unwrap_or(text.len());
    let (section, after) = text.split_at(end);
    let section = section.to_ascii_lowercase();
    if let Some(after) = after.strip_prefix(']') {
        return (Some(section), after);
    }
    let Some(quoted) = after.trim_start_matches([' ', '\t']).strip_prefix('"') else {
        return (None, after_line(after));
    };
    let mut subsection = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => {
                let after = &quoted[at + 1..];
                return match after.strip_prefix(']') {
                    Some(after) => (Some(format!("{section}.{subsection}")), after),
                    None => (None, after_line(after)),
                };
            }
            '\n' => return (None, &quoted[at + 1..]),
            '\\' => subsection.extend(characters.next().map(|(_, escaped)| escaped)),
            other => subsection.push(other),
        }
    }
    (None, "")
}

/// A value, from behind its `=`, and the lines after it; none if it is not a value.
fn read_value(text: &str) -> (Option<String>, &str) {
    let mut value = String::new();
    // Space counts where something follows it, and in quotes.
    let (mut length, mut is_quoted) = (0, false);
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '\n' => {
                value.truncate(length);
                return ((!is_quoted).then_some(value), &text[at + 1..]);
            }
            '#' | ';' if !is_quoted => {
                value.truncate(length);
                return (Some(value), after_line(&text[at..]));
            }
            '"' => is_quoted = !is_quoted,
            '\\' => {
                let escaped = match characters.next().map(|(_, escaped)| escaped) {
                    Some('\r') if characters.next_if(|(_, next)| *next == '\n').is_some() => continue,
                    Some('\n') => continue,
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some('b') => '\u{8}',
                    Some(other) => other,
                    None => break,
                };
                value.push(escaped);
                length = value.len();
            }
            space if space.is_ascii_whitespace() && !is_quoted => {
                if !value.is_empty() {
                    value.push(space);
                }
            }
            other => {
                value.push(other);
                length = value.len();
            }
        }
    }
    value.truncate(length);
    ((!is_quoted).then_some(value), "")
}

fn after_line(text: &str) -> &str {
    text.split_once('\n').map_or("", |(_, after)| after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_git_reads_them() {
        let config = Config::parse(
            b"\xef\xbb\xbf# comment\n[core]\n\tFileMode = false ; why\n\tbare\n[remote \"or\\\"igin\"] url = \"a b\" c  \n\
              url = x\\\n  y # z\r\n[Remote.old]\nurl=\n[include]\n\tpath = /etc/passwd\n[broken\n\tfilemode = true\n\
              [a \"B\"]\n\tc = \"#;\\n\"\r\n",
        );
        assert_eq!(config.is("core.filemode"), Some(false));
        assert_eq!(config.is("core.bare"), Some(true));
        assert_eq!(config.is("core.symlinks"), None);
        assert_eq!(config.get("remote.or\"igin.url"), Some("x  y"));
        assert_eq!(config.get("remote.old.url"), Some(""));
        assert_eq!(config.get("a.B.c"), Some("#;\n"));
        let urls: Vec<_> = config.of_each("remote", "url").collect();
        assert_eq!(urls, [("or\"igin", "a b c"), ("or\"igin", "x  y"), ("old", "")]);
    }

    #[test]
    fn what_is_no_configuration_sets_nothing() {
        for text in ["", "[", "[a", "[a \"", "[a \"b\\", "a = b", "=", "[a]\n=\n", "[a]\nb = \"c\nd", "\0\0"] {
            assert_eq!(Config::parse(text.as_bytes()).get("a.b").unwrap_or_default(), "", "{text:?}");
        }
    }
}
