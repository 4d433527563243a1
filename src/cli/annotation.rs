//! Annotations: what a runner of GitHub Actions (and of Gitea and Forgejo) shows beside the line that it is about. They are commands to
//! the runner, each a line of its own, and what stands in them is escaped as it has it.

use std::env;
use std::path::{Path, PathBuf};

use crate::error::{Error, escape};
use crate::plan::compose::clean;
use crate::plan::dockerfile::Warning;
use crate::progress::WarningKind;

/// The annotations of a workflow that is run.
pub struct Annotations {
    /// The directory that the workflow has checked out, and that which the program was started in.
    top: PathBuf,
    here: PathBuf,
}

impl Annotations {
    /// Returns none where no workflow is run: `GITHUB_ACTIONS` is not `true`.
    pub fn of_environment() -> Option<Self> {
        env::var_os("GITHUB_ACTIONS").filter(|value| value == "true")?;
        let here = env::current_dir().unwrap_or_default();
        let top = env::var_os("GITHUB_WORKSPACE").map_or_else(|| here.clone(), PathBuf::from);
        Some(Annotations { top, here })
    }

    /// Returns the line for what has failed, with its causes and what to do.
    pub fn error(&self, error: &Error) -> String {
        let hint = error.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        let message = error.with_causes() + &hint;
        let place = error.excerpt.as_ref().map(|excerpt| (&excerpt.file[..], excerpt.line, Some(excerpt.column)));
        self.line("error", place, &message)
    }

    /// Returns the line for a warning. The place at the end of a build check's goes without saying: it is shown there.
    pub fn warning(&self, kind: WarningKind<'_>, message: &str) -> String {
        if let WarningKind::BuildCheck { file, line, .. } = kind
            && let Some(message) = message.strip_suffix(&format!(" ({file}:{line})"))
        {
            return self.line("warning", Some((file, line, None)), message);
        }
        self.line("warning", None, message)
    }

    /// Returns the line for what a build check found.
    pub fn check(&self, warning: &Warning) -> String {
        let Warning { rule, message, place, .. } = warning;
        let place = Some((&place.file[..], place.line, Some(place.column)));
        self.line("warning", place, &format!("{}: {message}", rule.name()))
    }

    fn line(&self, command: &str, place: Option<(&str, usize, Option<usize>)>, message: &str) -> String {
        let place = place.map(|(file, line, column)| {
            let column = column.map(|column| format!(",col={column}")).unwrap_or_default();
            format!(" file={},line={line}{column}", property(&self.below_top(file)))
        });
        format!("::{command}{}::{}", place.unwrap_or_default(), data(message))
    }

    /// A file as the repository has it, if it is in there.
    fn below_top(&self, file: &str) -> String {
        let path = clean(&self.here.join(file));
        path.strip_prefix(clean(&self.top)).unwrap_or(Path::new(file)).to_string_lossy().into_owned()
    }
}

/// What stands behind the command.
fn data(text: &str) -> String {
    escape::line(text).replace('%', "%25")
}

/// What stands in a property of it.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::Excerpt;

    fn annotations() -> Annotations {
        Annotations { top: "/work/repository".into(), here: "/work/repository/server".into() }
    }

    #[test]
    fn a_file_is_named_as_the_repository_has_it() {
        let error = |file: &str| {
            let excerpt =
                Excerpt { file: file.to_owned(), line: 3, column: 7, text: String::new(), skipped: 0, width: 1 };
            annotations().error(&Error::input("it is 5% wrong: here").with_excerpt(excerpt).with_hint("mend it"))
        };
        for (file, shown) in [
            ("Dockerfile", "server/Dockerfile"),
            ("./a/../Dockerfile", "server/Dockerfile"),
            ("../compose.yaml", "compose.yaml"),
            ("/work/repository/a,b:c", "a%2Cb%3Ac"),
            ("/elsewhere/Dockerfile", "/elsewhere/Dockerfile"),
        ] {
            assert_eq!(error(file), format!("::error file={shown},line=3,col=7::it is 5%25 wrong: here (mend it)"));
        }
        let error = Error::input("no").with_source(Error::input("why"));
        assert_eq!(annotations().error(&error), "::error::no: why");
    }

    #[test]
    fn a_build_check_tells_its_place() {
        let check = WarningKind::BuildCheck { rule: "StageNameCasing", file: "Dockerfile", line: 12 };
        let message = "StageNameCasing: Stage name 'A' (b) should be lowercase (Dockerfile:12)";
        let expected =
            "::warning file=server/Dockerfile,line=12::StageNameCasing: Stage name 'A' (b) should be lowercase";
        assert_eq!(annotations().warning(check, message), expected);
        let other = WarningKind::CheckWithoutBase;
        assert_eq!(annotations().warning(other, "so (a:1)"), "::warning::so (a:1)");
        assert_eq!(annotations().warning(check, "so"), "::warning::so");
    }

    proptest! {
        #[test]
        fn nothing_foreign_begins_another_command(text in "(::error|\n|\r|##\\[|%0A|,|:|[a-z]|\u{85}| ){0,12}") {
            let excerpt = Excerpt { file: text.clone(), line: 1, column: 1, text: text.clone(), skipped: 0, width: 1 };
            let error = Error::input(text.clone()).with_excerpt(excerpt).with_source(Error::input(text.clone()));
            for line in [annotations().error(&error), annotations().warning(WarningKind::CheckWithoutBase, &text)] {
                assert!(!line.chars().any(char::is_control) && !line.contains("##["), "{line:?}");
                assert_eq!(line.matches("%0A").count(), 0, "{line:?}");
                let properties = line[2..].split("::").next().unwrap();
                assert!(properties.matches(',').count() <= 2, "{line:?}");
            }
        }
    }
}
