//! Several targets in one build.

use std::path::PathBuf;

use ocibake::plan::join::{TargetPlan, join};
use ocibake::plan::{Base, Plan, Stage, Work};

use crate::support::rebuild::settle;
use crate::support::stages::{Outcome, Workshop, copy, stage};
use crate::support::tree::Tree;

/// A target of one stage, made at its own time, from the first context.
fn target(workshop: &Workshop, name: &str, created: i64, copied: &[&str]) -> TargetPlan {
    let steps = copied.iter().map(|path| Work::Copy(copy(&[path], "/"))).collect();
    let stages: Vec<Stage> = vec![stage(Base::Scratch, steps)];
    let mut plan = workshop.plan(stages);
    plan.targets[0].created = created;
    TargetPlan { name: name.into(), plan, contexts: vec![PathBuf::from("the context")] }
}

fn joined(plans: Vec<TargetPlan>) -> Plan {
    join(plans).unwrap().plan
}

fn workshop() -> Workshop {
    let workshop = Workshop::new(&Tree::new().file("shared", "shared").file("one", "one").file("two", "two"));
    settle();
    workshop
}

fn layers(outcome: &Outcome, image: usize) -> Vec<String> {
    outcome.images[image].manifest.layers.iter().map(|layer| layer.digest.to_string()).collect()
}

#[test]
fn steps_that_targets_share_are_done_once_and_each_has_its_own_time() {
    let workshop = workshop();
    let plans = || {
        vec![
            target(&workshop, "a", 1_000_000_000, &["shared", "one"]),
            target(&workshop, "b", 1_500_000_000, &["shared", "two"]),
        ]
    };
    let outcome = workshop.try_build(&joined(plans())).unwrap();
    assert_eq!(outcome.made.len(), 3, "{:?}", outcome.made);
    let created = |image: usize| outcome.images[image].config.created.clone().unwrap();
    assert_eq!([created(0), created(1)], ["2001-09-09T01:46:40Z", "2017-07-14T02:40:00Z"]);
    assert_eq!(layers(&outcome, 0)[0], layers(&outcome, 1)[0]);
    // Each is what it is by itself.
    for (number, plan) in plans().into_iter().enumerate() {
        let alone = workshop.try_build(&joined(vec![plan])).unwrap();
        assert_eq!(alone.digest, outcome.digests[number]);
        assert!(alone.made.is_empty(), "{:?}", alone.made);
    }
}

#[test]
fn a_failure_names_its_target_and_those_that_it_takes_with_it() {
    let workshop = workshop();
    let fails = |plans| workshop.try_build(&joined(plans)).map(drop).unwrap_err();
    let error = fails(vec![target(&workshop, "a", 0, &["shared"]), target(&workshop, "b", 0, &["shared", "missing"])]);
    assert!(error.message.starts_with("target b: "), "{}", error.message);
    assert_eq!(error.details, [""; 0]);
    assert_eq!(error.excerpt.unwrap().line, 2);
    let error = fails(vec![
        target(&workshop, "a", 0, &["missing"]),
        target(&workshop, "b", 0, &["missing", "one"]),
        target(&workshop, "c", 0, &["one"]),
    ]);
    assert!(error.message.starts_with("target a: "), "{}", error.message);
    assert_eq!(error.details, ["the target b needs the same step, so it is not built either"]);
    let error = fails(vec![target(&workshop, "alone", 0, &["missing"])]);
    assert!(!error.message.contains("alone"), "{}", error.message);
}
