//! `ocibake ls`: the files of an image, or the tags of a repository.

use clap::Args;
use serde_json::json;

use super::environment::Environment;
use super::flags::value::value;
use super::image::chosen::chosen;
use super::print::{answer_bytes, answer_json, answer_lines};
use crate::error::{Error, Result, escape};
use crate::inspect::{FileReport, files, permissions};
use crate::oci::{Platform, Reference};
use crate::progress::silent;
use crate::source::image::Location;
use crate::tree::{Files, Node};

/// List the files of an image, or the tags of a repository
///
/// A name without a tag, a digest and a PATH is a repository, whose tags are listed, unless the local store has an image of
/// that name. NAME:latest, or a PATH, means the image; --tags means the repository.
#[derive(Debug, Args)]
#[command(override_usage = "ocibake ls [OPTIONS] <REF> [PATH]\n       ocibake ls [OPTIONS] [--tags] <NAME>")]
pub struct LsArguments {
    /// Image, as `inspect` takes it, or name of a repository in a registry
    #[arg(value_name = "REF")]
    reference: String,
    /// Directory or file in the image [default: /]
    ///
    /// Links are followed as if the image were the whole system. Layers are read to their ends, and nothing is unpacked.
    #[arg(value_name = "PATH")]
    path: Option<String>,
    /// List what is in the directories, too
    #[arg(short = 'R', long)]
    recursive: bool,
    /// List the tags that a registry has of NAME
    #[arg(long, conflicts_with_all = ["path", "recursive", "platform"])]
    tags: bool,
    /// Platform whose image is meant [default: that of this machine]
    #[arg(long, value_name = "PLATFORM", value_parser = value::<Platform>)]
    platform: Option<Platform>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Allow plain HTTP, and TLS certificates that cannot be verified
    #[arg(long)]
    insecure: bool,
}

/// Answers with the files or the tags.
pub fn run(arguments: &LsArguments, environment: &Environment) -> Result<()> {
    if arguments.tags {
        let name: Reference = arguments.reference.parse().map_err(Error::on_command_line)?;
        if name.tag().is_some() || name.digest().is_some() {
            return Err(Error::usage(format!(
                "{} is one image, but --tags lists the tags of a repository",
                name.familiar()
            ))
            .with_hint(format!("leave out what follows {}", name.name())));
        }
        return list_tags(&name, arguments, environment);
    }
    let location = environment.location(&arguments.reference)?;
    if let Location::Registry(name) = &location
        && (name.tag(), name.digest(), &arguments.path, &arguments.platform) == (None, None, &None, &None)
        && !arguments.recursive
    {
        return list_tags(name, arguments, environment);
    }
    let client = environment.client(arguments.insecure, 0);
    let (store, root) = location.open(&client, &silent)?;
    let (_, image) = chosen(store.as_ref(), &arguments.reference, &root, arguments.platform.as_ref())?;
    let files = files(store.as_ref(), &image)?;
    let path = arguments.path.as_deref().unwrap_or("/");
    list_files(&files, path, arguments)
}

fn list_tags(name: &Reference, arguments: &LsArguments, environment: &Environment) -> Result<()> {
    let client = environment.client(arguments.insecure, 0);
    let tags = client.client()?.repository(name, &silent).tags()?;
    if tags.is_empty() {
        return Err(Error::not_found(format!("the registry has no tags of {}", name.name()))
            .with_hint("it has no such repository, or does not show it to everyone: see `ocibake login`"));
    }
    match arguments.json {
        true => answer_json(&json!({"repository": name.name(), "tags": tags})),
        false => answer_lines(tags),
    }
}

fn list_files(files: &Files, path: &str, arguments: &LsArguments) -> Result<()> {
    let missing = || Error::not_found(format!("{} has no {path}", arguments.reference));
    let real = files.real(path.as_bytes())?;
    // A link that leads to nowhere is shown itself.
    let (at, node) = match files.get(&real) {
        Some(node) => (real, node),
        None => {
            let path = path.trim_matches('/').as_bytes().to_vec();
            let node = files.get(&path).ok_or_else(missing)?;
            (path, node)
        }
    };
    if !node.is_directory() {
        return shown(&|| Box::new(std::iter::once((at.clone(), node))), arguments.json);
    }
    let below = files.below(&at);
    let prefix = |name: &[u8]| match at.is_empty() {
        true => name.to_vec(),
        false => [&at, &b"/"[..], name].concat(),
    };
    let rows = || -> Box<dyn Iterator<Item = (Vec<u8>, &Node)>> {
        match arguments.recursive {
            true => Box::new(below.paths().skip(1).map(|(path, node)| (prefix(&path), node))),
            false => {
                let children = below.root().children().into_iter().flatten();
                Box::new(children.map(|(name, node)| (prefix(name), node)))
            }
        }
    };
    shown(&rows, arguments.json)
}

/// What is listed, from the beginning each time.
type FileRows<'a> = dyn Fn() -> Box<dyn Iterator<Item = (Vec<u8>, &'a Node)> + 'a> + 'a;

/// So many are written at once: an image may have more files than one would keep lines of.
const AT_ONCE: usize = 1000;

fn shown(rows: &FileRows<'_>, is_json: bool) -> Result<()> {
    if is_json {
        return shown_as_json(rows);
    }
    let (mut owners, mut sizes) = (0, 0);
    for (path, node) in rows() {
        let report = FileReport::of(&path, node);
        owners = owners.max(owner(&report).len());
        sizes = sizes.max(size(&report).len());
    }
    let line = |(path, node): (Vec<u8>, &Node)| {
        let report = FileReport::of(&path, node);
        let target = report.target.as_ref().map(|target| format!(" -> {target}")).unwrap_or_default();
        let (owner, size) = (owner(&report), size(&report));
        let FileReport { modified, path, .. } = &report;
        format!("{}  {owner:owners$}  {size:>sizes$}  {modified:20}  {path}{target}", permissions(node))
    };
    let mut lines = rows().map(line).peekable();
    while lines.peek().is_some() {
        answer_lines(lines.by_ref().take(AT_ONCE))?;
    }
    Ok(())
}

fn shown_as_json(rows: &FileRows<'_>) -> Result<()> {
    let mut reports = rows().map(|(path, node)| json!(FileReport::of(&path, node)).to_string()).peekable();
    let mut text = String::from("[");
    while let Some(report) = reports.next() {
        text.push_str(&escape::json(&report));
        text.push_str(if reports.peek().is_some() { ",\n" } else { "" });
        if text.len() > AT_ONCE * 100 {
            answer_bytes(text.as_bytes())?;
            text.clear();
        }
    }
    text.push_str("]\n");
    answer_bytes(text.as_bytes())
}

fn owner(report: &FileReport) -> String {
    format!("{}:{}", report.user, report.group)
}

/// The size, or in its place the numbers of a device, as with `ls -l`.
fn size(report: &FileReport) -> String {
    report.device.map_or_else(|| report.size.to_string(), |(major, minor)| format!("{major},{minor}"))
}
