//! Docker's commands that need containers that run, and those that do not exist.

use std::env;
use std::ffi::OsString;

use crate::cli::print::tell;

/// Docker's exit code for what it could not do at all.
const NOT_DONE: u8 = 125;

/// Docker's exit code for a command that it does not have.
const UNKNOWN: u8 = 1;

/// Docker's commands about containers, networks, volumes and swarms.
const OF_ENGINES: [&str; 49] = [
    "attach",
    "checkpoint",
    "commit",
    "config",
    "container",
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

/// The commands of docker compose that people type without `compose`.
const WITHOUT_COMPOSE: [&str; 2] = ["down", "up"];

/// The commands by which people have files out of an image.
const OF_FILES: [&str; 2] = ["cp", "create"];

/// The programs that run containers, the likeliest first.
const ENGINES: [&str; 3] = ["podman", "nerdctl", "crun"];

/// Returns whether docker or its compose has the command `word`, which is not there.
pub fn is_known(word: &str) -> bool {
    [&OF_ENGINES[..], &WITHOUT_COMPOSE].iter().any(|words| words.contains(&word))
}

/// Says of docker's command `words`, asked of `program`, what to do instead, and returns docker's exit code.
pub fn tell_of(program: &str, words: &[OsString]) -> u8 {
    let word = words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    if !is_known(&word) {
        tell(&format!("{program}: unknown command: {program} {word}"));
        tell(&format!("Run '{program} --help' for more information"));
        return UNKNOWN;
    }
    if OF_FILES.contains(&word.as_str()) {
        tell(&format!(
            "{program} {word}: ocibake has no containers: `echo FROM IMAGE | docker build -o DIR -` writes the files of an image"
        ));
        return NOT_DONE;
    }
    tell_of_containers(&format!("{program} {word}"));
    NOT_DONE
}

/// Compose's commands about containers, networks and volumes.
const OF_COMPOSE: [&str; 31] = [
    "attach", "commit", "cp", "create", "down", "events", "exec", "export", "images", "kill", "logs", "ls", "pause",
    "port", "ps", "publish", "restart", "rm", "run", "scale", "start", "stats", "stop", "top", "unpause", "up",
    "volumes", "wait", "watch", "alpha", "bridge",
];

/// Says of compose's command `words` what to do instead, and returns docker's exit code.
pub fn tell_of_compose(words: &[OsString]) -> u8 {
    let word = words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    if !OF_COMPOSE.contains(&word.as_str()) {
        tell(&format!(
            "docker compose: '{word}' is not a command of compose that ocibake knows: see `docker compose --help`"
        ));
        return UNKNOWN;
    }
    tell_of_containers(&format!("docker compose {word}"));
    NOT_DONE
}

/// Says of `command` that there are no containers here, and what runs them.
fn tell_of_containers(command: &str) {
    let path = env::var_os("PATH").unwrap_or_default();
    let is_here = |name: &&&str| env::split_paths(&path).any(|directory| directory.join(name).is_file());
    let instead = match ENGINES.iter().find(is_here) {
        Some(engine) => format!("{engine} runs them here"),
        None => "install podman to run them".to_owned(),
    };
    tell(&format!("{command}: ocibake builds and ships images and has no containers: {instead}"));
}
