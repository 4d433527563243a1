//! What the user asks for, before it is expanded for each platform: `ocibake.toml`, the flags, or one over the other.

mod base;
mod groups;
mod image_table;
mod images;
mod links;
mod print;
mod read;

pub use base::{SpecBase, base};
pub use groups::ImageGroup;
pub use image_table::{DockerfileTable, ImageTable, ImageTables, TableRecipe};

use std::path::PathBuf;
use std::sync::Arc;

use super::add::context_pattern;
use super::annotation::PlacedAnnotations;
use super::label::{self, About, Automatic};
use super::{
    Add, Context, FindBase, ImagePath, Owner, Plan, Source, Stage, Step, Target, Work, dockerignore, template,
};
use crate::error::{Error, Excerpt, Result, suggestion};
use crate::oci::{Map, Platform, Reference, Settings};
use crate::tree::Mode;

const PLACEHOLDERS: &[&str] = &["os", "arch", "variant", "triple"];

/// Settings of `ocibake.toml` by the names that they have there. The default is an image of nothing on scratch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spec {
    /// The image's name without a tag.
    pub name: Option<Reference>,
    /// What the first layer stands on.
    pub base: SpecBase,
    /// The platforms, each once; empty for the host's.
    pub platforms: Vec<Platform>,
    /// `index`: whether an index is written even for a single platform. None is no; an index goes with several
    /// platforms in any case.
    pub index: Option<bool>,
    /// `libc`: the last part of `{triple}` in paths.
    pub libc: Libc,
    /// The facts that become standard labels and annotations.
    pub about: About,
    /// The layers above the base, the lowest first.
    pub layers: Vec<LayerSpec>,
    /// The settings without labels.
    pub config: Settings,
    /// Labels, which win over those that follow from `about` and from the checkout.
    pub labels: Map<String>,
    /// The annotations of all manifests and of the index.
    pub annotations: Map<String>,
    /// The annotations that are not for all of these alike.
    pub placed_annotations: PlacedAnnotations,
}

/// The files that become one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerSpec {
    /// The name in progress and in the history; made from the adds if there is none.
    pub name: Option<String>,
    /// The adds, in the order in which they were written, which does not matter.
    pub adds: Vec<AddSpec>,
}

/// An [`Add`] whose paths may hold placeholders: `{os}`, `{arch}`, `{variant}` (empty where a platform has none) and
/// `{triple}`; `{{` and `}}` are braces.
#[derive(Debug, Clone, PartialEq)]
pub struct AddSpec {
    /// The place that the files come from.
    pub from: AddOrigin,
    /// The absolute path in the image; sources go into it under their own names if it ends with a slash.
    pub to: String,
    /// The change of permissions; without it, files keep their own.
    pub mode: Option<Mode>,
    /// The owner of all that is added.
    pub owner: Owner,
    /// The patterns of `.dockerignore`'s language for what is left out of each matched directory.
    pub exclude: Vec<String>,
    /// The line of the file that it stands on; none for a flag.
    pub place: Option<Excerpt>,
}

/// The place that the files of an add come from.
#[derive(Debug, Clone, PartialEq)]
pub enum AddOrigin {
    /// A pattern of the context.
    Context(String),
    /// A path of this machine, as typed.
    Path(String),
}

/// The last part of `{triple}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Libc {
    /// `musl`, as in `x86_64-unknown-linux-musl`.
    #[default]
    Musl,
    /// `gnu`, as in `x86_64-unknown-linux-gnu`.
    Gnu,
}

impl Spec {
    /// The name that its file has.
    pub const FILE: &str = "ocibake.toml";

    /// Returns the plan, with all placeholders expanded: its one context is called `title`. Fails if `bases` does not have
    /// the base, and for an add that is wrong for one of the platforms.
    pub fn plan(&self, title: &str, automatic: &Automatic, bases: &mut FindBase<'_>) -> Result<Plan> {
        let platforms = self.wanted_platforms();
        if self.index == Some(false) && platforms.len() > 1 {
            return Err(Error::input("an image for several platforms needs an index")
                .with_hint("leave out `index = false`, or ask for a single platform"));
        }
        let (labels, annotations) = label::complete(&self.about, automatic, &self.labels, &self.annotations)?;
        let (mut stages, mut images) = (Vec::new(), Vec::new());
        for platform in platforms {
            let stage = self.stage(platform, (&labels, &annotations), bases, &mut stages)?;
            images.push(stages.len());
            stages.push(stage);
        }
        Ok(Plan {
            stages,
            contexts: vec![Context { title: title.to_owned(), ignore: Vec::new() }],
            targets: vec![Target {
                name: None,
                created: 0,
                images,
                index: self.index.unwrap_or(false),
                annotations,
                placed_annotations: self.placed_annotations.clone(),
                tells_steps: false,
            }],
        })
    }

    fn wanted_platforms(&self) -> Vec<Platform> {
        if self.platforms.is_empty() { vec![Platform::host()] } else { self.platforms.clone() }
    }

    /// The stage of one image. The one that it stands on is added to `stages`, if there is one.
    fn stage(
        &self,
        platform: Platform,
        (labels, set): (&Map<String>, &Map<String>),
        bases: &mut FindBase<'_>,
        stages: &mut Vec<Stage>,
    ) -> Result<Stage> {
        let steps = self.layers.iter().map(|layer| layer.step(&platform, self.libc)).collect::<Result<_>>()?;
        let labels = Some(labels.clone()).filter(|labels| !labels.is_empty());
        let settings = Settings { labels, ..self.config.clone() };
        let below = self.base.foundation(&platform, settings, bases, stages)?;
        Ok(Stage {
            title: platform.to_string(),
            target: None,
            run: Arc::default(),
            platform: match below.platform {
                // Nobody said for what, so it is for what its base is for.
                Some(platform) if self.platforms.is_empty() => platform,
                _ => platform,
            },
            settings: below.settings,
            base: below.base,
            steps,
            author: below.author,
            annotations: below.annotations.into_iter().filter(|(key, _)| !set.contains_key(key)).collect(),
        })
    }
}

impl LayerSpec {
    /// Returns the step, with all placeholders expanded. Fails for an add that is wrong for `platform`.
    pub fn step(&self, platform: &Platform, libc: Libc) -> Result<Step> {
        let adds: Vec<Add> = self.adds.iter().map(|add| add.expand(platform, libc)).collect::<Result<_>>()?;
        let title = self.name.clone().unwrap_or_else(|| title(&adds));
        Ok(Step { title, created_by: None, work: Work::Adds(adds), place: None })
    }
}

impl AddSpec {
    /// Reads `SRC:DST[:mode=MODE,owner=OWNER,exclude=PATTERN…]`. SRC is a path of this machine, not a pattern, and ends
    /// before the first `:/`; DST begins with `/` and holds no `:`. A mode keeps its own commas, as in
    /// `mode=u=rwX,go=rX,owner=0:0`. Each `exclude=` adds a pattern. Fails for any other form.
    pub fn from_flag(text: &str) -> Result<AddSpec> {
        let form =
            "the form is `SRC:DST[:mode=…,owner=…,exclude=…]`, with DST from the image's root, as in `app:/bin/`";
        let (from, rest) = text
            .split_once(":/")
            .filter(|(from, _)| !from.is_empty())
            .ok_or_else(|| Error::input(format!("`{text}` does not say what to add where")).with_hint(form))?;
        let (to, options) = rest.split_once(':').map_or((rest, None), |(to, options)| (to, Some(options)));
        expand(from, &stand_in(), Libc::Musl)?;
        let (from, to) = (AddOrigin::Path(from.to_owned()), format!("/{to}"));
        let mut add = AddSpec { from, to, mode: None, owner: Owner::ROOT, exclude: Vec::new(), place: None };
        for (key, value) in options.map(flag_options).transpose()?.unwrap_or_default() {
            match key {
                "mode" => add.mode = Some(Mode::parse(&value)?),
                "owner" => add.owner = value.parse()?,
                _ => add.exclude.push(value),
            }
        }
        check_destination(&add.to)?;
        add.exclude.iter().try_for_each(|pattern| check_exclude(pattern))?;
        Ok(add)
    }

    fn expand(&self, platform: &Platform, libc: Libc) -> Result<Add> {
        let expanded = || {
            let source = match &self.from {
                AddOrigin::Context(pattern) => {
                    let pattern = context_pattern(&expand(pattern, platform, libc)?)?;
                    Source::Context { context: 0, pattern }
                }
                AddOrigin::Path(path) => Source::Path(PathBuf::from(expand(path, platform, libc)?)),
            };
            let exclude = |text: &String| Ok(dockerignore::pattern(&expand(text, platform, libc)?).unwrap_or_default());
            Ok(Add {
                source,
                to: expand(&self.to, platform, libc)?.parse()?,
                mode: self.mode.clone(),
                owner: self.owner,
                exclude: self.exclude.iter().map(exclude).collect::<Result<_>>()?,
                place: self.place.clone(),
            })
        };
        expanded().map_err(|error: Error| match &self.place {
            Some(place) => error.with_excerpt(place.clone()),
            None => error,
        })
    }
}

impl Libc {
    fn name(self) -> &'static str {
        match self {
            Libc::Musl => "musl",
            Libc::Gnu => "gnu",
        }
    }
}

/// Refuses a pattern of the context that is wrong for every platform.
fn check_pattern(text: &str) -> Result<()> {
    context_pattern(&expand(text, &stand_in(), Libc::Musl)?).map(drop)
}

/// Refuses a destination that is wrong for every platform.
fn check_destination(text: &str) -> Result<()> {
    expand(text, &stand_in(), Libc::Musl)?.parse::<ImagePath>().map(drop)
}

fn check_exclude(text: &str) -> Result<()> {
    match expand(text, &stand_in(), Libc::Musl)?.trim() {
        "" => Err(Error::input("a pattern of `exclude` is empty")),
        _ => Ok(()),
    }
}

/// Has all that placeholders stand for.
fn stand_in() -> Platform {
    Platform::new("linux", "arm", Some("v7"))
}

fn expand(text: &str, platform: &Platform, libc: Libc) -> Result<String> {
    template::expand(text, |name| match name {
        "os" => Ok(platform.os.clone()),
        "arch" => Ok(platform.architecture.clone()),
        "variant" => Ok(platform.variant.clone().unwrap_or_default()),
        "triple" => platform.triple(libc.name()).ok_or_else(|| {
            Error::input(format!("there is no target triple for {platform}, so `{text}` says nothing"))
                .with_hint("use {os}, {arch} and {variant} in its place")
        }),
        _ => Err(template::unknown(name, PLACEHOLDERS)),
    })
}

/// The options behind an add's destination, each with its value.
fn flag_options(text: &str) -> Result<Vec<(&str, String)>> {
    const KNOWN: &[&str] = &["mode", "owner", "exclude"];
    let mut options: Vec<(&str, String)> = Vec::new();
    for part in text.split(',') {
        match (part.split_once('='), options.last_mut()) {
            (Some((key, value)), _) if KNOWN.contains(&key) => options.push((key, value.to_owned())),
            // A mode has commas of its own.
            (_, Some(("mode", mode))) => *mode = format!("{mode},{part}"),
            _ => {
                let key = part.split('=').next().unwrap_or(part);
                let error = Error::input(format!("`{part}` is not an option of an add"));
                return Err(error.with_hint(match suggestion(key, KNOWN.iter().copied()) {
                    Some(near) => format!("did you mean `{near}=`?"),
                    None => "options are mode=, owner= and exclude=; a destination with `:` needs an ocibake.toml"
                        .to_owned(),
                }));
            }
        }
    }
    Ok(options)
}

/// Returns the title of a step that has no name. It becomes part of the image, so where things come from stays out: the
/// same files come by many paths.
fn title(adds: &[Add]) -> String {
    match adds {
        [] => "add nothing".to_owned(),
        [only] => format!("add to {}", only.to),
        [first, rest @ ..] => format!("add to {} and {} more", first.to, rest.len()),
    }
}
