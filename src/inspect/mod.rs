//! This module tells what is in an image, and what differs between layers.

mod difference;
mod report;

pub use difference::{DifferentField, LayerDifference, difference};
pub use report::{ImageReport, Report, report};
