//! `ocibake inspect`: what is inside an image.

use clap::Args;
use serde_json::Value;

use super::bytes::HumanBytes;
use super::environment::Environment;
use super::print::{answer_bytes, answer_json, answer_lines};
use super::progress::Reporter;
use crate::error::Result;
use crate::inspect::{ImageReport, Report, report};
use crate::oci::{Map, from_json};
use crate::progress::Event;
use crate::store::read_document;

/// Show what is inside an image
#[derive(Debug, Args)]
pub struct InspectArguments {
    /// Name in a registry, or oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME]
    ///
    /// A path that begins with ./ or / is an OCI layout or an archive of either kind.
    #[arg(value_name = "REF")]
    image: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print the index or manifest as it is, byte for byte
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    /// Allow plain HTTP, and TLS certificates that cannot be verified
    #[arg(long)]
    insecure: bool,
}

/// Answers with what is inside an image.
pub fn run(arguments: &InspectArguments, environment: &Environment) -> Result<()> {
    let location = environment.location(&arguments.image)?;
    let client = environment.client(arguments.insecure, 0);
    let reporter = Reporter::aside();
    let progress = |event: Event<'_>| reporter.report(event);
    let (store, root) = location.open(&client, &progress)?;
    if arguments.raw {
        let document = read_document(store.as_ref(), &root)?;
        from_json::<Value>(&root.digest.to_string(), &document)?;
        reporter.finish();
        return answer_bytes(&document);
    }
    let report = report(store.as_ref(), &root)?;
    reporter.finish();
    if arguments.json {
        return answer_json(&report);
    }
    answer_lines(lines(&report))
}

fn lines(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    field(&mut lines, "", "Digest", &report.digest.to_string());
    field(&mut lines, "", "Type", &report.media_type);
    pairs(&mut lines, "", "Annotations", &report.annotations);
    for image in &report.images {
        lines.push(String::new());
        field(&mut lines, "", "Platform", &image.platform);
        image_lines(&mut lines, image);
    }
    for other in &report.others {
        lines.push(String::new());
        field(&mut lines, "", "Other", &other.digest.to_string());
        field(&mut lines, "  ", "Type", &other.media_type);
    }
    lines
}

fn image_lines(lines: &mut Vec<String>, image: &ImageReport) {
    field(lines, "  ", "Manifest", &image.digest.to_string());
    field(lines, "  ", "Config", &image.config_digest.to_string());
    field(lines, "  ", "Size", &HumanBytes(image.total_size).to_string());
    field(lines, "  ", "Created", image.created.as_deref().unwrap_or_default());
    let config = &image.config;
    let words = |words: &Option<Vec<String>>| words.as_ref().map(|words| format!("{words:?}")).unwrap_or_default();
    let keys = |map: &Option<Map<Value>>| {
        map.as_ref().map(|map| map.keys().cloned().collect::<Vec<_>>().join(" ")).unwrap_or_default()
    };
    field(lines, "  ", "Entrypoint", &words(&config.entrypoint));
    field(lines, "  ", "Cmd", &words(&config.cmd));
    for variable in config.env.iter().flatten() {
        field(lines, "  ", "Env", variable);
    }
    field(lines, "  ", "User", &config.user);
    field(lines, "  ", "Workdir", &config.working_dir);
    field(lines, "  ", "Ports", &keys(&config.exposed_ports));
    field(lines, "  ", "Volumes", &keys(&config.volumes));
    field(lines, "  ", "Stop signal", &config.stop_signal);
    let test = config.healthcheck.as_ref().map(|healthcheck| healthcheck.test.clone());
    field(lines, "  ", "Healthcheck", &words(&test));
    field(lines, "  ", "Shell", &words(&config.shell));
    field(lines, "  ", "On build", &words(&config.on_build));
    pairs(lines, "  ", "Labels", &config.labels.clone().unwrap_or_default());
    for layer in &image.layers {
        field(lines, "  ", "Layer", &format!("{} {}", layer.digest, HumanBytes(layer.size)));
        field(lines, "    ", "Type", &layer.media_type);
        field(lines, "    ", "Diff ID", &layer.diff_id.map(|digest| digest.to_string()).unwrap_or_default());
        field(lines, "    ", "By", layer.created_by.as_deref().unwrap_or_default());
    }
}

/// A line, unless there is nothing to say.
fn field(lines: &mut Vec<String>, indent: &str, name: &str, value: &str) {
    if !value.is_empty() {
        line(lines, &format!("{indent}{name}:"), value);
    }
}

fn pairs(lines: &mut Vec<String>, indent: &str, name: &str, pairs: &Map<String>) {
    for (nth, (key, value)) in pairs.iter().enumerate() {
        let title = if nth == 0 { format!("{indent}{name}:") } else { String::new() };
        line(lines, &title, &format!("{key}={value}"));
    }
}

fn line(lines: &mut Vec<String>, title: &str, value: &str) {
    lines.push(format!("{title:16} {value}"));
}
