//! The proxies that docker's own configuration gives to every build.

use std::fs::File;
use std::path::Path;

use serde_json::{Map as Object, Value};

use super::text_file::read_text;
use crate::oci::Map;

/// Far more than any configuration has, in bytes.
const LIMIT: u64 = 16 << 20;

/// The variables, each with its member in the file.
const MEMBERS: [(&str, &str); 5] = [
    ("HTTP_PROXY", "httpProxy"),
    ("HTTPS_PROXY", "httpsProxy"),
    ("FTP_PROXY", "ftpProxy"),
    ("NO_PROXY", "noProxy"),
    ("ALL_PROXY", "allProxy"),
];

/// Adds to `arguments` the proxies of `proxies.default` in `config.json` of the directory `config`, as docker's clients do,
/// unless they have one of that name in any letter case. A file that is not there or cannot be read gives none: whoever
/// needs credentials of it is told what is wrong there.
pub fn add(config: Option<&Path>, arguments: &mut Map<String>) {
    let read = |path: &Path| {
        let text = read_text(File::open(path).ok()?, &path.display().to_string(), LIMIT, "configuration").ok()?;
        serde_json::from_str::<Value>(&text).ok()
    };
    let document = config.and_then(|config| read(&config.join("config.json")));
    let member = |value: &Value, name: &str| value.as_object().and_then(|object| member(object, name)).cloned();
    let Some(proxies) = document.and_then(|document| member(&member(&document, "proxies")?, "default")) else { return };
    for (variable, name) in MEMBERS {
        let is_given = arguments.keys().any(|given| given.eq_ignore_ascii_case(variable));
        match member(&proxies, name).as_ref().and_then(Value::as_str) {
            Some(value) if !value.is_empty() && !is_given => {
                arguments.insert(variable.to_owned(), value.to_owned());
            }
            _ => {}
        }
    }
}

/// Returns a member as Go finds it: by its very name, or else in another letter case.
fn member<'a>(object: &'a Object<String, Value>, name: &str) -> Option<&'a Value> {
    let other = || object.iter().find(|(written, _)| written.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    object.get(name).or_else(other)
}
