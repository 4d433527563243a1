//! Build checks: what a Dockerfile may say but should not (docs.docker.com/reference/build-checks).
//!
//! Reading a Dockerfile finds what its text alone shows. What depends on variables, on the base or on the context is found
//! where those are known, by the constructors of [`Warning`].

use crate::error::Excerpt;

/// One finding of a build check.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Warning {
    /// The rule that found it.
    pub rule: LintRule,
    /// The sentence for people, in BuildKit's words.
    pub message: String,
    /// The line that it is about.
    pub place: Excerpt,
    /// The stage that shows it when it is built; without one it always shows.
    pub stage: Option<usize>,
}

/// The rules of the build checks, by BuildKit's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LintRule {
    /// The name of a stage has upper-case letters.
    StageNameCasing,
    /// `FROM` and `AS` are not both in upper or both in lower case.
    FromAsCasing,
    /// An empty line stands in the middle of an instruction that is continued.
    NoEmptyContinuation,
    /// The instructions of the file are not all in upper or all in lower case.
    ConsistentInstructionCasing,
    /// Two stages have the same name.
    DuplicateStageName,
    /// A stage has a name that means something else, such as `scratch`.
    ReservedStageName,
    /// `CMD` or `ENTRYPOINT` is in shell form, in which signals go to the shell.
    JsonArgsRecommended,
    /// `MAINTAINER` is used; a label takes its place.
    MaintainerDeprecated,
    /// `FROM` uses a variable that no `ARG` before it declares.
    UndefinedArgInFrom,
    /// `WORKDIR` is relative, and no absolute one stands before it.
    WorkdirRelativePath,
    /// A variable is used that nothing declares.
    UndefinedVar,
    /// An instruction of which the last one counts (`CMD`, `ENTRYPOINT`, `HEALTHCHECK`) stands in a stage twice.
    MultipleInstructionsDisallowed,
    /// `ENV` or `LABEL` is written as `key value`, without the equals sign.
    LegacyKeyValueFormat,
    /// The base is for another platform than the one that is asked for.
    InvalidBaseImagePlatform,
    /// `FROM --platform=$TARGETPLATFORM` asks for what would be taken anyway.
    RedundantTargetPlatform,
    /// `ARG` or `ENV` has the name of a secret, and its value would stay in the image.
    SecretsUsedInArgOrEnv,
    /// The default of an `ARG` makes `FROM` name no image.
    InvalidDefaultArgInFrom,
    /// `FROM --platform` is a constant.
    FromPlatformFlagConstDisallowed,
    /// `COPY` or `ADD` names a file that `.dockerignore` leaves out.
    CopyIgnoredFile,
    /// The comment above an `ARG` or a stage does not begin with its name.
    InvalidDefinitionDescription,
    /// The protocol in `EXPOSE` has upper-case letters.
    ExposeProtoCasing,
    /// `EXPOSE` names an address or a port of the host, which it cannot.
    ExposeInvalidFormat,
}

/// The rule, its name, and the last part of its page's address.
const RULES: [(LintRule, &str, Option<&str>); 22] = [
    (LintRule::StageNameCasing, "StageNameCasing", Some("stage-name-casing")),
    (LintRule::FromAsCasing, "FromAsCasing", Some("from-as-casing")),
    (LintRule::NoEmptyContinuation, "NoEmptyContinuation", Some("no-empty-continuation")),
    (LintRule::ConsistentInstructionCasing, "ConsistentInstructionCasing", Some("consistent-instruction-casing")),
    (LintRule::DuplicateStageName, "DuplicateStageName", Some("duplicate-stage-name")),
    (LintRule::ReservedStageName, "ReservedStageName", Some("reserved-stage-name")),
    (LintRule::JsonArgsRecommended, "JSONArgsRecommended", Some("json-args-recommended")),
    (LintRule::MaintainerDeprecated, "MaintainerDeprecated", Some("maintainer-deprecated")),
    (LintRule::UndefinedArgInFrom, "UndefinedArgInFrom", Some("undefined-arg-in-from")),
    (LintRule::WorkdirRelativePath, "WorkdirRelativePath", Some("workdir-relative-path")),
    (LintRule::UndefinedVar, "UndefinedVar", Some("undefined-var")),
    (
        LintRule::MultipleInstructionsDisallowed,
        "MultipleInstructionsDisallowed",
        Some("multiple-instructions-disallowed"),
    ),
    (LintRule::LegacyKeyValueFormat, "LegacyKeyValueFormat", Some("legacy-key-value-format")),
    (LintRule::InvalidBaseImagePlatform, "InvalidBaseImagePlatform", None),
    (LintRule::RedundantTargetPlatform, "RedundantTargetPlatform", Some("redundant-target-platform")),
    (LintRule::SecretsUsedInArgOrEnv, "SecretsUsedInArgOrEnv", Some("secrets-used-in-arg-or-env")),
    (LintRule::InvalidDefaultArgInFrom, "InvalidDefaultArgInFrom", Some("invalid-default-arg-in-from")),
    (
        LintRule::FromPlatformFlagConstDisallowed,
        "FromPlatformFlagConstDisallowed",
        Some("from-platform-flag-const-disallowed"),
    ),
    (LintRule::CopyIgnoredFile, "CopyIgnoredFile", Some("copy-ignored-file")),
    (LintRule::InvalidDefinitionDescription, "InvalidDefinitionDescription", Some("invalid-definition-description")),
    (LintRule::ExposeProtoCasing, "ExposeProtoCasing", Some("expose-proto-casing")),
    (LintRule::ExposeInvalidFormat, "ExposeInvalidFormat", Some("expose-invalid-format")),
];

impl LintRule {
    /// Returns the name that the reference gives it.
    pub fn name(self) -> &'static str {
        self.entry().1
    }

    /// Returns the rule of exactly that name; none if there is no such rule.
    pub fn named(name: &str) -> Option<LintRule> {
        RULES.iter().find(|(_, known, _)| *known == name).map(|(rule, ..)| *rule)
    }

    /// Returns what it asks for, in BuildKit's words.
    pub fn description(self) -> &'static str {
        match self {
            LintRule::StageNameCasing => "Stage names should be lowercase",
            LintRule::FromAsCasing => "The 'as' keyword should match the case of the 'from' keyword",
            LintRule::NoEmptyContinuation => "Empty continuation lines will become errors in a future release",
            LintRule::ConsistentInstructionCasing => {
                "All commands within the Dockerfile should use the same casing (either upper or lower)"
            }
            LintRule::DuplicateStageName => "Stage names should be unique",
            LintRule::ReservedStageName => "Reserved words should not be used as stage names",
            LintRule::JsonArgsRecommended => {
                "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals"
            }
            LintRule::MaintainerDeprecated => {
                "The MAINTAINER instruction is deprecated, use a label instead to define an image author"
            }
            LintRule::UndefinedArgInFrom => "FROM command must use declared ARGs",
            LintRule::WorkdirRelativePath => {
                "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes"
            }
            LintRule::UndefinedVar => "Variables should be defined before their use",
            LintRule::MultipleInstructionsDisallowed => {
                "Multiple instructions of the same type should not be used in the same stage"
            }
            LintRule::LegacyKeyValueFormat => "Legacy key/value format with whitespace separator should not be used",
            LintRule::InvalidBaseImagePlatform => "Base image platform does not match expected target platform",
            LintRule::RedundantTargetPlatform => "Setting platform to predefined $TARGETPLATFORM in FROM is redundant",
            LintRule::SecretsUsedInArgOrEnv => "Sensitive data should not be used in the ARG or ENV commands",
            LintRule::InvalidDefaultArgInFrom => {
                "Default value for global ARG results in an empty or invalid base image name"
            }
            LintRule::FromPlatformFlagConstDisallowed => "FROM --platform flag should not use a constant value",
            LintRule::CopyIgnoredFile => "Attempting to Copy file that is excluded by .dockerignore",
            LintRule::InvalidDefinitionDescription => {
                "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment."
            }
            LintRule::ExposeProtoCasing => "Protocol in EXPOSE instruction should be lowercase",
            LintRule::ExposeInvalidFormat => {
                "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release"
            }
        }
    }

    /// Returns the page that explains it; none if there is no such page.
    pub fn url(self) -> Option<String> {
        self.entry().2.map(|page| format!("https://docs.docker.com/go/dockerfile/rule/{page}/"))
    }

    /// Returns whether it only runs if `experimental=` names it.
    pub fn is_experimental(self) -> bool {
        matches!(self, LintRule::InvalidDefinitionDescription)
    }

    fn entry(self) -> &'static (LintRule, &'static str, Option<&'static str>) {
        RULES.iter().find(|(rule, ..)| *rule == self).expect("every rule is in the table")
    }
}

impl Warning {
    /// Returns the warning of a variable in `FROM` that no `ARG` before the first `FROM` declares.
    pub fn undefined_arg_in_from(name: &str, near: Option<&str>, place: Excerpt) -> Warning {
        let message = format!("FROM argument '{name}' is not declared{}", meant(near, ""));
        Warning { rule: LintRule::UndefinedArgInFrom, message, place, stage: None }
    }

    /// Returns the warning of a variable that nothing declares.
    pub fn undefined_var(name: &str, near: Option<&str>, place: Excerpt) -> Warning {
        let message = format!("Usage of undefined variable '${name}'{}", meant(near, "$"));
        Warning { rule: LintRule::UndefinedVar, message, place, stage: None }
    }

    /// Returns the warning of a `base`, as it is written, that makes no image's name with the defaults of its
    /// arguments.
    pub fn invalid_default_arg_in_from(base: &str, place: Excerpt) -> Warning {
        let message = format!("Default value for ARG {base} results in empty or invalid base image name");
        Warning { rule: LintRule::InvalidDefaultArgInFrom, message, place, stage: None }
    }

    /// Returns the warning of a `platform`, as it is written, that is the usual one.
    pub fn redundant_target_platform(platform: &str, place: Excerpt) -> Warning {
        let message =
            format!("Setting platform to predefined {platform} in FROM is redundant as this is the default behavior");
        Warning { rule: LintRule::RedundantTargetPlatform, message, place, stage: None }
    }

    /// Returns the warning of a stage's first `WORKDIR`, also among the stages below it, that is relative.
    pub fn workdir_relative_path(path: &str, place: Excerpt) -> Warning {
        let message = format!("Relative workdir {path:?} can have unexpected results if the base image changes");
        Warning { rule: LintRule::WorkdirRelativePath, message, place, stage: None }
    }

    /// Returns the warning of an image that is for another platform than the stage.
    pub fn invalid_base_image_platform(image: &str, expected: &str, actual: &str, place: Excerpt) -> Warning {
        let message =
            format!("Base image {image} was pulled with platform {actual:?}, expected {expected:?} for current build");
        Warning { rule: LintRule::InvalidBaseImagePlatform, message, place, stage: None }
    }

    /// Returns the warning of a path that the context leaves out; `instruction` is `Copy` or `Add`.
    pub fn copy_ignored_file(instruction: &str, path: &str, place: Excerpt) -> Warning {
        let message = format!("Attempting to {instruction} file {path:?} that is excluded by .dockerignore");
        Warning { rule: LintRule::CopyIgnoredFile, message, place, stage: None }
    }

    /// Returns what is wrong with a port of `EXPOSE` whose variables are expanded. (Reading looks at those without
    /// any.)
    pub fn expose(port: &str, place: impl Fn() -> Excerpt) -> Vec<Warning> {
        let (host, container) = port.rsplit_once(':').unwrap_or(("", port));
        let protocol = container.split_once('/').map_or("", |(_, protocol)| protocol);
        let mut found = Vec::new();
        if protocol != protocol.to_lowercase() {
            let message = format!("Defined protocol '{port}' in EXPOSE instruction should be lowercase");
            found.push((LintRule::ExposeProtoCasing, message));
        }
        if !host.is_empty() {
            let message =
                format!("EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'");
            found.push((LintRule::ExposeInvalidFormat, message));
        }
        found.into_iter().map(|(rule, message)| Warning { rule, message, place: place(), stage: None }).collect()
    }
}

fn meant(near: Option<&str>, sign: &str) -> String {
    near.map(|near| format!(" (did you mean {sign}{near}?)")).unwrap_or_default()
}
