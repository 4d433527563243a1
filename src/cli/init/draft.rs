//! What is to be written, before it is.

use super::quote::comment;
use crate::error::{Error, Result};
use crate::plan::Spec;

/// Which of both files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecipeForm {
    /// `ocibake.toml`.
    Spec,
    /// `Dockerfile`.
    Dockerfile,
}

/// A file that says how an image is made of what was seen.
pub struct Draft {
    /// What it is for, with its article.
    pub title: String,
    /// What the image may be called after.
    pub name: String,
    /// Which file it is.
    pub form: RecipeForm,
    /// What was seen, each as `FILE: FACT`.
    pub seen: Vec<String>,
    /// The lines below the comment that tells of that. Nothing in it is foreign unless quoted.
    pub body: String,
    /// What a Dockerfile's context does without, beside what no image needs.
    pub ignored: &'static [&'static str],
    /// The commands that have to be run before the image is built.
    pub before: Vec<String>,
    /// What could not be found out, and is left to the user.
    pub left_open: Option<String>,
}

/// What no image needs, or should have.
const IGNORED: [&str; 5] = [".git", ".dockerignore", "Dockerfile", ".env", ".env.*"];

impl RecipeForm {
    /// Fails where a spec is asked for, which runs no command that could install the packages of `language`.
    pub fn refuse_spec(asked: Option<RecipeForm>, language: &str) -> Result<()> {
        if asked != Some(RecipeForm::Spec) {
            return Ok(());
        }
        Err(Error::usage(format!("an ocibake.toml cannot install the packages of {language}: that takes commands"))
            .with_hint("leave out --toml, for a Dockerfile"))
    }

    /// Returns the name of the file.
    pub fn file(self) -> &'static str {
        match self {
            RecipeForm::Spec => Spec::FILE,
            RecipeForm::Dockerfile => "Dockerfile",
        }
    }
}

impl Draft {
    /// Returns the whole text of the file.
    pub fn text(&self) -> String {
        // It must not begin with a word and `=`: the first lines of a Dockerfile may be directives.
        let mut lines =
            vec![comment(&format!("Written by `ocibake init` for {}: change it as you like. It saw:", self.title))];
        lines.push("#".to_owned());
        lines.extend(self.seen.iter().map(|seen| comment(&format!("  {seen}"))));
        lines.extend(
            self.left_open.iter().flat_map(|open| ["#".to_owned(), comment(&format!("To be filled in: {open}"))]),
        );
        format!("{}\n\n{}", lines.join("\n"), self.body)
    }

    /// Returns the text of the `.dockerignore` that goes with it. A spec takes what it names, and reads none.
    pub fn ignore_text(&self) -> Option<String> {
        let lines = IGNORED.iter().chain(self.ignored).map(|pattern| format!("{pattern}\n"));
        (self.form == RecipeForm::Dockerfile).then(|| {
            format!(
                "# Written by `ocibake init`: what the image does not need, or should not have.\n{}",
                lines.collect::<String>()
            )
        })
    }
}
