//! What is told of commands: in progress, and in `--metadata-file`.

use std::fs;

use serde_json::{Value, json};

use super::dockerfile::Bench;
use crate::support::tree::Tree;

const STAGES: &str = "FROM busybox AS made\nENV A=b\nRUN sleep 0.2; echo > /made\nFROM busybox\n\
                      COPY --from=made /made /\nRUN true\n";

/// The commands in the metadata, without the times, which are checked.
fn commands(bench: &Bench) -> Vec<Value> {
    let metadata: Value = serde_json::from_str(&fs::read_to_string(bench.path("metadata")).unwrap()).unwrap();
    assert!(metadata["containerimage.digest"].is_string());
    let mut commands = metadata["ocibake.commands"].as_array().unwrap().clone();
    for command in &mut commands {
        let time = command.as_object_mut().unwrap().remove("milliseconds");
        let is_cached = command["cached"].as_bool().unwrap();
        assert_eq!(time.is_none(), is_cached, "{command}");
        if command["title"].as_str().unwrap().contains("sleep") && !is_cached {
            let time = time.unwrap().as_u64().unwrap();
            assert!((200..60_000).contains(&time), "{time} ms");
        }
    }
    commands
}

#[test]
fn metadata_has_the_times_of_commands_and_what_was_cached() {
    let Some(bench) = Bench::new(Tree::new()) else { return };
    let flags = ["--metadata-file=metadata"];
    bench.build_stages(STAGES, &flags).success();
    let told = commands(&bench);
    let one = |stage: &str, step: u64, line: u64, title: &str| {
        json!({
            "stage": stage, "step": step, "line": line, "platform": "linux/amd64", "title": title, "cached": false,
            "status": 0,
        })
    };
    assert_eq!(told.len(), 3);
    assert_eq!((&told[0]["stage"], &told[0]["line"]), (&json!("busybox"), &json!(3)));
    assert_eq!(told[1], one("made", 2, 6, "RUN sleep 0.2; echo > /made"));
    assert_eq!(told[2], one("stage-2", 2, 9, "RUN true"));
    bench.build_stages(STAGES, &flags).success();
    let again = commands(&bench);
    assert_eq!(again.len(), 3);
    assert!(again.iter().all(|command| command["cached"] == true && command.get("status").is_none()), "{again:?}");
    // One without commands has nothing of the kind.
    bench.build_stages("FROM scratch\nCOPY busybox /\n", &flags).success();
    assert!(!fs::read_to_string(bench.path("metadata")).unwrap().contains("ocibake.commands"));
}

#[test]
fn events_tell_how_each_command_ended() {
    let Some(bench) = Bench::new(Tree::new()) else { return };
    let events = |stages: &str| -> Vec<Value> {
        let outcome = bench.build_stages(stages, &["--progress=json"]);
        let events = outcome.stderr.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.filter(|event| event["event"].as_str().unwrap().starts_with("command-")).collect()
    };
    let first = events("FROM busybox\nRUN true\nRUN kill -9 $$\n");
    let of = |kind: &str| first.iter().filter(|event| event["event"] == kind).collect::<Vec<_>>();
    let started = of("command-started");
    assert_eq!(started.len(), 3);
    let expected = json!({
        "event": "command-started", "command": 2, "index": 3, "title": "RUN true", "stage": "stage-1",
        "platform": "linux/amd64", "step": 1, "line": 5,
    });
    assert_eq!(started[1], &expected);
    let ends: Vec<(&Value, &Value)> =
        of("command-finished").iter().map(|event| (&event["status"], &event["signal"])).collect();
    assert_eq!(ends, [(&json!(0), &json!(null)), (&json!(0), &json!(null)), (&json!(null), &json!(9))]);
    assert!(of("command-finished").iter().all(|event| event["milliseconds"].is_u64()));
    let again = events("FROM busybox\nRUN true\n");
    let kinds: Vec<&Value> = again.iter().map(|event| &event["event"]).collect();
    assert_eq!(kinds, [&json!("command-known"), &json!("command-known")]);
    assert_eq!((&again[1]["title"], &again[1]["line"]), (&json!("RUN true"), &json!(5)));
}

#[test]
fn lines_tell_which_commands_were_cached() {
    let Some(bench) = Bench::new(Tree::new()) else { return };
    bench.build("RUN true\n", &[]).success();
    let outcome = bench.build("RUN true\nRUN false || true\n", &["--progress=plain"]).success();
    let lines: Vec<&str> = outcome.stderr.lines().filter(|line| line.starts_with('#')).collect();
    assert_eq!(lines[2..5], ["#2 RUN true", "#2 CACHED", "#3 RUN false || true"], "{lines:?}");
    assert!(lines[5].starts_with("#3 took ") && lines.len() == 6, "{lines:?}");
    // By its content, where the mark says nothing.
    let again = bench.build("RUN true\n", &["--progress=plain", "--no-stat-cache"]).success();
    assert_eq!(again.stderr.matches(" CACHED\n").count(), 2, "{}", again.stderr);
}
