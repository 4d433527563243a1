//! A browser that shows a page and says what it then holds.

use std::path::Path;
use std::process::Command;

use super::tool::checked;

/// The name of the program.
pub const CHROMIUM: &str = "chromium";

/// The document of the page at `path` once its script has run, which may be followed by `#` and more. Nothing is fetched for it.
#[track_caller]
pub fn document(path: &Path, fragment: &str) -> String {
    let user = tempfile::tempdir().unwrap();
    let flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--dump-dom",
    ];
    let mut browser = Command::new(CHROMIUM);
    browser.args(flags).arg(format!("--user-data-dir={}", user.path().display()));
    browser.arg(format!("file://{}{fragment}", path.display()));
    checked(browser.env("HOME", user.path()))
}
