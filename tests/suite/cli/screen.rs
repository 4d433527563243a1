//! What a person sees on a terminal while the program works, and what is left there.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;

use regex::Regex;
use rustix::process::Signal;
use tempfile::TempDir;
use vt100::Screen;

use crate::support::docker_registry::DockerRegistry;
use crate::support::noise::noise;
use crate::support::program::Program;
use crate::support::slow_proxy::SlowProxy;
use crate::support::tool::require;
use crate::support::tree::Tree;
use crate::support::watched_terminal::WatchedTerminal;

const LAYERS: usize = 30;

/// So fast is the way to the registry, in bytes a second on each connection.
const SPEED: usize = 800_000;

/// A registry with a base, and a context with a Dockerfile of many layers on it.
struct Work {
    registry: DockerRegistry,
    context: TempDir,
}

impl Work {
    fn new() -> Option<Self> {
        if !require("docker-registry") || !require("setsid") {
            return None;
        }
        let registry = DockerRegistry::open();
        let base = (0..4_u64).fold(Tree::new(), |tree, number| tree.file(format!("{number}"), noise(number, 900_000)));
        let copies: String = (0..4).map(|number| format!("COPY {number} /base/{number}\n")).collect();
        let base = base.file("Dockerfile", format!("FROM scratch\n{copies}")).plant();
        let name = format!("{}/library/base:1", registry.address());
        Program::new().run(["build", "--push", "-t", &name, base.path().to_str().unwrap()]).success();
        let mut tree = Tree::new();
        let mut dockerfile = "FROM REGISTRY/library/base:1\n".to_owned();
        for number in 0..LAYERS {
            let name = match number % 3 {
                0 => format!("usr/share/a-directory-with-a-long-name/file-{number}"),
                1 => format!("文書/テスト-{number}"),
                _ => format!("bin-{number}"),
            };
            tree = tree.file(&name, noise(100 + number as u64, if number == LAYERS - 1 { 900_000 } else { 120_000 }));
            dockerfile += &format!("COPY {name} /srv/{name}\n");
        }
        let context = tree.file("Dockerfile.in", dockerfile).plant();
        Some(Work { registry, context })
    }

    /// Builds and pushes on a terminal over a slow way.
    fn start(&self, program: &Program, proxy: &SlowProxy, size: (u16, u16)) -> WatchedTerminal {
        let dockerfile = std::fs::read_to_string(self.context.path().join("Dockerfile.in")).unwrap();
        let dockerfile = dockerfile.replace("REGISTRY", &proxy.address());
        std::fs::write(self.context.path().join("Dockerfile"), dockerfile).unwrap();
        let name = format!("{}/org/app:1.0", proxy.address());
        let arguments = ["build", "--push", "-t", &name, self.context.path().to_str().unwrap()];
        WatchedTerminal::start(&program.command(arguments), size.0, size.1)
    }
}

/// The lines that are drawn anew, if any are there.
fn frame(screen: &Screen) -> Vec<String> {
    let (_, columns) = screen.size();
    screen.rows(0, columns).skip_while(|line| !line.starts_with("[+] ")).take_while(|line| !line.is_empty()).collect()
}

/// What holds of every screen: all that is drawn anew is in view once, and no line of it is broken.
fn check(screen: &Screen) {
    let (rows, columns) = screen.size();
    let lines: Vec<String> = screen.rows(0, columns).collect();
    let headers = lines.iter().filter(|line| line.starts_with("[+] ")).count();
    assert!(headers <= 1, "more than one frame: {lines:#?}");
    let frame = frame(screen);
    let (row, column) = screen.cursor_position();
    assert_eq!(column, 0, "{lines:#?}");
    if let Some(first) = lines.iter().position(|line| line.starts_with("[+] ")) {
        assert_eq!(usize::from(row), first + frame.len(), "the cursor stands below: {lines:#?}");
        assert!(frame.len() < usize::from(rows));
        for at in first..first + frame.len() {
            assert!(!screen.row_wrapped(at as u16), "line {at} is broken: {lines:#?}");
        }
    }
}

#[test]
fn a_build_of_many_layers_with_a_pull_and_a_push_is_in_view_from_beginning_to_end() {
    for size in [(24, 80), (6, 40)] {
        // What a registry has already takes no time to push.
        let Some(work) = Work::new() else { return };
        let proxy = SlowProxy::to(&work.registry.address(), SPEED);
        let program = Program::new().environment("TERM", "xterm-256color");
        let mut headers = BTreeSet::new();
        let mut things = BTreeSet::new();
        let mut end = work.start(&program, &proxy, size).watch(|screen| {
            check(screen);
            let frame = frame(screen);
            headers.extend(frame.first().cloned());
            things.extend(frame.into_iter().skip(1));
            None
        });
        assert!(end.status.success(), "{:#?}", end.lines());
        let has = |pattern: &str| {
            let pattern = Regex::new(pattern).unwrap();
            headers.iter().any(|line| pattern.is_match(line)) || things.iter().any(|line| pattern.is_match(line))
        };
        assert!(has(r"^\[\+\] \d+\.\ds, steps \d+/30"), "{headers:#?}");
        assert!(has("pulled [0-3]/4"), "{headers:#?}");
        assert!(has(r"sent \d+/35"), "{headers:#?}");
        if size.1 == 80 {
            assert!(has(r"pulled [0-3]/4 \(\d\.\d/3\.\d MiB at \d+\.\d [KM]iB/s\)"), "{headers:#?}");
            assert!(has(r"^  send     COPY bin-29 /srv/bin-29 +\[=+>? *\] "), "{things:#?}");
            assert!(has(r"^  pull     base [0-9a-f]{12} +\[=*> *\] .* \d+\.\d [KM]iB/s$"), "{things:#?}");
        }
        let lines = end.lines();
        assert!(lines.iter().all(|line| !line.starts_with("[+]") && !line.starts_with("  ")), "{lines:#?}");
        assert_eq!(lines.iter().filter(|line| line.starts_with("layer COPY ")).count(), LAYERS, "{lines:#?}");
        assert!(lines.iter().any(|line| line.starts_with("pulled 4 blobs, 3.")), "{lines:#?}");
        assert!(lines.iter().any(|line| line.starts_with("pushed 35 blobs to ")), "{lines:#?}");
        assert_eq!(end.screen().cursor_position().1, 0);
        assert!(!end.screen().hide_cursor() && !end.screen().alternate_screen());
    }
}

#[test]
fn an_interrupt_leaves_one_word() {
    let Some(work) = Work::new() else { return };
    for phase in ["pulled ", "sent 1"] {
        let proxy = SlowProxy::to(&work.registry.address(), SPEED);
        let program = Program::new().environment("TERM", "xterm-256color");
        let mut is_typed = false;
        let mut end = work.start(&program, &proxy, (24, 80)).watch(|screen| {
            check(screen);
            let is_time = frame(screen).first().is_some_and(|header| header.contains(phase));
            (is_time && !std::mem::replace(&mut is_typed, true)).then_some(b"\x03")
        });
        assert!(is_typed, "{phase}: {:#?}", end.lines());
        assert_eq!(end.status.signal(), Some(Signal::INT.as_raw()), "{phase}");
        let lines = end.lines();
        let (last, before) = lines.split_last().unwrap();
        assert_eq!(last, "interrupted", "{phase}: {lines:#?}");
        let is_done = |line: &String| ["layer ", "pulled "].iter().any(|word| line.starts_with(word));
        assert!(before.iter().all(is_done), "{phase}: {lines:#?}");
        let (row, column) = end.screen().cursor_position();
        let below: Vec<String> = end.screen().rows(0, 80).skip(usize::from(row) - 1).collect();
        assert_eq!((column, below.concat().as_str()), (0, "interrupted"), "{phase}: nothing is below it");
    }
}

#[test]
fn colours_are_for_those_who_want_them() {
    if !require("setsid") {
        return;
    }
    let context = Tree::new().file("Dockerfile", "FROM scratch\nCOPY file /\n").file("file", "").plant();
    let path = context.path().to_str().unwrap().to_owned();
    let coloured = |variables: &[(&str, &str)], arguments: &[&str]| {
        let program = Program::new();
        let program = variables.iter().fold(program, |program, (name, value)| program.environment(name, value));
        let end = WatchedTerminal::start(&program.command(arguments), 24, 80).watch(|_| None);
        let written = String::from_utf8(end.written).unwrap();
        (written.contains("\x1b[1;33mwarning:\x1b[0m"), written.contains('\x1b'))
    };
    let build = ["build", &path];
    assert_eq!(coloured(&[("TERM", "xterm")], &build), (true, true));
    assert_eq!(coloured(&[("TERM", "xterm"), ("BUILDKIT_COLORS", "run=green:warning=red")], &build), (true, true));
    assert_eq!(coloured(&[("TERM", "xterm"), ("NO_COLOR", "1")], &build), (false, true), "lines are still drawn anew");
    assert_eq!(coloured(&[("TERM", "xterm"), ("CLICOLOR", "0")], &build), (false, true));
    for plain in ["", "dumb"] {
        assert_eq!(coloured(&[("TERM", plain)], &build), (false, false), "TERM={plain}");
    }
    for style in ["plain", "quiet", "json", "rawjson", "none"] {
        let flag = format!("--progress={style}");
        assert_eq!(coloured(&[("TERM", "xterm")], &["build", &path, &flag]), (false, false), "{style}");
        let variable = [("TERM", "xterm"), ("BUILDKIT_PROGRESS", style)];
        assert_eq!(coloured(&variable, &build), (false, false), "{style} in the environment");
        assert_eq!(coloured(&variable, &["build", &path, "--progress=tty"]), (true, true), "the flag counts");
    }
    assert_eq!(coloured(&[("TERM", "xterm"), ("BUILDKIT_PROGRESS", "nonsense")], &build), (true, true));
}
