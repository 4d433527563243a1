//! The tags of a release, as a plan holds them.

use crate::cli::bake::release::TargetRelease;
use crate::error::Result;
use crate::oci::Reference;
use crate::plan::shared::{SharedPlan, SharedRepository, SharedTag, SharedTarget};
use crate::release::ReleaseTarget;
use crate::release::tag::{PlannedTag, ReleaseLine, TagKind};

/// Why a tag is set that a plan says.
const REASON: &str = "as planned";

/// Returns what a plan holds of the tags of a target.
pub fn shared(release: &TargetRelease) -> Vec<SharedRepository> {
    let repository = |target: &ReleaseTarget| {
        let own = |name: &&Reference| name.name() == target.repository.name();
        let asked = release.asked.iter().find(own).and_then(Reference::tag);
        SharedRepository {
            repository: target.repository.name(),
            asked: asked.unwrap_or(&release.tag).to_owned(),
            tags: target.tags.iter().map(shared_tag).collect(),
        }
    };
    release.targets.iter().map(repository).collect()
}

fn shared_tag(tag: &PlannedTag) -> SharedTag {
    SharedTag {
        name: tag.name.clone(),
        floating: tag.kind == TagKind::Floating,
        line: tag.line.map(|line| (line.major, line.minor)),
    }
}

/// Returns the tags of the target `name` that a plan holds; none if it is not a release.
fn release(name: &str, target: &SharedTarget) -> Result<Option<TargetRelease>> {
    let Some(tag) = target.tag.as_ref().filter(|_| !target.release.is_empty()) else { return Ok(None) };
    let mut release = TargetRelease { name: name.to_owned(), targets: Vec::new(), tag: tag.clone(), asked: Vec::new() };
    for SharedRepository { repository, asked, tags } in &target.release {
        let repository: Reference = repository.parse()?;
        release.asked.push(repository.with_tag(asked));
        let tags = tags.iter().map(planned_tag).collect();
        release.targets.push(ReleaseTarget { repository, version: target.version(), tags });
    }
    Ok(Some(release))
}

fn planned_tag(tag: &SharedTag) -> PlannedTag {
    PlannedTag {
        name: tag.name.clone(),
        kind: if tag.floating { TagKind::Floating } else { TagKind::Exact },
        line: tag.line.map(|(major, minor)| ReleaseLine { major, minor }),
        reason: REASON,
    }
}

/// Returns the tags of all targets of `plan` that are released.
pub fn releases(plan: &SharedPlan) -> Result<Vec<TargetRelease>> {
    plan.targets.iter().filter_map(|(name, target)| release(name, target).transpose()).collect()
}
