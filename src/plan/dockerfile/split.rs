//! The places at which a line falls into words.

use super::line::LogicalLine;

/// The whitespace of Dockerfiles between words; Unicode has more.
pub const WHITESPACE: [char; 5] = ['\t', '\u{b}', '\u{c}', '\r', ' '];

/// Returns the words between whitespace, whatever quotes say.
pub fn words(line: &LogicalLine) -> Vec<LogicalLine> {
    let mut words = Vec::new();
    let mut start = None;
    for (at, character) in line.text().char_indices() {
        match (WHITESPACE.contains(&character), start) {
            (true, Some(from)) => {
                words.push(line.slice(from..at));
                start = None;
            }
            (false, None) => start = Some(at),
            _ => {}
        }
    }
    words.extend(start.map(|from| line.from(from)));
    words
}

/// Returns the first word, and what stands behind the whitespace after it; none if no whitespace follows.
pub fn first_word(line: &LogicalLine) -> (LogicalLine, Option<LogicalLine>) {
    let Some(end) = line.text().find(WHITESPACE) else { return (line.clone(), None) };
    let rest = line.from(end);
    let start = rest.text().len() - rest.text().trim_start_matches(WHITESPACE).len();
    (line.slice(0..end), Some(rest.from(start)))
}

/// Returns the words between whitespace that is neither quoted nor escaped. Quotes and escapes stay in them.
pub fn quoted_words(line: &LogicalLine, escape: char) -> Vec<LogicalLine> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quote = None;
    let mut characters = line.text().char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if quote.is_none() && character.is_whitespace() {
            words.extend(start.take().map(|from| line.slice(from..at)));
            continue;
        }
        let from = *start.get_or_insert(at);
        if quote == Some(character) {
            quote = None;
        } else if quote.is_none() && (character == '\'' || character == '"') {
            quote = Some(character);
        } else if character == escape && quote != Some('\'') && characters.next().is_none() {
            // An escape character that nothing follows says nothing.
            words.extend(Some(line.slice(from..at)).filter(|word| !word.is_empty()));
            return words;
        }
    }
    words.extend(start.map(|from| line.from(from)));
    words
}
