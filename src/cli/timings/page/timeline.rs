//! When everything was done, on one axis of time; and below it the processors in use.

use std::cmp::Ordering;
use std::fmt::Write;

use super::groups::Groups;
use super::html::{Escaped, percent, time};
use crate::cli::bytes::short;
use crate::cli::timings::report::{PartReport, StepReport, TimingsReport, TransferReport};
use crate::cli::timings::verdict::StepVerdict;

/// So many rows are drawn: of more, those that took longest.
const MOST_STEPS: usize = 1000;
const MOST_TRANSFERS: usize = 60;

/// A transfer is drawn that took this part of the whole, in percent.
const LEAST_TRANSFER: f64 = 0.5;

/// What is shorter is not drawn as waiting, in seconds.
const LEAST_WAIT: f64 = 0.001;

/// What is less of the critical path is not marked, in percent of the whole.
const LEAST_CRITICAL: f64 = 1.0;

/// The axis has up to so many marks.
const MOST_MARKS: f64 = 8.0;

/// A row of the timeline.
enum Row<'a> {
    Step(&'a StepReport),
    Transfer(&'a TransferReport),
}

impl Row<'_> {
    fn began(&self) -> f64 {
        match self {
            // Everything is looked up first.
            Row::Step(step) => {
                let parts = step.parts.iter().filter(|part| part.part != "mark").map(|part| part.ready);
                parts.min_by(f64::total_cmp).or(step.began).unwrap_or_default()
            }
            Row::Transfer(transfer) => transfer.began,
        }
    }
}

/// Writes the timeline of `report`.
pub fn write(page: &mut String, report: &TimingsReport, groups: &Groups<'_>) {
    let is_drawn =
        |step: &&StepReport| step.began.is_some() && (step.verdict != StepVerdict::Start || step.worked > 0.001);
    let mut steps: Vec<&StepReport> = report.steps.iter().filter(is_drawn).collect();
    let left_out = longest(&mut steps, MOST_STEPS, |step| step.worked);
    let is_long = |one: &&TransferReport| percent(one.ended - one.began, report.seconds) >= LEAST_TRANSFER;
    let mut transfers: Vec<&TransferReport> = report.transfers.iter().filter(is_long).collect();
    longest(&mut transfers, MOST_TRANSFERS, |one| one.ended - one.began);
    let mut rows: Vec<Row<'_>> = steps.into_iter().map(Row::Step).collect();
    rows.extend(transfers.into_iter().map(Row::Transfer));
    // What began first stands above; of that which began at once, in the order of the recipe.
    rows.sort_by(|a, b| a.began().total_cmp(&b.began()));
    page.push_str("<section class=\"timeline\"><h2>When it was done</h2>\n");
    legend(page);
    page.push_str("<div class=\"rows\">");
    axis(page, report.seconds);
    for row in &rows {
        match row {
            Row::Step(step) => step_row(page, report, groups, step),
            Row::Transfer(transfer) => transfer_row(page, report, transfer),
        }
    }
    processors(page, report);
    page.push_str("</div>\n");
    if left_out > 0 {
        let _ = writeln!(page, "<p class=\"dim\">{left_out} shorter steps are only in the table.</p>");
    }
    page.push_str("</section>\n");
}

/// Returns whether much was waited for `step`.
pub fn is_critical(report: &TimingsReport, step: &StepReport) -> bool {
    percent(step.critical, report.seconds) >= LEAST_CRITICAL
}

/// Leaves the `most` for which `of` is greatest, and returns how many others there were.
fn longest<T>(all: &mut Vec<&T>, most: usize, of: impl Fn(&T) -> f64) -> usize {
    let others = all.len().saturating_sub(most);
    if others > 0 {
        all.sort_by(|a, b| of(b).partial_cmp(&of(a)).unwrap_or(Ordering::Equal));
        all.truncate(most);
    }
    others
}

fn legend(page: &mut String) {
    let kinds = [
        ("run", "its command runs, or its files are looked at"),
        ("part", "prepared: files of what it stands on"),
        ("layer", "layer written"),
        ("wait", "waits for a thread"),
        ("run crit", "everything else waited for it"),
        ("run broken", "failed"),
        ("read", "cached, and read for others"),
        ("transfer", "pulled, pushed or written"),
    ];
    page.push_str("<p class=\"legend dim\">");
    for (class, text) in kinds {
        let _ = write!(page, "<span><i class=\"bar {class}\"></i>{text}</span> ");
    }
    page.push_str("</p>\n");
}

/// The marks of the axis and the lines below them.
fn axis(page: &mut String, seconds: f64) {
    page.push_str("<div class=\"row axis\"><div class=\"label\"></div><div class=\"track\">");
    let distance = distance(seconds);
    let count = (seconds / distance).floor() as usize;
    for mark in (0..=count).map(|number| number as f64 * distance) {
        let left = percent(mark, seconds);
        // One at the very end would hang over.
        let name = if left > 96.0 { String::new() } else { mark_name(mark, distance) };
        let _ = write!(page, "<i class=\"mark\" style=\"left:{left:.3}%\"><span>{name}</span></i>");
    }
    page.push_str("</div></div>\n");
}

/// The distance of marks: 1, 2 or 5, or ten times that, and so on.
fn distance(seconds: f64) -> f64 {
    let least = (seconds / MOST_MARKS).max(0.001);
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|step| *step >= least * 0.999_999).unwrap_or(least)
}

fn mark_name(mark: f64, distance: f64) -> String {
    match distance {
        _ if mark == 0.0 => "0".to_owned(),
        ..1.0 if mark < 0.9995 => format!("{:.0} ms", mark * 1000.0),
        ..0.1 => format!("{mark:.2} s"),
        ..1.0 => format!("{mark:.1} s"),
        _ if mark < 100.0 => format!("{mark:.0} s"),
        _ => time(mark),
    }
}

fn step_row(page: &mut String, report: &TimingsReport, groups: &Groups<'_>, step: &StepReport) {
    let is_critical = is_critical(report, step);
    let mut classes = vec!["row", "step"];
    classes.extend(is_critical.then_some("crit"));
    classes.extend((step.verdict == StepVerdict::Cached || step.verdict == StepVerdict::Same).then_some("cached"));
    classes.extend((step.verdict == StepVerdict::Failed).then_some("failed"));
    let title = match step.verdict {
        StepVerdict::Start => format!("FROM {}", step.title),
        _ => step.title.clone(),
    };
    let _ = write!(
        page,
        "<div class=\"{}\" {} title=\"{}\"><div class=\"label\"><code>{}</code> <span class=\"dim\">{}</span></div><div class=\"track\">",
        classes.join(" "),
        groups.attributes(step),
        Escaped(&tip(step)),
        Escaped(&title),
        Escaped(groups.name(step)),
    );
    let colour = groups.colour(step);
    let mut bar = |class: &str, began: f64, ended: f64| {
        let (left, width) = (percent(began, report.seconds), percent(ended - began, report.seconds));
        let marked = if is_critical && on_path(report, step, began, ended) { " crit" } else { "" };
        let _ =
            write!(page, "<i class=\"bar {class}{marked} {colour}\" style=\"left:{left:.3}%;width:{width:.3}%\"></i>");
    };
    if let Some((began, ended)) = step.began.zip(step.ended) {
        bar("life", began, ended);
    }
    for part in &step.parts {
        if part.began - part.ready >= LEAST_WAIT {
            bar("wait", part.ready, part.began);
        }
        bar(part_class(step, part), part.began, part.ended);
    }
    if let Some(command) = &step.command {
        bar(if step.verdict == StepVerdict::Failed { "run broken" } else { "run" }, command.began, command.ended);
    }
    let longest = step.parts.iter().max_by(|a, b| (a.ended - a.began).total_cmp(&(b.ended - b.began)));
    let began = percent(longest.map_or(0.0, |part| part.began), report.seconds);
    beside(page, (began, percent(step.ended.unwrap_or_default(), report.seconds)), &time(step.worked));
    page.push_str("</div></div>\n");
}

/// Whether what went on between these moments was waited for.
fn on_path(report: &TimingsReport, step: &StepReport, began: f64, ended: f64) -> bool {
    let of_step = report.critical_path.iter().filter(|stretch| stretch.step == Some(step.index));
    let middle = f64::midpoint(began, ended);
    of_step.into_iter().any(|stretch| stretch.began <= middle && middle <= stretch.ended)
}

/// Writes what a row says of itself behind its last bar or, where there is no room, before its longest one; both are in percent.
fn beside(page: &mut String, (began, ended): (f64, f64), text: &str) {
    let _ = match (began, ended) {
        (_, ..91.0) => write!(page, "<span class=\"after\" style=\"left:{ended:.3}%\">{text}</span>"),
        (9.0.., _) => write!(page, "<span class=\"before\" style=\"right:{:.3}%\">{text}</span>", 100.0 - began),
        _ => write!(page, "<span class=\"inner\">{text}</span>"),
    };
}

fn part_class(step: &StepReport, part: &PartReport) -> &'static str {
    match part.part {
        "change" if step.verdict == StepVerdict::Failed && step.command.is_none() => "run broken",
        // Its command is drawn on top.
        "change" if step.command.is_some() => "part",
        "change" if step.verdict == StepVerdict::Cached => "read",
        "change" => "run",
        "layer" => "layer",
        _ => "part",
    }
}

/// What a step says of itself when it is pointed at.
fn tip(step: &StepReport) -> String {
    let mut lines = vec![step.title.clone(), step.why.clone()];
    if let Some((began, ended)) = step.began.zip(step.ended) {
        let waited = if step.waited >= LEAST_WAIT {
            format!(", waited {} for a thread", time(step.waited))
        } else {
            String::new()
        };
        lines.push(format!("from {} to {}: {} of work{waited}", time(began), time(ended), time(step.worked)));
    }
    for part in &step.parts {
        let name = match part.part {
            "mark" => "looked up",
            "files" => "files put together",
            "change" => "done",
            _ => "layer written",
        };
        lines.push(format!("{name}: {} (thread {})", time(part.ended - part.began), part.worker));
    }
    if let Some(command) = &step.command {
        lines.push(format!("its command: {}", time(command.ended - command.began)));
    }
    lines.join("\n")
}

fn transfer_row(page: &mut String, report: &TimingsReport, transfer: &TransferReport) {
    let TransferReport { kind, name, began, ended, bytes, outcome, .. } = transfer;
    let digest = transfer.digest.map(|digest| digest.hex().chars().take(12).collect::<String>());
    let size = if *bytes > 0 { format!(", {}", short(*bytes)) } else { String::new() };
    let (left, width) = (percent(*began, report.seconds), percent(ended - began, report.seconds));
    let _ = write!(
        page,
        "<div class=\"row moved\" title=\"{kind} {name} {digest}: {outcome}{size}\"><div class=\"label\">{kind} {name} <span class=\"dim\">{digest}</span></div><div class=\"track\"><i class=\"bar transfer\" style=\"left:{left:.3}%;width:{width:.3}%\"></i>",
        name = Escaped(name),
        digest = digest.unwrap_or_default(),
    );
    let text = format!("{}{size}", time(ended - began));
    beside(page, (left, left + width), &text);
    page.push_str("</div></div>\n");
}

/// The processors in use, below the rows.
fn processors(page: &mut String, report: &TimingsReport) {
    let uses = &report.processor_use;
    if uses.is_empty() || report.seconds <= 0.0 {
        return;
    }
    let most = uses.iter().map(|(_, cores)| *cores).fold(report.processors as f64, f64::max);
    let (mut path, mut from) = ("M0 100".to_owned(), 0.0);
    for (at, cores) in uses {
        let (left, right) = (percent(from, report.seconds) * 10.0, percent(*at, report.seconds) * 10.0);
        let height = 100.0 - percent(*cores, most);
        let _ = write!(path, "L{left:.1} {height:.1}L{right:.1} {height:.1}");
        from = *at;
    }
    let _ = write!(path, "L{:.1} 100Z", percent(from, report.seconds) * 10.0);
    let line = 100.0 - percent(report.processors as f64, most);
    let _ = writeln!(
        page,
        "<div class=\"row cores\"><div class=\"label\">cores in use <span class=\"dim\">of {}</span></div><div class=\"track\"><svg viewBox=\"0 0 1000 100\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"Cores in use over time\"><path d=\"{path}\"/><line x1=\"0\" x2=\"1000\" y1=\"{line:.1}\" y2=\"{line:.1}\"/></svg></div></div>",
        report.processors
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_few() {
        for (seconds, expected) in [
            (0.0, 0.001),
            (0.1, 0.02),
            (0.9, 0.2),
            (3.0, 0.5),
            (8.0, 1.0),
            (34.0, 5.0),
            (600.0, 100.0),
            (90_000.0, 20_000.0),
        ] {
            let found = distance(seconds);
            assert!((found - expected).abs() < expected * 1e-9, "{seconds}: {found}");
        }
        assert_eq!(
            [(0.0, 1.0), (0.2, 0.2), (1.5, 0.5), (0.04, 0.02), (1.02, 0.02), (20.0, 5.0), (300.0, 100.0)]
                .map(|(mark, distance)| mark_name(mark, distance)),
            ["0", "200 ms", "1.5 s", "40 ms", "1.02 s", "20 s", "5m 00s"]
        );
    }
}
