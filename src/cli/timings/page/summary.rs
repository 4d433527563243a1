//! What somebody who wonders why a build was slow looks at first.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::groups::Groups;
use super::html::{Escaped, percent, time};
use crate::cli::bytes::short;
use crate::cli::timings::report::{StretchReport, TimingsEnding, TimingsReport, TransferReport};

/// So many of what took longest are listed.
const MOST_CULPRITS: usize = 10;

/// What is less of the whole is not listed, in percent.
const LEAST_SHARE: f64 = 1.0;

/// The same in the strip of them, where there is less to say.
const LEAST_STRIP: f64 = 0.05;

/// Something on the critical path, with all of its stretches.
struct Culprit<'a> {
    work: &'a str,
    step: Option<usize>,
    seconds: f64,
}

/// Nobody's work: nothing but a thread was missing.
const FREE: &str = "free";

/// Writes how it ended, the figures, and what took the time.
pub fn write(page: &mut String, report: &TimingsReport, groups: &Groups<'_>) {
    ending(page, report);
    tiles(page, report);
    let culprits = culprits(report);
    page.push_str("<section><h2>What took the time</h2>\n");
    sentences(page, report, &culprits);
    if report.seconds > 0.0 && !culprits.is_empty() {
        strip(page, report, groups);
        list(page, report, groups, &culprits);
    }
    page.push_str("</section>\n");
}

fn ending(page: &mut String, report: &TimingsReport) {
    let (message, at, line, hint) = match &report.ending {
        TimingsEnding::Done => return,
        TimingsEnding::Failed { message, at, line, hint } => (message, at.as_deref(), line.as_deref(), hint.as_deref()),
        TimingsEnding::Interrupted { message } => (message, None, None, None),
    };
    let _ = write!(page, "<div class=\"box bad\" id=\"ending\"><strong>{}</strong>", Escaped(message));
    for (text, tag) in [(at, "p"), (line, "pre"), (hint, "p")] {
        if let Some(text) = text {
            let _ = write!(page, "<{tag}>{}</{tag}>", Escaped(text));
        }
    }
    page.push_str("</div>\n");
}

fn tiles(page: &mut String, report: &TimingsReport) {
    let totals = &report.totals;
    let processors = match report.seconds > 0.0 {
        true => format!("{:.1} of {} cores on average", report.processor_seconds / report.seconds, report.processors),
        false => format!("{} cores", report.processors),
    };
    let steps = [(totals.cached, "cached"), (totals.unneeded, "not needed")];
    let steps: Vec<String> =
        steps.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    let written = match totals.written {
        0 => "none new".to_owned(),
        written => format!("{} new, from {}", short(written), short(totals.written_unpacked)),
    };
    let pushes = report.transfers.iter().filter(|one| one.kind == "push");
    let there = pushes.filter(|one| matches!(one.outcome, "present" | "mounted")).count();
    let tiles = [
        ("Time", time(report.seconds), processor_note(report)),
        ("Processor time", time(report.processor_seconds), processors),
        ("Steps done", format!("{} of {}", totals.done, totals.steps), steps.join(", ")),
        ("Layers", short(totals.layers), written),
        ("Pulled", short(totals.pulled), counted(report, |one| one.kind != "push" && one.kind != "resolve")),
        (
            "Pushed",
            short(totals.pushed),
            match there {
                0 => counted(report, |one| one.kind == "push" && one.outcome == "sent"),
                there => format!("{there} blobs were there already"),
            },
        ),
    ];
    page.push_str("<section class=\"tiles\" aria-label=\"Figures\">");
    for (name, figure, note) in tiles {
        let _ = write!(
            page,
            "<div><span class=\"dim\">{name}</span><b>{}</b><span class=\"dim\">{}</span></div>",
            Escaped(&figure),
            Escaped(&note)
        );
    }
    page.push_str("</section>\n");
}

fn processor_note(report: &TimingsReport) -> String {
    let mut notes = Vec::new();
    for (count, one, several) in
        [(report.totals.warnings, "warning", "warnings"), (report.totals.retries, "retry", "retries")]
    {
        if count > 0 {
            notes.push(format!("{count} {}", if count == 1 { one } else { several }));
        }
    }
    notes.join(", ")
}

fn counted(report: &TimingsReport, is_wanted: fn(&TransferReport) -> bool) -> String {
    match report.transfers.iter().filter(|one| is_wanted(one)).count() {
        0 => "nothing".to_owned(),
        1 => "1 transfer".to_owned(),
        count => format!("{count} transfers"),
    }
}

/// What lies on the critical path, the longest first.
fn culprits(report: &TimingsReport) -> Vec<Culprit<'_>> {
    let mut all: BTreeMap<(Option<usize>, &str), Culprit<'_>> = BTreeMap::new();
    for StretchReport { work, step, began, ended, waited } in &report.critical_path {
        let mut add = |work, step, seconds| {
            let culprit = all.entry((step, work)).or_insert(Culprit { work, step, seconds: 0.0 });
            culprit.seconds += seconds;
        };
        add(work, *step, ended - began - waited);
        add(FREE, None, *waited);
    }
    let mut all: Vec<Culprit<'_>> = all.into_values().collect();
    all.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    all
}

/// What a stretch is called.
fn name<'a>(report: &'a TimingsReport, work: &str, step: Option<usize>) -> &'a str {
    match step.and_then(|step| report.steps.get(step)) {
        Some(step) => &step.title,
        None if work == FREE => "waiting for a free thread",
        None if work == "before" => "reading and resolving, before the first step",
        None if report.outputs.is_empty() => "finishing, after the last step",
        None => "writing and pushing, after the last step",
    }
}

fn sentences(page: &mut String, report: &TimingsReport, culprits: &[Culprit<'_>]) {
    let mut said: Vec<String> = Vec::new();
    if let Some(first) = culprits.first().filter(|_| report.seconds > 0.0) {
        let share = percent(first.seconds, report.seconds);
        let step = first.step.and_then(|step| report.steps.get(step));
        let why = step.map(|step| format!(" — {}", Escaped(&step.why))).unwrap_or_default();
        let name = Escaped(name(report, first.work, first.step)).to_string();
        said.push(format!(
            "<code>{name}</code> took {} of the {} ({share:.0} %){why}.",
            time(first.seconds),
            time(report.seconds)
        ));
    }
    let commands: f64 =
        report.steps.iter().filter_map(|step| step.command.as_ref()).map(|one| one.ended - one.began).sum();
    if commands > report.seconds * 1.2 {
        let times = commands / report.seconds;
        said.push(format!(
            "Commands ran side by side: {} of them in {}, {times:.1} at a time.",
            time(commands),
            time(report.seconds)
        ));
    }
    for sentence in said {
        let _ = writeln!(page, "<p>{sentence}</p>");
    }
}

/// The critical path as one bar.
fn strip(page: &mut String, report: &TimingsReport, groups: &Groups<'_>) {
    page.push_str("<div class=\"strip\" role=\"img\" aria-label=\"What was waited for, one after the other\">");
    for stretch in &report.critical_path {
        let step = stretch.step.and_then(|step| report.steps.get(step));
        let colour = step.map_or("other".to_owned(), |step| groups.colour(step));
        let name = Escaped(name(report, stretch.work, stretch.step)).to_string();
        let worked = stretch.ended - stretch.began - stretch.waited;
        for (colour, name, seconds) in
            [(FREE, self::name(report, FREE, None), stretch.waited), (&colour, &name, worked)]
        {
            let share = percent(seconds, report.seconds);
            if share < LEAST_STRIP {
                continue;
            }
            let (shown, seconds) = (if share >= 8.0 { name } else { "" }, time(seconds));
            let _ = write!(
                page,
                "<span class=\"{colour}\" style=\"flex:{share:.3} 0 0\" title=\"{name}: {seconds} ({share:.1} %)\">{shown}</span>"
            );
        }
    }
    page.push_str("</div>\n");
}

fn list(page: &mut String, report: &TimingsReport, groups: &Groups<'_>, culprits: &[Culprit<'_>]) {
    page.push_str(concat!(
        "<table class=\"culprits\"><thead><tr><th class=\"number\">Share</th><th class=\"number\">Time</th><th>What everything ",
        "else waited for</th><th>Why</th></tr></thead><tbody>\n"
    ));
    let is_listed = |culprit: &&Culprit<'_>| percent(culprit.seconds, report.seconds) >= LEAST_SHARE;
    let listed: Vec<&Culprit<'_>> = culprits.iter().filter(is_listed).take(MOST_CULPRITS).collect();
    for culprit in &listed {
        let share = percent(culprit.seconds, report.seconds);
        let step = culprit.step.and_then(|step| report.steps.get(step));
        let colour = step
            .map_or_else(|| if culprit.work == FREE { FREE } else { "other" }.to_owned(), |step| groups.colour(step));
        let stage =
            step.map_or(String::new(), |step| format!(" <span class=\"dim\">{}</span>", Escaped(groups.name(step))));
        let why = match step {
            None if culprit.work == FREE => {
                "more steps could be done at a time than there are <code>--jobs</code>".to_owned()
            }
            step => Escaped(step.map_or("", |step| &step.why)).to_string(),
        };
        let _ = writeln!(
            page,
            "<tr><td class=\"number share\"><i class=\"{colour}\" style=\"width:{share:.2}%\"></i><span>{share:.0} %</span></td><td class=\"number\">{}</td><td class=\"title\"><code>{}</code>{stage}</td><td>{why}</td></tr>",
            time(culprit.seconds),
            Escaped(name(report, culprit.work, culprit.step)),
        );
    }
    page.push_str("</tbody></table>\n");
    let rest: f64 = culprits.iter().skip(listed.len()).map(|culprit| culprit.seconds).sum();
    if culprits.len() > listed.len() {
        let _ =
            writeln!(page, "<p class=\"dim\">and {} more, {} together</p>", culprits.len() - listed.len(), time(rest));
    }
}
