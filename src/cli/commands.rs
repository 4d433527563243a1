//! The commands of a build, as events tell of them, for `--metadata-file`.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::progress::{CommandEnd, Event, StepPlace};
use crate::sync::locked;

/// The commands that a build has run, and those that it did not have to.
#[derive(Default)]
pub struct Commands(Mutex<BTreeMap<usize, Command>>);

struct Command {
    line: Option<usize>,
    stage: String,
    number: usize,
    platform: String,
    title: String,
    is_cached: bool,
    milliseconds: u64,
    end: Option<CommandEnd>,
}

impl Commands {
    /// Notes what `event` tells of a command, if it does.
    pub fn note(&self, event: Event<'_>) {
        match event {
            Event::CommandStarted { command, step } => {
                locked(&self.0).insert(command, Command::new(step, false));
            }
            Event::CommandKnown { command, step } => {
                locked(&self.0).insert(command, Command::new(step, true));
            }
            Event::CommandFinished { command, elapsed, end } => {
                if let Some(command) = locked(&self.0).get_mut(&command) {
                    command.milliseconds = elapsed.as_millis() as u64;
                    command.end = end;
                }
            }
            _ => {}
        }
    }

    /// Returns what was noted, in the order of the lines; none if the build had no commands.
    pub fn told(&self) -> Option<Value> {
        let commands = locked(&self.0);
        let mut all: Vec<&Command> = commands.values().collect();
        all.sort_by_key(|command| (command.line, &command.stage, command.number, &command.platform));
        let told: Vec<Value> = all.into_iter().map(Command::told).collect();
        (!told.is_empty()).then(|| told.into())
    }
}

impl Command {
    fn new(StepPlace { title, stage, platform, number, line }: StepPlace<'_>, is_cached: bool) -> Self {
        Command {
            line,
            stage: stage.to_owned(),
            number,
            platform: platform.to_string(),
            title: title.to_owned(),
            is_cached,
            milliseconds: 0,
            end: None,
        }
    }

    fn told(&self) -> Value {
        let mut told = json!({
            "stage": self.stage,
            "step": self.number,
            "line": self.line,
            "platform": self.platform,
            "title": self.title,
            "cached": self.is_cached,
        });
        if !self.is_cached {
            told["milliseconds"] = self.milliseconds.into();
        }
        match self.end {
            Some(CommandEnd::Status(status)) => told["status"] = status.into(),
            Some(CommandEnd::Signal(signal)) => told["signal"] = signal.into(),
            None => {}
        }
        told
    }
}
