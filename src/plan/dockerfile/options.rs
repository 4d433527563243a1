//! The options that one flag of `RUN` holds, with commas between them.

use super::line::LogicalLine;
use super::parts::InstructionParts;
use crate::error::Result;

/// Returns the fields of one CSV record (RFC 4180): quotes around a field keep its commas, and two in it are one. Fails for
/// a record of nothing and for quotes that do not stand around a whole field.
pub fn fields(parts: &InstructionParts<'_>, value: &LogicalLine) -> Result<Vec<LogicalLine>> {
    let refuse =
        |message: &str| parts.error(value, message).with_hint("options are `key=value`, with commas between them");
    if value.is_empty() {
        return Err(refuse("this option is empty"));
    }
    let mut fields = Vec::new();
    let mut kept = Vec::new();
    let mut characters = value.text().char_indices().peekable();
    loop {
        if characters.next_if(|(_, character)| *character == '"').is_some() {
            loop {
                match characters.next() {
                    Some((_, '"')) => match characters.next_if(|(_, character)| *character == '"') {
                        Some(quote) => kept.push(quote),
                        None => break,
                    },
                    Some(other) => kept.push(other),
                    None => return Err(refuse("a quotation mark is not closed")),
                }
            }
        } else {
            while let Some(character) = characters.next_if(|(_, character)| !matches!(character, ',' | '"')) {
                kept.push(character);
            }
        }
        match characters.next() {
            None => {
                fields.push(value.pick(&kept, value.text().len()));
                return Ok(fields);
            }
            Some((at, ',')) => fields.push(value.pick(&kept, at)),
            Some(_) => return Err(refuse("quotes must be around a whole option or not used at all")),
        }
        kept.clear();
    }
}
