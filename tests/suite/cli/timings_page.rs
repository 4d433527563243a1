//! The page of `--timings`, as a browser shows it.

use std::fs;

use regex::Regex;

use crate::support::chromium::{CHROMIUM, document};
use crate::support::tool::require;
use crate::support::tree::Tree;
use crate::support::world::World;

/// Stages whose names, files and instructions would do something in a page, if they could.
const HOSTILE: &str = r#"FROM scratch AS first
COPY ["a", "/</script><script>document.title=1</script>"]
COPY ["a", "/\\\"><svg onload=document.title=1>"]
COPY ["a", "/\\'onmouseover=document.title=1 x=\\'"]
COPY --chown=0:0 a /&lt;b&gt;
FROM scratch
COPY --from=first / /all/
COPY ["><img src=x onerror=document.title=1>", "/"]
"#;

fn world() -> World {
    let noise: Vec<u8> = (0..900_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let tree = Tree::new().file("Dockerfile", HOSTILE).file("a", noise);
    World::of(&tree.file("><img src=x onerror=document.title=1>", "x"))
}

/// The rows of the table of steps: their titles, times, and whether they are hidden.
fn rows(document: &str) -> Vec<(String, f64, bool)> {
    let table = document.split("<table id=\"steps\">").nth(1).unwrap().split("</table>").next().unwrap();
    let row = Regex::new(r#"(?s)<tr class="[^"]*" ([^>]*)>.*?<code>(.*?)</code>"#).unwrap();
    let worked = Regex::new(r#"data-worked="([^"]*)""#).unwrap();
    let of = |found: regex::Captures<'_>| {
        let seconds = worked.captures(&found[1]).unwrap()[1].parse().unwrap();
        (found[2].to_owned(), seconds, found[1].contains("hidden"))
    };
    row.captures_iter(table).map(of).collect()
}

#[test]
fn a_page_shows_hostile_names_as_text_and_its_script_sorts_and_filters() {
    if !require(CHROMIUM) {
        return;
    }
    let world = world();
    world.build(&["-o", "x.tar", "--timings=t.html"]).success();
    let page = world.path("t.html");
    let text = fs::read_to_string(&page).unwrap();
    // Nothing comes from anywhere, and there is one script.
    assert_eq!(text.matches("<script").count(), 1, "{text}");
    assert!(
        !text.contains("<img") && !text.contains("http://") && !text.contains("https://") && !text.contains("<link")
    );

    let shown = document(&page, "#sort=-worked");
    assert!(
        shown.contains("<title>Timings of ocibake build</title>")
            && !shown.contains("<img")
            && !shown.contains("<svg onload"),
        "{shown}"
    );
    assert!(shown.contains(r#"class="scripting""#), "the script runs: {shown}");
    assert!(shown.contains(r#"<p id="error" class="box bad" hidden="">"#), "{shown}");
    let sorted = rows(&shown);
    let titles: Vec<&str> = sorted.iter().map(|row| row.0.as_str()).collect();
    assert_eq!(sorted.len(), 6, "{titles:?}");
    assert!(titles.iter().any(|title| title.contains("&lt;/script&gt;&lt;script&gt;document.title=1")), "{titles:?}");
    assert!(titles.contains(&"COPY --chown=0:0 a /&amp;lt;b&amp;gt;"), "{titles:?}");
    assert!(sorted.is_sorted_by(|a, b| a.1 >= b.1), "{sorted:?}");
    let rising = rows(&document(&page, "#sort=worked&least=0.000001"));
    assert!(rising.is_sorted_by(|a, b| a.1 <= b.1), "{rising:?}");
    assert_ne!(rising, sorted);

    world.build(&["-o", "x.tar", "--timings=t.html"]).success();
    let done = rows(&document(&page, "#verdict=failed"));
    assert!(done.len() == 6 && done.iter().all(|row| row.2), "{done:?}");
    // The stages have numbers by which they are filtered: the second has two steps.
    let second = rows(&document(&page, "#group=1"));
    assert_eq!(second.iter().filter(|row| !row.2).count(), 2, "{second:?}");
}
