//! This module tells what is in an image, and what differs between layers.

mod difference;
mod files;
mod report;

pub use difference::{DifferentField, LayerDifference, differences};
pub use files::{FileReport, files, permissions};
pub use report::{ImageReport, Report, report};
