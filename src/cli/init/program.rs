//! Which of several programs an image runs.

use crate::error::{Error, Result, suggestion};

/// A program that is compiled.
pub struct Program {
    /// Its name, a plain one.
    pub name: String,
    /// The package that has it, where there are several.
    pub package: Option<String>,
    /// The directory of its source, from that which is looked at.
    pub path: String,
}

/// Returns the program `wanted`, or that called `usual`, or the only one. Fails if it is none of `programs`, which `manifest` tells
/// of, or if nothing says which it is.
pub fn chosen(programs: Vec<Program>, wanted: Option<&str>, usual: Option<&str>, manifest: &str) -> Result<Program> {
    let names: Vec<String> = programs.iter().map(|program| program.name.clone()).collect();
    let listed = names.join(", ");
    if programs.is_empty() {
        return Err(Error::not_found(format!("what {manifest} tells of has no program to be run"))
            .with_hint("an image needs one: look at another directory"));
    }
    let is_only = programs.len() == 1;
    let name = wanted.or(usual);
    match programs.into_iter().find(|program| (is_only && wanted.is_none()) || Some(&program.name[..]) == name) {
        Some(program) => Ok(program),
        None => Err(match wanted {
            Some(wanted) => Error::usage(format!("there is no program `{wanted}`")).with_hint(
                match suggestion(wanted, names.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("there are {listed}"),
                },
            ),
            None => Error::usage(format!("there are several programs: {listed}"))
                .with_hint("say which is to be run, with --program NAME"),
        }),
    }
}
