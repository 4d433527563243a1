//! What `SOURCE_DATE_EPOCH` names, as BuildKit reads it: a number, or something whose time it is.

use super::Scope;
use super::budget::LoweringBudget;
use super::expand::expand;
use crate::error::{Error, Result};
use crate::oci::{Digest, Map, Platform};
use crate::plan::dockerfile::{AddCommand, Command, Dockerfile, DockerfileStage, Text, Word};
use crate::plan::{CopyItem, GitUrl, is_http};

/// The variable.
pub const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

/// The word for the build's own context.
const CONTEXT: &str = "context";

/// The place that a time comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Epoch {
    /// Since 1970.
    Seconds(i64),
    /// The build's context.
    Context,
    /// The context that `--build-context` gives this name.
    Named(String),
    /// The content that a stage has fetched: [`CopyItem::Url`] or [`CopyItem::Git`].
    Remote(CopyItem),
}

impl Dockerfile {
    /// Returns the time that the build argument names, or else the `ARG` before the first `FROM`; none if neither has a
    /// value. `arguments` are those of the build, and `is_context` says whether `--build-context` gives a name. An
    /// error about the `ARG` shows its line.
    pub fn epoch(&self, arguments: &Map<String>, is_context: &dyn Fn(&str) -> bool) -> Result<Option<Epoch>> {
        let budget = &mut LoweringBudget::new();
        let mut scope = self.global_scope(automatic(arguments), arguments, budget)?;
        let value = match arguments.get(SOURCE_DATE_EPOCH) {
            Some(given) => given.clone(),
            None => scope.get(SOURCE_DATE_EPOCH).unwrap_or_default().to_owned(),
        };
        if value.is_empty() {
            return Ok(None);
        }
        if let Ok(seconds) = value.parse() {
            return Ok(Some(Epoch::Seconds(seconds)));
        }
        if value == CONTEXT {
            return Ok(Some(Epoch::Context));
        }
        if is_context(&value) {
            return Ok(Some(Epoch::Named(value)));
        }
        let is_meant =
            |stage: &&DockerfileStage| stage.name.as_ref().is_some_and(|name| name.text.eq_ignore_ascii_case(&value));
        if let Some(stage) = self.stages.iter().find(is_meant) {
            scope.remove(SOURCE_DATE_EPOCH);
            return self.fetched(stage, scope, arguments, budget).map(|item| Some(Epoch::Remote(item)));
        }
        let error = Error::input(format!("SOURCE_DATE_EPOCH is `{value}`")).with_hint(
            "it must be a number of seconds since 1970, `context`, or the name of a context or of a stage that \
                fetches one thing",
        );
        let declared = self.arguments.iter().rfind(|argument| argument.name.text == SOURCE_DATE_EPOCH);
        Err(match declared.filter(|_| !arguments.contains_key(SOURCE_DATE_EPOCH)) {
            Some(argument) => error.with_excerpt(self.excerpt(&argument.name.span)),
            None => error,
        })
    }

    /// Gives the `ARG`s of that name before the first `FROM` another default, or none.
    pub fn set_default(&mut self, name: &str, value: Option<&str>) {
        for argument in self.arguments.iter_mut().filter(|argument| argument.name.text == name) {
            let span = argument.default.as_ref().map_or(argument.name.span.clone(), |default| default.span.clone());
            argument.default = value.map(|value| Word { text: value.to_owned(), span });
        }
    }

    /// Returns `scope` with the `ARG`s before the first `FROM`, and `given` in place of their defaults.
    pub(super) fn global_scope(
        &self,
        mut scope: Scope,
        given: &Map<String>,
        budget: &mut LoweringBudget,
    ) -> Result<Scope> {
        for argument in &self.arguments {
            let name = &argument.name.text;
            let value = match (given.get(name), &argument.default) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => Some(self.expanded(default, &scope, &self.text, budget)?),
                (None, None) => None,
            };
            if let Some(value) = value {
                scope.set(name, &value);
            }
            scope.arguments.insert(name.clone());
        }
        Ok(scope)
    }

    /// The one thing that `stage`, which has nothing else, fetches from elsewhere.
    fn fetched(
        &self,
        stage: &DockerfileStage,
        mut scope: Scope,
        arguments: &Map<String>,
        budget: &mut LoweringBudget,
    ) -> Result<CopyItem> {
        let refuse = |what: &str, place| {
            Error::input(format!("SOURCE_DATE_EPOCH asks for the time of this stage, but {what}"))
                .with_excerpt(place)
                .with_hint("such a stage is `FROM scratch` with a single ADD of a URL or of a repository")
        };
        if self.expanded(&stage.base, &scope, &self.text, budget)? != "scratch" {
            return Err(refuse("it is based on an image", self.excerpt(&stage.base.span)));
        }
        let mut found = None;
        for instruction in &stage.instructions {
            let place = || instruction.excerpt(&instruction.span);
            match &instruction.command {
                Command::Arg(declared) => {
                    for argument in declared {
                        let name = &argument.name.text;
                        if let Some(given) = arguments.get(name) {
                            scope.set(name, given);
                        } else if let Some(default) = &argument.default {
                            let value = self.expanded(default, &scope, &instruction.text, budget)?;
                            scope.set(name, &value);
                        }
                    }
                }
                Command::Add(add) if found.is_none() => {
                    let item = self.remote(add, &scope, &instruction.text, budget)?;
                    found = Some(item.ok_or_else(|| refuse("it does not fetch one thing", place()))?);
                }
                other => return Err(refuse(&format!("it has another {}", other.name()), place())),
            }
        }
        found.ok_or_else(|| refuse("it fetches nothing", self.excerpt(&stage.span)))
    }

    /// Returns what `add` fetches, if it is one thing from elsewhere.
    fn remote(
        &self,
        add: &AddCommand,
        scope: &Scope,
        text: &Text,
        budget: &mut LoweringBudget,
    ) -> Result<Option<CopyItem>> {
        let ([source], []) = (&add.transfer.sources[..], &add.transfer.texts[..]) else { return Ok(None) };
        let at = |word: &Word| {
            let place = text.excerpt(&word.span);
            move |error: Error| error.with_excerpt(place)
        };
        let sum =
            add.checksum.as_ref().map(|word| Ok((self.expanded(word, scope, text, budget)?, word))).transpose()?;
        let sum = sum.filter(|(sum, _): &(String, &Word)| !sum.is_empty());
        let address = self.expanded(source, scope, text, budget)?;
        if let Some(url) = GitUrl::of_source(&address).map_err(at(source))? {
            let keep_git_dir = url.keep_git_dir.or(add.keep_git_dir).unwrap_or(false);
            return Ok(Some(CopyItem::Git { url, keep_git_dir, checksum: sum.map(|(sum, _)| sum) }));
        }
        if !is_http(&address) {
            return Ok(None);
        }
        let checksum = sum.map(|(sum, word)| sum.parse::<Digest>().map_err(at(word))).transpose()?;
        Ok(Some(CopyItem::Url { url: address, checksum }))
    }

    fn expanded(&self, word: &Word, scope: &Scope, text: &Text, budget: &mut LoweringBudget) -> Result<String> {
        let expanded = expand(self.directives.escape, word, scope, text)?;
        budget.spend(expanded.cost).map_err(|error| error.with_excerpt(text.excerpt(&word.span)))?;
        Ok(expanded.text)
    }
}

/// Returns what is known before the first line. The time is that of all platforms, and so none of them is the one.
fn automatic(arguments: &Map<String>) -> Scope {
    let host = Platform::host();
    Scope::automatic(&host, &host, "default", arguments)
}
