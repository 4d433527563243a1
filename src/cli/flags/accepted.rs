//! Docker's flags that mean nothing here, and those that nothing here can do.

use clap::Args;

use super::value::on_or_off;
use crate::error::{Error, Result};

/// Flags of `docker build` and `docker buildx build` that are taken and change nothing: what they set does not exist here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct AcceptedFlags {
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = on_or_off)]
    rm: Option<bool>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = on_or_off)]
    force_rm: Option<bool>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = on_or_off)]
    compress: Option<bool>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = on_or_off)]
    disable_content_trust: Option<bool>,
    #[arg(long, short = 'D', hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = on_or_off)]
    debug: Option<bool>,
    #[arg(long, short, hide = true)]
    memory: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    memory_swap: Option<String>,
    #[arg(long, hide = true)]
    cpu_period: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    cpu_quota: Option<String>,
    #[arg(long, short, hide = true)]
    cpu_shares: Option<String>,
    #[arg(long, hide = true)]
    cpuset_cpus: Option<String>,
    #[arg(long, hide = true)]
    cpuset_mems: Option<String>,
    #[arg(long, hide = true)]
    cgroup_parent: Option<String>,
    #[arg(long, hide = true)]
    builder: Option<String>,
    #[arg(long, hide = true)]
    security_opt: Vec<String>,
    #[arg(long, hide = true)]
    provenance: Option<String>,
    #[arg(long, hide = true)]
    sbom: Option<String>,
    #[arg(long, hide = true)]
    attest: Vec<String>,
    #[arg(long, hide = true)]
    policy: Vec<String>,
}

impl AcceptedFlags {
    /// Refuses what is not done here, so that nobody takes it for done.
    pub fn check(&self) -> Result<()> {
        let is_wanted = |value: &Option<String>| {
            value.as_deref().is_some_and(|value| !matches!(value, "false" | "0" | "disabled=true"))
        };
        let attestation = |kind: &str| {
            self.attest.iter().find(|text| {
                let fields: Vec<&str> = text.split(',').collect();
                fields.contains(&format!("type={kind}").as_str()) && !fields.contains(&"disabled=true")
            })
        };
        if is_wanted(&self.provenance) || attestation("provenance").is_some() {
            return Err(refused(
                "--provenance",
                "ocibake does not write provenance",
                "leave it out, or write --provenance=false",
            ));
        }
        if is_wanted(&self.sbom) || attestation("sbom").is_some() {
            return Err(refused(
                "--sbom",
                "ocibake does not write an SBOM",
                "leave it out, or make one of the image with another tool",
            ));
        }
        if !self.policy.is_empty() {
            return Err(refused("--policy", "ocibake does not read policies", "leave it out"));
        }
        if self.security_opt.iter().any(|option| option.starts_with("seccomp")) {
            return Err(refused(
                "--security-opt",
                "ocibake always gives commands docker's filter of system calls",
                "leave it out",
            ));
        }
        Ok(())
    }

    /// Returns the flags that were given and change nothing.
    pub fn given(&self) -> Vec<&'static str> {
        let given = [
            ("--rm", self.rm.is_some()),
            ("--force-rm", self.force_rm.is_some()),
            ("--compress", self.compress.is_some()),
            ("--disable-content-trust", self.disable_content_trust.is_some()),
            ("--debug", self.debug.is_some()),
            ("--memory", self.memory.is_some()),
            ("--memory-swap", self.memory_swap.is_some()),
            ("--cpu-period", self.cpu_period.is_some()),
            ("--cpu-quota", self.cpu_quota.is_some()),
            ("--cpu-shares", self.cpu_shares.is_some()),
            ("--cpuset-cpus", self.cpuset_cpus.is_some()),
            ("--cpuset-mems", self.cpuset_mems.is_some()),
            ("--cgroup-parent", self.cgroup_parent.is_some()),
            ("--builder", self.builder.is_some()),
            ("--security-opt", !self.security_opt.is_empty()),
        ];
        given.into_iter().filter(|(_, is_given)| *is_given).map(|(flag, _)| flag).collect()
    }
}

fn refused(flag: &str, what: &str, instead: &str) -> Error {
    Error::usage(format!("{flag}: {what}")).with_hint(instead)
}
