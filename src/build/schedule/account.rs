//! What is noted of the steps of a build, for who asks why they were done.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Schedule;
use crate::build::account::{BuildAccount, EarlierStep, FileListing, StageMemory, StepAccount, StepMark};
use crate::build::graph::{Origin, State};
use crate::build::ledger::Ledger;
use crate::error::Result;
use crate::net::date;
use crate::oci::{Digest, Map};
use crate::plan::{Copy, CopyItem, Provider, Stage, Step, Work, shown_url};
use crate::progress::StepOutcome;
use crate::sync::locked;
use crate::tree::{Pivot, joined, literal_start};

/// Of a longer title only the beginning is noted.
const TITLE_LIMIT: usize = 1000;

impl Schedule<'_, '_> {
    /// Notes what was done with each step, in a build that `is_failed` or not.
    pub(super) fn account(&self, is_failed: bool) -> Result<()> {
        let store = self.inputs.options.store;
        let real = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone()).display().to_string();
        let contexts: Vec<String> = self.inputs.options.contexts.iter().map(real).collect();
        let ended = date::now();
        let mut steps: Vec<StepAccount> = {
            let ledger = locked(&self.ledger);
            self.graph.states.iter().map(|state| self.step_account(state, &ledger)).collect()
        };
        let mut stages: BTreeMap<Digest, Vec<usize>> = BTreeMap::new();
        for (place, State { stage, .. }) in self.graph.states.iter().enumerate() {
            let Stage { title, target, platform, .. } = stage;
            let key = StageMemory::key(&contexts, target.as_deref(), title, &platform.to_string());
            stages.entry(key).or_default().push(place);
        }
        for (key, places) in &stages {
            let mut memory = StageMemory::read(store, key);
            let titles: Vec<String> = places.iter().map(|place| steps[*place].title.clone()).collect();
            let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
            for place in places {
                let step = &mut steps[*place];
                step.is_stage_known = !memory.is_empty();
                let nearest = memory.nearest(&step.title, &step.mark, &titles).cloned();
                step.earlier = nearest.filter(|nearest| match step.outcome {
                    Some(StepOutcome::Done(_)) => true,
                    // Of an image it counts only that it is another one.
                    _ => step.is_base && nearest.mark.parts != step.mark.parts,
                });
            }
            let seen = |place: &usize| {
                let StepAccount { title, mark, layer, .. } = &steps[*place];
                EarlierStep { title: title.clone(), mark: mark.clone(), layer: layer.clone() }
            };
            if memory.add(places.iter().map(seen).collect()) {
                memory.keep(store, key)?;
            }
        }
        for (place, step) in steps.iter().enumerate() {
            self.keep_listing(place, step)?;
        }
        BuildAccount { ended, is_failed, contexts, steps }.keep(store)
    }

    fn step_account(&self, state: &State<'_>, ledger: &Ledger) -> StepAccount {
        let State { index, stage, origin, .. } = state;
        let slot = &ledger.slots[*index];
        let (step, stands_on, takes_from) = match origin {
            Origin::Step { step, below, from } => (Some(*step), Some(*below), from.clone()),
            Origin::Start(_) => (None, None, Vec::new()),
        };
        let base = match origin {
            Origin::Start(image) => image.map_or("scratch", |image| &image.name),
            Origin::Step { .. } => "",
        };
        let variables = match step.map(|step| &step.work) {
            Some(Work::Run(run)) => {
                let digest = |(name, value): &(String, String)| (name.clone(), Digest::of(value.as_bytes()));
                run.environment.iter().map(digest).collect()
            }
            _ => Map::new(),
        };
        let place = state.place();
        let found = slot.found.as_ref().filter(|_| slot.is_recalled).zip(self.inputs.options.steps);
        StepAccount {
            title: step.map_or(base, |step| &step.title).chars().take(TITLE_LIMIT).collect(),
            is_base: step.is_none(),
            stage: stage.title.clone(),
            number: place.number,
            platform: stage.platform.to_string(),
            targets: self
                .targets
                .of(*index)
                .iter()
                .filter_map(|number| self.targets.names().nth(*number))
                .map(str::to_owned)
                .collect(),
            place: step.and_then(|step| step.place.as_ref()).map(|place| (place.file.clone(), place.line)),
            stands_on,
            takes_from,
            sources: step.map(|step| self.sources(step)).unwrap_or_default(),
            outcome: slot.settled,
            cache: found.map(|(found, steps)| steps.title(found).to_owned()),
            mark: StepMark {
                parts: slot.parts.clone(),
                variables,
                is_settled: slot.mark.is_some_and(|mark| mark.is_settled),
            },
            portable: slot.portable.as_ref().map(|portable| portable.parts.clone()).unwrap_or_default(),
            layer: ledger.came_to(*index).flatten().cloned(),
            is_stage_known: false,
            earlier: None,
        }
    }

    /// Keeps what the files look like that the step at this place has taken from contexts, if it was done and they were looked at.
    fn keep_listing(&self, place: usize, account: &StepAccount) -> Result<()> {
        let (store, mark) = (self.inputs.options.store, &account.mark);
        let Origin::Step { step, .. } = &self.graph.states[place].origin else { return Ok(()) };
        if !matches!(account.outcome, Some(StepOutcome::Done(_))) || FileListing::is_kept(store, mark) {
            return Ok(());
        }
        let mut listing = FileListing::default();
        match &step.work {
            Work::Copy(Copy { from: Provider::Context(number), items, parents, .. }) => {
                for item in items {
                    let CopyItem::Pattern(pattern) = item else { continue };
                    let start = if *parents { Pivot::of(pattern).start } else { pattern.clone() };
                    self.list(*number, &literal_start(&start), &mut listing)?;
                }
            }
            Work::Run(run) => {
                for (provider, source) in run.mounts.iter().filter_map(|mount| mount.kind.provider()) {
                    if let Provider::Context(number) = provider {
                        self.list(*number, source, &mut listing)?;
                    }
                }
            }
            Work::Adds(adds) => {
                let added = self.inputs.added(adds)?;
                added.entries.iter().for_each(|entry| listing.add(&entry.path, &entry.kind, &entry.attributes));
            }
            Work::Copy(_) | Work::Nothing | Work::Directory(_) => return Ok(()),
        }
        listing.keep(store, mark)
    }

    /// Adds all that is at `path` of a context to `listing`.
    fn list(&self, context: usize, path: &str, listing: &mut FileListing) -> Result<()> {
        let context = self.inputs.contexts.get(context)?;
        let real = context.files.real(path.as_bytes())?;
        match context.files.get(&real) {
            Some(node) if !node.is_directory() => listing.add_node(&real, node),
            _ => context
                .files
                .below(&real)
                .paths()
                .for_each(|(path, node)| listing.add_node(&joined(&real, &path), node)),
        }
        Ok(())
    }

    /// The names of all that `step` takes files from.
    fn sources(&self, step: &Step) -> Vec<String> {
        let plan = self.inputs.plan;
        let name = |provider: &Provider| match provider {
            Provider::Context(number) => {
                let title = plan.contexts.get(*number).map_or("", |context| &context.title);
                format!("the context {title}").trim_end().to_owned()
            }
            Provider::Stage(number) => {
                format!("the stage {}", plan.stages.get(*number).map_or("", |stage| &stage.title))
            }
            Provider::Image(image) => format!("the image {}", image.name),
        };
        let mut sources: Vec<String> = match &step.work {
            Work::Copy(Copy { from, items, .. }) => items
                .iter()
                .filter_map(|item| match item {
                    CopyItem::Pattern(_) => Some(name(from)),
                    CopyItem::Text { .. } => None,
                    CopyItem::Url { url, .. } => Some(shown_url(url)),
                    CopyItem::Git { url, .. } => Some(url.to_string()),
                })
                .collect(),
            Work::Run(run) => run
                .mounts
                .iter()
                .filter_map(|mount| mount.kind.provider())
                .map(|(provider, _)| name(provider))
                .collect(),
            Work::Adds(_) => vec!["the context".to_owned()],
            Work::Nothing | Work::Directory(_) => Vec::new(),
        };
        sources.dedup();
        sources
    }
}
