use std::fmt::Write as _;

use clap::Args;
use indicatif::HumanBytes;

use super::environment::Environment;
use super::{answer, answer_bytes, answer_json, harmless};
use crate::error::Result;
use crate::inspect::{ImageReport, Report, report};
use crate::oci::Map;
use crate::progress::silent;
use crate::source::image::Location;
use crate::store::read_document;

/// Show what is inside an image
#[derive(Debug, Args)]
pub struct Arguments {
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

pub fn run(arguments: &Arguments, environment: &Environment) -> Result<()> {
    let location: Location = arguments.image.parse()?;
    let client = environment.client(arguments.insecure, 0);
    let (store, root) = location.open(&client, &silent)?;
    if arguments.raw {
        return answer_bytes(&read_document(store.as_ref(), &root)?);
    }
    let report = report(store.as_ref(), &root)?;
    if arguments.json {
        return answer_json(&report);
    }
    answer(text(&report).trim_end())
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    field(&mut text, "", "Digest", &report.digest.to_string());
    field(&mut text, "", "Type", &report.media_type);
    pairs(&mut text, "", "Annotations", &report.annotations);
    for image in &report.images {
        text.push('\n');
        field(&mut text, "", "Platform", &image.platform);
        image_text(&mut text, image);
    }
    for other in &report.others {
        text.push('\n');
        field(&mut text, "", "Other", &other.digest.to_string());
        field(&mut text, "  ", "Type", &other.media_type);
    }
    text
}

fn image_text(text: &mut String, image: &ImageReport) {
    field(text, "  ", "Manifest", &image.digest.to_string());
    field(text, "  ", "Config", &image.config_digest.to_string());
    field(text, "  ", "Size", &HumanBytes(image.total_size).to_string());
    field(text, "  ", "Created", image.created.as_deref().unwrap_or_default());
    let config = &image.config;
    let words = |words: &Option<Vec<String>>| words.as_ref().map(|words| format!("{words:?}")).unwrap_or_default();
    let keys = |map: &Option<Map<serde_json::Value>>| {
        map.as_ref().map(|map| map.keys().cloned().collect::<Vec<_>>().join(" ")).unwrap_or_default()
    };
    field(text, "  ", "Entrypoint", &words(&config.entrypoint));
    field(text, "  ", "Cmd", &words(&config.cmd));
    for variable in config.env.iter().flatten() {
        field(text, "  ", "Env", variable);
    }
    field(text, "  ", "User", &config.user);
    field(text, "  ", "Workdir", &config.working_dir);
    field(text, "  ", "Ports", &keys(&config.exposed_ports));
    field(text, "  ", "Volumes", &keys(&config.volumes));
    field(text, "  ", "Stop signal", &config.stop_signal);
    let test = config.healthcheck.as_ref().map(|healthcheck| healthcheck.test.clone());
    field(text, "  ", "Healthcheck", &words(&test));
    field(text, "  ", "Shell", &words(&config.shell));
    field(text, "  ", "On build", &words(&config.on_build));
    pairs(text, "  ", "Labels", &config.labels.clone().unwrap_or_default());
    for layer in &image.layers {
        field(text, "  ", "Layer", &format!("{} {}", layer.digest, HumanBytes(layer.size)));
        field(text, "    ", "Type", &layer.media_type);
        field(text, "    ", "Diff ID", &layer.diff_id.map(|digest| digest.to_string()).unwrap_or_default());
        field(text, "    ", "By", layer.created_by.as_deref().unwrap_or_default());
    }
}

/// A line, unless there is nothing to say.
fn field(text: &mut String, indent: &str, name: &str, value: &str) {
    if !value.is_empty() {
        line(text, &format!("{indent}{name}:"), value);
    }
}

fn pairs(text: &mut String, indent: &str, name: &str, pairs: &Map<String>) {
    for (nth, (key, value)) in pairs.iter().enumerate() {
        let title = if nth == 0 { format!("{indent}{name}:") } else { String::new() };
        line(text, &title, &format!("{key}={value}"));
    }
}

fn line(text: &mut String, title: &str, value: &str) {
    // What ends a line or moves the cursor is the image's, not ours.
    let value = harmless(value).replace(['\n', '\t'], "\u{fffd}");
    let _ = writeln!(text, "{title:16} {value}"); // a String takes everything
}
