//! The plans of several targets as one.

use std::path::PathBuf;
use std::sync::Arc;

use ocibake::error::Error;
use ocibake::oci::{Platform, Settings};
use ocibake::plan::join::{JoinedPlan, TargetPlan, join};
use ocibake::plan::{Base, Context, Copy, Isolation, LinkedTarget, Plan, Provider, RunSettings, Stage, Target, Work};

use crate::support::stages::{copy, stage};

/// A target whose last stage is its image; its one context leaves out what matches `ignore`, and lies at `place`.
fn target(name: &str, stages: Vec<Stage>, place: &str, ignore: &[&str]) -> TargetPlan {
    let ignore = ignore.iter().map(|pattern| (*pattern).to_owned()).collect();
    let plan = Plan {
        targets: vec![Target { images: vec![stages.len() - 1], ..Target::default() }],
        contexts: vec![Context { title: format!("of {name}"), ignore }],
        stages,
    };
    TargetPlan { name: name.into(), plan, contexts: vec![PathBuf::from(place)] }
}

/// Two stages, the second of which stands on the first and copies from it and from the context.
fn two_stages() -> Vec<Stage> {
    let from = |from| Work::Copy(Copy { from, ..copy(&["x"], "/") });
    vec![
        stage(Base::Scratch, vec![from(Provider::Context(0))]),
        stage(Base::Stage(0), vec![from(Provider::Stage(0)), from(Provider::Context(0))]),
    ]
}

fn providers(stage: &Stage) -> Vec<&Provider> {
    stage
        .steps
        .iter()
        .map(|step| match &step.work {
            Work::Copy(copy) => &copy.from,
            other => panic!("{other:?}"),
        })
        .collect()
}

fn error(plans: Vec<TargetPlan>) -> Error {
    join(plans).map(drop).unwrap_err()
}

#[test]
fn stages_get_new_places_and_equal_contexts_are_one() {
    let joined = join(vec![
        target("a", two_stages(), "/here", &[]),
        target("b", two_stages(), "/here", &["x"]),
        target("c", two_stages(), "/here", &[]),
    ])
    .unwrap();
    let JoinedPlan { plan, contexts } = joined;
    assert_eq!(contexts, ["/here", "/here"].map(PathBuf::from));
    assert_eq!(plan.contexts.iter().map(|context| context.ignore.len()).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(plan.targets.iter().map(|target| target.images[0]).collect::<Vec<_>>(), [1, 3, 5]);
    assert_eq!(plan.targets.iter().map(|target| target.name.as_deref().unwrap()).collect::<Vec<_>>(), ["a", "b", "c"]);
    for (stage, context) in [(1, 0), (3, 1), (5, 0)] {
        assert_eq!(plan.stages[stage].base, Base::Stage(stage - 1));
        assert_eq!(providers(&plan.stages[stage]), [&Provider::Stage(stage - 1), &Provider::Context(context)]);
    }
    assert_eq!(plan.stages[4].target.as_deref(), Some("c"));
}

#[test]
fn a_link_becomes_the_stage_of_the_image() {
    let lib = target("lib", two_stages(), "/lib", &[]);
    let linked = LinkedTarget::of(&lib.name, &lib.plan);
    let standing = linked.stage(&Platform::new("linux", "arm64", None)).unwrap().clone();
    assert!(standing.steps.is_empty());
    let app = target("app", vec![standing, stage(Base::Stage(0), vec![])], "/app", &[]);
    let plan = join(vec![lib, app.clone()]).unwrap().plan;
    assert_eq!((&plan.stages[2].base, &plan.stages[3].base), (&Base::Stage(1), &Base::Stage(2)));
    assert_eq!(error(vec![app]).message, "the target app takes from the target lib, which is not built before it");
}

#[test]
fn a_link_is_to_the_image_for_the_platform() {
    let of = |architecture: &str| {
        let settings = Settings { user: architecture.to_owned(), ..Settings::default() };
        Stage { platform: Platform::new("linux", architecture, None), settings, ..stage(Base::Scratch, vec![]) }
    };
    let mut lib = target("lib", vec![of("amd64"), of("arm64")], "/lib", &[]);
    lib.plan.targets[0].images = vec![1, 0];
    let linked = LinkedTarget::of(&lib.name, &lib.plan);
    let stage = linked.stage(&Platform::new("linux", "amd64", None)).unwrap().clone();
    assert_eq!(stage.settings.user, "amd64");
    let app = target("app", vec![stage], "/app", &[]);
    assert_eq!(join(vec![lib, app]).unwrap().plan.stages[2].base, Base::Stage(0));
    let error = linked.stage(&Platform::new("linux", "riscv64", None)).unwrap_err();
    assert_eq!(error.message, "the target lib is not built for linux/riscv64");
    assert_eq!(error.hint.as_deref(), Some("it is built for linux/arm64, linux/amd64: add the platform there"));
}

#[test]
fn targets_that_cannot_be_one_build_are_refused() {
    let a = || target("a", two_stages(), "/here", &[]);
    assert_eq!(error(vec![a(), a()]).message, "two targets have the name a");
    let mut other = target("b", two_stages(), "/here", &[]);
    other.plan.settle(&Arc::new(RunSettings { isolation: Isolation::Chroot, ..RunSettings::default() }), 7);
    assert_eq!(other.plan.targets[0].created, 7);
    let message = "the targets a and b ask for different isolations of their commands";
    assert_eq!(error(vec![a(), other]).message, message);
}
