//! What many machines build together without asking each other: a [`SharedPlan`] says all that has to be the same on all of them,
//! a [`Shard`] is the share of one, and each leaves a result for every node of its share, which one of them joins in the end.
//!
//! ```text
//!  definition ─► SharedPlan ─► nodes (target × platform) ─► shards ─► results ─► indexes and tags
//! ```

mod arrange;
mod below;
mod definition;
mod document;
mod jobs;
mod kubernetes;
mod narrow;
mod result;
mod shard;

pub use arrange::{ArrangedTarget, arrange};
pub use definition::definition_of;
pub use document::{
    PlanNode, SHARED_PLAN_LIMIT, SharedBase, SharedCheckout, SharedPlan, SharedRepository, SharedTag, SharedTarget,
};
pub use jobs::{JobEngine, Jobs};
pub use result::{RESULT_LIMIT, read_result, result, result_tag};
pub use shard::Shard;
