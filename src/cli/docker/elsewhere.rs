//! Docker's commands that need containers that run, and those that do not exist.

use std::env;
use std::ffi::OsString;

use crate::cli::print::tell;
use crate::error::Result;

/// Docker's exit code for what it could not do at all.
const NOT_DONE: u8 = 125;

/// Docker's commands about containers, networks, volumes and swarms.
const OF_ENGINES: [&str; 50] = [
    "attach",
    "checkpoint",
    "commit",
    "config",
    "container",
    "context",
    "cp",
    "create",
    "diff",
    "events",
    "exec",
    "export",
    "import",
    "kill",
    "logs",
    "network",
    "node",
    "pause",
    "plugin",
    "port",
    "ps",
    "rename",
    "restart",
    "rm",
    "run",
    "search",
    "secret",
    "service",
    "stack",
    "start",
    "stats",
    "stop",
    "swarm",
    "top",
    "trust",
    "unpause",
    "update",
    "volume",
    "wait",
    "scout",
    "sbom",
    "debug",
    "init",
    "desktop",
    "extension",
    "model",
    "mcp",
    "offload",
    "ai",
    "dev",
];

/// Docker's commands about images that are not there.
const MISSING: [&str; 2] = ["bake", "compose"];

/// The programs that run containers, the likeliest first.
const ENGINES: [&str; 3] = ["podman", "nerdctl", "crun"];

/// Says of docker's command `words` what to do instead, and returns docker's exit code.
pub fn tell_of(words: &[OsString]) -> Result<u8> {
    let word = words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    if MISSING.contains(&word.as_str()) {
        tell(&format!("docker {word}: ocibake does not have this command"));
        return Ok(NOT_DONE);
    }
    if !OF_ENGINES.contains(&word.as_str()) {
        tell(&format!("docker: '{word}' is not a docker command that ocibake knows: see `docker --help`"));
        return Ok(1);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let is_here = |name: &&&str| env::split_paths(&path).any(|directory| directory.join(name).is_file());
    let instead = match ENGINES.iter().find(is_here) {
        Some(engine) => format!("{engine} runs them here"),
        None => "install podman to run them".to_owned(),
    };
    tell(&format!("docker {word}: ocibake builds and ships images and has no containers: {instead}"));
    Ok(NOT_DONE)
}
