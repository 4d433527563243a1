//! All steps, and all that came and went, in tables that the script sorts.

use std::fmt::Write;

use super::groups::Groups;
use super::html::{Escaped, time};
use super::timeline::is_critical;
use crate::cli::bytes::short;
use crate::cli::timings::report::{StepReport, TimingsReport, TransferReport};
use crate::cli::timings::verdict::StepVerdict;

/// The rows of a table: more would make a page that no browser likes. The data has all of them.
const MOST_ROWS: usize = 5000;

/// Writes the tables of `report`.
pub fn write(page: &mut String, report: &TimingsReport, groups: &Groups<'_>) {
    steps(page, report, groups);
    transfers(page, report);
}

fn steps(page: &mut String, report: &TimingsReport, groups: &Groups<'_>) {
    let shown: Vec<&StepReport> = report.steps.iter().filter(|step| step.verdict != StepVerdict::Start).collect();
    let _ = write!(
        page,
        concat!(
            "<section><h2>Steps <span class=\"dim\">{}</span></h2>\n<div class=\"wide\"><table id=\"steps\"><thead><tr>",
            "<th class=\"number\" data-key=\"index\">#</th><th data-key=\"title\">Step</th><th data-key=\"group\">{}</th>",
            "<th class=\"number\" data-key=\"line\">Line</th><th data-key=\"why\">Done or cached</th><th class=\"number\" data-key=\"began\">Began</th>",
            "<th class=\"number\" data-key=\"waited\">Waited</th><th class=\"number\" data-key=\"worked\">Took</th>",
            "<th class=\"number\" data-key=\"command\">Command</th><th class=\"number\" data-key=\"size\">Layer</th>",
            "<th class=\"number\" data-key=\"unpacked\">As a tar</th></tr></thead><tbody>\n"
        ),
        shown.len(),
        groups.kind,
    );
    for step in shown.iter().take(MOST_ROWS) {
        step_line(page, report, groups, step);
    }
    page.push_str("</tbody></table></div>\n");
    left_out(page, shown.len());
    page.push_str("</section>\n");
}

fn step_line(page: &mut String, report: &TimingsReport, groups: &Groups<'_>, step: &StepReport) {
    let StepReport { index, verdict, worked, waited, .. } = step;
    let class = if is_critical(report, step) { "crit" } else { "" };
    let platform = Escaped(&step.platform);
    let group = match groups.are_targets {
        true => {
            format!("{} <span class=\"dim\">{} {platform}</span>", Escaped(groups.name(step)), Escaped(&step.stage))
        }
        false => format!("{} <span class=\"dim\">{platform}</span>", Escaped(groups.name(step))),
    };
    let _ = write!(
        page,
        "<tr class=\"{class}\" {}><td class=\"number\">{index}</td><td class=\"title\"><i class=\"dot {}\"></i><code>{}</code></td><td>{group}</td>",
        groups.attributes(step),
        groups.colour(step),
        Escaped(&step.title),
    );
    number(page, step.line.map(|line| line as f64), |line| line.to_string());
    let _ = write!(page, "<td class=\"why\"><b class=\"verdict {}\">{}</b>", verdict.name(), verdict_word(*verdict));
    let reason = step.why.split_once(": ").map_or("", |(_, reason)| reason);
    let _ = write!(page, " {}</td>", Escaped(reason));
    let command = step.command.as_ref().map(|command| command.ended - command.began);
    for seconds in [step.began, Some(*waited), Some(*worked), command] {
        number(page, seconds, time);
    }
    let layer = step.layer.as_ref();
    for bytes in [layer.and_then(|layer| layer.size), layer.and_then(|layer| layer.unpacked)] {
        number(page, bytes.map(|bytes| bytes as f64), |bytes| short(bytes as u64));
    }
    page.push_str("</tr>\n");
}

fn verdict_word(verdict: StepVerdict) -> &'static str {
    match verdict {
        StepVerdict::Unneeded => "not needed",
        StepVerdict::Same => "done once",
        other => other.name(),
    }
}

/// Writes a cell with a number, which the script sorts by.
fn number(page: &mut String, value: Option<f64>, text: impl Fn(f64) -> String) {
    let _ = match value {
        Some(value) => write!(page, "<td class=\"number\" data-value=\"{value}\">{}</td>", text(value)),
        None => write!(page, "<td class=\"number\" data-value=\"-1\"></td>"),
    };
}

fn transfers(page: &mut String, report: &TimingsReport) {
    if report.transfers.is_empty() {
        return;
    }
    let _ = write!(
        page,
        concat!(
            "<section><h2>Pulled and pushed <span class=\"dim\">{}</span></h2>\n<div class=\"wide\"><table id=\"transfers\"><thead><tr>",
            "<th data-key=\"kind\">What</th><th data-key=\"name\">Name</th><th data-key=\"digest\">Digest</th><th data-key=\"outcome\">Outcome</th>",
            "<th class=\"number\" data-key=\"began\">Began</th><th class=\"number\" data-key=\"took\">Took</th>",
            "<th class=\"number\" data-key=\"bytes\">Moved</th><th class=\"number\" data-key=\"size\">Size</th></tr></thead><tbody>\n"
        ),
        report.transfers.len()
    );
    for TransferReport { kind, name, digest, size, bytes, began, ended, outcome } in
        report.transfers.iter().take(MOST_ROWS)
    {
        let digest = digest.map(|digest| digest.hex().chars().take(12).collect::<String>()).unwrap_or_default();
        let _ = write!(
            page,
            "<tr><td>{kind}</td><td class=\"title\">{}</td><td><code>{digest}</code></td><td>{outcome}</td>",
            Escaped(name)
        );
        number(page, Some(*began), time);
        number(page, Some(ended - began), time);
        number(page, Some(*bytes as f64), |bytes| short(bytes as u64));
        number(page, size.map(|size| size as f64), |size| short(size as u64));
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table></div>\n");
    left_out(page, report.transfers.len());
    page.push_str("</section>\n");
}

fn left_out(page: &mut String, rows: usize) {
    if let Some(more) = rows.checked_sub(MOST_ROWS).filter(|more| *more > 0) {
        let _ = writeln!(page, "<p class=\"dim\">{more} more are left out here: --timings=FILE.json has them.</p>");
    }
}
