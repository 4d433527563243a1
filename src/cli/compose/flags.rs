//! A service's `build:`, as the flags that a build has.

use std::path::PathBuf;

use clap::Args;

use crate::cli::flags::base::{BaseFlags, PullFlag};
use crate::cli::flags::build::BuildFlags;
use crate::cli::flags::cache::SharedCacheFlags;
use crate::cli::flags::output::OutputFlags;
use crate::cli::flags::recipe::RecipeFlags;
use crate::cli::flags::run::RunFlags;
use crate::cli::flags::spec::SpecFlags;
use crate::cli::flags::value::on_or_off;
use crate::error::{Error, Result};
use crate::oci::Reference;
use crate::plan::compose::{Project, ServiceBuild, ServiceDockerfile};
use crate::plan::{ContextPlace, NamedAgent, NamedContext, SecretSource};
use crate::source::base::Pull;

/// The flags that change what every service is built with.
#[derive(Debug, Args)]
pub struct ServiceFlags {
    /// Give an ARG of the Dockerfiles a value; without one, that of the variable of this name
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub build_arg: Vec<String>,
    /// Push images that have a name of their own
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = on_or_off)]
    push: Option<bool>,
    /// Always ask registries what the tags of bases stand for
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = on_or_off)]
    pub pull: Option<bool>,
    /// Run every command, and use nothing from earlier builds
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = on_or_off)]
    pub no_cache: Option<bool>,
    /// Give an SSH agent: default, or a name and its socket or keys
    #[arg(long, value_name = "ID[=SOCKET|KEY]")]
    pub ssh: Vec<String>,
    /// Give images the health checks of their services
    #[arg(long)]
    bake_healthchecks: bool,
    #[command(flatten)]
    caches: SharedCacheFlags,
}

impl ServiceFlags {
    /// Returns whether images are pushed that have a name.
    pub fn is_pushed(&self) -> bool {
        self.push == Some(true)
    }
}

/// One build of a project, as a build of the command line has it.
pub struct ServiceRequest {
    pub service: String,
    pub context: PathBuf,
    pub build: BuildFlags,
    pub output: OutputFlags,
    pub names: Vec<Reference>,
    /// The Dockerfile, if it stands in the compose file.
    pub dockerfile: Option<String>,
    /// The tag that was named; a version in it becomes the image's.
    pub tag: Option<String>,
    /// It has a name of its own to be pushed under.
    pub has_image: bool,
    /// What is to be said before.
    pub warnings: Vec<String>,
}

impl ServiceRequest {
    /// Returns what `build` of `project` comes to with the flags of the command line. `others` are the builds of the project.
    pub fn new(build: &ServiceBuild, project: &Project, others: &[ServiceBuild], own: &ServiceFlags) -> Result<Self> {
        let (file, dockerfile) = match &build.dockerfile {
            ServiceDockerfile::File(file) => (file.clone(), None),
            ServiceDockerfile::Inline(text) => (PathBuf::from("-"), Some(text.clone())),
        };
        let build_context = contexts(build, others)?;
        let arguments = build.arguments.iter().map(|(name, value)| format!("{name}={value}"));
        let given = own.build_arg.iter().filter_map(|text| match text.contains('=') {
            true => Some(text.clone()),
            false => project.variables.get(text).map(|value| format!("{text}={value}")),
        });
        let recipe = RecipeFlags {
            file: Some(file),
            target: build.target.clone(),
            build_arg: arguments.chain(given).collect(),
            build_context,
            git_args: None,
            prefers_dockerfile: true,
        };
        let mut spec = SpecFlags::default();
        spec.platform = build.platforms.iter().map(ToString::to_string).collect();
        spec.label = build.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        if own.bake_healthchecks {
            spec.given_healthcheck = project.healthcheck_of(&build.service)?;
        }
        let is_pulled = build.pull || own.pull == Some(true);
        let pull = PullFlag { pull: is_pulled.then_some(Pull::Always) };
        let (mut output, mut warnings) = (OutputFlags::default(), Vec::new());
        let mut not_used = |key: &str, taken: Result<()>| {
            if let Err(error) = taken {
                warnings.push(format!("`{key}` of the service {} is not used: {}", build.service, error.message));
            }
        };
        output.cache.shared = own.caches.clone();
        for text in &build.cache_from {
            not_used("cache_from", output.cache.take_from(text));
        }
        for text in &build.cache_to {
            not_used("cache_to", output.cache.put_to(text));
        }
        warnings.extend(
            build.ignored.iter().map(|key| format!("`{key}` of the service {} changes nothing here", build.service)),
        );
        let image = project.service(&build.service).and_then(|service| service.text_of("image"));
        let tag = build.names.iter().filter_map(Reference::tag).find(|tag| *tag != "latest").map(str::to_owned);
        Ok(ServiceRequest {
            service: build.service.clone(),
            context: PathBuf::from(&build.context),
            build: BuildFlags {
                recipe,
                run: run(build, own)?,
                base: BaseFlags { pull, ..BaseFlags::default() },
                spec,
                ..BuildFlags::default()
            },
            output,
            names: build.names.clone(),
            dockerfile,
            tag,
            has_image: image.is_some(),
            warnings,
        })
    }
}

fn run(build: &ServiceBuild, own: &ServiceFlags) -> Result<RunFlags> {
    let agents = own.ssh.iter().map(|text| text.parse::<NamedAgent>().map_err(Error::on_command_line));
    let mut ssh = build.agents.clone();
    for agent in agents {
        let agent = agent?;
        ssh.retain(|known| known.id != agent.id);
        ssh.push(agent);
    }
    let mut run = RunFlags::default();
    run.network = build.network;
    run.add_host = build.hosts.clone();
    run.shm_size = build.shm_size;
    run.ulimit = build.limits.clone();
    run.secret = secrets(build);
    run.ssh = ssh;
    run.allow = build.entitlements.clone();
    run.no_cache = Some(build.no_cache || own.no_cache == Some(true));
    run.no_cache_filter = build.no_cache_filter.clone();
    Ok(run)
}

/// Returns the secrets of a build as their flag has them.
fn secrets(build: &ServiceBuild) -> Vec<String> {
    build.secrets.iter().map(secret).collect()
}

fn secret((id, source): &(String, SecretSource)) -> String {
    let fields = match source {
        SecretSource::Variable(name) => [format!("id={id}"), format!("env={name}")],
        SecretSource::File(path) => [format!("id={id}"), format!("src={}", path.display())],
    };
    let quoted = |field: String| match field.contains(['"', ',']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field,
    };
    fields.map(quoted).join(",")
}

/// The contexts of a build. The image of another service is that which is built with it.
fn contexts(build: &ServiceBuild, others: &[ServiceBuild]) -> Result<Vec<NamedContext>> {
    let mut contexts = build.contexts.clone();
    for (name, service) in &build.service_contexts {
        if !others.iter().any(|other| other.service == *service) {
            return Err(Error::not_found(format!("the service `{service}` is not built")));
        }
        contexts.push(NamedContext { place: ContextPlace::Target(service.clone()), ..format!("{name}=.").parse()? });
    }
    Ok(contexts)
}
