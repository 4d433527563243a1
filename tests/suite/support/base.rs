use std::sync::Arc;

use ocibake::error::Result;
use ocibake::oci::Platform;
use ocibake::plan::BaseImage;

/// For specs on scratch.
pub fn no_base(name: &str, _: &Platform) -> Result<Arc<BaseImage>> {
    panic!("{name} is asked for")
}
