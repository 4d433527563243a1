//! The names that builders were given, under which there is but one: `docker buildx create`, `use`, `inspect`, `ls` and `rm`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::iter;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cli::environment::Environment;
use crate::cli::print::{answer, answer_lines};
use crate::cli::text_file::read_text;
use crate::error::{Error, Result};
use crate::oci::{Platform, to_json};
use crate::store::LocalStore;

/// The name that the builder has without being given one.
const NAME: &str = "default";

/// The file in the local store that keeps the names.
const FILE: &str = "builders.json";

/// In bytes; more than any number of names takes.
const LIMIT: u64 = 1 << 20;

/// The names, and which of them was chosen last. What cannot be read has none.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Builders {
    names: BTreeSet<String>,
    used: Option<String>,
}

/// Gives the builder a name, and answers with it. One that it has already is not a mistake.
pub fn create(name: Option<&str>, is_used: bool, environment: &Environment) -> Result<()> {
    let name = name.unwrap_or(NAME);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(is_plain) {
        return Err(Error::usage(format!("`{name}` is not the name of a builder"))
            .with_hint("it begins with a letter, and has letters, digits, `-`, `_` and `.`"));
    }
    change(environment, |builders| {
        builders.names.insert(name.to_owned());
        if is_used {
            builders.used = Some(name.to_owned());
        }
    })?;
    answer(name)
}

/// Chooses one of the names, known or not.
pub fn choose(names: &[String], environment: &Environment) -> Result<()> {
    change(environment, |builders| builders.used = names.first().cloned())
}

/// Forgets names; without any, the one that is chosen. One that is not known is not a mistake.
pub fn remove(names: &[String], environment: &Environment) -> Result<()> {
    change(environment, |builders| {
        let used = builders.used.clone();
        let names = if names.is_empty() { used.as_slice() } else { names };
        builders.names.retain(|name| !names.contains(name));
        builders.used.take_if(|name| names.contains(name));
    })
}

/// Answers with what there is to say of the builder, under the name that is asked for or chosen.
pub fn show(name: Option<&str>, environment: &Environment) -> Result<()> {
    let used = read(environment).used;
    let name = name.or(used.as_deref()).unwrap_or(NAME);
    answer_lines([
        format!("Name:          {name}"),
        "Driver:        ocibake".to_owned(),
        String::new(),
        "Nodes:".to_owned(),
        format!("Name:             {name}"),
        "Endpoint:         none: there is no daemon".to_owned(),
        "Status:           running".to_owned(),
        format!("BuildKit version: ocibake {}", env!("CARGO_PKG_VERSION")),
        format!("Platforms:        {}", platforms()),
    ])
}

/// Answers with all names.
pub fn list(environment: &Environment) -> Result<()> {
    let builders = read(environment);
    let used = builders.used.as_deref().unwrap_or(NAME);
    let names: BTreeSet<&str> = builders.names.iter().map(String::as_str).chain([NAME, used]).collect();
    let width = names.iter().map(|name| name.len() + 4).max().unwrap_or_default().max("NAME/NODE".len());
    let row = |name: &str, driver: &str, status: &str, version: &str, platforms: &str| {
        format!("{name:width$}   {driver:<15}   {status:<7}   {version:<8}   {platforms}").trim_end().to_owned()
    };
    let head = row("NAME/NODE", "DRIVER/ENDPOINT", "STATUS", "BUILDKIT", "PLATFORMS");
    let platforms = platforms();
    answer_lines([head].into_iter().chain(names.into_iter().flat_map(|name| {
        let chosen = if name == used { "*" } else { "" };
        [
            row(&format!("{name}{chosen}"), "ocibake", "", "", ""),
            row(&format!(r" \_ {name}"), r" \_ none", "running", env!("CARGO_PKG_VERSION"), &platforms),
        ]
    })))
}

/// The platforms that scripts look for, this machine's first: images are built for every one, and commands of another one run
/// where the machine has an emulator for it.
fn platforms() -> String {
    let host = Platform::host().to_string();
    let usual =
        ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/386", "linux/ppc64le", "linux/riscv64", "linux/s390x"];
    let others = usual.into_iter().filter(|platform| *platform != host);
    iter::once(&*host).chain(others).collect::<Vec<_>>().join(", ")
}

fn read(environment: &Environment) -> Builders {
    let read = || {
        let path = environment.present_store()?.join(FILE);
        let text = read_text(File::open(&path).ok()?, FILE, LIMIT, "list of builders").ok()?;
        serde_json::from_str(&text).ok()
    };
    read().unwrap_or_default()
}

fn change(environment: &Environment, change: impl FnOnce(&mut Builders)) -> Result<()> {
    let store = LocalStore::open(environment.store()?)?;
    let mut builders = read(environment);
    change(&mut builders);
    let path: PathBuf = store.root().join(FILE);
    fs::write(&path, to_json(&builders)).map_err(|source| Error::io("write", path, source))
}
