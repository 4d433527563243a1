//! Jobs of CI files, run as their runners run them.

use super::Project;
use crate::support::program::Outcome;

/// The script that a list of commands makes, which stands below the keys of `path`, each within the one before. A command that
/// goes over several lines is folded or not, as YAML has it.
pub fn script(text: &str, path: &[&str]) -> String {
    let found = path.iter().fold(text.to_owned(), |text, key| block(&text, key));
    commands(&found).join("\n")
}

/// The scripts of all steps of a workflow, one for each `run:`.
pub fn steps(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut steps = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        match line.trim_start().strip_prefix("run:").map(str::trim) {
            Some("|") => steps.push(below(&lines[number + 1..], indent(line)).join("\n")),
            Some(command) => steps.push(command.to_owned()),
            None => {}
        }
    }
    steps
}

/// Runs a script as runners do: one shell, which ends with the first command that fails.
pub fn run(project: &Project, script: &str, environment: &[(&str, &str)]) -> Outcome {
    project.run(&["bash", "-eo", "pipefail", "-c", script], environment)
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The lines that are further in than `indent`, without what they all have before them.
fn below(lines: &[&str], indent: usize) -> Vec<String> {
    let block: Vec<&&str> =
        lines.iter().take_while(|line| line.trim().is_empty() || self::indent(line) > indent).collect();
    let common = block.iter().filter(|line| !line.trim().is_empty()).map(|line| self::indent(line)).min().unwrap_or(0);
    block.into_iter().map(|line| line.get(common..).unwrap_or_default().to_owned()).collect()
}

fn block(text: &str, key: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().position(|line| line.strip_suffix(':') == Some(key));
    below(&lines[at.unwrap_or_else(|| panic!("there is no {key}")) + 1..], 0).join("\n")
}

/// The commands of a list.
fn commands(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut commands = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        match line.strip_prefix("- ") {
            Some("|") => commands.push(below(&lines[number + 1..], 0).join("\n")),
            Some(">") => commands.push(below(&lines[number + 1..], 0).join(" ")),
            Some(command) => commands.push(command.to_owned()),
            None => {}
        }
    }
    commands
}
