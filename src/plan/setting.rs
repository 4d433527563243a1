//! The values of an image's settings as text, in docker's syntax. The spec and the flags both read them here.

use serde_json::Value;

use crate::error::{Error, Result, suggestion};
use crate::oci::{Map, Platform, Settings};

/// Linux's signals without their `SIG`; the real-time ones aside.
const SIGNALS: &[&str] = &[
    "abrt", "alrm", "bus", "chld", "cld", "cont", "fpe", "hup", "ill", "int", "io", "iot", "kill", "pipe", "poll",
    "prof", "pwr", "quit", "segv", "stkflt", "stop", "sys", "term", "trap", "tstp", "ttin", "ttou", "urg", "usr1",
    "usr2", "vtalrm", "winch", "xcpu", "xfsz",
];

/// Go's units of time in nanoseconds, those first whose names begin with another's.
const UNITS: &[(&str, u128)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
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
        return Err(Error::input(format!("the variable `{}` has a NUL character", name.replace('\0', "␀"))));
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
    let malformed = || {
        Error::input(format!("`{text}` is not a port"))
            .with_hint("a port is 1 to 65535, as in `8080`, `53/udp` or `8000-8002`")
    };
    let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err(Error::input(format!("`{protocol}` in `{text}` is not a protocol"))
            .with_hint("protocols are tcp, udp and sctp"));
    }
    let number = |digits: &str| {
        let is_number = !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit());
        digits.parse::<u16>().ok().filter(|number| is_number && *number > 0).ok_or_else(malformed)
    };
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(Error::input(format!("the ports `{text}` end before they begin")));
    }
    let exposed = settings.exposed_ports.get_or_insert_default();
    exposed.extend((first..=last).map(|port| (format!("{port}/{protocol}"), Value::Object(Default::default()))));
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
    let malformed = || {
        Error::input(format!("`{text}` is not a duration"))
            .with_hint("a duration is numbers with units (h, m, s, ms), as in `30s` or `1m30s`")
    };
    let mut total: u128 = 0;
    let mut rest = if text == "0" { "0s" } else { text };
    if rest.is_empty() {
        return Err(malformed());
    }
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(malformed)?;
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(malformed)?;
        total = total.checked_add(multiple(number, *unit).ok_or_else(malformed)?).ok_or_else(malformed)?;
        rest = after;
    }
    let nanoseconds = u64::try_from(total).ok().filter(|total| *total <= i64::MAX as u64).ok_or_else(malformed)?;
    if (1..1_000_000).contains(&nanoseconds) {
        return Err(Error::input(format!("the duration `{text}` is too short"))
            .with_hint("the shortest is 1ms; 0s is the engine's default"));
    }
    Ok(nanoseconds)
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
        return Err(Error::input(format!("the platform {platform} is there twice")));
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

/// `number`, a decimal fraction, times `unit`; what is below a nanosecond is cut off.
fn multiple(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let mut total = if whole.is_empty() { 0 } else { whole.parse::<u128>().ok()?.checked_mul(unit)? };
    let mut place = unit;
    for digit in fraction.chars() {
        place /= 10;
        total = total.checked_add(place * u128::from(digit.to_digit(10)?))?;
    }
    Some(total)
}
