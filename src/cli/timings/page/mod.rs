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
use super::report::{Ending, TimingsReport};
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
    // Should anything ever get out of its place, it is no script that the page may run.
    let hash = BASE64_STANDARD.encode(Digest::of(SCRIPT.as_bytes()).as_bytes());
    let (badge, word) = match report.ending {
        Ending::Done => ("done", "done"),
        Ending::Failed { .. } => ("failed", "failed"),
        Ending::Interrupted { .. } => ("failed", "interrupted"),
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
