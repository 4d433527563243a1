//! The values of an image's settings as text, in docker's syntax. The spec and the flags both read them here.

use serde_json::Value;

use super::quantity::{self, Ports, no_port};
use crate::error::{Error, Result, suggestion};
use crate::oci::{Map, Platform, Settings};

/// Linux's signals without their `SIG`; the real-time ones aside.
const SIGNALS: &[&str] = &[
    "abrt", "alrm", "bus", "chld", "cld", "cont", "fpe", "hup", "ill", "int", "io", "iot", "kill", "pipe", "poll",
    "prof", "pwr", "quit", "segv", "stkflt", "stop", "sys", "term", "trap", "tstp", "ttin", "ttou", "urg", "usr1",
    "usr2", "vtalrm", "winch", "xcpu", "xfsz",
];

/// Sets an environment variable, given as `NAME=value`, in the place of the one of that name or at the end.
pub fn set_variable(settings: &mut Settings, text: &str) -> Result<()> {
    let (name, _) = text.split_once('=').ok_or_else(|| {
        Error::input(format!("`{text}` sets no variable")).with_hint("a variable is set by `NAME=value`")
    })?;
    if name.is_empty() {
        return Err(Error::input("a variable has no name").with_hint("a variable is set by `NAME=value`"));
    }
    if text.contains('\0') {
        return Err(Error::input(format!("the variable `{}` contains a NUL character", name.replace('\0', "␀"))));
    }
    put_variable(settings.env.get_or_insert_default(), text);
    Ok(())
}

/// Puts `variable`, which is `NAME=value`, in the place of the one of that name or at the end.
pub fn put_variable(variables: &mut Vec<String>, variable: &str) {
    let name = |text: &str| text.split_once('=').map_or(text, |(name, _)| name).to_owned();
    let own = name(variable);
    match variables.iter_mut().find(|set| name(set) == own) {
        Some(set) => *set = variable.to_owned(),
        None => variables.push(variable.to_owned()),
    }
}

/// Exposes `port[-port][/protocol]`. A range becomes one key for each port, as docker writes it. Fails for what is no
/// port and no range of ports.
pub fn expose(settings: &mut Settings, text: &str) -> Result<()> {
    let ports: Ports = text.parse()?;
    if ports.numbers.contains(&0) {
        return Err(no_port(text, "0 is none"));
    }
    let exposed = settings.exposed_ports.get_or_insert_default();
    exposed.extend(ports.keys().map(|port| (port, Value::Object(Default::default()))));
    Ok(())
}

/// Declares a volume. Fails for a path that is not absolute.
pub fn add_volume(settings: &mut Settings, path: &str) -> Result<()> {
    let path = absolute(path)?;
    settings.volumes.get_or_insert_default().insert(path, Value::Object(Default::default()));
    Ok(())
}

/// Returns a working directory or a volume as given. Fails for one that is not absolute.
pub fn absolute(path: &str) -> Result<String> {
    let is_of_windows = matches!(path.as_bytes(), [b'c' | b'C', b':', b'\\' | b'/', ..]);
    if !(path.starts_with('/') || is_of_windows) || path.contains('\0') {
        return Err(Error::input(format!("`{}` is not an absolute path", path.replace('\0', "␀")))
            .with_hint("a path in the image begins with `/`"));
    }
    Ok(path.to_owned())
}

/// Reads `user[:group]`, names or numbers. Fails for an empty name, one with white space in it, and more than two of
/// them.
pub fn user(text: &str) -> Result<String> {
    let is_name = |name: &str| !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control());
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() > 2 || !parts.iter().all(|part| is_name(part)) {
        return Err(Error::input(format!("`{text}` is not a user"))
            .with_hint("a user is `user[:group]`, best as numbers, as in `65532:65532`"));
    }
    Ok(text.to_owned())
}

/// Reads a signal by its number (1 to 64) or name, with or without `SIG`; `SIGRTMIN+n` to 15 and `SIGRTMAX-n` to 14,
/// too. Fails for any other.
pub fn stop_signal(text: &str) -> Result<String> {
    if text.bytes().all(|c| c.is_ascii_digit()) {
        return match text.parse() {
            Ok(1..=64) => Ok(text.to_owned()),
            _ => Err(Error::input(format!("`{text}` is not a signal")).with_hint("signals are numbered from 1 to 64")),
        };
    }
    let lower = text.to_ascii_lowercase();
    let name = lower.strip_prefix("sig").unwrap_or(&lower);
    let offset = |offset: &str, sign: char, limit: u8| {
        offset.is_empty()
            || offset.strip_prefix(sign).and_then(|digits| digits.parse::<u8>().ok()).is_some_and(|n| n <= limit)
    };
    let is_real_time = name.strip_prefix("rtmin").is_some_and(|rest| offset(rest, '+', 15))
        || name.strip_prefix("rtmax").is_some_and(|rest| offset(rest, '-', 14));
    if is_real_time || SIGNALS.contains(&name) {
        return Ok(text.to_ascii_uppercase());
    }
    Err(Error::input(format!("`{text}` is not a signal")).with_hint(match suggestion(name, SIGNALS.iter().copied()) {
        Some(near) => format!("did you mean `SIG{}`?", near.to_uppercase()),
        None => "a signal is a name, as in `SIGTERM`, or a number from 1 to 64".to_owned(),
    }))
}

/// Reads a duration as Go writes it (`1m30s`, `500ms`, `1.5h`), and returns it in nanoseconds: 0, or a millisecond and
/// more, which is what engines take. Fails for anything else.
pub fn duration(text: &str) -> Result<u64> {
    match quantity::duration(text) {
        Some(nanoseconds @ (0 | 1_000_000..)) => Ok(nanoseconds.unsigned_abs()),
        Some(_) => Err(Error::input(format!("the duration `{text}` is too short"))
            .with_hint("the shortest is 1ms; 0s is the engine's default")),
        None => Err(Error::input(format!("`{text}` is not a duration"))
            .with_hint("a duration is numbers with units (h, m, s, ms), as in `30s` or `1m30s`")),
    }
}

/// Returns the words of a command line: a JSON array of strings, or a single word as it stands. Fails for an array of
/// other things.
pub fn words(text: &str) -> Result<Vec<String>> {
    if !text.trim_start().starts_with('[') {
        return Ok(vec![text.to_owned()]);
    }
    serde_json::from_str(text).map_err(|cause| {
        Error::input(format!("`{text}` is not a JSON array of strings"))
            .with_source(cause)
            .with_hint("write it as in [\"/bin/app\", \"--verbose\"]")
    })
}

/// Checks the `test` of a healthcheck, and returns it: `["NONE"]`, `["CMD", word…]` or `["CMD-SHELL", command]`. Fails
/// for any other.
pub fn health_test(test: Vec<String>) -> Result<Vec<String>> {
    match test.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["NONE"] | ["CMD-SHELL", _] | ["CMD", _, ..] => Ok(test),
        _ => Err(Error::input("this is not a healthcheck's test").with_hint(
            "a test is [\"CMD\", \"/bin/app\", \"--health\"], [\"CMD-SHELL\", \"command for the shell\"] or [\"NONE\"]",
        )),
    }
}

/// Reads platforms between commas. Fails for one that is malformed or there twice.
pub fn platforms(text: &str) -> Result<Vec<Platform>> {
    let mut platforms = Vec::new();
    for name in text.split(',') {
        add_platform(&mut platforms, name.trim())?;
    }
    Ok(platforms)
}

/// Adds a platform that must not be there yet, under whatever name.
pub fn add_platform(platforms: &mut Vec<Platform>, text: &str) -> Result<()> {
    let platform: Platform = text.parse()?;
    if platforms.contains(&platform) {
        return Err(Error::input(format!("the platform {platform} is given twice")));
    }
    platforms.push(platform);
    Ok(())
}

/// Sets a label or an annotation, given as `key=value`.
pub fn set_pair(pairs: &mut Map<String>, text: &str) -> Result<()> {
    let (key, value) = text.split_once('=').ok_or_else(|| {
        Error::input(format!("`{text}` has no value")).with_hint("labels and annotations are set by `key=value`")
    })?;
    pairs.insert(label_key(key)?.to_owned(), value.to_owned());
    Ok(())
}

/// Returns the key of a label or an annotation. Fails for an empty one.
pub fn label_key(key: &str) -> Result<&str> {
    if key.is_empty() { Err(Error::input("the key of a label or an annotation is empty")) } else { Ok(key) }
}
