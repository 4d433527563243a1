//! What the command line gives to every `RUN`, in docker's syntax.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use super::RunNetwork;
use crate::error::{Error, Result, suggestion};
use crate::oci::{Encode, KeyBuilder, Map};

/// The resources that a limit can be set for, by docker's names.
const RESOURCES: &[&str] = &[
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// The variables of proxies, each of which is there in upper and in lower case.
const PROXIES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

/// The agent that a mount means which does not say.
pub const DEFAULT_AGENT: &str = "default";

/// What every command of a build is given, beside what the Dockerfile says. No secret is in it, only where each is found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunSettings {
    /// The network of commands that ask for none; the machine's by default.
    pub network: RunNetwork,
    /// Names and their addresses for `/etc/hosts`, in their order.
    pub hosts: Vec<(String, IpAddr)>,
    /// The size of `/dev/shm` in bytes; the sandbox's own without it.
    pub shm_size: Option<u64>,
    /// The limits of processes, one for each resource at most.
    pub limits: Vec<ResourceLimit>,
    /// Where each secret is found, by its name.
    pub secrets: Map<SecretSource>,
    /// The socket of each SSH agent, by its name.
    pub agents: Map<PathBuf>,
    /// The variables of proxies, each in both cases. They take the place of variables of their names, and are neither in a
    /// key nor in the image.
    pub proxies: Vec<(String, String)>,
    /// The rooms to run commands in.
    pub isolation: Isolation,
    /// No command's change is taken from an earlier build.
    pub no_cache: bool,
    /// The titles of stages that nothing is taken for from an earlier build, in whatever letter case.
    pub no_cache_filter: Vec<String>,
}

/// The place of a secret. Its value is read when a command needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// An environment variable.
    Variable(String),
    /// A file of this machine.
    File(PathBuf),
}

/// The limit of a resource for each process, as setrlimit(2) has it. None is no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceLimit {
    /// The resource in lower case, without `RLIMIT_`.
    pub resource: &'static str,
    /// The limit that counts, and that a process may change.
    pub soft: Option<u64>,
    /// The most that it may change it to.
    pub hard: Option<u64>,
}

/// The way in which commands are kept apart from the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Isolation {
    /// The best one that the place allows.
    #[default]
    Auto,
    /// Namespaces, with all user and group IDs.
    Ids,
}

/// Something that a Dockerfile may ask for only if the command line allows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entitlement {
    /// `RUN --network=host`.
    NetworkHost,
    /// `RUN --security=insecure`.
    SecurityInsecure,
}

/// A secret and where it is found, as `--secret` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedSecret {
    /// The name by which mounts ask for it.
    pub id: String,
    /// The place; without it, that is the variable of the name or, if it is not set, the file of the name.
    pub source: Option<SecretSource>,
}

/// An SSH agent and its socket, as `--ssh` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedAgent {
    /// The name by which mounts ask for it.
    pub id: String,
    /// The socket; without it, that of `SSH_AUTH_SOCK`.
    pub socket: Option<PathBuf>,
}

/// A name with its addresses, as `--add-host` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostEntry {
    /// The name.
    pub name: String,
    /// At least one.
    pub addresses: Vec<IpAddr>,
}

impl RunSettings {
    /// Adds to `key` all of it that decides about what a command does. As docker has it, addresses and proxies do not: where
    /// something is reached changes nothing about what it is.
    pub fn parts(&self, key: KeyBuilder) -> KeyBuilder {
        let RunSettings {
            network,
            hosts,
            shm_size,
            limits,
            secrets: _,
            agents: _,
            proxies: _,
            isolation: _,
            no_cache: _,
            no_cache_filter: _,
        } = self;
        let names: Vec<&String> = hosts.iter().map(|(name, _)| name).collect();
        key.part("default network", network).part("hosts", &names).part("shm size", shm_size).part("limits", limits)
    }

    /// Returns whether the stage of that title is made without what earlier builds have left.
    pub fn is_made_anew(&self, title: &str) -> bool {
        self.no_cache || self.no_cache_filter.iter().any(|name| name.to_lowercase() == title.to_lowercase())
    }
}

/// Returns the variables of the proxies that are among build arguments, whatever the letter case of their names: of two that
/// differ in it alone, the one in lower case counts. An empty value is none.
pub fn proxy_variables(arguments: &Map<String>) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    for name in PROXIES {
        // In the map, upper case stands before lower case.
        let given = arguments.iter().rfind(|(given, _)| given.eq_ignore_ascii_case(name));
        if let Some((_, value)) = given.filter(|(_, value)| !value.is_empty()) {
            variables.push((name.to_owned(), value.clone()));
            variables.push((name.to_ascii_lowercase(), value.clone()));
        }
    }
    variables
}

impl Entitlement {
    const ALL: [Entitlement; 2] = [Entitlement::NetworkHost, Entitlement::SecurityInsecure];

    /// Returns docker's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Entitlement::NetworkHost => "network.host",
            Entitlement::SecurityInsecure => "security.insecure",
        }
    }
}

impl Encode for ResourceLimit {
    fn encode(&self, to: &mut Vec<u8>) {
        let ResourceLimit { resource, soft, hard } = self;
        (resource, soft, hard).encode(to);
    }
}

impl FromStr for Entitlement {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|known| known.name() == text).ok_or_else(|| {
            let error = Error::usage(format!("there is no entitlement `{text}`"));
            let names = || Self::ALL.into_iter().map(Self::name);
            match suggestion(text, names()) {
                Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                None => error.with_hint(format!("there are {}", names().collect::<Vec<_>>().join(" and "))),
            }
        })
    }
}

impl FromStr for RunNetwork {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "" | "default" => Ok(RunNetwork::Default),
            "none" => Ok(RunNetwork::None),
            "host" => Ok(RunNetwork::Host),
            _ => Err(Error::usage(format!("there is no network `{text}`"))
                .with_hint("it is default, none or host: commands share the machine's network, or have none")),
        }
    }
}

impl FromStr for Isolation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" | "default" => Ok(Isolation::Auto),
            "ids" => Ok(Isolation::Ids),
            _ => Err(Error::usage(format!("there is no isolation `{text}`")).with_hint("it is auto or ids")),
        }
    }
}

impl FromStr for HostEntry {
    type Err = Error;

    /// Reads `NAME:ADDRESS` and `NAME=ADDRESS`, several addresses with commas between them, each possibly in brackets.
    fn from_str(text: &str) -> Result<Self> {
        let refuse = |what: String| {
            Error::usage(what).with_hint("write NAME:ADDRESS or NAME=ADDRESS, as in db=10.0.0.7 or db=[2001:db8::7]")
        };
        let split = text.split_once('=').or_else(|| text.split_once(':'));
        let Some((name, addresses)) = split.filter(|(name, addresses)| !name.is_empty() && !addresses.is_empty())
        else {
            return Err(refuse(format!("`{text}` is not a host and its address")));
        };
        // It becomes a line of a file, in which white space parts and `#` ends.
        if name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#') {
            return Err(refuse(format!("`{name}` cannot be the name of a host")));
        }
        if addresses == "host-gateway" {
            return Err(Error::usage("there is no `host-gateway`: commands run on this machine, not behind a bridge")
                .with_hint("with the machine's network, 127.0.0.1 is the machine itself"));
        }
        let address = |text: &str| {
            let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
            inner.parse().map_err(|_| refuse(format!("`{text}` is not an address")))
        };
        let addresses = addresses.split(',').map(address).collect::<Result<_>>()?;
        Ok(HostEntry { name: name.to_owned(), addresses })
    }
}

impl FromStr for ResourceLimit {
    type Err = Error;

    /// Reads `TYPE=SOFT[:HARD]`; `infinity` and -1 are no limit.
    fn from_str(text: &str) -> Result<Self> {
        let refuse = |what: String| Error::usage(what).with_hint("write TYPE=SOFT[:HARD], as in nofile=1024:4096");
        let (resource, limits) =
            text.split_once('=').ok_or_else(|| refuse(format!("`{text}` is not a limit of a resource")))?;
        let Some(resource) = RESOURCES.iter().find(|known| **known == resource) else {
            let error = Error::usage(format!("there is no limit of `{resource}`"));
            return Err(match suggestion(resource, RESOURCES.iter().copied()) {
                Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                None => error.with_hint(format!("there are {}", RESOURCES.join(", "))),
            });
        };
        let limit = |text: &str| match text {
            "infinity" | "-1" => Ok(None),
            // The largest number means that there is none.
            digits => match digits.parse::<i64>().ok().and_then(|number| u64::try_from(number).ok()) {
                Some(number) => Ok(Some(number)),
                None => Err(refuse(format!("`{digits}` is not a limit"))),
            },
        };
        let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
        let (soft, hard) = (limit(soft)?, limit(hard)?);
        if soft.is_none() && hard.is_some() || soft.zip(hard).is_some_and(|(soft, hard)| soft > hard) {
            return Err(refuse(format!("the soft limit of {resource} is above the hard one")));
        }
        Ok(ResourceLimit { resource, soft, hard })
    }
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
            csv_fields(text).ok_or_else(|| refuse("quotation marks stand around a whole option".to_owned()))?;
        for field in &fields {
            // What is no option may be the secret itself, and so it is not shown.
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
                            "a secret is of the type file or env, not `{}`",
                            other.unwrap_or("")
                        )));
                    }
                },
                "id" => id = value,
                "src" | "source" => file = value,
                "env" => variable = value,
                other => return Err(refuse(format!("a secret has no option `{other}`"))),
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

    /// Reads `default` and `ID[=SOCKET]`; without an ID the agent is [`DEFAULT_AGENT`].
    fn from_str(text: &str) -> Result<Self> {
        let (id, socket) = text.split_once('=').unwrap_or((text, ""));
        if socket.contains(',') {
            return Err(Error::usage(format!("the agent `{id}` has more than one socket"))
                .with_hint("name one socket; keys are given by an agent that has them: ssh-agent, and ssh-add KEY"));
        }
        let id = if id.is_empty() { DEFAULT_AGENT } else { id };
        let socket = Some(socket).filter(|socket| !socket.is_empty()).map(PathBuf::from);
        Ok(NamedAgent { id: id.to_owned(), socket })
    }
}

/// Returns the fields of one CSV record (RFC 4180); none if quotation marks do not stand around whole fields.
fn csv_fields(text: &str) -> Option<Vec<String>> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Digest;

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
        let error = "id=a,hunter2".parse::<NamedSecret>().unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"));
    }

    #[test]
    fn agents_have_a_name_and_a_socket() {
        for (text, id, socket) in [
            ("default", "default", None),
            ("", "default", None),
            ("default=/s", "default", Some("/s")),
            ("=/s", "default", Some("/s")),
            ("work=a=b", "work", Some("a=b")),
        ] {
            let expected = NamedAgent { id: id.to_owned(), socket: socket.map(PathBuf::from) };
            assert_eq!(text.parse::<NamedAgent>().unwrap(), expected, "{text}");
        }
        assert!("work=a,b".parse::<NamedAgent>().is_err());
    }

    /// As buildx's `toBuildkitExtraHosts` reads them.
    #[test]
    fn hosts_have_addresses() {
        for (text, name, addresses) in [
            ("db:10.0.0.7", "db", &["10.0.0.7"][..]),
            ("db=10.0.0.7", "db", &["10.0.0.7"]),
            ("db:2001:db8::7", "db", &["2001:db8::7"]),
            ("db=[2001:db8::7]", "db", &["2001:db8::7"]),
            ("db=10.0.0.7,[::1]", "db", &["10.0.0.7", "::1"]),
        ] {
            let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
            assert_eq!(text.parse::<HostEntry>().unwrap(), HostEntry { name: name.to_owned(), addresses }, "{text}");
        }
        for text in ["", "db", "db:", ":1.2.3.4", "db:1.2.3", "a b:1.2.3.4", "a\n:1.2.3.4", "a#:1.2.3.4", "db=1.2.3.4,"]
        {
            assert!(text.parse::<HostEntry>().is_err(), "{text}");
        }
        let error = "db:host-gateway".parse::<HostEntry>().unwrap_err();
        assert!(error.message.starts_with("there is no `host-gateway`"), "{error}");
    }

    /// As docker/go-units' `ParseUlimit` reads them.
    #[test]
    fn limits_are_soft_and_hard() {
        for (text, resource, soft, hard) in [
            ("nofile=1024", "nofile", Some(1024), Some(1024)),
            ("nofile=1024:4096", "nofile", Some(1024), Some(4096)),
            ("core=0", "core", Some(0), Some(0)),
            ("memlock=-1", "memlock", None, None),
            ("memlock=1:infinity", "memlock", Some(1), None),
        ] {
            assert_eq!(text.parse::<ResourceLimit>().unwrap(), ResourceLimit { resource, soft, hard }, "{text}");
        }
        for text in
            ["", "nofile", "nofile=", "as=1", "NOFILE=1", "nofile=2:1", "nofile=-1:5", "nofile=1:2:3", "nofile=-5"]
        {
            assert!(text.parse::<ResourceLimit>().is_err(), "{text}");
        }
    }

    #[test]
    fn words_are_dockers() {
        assert_eq!("network.host".parse::<Entitlement>().unwrap(), Entitlement::NetworkHost);
        assert_eq!("security.insecure".parse::<Entitlement>().unwrap(), Entitlement::SecurityInsecure);
        let error = "network.hots".parse::<Entitlement>().unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("did you mean `network.host`?"));
        for (text, network) in
            [("default", RunNetwork::Default), ("none", RunNetwork::None), ("host", RunNetwork::Host)]
        {
            assert_eq!(text.parse::<RunNetwork>().unwrap(), network);
        }
        assert!("bridge".parse::<RunNetwork>().is_err());
        assert_eq!("default".parse::<Isolation>().unwrap(), Isolation::Auto);
        assert!("hyperv".parse::<Isolation>().is_err());
    }

    /// As BuildKit's `proxyEnvFromBuildArgs` and `proxyEnvList` have them.
    #[test]
    fn proxies_come_in_both_cases() {
        let arguments =
            [("http_proxy", "l"), ("HTTP_PROXY", "u"), ("No_Proxy", "n"), ("ALL_PROXY", ""), ("OTHER", "x")];
        let arguments = arguments.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
        let expected = [("HTTP_PROXY", "l"), ("http_proxy", "l"), ("NO_PROXY", "n"), ("no_proxy", "n")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(proxy_variables(&arguments), expected);
    }

    #[test]
    fn a_key_has_what_decides_and_no_secret() {
        let key = |settings: &RunSettings| settings.parts(KeyBuilder::new("run")).finish();
        let plain = RunSettings::default();
        let host = |address: &str| vec![("db".to_owned(), address.parse().unwrap())];
        let limit = |soft| vec![ResourceLimit { resource: "core", soft, hard: None }];
        let different = [
            plain.clone(),
            RunSettings { network: RunNetwork::None, ..plain.clone() },
            RunSettings { hosts: host("10.0.0.1"), ..plain.clone() },
            RunSettings { shm_size: Some(1), ..plain.clone() },
            RunSettings { limits: limit(None), ..plain.clone() },
            RunSettings { limits: limit(Some(1)), ..plain.clone() },
        ];
        let keys: std::collections::HashSet<Digest> = different.iter().map(key).collect();
        assert_eq!(keys.len(), different.len());
        assert_eq!(key(&different[2]), key(&RunSettings { hosts: host("10.0.0.2"), ..plain.clone() }));
        let pair = |name: &str| vec![(name.to_owned(), name.to_owned())];
        let source = SecretSource::File("f".into());
        let same = RunSettings {
            secrets: [("a".to_owned(), source)].into_iter().collect(),
            agents: [("a".to_owned(), PathBuf::from("/s"))].into_iter().collect(),
            proxies: pair("HTTP_PROXY"),
            isolation: Isolation::Ids,
            no_cache: true,
            no_cache_filter: vec!["a".to_owned()],
            ..plain.clone()
        };
        assert_eq!(key(&plain), key(&same));
        assert!(same.is_made_anew("other"));
        let filter = RunSettings { no_cache: false, ..same };
        assert_eq!(["A", "a", "b"].map(|title| filter.is_made_anew(title)), [true, true, false]);
    }
}
