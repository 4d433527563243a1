//! What the command line gives to every `RUN`, in docker's syntax.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use super::{ResourceLimit, Run, RunMountKind, RunNetwork, SecretSource};
use crate::error::{Error, Result, suggestion};
use crate::oci::{Digest, KeyBuilder, Map};

/// The variables of proxies, each of which is there in upper and in lower case.
const PROXIES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

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
    /// The certificates that this machine trusts, as PEM, for commands to trust them, too. They are neither in a key nor in the
    /// image.
    pub host_ca: Option<Arc<[u8]>>,
    /// The emulator of each architecture, by docker's word for that.
    pub emulators: Map<PathBuf>,
    /// The rooms to run commands in.
    pub isolation: Isolation,
    /// No command's change is taken from an earlier build.
    pub no_cache: bool,
    /// The titles of stages that nothing is taken for from an earlier build, in whatever letter case.
    pub no_cache_filter: Vec<String>,
    /// What stands for the lock files by which it is told for what a cache mount was filled. Like the content of these, it is in no
    /// key.
    pub lock_key: Option<Digest>,
}

/// The way in which commands are kept apart from the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Isolation {
    /// The best one that the place allows.
    #[default]
    Auto,
    /// Namespaces, with all user and group IDs.
    Ids,
    /// Namespaces, in which there is one user and one group.
    SingleId,
    /// No namespaces.
    Chroot,
}

/// Something that a Dockerfile may ask for only if the command line allows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entitlement {
    /// `RUN --network=host`.
    NetworkHost,
    /// `RUN --security=insecure`.
    SecurityInsecure,
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
            host_ca: _,
            emulators: _,
            isolation: _,
            no_cache: _,
            no_cache_filter: _,
            lock_key: _,
        } = self;
        let names: Vec<&String> = hosts.iter().map(|(name, _)| name).collect();
        key.part("default network", network).part("hosts", &names).part("shm size", shm_size).part("limits", limits)
    }

    /// Returns whether `run` is given the same by `other`, so that it need not be run for each of them.
    pub fn gives_the_same(&self, other: &RunSettings, run: &Run) -> bool {
        let named = |kind: &RunMountKind| match kind {
            RunMountKind::Secret { id, .. } => self.secrets.get(id) == other.secrets.get(id),
            RunMountKind::Ssh { id, .. } => self.agents.get(id) == other.agents.get(id),
            RunMountKind::Bind { .. } | RunMountKind::Cache { .. } | RunMountKind::Tmpfs { .. } => true,
        };
        // What is not known by its name is given to every command.
        let to_all = |settings: &RunSettings| RunSettings {
            secrets: Map::new(),
            agents: Map::new(),
            no_cache: false,
            no_cache_filter: Vec::new(),
            ..settings.clone()
        };
        run.mounts.iter().all(|mount| named(&mount.kind))
            && run.secret_variables.iter().all(|secret| self.secrets.get(&secret.id) == other.secrets.get(&secret.id))
            && to_all(self) == to_all(other)
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

impl FromStr for Entitlement {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|known| known.name() == text).ok_or_else(|| {
            let error = Error::usage(format!("there is no entitlement `{text}`"));
            let names = || Self::ALL.into_iter().map(Self::name);
            match suggestion(text, names()) {
                Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                None => error.with_hint(format!("known ones are {}", names().collect::<Vec<_>>().join(" and "))),
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
                .with_hint("it must be default, none or host: commands share the machine's network, or have none")),
        }
    }
}

impl FromStr for Isolation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" | "default" => Ok(Isolation::Auto),
            "ids" => Ok(Isolation::Ids),
            "single-id" => Ok(Isolation::SingleId),
            "chroot" => Ok(Isolation::Chroot),
            _ => Err(Error::usage(format!("there is no isolation `{text}`"))
                .with_hint("it must be auto, ids, single-id or chroot")),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Digest;
    use crate::plan::{RunMount, RunSecurity};

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
    fn a_command_is_run_once_where_it_is_given_the_same() {
        let mount = |kind| RunMount { target: "/x".to_owned(), kind, read_only: true };
        let (id, required) = ("token".to_owned(), true);
        let secret = RunMountKind::Secret { id, required, mode: 0o400, user: 0, group: 0 };
        let run = |mounts: Vec<RunMount>| Run {
            arguments: vec!["x".to_owned()],
            files: Vec::new(),
            environment: Vec::new(),
            secret_variables: Vec::new(),
            directory: "/".to_owned(),
            user: String::new(),
            network: RunNetwork::Default,
            security: RunSecurity::Sandbox,
            mounts,
        };
        let (plain, with_secret) = (run(Vec::new()), run(vec![mount(secret)]));
        let given = |file: &str| RunSettings {
            secrets: [("token".to_owned(), SecretSource::File(file.into()))].into_iter().collect(),
            no_cache: file == "a",
            ..RunSettings::default()
        };
        assert!(given("a").gives_the_same(&given("b"), &plain));
        assert!(!given("a").gives_the_same(&given("b"), &with_secret));
        assert!(given("a").gives_the_same(&given("a"), &with_secret));
        assert!(!RunSettings::default().gives_the_same(&given("a"), &with_secret));
        let other = RunSettings { shm_size: Some(1), ..given("a") };
        assert!(!given("a").gives_the_same(&other, &plain));
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
            host_ca: Some(Arc::from(*b"certificates")),
            emulators: [("arm64".to_owned(), PathBuf::from("/qemu"))].into_iter().collect(),
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
