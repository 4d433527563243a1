//! The flags about the commands of a build.

use std::collections::HashSet;
use std::env;
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::host_ca;
use super::value::{flag, on_or_off, value};
use crate::error::{Error, Result};
use crate::oci::{Map, Platform};
use crate::plan::quantity::Size;
use crate::plan::{
    Entitlement, HostEntry, Isolation, NamedAgent, NamedSecret, ResourceLimit, RunNetwork, RunSettings, SecretSource,
    proxy_variables,
};
use crate::run::emulated_architectures;

/// The variable that names the socket of the user's SSH agent.
const AGENT: &str = "SSH_AUTH_SOCK";

/// The flags about the commands of a Dockerfile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Commands (RUN)")]
pub struct RunFlags {
    /// Network of commands that do not say which: default (the machine's), host (which allows RUN --network=host), or none
    #[arg(long, value_name = "MODE", value_parser = value::<RunNetwork>)]
    pub network: Option<RunNetwork>,
    /// Add a name to /etc/hosts
    #[arg(long, value_name = "NAME:ADDRESS", value_parser = value::<HostEntry>)]
    pub add_host: Vec<HostEntry>,
    /// Size of /dev/shm [default: 64m]
    #[arg(long, value_name = "SIZE", value_parser = value::<Size>)]
    pub shm_size: Option<Size>,
    /// Limit a resource of each process, as in nofile=1024:4096
    #[arg(long, value_name = "TYPE=SOFT[:HARD]", value_parser = value::<ResourceLimit>)]
    pub ulimit: Vec<ResourceLimit>,
    /// Give a secret: id=NAME,src=FILE or id=NAME,env=VARIABLE; with id=NAME alone, the variable or the file of that name
    #[arg(long, value_name = "OPTIONS")]
    pub secret: Vec<String>,
    /// Give an SSH agent: default (that of SSH_AUTH_SOCK), or a name and its socket, or files with keys for one
    #[arg(long, value_name = "ID[=SOCKET|KEY]", value_parser = value::<NamedAgent>)]
    pub ssh: Vec<NamedAgent>,
    /// Allow commands what they ask for: network.host or security.insecure
    #[arg(long, value_name = "ENTITLEMENT", value_parser = value::<Entitlement>)]
    pub allow: Vec<Entitlement>,
    /// Run every command and read every file, and use nothing from earlier builds
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = on_or_off)]
    pub no_cache: Option<bool>,
    /// Build these stages without using anything from earlier builds
    #[arg(long, value_name = "STAGE", value_delimiter = ',', conflicts_with = "no_cache")]
    pub no_cache_filter: Vec<String>,
    /// Run commands of another architecture with this program, which is linked statically: arm64=/usr/bin/qemu-aarch64-static
    #[arg(long, value_name = "ARCH=PATH")]
    emulator: Vec<String>,
    /// Let commands trust the certificates that this machine trusts: those of SSL_CERT_FILE, or the system's
    #[arg(long)]
    host_ca: bool,
    /// If a command fails, open a shell in what it has left, before the build fails
    #[arg(long, value_name = "WHAT")]
    pub on_failure: Option<OnFailure>,
    /// Write the output of each command to a file in DIR: STAGE-NUMBER.log, as it comes
    #[arg(long, value_name = "DIR")]
    pub log: Option<PathBuf>,
    /// How commands are kept apart from the machine: auto, ids, single-id or chroot [default: auto]
    #[arg(long, value_name = "HOW", value_parser = value::<Isolation>)]
    pub isolation: Option<Isolation>,
}

/// What is done where a command fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnFailure {
    /// A shell in the root file system of the step, as the command has left it
    Shell,
}

impl RunFlags {
    /// Returns what commands may ask for.
    pub fn allowed(&self) -> Vec<Entitlement> {
        // As with buildx, whoever gives the machine's network to every command has allowed it.
        let network = (self.network == Some(RunNetwork::Host)).then_some(Entitlement::NetworkHost);
        self.allow.iter().copied().chain(network).collect()
    }

    /// Returns what every command is given; `arguments` are those of the build. Fails for a secret or an agent that is not
    /// there.
    pub fn settings(&self, arguments: &Map<String>) -> Result<RunSettings> {
        let mut limits: Vec<ResourceLimit> = Vec::new();
        for limit in &self.ulimit {
            limits.retain(|known| known.resource != limit.resource);
            limits.push(limit.clone());
        }
        let hosts = self
            .add_host
            .iter()
            .flat_map(|HostEntry { name, addresses }| addresses.iter().map(|address| (name.clone(), *address)));
        Ok(RunSettings {
            network: self.network.unwrap_or_default(),
            hosts: hosts.collect(),
            shm_size: self.shm_size.map(|Size(bytes)| bytes).filter(|bytes| *bytes > 0),
            limits,
            secrets: self.secrets().map_err(flag("secret"))?,
            agents: self.agents().map_err(flag("ssh"))?,
            proxies: proxy_variables(arguments),
            emulators: emulators(&self.emulator).map_err(flag("emulator"))?,
            host_ca: if self.host_ca { Some(host_ca::find()?) } else { None },
            isolation: self.isolation.unwrap_or_default(),
            no_cache: self.no_cache == Some(true),
            no_cache_filter: self.no_cache_filter.clone(),
            lock_key: None,
        })
    }

    /// Where each secret is; of two of one name the later one counts.
    fn secrets(&self) -> Result<Map<SecretSource>> {
        let mut secrets = Map::new();
        for text in &self.secret {
            let NamedSecret { id, source } = text.parse()?;
            let usual = || match env::var_os(&id) {
                Some(_) => SecretSource::Variable(id.clone()),
                None => SecretSource::File(PathBuf::from(&id)),
            };
            let source = source.unwrap_or_else(usual);
            if let SecretSource::File(path) = &source {
                check_secret(path)?;
            }
            secrets.insert(id, source);
        }
        Ok(secrets)
    }

    /// Returns the files with keys that are given in the place of a socket, with their IDs.
    pub fn keys(&self) -> impl Iterator<Item = (&str, &[PathBuf])> {
        let has_keys = |agent: &&NamedAgent| !agent.paths.is_empty() && agent.paths.iter().all(|path| path.is_file());
        self.ssh.iter().filter(has_keys).map(|NamedAgent { id, paths }| (id.as_str(), &paths[..]))
    }

    /// The sockets of those agents that have one.
    fn agents(&self) -> Result<Map<PathBuf>> {
        let (mut agents, mut ids) = (Map::new(), HashSet::new());
        for NamedAgent { id, paths } in &self.ssh {
            if !ids.insert(id) {
                return Err(Error::usage(format!("the SSH agent `{id}` is given twice")));
            }
            let usual = || env::var_os(AGENT).filter(|path| !path.is_empty()).map(PathBuf::from);
            let usual = if paths.is_empty() { usual() } else { None };
            let given: Vec<&PathBuf> = paths.iter().chain(&usual).collect();
            if given.is_empty() {
                return Err(Error::usage(format!("there is no SSH agent for `{id}`: {AGENT} is not set"))
                    .with_hint("start one with `eval $(ssh-agent)`, and give it keys with ssh-add"));
            }
            let mut sockets = 0;
            for path in &given {
                let metadata = fs::metadata(path).map_err(|source| Error::io("find the SSH agent", path, source))?;
                let is_socket = metadata.file_type().is_socket();
                let is_key = metadata.is_file() && usual.is_none();
                if !is_socket && !is_key {
                    let message =
                        format!("{} is not the socket of an SSH agent, nor a file with a key", path.display());
                    return Err(Error::usage(message));
                }
                sockets += usize::from(is_socket);
            }
            match (sockets, &given[..]) {
                (0, _) => {}
                (1, [socket]) => {
                    agents.insert(id.clone(), (*socket).clone());
                }
                _ => {
                    return Err(Error::usage(format!("the agent `{id}` has more than a socket"))
                        .with_hint("name one socket, or files with keys"));
                }
            }
        }
        Ok(agents)
    }
}

/// The emulator of each architecture; of two for one the later one counts. Fails for one that cannot be executed, and for an
/// architecture that is not known.
fn emulators(given: &[String]) -> Result<Map<PathBuf>> {
    let mut emulators = Map::new();
    for text in given {
        let Some((name, path)) = text.split_once('=').filter(|(name, path)| !name.is_empty() && !path.is_empty())
        else {
            return Err(Error::usage(format!("`{text}` is not an architecture and its emulator"))
                .with_hint("write ARCH=PATH, as in arm64=/usr/bin/qemu-aarch64-static"));
        };
        // Whatever else a platform may be called by.
        let platform = format!("linux/{name}").parse::<Platform>();
        let architecture = platform.map_or(name.to_owned(), |platform| platform.architecture);
        if !emulated_architectures().any(|known| known == architecture) {
            let known: Vec<&str> = emulated_architectures().collect();
            return Err(Error::usage(format!("there is no architecture `{name}` to emulate"))
                .with_hint(format!("known architectures are {}", known.join(", "))));
        }
        let path = PathBuf::from(path);
        let metadata = fs::metadata(&path).map_err(|source| Error::io("find the emulator", &path, source))?;
        if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
            return Err(Error::usage(format!("{} is not a program", path.display())));
        }
        emulators.insert(architecture, path);
    }
    Ok(emulators)
}

/// Fails for a file that is not there and for a directory, before anything is built.
fn check_secret(path: &Path) -> Result<()> {
    let metadata = fs::metadata(path).map_err(|source| Error::io("read the secret", path, source))?;
    match metadata.is_dir() {
        true => Err(Error::usage(format!("{} is a directory, but a secret must be a file", path.display()))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        run: RunFlags,
    }

    fn flags(line: &[&str]) -> RunFlags {
        let line = ["build"].iter().chain(line);
        Line::try_parse_from(line).unwrap_or_else(|error| panic!("{error}")).run
    }

    fn settings(line: &[&str]) -> Result<RunSettings> {
        flags(line).settings(&Map::new())
    }

    #[test]
    fn every_flag_gets_to_the_commands() {
        assert_eq!(settings(&[]).unwrap(), RunSettings::default());
        let line = [
            "--network=none",
            "--add-host=db:10.0.0.1,::1",
            "--add-host",
            "web=10.0.0.2",
            "--shm-size=1g",
            "--ulimit=nofile=1:2",
            "--ulimit=core=0",
            "--ulimit=nofile=3",
            "--isolation=ids",
            "--no-cache-filter=a,b",
            "--no-cache-filter=c",
        ];
        let host = |name: &str, address: &str| (name.to_owned(), address.parse().unwrap());
        let limit = |resource, soft, hard| ResourceLimit { resource, soft: Some(soft), hard: Some(hard) };
        let expected = RunSettings {
            network: RunNetwork::None,
            hosts: vec![host("db", "10.0.0.1"), host("db", "::1"), host("web", "10.0.0.2")],
            shm_size: Some(1 << 30),
            limits: vec![limit("core", 0, 0), limit("nofile", 3, 3)],
            isolation: Isolation::Ids,
            no_cache_filter: ["a", "b", "c"].map(str::to_owned).to_vec(),
            ..RunSettings::default()
        };
        assert_eq!(settings(&line).unwrap(), expected);
        assert!(settings(&["--no-cache"]).unwrap().no_cache);
        assert_eq!(settings(&["--shm-size=0"]).unwrap().shm_size, None);
        let proxies = [("https_proxy".to_owned(), "p".to_owned())].into_iter().collect();
        assert_eq!(flags(&[]).settings(&proxies).unwrap().proxies.len(), 2);
    }

    #[test]
    fn what_is_given_has_to_be_there() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name).display().to_string();
        fs::write(path("token"), "t").unwrap();
        let secret = |options: &str| settings(&["--secret", options]).map(|settings| settings.secrets);
        let found = secret(&format!("id=a,src={}", path("token"))).unwrap();
        assert_eq!(found["a"], SecretSource::File(path("token").into()));
        // The variable of the name goes first; one that is named need not be set.
        assert_eq!(secret("id=PATH").unwrap()["PATH"], SecretSource::Variable("PATH".to_owned()));
        assert_eq!(secret("id=a,env=NOT_SET").unwrap()["a"], SecretSource::Variable("NOT_SET".to_owned()));
        for options in
            [format!("id=a,src={}", path("none")), format!("id=a,src={}", path("")), "id=not-there".to_owned()]
        {
            let error = secret(&options).unwrap_err();
            assert!(error.message.starts_with("--secret: "), "{options}: {error}");
        }

        let agent = |text: &str| settings(&["--ssh", text]).map(|settings| settings.agents);
        let listener = UnixListener::bind(path("agent")).unwrap();
        assert_eq!(agent(&format!("default={}", path("agent"))).unwrap()["default"], PathBuf::from(path("agent")));
        assert!(agent(&format!("key={}", path(""))).unwrap_err().message.contains("is not the socket"));
        // A file is one with a key.
        let keys = format!("key={0},{0}", path("token"));
        assert_eq!(agent(&keys).unwrap(), Map::new());
        let keys = flags(&["--ssh", &keys]);
        let expected = [PathBuf::from(path("token")), PathBuf::from(path("token"))];
        assert_eq!(keys.keys().collect::<Vec<_>>(), [("key", &expected[..])]);
        let both = agent(&format!("a={},{}", path("token"), path("agent"))).unwrap_err();
        assert_eq!(both.message, "--ssh: the agent `a` has more than a socket");
        assert!(agent(&format!("none={}", path("none"))).unwrap_err().message.starts_with("--ssh: cannot find"));
        let twice = format!("a={}", path("agent"));
        assert!(settings(&["--ssh", &twice, "--ssh", &twice]).unwrap_err().message.contains("is given twice"));
        drop(listener);
    }

    #[test]
    fn the_network_of_the_machine_for_all_is_an_allowance() {
        assert_eq!(flags(&["--network=default"]).allowed(), []);
        assert_eq!(flags(&["--network=host"]).allowed(), [Entitlement::NetworkHost]);
        let both = ["--allow=network.host", "--allow", "security.insecure"];
        assert_eq!(flags(&both).allowed(), [Entitlement::NetworkHost, Entitlement::SecurityInsecure]);
    }
}
