//! `ocibake inspect`: what is inside an image.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::bytes::HumanBytes;
use super::environment::Environment;
use super::flags::value::value;
use super::format::Format;
use super::image::chosen::chosen;
use super::print::{answer_bytes, answer_json, answer_lines, show};
use super::progress::Reporter;
use crate::error::{Error, Result};
use crate::inspect::{ImageReport, Report, report};
use crate::oci::{Healthcheck, Map, Platform, from_json};
use crate::progress::{Event, Progress};
use crate::registry::OnDemand;
use crate::store::read_document;

/// Show what is inside images
#[derive(Debug, Args)]
pub struct InspectArguments {
    /// Images: a name, or oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME]
    ///
    /// A file or a directory that is there is an archive of either kind or an OCI layout; of one that holds several images all
    /// are shown. A name is looked for in the local store, and then in its registry.
    #[arg(value_name = "REF", required = true)]
    images: Vec<String>,
    /// Show only the image of this platform
    #[arg(long, value_name = "PLATFORM", value_parser = value::<Platform>)]
    platform: Option<Platform>,
    /// Show the fields of the JSON as a Go template says, such as '{{.digest}}' or '{{json .images}}'
    #[arg(short, long, value_name = "FORMAT", value_parser = value::<Format>, conflicts_with = "json")]
    format: Option<Format>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print the index or manifest as it is, byte for byte
    #[arg(long, conflicts_with_all = ["json", "format"])]
    raw: bool,
    /// Allow plain HTTP, and TLS certificates that cannot be verified
    #[arg(long)]
    insecure: bool,
}

/// Answers with what is inside images. One that cannot be read does not keep the others.
pub fn run(arguments: &InspectArguments, environment: &Environment) -> Result<()> {
    let client = environment.client(arguments.insecure, 0);
    let reporter = Reporter::aside();
    let progress = |event: Event<'_>| reporter.report(event);
    if arguments.raw {
        let [image] = &arguments.images[..] else {
            return Err(Error::usage("--raw shows one image").with_hint("show several with --json"));
        };
        let (store, root) = environment.location(image)?.open(&client, &progress)?;
        let root = match &arguments.platform {
            Some(platform) => chosen(store.as_ref(), image, &root, Some(platform))?.0,
            None => root,
        };
        let document = read_document(store.as_ref(), &root)?;
        from_json::<Value>(&root.digest.to_string(), &document)?;
        reporter.finish();
        return answer_bytes(&document);
    }
    let (mut reports, mut errors) = (Vec::new(), Vec::new());
    for image in &arguments.images {
        match reports_of(image, arguments, environment, (&client, &progress)) {
            Ok(found) => reports.extend(found),
            Err(error) => errors.push(error),
        }
    }
    reporter.finish();
    if errors.len() < arguments.images.len() {
        answer_with(&reports, arguments)?;
    }
    let last = errors.pop();
    errors.iter().for_each(show);
    last.map_or(Ok(()), Err)
}

/// Returns what is inside of what `image` refers to: several images, where they lie in one place and none is named.
fn reports_of(
    image: &str,
    arguments: &InspectArguments,
    environment: &Environment,
    (client, progress): (&OnDemand, Progress<'_>),
) -> Result<Vec<Report>> {
    let location = environment.location(image)?;
    let mut reports = Vec::new();
    if location.path().is_some() {
        let found = location.find(client, progress)?;
        for listed in &found.images {
            let all = listed.names.iter().map(ToString::to_string).chain(listed.short_names.iter().cloned());
            let names = if found.images.len() > 1 { all.collect() } else { Vec::new() };
            reports.push(Report { names, ..report(found.store.as_ref(), &listed.root)? });
        }
    }
    if reports.is_empty() {
        let (store, root) = location.open(client, progress)?;
        reports.push(report(store.as_ref(), &root)?);
    }
    if let Some(platform) = &arguments.platform {
        let all: BTreeSet<String> = platforms(&reports);
        reports.iter_mut().for_each(|report| keep(report, platform));
        reports.retain(|report| !report.images.is_empty());
        if reports.is_empty() {
            return Err(Error::not_found(format!("{image} has no image for {platform}"))
                .with_hint(format!("it has {}", all.into_iter().collect::<Vec<_>>().join(", "))));
        }
    }
    Ok(reports)
}

fn platforms(reports: &[Report]) -> BTreeSet<String> {
    reports.iter().flat_map(|report| &report.images).map(|image| image.platform.clone()).collect()
}

/// Leaves in a report the image that fits `platform` best.
fn keep(report: &mut Report, platform: &Platform) {
    let fit = |image: &ImageReport| platform.fit(&image.platform.parse().ok()?);
    let best = report.images.iter().filter_map(fit).min();
    let mut is_first = true;
    report.images.retain(|image| best.is_some() && fit(image) == best && std::mem::take(&mut is_first));
    report.others.clear();
}

fn answer_with(reports: &[Report], arguments: &InspectArguments) -> Result<()> {
    if let Some(format) = &arguments.format {
        return answer_lines(format.lines(reports, &[])?);
    }
    match reports {
        [only] if arguments.json && arguments.images.len() == 1 => answer_json(only),
        _ if arguments.json => answer_json(&reports),
        _ => {
            let several = reports.iter().map(lines).collect::<Vec<_>>();
            answer_lines(several.join(&String::new()))
        }
    }
}

fn lines(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    report.names.iter().for_each(|name| field(&mut lines, "", "Name", name));
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
    if let Some(healthcheck) = &config.healthcheck {
        let Healthcheck { interval, timeout, start_period, start_interval, .. } = healthcheck;
        field(lines, "    ", "Interval", &span(*interval));
        field(lines, "    ", "Timeout", &span(*timeout));
        field(lines, "    ", "Start period", &span(*start_period));
        field(lines, "    ", "Start interval", &span(*start_interval));
        let retries = Some(healthcheck.retries).filter(|retries| *retries > 0);
        field(lines, "    ", "Retries", &retries.map(|retries| retries.to_string()).unwrap_or_default());
    }
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

/// Returns a number of nanoseconds in the largest unit that has it; nothing for what is not said.
fn span(nanoseconds: u64) -> String {
    if nanoseconds == 0 { String::new() } else { format!("{:?}", Duration::from_nanos(nanoseconds)) }
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
