//! `RUN`.

use super::arguments::command_line;
use super::flags::{FlagKind, Flags};
use super::line::LogicalLine;
use super::options::fields;
use super::parts::InstructionParts;
use super::{Device, MountFlag, RunCommand};
use crate::error::{Error, Result, suggestion};
use crate::plan::{RunNetwork, RunSecurity, quantity};

const NETWORKS: &[(&str, RunNetwork)] =
    &[("default", RunNetwork::Default), ("none", RunNetwork::None), ("host", RunNetwork::Host)];
const SECURITIES: &[(&str, RunSecurity)] = &[("sandbox", RunSecurity::Sandbox), ("insecure", RunSecurity::Insecure)];

/// Reads `RUN`.
pub(super) fn read(parts: &InstructionParts<'_>) -> Result<RunCommand> {
    let flags = parts.flags(&[
        ("mount", FlagKind::Texts),
        ("network", FlagKind::Text),
        ("security", FlagKind::Text),
        ("device", FlagKind::Texts),
    ])?;
    if let Some(heredoc) = parts.heredocs.iter().find(|heredoc| heredoc.content.contains('\0')) {
        return Err(Error::input("a command cannot hold a NUL byte").with_excerpt(parts.text.excerpt(&heredoc.span)));
    }
    Ok(RunCommand {
        line: command_line(parts.text, &parts.rest)?,
        heredocs: parts.heredocs.clone(),
        mounts: flags.values("mount").map(|value| mount(parts, value)).collect::<Result<_>>()?,
        network: choice(parts, &flags, "network", NETWORKS)?,
        security: choice(parts, &flags, "security", SECURITIES)?,
        devices: flags.values("device").map(|value| device(parts, value)).collect::<Result<_>>()?,
    })
}

fn choice<T: Copy + Default>(
    parts: &InstructionParts<'_>,
    flags: &Flags,
    name: &str,
    known: &[(&str, T)],
) -> Result<T> {
    let Some(value) = flags.value(name) else { return Ok(T::default()) };
    if let Some((_, choice)) = known.iter().find(|(word, _)| *word == value.text()) {
        return Ok(*choice);
    }
    let words = || known.iter().map(|(word, _)| *word);
    let error = parts.error(value, format!("`--{name}` cannot be `{}`", value.text()));
    Err(match suggestion(value.text(), words()) {
        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
        None => error.with_hint(format!("known values are {}", words().collect::<Vec<_>>().join(", "))),
    })
}

/// Splits the value of `--mount`. Fails for what no expansion could mend.
fn mount(parts: &InstructionParts<'_>, value: &LogicalLine) -> Result<MountFlag> {
    let mut split = Vec::new();
    for field in fields(parts, value)? {
        let (key, value) = field.split_once('=').map_or((field.clone(), None), |(key, value)| (key, Some(value)));
        let key = key.text().to_lowercase();
        let variable = |value: &LogicalLine| value.text().find('$').is_some_and(|at| at + 1 < value.text().len());
        if key == "from" && value.as_ref().is_some_and(variable) {
            return Err(parts
                .error(&field, "the `from` of a mount cannot hold variables")
                .with_hint("give the image a name with `FROM … AS name`, and mount from that"));
        }
        split.push((key, value.map(|value| value.word())));
    }
    Ok(MountFlag { fields: split, span: value.span() })
}

/// `[name=]NAME[,required[=BOOLEAN]]`.
fn device(parts: &InstructionParts<'_>, value: &LogicalLine) -> Result<Device> {
    let refuse = |place: &LogicalLine, message: String| {
        parts.error(place, message).with_hint("as in `--device=vendor.com/class=name,required`")
    };
    let mut name: Option<LogicalLine> = None;
    let mut required = false;
    for field in fields(parts, value)? {
        let (key, setting) = field.split_once('=').map_or((field.clone(), None), |(key, value)| (key, Some(value)));
        match (key.text().to_lowercase().as_str(), setting) {
            ("required", None) => required = true,
            ("required", Some(setting)) => {
                required = quantity::boolean(setting.text())
                    .ok_or_else(|| refuse(&setting, format!("`required` cannot be `{}`", setting.text())))?;
            }
            ("name", Some(_)) if name.is_some() => return Err(refuse(&field, "a device has one name".to_owned())),
            ("name", Some(setting)) => name = Some(setting),
            _ if name.is_none() => name = Some(field),
            _ => return Err(refuse(&field, format!("`{}` is not an option of a device", field.text()))),
        }
    }
    match name.filter(|name| !name.is_empty()) {
        Some(name) => Ok(Device { name: name.word(), required }),
        None => Err(refuse(value, "`--device` names no device".to_owned())),
    }
}
