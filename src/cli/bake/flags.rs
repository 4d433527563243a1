//! The flags of `bake`.

use std::path::PathBuf;

use clap::Args;

use super::list::ListQuestion;
use super::release::BakeReleaseFlags;
use super::shards::ShardFlags;
use crate::cli::build::Call;
use crate::cli::flags::cache::SharedCacheFlags;
use crate::cli::flags::value::{on_or_off, value};
use crate::cli::progress::ProgressFlags;
use crate::cli::timings::TimingsFlags;
use crate::output::Output;
use crate::plan::bake::AttestEntry;

/// Build the targets of bake files (HCL, JSON) and of compose files, or the images of an ocibake.toml
#[derive(Debug, Args)]
pub struct BakeArguments {
    /// Targets and groups to build; * and ? in a name stand for anything [default: default]. The URL of a repository or an
    /// archive with the files, and that of the context, may come before them
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
    /// Bake file, compose file or table of images (*.toml), later ones override earlier ones; - is standard input [default:
    /// compose.yaml, docker-compose.yml, docker-bake.json, docker-bake.hcl and overrides of these, all that are there, else
    /// ocibake.toml]
    #[arg(short, long, value_name = "FILE")]
    pub file: Vec<String>,
    /// Set a variable of the files
    #[arg(long, value_name = "NAME=VALUE")]
    pub var: Vec<String>,
    /// File of variables; the environment overrides them
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<String>,
    /// Change targets, as in app.args.VERSION=1.2, *.platform=linux/arm64 and app.tags+=NAME
    #[arg(long, value_name = "TARGET.KEY[+]=VALUE")]
    pub set: Vec<String>,
    /// Show what would be built, as a bake file in JSON
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = on_or_off)]
    pub print: Option<bool>,
    /// List what the files define: targets or variables; with type=TYPE,format=json as JSON
    #[arg(long, value_name = "TYPE", value_parser = value::<ListQuestion>)]
    list: Option<ListQuestion>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = on_or_off)]
    list_targets: Option<bool>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = on_or_off)]
    list_variables: Option<bool>,
    /// Push images, unless a target has outputs of another kind
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = on_or_off)]
    pub push: Option<bool>,
    /// Load images into an engine, unless a target has outputs of another kind
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = on_or_off)]
    pub load: Option<bool>,
    /// Run every command, and use nothing from earlier builds
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = on_or_off)]
    pub no_cache: Option<bool>,
    /// Always ask registries what the tags of bases stand for
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = on_or_off)]
    pub pull: Option<bool>,
    /// Ask about the Dockerfiles: check, outline (what they take) or targets (their stages)
    #[arg(long, value_name = "METHOD", value_parser = value::<Call>)]
    pub call: Option<Call>,
    /// Only check the Dockerfiles for mistakes
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = on_or_off)]
    pub check: Option<bool>,
    /// Allow builds to do more than usual: network.host, security.insecure, ssh, fs=PATH, fs.read=PATH, fs.write=PATH
    #[arg(long, value_name = "ENTITLEMENT")]
    pub allow: Vec<String>,
    /// Write the digests of what was built to a file
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<PathBuf>,
    /// Write a line NAME@DIGEST for each image to FILE
    #[arg(long, value_name = "FILE")]
    pub image_refs: Option<PathBuf>,
    /// Give images the health checks of their services
    #[arg(long)]
    pub bake_healthchecks: bool,
    /// Write all images together to FILE (OCI archive), DIR/ (OCI layout) or - (docker archive), beside their own outputs
    #[arg(short, long, value_name = "OUTPUT", value_parser = value::<Output>)]
    pub output: Vec<Output>,
    /// Threads, and uploads at a time [default: one per core, at most 16]
    #[arg(short, long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub jobs: usize,
    /// Allow plain HTTP, and TLS certificates that cannot be verified
    #[arg(long)]
    pub insecure: bool,
    #[arg(long, hide = true)]
    pub provenance: Option<String>,
    #[arg(long, hide = true)]
    pub sbom: Option<String>,
    #[arg(long, hide = true)]
    policy: Vec<String>,
    #[arg(long, hide = true)]
    builder: Option<String>,
    #[arg(short = 'D', long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = on_or_off)]
    debug: Option<bool>,
    #[command(flatten)]
    pub caches: SharedCacheFlags,
    #[command(flatten)]
    pub progress: ProgressFlags,
    #[command(flatten)]
    pub timings: TimingsFlags,
    #[command(flatten)]
    pub release: BakeReleaseFlags,
    #[command(flatten)]
    pub shards: ShardFlags,
    /// The command is docker's: what docker lets pass is let pass.
    #[arg(skip)]
    pub is_dockers: bool,
}

impl BakeArguments {
    /// Returns how the command shows progress.
    pub fn progress(&self) -> ProgressFlags {
        self.progress.clone()
    }

    /// Lets pass what docker lets pass.
    pub fn in_dockers_words(&mut self) {
        self.is_dockers = true;
    }

    /// Returns whether targets are printed and not built.
    pub fn is_printed(&self) -> bool {
        self.print == Some(true)
    }

    /// Returns what is listed.
    pub fn list(&self) -> Option<ListQuestion> {
        let old = |is_on: Option<bool>, question: ListQuestion| (is_on == Some(true)).then_some(question);
        let targets = || old(self.list_targets, ListQuestion::targets());
        self.list.or_else(targets).or_else(|| old(self.list_variables, ListQuestion::variables()))
    }

    /// Returns the first flag that says what is built and where it goes, if there is one.
    pub fn says_what(&self) -> Option<&'static str> {
        let given = [
            ("TARGET", !self.targets.is_empty()),
            ("-f", !self.file.is_empty()),
            ("--var", !self.var.is_empty()),
            ("--set", !self.set.is_empty()),
            ("--push", self.push.is_some()),
            ("--no-cache", self.no_cache.is_some()),
            ("--pull", self.pull.is_some()),
            ("--sbom", self.sbom.is_some()),
            ("--provenance", self.provenance.is_some()),
            ("--tag", self.release.is_named()),
            ("--immutable", self.release.is_immutable()),
        ];
        given.into_iter().find(|(_, is_given)| *is_given).map(|(name, _)| name).or_else(|| self.says_elsewhere())
    }

    /// Returns the first flag that has something else done than a push, if there is one.
    pub fn says_elsewhere(&self) -> Option<&'static str> {
        let given = [
            ("--load", self.load == Some(true)),
            ("--print", self.is_printed()),
            ("--list", self.list().is_some()),
            ("--call", self.called().is_some()),
            ("-o", !self.output.is_empty()),
            ("--bake-healthchecks", self.bake_healthchecks),
            ("--dry-run", self.release.is_dry_run()),
        ];
        given.into_iter().find(|(_, is_given)| *is_given).map(|(name, _)| name)
    }

    /// Returns the changes of targets that flags of their own stand for, as `--set` has them.
    pub fn overrides(&self) -> Vec<String> {
        let mut all = self.set.clone();
        let mut set = |key: &str, value: Option<String>| all.extend(value.map(|value| format!("*.{key}={value}")));
        let is_pushed = self.push == Some(true) || self.release.is_dry_run();
        set("push", is_pushed.then(|| true.to_string()));
        set("load", (self.load == Some(true)).then(|| true.to_string()));
        set("call", self.called().and_then(|call| call.method()).map(str::to_owned));
        set("no-cache", self.no_cache.map(|is_on| is_on.to_string()));
        set("pull", self.pull.map(|is_on| is_on.to_string()));
        for (kind, text) in [("sbom", &self.sbom), ("provenance", &self.provenance)] {
            let text = text.as_deref().filter(|text| !text.is_empty());
            set("attest", text.map(|text| AttestEntry::text_of_flag(kind, text)));
        }
        all
    }

    /// Returns what is asked in the place of builds.
    pub fn called(&self) -> Option<Call> {
        if self.check == Some(true) { Some(Call::check()) } else { self.call }
    }
}
