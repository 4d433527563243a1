//! Programs that a test needs and a machine may lack. Such a test says so and is skipped; where `CI` is set, everything
//! is expected to be there, and it fails.

use std::io::Write;

/// Whether the program `name` can be found. Without it the test is to return at once.
pub fn require(name: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|directory| directory.join(name).is_file()));
    found || skip(&format!("{name} is not installed"))
}

/// Says why a test does not run; always false. Written past the test harness, which would swallow it.
fn skip(reason: &str) -> bool {
    assert!(std::env::var_os("CI").is_none_or(|value| value.is_empty()), "{reason}");
    let _ = writeln!(std::io::stderr(), "skipped: {reason}");
    false
}
