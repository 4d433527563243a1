//! What the stages of a Dockerfile come to, instruction by instruction.

use std::sync::Arc;

use super::{Scope, windows};
use crate::error::{Excerpt, Result};
use crate::oci::{Map, Platform, Settings};
use crate::plan::{Base, Stage, Step, Work};
use crate::tree::pattern::from_root;

/// A stage of a Dockerfile, lowered: its place in the plan, and what stages on top of it go on with.
#[derive(Debug)]
pub struct MadeStage {
    pub number: usize,
    pub state: StageState,
}

/// A stage as far as its instructions are lowered.
#[derive(Debug, Clone)]
pub struct StageState {
    pub title: String,
    pub platform: Platform,
    /// The platform of the image that everything stands on; none on scratch.
    pub base_platform: Option<Platform>,
    pub base: Base,
    pub steps: Vec<Step>,
    /// The settings without labels.
    pub settings: Settings,
    pub author: Option<String>,
    /// The labels of the image that everything stands on.
    pub inherited_labels: Map<String>,
    /// The labels that `LABEL` has set.
    pub labels: Map<String>,
    pub annotations: Map<String>,
    pub scope: Scope,
    /// The names that `ARG` has named here and below, in the order of the first time.
    pub declared: Vec<String>,
    /// The Dockerfile has set the working directory.
    pub is_workdir_set: bool,
    /// This stage itself has a `CMD`.
    pub has_command: bool,
}

/// The directories that programs are looked for in where an image does not say (moby, `DefaultPathEnvUnix`).
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl StageState {
    /// Returns the state before the first instruction of a stage that stands on `base`, whose settings and author these
    /// are.
    pub fn new(title: String, platform: Platform, base: Base, mut settings: Settings, author: Option<String>) -> Self {
        let inherited_labels = settings.labels.take().unwrap_or_default();
        let variables = settings.env.get_or_insert_default();
        let is_path = |variable: &String| variable.split_once('=').is_some_and(|(name, _)| name == "PATH");
        // Windows knows by itself where its programs are.
        if !platform.is_windows() && !variables.iter().any(is_path) {
            variables.push(format!("PATH={PATH}"));
        }
        let mut scope = Scope::default();
        scope.set_all(variables.iter());
        StageState {
            title,
            platform,
            base_platform: None,
            base,
            steps: Vec::new(),
            settings,
            author,
            inherited_labels,
            labels: Map::new(),
            annotations: Map::new(),
            scope,
            declared: Vec::new(),
            is_workdir_set: false,
            has_command: false,
        }
    }

    /// Returns the state before the first instruction of a stage called `title` that stands on this one, which is
    /// `number` in the plan.
    pub fn above(&self, title: String, number: usize) -> Self {
        let mut above =
            StageState { title, base: Base::Stage(number), steps: Vec::new(), has_command: false, ..self.clone() };
        // As BuildKit has it, what the image has set counts again, whatever an `ARG` has made of it meanwhile.
        above.scope.set_all(above.settings.env.iter().flatten());
        above
    }

    /// Returns `path` as seen from the working directory, with `/` between its parts, and behind them if it is written
    /// so. Fails where [`windows::split`] does.
    pub fn path(&self, path: &str) -> Result<String> {
        let directory = &self.settings.working_dir;
        if !self.platform.is_windows() {
            return Ok(below(directory, path));
        }
        let ((_, directory), (_, path)) = (windows::split(directory)?, windows::split(path)?);
        Ok(below(&directory, &path))
    }

    /// Returns a path as it is written, with `/` between its parts: relative, or from the root. Fails where
    /// [`windows::split`] does.
    pub fn slashed(&self, path: String) -> Result<String> {
        if self.platform.is_windows() { windows::split(&path).map(|(_, path)| path) } else { Ok(path) }
    }

    /// Adds a step whose title is the line of the history, too.
    pub fn push(&mut self, title: String, work: Work, place: Excerpt) {
        self.steps.push(Step { title, created_by: None, work, place: Some(place) });
    }

    /// Adds a step with a line of the history of its own.
    pub fn push_with_history(&mut self, title: String, created_by: String, work: Work, place: Excerpt) {
        self.steps.push(Step { title, created_by: Some(created_by), work, place: Some(place) });
    }

    /// Returns the stage with all labels.
    pub fn stage(&self) -> Stage {
        let mut labels = self.inherited_labels.clone();
        labels.extend(self.labels.clone());
        let labels = Some(labels).filter(|labels| !labels.is_empty());
        Stage {
            title: self.title.clone(),
            target: None,
            run: Arc::default(),
            platform: self.platform.clone(),
            base: self.base.clone(),
            steps: self.steps.clone(),
            settings: Settings { labels, ..self.settings.clone() },
            author: self.author.clone(),
            annotations: self.annotations.clone(),
        }
    }
}

/// `path` as seen from the directory `from`, cleaned; without a leading slash.
fn below(from: &str, path: &str) -> String {
    if path.starts_with('/') { from_root(path) } else { from_root(&format!("{from}/{path}")) }
}
