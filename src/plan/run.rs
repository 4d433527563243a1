//! `RUN`: a command as plain data, and what it is given.

use std::sync::Arc;

use super::Provider;
use crate::oci::{Encode, KeyBuilder};

/// A command that is run on the file system of a stage.
///
/// It holds what the Dockerfile says, and nothing of what the command line adds to every command
/// ([`RunSettings`](super::RunSettings)): no proxies, no limits, no secret. `SOURCE_DATE_EPOCH` is in it only where the
/// Dockerfile declares it.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The program and its arguments: at least one, none with a NUL byte. In shell form the shell stands before the line.
    pub arguments: Vec<String>,
    /// The scripts that are there while the command runs, and are in no layer.
    pub files: Vec<RunFile>,
    /// The variables, each once, in the order in which they were set; `PATH` is among them.
    pub environment: Vec<(String, String)>,
    /// The variables whose values are secrets, each once; one of a name that `environment` has takes its place.
    pub secret_variables: Vec<SecretVariable>,
    /// The working directory: absolute, and without `.`, `..` and doubled slashes.
    pub directory: String,
    /// `user[:group]` as `USER` has it, by names of the stage's own files or by numbers; empty for root.
    pub user: String,
    /// The network that the command asks for. Whoever lowered it has seen that it is allowed.
    pub network: RunNetwork,
    /// The rights that the command asks for. Whoever lowered it has seen that they are allowed.
    pub security: RunSecurity,
    /// The mounts by their targets, so that one within another comes after it; of equal targets the later one counts.
    pub mounts: Vec<RunMount>,
}

/// A file of root's that nobody can write to, and that is in no layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFile {
    /// Absolute, and without `.`, `..` and doubled slashes.
    pub path: String,
    /// The content of the file.
    pub content: Arc<str>,
    /// The permissions.
    pub mode: u32,
}

/// A variable whose value is a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretVariable {
    /// The name of the variable.
    pub name: String,
    /// The secret as `--secret` names it.
    pub id: String,
    /// The build fails if the secret is not given; without it, the variable is not set.
    pub required: bool,
}

/// Something that a command finds at a place of its file system, and that is in no layer.
#[derive(Debug, Clone, PartialEq)]
pub struct RunMount {
    /// The place: absolute, without `.`, `..` and doubled slashes, and not the root.
    pub target: String,
    /// The kind, with what that kind alone has.
    pub kind: RunMountKind,
    /// Writes to it fail.
    pub read_only: bool,
}

/// The kind of a mount, with what that kind alone has. A path in what a mount is taken from has no leading slash, and no
/// `.`, `..` and doubled slashes; it is empty for all of it.
#[derive(Debug, Clone, PartialEq)]
pub enum RunMountKind {
    /// Files of a context, a stage or an image. What is written to them is thrown away.
    Bind {
        /// The owner of the files.
        from: Provider,
        /// The file or directory in it.
        source: String,
    },
    /// A directory that is kept from one build to the next.
    Cache {
        /// The name by which it is kept: of any characters, and so never a part of a path.
        id: String,
        /// The way in which commands that run at one time share it.
        sharing: CacheSharing,
        /// The files that an empty cache begins with; nothing without it.
        from: Option<Provider>,
        /// The directory in `from`.
        source: String,
        /// The permissions of a directory that is made for it.
        mode: u32,
        /// The user ID of a directory that is made for it.
        user: u32,
        /// The group ID of a directory that is made for it.
        group: u32,
    },
    /// An empty directory in memory.
    Tmpfs {
        /// The most that it holds, in bytes.
        size: Option<u64>,
    },
    /// A file with a secret.
    Secret {
        /// The secret as `--secret` names it.
        id: String,
        /// The build fails if the secret is not given; without it, the command goes without.
        required: bool,
        /// The permissions of the file.
        mode: u32,
        /// The user ID of the file.
        user: u32,
        /// The group ID of the file.
        group: u32,
    },
    /// The socket of an SSH agent.
    Ssh {
        /// The agent as `--ssh` names it.
        id: String,
        /// The build fails if the agent is not given; without it, the command goes without.
        required: bool,
        /// The permissions of the socket.
        mode: u32,
        /// The user ID of the socket.
        user: u32,
        /// The group ID of the socket.
        group: u32,
    },
}

/// The network that a command has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RunNetwork {
    /// The network that the build gives to every command.
    #[default]
    Default,
    /// No network but loopback.
    None,
    /// The network of the machine.
    Host,
}

/// The rights that a command has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RunSecurity {
    /// The rights of a container.
    #[default]
    Sandbox,
    /// All rights of whoever runs the build.
    Insecure,
}

/// The way in which commands that run side by side share a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CacheSharing {
    /// All of them use it at once.
    #[default]
    Shared,
    /// Each of them has one of its own.
    Private,
    /// One waits for the other.
    Locked,
}

impl Run {
    /// Returns the owners of the files that it mounts, in the order of its mounts; one comes as often as it is mounted from.
    pub fn providers(&self) -> impl Iterator<Item = &Provider> {
        self.mounts.iter().filter_map(|mount| Some(mount.kind.provider()?.0))
    }

    /// Returns what its mounts are taken from, in their order: the owner of the files, the path in it and, where that is a
    /// stage, which of `stages` it is, one for each of [`stages`](Self::stages).
    pub fn sources<'a, T>(
        &'a self,
        stages: &'a [T],
    ) -> impl Iterator<Item = (&'a Provider, &'a str, Option<&'a T>)> + 'a {
        let mut stages = stages.iter();
        self.mounts.iter().filter_map(|mount| mount.kind.provider()).map(move |(provider, source)| {
            let stage = if matches!(provider, Provider::Stage(_)) { stages.next() } else { None };
            (provider, source, stage)
        })
    }

    /// Returns the stages that it mounts files of, by their place among the plan's; as [`providers`](Self::providers).
    pub fn stages(&self) -> impl Iterator<Item = usize> {
        self.providers().filter_map(|provider| match provider {
            Provider::Stage(stage) => Some(*stage),
            Provider::Context(_) | Provider::Image(_) => None,
        })
    }

    /// Adds to `key` all that decides about what it does, but what its providers have: whoever knows what that looks like
    /// adds it. Of secrets and agents their names go into the key, and no value.
    pub fn parts(&self, key: KeyBuilder) -> KeyBuilder {
        let Run { arguments, files, environment, secret_variables, directory, user, network, security, mounts } = self;
        key.part("arguments", arguments)
            .part("files", files)
            .part("environment", environment)
            .part("secret variables", secret_variables)
            .part("directory", directory)
            .part("user", user)
            .part("network", network)
            .part("security", security)
            .part("mounts", mounts)
    }
}

impl RunMountKind {
    /// Returns the owner of the files that it is taken from, if there is one, and the path of what is meant.
    pub fn provider(&self) -> Option<(&Provider, &str)> {
        match self {
            RunMountKind::Bind { from, source } => Some((from, source)),
            RunMountKind::Cache { from, source, .. } => Some((from.as_ref()?, source)),
            RunMountKind::Tmpfs { .. } | RunMountKind::Secret { .. } | RunMountKind::Ssh { .. } => None,
        }
    }
}

impl Encode for RunFile {
    fn encode(&self, to: &mut Vec<u8>) {
        let RunFile { path, content, mode } = self;
        (path, content, mode).encode(to);
    }
}

impl Encode for SecretVariable {
    fn encode(&self, to: &mut Vec<u8>) {
        let SecretVariable { name, id, required } = self;
        (name, id, required).encode(to);
    }
}

impl Encode for RunMount {
    fn encode(&self, to: &mut Vec<u8>) {
        let RunMount { target, kind, read_only } = self;
        (target, kind, read_only).encode(to);
    }
}

/// Providers are left out: they are known by what they have.
impl Encode for RunMountKind {
    fn encode(&self, to: &mut Vec<u8>) {
        match self {
            RunMountKind::Bind { from: _, source } => (0u8, source).encode(to),
            // How commands share it changes nothing about what one of them does.
            RunMountKind::Cache { id, sharing: _, from, source, mode, user, group } => {
                (1u8, id, &from.is_some(), source, mode, user, group).encode(to);
            }
            RunMountKind::Tmpfs { size } => (2u8, size).encode(to),
            RunMountKind::Secret { id, required, mode, user, group } => {
                (3u8, id, required, mode, user, group).encode(to);
            }
            RunMountKind::Ssh { id, required, mode, user, group } => (4u8, id, required, mode, user, group).encode(to),
        }
    }
}

impl Encode for RunNetwork {
    fn encode(&self, to: &mut Vec<u8>) {
        let number = match self {
            RunNetwork::Default => 0u8,
            RunNetwork::None => 1,
            RunNetwork::Host => 2,
        };
        number.encode(to);
    }
}

impl Encode for RunSecurity {
    fn encode(&self, to: &mut Vec<u8>) {
        let number = match self {
            RunSecurity::Sandbox => 0u8,
            RunSecurity::Insecure => 1,
        };
        number.encode(to);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::oci::Digest;

    fn key(run: &Run) -> Digest {
        run.parts(KeyBuilder::new("run")).finish()
    }

    fn text() -> impl Strategy<Value = String> {
        select(vec!["", "a", "b", "ab", "a=b", "a,b", "/a", "/a/b"]).prop_map(str::to_owned)
    }

    fn texts() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec(text(), 0..3)
    }

    fn numbers() -> impl Strategy<Value = (u32, u32, u32)> {
        (select(vec![0o400, 0o755]), 0..2u32, 0..2u32)
    }

    /// All from one context, and shared: neither is in the key.
    fn kind() -> impl Strategy<Value = RunMountKind> {
        let from = || Provider::Context(0);
        prop_oneof![
            text().prop_map(move |source| RunMountKind::Bind { from: from(), source }),
            (text(), any::<bool>(), text(), numbers()).prop_map(move |(id, is_from, source, (mode, user, group))| {
                let (sharing, from) = (CacheSharing::Shared, is_from.then(from));
                RunMountKind::Cache { id, sharing, from, source, mode, user, group }
            }),
            prop::option::of(0..3u64).prop_map(|size| RunMountKind::Tmpfs { size }),
            (text(), any::<bool>(), numbers()).prop_map(|(id, required, (mode, user, group))| {
                RunMountKind::Secret { id, required, mode, user, group }
            }),
            (text(), any::<bool>(), numbers()).prop_map(|(id, required, (mode, user, group))| {
                RunMountKind::Ssh { id, required, mode, user, group }
            }),
        ]
    }

    prop_compose! {
        fn mount()(target in text(), kind in kind(), read_only in any::<bool>()) -> RunMount {
            RunMount { target, kind, read_only }
        }
    }

    prop_compose! {
        fn file()(path in text(), content in text(), mode in select(vec![0o644, 0o755])) -> RunFile {
            RunFile { path, content: content.into(), mode }
        }
    }

    prop_compose! {
        fn variable()(name in text(), id in text(), required in any::<bool>()) -> SecretVariable {
            SecretVariable { name, id, required }
        }
    }

    prop_compose! {
        fn runs()(
            arguments in texts(),
            files in prop::collection::vec(file(), 0..2),
            environment in prop::collection::vec((text(), text()), 0..3),
            secret_variables in prop::collection::vec(variable(), 0..2),
            (directory, user) in (text(), text()),
            network in select(vec![RunNetwork::Default, RunNetwork::None, RunNetwork::Host]),
            security in select(vec![RunSecurity::Sandbox, RunSecurity::Insecure]),
            mounts in prop::collection::vec(mount(), 0..3),
        ) -> Run {
            Run { arguments, files, environment, secret_variables, directory, user, network, security, mounts }
        }
    }

    proptest! {
        #[test]
        fn commands_have_one_key_if_they_do_the_same(one in runs(), other in runs(), member in 0..9) {
            let mut mixed = one.clone();
            match member {
                0 => mixed.arguments = other.arguments,
                1 => mixed.files = other.files,
                2 => mixed.environment = other.environment,
                3 => mixed.secret_variables = other.secret_variables,
                4 => mixed.directory = other.directory,
                5 => mixed.user = other.user,
                6 => mixed.network = other.network,
                7 => mixed.security = other.security,
                _ => mixed.mounts = other.mounts,
            }
            prop_assert_eq!(one == mixed, key(&one) == key(&mixed));
        }

        #[test]
        fn mounts_are_encoded_apart(one in mount(), other in mount()) {
            let encoded = |mount: &RunMount| {
                let mut to = Vec::new();
                mount.encode(&mut to);
                to
            };
            prop_assert_eq!(one == other, encoded(&one) == encoded(&other));
        }
    }

    #[test]
    fn providers_and_sharing_are_in_no_key() {
        let of = |from: Provider, sharing| {
            let source = String::new;
            let bind = RunMountKind::Bind { from: from.clone(), source: source() };
            let (mode, user, group) = (0o755, 0, 0);
            let id = "id".to_owned();
            let cache = RunMountKind::Cache { id, sharing, from: Some(from), source: source(), mode, user, group };
            let mounts = [bind, cache].map(|kind| RunMount { target: "/x".to_owned(), kind, read_only: true });
            Run {
                arguments: Vec::new(),
                files: Vec::new(),
                environment: Vec::new(),
                secret_variables: Vec::new(),
                directory: "/".to_owned(),
                user: String::new(),
                network: RunNetwork::Default,
                security: RunSecurity::Sandbox,
                mounts: mounts.to_vec(),
            }
        };
        let (one, other) =
            (of(Provider::Stage(1), CacheSharing::Shared), of(Provider::Context(0), CacheSharing::Locked));
        assert_eq!(key(&one), key(&other));
        assert_eq!((one.stages().collect::<Vec<_>>(), other.stages().count()), (vec![1, 1], 0));
        assert_eq!(other.providers().collect::<Vec<_>>(), [&Provider::Context(0), &Provider::Context(0)]);
    }
}
