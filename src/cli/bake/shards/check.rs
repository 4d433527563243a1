//! Whether what is about to be built here is what was planned.

use crate::cli::build::PlannedBuild;
use crate::error::{Error, Result};
use crate::oci::{Map, Platform};
use crate::plan::Plan;
use crate::plan::shared::{SharedPlan, SharedTarget};

/// Returns the platforms of the images of the only target of `plan`.
pub fn platforms(plan: &Plan) -> Vec<Platform> {
    let images = plan.targets.first().map(|target| &target.images[..]).unwrap_or_default();
    images.iter().filter_map(|stage| plan.stages.get(*stage)).map(|stage| stage.platform.clone()).collect()
}

/// Returns what a plan holds of a build, but for its names.
pub fn shared_target(build: &PlannedBuild<'_>) -> SharedTarget {
    let target = build.plan.targets.first();
    SharedTarget {
        created: target.map_or(0, |target| target.created),
        dockerfile: build.dockerfile,
        platforms: platforms(build.plan).iter().map(ToString::to_string).collect(),
        index: target.is_some_and(|target| target.index),
        annotations: target.map(|target| build.plan.index_annotations(target)).unwrap_or_default(),
        ..SharedTarget::default()
    }
}

/// Fails where a build comes to something else here than `plan` says.
pub fn check(plan: &SharedPlan, builds: &[PlannedBuild<'_>]) -> Result<()> {
    builds.iter().try_for_each(|build| {
        let differs = difference(plan.target(build.name)?, &shared_target(build));
        differs.map_or(Ok(()), |(what, hint)| {
            let message = format!("target {}: {what}", build.name);
            Err(Error::input(message).with_hint(hint))
        })
    })
}

/// Says what differs, and what to do.
fn difference(planned: &SharedTarget, own: &SharedTarget) -> Option<(String, &'static str)> {
    const HINT: &str = "check out what the plan was made of, or make a new plan";
    let both = |what: &str, planned: &str, own: &str| format!("{what} is `{own}` here, and `{planned}` in the plan");
    if planned.created != own.created {
        let what = both("the time", &planned.created.to_string(), &own.created.to_string());
        return Some((what, "it is SOURCE_DATE_EPOCH, or else the time of the commit: it must be the same for both"));
    }
    if planned.dockerfile != own.dockerfile {
        let text = |target: &SharedTarget| target.dockerfile.map(|digest| digest.to_string()).unwrap_or_default();
        return Some((both("the Dockerfile", &text(planned), &text(own)), HINT));
    }
    if (&planned.platforms, planned.index) != (&own.platforms, own.index) {
        return Some((both("the list of platforms", &planned.platforms.join(","), &own.platforms.join(",")), HINT));
    }
    let key = differing(&planned.annotations, &own.annotations)?;
    let text = |target: &SharedTarget| target.annotations.get(key).cloned().unwrap_or_default();
    Some((both(&format!("the annotation {key}"), &text(planned), &text(own)), HINT))
}

/// The first key whose values differ.
fn differing<'a>(one: &'a Map<String>, other: &'a Map<String>) -> Option<&'a str> {
    one.keys().chain(other.keys()).find(|key| one.get(*key) != other.get(*key)).map(String::as_str)
}
