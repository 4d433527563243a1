//! Comma separated values of several lines (RFC 4180).

/// What is wrong, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct CsvError {
    /// Counted from 1.
    pub line: usize,
    /// As a clause.
    pub message: &'static str,
}

/// Returns the fields of each record with the line on which it begins. Empty lines are none.
pub fn records(text: &str) -> Result<Vec<(usize, Vec<String>)>, CsvError> {
    let text = text.replace("\r\n", "\n");
    let (mut rest, mut line) = (text.as_str(), 1);
    let mut records = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('\n') {
            (rest, line) = (after, line + 1);
            continue;
        }
        let (start, mut fields) = (line, Vec::new());
        loop {
            let (field, after) = match rest.strip_prefix('"') {
                Some(quoted) => read_quoted(quoted, &mut line)?,
                None => {
                    let end = rest.find([',', '\n']).unwrap_or(rest.len());
                    if rest[..end].contains('"') {
                        return Err(CsvError { line, message: "a quotation mark is inside an unquoted field" });
                    }
                    (rest[..end].to_owned(), &rest[end..])
                }
            };
            fields.push(field);
            match after.strip_prefix(',') {
                Some(after) => rest = after,
                None => {
                    rest = after.strip_prefix('\n').unwrap_or(after);
                    line += 1;
                    break;
                }
            }
        }
        records.push((start, fields));
    }
    Ok(records)
}

/// Reads up to the quotation mark that ends a field. Returns the field and what comes behind.
fn read_quoted<'a>(text: &'a str, line: &mut usize) -> Result<(String, &'a str), CsvError> {
    let (mut field, mut rest) = (String::new(), text);
    loop {
        let Some((part, after)) = rest.split_once('"') else {
            return Err(CsvError { line: *line, message: "a quotation mark is not closed" });
        };
        field.push_str(part);
        *line += part.matches('\n').count();
        match after.chars().next() {
            Some('"') => {
                field.push('"');
                rest = &after[1..];
            }
            None | Some(',' | '\n') => return Ok((field, after)),
            Some(_) => return Err(CsvError { line: *line, message: "text follows a closing quotation mark" }),
        }
    }
}
