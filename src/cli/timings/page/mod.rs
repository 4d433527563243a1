//! A recording as one page, which needs nothing from anywhere else: what took the time comes first, then when everything
//! was done, then all of it in tables. Its script only sorts and filters what is there without it.

mod groups;
mod html;
mod summary;
mod tables;
mod timeline;

use std::fmt::Write;

use base64::prelude::{BASE64_STANDARD, Engine};

use self::groups::Groups;
use self::html::Escaped;
use super::report::{TimingsEnding, TimingsReport};
use crate::oci::Digest;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// So many groups are shown with their colours.
const MOST_CHIPS: usize = 60;

/// Returns the page of `report`.
pub fn page(report: &TimingsReport) -> String {
    let groups = Groups::new(report);
    let mut page = String::new();
    head(&mut page, report);
    summary::write(&mut page, report, &groups);
    filters(&mut page, &groups);
    timeline::write(&mut page, report, &groups);
    tables::write(&mut page, report, &groups);
    let _ = write!(
        page,
        "<footer>Written by {}. <code>--timings=FILE.json</code> writes the same as data.</footer>\n</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
        Escaped(&report.program)
    );
    page
}

fn head(page: &mut String, report: &TimingsReport) {
    // Should anything ever get out of its place, it is not a script that the page may run.
    let hash = BASE64_STANDARD.encode(Digest::of(SCRIPT.as_bytes()).as_bytes());
    let (badge, word) = match report.ending {
        TimingsEnding::Done => ("done", "done"),
        TimingsEnding::Failed { .. } => ("failed", "failed"),
        TimingsEnding::Interrupted { .. } => ("failed", "interrupted"),
    };
    let _ = write!(
        page,
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Timings of {title}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<header><h1>{title} <span class="badge {badge}">{word}</span></h1><p class="dim">{started} · {program}</p></header>
<p id="error" class="box bad" hidden></p>
"#,
        title = Escaped(&report.title),
        started = Escaped(&report.started),
        program = Escaped(&report.program),
    );
}

/// The groups in their colours, and what the script filters by.
fn filters(page: &mut String, groups: &Groups<'_>) {
    let _ = write!(
        page,
        "<section class=\"filters\" aria-label=\"What is shown\"><span class=\"dim\">{}</span>",
        groups.kind
    );
    for (number, name) in groups.names.iter().enumerate().take(MOST_CHIPS) {
        let colour = Groups::colour_of(number);
        let _ = write!(
            page,
            "<button type=\"button\" class=\"chip\" data-group=\"{number}\" aria-pressed=\"false\"><i class=\"{colour}\"></i>{}</button>",
            Escaped(if name.is_empty() { "the image" } else { name })
        );
    }
    if let Some(more) = groups.names.len().checked_sub(MOST_CHIPS).filter(|more| *more > 0) {
        let _ = write!(page, "<span class=\"dim\">and {more} more</span>");
    }
    if groups.are_targets {
        page.push_str("<span class=\"chip\"><i class=\"shared\"></i>several</span>");
    }
    page.push_str(concat!(
        "<span class=\"scripted\"><label>shown <select id=\"verdict\"><option value=\"\">all</option><option>done</option>",
        "<option>cached</option><option>failed</option><option>unneeded</option></select></label> ",
        "<label>from <select id=\"least\"><option value=\"0\">0 ms</option><option value=\"0.01\">10 ms</option>",
        "<option value=\"0.1\">100 ms</option><option value=\"1\">1 s</option><option value=\"10\">10 s</option></select></label>",
        "</span></section>\n"
    ));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cli::timings::recording::Recording;
    use crate::cli::timings::report::RunFacts;
    use crate::error::{Error, Excerpt, escape};
    use crate::oci::Platform;
    use crate::progress::{Event, PlannedStep, StepPart, StepPlace};

    const HOSTILE: &str = "</style></script><script>x</script>\"'><b onclick=x>\u{202e}\n";

    /// Steps that have hostile names of any length, each behind the one before it.
    fn recording(count: usize, title: &str) -> Recording {
        let platform = Platform::new("linux", "amd64", None);
        let step = |index| PlannedStep {
            place: StepPlace {
                index,
                title,
                target: None,
                stage: title,
                platform: &platform,
                number: index + 1,
                line: None,
            },
            base: None,
            stands_on: index.checked_sub(1).into_iter().collect(),
            layer: None,
            targets: vec![0, 1],
        };
        let steps: Vec<PlannedStep<'_>> = (0..count).map(step).collect();
        let mut recording = Recording::default();
        recording.note(Event::StepsPlanned { steps: &steps, targets: &[title, "b"] }, Duration::ZERO);
        for index in 0..count {
            let at = Duration::from_millis(index as u64);
            let (part, waited) = (StepPart::Change, Duration::ZERO);
            recording.note(Event::PartStarted { index, part, waited, worker: 0 }, at);
            recording.note(Event::PartFinished { index, part, is_done: true }, at + Duration::from_millis(1));
        }
        recording
    }

    fn page_of(recording: &Recording, message: &str) -> String {
        let (file, text) = (message.to_owned(), message.to_owned());
        let excerpt = Excerpt { file, line: 1, column: 1, text, skipped: 0, width: 1 };
        let ending = TimingsEnding::of(&Error::input(message).with_hint(message).with_excerpt(excerpt));
        let (title, started) = (escape::line(message), "2026-01-01T00:00:00Z".to_owned());
        let end = Duration::from_secs(30);
        page(&TimingsReport::new(
            recording,
            RunFacts { title, started, ending, end, processors: 2, samples: Vec::new() },
        ))
    }

    #[test]
    fn thousands_of_steps_make_a_page_that_a_browser_can_show() {
        let page = page_of(&recording(20_000, &"<".repeat(100_000)), "failed");
        assert!(page.len() < 24 << 20, "{} bytes", page.len());
        assert!(
            page.contains("15000 more are left out here") && page.contains("19000 shorter steps are only in the table")
        );
        assert!(page_of(&recording(10, "RUN x"), "failed").len() < 40_000);
    }

    #[test]
    fn no_text_becomes_more_than_text() {
        let page = page_of(&recording(3, HOSTILE), HOSTILE);
        let ours = page_of(&recording(3, "x"), "x");
        for tag in ["<script", "</script", "<style", "</style", "<b", "<i ", "<td", "\u{202e}"] {
            assert_eq!(page.matches(tag).count(), ours.matches(tag).count(), "{tag}");
        }
        assert!(page.contains("&lt;b onclick=x&gt;"));
    }

    #[test]
    fn a_build_without_steps_has_a_page() {
        let page = page_of(&Recording::default(), "there is no Dockerfile");
        assert!(page.contains("there is no Dockerfile") && page.contains("reading and resolving"));
    }
}
