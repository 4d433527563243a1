//! Whether the command line allows what targets want of this machine beyond the working directory.

use std::collections::BTreeSet;
use std::env;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::remote::RemoteFiles;
use super::request::TargetRequest;
use super::variables::is_on;
use crate::cli::print::{ask, tell};
use crate::cli::terminal;
use crate::error::{Error, Result};
use crate::plan::bake::{Allowances, BakeTarget};
use crate::plan::quantity;
use crate::plan::{ContextPlace, Entitlement, is_http};
use crate::source::step_cache::StepPlace;

/// The variable that turns the check of paths off.
const CHECKS_PATHS: &str = "BUILDX_BAKE_ENTITLEMENTS_FS";
/// The variable that does so for definitions that come from elsewhere.
const ALLOWS_REMOTE: &str = "BAKE_ALLOW_REMOTE_FS_ACCESS";

/// Everything that targets want and that is not free.
#[derive(Debug, Default)]
pub struct Wishes {
    entitlements: BTreeSet<&'static str>,
    uses_agent: bool,
    read: BTreeSet<PathBuf>,
    written: BTreeSet<PathBuf>,
}

impl Wishes {
    /// Adds what a target wants; its paths within `remote` are not this machine's.
    pub fn add(&mut self, target: &BakeTarget, request: &TargetRequest, remote: Option<&RemoteFiles>) {
        for entitlement in &request.build.run.allow {
            self.entitlements.insert(word(*entitlement));
        }
        let recipe = &request.build.recipe;
        let context = request.context.to_str().unwrap_or_default();
        let is_local = !crate::plan::bake::is_remote(context);
        let mut read: Vec<PathBuf> = Vec::new();
        if is_local {
            read.push(request.context.clone());
            let file = recipe.file.as_deref().filter(|file| *file != Path::new("-"));
            read.extend(file.filter(|file| !file.to_str().is_some_and(is_http)).map(Path::to_owned));
        }
        for named in &recipe.build_context {
            match &named.place {
                ContextPlace::Directory(path) | ContextPlace::Layout { path, .. } => read.push(path.clone()),
                ContextPlace::Git(_) | ContextPlace::Http(_) | ContextPlace::Image(_) | ContextPlace::Target(_) => {}
            }
        }
        let root = remote.and_then(|remote| remote.root.as_ref()?.root.canonicalize().ok());
        let is_elsewhere = |path: &PathBuf| root.as_ref().is_some_and(|root| path.starts_with(root));
        self.read.extend(read.into_iter().filter(|path| !is_elsewhere(path)));
        let secrets = target.secrets.iter().flatten().filter(|secret| !secret.path.is_empty());
        self.read.extend(secrets.map(|secret| PathBuf::from(&secret.path)));
        for agent in target.ssh.iter().flatten() {
            let paths = || agent.paths.iter().filter(|path| !path.is_empty());
            self.uses_agent |= paths().next().is_none();
            self.read.extend(paths().map(PathBuf::from));
        }
        let cache = &request.output.cache;
        self.read.extend(cache.sources().iter().filter_map(StepPlace::directory).map(Path::to_owned));
        let written_caches = cache.destinations();
        self.written.extend(written_caches.iter().filter_map(|to| to.place.directory()).map(Path::to_owned));
        let written = target.outputs.iter().flatten().map(|output| output.destination.as_str());
        self.written.extend(written.filter(|path| !matches!(*path, "" | "-")).map(PathBuf::from));
    }

    /// Fails for what is not allowed, with the flags that allow it; on a terminal it is asked for.
    pub fn check(&self, allowances: &Allowances, is_remote: bool) -> Result<()> {
        let missing = self.missing(allowances, checks_paths(is_remote)?)?;
        if missing.is_empty() {
            return Ok(());
        }
        let wishes: Vec<&str> = missing.iter().map(|(wish, _)| wish.as_str()).collect();
        let flags: Vec<&str> = missing.iter().map(|(_, flag)| flag.as_str()).collect();
        let message = format!("the targets ask for what is not allowed: {}", wishes.join(", "));
        let hint = format!("allow it with --allow={}", flags.join(" --allow="));
        if terminal::is_there() {
            tell(&message);
            tell(&hint);
            ask("allow it this time? [y/N] ");
            let mut answer = String::new();
            if io::stdin().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
                return Ok(());
            }
        }
        let is_path = missing.iter().any(|(_, flag)| flag.starts_with("fs") || flag == "ssh");
        let off = if is_path { format!("; {CHECKS_PATHS}=0 turns the check of paths off") } else { String::new() };
        Err(Error::input(message).with_hint(format!("{hint}{off}")))
    }

    /// Returns what is not allowed: in words, and as the flag has it.
    fn missing(&self, allowances: &Allowances, checks_paths: bool) -> Result<Vec<(String, String)>> {
        let mut missing = Vec::new();
        for entitlement in &self.entitlements {
            let (is_allowed, wish) = match *entitlement {
                NETWORK => (allowances.network_host, "commands on the network of this machine"),
                _ => (allowances.security_insecure, "commands with all privileges"),
            };
            if !is_allowed {
                missing.push((wish.to_owned(), (*entitlement).to_owned()));
            }
        }
        if !checks_paths {
            return Ok(missing);
        }
        if self.uses_agent && !allowances.ssh {
            missing.push(("the usual SSH agent".to_owned(), "ssh".to_owned()));
        }
        let here = env::current_dir().and_then(|here| here.canonicalize());
        let here = here.map_err(|source| Error::io("find", "the working directory", source))?;
        let (read, written) =
            (beyond(&self.read, &allowances.read, &here)?, beyond(&self.written, &allowances.write, &here)?);
        let both = |path: &PathBuf| read.contains(path) && written.contains(path);
        for (paths, key, wish) in [(&read, "fs.read", "to read"), (&written, "fs.write", "to write")] {
            for path in paths {
                let shown = shown(path, &here);
                match both(path) {
                    true if key == "fs.read" => {
                        missing.push((format!("to read and write {shown}"), format!("fs={shown}")))
                    }
                    true => {}
                    false => missing.push((format!("{wish} {shown}"), format!("{key}={shown}"))),
                }
            }
        }
        Ok(missing)
    }
}

const NETWORK: &str = "network.host";
const SECURITY: &str = "security.insecure";

fn word(entitlement: Entitlement) -> &'static str {
    match entitlement {
        Entitlement::NetworkHost => NETWORK,
        Entitlement::SecurityInsecure => SECURITY,
    }
}

fn checks_paths(is_remote: bool) -> Result<bool> {
    match env::var(CHECKS_PATHS) {
        Ok(value) => quantity::boolean(&value)
            .ok_or_else(|| Error::usage(format!("{CHECKS_PATHS} must be true or false, not `{value}`"))),
        Err(_) => Ok(!(is_remote && is_on(ALLOWS_REMOTE))),
    }
}

/// Returns the real ones of `paths` that do not lie in one of `allowed`, without those that lie in others.
fn beyond(paths: &BTreeSet<PathBuf>, allowed: &[String], here: &Path) -> Result<BTreeSet<PathBuf>> {
    if allowed.iter().any(|path| path == "*") {
        return Ok(BTreeSet::new());
    }
    let allowed = allowed.iter().map(|path| real(Path::new(path), here)).collect::<Result<Vec<_>>>()?;
    let paths = paths.iter().map(|path| real(path, here)).collect::<Result<BTreeSet<_>>>()?;
    let is_free = |path: &PathBuf| allowed.iter().any(|allowed| path.starts_with(allowed));
    let is_within = |path: &PathBuf| paths.iter().any(|other| other != path && path.starts_with(other));
    Ok(paths.iter().filter(|path| !is_free(path) && !is_within(path)).cloned().collect())
}

/// Returns where a path leads: links are resolved as far as there is something, and the rest is taken as it is written.
fn real(path: &Path, here: &Path) -> Result<PathBuf> {
    let path = here.join(path);
    for existing in path.ancestors() {
        match existing.canonicalize() {
            Ok(mut real) => {
                for component in path.strip_prefix(existing).unwrap_or(Path::new("")).components() {
                    match component {
                        Component::ParentDir => drop(real.pop()),
                        component => real.push(component),
                    }
                }
                return Ok(real);
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(source) => return Err(Error::io("find", &path, source)),
        }
    }
    Ok(path)
}

/// Returns a path as a flag would have it: relative to `here` where that is short.
fn shown(path: &Path, here: &Path) -> String {
    let relative = path.strip_prefix(here).map(Path::to_owned).ok().or_else(|| {
        let beside = path.strip_prefix(here.parent()?).ok()?;
        Some(Path::new("..").join(beside))
    });
    relative.unwrap_or_else(|| path.to_owned()).display().to_string()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_lead_where_they_lead() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("work/sub")).unwrap();
        fs::create_dir(root.join("other")).unwrap();
        symlink("../other", root.join("work/link")).unwrap();
        let here = root.join("work");
        let missing = |paths: &[&str], allowed: &[&str]| {
            let paths = paths.iter().map(PathBuf::from).collect();
            let allowed: Vec<String> = allowed.iter().map(|path| (*path).to_owned()).collect();
            let beyond = beyond(&paths, &allowed, &here).unwrap();
            beyond.iter().map(|path| shown(path, &here)).collect::<Vec<_>>()
        };
        assert_eq!(missing(&["sub", "new/deep", "."], &["."]), [""; 0]);
        assert_eq!(missing(&["link"], &["."]), ["../other"]);
        assert_eq!(missing(&["link/new", "link"], &["."]), ["../other"]);
        assert_eq!(missing(&["new/../../other/x"], &["."]), ["../other/x"]);
        assert_eq!(missing(&["link/x"], &[".", "../other"]), [""; 0]);
        assert_eq!(missing(&["../otherwise"], &[".", "../other"]), ["../otherwise"]);
        assert_eq!(missing(&["/etc/passwd"], &["."]), ["/etc/passwd"]);
        assert_eq!(missing(&["/etc/passwd"], &["*"]), [""; 0]);
    }
}
