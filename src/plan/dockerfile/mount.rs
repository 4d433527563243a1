//! `RUN --mount=…`.

use super::{Span, Word};
use crate::error::{Error, Result, suggestion};
use crate::plan::CacheSharing;
use crate::plan::quantity::{self, Size};

const KEYS: &[&str] = &[
    "type",
    "from",
    "source",
    "src",
    "target",
    "dst",
    "destination",
    "readonly",
    "ro",
    "readwrite",
    "rw",
    "required",
    "size",
    "id",
    "sharing",
    "mode",
    "uid",
    "gid",
    "env",
];
const TYPES: &[&str] = &["bind", "cache", "tmpfs", "secret", "ssh"];

/// The value of one `--mount`, split but not expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountFlag {
    /// The fields in order: the key in lower case, and what stands behind `=`.
    pub fields: Vec<(String, Option<Word>)>,
    /// The place of the flag's value.
    pub span: Span,
}

/// A mount as one `--mount` asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The type, with what only mounts of it have.
    pub kind: MountKind,
    /// The place where it appears; possibly relative, possibly empty for a secret or ssh, which then have their default
    /// places.
    pub target: String,
    /// Writes to it fail. Unless it is said, a cache and a tmpfs can be written to, and the others cannot.
    pub read_only: bool,
}

/// The kind of a mount, with what that kind alone has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountKind {
    /// `type=bind`: files of the context, of a stage or of an image.
    Bind {
        /// A stage, a named context or an image; the build context without it.
        from: Option<String>,
        /// A path in it; its root without it.
        source: Option<String>,
    },
    /// `type=cache`: a directory that is kept from one build to the next, on this machine alone.
    Cache {
        /// The target without it.
        id: Option<String>,
        /// The way in which steps that run at one time share it.
        sharing: CacheSharing,
        /// The stage, context or image that an empty cache begins with; nothing without it.
        from: Option<String>,
        /// A path in `from`; its root without it.
        source: Option<String>,
        /// The permissions of a directory that is made for it; 0755 without it.
        mode: Option<u32>,
        /// The user ID of a directory that is made for it; 0 without it.
        uid: Option<u32>,
        /// The group ID of a directory that is made for it; 0 without it.
        gid: Option<u32>,
    },
    /// `type=tmpfs`: an empty directory in memory.
    Tmpfs {
        /// The size in bytes.
        size: Option<u64>,
    },
    /// `type=secret`: a file or a variable that is in no layer.
    Secret {
        /// The name as `--secret` has it; without it, the base name of the target is meant, which is then not empty.
        id: Option<String>,
        /// The variable that it is given in; it is a file as well only if there is a target.
        env: Option<String>,
        /// The build fails if the secret is not given; without it, the command goes without.
        required: bool,
        /// The permissions of the file; 0400 without it.
        mode: Option<u32>,
        /// The user ID of the file; 0 without it.
        uid: Option<u32>,
        /// The group ID of the file; 0 without it.
        gid: Option<u32>,
    },
    /// `type=ssh`: the socket of an SSH agent.
    Ssh {
        /// The name as `--ssh` has it; `default` without it.
        id: Option<String>,
        /// The build fails if the agent is not given; without it, the command goes without.
        required: bool,
        /// The permissions of the socket; 0600 without it.
        mode: Option<u32>,
        /// The user ID of the socket; 0 without it.
        uid: Option<u32>,
        /// The group ID of the socket; 0 without it.
        gid: Option<u32>,
    },
}

impl MountFlag {
    /// Returns whether a variable is named in it.
    pub fn has_variables(&self) -> bool {
        self.fields.iter().any(|(_, value)| value.as_ref().is_some_and(|value| value.text.contains('$')))
    }

    /// Returns the name of what it is taken from, which has no variables; none for a mount that nothing is taken for.
    pub fn from(&self) -> Option<&Word> {
        let value = |name: &str| self.fields.iter().rev().find(|(key, _)| key == name)?.1.as_ref();
        let is_taken = value("type").is_none_or(|kind| !kind.text.eq_ignore_ascii_case("tmpfs"));
        value("from").filter(|_| is_taken)
    }

    /// Returns the mount once `expand` has replaced the variables of each value. Fails for a mount that cannot be, with
    /// no excerpt: `span` gives it.
    pub fn mount(&self, expand: &mut dyn FnMut(&Word) -> Result<String>) -> Result<Mount> {
        let mut settings = MountSettings { kind: "bind", ..MountSettings::default() };
        for (key, value) in &self.fields {
            match value {
                None => settings.switch(key)?,
                Some(value) => settings.set(key, expand(value)?)?,
            }
        }
        settings.mount()
    }
}

/// The settings that were read so far, of whatever kind the mount is.
#[derive(Default)]
struct MountSettings {
    kind: &'static str,
    from: String,
    source: String,
    target: String,
    read_only: Option<bool>,
    required: bool,
    size: Option<u64>,
    id: String,
    sharing: Option<CacheSharing>,
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
    env: Option<String>,
}

impl MountSettings {
    fn switch(&mut self, key: &str) -> Result<()> {
        match key {
            "readonly" | "ro" => self.read_only = Some(true),
            "readwrite" | "rw" => self.read_only = Some(false),
            "required" => {
                self.only_for(key, &["secret", "ssh"])?;
                self.required = true;
            }
            key if KEYS.contains(&key) => return Err(refused(format!("`{key}` of a mount needs a value"))),
            key => return Err(unknown(key)),
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: String) -> Result<()> {
        match key {
            "type" => self.kind = kind(&value)?,
            "from" => self.from = value,
            "source" | "src" => self.source = value,
            "target" | "dst" | "destination" => self.target = value,
            "readonly" | "ro" => self.read_only = Some(parsed(key, &value, quantity::boolean)?),
            "readwrite" | "rw" => self.read_only = Some(!parsed(key, &value, quantity::boolean)?),
            "required" => {
                self.only_for(key, &["secret", "ssh"])?;
                self.required = parsed(key, &value, quantity::boolean)?;
            }
            "size" => {
                self.only_for(key, &["tmpfs"])?;
                self.size = Some(parsed(key, &value, |text| text.parse::<Size>().ok())?.0);
            }
            "id" => self.id = value,
            "sharing" => self.sharing = Some(parsed(key, &value, sharing)?),
            "mode" => self.mode = Some(parsed(key, &value, |text| number(text, 8))?),
            "uid" => self.uid = Some(parsed(key, &value, |text| number(text, 10))?),
            "gid" => self.gid = Some(parsed(key, &value, |text| number(text, 10))?),
            "env" => self.env = Some(value),
            _ => return Err(unknown(key)),
        }
        Ok(())
    }

    /// The type counts that was said before the key.
    fn only_for(&self, key: &str, kinds: &[&str]) -> Result<()> {
        match kinds.contains(&self.kind) {
            true => Ok(()),
            false => Err(refused(format!("a mount of type `{}` has no `{key}`", self.kind))
                .with_hint(format!("say `type={}` before it", kinds.join("` or `type=")))),
        }
    }

    fn mount(self) -> Result<Mount> {
        let owned = matches!(self.kind, "cache" | "secret" | "ssh");
        if !owned && (self.mode.is_some() || self.uid.is_some() || self.gid.is_some()) {
            return Err(refused(format!("a mount of type `{}` has no mode, uid or gid", self.kind)));
        }
        if self.sharing.is_some() && self.kind != "cache" {
            return Err(refused(format!("a mount of type `{}` has no `sharing`", self.kind)));
        }
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        let MountSettings { mode, uid, gid, required, .. } = self;
        let read_only = self.read_only.unwrap_or(!matches!(self.kind, "cache" | "tmpfs"));
        let kind = match self.kind {
            "bind" => MountKind::Bind { from: some(self.from), source: some(self.source) },
            "cache" => MountKind::Cache {
                id: some(self.id),
                sharing: self.sharing.unwrap_or_default(),
                from: some(self.from),
                source: some(self.source),
                mode,
                uid,
                gid,
            },
            "tmpfs" => MountKind::Tmpfs { size: self.size },
            "ssh" if !self.source.is_empty() => return Err(refused("an SSH agent has no `source`")),
            "ssh" => MountKind::Ssh { id: some(self.id), required, mode, uid, gid },
            _ if !self.from.is_empty() => return Err(refused("a secret has no `from`")),
            _ if !self.source.is_empty() && !self.id.is_empty() => {
                return Err(refused("a secret has an `id` or a `source`, not both"));
            }
            _ => {
                let id = some(self.source).or(some(self.id));
                if id.is_none() && self.target.is_empty() {
                    return Err(refused("a secret needs an `id`").with_hint("as in `--mount=type=secret,id=token`"));
                }
                MountKind::Secret { id, env: self.env, required, mode, uid, gid }
            }
        };
        Ok(Mount { kind, target: self.target, read_only })
    }
}

fn refused(message: impl Into<String>) -> Error {
    Error::input(message)
}

fn unknown(key: &str) -> Error {
    let error = refused(format!("a mount has no option `{key}`"));
    match suggestion(key, KEYS.iter().copied()) {
        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
        None => error.with_hint(format!("known options are {}", KEYS.join(", "))),
    }
}

fn kind(value: &str) -> Result<&'static str> {
    if let Some(kind) = TYPES.iter().find(|kind| value.eq_ignore_ascii_case(kind)) {
        return Ok(kind);
    }
    let error = refused(format!("there is no mount of type `{value}`"));
    Err(match suggestion(value, TYPES.iter().copied()) {
        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
        None => error.with_hint(format!("known types are {}", TYPES.join(", "))),
    })
}

fn parsed<T>(key: &str, value: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T> {
    parse(value).ok_or_else(|| refused(format!("`{value}` cannot be the `{key}` of a mount")))
}

fn sharing(text: &str) -> Option<CacheSharing> {
    match text.to_lowercase().as_str() {
        "shared" => Some(CacheSharing::Shared),
        "private" => Some(CacheSharing::Private),
        "locked" => Some(CacheSharing::Locked),
        _ => None,
    }
}

fn number(text: &str, radix: u32) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| u32::from_str_radix(text, radix).ok()).flatten()
}
