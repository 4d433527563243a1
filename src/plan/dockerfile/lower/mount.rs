//! `RUN --mount`: what appears where, and from where it is taken.

use super::Lowering;
use super::made::StageState;
use crate::error::{Error, Result};
use crate::plan::dockerfile::{Instruction, Mount, MountFlag, MountKind, RunCommand};
use crate::plan::{DEFAULT_AGENT, Provider, RunMount, RunMountKind, SecretVariable};
use crate::tree::path;
use crate::tree::pattern::from_root;

/// The directory of secrets that have no place of their own.
const SECRETS: &str = "/run/secrets";

/// The places of SSH agents that have none of their own, without the number.
const AGENTS: &str = "/run/buildkit/ssh_agent.";

/// The permissions of what is made for a mount, where none are asked for.
const CACHE_MODE: u32 = 0o755;
const SECRET_MODE: u32 = 0o400;
const AGENT_MODE: u32 = 0o600;

/// The build argument that keeps the caches of one project from those of others.
const CACHE_NAMESPACE: &str = "BUILDKIT_CACHE_MOUNT_NS";

/// What the mounts of a command come to, in the order in which they were written.
#[derive(Default)]
pub struct Mounted {
    pub mounts: Vec<RunMount>,
    pub secret_variables: Vec<SecretVariable>,
    agents: usize,
}

impl Lowering<'_, '_> {
    /// Returns the mounts of `run` in the stage `number`. Fails for one that cannot be, with its place.
    pub fn mounts(
        &mut self,
        state: &StageState,
        number: usize,
        run: &RunCommand,
        instruction: &Instruction,
    ) -> Result<Mounted> {
        let mut mounted = Mounted::default();
        for flag in &run.mounts {
            // What a variable of an image stands for that nobody has seen may be anything.
            if state.scope.is_open && flag.has_variables() {
                continue;
            }
            self.mount(state, number, flag, instruction, &mut mounted).map_err(|error| match error.excerpt {
                Some(_) => error,
                None => error.with_excerpt(instruction.excerpt(&flag.span)),
            })?;
        }
        Ok(mounted)
    }

    fn mount(
        &mut self,
        state: &StageState,
        number: usize,
        flag: &MountFlag,
        instruction: &Instruction,
        mounted: &mut Mounted,
    ) -> Result<()> {
        let Mount { kind, target, read_only } = flag.mount(&mut |word| self.expand(state, instruction, word))?;
        let (target, kind) = match kind {
            MountKind::Bind { from, source } => {
                let from = from.map_or(Ok(Provider::Context(0)), |name| self.provider(&name, number))?;
                (target, RunMountKind::Bind { from, source: from_root(&source.unwrap_or_default()) })
            }
            MountKind::Cache { id, sharing, from, source, mode, uid, gid } => {
                let kind = RunMountKind::Cache {
                    id: self.cache_id(id.as_deref(), &target),
                    sharing,
                    from: from.map(|name| self.provider(&name, number)).transpose()?,
                    source: from_root(&source.unwrap_or_default()),
                    mode: mode.unwrap_or(CACHE_MODE),
                    user: uid.unwrap_or(0),
                    group: gid.unwrap_or(0),
                };
                (target, kind)
            }
            MountKind::Tmpfs { size } => (target, RunMountKind::Tmpfs { size }),
            MountKind::Secret { id, env, required, mode, uid, gid } => {
                let id = id.unwrap_or_else(|| base_name(&target));
                let is_file = env.is_none() || !target.is_empty();
                if let Some(name) = env {
                    mounted.add_variable(SecretVariable { name, id: id.clone(), required })?;
                }
                if !is_file {
                    return Ok(());
                }
                let target = match base_name(&id) {
                    _ if !target.is_empty() => target,
                    name if name.is_empty() => {
                        return Err(Error::input(format!("the secret `{id}` has no file name"))
                            .with_hint("say where it appears, as in `--mount=type=secret,id=token,target=/token`"));
                    }
                    name => format!("{SECRETS}/{name}"),
                };
                let (mode, user, group) = (mode.unwrap_or(SECRET_MODE), uid.unwrap_or(0), gid.unwrap_or(0));
                (target, RunMountKind::Secret { id, required, mode, user, group })
            }
            MountKind::Ssh { id, required, mode, uid, gid } => {
                let usual = format!("{AGENTS}{}", mounted.agents);
                mounted.agents += 1;
                let id = id.unwrap_or_else(|| DEFAULT_AGENT.to_owned());
                let target = if target.is_empty() { usual } else { target };
                let (mode, user, group) = (mode.unwrap_or(AGENT_MODE), uid.unwrap_or(0), gid.unwrap_or(0));
                (target, RunMountKind::Ssh { id, required, mode, user, group })
            }
        };
        let target = state.path(&target)?;
        if target.is_empty() {
            return Err(Error::input("a mount cannot have the root as its target")
                .with_hint("say where it appears, as in `--mount=type=cache,target=/var/cache`"));
        }
        path::check_written(target.as_bytes())?;
        mounted.mounts.push(RunMount { target: format!("/{target}"), kind, read_only });
        Ok(())
    }

    /// Returns the name of a cache: that which it has, or else its target as it is written.
    fn cache_id(&self, id: Option<&str>, target: &str) -> String {
        let slash = if target.starts_with('/') { "/" } else { "" };
        let id = id.map_or_else(|| format!("{slash}{}", from_root(target)), str::to_owned);
        match self.request.arguments.get(CACHE_NAMESPACE).filter(|namespace| !namespace.is_empty()) {
            Some(namespace) => format!("{namespace}/{id}"),
            None => id,
        }
    }
}

impl Mounted {
    /// The last one of a name counts.
    fn add_variable(&mut self, variable: SecretVariable) -> Result<()> {
        if variable.name.is_empty() || variable.name.contains(['=', '\0']) {
            let name = variable.name.replace('\0', "\u{2400}");
            return Err(Error::input(format!("`{name}` cannot be the name of a variable")));
        }
        self.secret_variables.retain(|known| known.name != variable.name);
        self.secret_variables.push(variable);
        Ok(())
    }
}

/// Returns the last name of a path.
fn base_name(path: &str) -> String {
    let path = from_root(path);
    path.rsplit('/').next().unwrap_or_default().to_owned()
}
