//! The table of the targets that were built together.

use unicode_width::UnicodeWidthStr;

use super::underway::seconds;
use super::words::short_digest;
use crate::cli::bytes::HumanBytes;
use crate::error::escape;
use crate::progress::FinishedTarget;

const HEAD: [&str; 8] = ["TARGET", "PLATFORMS", "SIZE", "RUN", "CACHED", "TIME", "DIGEST", "TAGS"];

/// Returns a line for each of `targets`, below one that says what stands where.
pub fn table(targets: &[FinishedTarget<'_>]) -> Vec<String> {
    let rows: Vec<[String; 8]> = std::iter::once(HEAD.map(str::to_owned)).chain(targets.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].width()).max().unwrap_or_default();
    let widths: [usize; 8] = std::array::from_fn(width);
    let line = |row: &[String; 8]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| {
            let gap = " ".repeat(width - cell.width());
            format!("{cell}{gap}  ")
        });
        cells.collect::<String>().trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn row(target: &FinishedTarget<'_>) -> [String; 8] {
    let FinishedTarget { name, platforms, size, run, known, elapsed, digest, names } = target;
    let platforms: Vec<String> = platforms.iter().map(ToString::to_string).collect();
    let names: Vec<String> = names.iter().map(|name| name.familiar()).collect();
    let cells = [
        (*name).to_owned(),
        platforms.join(","),
        HumanBytes(*size).to_string(),
        run.to_string(),
        known.to_string(),
        seconds(*elapsed),
        short_digest(*digest),
        names.join(" "),
    ];
    cells.map(|cell| escape::line(&cell))
}
