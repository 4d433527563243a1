//! The flags that say what ocibake.toml says.

use clap::Args;

use super::value::flag;
use crate::error::{Error, Result};
use crate::oci::Healthcheck;
use crate::plan::{self, AddSpec, LayerSpec, Spec, annotation, setting};

/// Every key of ocibake.toml as a flag, with the same syntax. Given over a spec, a list replaces the spec's and a map
/// is merged into it; adds come as one more layer on top.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Image")]
pub struct SpecFlags {
    /// Add files; options are mode=MODE, owner=UID[:GID] and exclude=PATTERN
    #[arg(long, value_name = "SRC:DST[:OPTIONS]")]
    add: Vec<String>,
    /// Base image, or scratch
    #[arg(long, value_name = "IMAGE")]
    base: Option<String>,
    /// Platforms to build for, such as linux/amd64,linux/arm64
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub platform: Vec<String>,
    /// Write an index even for one platform
    #[arg(long)]
    pub index: bool,
    /// Set a label
    #[arg(long, value_name = "KEY[=VALUE]")]
    pub label: Vec<String>,
    /// Set an annotation on manifests and index, or on one of the two: index:KEY=VALUE, manifest:KEY=VALUE
    ///
    /// `manifest[PLATFORM]:` means the manifest of one platform. `index-descriptor:` and `manifest-descriptor[PLATFORM]:` mean
    /// what points to them. Separate several of these with commas.
    #[arg(long, value_name = "KEY=VALUE")]
    pub annotation: Vec<String>,
    /// Entrypoint of containers: one word, or a JSON list of words
    #[arg(long, value_name = "WORDS")]
    entrypoint: Option<String>,
    /// Command of containers: one word, or a JSON list of words
    #[arg(long, value_name = "WORDS")]
    cmd: Option<String>,
    /// Set an environment variable
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// User that containers run as
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Working directory of containers
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Port that containers listen on, such as 8080, 53/udp or 8000-8002
    #[arg(long, value_name = "PORT")]
    expose: Vec<String>,
    /// Directory to mount a volume on
    #[arg(long, value_name = "DIR")]
    volume: Vec<String>,
    /// Signal that stops a container
    #[arg(long, value_name = "SIGNAL")]
    stop_signal: Option<String>,
    /// Shell for commands in shell form, as a JSON list of words
    #[arg(long, value_name = "WORDS")]
    shell: Option<String>,
    /// Instruction for builds on top of this image
    #[arg(long, value_name = "INSTRUCTION")]
    on_build: Vec<String>,
    /// Health check: a command for the shell, or a JSON list of words
    #[arg(long, value_name = "COMMAND")]
    health_cmd: Option<String>,
    /// Time between two checks, such as 30s or 1m30s
    #[arg(long, value_name = "DURATION", requires = "health_cmd")]
    health_interval: Option<String>,
    /// Longest time that a check may take
    #[arg(long, value_name = "DURATION", requires = "health_cmd")]
    health_timeout: Option<String>,
    /// Time to start, in which failures do not count
    #[arg(long, value_name = "DURATION", requires = "health_cmd")]
    health_start_period: Option<String>,
    /// Time between two checks while starting
    #[arg(long, value_name = "DURATION", requires = "health_cmd")]
    health_start_interval: Option<String>,
    /// Failures in a row that make a container unhealthy
    #[arg(long, value_name = "COUNT", requires = "health_cmd")]
    health_retries: Option<u64>,
    /// No health check, even if the base has one
    #[arg(long, conflicts_with = "health_cmd")]
    no_healthcheck: bool,
    /// A health check that comes from elsewhere, in the place of all that says one.
    #[arg(skip)]
    pub given_healthcheck: Option<Healthcheck>,
}

impl SpecFlags {
    /// Takes `platform` for the one to build for, where none is named.
    pub fn usual_platform(&mut self, platform: Option<&str>) {
        if self.platform.is_empty() {
            self.platform.extend(platform.map(str::to_owned));
        }
    }

    /// Returns whether they alone say what to build.
    pub fn add_files(&self) -> bool {
        !self.add.is_empty()
    }

    /// Returns whether they say what the image stands on.
    pub fn names_base(&self) -> bool {
        self.base.is_some()
    }

    /// Refuses `--base` where something else says what the image stands on.
    pub fn refuse_base(&self) -> Result<()> {
        match &self.base {
            Some(_) => Err(Error::usage("--base is not for Dockerfiles").with_hint("its FROM names the base")),
            None => Ok(()),
        }
    }

    /// Lays the flags over `spec`. Fails for a flag whose value is wrong, which the error names.
    pub fn overlay(&self, spec: &mut Spec) -> Result<()> {
        if let Some(base) = &self.base {
            spec.base = plan::base(base).map_err(flag("base"))?;
        }
        if !self.platform.is_empty() {
            spec.platforms = setting::platforms(&self.platform.join(",")).map_err(flag("platform"))?;
        }
        if self.index {
            spec.index = Some(true);
        }
        if !self.add.is_empty() {
            let adds = self.add.iter().map(|add| AddSpec::from_flag(add)).collect::<Result<_>>();
            spec.layers.push(LayerSpec { name: None, adds: adds.map_err(flag("add"))? });
        }
        for label in &self.label {
            // Docker takes a label without a value for one with an empty one.
            let label = if label.contains('=') { label.clone() } else { format!("{label}=") };
            setting::set_pair(&mut spec.labels, &label).map_err(flag("label"))?;
        }
        for text in &self.annotation {
            annotation::set(&mut spec.annotations, &mut spec.placed_annotations, text).map_err(flag("annotation"))?;
        }
        self.overlay_settings(spec)
    }

    fn overlay_settings(&self, spec: &mut Spec) -> Result<()> {
        let settings = &mut spec.config;
        let words = |name, text: &Option<String>| text.as_deref().map(setting::words).transpose().map_err(flag(name));
        settings.entrypoint = words("entrypoint", &self.entrypoint)?.or(settings.entrypoint.take());
        settings.cmd = words("cmd", &self.cmd)?.or(settings.cmd.take());
        settings.shell = words("shell", &self.shell)?.or(settings.shell.take());
        for variable in &self.env {
            setting::set_variable(settings, variable).map_err(flag("env"))?;
        }
        if let Some(user) = &self.user {
            settings.user = setting::user(user).map_err(flag("user"))?;
        }
        if let Some(workdir) = &self.workdir {
            settings.working_dir = setting::absolute(workdir).map_err(flag("workdir"))?;
        }
        if !self.expose.is_empty() {
            settings.exposed_ports = None;
        }
        for port in &self.expose {
            setting::expose(settings, port).map_err(flag("expose"))?;
        }
        if !self.volume.is_empty() {
            settings.volumes = None;
        }
        for volume in &self.volume {
            setting::add_volume(settings, volume).map_err(flag("volume"))?;
        }
        if let Some(signal) = &self.stop_signal {
            settings.stop_signal = setting::stop_signal(signal).map_err(flag("stop-signal"))?;
        }
        if !self.on_build.is_empty() {
            settings.on_build = Some(self.on_build.clone());
        }
        if let Some(healthcheck) = self.healthcheck()? {
            settings.healthcheck = Some(healthcheck);
        }
        Ok(())
    }

    fn healthcheck(&self) -> Result<Option<Healthcheck>> {
        if let Some(given) = &self.given_healthcheck {
            return Ok(Some(given.clone()));
        }
        if self.no_healthcheck {
            return Ok(Some(Healthcheck { test: vec!["NONE".to_owned()], ..Healthcheck::default() }));
        }
        let Some(command) = &self.health_cmd else { return Ok(None) };
        // As docker has it: a list is run as it is, anything else by the shell.
        let is_list = command.trim_start().starts_with('[');
        let kind = if is_list { "CMD" } else { "CMD-SHELL" };
        let mut test = vec![kind.to_owned()];
        test.extend(setting::words(command).map_err(flag("health-cmd"))?);
        let duration = |name, text: &Option<String>| {
            text.as_deref().map_or(Ok(0), |text| setting::duration(text).map_err(flag(name)))
        };
        Ok(Some(Healthcheck {
            test: setting::health_test(test).map_err(flag("health-cmd"))?,
            interval: duration("health-interval", &self.health_interval)?,
            timeout: duration("health-timeout", &self.health_timeout)?,
            start_period: duration("health-start-period", &self.health_start_period)?,
            start_interval: duration("health-start-interval", &self.health_start_interval)?,
            retries: self.health_retries.unwrap_or(0),
        }))
    }
}
