//! What a plan comes to: the states that the file systems of its stages go through, each of which stands on others.

use std::collections::HashMap;
use std::iter;
use std::ptr;
use std::sync::Arc;

use super::step;
use crate::error::{Error, Result};
use crate::plan::{Base, BaseImage, LinkedImage, Plan, Stage, Step, Target, Work};
use crate::progress::StepPlace;

/// The states of all stages that the targets of a plan need, each behind those that it stands on. Equal ones are one.
pub struct StateGraph<'a> {
    pub states: Vec<State<'a>>,
    /// The images of each target.
    pub targets: Vec<Vec<ImageSteps<'a>>>,
    /// Images of a target say which steps they came about by.
    pub tells_steps: bool,
}

/// A file system that a stage goes through.
pub struct State<'a> {
    /// Its place among all states.
    pub index: usize,
    /// The first stage that goes through it.
    pub stage: &'a Stage,
    pub origin: Origin<'a>,
    /// The number of the layer that its step becomes; none if no image has it, and doing it again is quickly done.
    pub layer: Option<usize>,
    /// An image has that layer.
    pub is_in_image: bool,
    /// It is the first above nothing, and commands run on what stands on it: it is to them what an image is to others.
    pub is_foundation: bool,
    /// How many others may take files from it.
    pub takers: usize,
    /// Other machines are asked what its step came to.
    pub may_be_recalled: bool,
}

/// Where a state comes from.
pub enum Origin<'a> {
    /// It is what a stage starts from: nothing, or an image.
    Start(Option<&'a BaseImage>),
    /// A step leads there from the state `below` it, and may take files from the states `from`.
    Step { step: &'a Step, below: usize, from: Vec<usize> },
}

/// The steps of an image, those of the stages that it stands on before its own.
pub struct ImageSteps<'a> {
    pub stage: &'a Stage,
    /// The image that the lowest stage starts from.
    pub below: Option<&'a BaseImage>,
    /// Each with the state that it leads to; none for one that does nothing.
    pub steps: Vec<(&'a Step, Option<usize>)>,
}

impl<'a> StateGraph<'a> {
    pub fn new(plan: &'a Plan) -> Result<Self> {
        let needed = needed(plan)?;
        let mut states = States { all: Vec::new(), starts: Vec::new(), above: HashMap::new() };
        // Of each stage, its first state and the steps that lead on, with the states that they lead to.
        let mut lines: HashMap<usize, Line<'a>> = HashMap::new();
        for (number, stage) in plan.stages.iter().enumerate().filter(|(number, _)| needed[*number]) {
            let last_of = |number: &usize| lines.get(number).map_or(0, Line::last);
            let start = match &stage.base {
                Base::Scratch => states.start(stage, None),
                Base::Image(image) => states.start(stage, Some(image)),
                Base::Stage(base) => last_of(base),
                Base::Target(link) => return Err(unlinked(link)),
            };
            let mut line = Line { start, steps: Vec::new() };
            for step in &stage.steps {
                let Some(work) = step::work(&step.work) else {
                    line.steps.push((step, None));
                    continue;
                };
                let from = work.takes().stages.iter().map(last_of).collect();
                let state = states.above(stage, step, line.last(), from);
                line.steps.push((step, Some(state)));
            }
            lines.insert(number, line);
        }
        let images = |target: &Target| target.images.iter().map(|image| image_steps(plan, *image, &lines)).collect();
        let targets = plan.targets.iter().map(images).collect();
        let tells_steps = plan.targets.iter().any(|target| target.tells_steps);
        let mut graph = StateGraph { states: states.all, targets, tells_steps };
        graph.number_layers();
        graph.find_foundations();
        Ok(graph)
    }

    /// Has other machines asked for all that becomes a layer.
    pub fn recall(&mut self) {
        self.states.iter_mut().for_each(|state| state.may_be_recalled = state.layer.is_some());
    }

    fn find_foundations(&mut self) {
        for on_disk in self.on_disk() {
            let mut state = on_disk;
            while let Origin::Step { below, .. } = &self.states[state].origin {
                match &self.states[*below].origin {
                    Origin::Step { .. } => state = *below,
                    Origin::Start(Some(_)) => break,
                    Origin::Start(None) => {
                        self.states[state].is_foundation = state != on_disk;
                        break;
                    }
                }
            }
        }
    }

    /// The states that commands lead to.
    fn on_disk(&self) -> Vec<usize> {
        (0..self.states.len()).filter(|state| self.states[*state].is_on_disk()).collect()
    }

    fn number_layers(&mut self) {
        let mut next = 0;
        let steps = self.targets.iter().flatten().flat_map(|image| &image.steps);
        let in_images: Vec<usize> = steps.filter_map(|(_, state)| *state).collect();
        in_images.iter().for_each(|state| self.states[*state].is_in_image = true);
        let on_disk = self.on_disk();
        for state in in_images.into_iter().chain(on_disk) {
            let layer = &mut self.states[state].layer;
            if layer.is_none() {
                *layer = Some(next);
                next += 1;
            }
        }
    }
}

impl<'a> State<'a> {
    /// Returns where its step stands, for what is told of it.
    pub fn place(&self) -> StepPlace<'a> {
        let State { stage, origin, .. } = self;
        let Stage { title, target, platform, steps, .. } = stage;
        let step = match origin {
            Origin::Step { step, .. } => Some(*step),
            Origin::Start(_) => None,
        };
        let number = steps.iter().position(|other| step.is_some_and(|step| ptr::eq(step, other)));
        StepPlace {
            index: self.index,
            title: step.map_or("", |step| &step.title),
            target: target.as_deref(),
            stage: title,
            platform,
            number: number.map_or(0, |number| number + 1),
            line: step.and_then(|step| step.place.as_ref()).map(|place| place.line),
        }
    }

    pub fn is_on_disk(&self) -> bool {
        match &self.origin {
            Origin::Step { step, .. } => step::work(&step.work).is_some_and(|work| work.takes().on_disk),
            Origin::Start(_) => false,
        }
    }
}

/// The way of one stage.
struct Line<'a> {
    start: usize,
    steps: Vec<(&'a Step, Option<usize>)>,
}

impl Line<'_> {
    fn last(&self) -> usize {
        self.steps.iter().rev().find_map(|(_, state)| *state).unwrap_or(self.start)
    }
}

struct States<'a> {
    all: Vec<State<'a>>,
    starts: Vec<usize>,
    /// Those that stand on each.
    above: HashMap<usize, Vec<usize>>,
}

impl<'a> States<'a> {
    fn start(&mut self, stage: &'a Stage, image: Option<&'a BaseImage>) -> usize {
        let is_windows = stage.platform.is_windows();
        let is_equal = |state: &&usize| {
            let State { stage, origin, .. } = &self.all[**state];
            let Origin::Start(known) = origin else { return false };
            known.map(|image| image.manifest) == image.map(|image| image.manifest)
                && stage.platform.is_windows() == is_windows
        };
        if let Some(known) = self.starts.iter().find(is_equal) {
            return *known;
        }
        let new = self.add(stage, Origin::Start(image));
        self.starts.push(new);
        new
    }

    fn above(&mut self, stage: &'a Stage, step: &'a Step, below: usize, from: Vec<usize>) -> usize {
        let is_equal = |state: &&usize| match &self.all[**state].origin {
            Origin::Step { step: known, from: taken, .. } => {
                *taken == from && known.work == step.work && is_done_alike(self.all[**state].stage, stage, step)
            }
            Origin::Start(_) => false,
        };
        if let Some(known) = self.above.get(&below).and_then(|above| above.iter().find(is_equal)) {
            return *known;
        }
        for taken in iter::once(&below).chain(&from) {
            self.all[*taken].takers += 1;
        }
        let new = self.add(stage, Origin::Step { step, below, from });
        self.above.entry(below).or_default().push(new);
        new
    }

    fn add(&mut self, stage: &'a Stage, origin: Origin<'a>) -> usize {
        let index = self.all.len();
        self.all.push(State {
            index,
            stage,
            origin,
            layer: None,
            is_in_image: false,
            is_foundation: false,
            takers: 0,
            may_be_recalled: false,
        });
        index
    }
}

/// Returns whether `step`, which both stages have, is done for both of them if it is done for one.
fn is_done_alike(one: &Stage, other: &Stage, step: &Step) -> bool {
    let is_anew = |stage: &Stage| stage.run.is_made_anew(&stage.title);
    let is_given_the_same = || match &step.work {
        Work::Run(run) => one.run.gives_the_same(&other.run, run),
        _ => one.run.no_cache == other.run.no_cache,
    };
    is_anew(one) == is_anew(other) && (Arc::ptr_eq(&one.run, &other.run) || is_given_the_same())
}

fn unlinked(link: &LinkedImage) -> Error {
    Error::input(format!("the plan takes from the target {}, which it does not contain", link.target))
}

/// Which stages the targets need. Fails where one takes from a stage that does not stand before it.
fn needed(plan: &Plan) -> Result<Vec<bool>> {
    let mut needed = vec![false; plan.stages.len()];
    for image in plan.targets.iter().flat_map(|target| &target.images) {
        let image = needed.get_mut(*image);
        *image.ok_or_else(|| Error::input("the plan has an image without a stage"))? = true;
    }
    for (number, stage) in plan.stages.iter().enumerate().rev() {
        if !needed[number] {
            continue;
        }
        let base = match stage.base {
            Base::Stage(base) => Some(base),
            Base::Scratch | Base::Image(_) | Base::Target(_) => None,
        };
        let copied = stage.steps.iter().filter_map(|step| step::work(&step.work)).flat_map(|work| work.takes().stages);
        for taken in copied.chain(base) {
            if taken >= number {
                let message =
                    format!("stage {number} of the plan takes from stage {taken}, which does not come before it");
                return Err(Error::input(message));
            }
            needed[taken] = true;
        }
    }
    Ok(needed)
}

fn image_steps<'a>(plan: &'a Plan, image: usize, lines: &HashMap<usize, Line<'a>>) -> ImageSteps<'a> {
    let mut chain = vec![image];
    let (stage, below) = loop {
        let stage = &plan.stages[chain[chain.len() - 1]];
        match &stage.base {
            Base::Stage(base) => chain.push(*base),
            Base::Image(below) => break (&plan.stages[image], Some(&**below)),
            Base::Scratch | Base::Target(_) => break (&plan.stages[image], None),
        }
    };
    let steps = chain.iter().rev().filter_map(|stage| lines.get(stage)).flat_map(|line| line.steps.clone());
    ImageSteps { stage, below, steps: steps.collect() }
}
