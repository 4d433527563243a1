//! What `build:` of a service asks for, as data: every key read, and its value checked.

use std::path::PathBuf;
use std::str::FromStr;

use super::model::Project;
use super::node::{NodeValue, YamlNode};
use super::paths::is_local;
use crate::error::{Error, ErrorKind, Result, suggestion};
use crate::oci::{Map, Platform, Reference};
use crate::plan::quantity::Size;
use crate::plan::{Entitlement, HostEntry, NamedAgent, NamedContext, ResourceLimit, RunNetwork, SecretSource};

/// One build, as the file says it.
#[derive(Debug, Clone)]
pub struct ServiceBuild {
    /// The service that it is for.
    pub service: String,
    /// The names that the image gets: `tags`, and `image` or the one that it has without.
    pub names: Vec<Reference>,
    /// A directory, whole, or a URL.
    pub context: String,
    /// Where the Dockerfile is, or what it says.
    pub dockerfile: ServiceDockerfile,
    /// `args`, those without a value that are not set left out.
    pub arguments: Map<String>,
    /// `labels`, and those that compose gives every image.
    pub labels: Map<String>,
    /// `additional_contexts` that are somewhere.
    pub contexts: Vec<NamedContext>,
    /// `additional_contexts` that are the images of other services: the name, and the service.
    pub service_contexts: Vec<(String, String)>,
    /// The stage.
    pub target: Option<String>,
    /// `platforms`, or the service's own.
    pub platforms: Vec<Platform>,
    /// `network`.
    pub network: Option<RunNetwork>,
    /// `extra_hosts`.
    pub hosts: Vec<HostEntry>,
    /// `shm_size`.
    pub shm_size: Option<Size>,
    /// `ulimits`.
    pub limits: Vec<ResourceLimit>,
    /// `secrets`, by the names that commands have for them. Where a variable is meant, it is one of the project's.
    pub secrets: Vec<(String, SecretSource)>,
    /// `ssh`.
    pub agents: Vec<NamedAgent>,
    /// `entitlements`, and what `privileged` stands for.
    pub entitlements: Vec<Entitlement>,
    /// `pull`.
    pub pull: bool,
    /// `no_cache`.
    pub no_cache: bool,
    /// `no_cache_filter`.
    pub no_cache_filter: Vec<String>,
    /// `cache_from`, as it is written.
    pub cache_from: Vec<String>,
    /// `cache_to`, as it is written.
    pub cache_to: Vec<String>,
    /// The keys that were given and that nothing is done about: `provenance`, `sbom`.
    pub ignored: Vec<&'static str>,
}

/// Where the Dockerfile of a service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceDockerfile {
    /// In a file: in one of this machine if its path is whole, else in a context from elsewhere.
    File(PathBuf),
    /// In the compose file.
    Inline(String),
}

/// The labels that compose gives every image that it builds.
const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";
const VERSION: &str = "com.docker.compose.version";

impl ServiceBuild {
    /// Reads the build of the service `name` of `project`, whose value is `service`; none if it has none. Fails for a value that
    /// is wrong; the error shows the line.
    pub(super) fn read(project: &Project, name: &str, service: &YamlNode) -> Result<Option<ServiceBuild>> {
        let Some(build) = service.get("build") else { return Ok(None) };
        let context = build.text_of("context").unwrap_or(".").to_owned();
        let (contexts, service_contexts) = contexts(project, build)?;
        let texts = |key: &str| build.values_of(key).iter().filter_map(YamlNode::text).map(str::to_owned).collect();
        let is_set = |key: &str| matches!(build.get(key).map(|node| &node.value), Some(NodeValue::Boolean(true)));
        let mut entitlements: Vec<Entitlement> = parsed_all(build.values_of("entitlements"))?;
        if is_set("privileged") {
            entitlements.push(Entitlement::SecurityInsecure);
        }
        let mut labels: Map<String> = pairs(build, "labels");
        labels.insert(PROJECT.to_owned(), project.name.clone());
        labels.insert(SERVICE.to_owned(), name.to_owned());
        labels.insert(VERSION.to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        let ignored = ["provenance", "sbom"].into_iter().filter(|key| is_asked(build, key)).collect();
        Ok(Some(ServiceBuild {
            names: names(project, name, service, build)?,
            dockerfile: dockerfile(build, &context)?,
            context,
            arguments: pairs(build, "args"),
            labels,
            contexts,
            service_contexts,
            target: build.text_of("target").map(str::to_owned),
            platforms: platforms(project, name, service, build)?,
            network: build.get("network").map(parsed).transpose()?,
            hosts: hosts(build)?,
            shm_size: build.get("shm_size").map(parsed).transpose()?,
            limits: limits(build)?,
            secrets: secrets(project, build)?,
            agents: parsed_all(build.values_of("ssh"))?,
            entitlements,
            pull: is_set("pull"),
            no_cache: is_set("no_cache"),
            no_cache_filter: texts("no_cache_filter"),
            cache_from: texts("cache_from"),
            cache_to: texts("cache_to"),
            ignored,
            service: name.to_owned(),
        }))
    }
}

/// Returns the name of the image of a service.
pub fn image_name(project: &str, service: &str, node: &YamlNode) -> String {
    node.text_of("image").map_or_else(|| format!("{project}-{service}"), str::to_owned)
}

/// Whether a key is there that asks for something.
fn is_asked(build: &YamlNode, key: &str) -> bool {
    build.get(key).is_some_and(|node| !matches!(node.text(), Some("false")))
}

/// Reads the text of `node`; the error shows its line.
fn parsed<T: FromStr<Err = Error>>(node: &YamlNode) -> Result<T> {
    let text = node.text().unwrap_or_default();
    text.parse().map_err(|error: Error| node.blame(Error { kind: ErrorKind::Input, ..error }))
}

fn parsed_all<T: FromStr<Err = Error>>(nodes: &[YamlNode]) -> Result<Vec<T>> {
    nodes.iter().map(parsed).collect()
}

fn pairs(build: &YamlNode, key: &str) -> Map<String> {
    build.entries_of(key).filter_map(|(key, node)| Some((key.clone(), node.text()?.to_owned()))).collect()
}

fn names(project: &Project, name: &str, service: &YamlNode, build: &YamlNode) -> Result<Vec<Reference>> {
    let mut names: Vec<Reference> = Vec::new();
    let image = service.get("image").cloned();
    let image = image.unwrap_or_else(|| service.with_text(image_name(&project.name, name, service)));
    for node in build.values_of("tags").iter().chain([&image]) {
        let name: Reference = parsed(node)?;
        if name.digest().is_some() {
            let error = Error::input("the name of an image to build cannot have a digest");
            return Err(node.blame(error.with_hint("leave out everything from the `@` on")));
        }
        let name = if name.tag().is_some() { name } else { name.with_tag("latest") };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

fn dockerfile(build: &YamlNode, context: &str) -> Result<ServiceDockerfile> {
    let Some(inline) = build.get("dockerfile_inline") else {
        let file = PathBuf::from(build.text_of("dockerfile").unwrap_or("Dockerfile"));
        return Ok(ServiceDockerfile::File(match is_local(context) {
            true => PathBuf::from(context).join(file),
            false => file,
        }));
    };
    if build.get("dockerfile").is_some() {
        return Err(inline.blame_key(Error::input("a build has both `dockerfile` and `dockerfile_inline`")));
    }
    Ok(ServiceDockerfile::Inline(inline.text().unwrap_or_default().to_owned()))
}

type AdditionalContexts = (Vec<NamedContext>, Vec<(String, String)>);

fn contexts(project: &Project, build: &YamlNode) -> Result<AdditionalContexts> {
    let (mut contexts, mut services) = (Vec::new(), Vec::new());
    for (name, node) in build.entries_of("additional_contexts") {
        let text = node.text().unwrap_or_default();
        let Some(service) = text.strip_prefix("service:") else {
            let blame = |error: Error| node.blame(Error { kind: ErrorKind::Input, ..error });
            contexts.push(format!("{name}={text}").parse::<NamedContext>().map_err(blame)?);
            continue;
        };
        let other = project.service(service);
        match other {
            None => {
                let error = node.blame(Error::not_found(format!("there is no service `{service}`")));
                return Err(match suggestion(service, project.service_names()) {
                    Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                    None => error,
                });
            }
            Some(other) if other.get("build").is_none() => {
                let error = Error::input(format!("the service `{service}` is not built"));
                return Err(node.blame(error.with_hint("name its image, with docker-image://NAME")));
            }
            Some(_) => services.push((name.clone(), service.to_owned())),
        }
    }
    Ok((contexts, services))
}

fn platforms(project: &Project, name: &str, service: &YamlNode, build: &YamlNode) -> Result<Vec<Platform>> {
    let mut platforms: Vec<Platform> = parsed_all(build.values_of("platforms"))?;
    let own = match (service.get("platform"), project.variables.get("DOCKER_DEFAULT_PLATFORM")) {
        (Some(node), _) => Some((parsed::<Platform>(node)?, node)),
        (None, Some(usual)) if !usual.is_empty() => Some((usual.parse()?, build)),
        _ => None,
    };
    if let Some((own, node)) = own {
        if platforms.is_empty() {
            platforms.push(own);
        } else if !platforms.contains(&own) {
            return Err(node
                .blame(Error::input(format!("the service `{name}` runs on {own}, and is not built for it")))
                .with_hint("add it to `platforms` of its build"));
        }
    }
    Ok(platforms)
}

fn hosts(build: &YamlNode) -> Result<Vec<HostEntry>> {
    let host = |node: &YamlNode| {
        let text = node.text().unwrap_or_default().replacen('=', ":", 1);
        text.parse().map_err(|error: Error| node.blame(Error { kind: ErrorKind::Input, ..error }))
    };
    build.values_of("extra_hosts").iter().map(host).collect()
}

fn limits(build: &YamlNode) -> Result<Vec<ResourceLimit>> {
    let limit = |(name, node): (&String, &YamlNode)| {
        let number = |key: &str| node.get(key).and_then(YamlNode::scalar);
        let text = match (node.scalar(), number("soft"), number("hard")) {
            (Some(both), _, _) => format!("{name}={both}"),
            (None, Some(soft), Some(hard)) => format!("{name}={soft}:{hard}"),
            _ => {
                let error =
                    Error::input(format!("the limit `{name}` is neither a number nor does it have `soft` and `hard`"));
                return Err(node.blame(error));
            }
        };
        text.parse().map_err(|error: Error| node.blame_key(Error { kind: ErrorKind::Input, ..error }))
    };
    build.entries_of("ulimits").map(limit).collect()
}

/// The secrets of a build; those that are not this project's are left out, as docker does.
fn secrets(project: &Project, build: &YamlNode) -> Result<Vec<(String, SecretSource)>> {
    let mut secrets = Vec::new();
    for node in build.values_of("secrets") {
        let source = node.text_of("source").unwrap_or_default();
        let Some(declared) = project.file.get("secrets").and_then(|secrets| secrets.get(source)) else {
            let error = node.blame(Error::not_found(format!("there is no secret `{source}` at the top of the file")));
            return Err(error.with_hint(format!("declare it: secrets: {{{source}: {{file: ./{source}.txt}}}}")));
        };
        let id = node.text_of("target").filter(|target| !target.is_empty()).unwrap_or(source).to_owned();
        let from = match (declared.text_of("environment"), declared.text_of("file")) {
            (Some(variable), _) => SecretSource::Variable(variable.to_owned()),
            (None, Some(file)) => SecretSource::File(PathBuf::from(file)),
            (None, None) => continue,
        };
        secrets.push((id, from));
    }
    Ok(secrets)
}
