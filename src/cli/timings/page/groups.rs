//! What steps are told apart by on a page.

use crate::cli::timings::report::{StepReport, TimingsReport};

/// The group of what several targets need.
const SHARED: &str = "several targets";

/// So many colours there are; further groups begin anew.
const COLOURS: usize = 10;

/// What steps are told apart by: the targets where there are several, else the stages.
pub struct Groups<'a> {
    /// What they are, in a word.
    pub kind: &'static str,
    pub names: Vec<&'a str>,
    pub are_targets: bool,
}

impl<'a> Groups<'a> {
    /// Returns those of `report`.
    pub fn new(report: &'a TimingsReport) -> Self {
        if report.targets.len() > 1 {
            let names = report.targets.iter().map(String::as_str).collect();
            return Groups { kind: "Target", names, are_targets: true };
        }
        let mut names: Vec<&str> = Vec::new();
        for step in report.steps.iter().filter(|step| step.step > 0) {
            if !names.contains(&step.stage.as_str()) {
                names.push(&step.stage);
            }
        }
        Groups { kind: "Stage", names, are_targets: false }
    }

    /// The numbers of the groups that a step is in.
    fn of(&self, step: &StepReport) -> Vec<usize> {
        match self.are_targets {
            true => step.targets.clone(),
            false => self.names.iter().position(|name| *name == step.stage).into_iter().collect(),
        }
    }

    /// Returns the class that gives a step its colour.
    pub fn colour(&self, step: &StepReport) -> String {
        match self.of(step)[..] {
            [only] => Self::colour_of(only),
            _ => "shared".to_owned(),
        }
    }

    /// Returns the class of the colour of a group.
    pub fn colour_of(group: usize) -> String {
        format!("g{}", group % COLOURS)
    }

    /// Returns the name of the group of a step.
    pub fn name(&self, step: &StepReport) -> &'a str {
        match self.of(step)[..] {
            [only] => self.names.get(only).copied().unwrap_or_default(),
            [] => "",
            _ => SHARED,
        }
    }

    /// Returns the attributes by which the script finds a step: its groups, its verdict and its time.
    pub fn attributes(&self, step: &StepReport) -> String {
        let groups: Vec<String> = self.of(step).iter().map(ToString::to_string).collect();
        format!(
            "data-groups=\"{}\" data-verdict=\"{}\" data-worked=\"{}\"",
            groups.join(" "),
            step.verdict.name(),
            step.worked
        )
    }
}
