//! The documents in which BuildKit answers what is asked of a Dockerfile, with its names.

use std::ops::{Not, RangeInclusive};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;

use crate::error::{Error, Excerpt};
use crate::plan::dockerfile::{OfferedStage, Outline, OutlineMount, Text, Warning};

/// What the build checks found.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lint {
    warnings: Vec<LintWarning>,
    sources: Vec<LintSource>,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_error: Option<BuildError>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LintWarning {
    rule_name: &'static str,
    description: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    detail: String,
    location: Location,
}

#[derive(Serialize)]
struct LintSource {
    filename: String,
    language: &'static str,
    data: String,
}

#[derive(Serialize)]
struct BuildError {
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<Location>,
}

#[derive(Serialize)]
struct Location {
    ranges: [Range; 1],
}

#[derive(Serialize)]
struct Range {
    start: Position,
    end: Position,
}

#[derive(Serialize)]
struct Position {
    line: usize,
}

impl Location {
    fn of(lines: &RangeInclusive<usize>) -> Self {
        let position = |line: &usize| Position { line: *line };
        Location { ranges: [Range { start: position(lines.start()), end: position(lines.end()) }] }
    }
}

impl Lint {
    pub fn of(warnings: &[Warning], error: Option<&Error>, text: Option<&Text>) -> Self {
        let location = |place: &Excerpt| Location::of(&(place.line..=place.line));
        let warning = |warning: &Warning| LintWarning {
            rule_name: warning.rule.name(),
            description: warning.rule.description(),
            url: warning.rule.url(),
            detail: warning.message.clone(),
            location: location(&warning.place),
        };
        let source = |text: &Text| LintSource {
            filename: text.file.clone(),
            language: "Dockerfile",
            data: BASE64_STANDARD.encode(&text.content),
        };
        Lint {
            warnings: warnings.iter().map(warning).collect(),
            sources: text.map(source).into_iter().collect(),
            build_error: error.map(|error| BuildError {
                message: error.message.clone(),
                location: error.excerpt.as_deref().map(location),
            }),
        }
    }
}

/// The stages that there are.
#[derive(Serialize)]
pub struct Targets {
    targets: Vec<OfferedTarget>,
    sources: [String; 1],
}

#[derive(Serialize)]
struct OfferedTarget {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Not::not")]
    default: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    base: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<String>,
    location: Location,
}

impl Targets {
    pub fn of(stages: &[OfferedStage], text: &Text) -> Self {
        let target = |stage: &OfferedStage| OfferedTarget {
            name: stage.name.clone(),
            default: stage.is_default,
            description: stage.description.clone(),
            base: stage.base.clone(),
            platform: stage.platform.clone(),
            location: Location::of(&stage.lines),
        };
        Targets { targets: stages.iter().map(target).collect(), sources: [BASE64_STANDARD.encode(&text.content)] }
    }
}

/// What a stage takes.
#[derive(Serialize)]
pub struct OutlineDocument {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    args: Vec<DocumentArgument>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<DocumentMount>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ssh: Vec<DocumentMount>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cache: Vec<DocumentCache>,
    sources: [String; 1],
}

#[derive(Serialize)]
struct DocumentArgument {
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    location: Location,
}

#[derive(Serialize)]
struct DocumentMount {
    name: String,
    #[serde(skip_serializing_if = "Not::not")]
    required: bool,
    location: Location,
}

#[derive(Serialize)]
struct DocumentCache {
    #[serde(rename = "ID")]
    id: String,
    location: Location,
}

impl OutlineDocument {
    pub fn of(outline: &Outline, text: &Text) -> Self {
        let mount = |mount: &OutlineMount| DocumentMount {
            name: mount.id.clone(),
            required: mount.required,
            location: Location::of(&mount.lines),
        };
        let cache = |mount: &OutlineMount| DocumentCache { id: mount.id.clone(), location: Location::of(&mount.lines) };
        let arguments = outline.arguments.iter().map(|argument| DocumentArgument {
            name: argument.name.clone(),
            description: argument.description.clone(),
            value: argument.value.clone().filter(|value| !value.is_empty()),
            location: Location::of(&argument.lines),
        });
        OutlineDocument {
            name: outline.name.clone(),
            description: outline.description.clone(),
            args: arguments.collect(),
            secrets: outline.secrets.iter().map(mount).collect(),
            ssh: outline.agents.iter().map(mount).collect(),
            cache: outline.caches.iter().map(cache).collect(),
            sources: [BASE64_STANDARD.encode(&text.content)],
        }
    }
}
