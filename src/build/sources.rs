//! Whether contexts have what is to be copied from them, found out without a build.

use std::path::PathBuf;
use std::time::SystemTime;

use rayon::ThreadPoolBuilder;

use super::inputs::Contexts;
use super::step::Provided;
use crate::error::{Error, Result};
use crate::plan::{CopyItem, Plan, Provider, Work};

/// Fails for the first `COPY` or `ADD` in `plan` of a file that its context, which lies at the place among `roots`, does not
/// have. Contexts are walked, and no file is read.
pub fn check_sources(plan: &Plan, roots: &[PathBuf]) -> Result<()> {
    let pool = ThreadPoolBuilder::new().build();
    let pool = pool.map_err(|source| Error::input("cannot start the threads of a walk").with_source(source))?;
    let contexts = Contexts::new(&plan.contexts, roots, SystemTime::now(), &pool);
    for step in plan.stages.iter().flat_map(|stage| &stage.steps) {
        let Work::Copy(copy) = &step.work else { continue };
        let Provider::Context(number) = copy.from else { continue };
        for item in &copy.items {
            let CopyItem::Pattern(pattern) = item else { continue };
            let found = Provided::of_context(number, &contexts).and_then(|provided| match copy.parents {
                true => provided.check_parents(pattern),
                false => provided.matched(pattern).map(drop),
            });
            found.map_err(|error| error.or_excerpt(step.place.as_ref()))?;
        }
    }
    Ok(())
}
