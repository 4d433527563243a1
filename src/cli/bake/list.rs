//! `--list`: the targets and the variables that files define.

use std::str::FromStr;

use serde::Serialize;

use super::go_json::go_json;
use crate::cli::print::answer_bytes;
use crate::error::{Error, Result, escape};
use crate::plan::bake::BakeDefinition;
use crate::plan::secret::csv_fields;

/// What is listed, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListQuestion {
    is_of_variables: bool,
    is_json: bool,
}

/// A target or a group as it is listed.
#[derive(Serialize)]
struct ListedTarget {
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    group: bool,
}

impl FromStr for ListQuestion {
    type Err = Error;

    /// Reads `TYPE`, and `type=TYPE[,format=table|json]`.
    fn from_str(text: &str) -> Result<Self> {
        let refuse =
            |what: String| Error::usage(what).with_hint("write targets or variables, or type=targets,format=json");
        let fields = csv_fields(text).ok_or_else(|| refuse(format!("`{text}` is quoted wrongly")))?;
        let (mut kind, mut format) = (None, None);
        for field in &fields {
            match field.split_once('=') {
                None if fields.len() == 1 => kind = Some(field.clone()),
                None => return Err(refuse(format!("`{field}` has no `=`"))),
                Some((key, value)) => match key.trim().to_lowercase().as_str() {
                    "type" => kind = Some(value.to_owned()),
                    "format" => format = Some(value.to_owned()),
                    key => return Err(refuse(format!("a list has no option `{key}`"))),
                },
            }
        }
        let is_of_variables = match kind.as_deref().unwrap_or_default() {
            "targets" => false,
            "variables" => true,
            other => return Err(refuse(format!("there is no list of `{other}`"))),
        };
        let is_json = match format.as_deref().unwrap_or("table") {
            "table" => false,
            "json" => true,
            other => return Err(refuse(format!("there is no format `{other}`"))),
        };
        Ok(ListQuestion { is_of_variables, is_json })
    }
}

impl ListQuestion {
    /// Returns the question for the targets.
    pub fn targets() -> Self {
        ListQuestion { is_of_variables: false, is_json: false }
    }

    /// Returns the question for the variables.
    pub fn variables() -> Self {
        ListQuestion { is_of_variables: true, is_json: false }
    }

    /// Answers it.
    pub fn answer(self, definition: &BakeDefinition) -> Result<()> {
        let variables = &definition.variables;
        match (self.is_of_variables, self.is_json) {
            (true, true) => answer_json(variables),
            (false, true) => answer_json(&targets(definition)),
            (true, false) => {
                let row = |variable: &crate::plan::bake::ListedVariable| {
                    let value = variable.value.clone().unwrap_or_else(|| "<null>".to_owned());
                    vec![variable.name.clone(), variable.kind.clone(), value, variable.description.clone()]
                };
                answer_table(&["VARIABLE", "TYPE", "VALUE", "DESCRIPTION"], variables.iter().map(row))
            }
            (false, false) => {
                let row = |target: ListedTarget| vec![target.name, target.description];
                answer_table(&["TARGET", "DESCRIPTION"], targets(definition).into_iter().map(row))
            }
        }
    }
}

/// The targets and groups by their names, without those that begin with `_`.
fn targets(definition: &BakeDefinition) -> Vec<ListedTarget> {
    let target = |target: &crate::plan::bake::BakeTarget| ListedTarget {
        name: target.name.clone(),
        description: target.description.clone(),
        group: false,
    };
    let group = |group: &crate::plan::bake::BakeGroup| {
        let mut names = group.targets.clone().unwrap_or_default();
        names.sort();
        let names = names.join(", ");
        let description = match (group.description.as_str(), names.as_str()) {
            (description, "") => description.to_owned(),
            ("", names) => names.to_owned(),
            (description, names) => format!("{description} ({names})"),
        };
        ListedTarget { name: group.name.clone(), description, group: true }
    };
    let targets = definition.targets().iter().map(target).chain(definition.groups().iter().map(group));
    let mut listed: Vec<ListedTarget> = targets.filter(|target| !target.name.starts_with('_')).collect();
    listed.sort_by(|a, b| a.name.cmp(&b.name));
    listed
}

fn answer_json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|source| Error::input("the list cannot be shown").with_source(source))?;
    answer_bytes(go_json(&text).as_bytes())
}

/// Answers with rows below each other, with tabs between their columns as Go's tabwriter sets them.
fn answer_table(heading: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Result<()> {
    const TAB: usize = 8;
    let heading = heading.iter().map(|text| (*text).to_owned()).collect();
    let rows: Vec<Vec<String>> =
        [heading].into_iter().chain(rows.map(|row| row.iter().map(|text| escape::line(text)).collect())).collect();
    let width = |column: usize| {
        let widest = rows.iter().filter_map(|row| row.get(column)).map(|text| text.chars().count()).max();
        (widest.unwrap_or_default() + 1).next_multiple_of(TAB)
    };
    let widths: Vec<usize> = (0..rows.first().map_or(0, Vec::len)).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            text.push_str(cell);
            if column + 1 < row.len() {
                let gap = widths[column] - cell.chars().count();
                text.push_str(&"\t".repeat(gap.div_ceil(TAB)));
            }
        }
        text.push('\n');
    }
    answer_bytes(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_of_targets_or_of_variables() {
        let read = |text: &str| text.parse::<ListQuestion>().ok().map(|list| (list.is_of_variables, list.is_json));
        assert_eq!(read("targets"), Some((false, false)));
        assert_eq!(read("type=variables"), Some((true, false)));
        assert_eq!(read("type=targets,format=json"), Some((false, true)));
        for text in ["", "target", "targets,format=json", "type=targets,format=yaml", "format=json"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
