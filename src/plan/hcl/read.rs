//! Files to bodies.

use std::sync::Arc;

use super::body::{BlockSchema, HclBody};
use super::place::BakeText;
use crate::error::{Error, Result};

/// Reads HCL. Fails, with the place, for what is none.
pub fn read_hcl(text: &Arc<BakeText>) -> Result<HclBody> {
    Err(Error::input(format!("{} is not read yet", text.file)))
}

/// Reads the JSON that stands for HCL, in which `schema` says which keys are blocks. Fails, with the place, for what is none.
pub fn read_json(text: &Arc<BakeText>, schema: &[BlockSchema]) -> Result<HclBody> {
    let _ = schema;
    Err(Error::input(format!("{} is not read yet", text.file)))
}
