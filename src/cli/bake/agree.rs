//! What a build needs of this machine, looked at before: secrets, SSH agents, and what `--allow` says.

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};
use crate::plan::bake::{AgentEntry, Allowances, BakeFile, ResolvedBake, SecretEntry};

/// The variable that names the socket of the usual agent.
const AGENT: &str = "SSH_AUTH_SOCK";

/// Returns what `--allow` says. The working directory is free in any case, and to be read is the one of an `ocibake.toml` of this
/// machine, which its paths are relative to.
pub fn allowances(texts: &[String], files: &[BakeFile]) -> Result<Allowances> {
    let mut allowances = Allowances::read(texts)?;
    allowances.read.push(".".to_owned());
    let tables = files.iter().filter(|file| file.is_local && file.is_table());
    let directories = tables.filter_map(|file| Path::new(&file.name).parent()?.to_str());
    allowances.read.extend(directories.filter(|directory| !directory.is_empty()).map(str::to_owned));
    allowances.write.push(".".to_owned());
    Ok(allowances)
}

/// Fails for a secret and for an SSH agent of a target that is not there.
pub fn check(resolved: &ResolvedBake, variable: &dyn Fn(&str) -> Option<String>) -> Result<()> {
    for (name, target) in &resolved.targets {
        let of_target = |error: Error| Error { message: format!("target {name}: {}", error.message), ..error };
        for secret in target.secrets.iter().flatten() {
            check_secret(secret, variable).map_err(of_target)?;
        }
        for agent in target.ssh.iter().flatten() {
            check_agent(agent, variable).map_err(of_target)?;
        }
    }
    Ok(())
}

fn check_secret(secret: &SecretEntry, variable: &dyn Fn(&str) -> Option<String>) -> Result<()> {
    if secret.id.is_empty() {
        return Err(Error::input("a secret has no `id`").with_hint("write id=NAME,src=FILE or id=NAME,env=VARIABLE"));
    }
    let path = match (secret.path.as_str(), secret.variable.as_str()) {
        ("", "") if variable(&secret.id).is_none() => secret.id.as_str(),
        (path, _) => path,
    };
    if !path.is_empty() {
        let action = format!("find the secret `{}`:", secret.id);
        fs::metadata(path).map_err(|source| Error::io(&action, path, source))?;
    }
    Ok(())
}

fn check_agent(agent: &AgentEntry, variable: &dyn Fn(&str) -> Option<String>) -> Result<()> {
    match &agent.paths[..] {
        [] => check_usual_agent(variable),
        [path] if path.is_empty() => check_usual_agent(variable),
        paths => paths.iter().try_for_each(|path| {
            let action = format!("find the SSH agent or key `{}`:", agent.id);
            fs::metadata(Path::new(path)).map(drop).map_err(|source| Error::io(&action, path, source))
        }),
    }
}

fn check_usual_agent(variable: &dyn Fn(&str) -> Option<String>) -> Result<()> {
    match variable(AGENT).filter(|socket| !socket.is_empty()) {
        Some(_) => Ok(()),
        None => Err(Error::input("there is no SSH agent")
            .with_hint(format!("start one, which sets {AGENT}, or name a socket or keys with ssh"))),
    }
}
