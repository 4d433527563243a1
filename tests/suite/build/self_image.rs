//! ocibake in an image of its own making.

use std::path::Path;

use crate::support::container::{Bundle, require_runtime};
use crate::support::program::Program;
use crate::support::tool::skip;

/// The static program has to be built before (`.ci/run` does): see `ocibake.toml` at the top.
#[test]
fn it_runs_from_its_own_image() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = project.join("target/x86_64-unknown-linux-gnu/release/ocibake");
    if !require_runtime() || !program.is_file() && !skip("the static program of ocibake.toml is not built") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let layout = place.path().join("layout");
    let into = format!("{}/", layout.display());
    Program::new().run(["build", "--platform", "linux/amd64", project.to_str().unwrap(), "-o", &into]).success();

    let bundle = Bundle::unpack(&format!("oci:{}", layout.display()), "amd64", place.path());
    assert_eq!(std::fs::read(bundle.root().join("usr/bin/ocibake")).unwrap(), std::fs::read(&program).unwrap());
    assert_eq!(bundle.run(&["--version"]), format!("ocibake {}\n", env!("CARGO_PKG_VERSION")));
}
