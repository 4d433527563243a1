//! The expansion of words with the variables of a stage, within the budget.

use super::made::StageState;
use super::{Lowering, Scope};
use crate::error::{Error, Excerpt, Result, suggestion};
use crate::plan::dockerfile::word::{Expanded, Lexer, Unset};
use crate::plan::dockerfile::{Instruction, Span, Text, Warning, Word};

impl Lowering<'_, '_> {
    /// Returns what each of `words` comes to, in their order; as [`expand`](Self::expand) has it.
    pub fn expand_all(&mut self, state: &StageState, instruction: &Instruction, words: &[Word]) -> Result<Vec<String>> {
        words.iter().map(|word| self.expand(state, instruction, word)).collect()
    }

    /// Returns what `word` comes to with the variables of the stage. Fails for a word that cannot be expanded, and when the
    /// budget is spent.
    pub fn expand(&mut self, state: &StageState, instruction: &Instruction, word: &Word) -> Result<String> {
        Ok(self.expanded(state, instruction, word)?.text)
    }

    fn expanded(&mut self, state: &StageState, instruction: &Instruction, word: &Word) -> Result<Expanded> {
        let expanded = expand(self.dockerfile.directives.escape, word, &state.scope, &instruction.text)?;
        self.budget.spend(expanded.cost)?;
        for unset in &expanded.unset {
            self.budget.spend(word.span.len())?; // of which the line is found
            self.note_undefined(unset, state, || instruction.excerpt(&part(word, &unset.at, &instruction.text)))?;
        }
        Ok(expanded)
    }

    /// Returns what the content of a heredoc comes to, in which quotes are what they are.
    pub fn expand_content(&mut self, state: &StageState, instruction: &Instruction, content: &str) -> Result<String> {
        let place = instruction.excerpt(&instruction.span);
        let expanded = Lexer::heredoc().expand(content, &|name| state.scope.get(name));
        let expanded = expanded.map_err(|error| Error::input(error.message).with_excerpt(place.clone()))?;
        self.budget.spend(expanded.cost)?;
        expanded.unset.iter().try_for_each(|unset| self.note_undefined(unset, state, || place.clone()))?;
        Ok(expanded.text)
    }

    /// Returns what `word` of a `FROM` line comes to with the variables of `scope`.
    pub fn expand_in_from(&mut self, scope: &Scope, word: &Word) -> Result<Expanded> {
        let text = &self.dockerfile.text;
        let expanded = expand(self.dockerfile.directives.escape, word, scope, text)?;
        self.budget.spend(expanded.cost).map_err(|error| error.with_excerpt(text.excerpt(&word.span)))?;
        Ok(expanded)
    }

    fn note_undefined(&mut self, unset: &Unset, state: &StageState, place: impl Fn() -> Excerpt) -> Result<()> {
        let name = &unset.name;
        if !state.scope.is_open && !state.scope.arguments.contains(name) {
            self.budget.spend(state.scope.names().map(str::len).sum())?;
            let near = suggestion(name, state.scope.names());
            self.warn(Warning::undefined_var(name, near, place()))?;
        }
        Ok(())
    }
}

/// Returns what `word`, a part of `text`, comes to. Fails for a word that cannot be expanded, whose line the error shows.
pub fn expand(escape: char, word: &Word, scope: &Scope, text: &Text) -> Result<Expanded> {
    let expanded = Lexer::new(escape).expand(&word.text, &|name| scope.get(name));
    expanded.map_err(|error| Error::input(error.message).with_excerpt(text.excerpt(&part(word, &error.at, text))))
}

/// Returns where a part of `word` stands in `text`; all of the word if it runs over several lines.
fn part(word: &Word, part: &Span, text: &Text) -> Span {
    match text.content.get(word.span.clone()) {
        Some(written) if written == word.text => word.span.start + part.start..word.span.start + part.end,
        _ => word.span.clone(),
    }
}
