//! Secrets and SSH agents as the command line names them.

use std::path::PathBuf;
use std::str::FromStr;

use crate::error::{Error, Result, suggestion};

/// The agent that a mount means which does not say.
pub const DEFAULT_AGENT: &str = "default";

/// The options of a secret.
const KEYS: &[&str] = &["type", "id", "src", "source", "env"];

/// The place of a secret. Its value is read when a command needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// An environment variable.
    Variable(String),
    /// A file of this machine.
    File(PathBuf),
}

/// A secret and where it is found, as `--secret` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedSecret {
    /// The name by which mounts ask for it.
    pub id: String,
    /// The place; without it, that is the variable of the name or, if it is not set, the file of the name.
    pub source: Option<SecretSource>,
}

/// An SSH agent and its socket, or keys for one, as `--ssh` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedAgent {
    /// The name by which mounts ask for it.
    pub id: String,
    /// The socket, or files with keys; without any, the socket of `SSH_AUTH_SOCK` is meant.
    pub paths: Vec<PathBuf>,
}

impl FromStr for NamedSecret {
    type Err = Error;

    /// Reads `id=NAME[,type=file|env][,src=FILE][,env=VARIABLE]` as buildx does; a value of `src` is that of a variable if the
    /// type says so. Where both are given, the variable counts.
    fn from_str(text: &str) -> Result<Self> {
        let refuse = |what: String| {
            Error::usage(what).with_hint("write id=NAME,src=FILE or id=NAME,env=VARIABLE, as in id=token,src=token.txt")
        };
        let (mut id, mut file, mut variable, mut is_variable) = (None, None, None, false);
        let fields =
            csv_fields(text).ok_or_else(|| refuse("quotation marks must be around a whole option".to_owned()))?;
        for field in &fields {
            // What is not an option of it may be the secret itself, and so it is not shown.
            let Some((key, value)) = field.split_once('=') else {
                return Err(refuse("an option of a secret has no `=`".to_owned()));
            };
            let value = Some(value.to_owned()).filter(|value| !value.is_empty());
            match key.to_lowercase().as_str() {
                "type" => match value.as_deref() {
                    Some("file") => is_variable = false,
                    Some("env") => is_variable = true,
                    other => {
                        return Err(refuse(format!(
                            "a secret has the type file or env, not `{}`",
                            other.unwrap_or("")
                        )));
                    }
                },
                "id" => id = value,
                "src" | "source" => file = value,
                "env" => variable = value,
                other => {
                    return Err(match suggestion(other, KEYS.iter().copied()) {
                        Some(near) => {
                            Error::usage("a secret has no such option").with_hint(format!("did you mean `{near}`?"))
                        }
                        None => refuse("a secret has no such option".to_owned()),
                    });
                }
            }
        }
        if is_variable && variable.is_none() {
            variable = file.take();
        }
        let id = id.ok_or_else(|| refuse("a secret needs an `id`".to_owned()))?;
        let file = file.map(|file| SecretSource::File(file.into()));
        Ok(NamedSecret { id, source: variable.map(SecretSource::Variable).or(file) })
    }
}

impl FromStr for NamedAgent {
    type Err = Error;

    /// Reads `default` and `ID[=SOCKET|KEY[,KEY]]`; without an ID the agent is [`DEFAULT_AGENT`].
    fn from_str(text: &str) -> Result<Self> {
        let (id, paths) = text.split_once('=').unwrap_or((text, ""));
        let id = if id.is_empty() { DEFAULT_AGENT } else { id };
        let paths = paths.split(',').filter(|path| !path.is_empty()).map(PathBuf::from).collect();
        Ok(NamedAgent { id: id.to_owned(), paths })
    }
}

/// Returns the fields of one CSV record (RFC 4180); none if quotation marks do not stand around whole fields.
pub fn csv_fields(text: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
            Some(quoted) => {
                let (mut field, mut quoted) = (String::new(), quoted);
                loop {
                    let end = quoted.find('"')?;
                    field.push_str(&quoted[..end]);
                    quoted = &quoted[end + 1..];
                    let Some(after) = quoted.strip_prefix('"') else { break };
                    field.push('"');
                    quoted = after;
                }
                (field, quoted)
            }
        };
        if field.contains('"') && !rest.starts_with('"') {
            return None;
        }
        fields.push(field);
        if after.is_empty() {
            return Some(fields);
        }
        rest = after.strip_prefix(',')?;
    }
}

/// Returns a field as it stands in a CSV record: [`csv_fields`] reads it again.
pub fn csv_field(text: &str) -> String {
    match text.contains(['"', ',']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As buildx's `util/buildflags/secrets.go` reads them.
    #[test]
    fn secrets_are_read_as_buildx_reads_them() {
        let file = |path: &str| Some(SecretSource::File(path.into()));
        let variable = |name: &str| Some(SecretSource::Variable(name.to_owned()));
        for (text, source) in [
            ("id=a", None),
            ("id=a,src=f", file("f")),
            ("ID=a,Source=/d/f", file("/d/f")),
            ("type=file,id=a,src=f", file("f")),
            ("id=a,env=V", variable("V")),
            ("type=env,id=a", None),
            ("type=env,src=V,id=a", variable("V")),
            ("type=env,env=V,src=f,id=a", variable("V")),
            ("id=a,env=V,src=f", variable("V")),
            ("id=a,src=x=y", file("x=y")),
            ("id=a,\"src=f,g\"", file("f,g")),
            ("id=a,\"src=f\"\"g\"", file("f\"g")),
            ("id=a,src=", None),
        ] {
            let expected = NamedSecret { id: "a".to_owned(), source };
            assert_eq!(text.parse::<NamedSecret>().unwrap(), expected, "{text}");
        }
        for text in
            ["", "a", "src=f", "id=", "id=a,f", "id=a,type=x", "id=a,mode=0400", "id=a,src=\"f\"", "id=a,\"src=f"]
        {
            assert!(text.parse::<NamedSecret>().is_err(), "{text}");
        }
        // It may be the secret itself.
        for text in ["id=a,hunter2", "id=a,hunter2="] {
            let error = text.parse::<NamedSecret>().unwrap_err();
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
        let error = "id=a,sorce=f".parse::<NamedSecret>().unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("did you mean `source`?"));
    }

    #[test]
    fn agents_have_a_name_and_a_socket_or_keys() {
        for (text, id, paths) in [
            ("default", "default", &[][..]),
            ("", "default", &[]),
            ("default=/s", "default", &["/s"]),
            ("=/s", "default", &["/s"]),
            ("work=a=b", "work", &["a=b"]),
            ("work=a,b", "work", &["a", "b"]),
        ] {
            let expected = NamedAgent { id: id.to_owned(), paths: paths.iter().map(PathBuf::from).collect() };
            assert_eq!(text.parse::<NamedAgent>().unwrap(), expected, "{text}");
        }
    }
}
