//! Secrets and SSH agents of a target, as text or as objects.

use serde::Serialize;

use super::entry::{fields, pair};
use crate::error::{Error, Result, suggestion};

/// An entry of `secret`. What is empty was not said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SecretEntry {
    /// The name by which mounts ask for it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The file that it is in.
    #[serde(rename = "src", skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The variable that it is in.
    #[serde(rename = "env", skip_serializing_if = "String::is_empty")]
    pub variable: String,
}

/// An entry of `ssh`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AgentEntry {
    /// The name by which mounts ask for it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Its socket, or keys; without any, the socket of `SSH_AUTH_SOCK` is meant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
}

/// The fields of a secret.
const KEYS: [&str; 5] = ["type", "id", "src", "source", "env"];

impl SecretEntry {
    /// Reads `id=NAME[,type=file|env][,src=FILE][,env=VARIABLE]`.
    pub fn read(text: &str) -> Result<SecretEntry> {
        let mut entry = SecretEntry::default();
        let mut is_variable = false;
        for field in &fields(text)? {
            let (key, value) = pair(field)?;
            match key.to_lowercase().as_str() {
                "type" => match value {
                    "file" => is_variable = false,
                    "env" => is_variable = true,
                    other => {
                        return Err(Error::input(format!("a secret has the type file or env, not `{other}`")));
                    }
                },
                "id" => entry.id = value.to_owned(),
                "src" | "source" => entry.path = value.to_owned(),
                "env" => entry.variable = value.to_owned(),
                key => {
                    let error = Error::input(format!("a secret has no option `{key}`"));
                    return Err(match suggestion(key, KEYS) {
                        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                        None => error.with_hint("write id=NAME,src=FILE or id=NAME,env=VARIABLE"),
                    });
                }
            }
        }
        if is_variable && entry.variable.is_empty() {
            entry.variable = std::mem::take(&mut entry.path);
        }
        Ok(entry)
    }
}

impl AgentEntry {
    /// Reads `ID[=PATH[,PATH]]`.
    pub fn read(text: &str) -> AgentEntry {
        let (id, paths) = match text.split_once('=') {
            Some((id, paths)) => (id, paths.split(',').map(str::to_owned).collect()),
            None => (text, Vec::new()),
        };
        AgentEntry { id: id.to_owned(), paths }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_in_a_file_or_in_a_variable() {
        let read = |text: &str| SecretEntry::read(text).map(|entry| serde_json::to_string(&entry).unwrap()).ok();
        assert_eq!(read("id=a,src=b").as_deref(), Some(r#"{"id":"a","src":"b"}"#));
        assert_eq!(read("type=env,ID=a,source=B").as_deref(), Some(r#"{"id":"a","env":"B"}"#));
        assert_eq!(read("type=env,id=a,src=b,env=C").as_deref(), Some(r#"{"id":"a","src":"b","env":"C"}"#));
        assert_eq!(read("type=x,id=a"), None);
        assert_eq!(read("id=a,sr=b"), None);
        assert_eq!(read("id"), None);
    }

    #[test]
    fn an_agent_may_have_keys() {
        let read = |text: &str| serde_json::to_string(&AgentEntry::read(text)).unwrap();
        assert_eq!(read("default"), r#"{"id":"default"}"#);
        assert_eq!(read("a=b,c=d"), r#"{"id":"a","paths":["b","c=d"]}"#);
        assert_eq!(read("a="), r#"{"id":"a","paths":[""]}"#);
    }
}
