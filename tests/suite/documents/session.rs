//! docs/session.svg, the picture in README.md: what a terminal shows of a few commands, which are run here. `INSTA_UPDATE=always`
//! draws it anew.

use std::fmt::Write;
use std::path::Path;

use regex::Regex;

use super::machine::Machine;
use crate::support::rebuild::settle;

const DOCKERFILE: &str =
    "FROM debian:13\nCOPY site /srv/www\nRUN ls /srv/www > /srv/contents\nCMD [\"httpd\", \"-f\"]\n";

const COMMANDS: [&str; 3] = [
    "cat Dockerfile",
    "ocibake push registry.example/org/site:v0.2.0 .",
    "ocibake push registry.example/org/site:v0.1.9 --dry-run .",
];

const COLUMNS: u16 = 106;

#[test]
fn the_picture_shows_what_a_terminal_shows() {
    let Some(machine) = Machine::new() else { return };
    machine.write("Dockerfile", DOCKERFILE);
    machine.write("site/index.html", "<h1>Hello</h1>\n");
    settle();
    let mut lines = Vec::new();
    for command in COMMANDS {
        lines.push(format!("$ {command}"));
        lines.extend(machine.on_terminal(command, COLUMNS));
        lines.push(String::new());
    }
    let drawn = picture(&lines);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/session.svg");
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&path, &drawn).unwrap();
    }
    let there = std::fs::read_to_string(path).unwrap();
    assert_eq!(told(&there), told(&drawn), "INSTA_UPDATE=always draws docs/session.svg anew");
}

/// What the lines say. Digests and sizes are those of the system that stands for Debian, times are never the same, and neither
/// is the order in which threads are done.
fn told(picture: &str) -> Vec<String> {
    let numbers = Regex::new(r"[0-9a-f]{12,}|[0-9]+(\.[0-9]+)?( [KM]iB| B| s)?").unwrap();
    let texts = picture.lines().filter_map(|line| line.split_once('>')?.1.strip_suffix("</text>"));
    let mut told: Vec<String> = texts.map(|text| numbers.replace_all(text, "#").into_owned()).collect();
    told.sort();
    told
}

fn picture(lines: &[String]) -> String {
    const LINE: usize = 19;
    let lines = &lines[..lines.len() - 1];
    let (width, height) = (usize::from(COLUMNS) * 17 / 2 + 32, lines.len() * LINE + 36);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#1d2128\"/>\n\
         <g style=\"white-space: pre\" font-family=\"ui-monospace, Menlo, Consolas, monospace\" font-size=\"14\" fill=\"#d5dae3\">\n"
    );
    for (number, line) in lines.iter().enumerate().filter(|(_, line)| !line.is_empty()) {
        let text = line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let style = if line.starts_with("$ ") { " fill=\"#8fd694\"" } else { "" };
        let y = number * LINE + 28;
        writeln!(svg, "<text x=\"16\" y=\"{y}\"{style}>{text}</text>").unwrap();
    }
    svg + "</g>\n</svg>\n"
}
