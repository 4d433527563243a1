//! `ocibake history`: the steps that made an image.

use clap::Args;
use serde::Serialize;

use super::chosen::chosen;
use super::row::{id, seconds, size};
use crate::cli::age::ago;
use crate::cli::environment::Environment;
use crate::cli::flags::value::{flag, value};
use crate::cli::format::Format;
use crate::cli::print::answer_lines;
use crate::cli::progress::Reporter;
use crate::error::Result;
use crate::oci::Platform;
use crate::progress::Event;

/// Show the steps that made an image, the last one first
#[derive(Debug, Args)]
pub struct HistoryArguments {
    /// Image: a name, an ID, or whatever `inspect` takes
    #[arg(value_name = "REF")]
    image: String,
    /// Show each as a Go template says, or 'table …', or json
    ///
    /// Fields are ID, CreatedSince, CreatedAt, CreatedBy, Size and Comment.
    #[arg(long, value_name = "FORMAT", value_parser = value::<Format>)]
    format: Option<Format>,
    /// Show sizes and times for people; false for programs
    #[arg(short = 'H', long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    human: bool,
    /// Show whole commands and IDs
    #[arg(long)]
    no_trunc: bool,
    /// Show only IDs
    #[arg(short, long, conflicts_with = "format")]
    quiet: bool,
    /// Platform whose image is meant [default: that of this machine]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    /// Allow plain HTTP, and TLS certificates that cannot be verified
    #[arg(long)]
    insecure: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct HistoryRow {
    #[serde(rename = "ID")]
    id: String,
    created_since: String,
    created_at: String,
    created_by: String,
    size: String,
    comment: String,
}

/// Answers with the steps.
pub fn run(arguments: &HistoryArguments, environment: &Environment) -> Result<()> {
    let platform: Option<Platform> =
        arguments.platform.as_deref().map(str::parse).transpose().map_err(flag("platform"))?;
    let client = environment.client(arguments.insecure, 0);
    let reporter = Reporter::aside();
    let progress = |event: Event<'_>| reporter.report(event);
    let (store, root) = environment.location(&arguments.image)?.open(&client, &progress)?;
    let (_, image) = chosen(store.as_ref(), &arguments.image, &root, platform.as_ref())?;
    reporter.finish();
    let mut layers = image.manifest.layers.iter();
    let mut rows = Vec::new();
    for step in &image.config.history {
        let bytes = if step.empty_layer { 0 } else { layers.next().map_or(0, |layer| layer.size) };
        let since = step.created.as_deref().and_then(seconds);
        let created_at = step.created.clone().unwrap_or_default();
        let by = step.created_by.clone().unwrap_or_default();
        rows.push(HistoryRow {
            id: "<missing>".to_owned(),
            created_since: match since {
                _ if !arguments.human => created_at.clone(),
                Some(seconds) if seconds > 0 => ago(seconds),
                _ => "N/A".to_owned(),
            },
            created_at,
            created_by: if arguments.no_trunc { by } else { cut(&by) },
            size: if arguments.human { size(bytes) } else { bytes.to_string() },
            comment: step.comment.clone().unwrap_or_default(),
        });
    }
    if let Some(last) = rows.last_mut() {
        last.id = id(&root.digest, arguments.no_trunc);
    }
    rows.reverse();
    if arguments.quiet {
        return answer_lines(rows.into_iter().map(|row| row.id));
    }
    let usual = || Format::table(&["ID", "CreatedSince", "CreatedBy", "Size", "Comment"]);
    answer_lines(arguments.format.clone().unwrap_or_else(usual).lines(&rows, &TITLES)?)
}

/// The titles of columns that are not the names of the fields.
const TITLES: [(&str, &str); 4] =
    [("ID", "IMAGE"), ("CreatedSince", "CREATED"), ("CreatedAt", "CREATED AT"), ("CreatedBy", "CREATED BY")];

/// The most characters that are shown of a command, as with docker.
const LONGEST: usize = 45;

fn cut(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    let beginning: String = text.chars().take(LONGEST - 1).collect();
    format!("{beginning}…")
}
