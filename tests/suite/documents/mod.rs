//! README.md and the pages in docs/: what they show is run as they show it. A page is one working directory: the files that it
//! shows are written there, its commands are run there in their order, and print what it says they print.

mod examples;
mod machine;
pub mod page;
mod session;

use std::collections::BTreeSet;
use std::path::Path;

use self::machine::Machine;
use self::page::Kind;

/// A test for each page.
macro_rules! pages {
    ($($name:ident: $path:literal,)*) => {
        const PAGES: &[&str] = &[$($path),*];
        $(#[test]
        fn $name() {
            run($path);
        })*
    };
}

pages! {
    readme: "README.md",
    contributing: "CONTRIBUTING.md",
    security: "SECURITY.md",
    architecture: "docs/architecture.md",
    bake: "docs/bake.md",
    bases: "docs/bases.md",
    caches: "docs/caches.md",
    ci: "docs/ci.md",
    commands: "docs/commands.md",
    comparison: "docs/comparison.md",
    contexts: "docs/contexts.md",
    copies: "docs/copies.md",
    deployments: "docs/deployments.md",
    dockerfile: "docs/dockerfile.md",
    from_docker: "docs/from-docker.md",
    getting_started: "docs/getting-started.md",
    labels: "docs/labels.md",
    messages: "docs/messages.md",
    outputs: "docs/outputs.md",
    registries: "docs/registries.md",
    reproducibility: "docs/reproducibility.md",
    scale: "docs/scale.md",
    serve: "docs/serve.md",
    spec: "docs/spec.md",
    store: "docs/store.md",
    tags: "docs/tags.md",
}

#[test]
fn no_page_is_left_out() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let names = top.join("docs").read_dir().unwrap().map(name).filter(|name| name.ends_with(".md"));
    let there: BTreeSet<String> = names.map(|name| format!("docs/{name}")).collect();
    let run: BTreeSet<String> =
        PAGES.iter().filter(|path| path.starts_with("docs/")).map(|&path| path.to_owned()).collect();
    assert_eq!(there, run);
    let readme = std::fs::read_to_string(top.join("README.md")).unwrap();
    for page in there {
        assert!(readme.contains(&format!("({page})")), "README.md does not say where to read {page}");
    }
}

#[test]
fn links_lead_to_a_page_and_a_heading() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read =
        |path: &Path| std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    for page in PAGES {
        let text = read(&top.join(page));
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("https://") {
                continue;
            }
            let (file, heading) = link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
            let path = if file.is_empty() { top.join(page) } else { top.join(page).parent().unwrap().join(file) };
            let there = path.exists();
            assert!(there, "{page} links to {link}, which is not there");
            if let Some(heading) = heading {
                let has = read(&path).lines().any(|line| line.starts_with('#') && anchor(line) == heading);
                assert!(has, "{page} links to {link}, and there is no such heading");
            }
        }
    }
}

/// What a link calls the heading.
fn anchor(line: &str) -> String {
    let words = line.trim_start_matches('#').trim().to_lowercase();
    words
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn the_readme_is_read_in_a_few_minutes() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    assert!(readme.lines().count() <= 150, "{} lines", readme.lines().count());
}

/// Does what the page says.
fn run(path: &str) {
    let blocks = page::blocks(path);
    let is_run = |kind: &Kind| !matches!(kind, Kind::Text | Kind::Elsewhere { .. });
    for block in &blocks {
        if let Kind::Elsewhere { path: by } = &block.kind {
            let place = Path::new(env!("CARGO_MANIFEST_DIR")).join(by);
            let test = std::fs::read_to_string(place).unwrap_or_else(|error| panic!("{path}: {by}: {error}"));
            assert!(test.contains(path), "{by} does not read {path}");
        }
    }
    if !blocks.iter().any(|block| is_run(&block.kind)) {
        return;
    }
    let Some(machine) = Machine::new() else { return };
    for block in blocks {
        let place = format!("{path}:{}", block.line);
        match block.kind {
            Kind::Commands => machine.run(&place, &block.text),
            Kind::Session => page::session(&block.text).iter().for_each(|shown| machine.show(&place, shown)),
            Kind::File { path: Some(path) } => machine.write(&path, &block.text),
            Kind::File { path: None } => machine.parse(&place, &block.text),
            Kind::Read { is_session: false } => machine.read(&place, &block.text),
            Kind::Read { is_session: true } => {
                page::session(&block.text).iter().for_each(|shown| machine.read(&place, &shown.command));
            }
            Kind::Text | Kind::Elsewhere { .. } => {}
        }
    }
}
