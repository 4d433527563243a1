//! `--timings`: what is said of how long a build took, as data; and where it goes.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::run::dockerfile::Bench;
use crate::support::fake_registry::FakeRegistry;
use crate::support::layout::Layout;
use crate::support::rebuild::settle;
use crate::support::tree::Tree;
use crate::support::world::World;

const STAGES: &str = "FROM busybox AS slow\nRUN sleep 0.7; echo slow > /slow\nFROM busybox AS quick\nRUN echo quick > /quick\n\
                      FROM busybox\nCOPY --from=slow /slow /\nCOPY --from=quick /quick /\nRUN cat /slow /quick > /both\n";

#[track_caller]
fn read(path: impl AsRef<Path>) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn seconds(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no time"))
}

/// The steps by their titles, without what stages start from.
fn steps(report: &Value) -> BTreeMap<String, Value> {
    let steps = report["steps"].as_array().unwrap().iter().filter(|step| step["step"] != 0);
    steps.map(|step| (step["title"].as_str().unwrap().to_owned(), step.clone())).collect()
}

fn titles<'a>(report: &'a Value, indices: impl IntoIterator<Item = &'a Value>) -> Vec<&'a str> {
    let title = |index: &Value| report["steps"][index.as_u64().unwrap() as usize]["title"].as_str().unwrap();
    indices.into_iter().map(title).collect()
}

/// What must hold of every report: all times lie within the whole, and the critical path has no gap.
#[track_caller]
fn check(report: &Value) {
    let end = seconds(&report["seconds"]);
    let path = report["critical_path"].as_array().unwrap();
    let mut at = 0.0;
    for stretch in path {
        assert_eq!(seconds(&stretch["began"]), at, "{path:?}");
        at = seconds(&stretch["ended"]);
    }
    assert_eq!(at, end, "{path:?}");
    for step in report["steps"].as_array().unwrap() {
        let of_path = path.iter().filter(|stretch| stretch["step"] == step["index"]);
        let critical: f64 = of_path.map(|stretch| seconds(&stretch["ended"]) - seconds(&stretch["began"])).sum();
        assert!((critical - seconds(&step["critical"])).abs() < 0.01, "{step}");
        let mut worked = 0.0;
        for part in step["parts"].as_array().unwrap() {
            let (ready, began, ended) = (seconds(&part["ready"]), seconds(&part["began"]), seconds(&part["ended"]));
            assert!(0.0 <= ready && ready <= began && began <= ended && ended <= end, "{step}");
            worked += ended - began;
        }
        assert!((worked - seconds(&step["worked"])).abs() < 0.001, "{step}");
    }
}

#[test]
fn data_tells_what_each_step_came_to_and_what_was_waited_for() {
    let Some(bench) = Bench::new(Tree::new()) else { return };
    settle();
    let build = |flags: &[&str]| {
        bench.build_stages(STAGES, &[&["--jobs=4", "-o", "layout/", "--timings=t.json"], flags].concat()).success();
        let report = read(bench.path("t.json"));
        check(&report);
        report
    };
    let report = build(&["-t", "example/app"]);
    assert_eq!(
        (&report["title"], &report["ending"]),
        (&json!("ocibake build example/app"), &json!({"outcome": "done"}))
    );
    let all = steps(&report);
    let slow = &all["RUN sleep 0.7; echo slow > /slow"];
    assert_eq!((&slow["stage"], &slow["line"], &slow["step"]), (&json!("slow"), &json!(5), &json!(1)));
    assert_eq!((&slow["verdict"], &slow["why"]), (&json!("done"), &json!("done: never seen before")));
    assert_eq!(slow["command"]["status"], 0);
    let command = seconds(&slow["command"]["ended"]) - seconds(&slow["command"]["began"]);
    assert!(command >= 0.7 && seconds(&slow["worked"]) >= command, "{slow}");
    // The quick one ran beside it, and nobody waited for that.
    assert!(seconds(&slow["critical"]) >= 0.7, "{slow}");
    assert!(seconds(&all["RUN echo quick > /quick"]["critical"]) < 0.7);
    let last = &all["RUN cat /slow /quick > /both"];
    assert_eq!(titles(&report, last["stands_on"].as_array().unwrap()), ["COPY /quick /"]);
    let copy = &all["COPY /slow /"]["stands_on"];
    let mut below = titles(&report, copy.as_array().unwrap());
    below.sort();
    assert_eq!(below, [r#"RUN ["/bin/busybox", "--install", "-s", "/bin"]"#, "RUN sleep 0.7; echo slow > /slow"]);
    // What it says of layers is what the image has.
    let image = Layout::open(bench.path("layout")).images().remove(0);
    let mut layers: Vec<(Value, Value)> = Vec::new();
    for layer in image.manifest["layers"].as_array().unwrap() {
        layers.push((layer["digest"].clone(), layer["size"].clone()));
    }
    let told = ["COPY busybox /bin/busybox", "COPY /slow /", "COPY /quick /", "RUN cat /slow /quick > /both"]
        .map(|title| (all[title]["layer"]["digest"].clone(), all[title]["layer"]["size"].clone()));
    assert!(told.iter().all(|layer| layers.contains(layer)), "{told:?} of {layers:?}");
    assert!(seconds(&all["COPY busybox /bin/busybox"]["layer"]["unpacked"]) > seconds(&told[0].1));

    let again = build(&[]);
    assert_eq!((&again["totals"]["done"], &again["totals"]["steps"]), (&json!(0), &json!(7)), "{again}");
    let run = &steps(&again)["RUN cat /slow /quick > /both"];
    assert_eq!((&run["verdict"], &run["command"]), (&json!("cached"), &json!(null)));
    assert!(run["why"].as_str().unwrap().starts_with("cached: "), "{run}");
    assert_eq!(run["layer"]["digest"], told[3].0);

    let anew = build(&["--no-cache-filter=quick"]);
    let all = steps(&anew);
    assert_eq!(all["RUN sleep 0.7; echo slow > /slow"]["verdict"], "cached");
    let quick = &all["RUN echo quick > /quick"];
    assert!(quick["why"].as_str().unwrap().starts_with("done: --no-cache"), "{quick}");
}

#[test]
fn a_build_that_fails_says_what_failed_and_no_secret() {
    let Some(bench) = Bench::new(Tree::new()) else { return };
    fs::write(bench.path("secret"), "hunter2").unwrap();
    let stages = "FROM busybox AS other\nRUN sleep 30\nFROM busybox\nRUN --mount=type=secret,id=s sleep 0.3; cat /run/secrets/s; exit 3\n\
                  COPY --from=other /bin/busybox /x\n";
    let flags = ["--secret=id=s,src=secret", "--jobs=4", "--timings=t.html", "--timings", "t.json"];
    bench.build_stages(stages, &flags).failure(1).says(&["hunter2", "wrote timings t.json"]);
    let report = read(bench.path("t.json"));
    check(&report);
    assert_eq!(report["ending"]["outcome"], "failed");
    assert!(report["ending"]["at"].as_str().unwrap().ends_with("/Dockerfile:7"), "{}", report["ending"]);
    assert!(report["ending"]["message"].as_str().unwrap().contains("exit code 3"), "{}", report["ending"]);
    let all = steps(&report);
    let failed = &all["RUN --mount=type=secret,id=s sleep 0.3; cat /run/secrets/s; exit 3"];
    assert_eq!((&failed["verdict"], &failed["why"]), (&json!("failed"), &json!("failed: exit code 3")));
    assert!(seconds(&failed["critical"]) >= 0.3, "{failed}");
    assert_eq!(all["RUN sleep 30"]["verdict"], "stopped");
    assert_eq!(all["COPY /bin/busybox /x"]["why"], "not done: the build ended first");
    let page = fs::read_to_string(bench.path("t.html")).unwrap();
    assert!(page.contains("exit code 3") && page.contains("Dockerfile:7"));
    assert!(!page.contains("hunter2") && !report.to_string().contains("hunter2"));
}

#[test]
fn a_build_that_is_interrupted_says_how_far_it_came() {
    let Some(bench) = Bench::new(Tree::new()) else { return };
    bench.write("FROM busybox\nRUN sleep 100\n");
    let context = bench.context.path().to_str().unwrap();
    let words = ["build", context, "--progress=plain", "--timings=t.json"];
    let mut build = bench.program.command(words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(build.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.ends_with("RUN sleep 100")));
    kill_process(Pid::from_child(&build), Signal::INT).unwrap();
    let said: Vec<String> = lines.collect();
    assert!(said.contains(&"interrupted; wrote timings t.json".to_owned()), "{said:?}");
    assert!(!build.wait().unwrap().success());
    let report = read(bench.path("t.json"));
    check(&report);
    assert_eq!(report["ending"], json!({"outcome": "interrupted", "message": "interrupted"}));
    let all = steps(&report);
    assert_eq!(all["RUN sleep 100"]["verdict"], "stopped");
    assert!(seconds(&all["RUN sleep 100"]["critical"]) > 0.0);
}

#[test]
fn what_came_and_went_is_counted() {
    let registry = FakeRegistry::new();
    let base = format!("{}/library/base:1", registry.address());
    let noise: Vec<u8> = (0..40_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let world = World::of(&Tree::new().file("Dockerfile", "FROM scratch\nCOPY a /etc/a\n").file("a", noise));
    world.build(&["--push", "-t", &base]).success();
    let app =
        World::of(&Tree::new().file("Dockerfile", format!("FROM {base}\nCOPY --chown=0:0 b /b\n")).file("b", "b"));
    let name = format!("{}/org/app:1", registry.address());
    app.build(&["--push", "-t", &name, "--timings=t.json"]).success();
    let report = read(app.path("t.json"));
    check(&report);
    let all = report["transfers"].as_array().unwrap();
    let of = |kind: &str| all.iter().filter(|one| one["kind"] == kind).collect::<Vec<_>>();
    let bytes = |all: &[&Value]| all.iter().map(|one| one["bytes"].as_u64().unwrap()).sum::<u64>();
    assert_eq!(of("resolve")[0]["name"].as_str(), Some(base.as_str()), "{all:?}");
    let (pulled, pushed) = (of("pull"), of("push"));
    assert!(!pulled.is_empty() && pulled.iter().all(|one| one["outcome"] == "whole" && one["bytes"] == one["size"]));
    assert_eq!(report["totals"]["pulled"], bytes(&pulled));
    assert_eq!(report["totals"]["pushed"], bytes(&pushed));
    // The new layer and the config are sent, and the base's layer is there under another name.
    let sent: Vec<&Value> = pushed.iter().copied().filter(|one| one["outcome"] == "sent").collect();
    assert!(sent.len() >= 2 && sent.iter().all(|one| one["bytes"] == one["size"]), "{pushed:?}");
    let copy = &steps(&report)["COPY --chown=0:0 b /b"];
    assert!(sent.iter().any(|one| one["digest"] == copy["layer"]["digest"]), "{copy}");
    assert_eq!(report["outputs"][0]["name"], format!("{}/org/app", registry.address()));
}

#[test]
fn without_a_name_the_page_goes_elsewhere_than_the_context() {
    let world = World::of(&Tree::new().file("Dockerfile", "FROM scratch\nCOPY . /\n").file("a", "a"));
    let temporary = tempfile::tempdir().unwrap();
    let mut command = world.program.command(["build", "--timings", ".", "-t", "x"]);
    let output = command.current_dir(world.context()).env("TMPDIR", temporary.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let pages: Vec<_> = fs::read_dir(temporary.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [page] = &pages[..] else { panic!("{pages:?}") };
    let name = page.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("ocibake-timings-20") && name.ends_with(".html"), "{name}");
    assert!(said.contains(&format!("wrote timings {}\n", page.display())), "{said}");
    assert_eq!(fs::metadata(page).unwrap().permissions().mode() & 0o777, 0o600, "others may not read it");
    assert_eq!(fs::read_dir(world.context()).unwrap().count(), 2);
}

#[test]
fn a_file_that_cannot_be_written_is_told_of_before_anything_is_built() {
    let world = World::of(&Tree::new().file("Dockerfile", "FROM scratch\nCOPY a /\n").file("a", "a"));
    let outcome = world.build(&["-o", "x.tar", "--timings=nowhere/t.html"]).failure(1);
    outcome.says(&["cannot write nowhere/t.html: nowhere is not a directory"]);
    assert_eq!(world.names(), [""; 0]);
    world.build(&["--timings=t.txt"]).failure(2).says(&["its name must end in .html for a page, or in .json for data"]);
}

#[test]
fn services_are_targets_and_what_they_share_is_of_both() {
    let compose = "services:\n  api:\n    image: example/api\n    build: {context: ., dockerfile: Dockerfile, target: api}\n  \
                   worker:\n    image: example/worker\n    build: {context: ., dockerfile: Dockerfile, target: worker}\n";
    let dockerfile =
        "FROM scratch AS base\nCOPY a /a\nFROM base AS api\nCOPY b /api\nFROM base AS worker\nCOPY b /worker\n";
    let tree = Tree::new().file("compose.yaml", compose).file("Dockerfile", dockerfile).file("a", "a").file("b", "b");
    let world = World::of(&tree);
    let file = format!("{}/compose.yaml", world.context());
    world.program.run(["compose", "-f", &file, "build", "--timings=t.json", "--timings=t.html"]).success();
    let report = read(world.path("t.json"));
    check(&report);
    assert_eq!(report["title"], "ocibake compose build api worker");
    assert_eq!(report["targets"], json!(["api", "worker"]));
    let all = steps(&report);
    let targets = ["COPY a /a", "COPY b /api", "COPY b /worker"].map(|title| all[title]["targets"].clone());
    assert_eq!(targets, [json!([0, 1]), json!([0]), json!([1])]);
    assert!(fs::read_to_string(world.path("t.html")).unwrap().contains("several targets"));
}
