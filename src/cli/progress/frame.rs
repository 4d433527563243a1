//! The lines that show what is under way, for a terminal of any size.

use std::time::{Duration, Instant};

use unicode_width::UnicodeWidthStr;

use super::screen::{DrawnLine, Size};
use super::underway::{Count, Underway, UnderwayTarget, UnderwayThing, seconds};
use super::words::shortened;
use crate::cli::bytes::{part, short};
use crate::error::escape;

/// What is over before that is not shown at all.
const AT_ONCE: Duration = Duration::from_millis(200);

/// The most lines that are shown for what is under way.
const MOST: usize = 12;

/// The columns of what is done, in a word.
const VERB: usize = 8;

/// The columns of a bar without its brackets; and those that a title has in any case before there is one.
const BAR: usize = 12;
const LEAST_TITLE: usize = 20;

/// Returns the lines for what is `underway`, each shorter than a line of the terminal, and fewer than it has. None if there is
/// nothing to show yet.
pub fn frame(underway: &Underway, (began, now): (Instant, Instant), size: Size, is_coloured: bool) -> Vec<DrawnLine> {
    let paint = Paint { is_coloured, width: size.columns.saturating_sub(1) };
    let age = |thing: &&UnderwayThing| now.duration_since(thing.began);
    let shown: Vec<&UnderwayThing> = underway.things.iter().filter(|thing| age(thing) >= AT_ONCE).collect();
    // One line is the cursor's.
    let room = size.rows.saturating_sub(1);
    if shown.is_empty() && now.duration_since(began) < AT_ONCE || room == 0 {
        return Vec::new();
    }
    let header = header(underway, (began, now), paint.width);
    let targets: Vec<&UnderwayTarget> = underway.targets.iter().filter(|target| target.done < target.steps).collect();
    if shown.is_empty() && targets.is_empty() && header.1.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![paint.header(header)];
    let room = (room - 1).min(MOST);
    // If not all have a line, one tells how many have not.
    let all = targets.len() + shown.len();
    let count = if all <= room { all } else { room.saturating_sub(1) };
    // What is done now is always in view, and targets as far as that leaves room.
    let of_targets = targets.len().min((count / 2).max(count.saturating_sub(shown.len())));
    lines.extend(targets.iter().take(of_targets).map(|target| paint.target(target)));
    lines.extend(shown.iter().take(count - of_targets).map(|thing| paint.thing(thing, now)));
    if count < all && room > 0 {
        lines.push(paint.plain(&format!("  and {} more", all - count)));
    }
    lines
}

/// Returns the time since it all began, and what is counted, as far as that has room.
fn header(underway: &Underway, (began, now): (Instant, Instant), width: usize) -> (String, String) {
    let time = format!("[+] {}", seconds(now.duration_since(began)));
    let mut parts = Vec::new();
    if let Some((done, steps)) = underway.steps.filter(|(_, steps)| *steps > 0) {
        parts.push((format!("steps {done}/{steps}"), String::new()));
    }
    if let Some(Count { done, all, speed }) = underway.pull.count(now) {
        let bytes = part(underway.pull.came, underway.pull.size());
        parts.push((format!("pulled {done}/{all}"), format!(" ({bytes}{})", at(speed))));
    }
    if let Some(output) = &underway.output {
        let Count { done, all, speed } = output.count(now);
        parts.push((format!("sent {done}/{all}"), at(speed)));
    }
    let mut left = width.saturating_sub(time.width());
    let mut kept = Vec::new();
    // The counts come first; what else there is to say of them has what room they leave.
    for (count, more) in parts {
        let count = format!(", {count}");
        if count.width() <= left {
            left -= count.width();
            kept.push((count, more));
        }
    }
    let mut shown = String::new();
    for (count, more) in kept {
        shown += &count;
        if more.width() <= left {
            left -= more.width();
            shown += &more;
        }
    }
    (shortened(&time, width), shown)
}

fn at(speed: Option<u64>) -> String {
    speed.map(|speed| format!(" at {}/s", short(speed))).unwrap_or_default()
}

struct Paint {
    is_coloured: bool,
    /// The columns that a line may have.
    width: usize,
}

impl Paint {
    fn header(&self, (time, rest): (String, String)) -> DrawnLine {
        let width = time.width() + rest.width();
        DrawnLine { text: format!("{}{rest}", self.in_colour("1", &time)), width }
    }

    fn plain(&self, text: &str) -> DrawnLine {
        let text = shortened(text, self.width);
        let width = text.width();
        DrawnLine { text, width }
    }

    fn target(&self, UnderwayTarget { name, done, steps, known }: &UnderwayTarget) -> DrawnLine {
        let known = if *known > 0 { format!(", {known} cached") } else { String::new() };
        let far = format!("{done}/{steps} steps{known}");
        self.row(("target", name), bar(*done as u64, *steps as u64), &far)
    }

    /// What it is on the left, and how far on the right.
    fn thing(&self, thing: &UnderwayThing, now: Instant) -> DrawnLine {
        let time = seconds(now.duration_since(thing.began));
        let speed = thing.speed.as_ref().and_then(|speed| speed.per_second(now));
        let far = match (thing.size, thing.at) {
            (Some(size), bytes) if size > 0 => {
                let speed = speed.map(|speed| format!("{}/s", short(speed))).unwrap_or_default();
                let far = part(bytes.min(size), size);
                if thing.speed.is_some() { format!("{far:>15} {speed:>11}") } else { format!("{far:>15} {time:>11}") }
            }
            (_, 0) => time,
            (_, bytes) => format!("{} {time:>7}", short(bytes)),
        };
        let bar = thing.size.filter(|size| *size > 0).map(|size| bar(thing.at, size)).unwrap_or_default();
        self.row((thing.verb, &thing.title), bar, &far)
    }

    /// A line of its own for `title`, with a `bar` if there is room for one.
    fn row(&self, (verb, title): (&str, &str), bar: String, far: &str) -> DrawnLine {
        let title = escape::line(title);
        let before = 2 + VERB + 1;
        let Some(room) =
            self.width.checked_sub(before + 1 + far.width()).filter(|room| *room >= LEAST_TITLE.min(title.width()))
        else {
            return self.plain(&format!("  {verb} {title}"));
        };
        let bar = Some(bar).filter(|bar| !bar.is_empty());
        let bar = bar.filter(|bar| room > bar.width() && room - bar.width() > LEAST_TITLE.min(title.width()));
        let bar = bar.map(|bar| format!("{bar} ")).unwrap_or_default();
        let title = shortened(&title, room - bar.width());
        let gap = " ".repeat(room - bar.width() - title.width());
        let verb = self.in_colour("36", &format!("{verb:<VERB$}"));
        let text = format!("  {verb} {title}{gap} {bar}{far}");
        DrawnLine { text, width: before + room + 1 + far.width() }
    }

    fn in_colour(&self, colour: &str, text: &str) -> String {
        if self.is_coloured { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Returns a bar for so many bytes of all.
fn bar(bytes: u64, size: u64) -> String {
    let full = (bytes.min(size) as f64 / size as f64 * BAR as f64) as usize;
    let head = if full < BAR { ">" } else { "" };
    let rest = BAR - full - head.len();
    format!("[{}{head}{}]", "=".repeat(full), " ".repeat(rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::oci::{Descriptor, Digest, Platform};
    use crate::progress::{Event, Fetched, StepPlace};

    fn texts(lines: &[DrawnLine]) -> Vec<&str> {
        lines.iter().map(|line| line.text.trim_end()).collect()
    }

    /// A build of 30 steps with a pull and a push, six seconds after its beginning.
    fn example() -> (Underway, Instant, Instant) {
        let began = Instant::now();
        let at = |tenths: u64| began + Duration::from_millis(tenths * 100);
        let mut underway = Underway::new();
        let mut note = |tenths, event: Event<'_>| drop(underway.note(event, at(tenths)));
        note(0, Event::StepsAdvanced { done: 11, steps: 30 });
        let blobs =
            [b"a", b"b"].map(|content| Descriptor { size: 10 << 20, ..Descriptor::of("application/x", content) });
        note(0, Event::PullPlanned { blobs: &[&blobs[0], &blobs[1]] });
        let what = Fetched::Blob { digest: blobs[0].digest, repository: "docker.io/library/debian" };
        note(0, Event::FetchStarted { fetch: 1, what, size: Some(10 << 20) });
        (0..50).for_each(|tenths| note(tenths, Event::FetchAdvanced { fetch: 1, bytes: 104_858 }));
        note(20, Event::LayerStarted { layer: 3, title: "COPY bin /usr/local/bin/", size: 4 << 20 });
        note(20, Event::LayerAdvanced { layer: 3, bytes: 1 << 20 });
        let platform = Platform::new("linux", "amd64", None);
        let title = "RUN make -C /src/of/a/project/with/a/long/name -j4 all check install";
        let step =
            StepPlace { index: 0, title, target: None, stage: "build", platform: &platform, number: 1, line: None };
        note(30, Event::CommandStarted { command: 1, step });
        note(30, Event::OutputStarted { output: "localhost:5000/app", blobs: 31 });
        note(30, Event::BlobStarted { descriptor: &blobs[1] });
        (30..50).for_each(|tenths| note(tenths, Event::BlobAdvanced { digest: blobs[1].digest, bytes: 52_429 }));
        (underway, began, at(50))
    }

    #[test]
    fn a_build_at_80_columns() {
        let (underway, began, now) = example();
        let lines = frame(&underway, (began, now), Size { columns: 80, rows: 24 }, false);
        insta::assert_snapshot!(texts(&lines).join("\n"), @r"
        [+] 5.0s, steps 11/30, pulled 0/2 (5.0/20.0 MiB at 1.0 MiB/s), sent 0/31
          pull     debian ca978112ca1b       [======>     ]    5.0/10.0 MiB   1.0 MiB/s
          layer    COPY bin /usr/local/bin/  [===>        ]     1.0/4.0 MiB        3.0s
          run      RUN make -C /src/of/a/project/...ong/name -j4 all check install 2.0s
          send     blob 3e23e8160039         [=>          ]    1.0/10.0 MiB 512.0 KiB/s
        ");
    }

    #[test]
    fn what_is_narrow_or_low_shows_less() {
        let (underway, began, now) = example();
        let lines = frame(&underway, (began, now), Size { columns: 50, rows: 5 }, false);
        insta::assert_snapshot!(texts(&lines).join("\n"), @r"
        [+] 5.0s, steps 11/30, pulled 0/2, sent 0/31
          pull debian ca978112ca1b
          layer COPY bin /usr/local/bin/
          and 2 more
        ");
        assert!(frame(&underway, (began, now), Size { columns: 80, rows: 1 }, false).is_empty());
    }

    #[test]
    fn each_target_that_is_not_done_has_a_line() {
        let (mut underway, began) = (Underway::new(), Instant::now());
        for (target, done, known) in [("api", 2, 1), ("worker", 4, 4), ("web\u{1b}", 0, 0)] {
            underway.note(Event::TargetAdvanced { target, done, steps: 4, known }, began);
        }
        let now = began + Duration::from_secs(1);
        let lines = frame(&underway, (began, now), Size { columns: 60, rows: 24 }, false);
        let lines = texts(&lines);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[1].starts_with("  target   api "), "{lines:?}");
        assert!(lines[1].ends_with("[======>     ] 2/4 steps, 1 cached"), "{lines:?}");
        assert!(lines[2].ends_with("[>           ] 0/4 steps") && !lines[2].contains('\u{1b}'), "{lines:?}");
        underway.note(Event::TargetsFinished { targets: &[] }, began);
        assert!(frame(&underway, (began, now), Size { columns: 60, rows: 24 }, false).is_empty());
    }

    #[test]
    fn what_is_quick_is_not_shown() {
        let (mut underway, began) = (Underway::new(), Instant::now());
        underway.note(Event::LayerStarted { layer: 0, title: "x", size: 1 }, began);
        let size = Size { columns: 80, rows: 24 };
        assert!(frame(&underway, (began, began + AT_ONCE / 2), size, false).is_empty());
        assert_eq!(frame(&underway, (began, began + AT_ONCE), size, false).len(), 2);
        underway
            .note(Event::LayerTaken { layer: 0, title: "x", descriptor: &Descriptor::of("", b""), from: "" }, began);
        assert!(frame(&underway, (began, began + AT_ONCE), size, false).is_empty());
    }

    proptest! {
        /// Whatever is under way, and whatever the terminal is like, no line is broken, and the first stays in view.
        #[test]
        fn a_frame_fits(titles in prop::collection::vec("[ -~漢é\u{301}\u{1f600}\u{1b}\n]{0,90}", 0..40),
                        columns in 1_usize..140, rows in 1_usize..30, is_coloured: bool) {
            let (mut underway, began, now) = example();
            for (number, title) in titles.iter().enumerate() {
                let digest = Digest::of(title.as_bytes());
                match number % 3 {
                    0 => underway.note(Event::LayerStarted { layer: number, title, size: 5000 }, began),
                    1 => {
                        let what = Fetched::Blob { digest, repository: title };
                        underway.note(Event::FetchStarted { fetch: number, what, size: Some(u64::MAX) }, began)
                    }
                    _ => underway.note(Event::FetchStarted { fetch: number, what: Fetched::File(title), size: None }, began),
                };
            }
            let lines = frame(&underway, (began, now), Size { columns, rows }, is_coloured);
            prop_assert!(lines.len() < rows.max(1), "{} lines", lines.len());
            for line in lines {
                let bare = line.text.replace("\x1b[0m", "").replace("\x1b[1m", "").replace("\x1b[36m", "");
                prop_assert!(!bare.chars().any(char::is_control), "{bare:?}");
                prop_assert_eq!(bare.width(), line.width);
                prop_assert!(line.width < columns, "{} of {columns}: {bare}", line.width);
            }
        }
    }
}
