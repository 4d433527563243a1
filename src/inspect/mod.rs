//! This module tells what is in an image.

mod report;

pub use report::{ImageReport, Report, report};
