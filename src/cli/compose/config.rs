//! `compose config`: what compose files say together, in the one form that compose has for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::find::{LeftAlone, ProjectFlags, read};
use crate::cli::environment::Environment;
use crate::cli::print::{answer_bytes, answer_lines, tell};
use crate::error::{Error, Result};
use crate::oci::{Digest, Reference};
use crate::plan::compose::{
    NamedVariable, NodeMapping, NodeValue, Project, YamlNode, image_name, project_json, project_yaml, raw_json,
    raw_variables, raw_yaml, service_line,
};
use crate::store::Store;
use crate::store::pending::PendingFile;

/// Show compose files merged into one
#[derive(Debug, Args)]
pub struct ComposeConfigArguments {
    /// Services that are shown, with those that they depend on [default: all]
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Show it as yaml or json
    #[arg(long, value_name = "FORMAT", value_parser = ["yaml", "json", "table"])]
    format: Option<String>,
    /// Write to FILE
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Only check the files
    #[arg(short, long)]
    quiet: bool,
    /// Leave variables as they are
    #[arg(long)]
    no_interpolate: bool,
    /// Leave paths as they are
    #[arg(long)]
    no_path_resolution: bool,
    /// Leave files of variables as they are
    #[arg(long)]
    no_env_resolution: bool,
    /// Do not check whether what is named exists
    #[arg(long)]
    no_consistency: bool,
    /// Do not fill in what the files leave out
    #[arg(long)]
    no_normalize: bool,
    /// Show names of images with the digests that registries have for them
    #[arg(long)]
    resolve_image_digests: bool,
    /// Show a file that overrides these with nothing but the digests of images
    #[arg(long)]
    lock_image_digests: bool,
    #[command(flatten)]
    question: ConfigQuestion,
}

/// The flags that ask for one thing alone.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct ConfigQuestion {
    /// List the services
    #[arg(long = "services")]
    lists_services: bool,
    /// List the images
    #[arg(long)]
    images: bool,
    /// List the volumes
    #[arg(long)]
    volumes: bool,
    /// List the networks
    #[arg(long)]
    networks: bool,
    /// List the models
    #[arg(long)]
    models: bool,
    /// List the profiles
    #[arg(long)]
    profiles: bool,
    /// List the variables that are available
    #[arg(long)]
    environment: bool,
    /// List the variables that the files name
    #[arg(long)]
    variables: bool,
    /// List a digest of the definition of each of these services; * for all
    #[arg(long, value_name = "SERVICES")]
    hash: Option<String>,
}

/// Answers with the project, or with what was asked about it.
pub fn run(arguments: &ComposeConfigArguments, flags: &ProjectFlags, environment: &Environment) -> Result<()> {
    let question = &arguments.question;
    let left = LeftAlone {
        variables: arguments.no_interpolate || question.variables,
        paths: arguments.no_path_resolution,
        is_unchecked: arguments.no_consistency,
        is_left_unsaid: arguments.no_normalize || flags.compatibility,
    };
    let mut project = flags.read(&arguments.services, left)?;
    if let Some(lines) = answer_to(question, &project, arguments, flags)? {
        return answer_lines(lines);
    }
    if !arguments.no_interpolate {
        let unset = |name: &str| {
            tell(&format!("warning: The \"{name}\" variable is not set. Defaulting to a blank string."));
        };
        let read = |path: &Path| read(path, &path.display().to_string());
        project.resolve_labels(&read, &unset)?;
        if !arguments.no_env_resolution {
            project.resolve_environments(&read, &unset)?;
        }
    }
    let mut told = match arguments.no_interpolate {
        true => project.file.clone(),
        false => project.told(&arguments.services, flags.all_resources)?,
    };
    if !arguments.no_interpolate && !arguments.no_consistency {
        check_container_names(&told)?;
    }
    if arguments.resolve_image_digests || arguments.lock_image_digests {
        resolve_images(&mut told, environment)?;
    }
    if arguments.lock_image_digests {
        told = images_alone(&told);
    }
    let text = match (arguments.format.as_deref(), arguments.no_interpolate) {
        (Some("json"), true) => raw_json(&told),
        (Some("json"), false) => project_json(&told),
        (_, true) => raw_yaml(&told),
        (_, false) => project_yaml(&told),
    };
    // What is read again is to come to the same.
    let text = if arguments.no_interpolate { text } else { text.replace('$', "$$") };
    match &arguments.output {
        _ if arguments.quiet => Ok(()),
        Some(path) => PendingFile::replace(path, text.as_bytes()),
        None => answer_bytes(text.as_bytes()),
    }
}

fn answer_to(
    question: &ConfigQuestion,
    project: &Project,
    arguments: &ComposeConfigArguments,
    flags: &ProjectFlags,
) -> Result<Option<Vec<String>>> {
    let owned = |names: Vec<&str>| Some(names.into_iter().map(str::to_owned).collect());
    let resources = |key: &str| -> Result<Option<Vec<String>>> {
        let told = project.told(&arguments.services, flags.all_resources)?;
        Ok(Some(told.entries_of(key).map(|(name, _)| name.clone()).collect()))
    };
    Ok(match question {
        ConfigQuestion { lists_services: true, .. } => owned(project.in_order()),
        ConfigQuestion { images: true, .. } => {
            let services = project.selected(&arguments.services, true)?;
            Some(services.into_iter().map(|(name, node)| image_name(&project.name, name, node)).collect())
        }
        ConfigQuestion { volumes: true, .. } => resources("volumes")?,
        ConfigQuestion { networks: true, .. } => resources("networks")?,
        ConfigQuestion { models: true, .. } => resources("models")?,
        ConfigQuestion { profiles: true, .. } => owned(project.profiles().into_iter().collect()),
        ConfigQuestion { environment: true, .. } => {
            Some(project.variables.iter().map(|(name, value)| format!("{name}={value}")).collect())
        }
        ConfigQuestion { variables: true, .. } => Some(variables(project, arguments.format.as_deref())),
        ConfigQuestion { hash: Some(names), .. } => Some(hashes(project, names)?),
        _ => None,
    })
}

/// Fails for two services with one name for their containers.
fn check_container_names(told: &YamlNode) -> Result<()> {
    let mut known = BTreeMap::new();
    for (service, node) in told.entries_of("services") {
        let Some(name) = node.get("container_name") else { continue };
        if let Some(other) = known.insert(name.text().unwrap_or_default(), service) {
            let error = format!("the services `{other}` and `{service}` have the same name for their containers");
            return Err(name.blame(Error::input(error)));
        }
    }
    Ok(())
}

/// The variables that the files name, as a table or as documents, in the forms that compose has for them.
fn variables(project: &Project, format: Option<&str>) -> Vec<String> {
    let variables = project.named_variables();
    let told = |text: &str| Value::from(text).to_string();
    match format {
        Some("json") => {
            let entry = |(name, variable): (&String, &NamedVariable)| {
                format!(
                    "    {}: {{\n        \"Name\": {},\n        \"DefaultValue\": {},\n        \"PresenceValue\": {},\n        \"Required\": {}\n    }}",
                    told(name),
                    told(name),
                    told(&variable.default),
                    told(&variable.alternate),
                    variable.is_required
                )
            };
            let entries: Vec<String> = variables.iter().map(entry).collect();
            let whole = format!("{{\n{}\n}}", entries.join(",\n"));
            whole.lines().map(str::to_owned).collect()
        }
        Some("yaml") => raw_variables(&variables).lines().map(str::to_owned).collect(),
        _ => {
            let heading = ["NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"].map(str::to_owned);
            let row = |(name, variable): (&String, &NamedVariable)| {
                let required = variable.is_required.to_string();
                [name.clone(), required, variable.default.clone(), variable.alternate.clone()]
            };
            let rows: Vec<[String; 4]> = [heading].into_iter().chain(variables.iter().map(row)).collect();
            let width = |column: usize| {
                let longest = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
                (longest + 3).max(20)
            };
            let widths = [width(0), width(1), width(2)];
            let line = |[name, required, default, alternate]: &[String; 4]| {
                format!("{name:0$}{required:1$}{default:2$}{alternate}", widths[0], widths[1], widths[2])
            };
            rows.iter().map(line).collect()
        }
    }
}

/// A digest for each service, which changes with what the service says.
fn hashes(project: &Project, names: &str) -> Result<Vec<String>> {
    let names: Vec<String> = match names {
        "*" => project.services().map(|(name, _)| name.to_owned()).collect(),
        names => names.split(',').map(str::to_owned).collect(),
    };
    let mut lines = Vec::new();
    for (name, service) in project.selected(&names, false)? {
        let digest = Digest::of(service_line(service).as_bytes());
        lines.push(format!("{name} {}", digest.hex()));
    }
    Ok(lines)
}

/// Services with their images and nothing else.
fn images_alone(told: &YamlNode) -> YamlNode {
    let image = |(name, service): (&String, &YamlNode)| {
        let image = service.get("image")?.clone();
        Some((name.clone(), service.with_entries([("image", image)])))
    };
    let services: NodeMapping = told.entries_of("services").filter_map(image).collect();
    told.with_entries([("services", told.with(NodeValue::Mapping(services)))])
}

/// Gives the names of images the digests that they stand for now.
fn resolve_images(told: &mut YamlNode, environment: &Environment) -> Result<()> {
    let client = environment.client(false, 0);
    let services = told.mapping_mut().and_then(|mapping| mapping.get_mut("services")).and_then(YamlNode::mapping_mut);
    for service in services.into_iter().flat_map(NodeMapping::values_mut) {
        let Some(image) = service.get("image").cloned() else { continue };
        let text = image.text().unwrap_or_default();
        let name: Reference = text.parse().map_err(|error: Error| image.blame(error))?;
        if name.digest().is_some() {
            continue;
        }
        let asked = if name.tag().is_some() { name } else { name.with_tag("latest") };
        let root = client.client()?.mirrored(&asked, &|_| ())?.resolve(None)?;
        if let Some(mapping) = service.mapping_mut() {
            mapping.insert("image".to_owned(), image.with_text(asked.with_digest(root.digest).to_string()));
        }
    }
    Ok(())
}
