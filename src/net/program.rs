//! Programs of the user's that help to reach others: git, and those that keep credentials.

use std::ffi::{OsStr, OsString};
use std::process::Command;
use std::sync::OnceLock;

static STARTER: OnceLock<Vec<OsString>> = OnceLock::new();

/// Has such programs started by `starter` from now on, the words of which stand before each: in a user namespace they would
/// take the user for root, look for keys in root's home, and be taken for somebody else by the programs that they ask.
pub fn start_by(starter: Vec<OsString>) {
    let _ = STARTER.set(starter);
}

/// Returns the command that starts `program`.
pub(crate) fn program(program: impl AsRef<OsStr>) -> Command {
    match STARTER.get().and_then(|words| words.split_first()) {
        None => Command::new(program),
        Some((first, words)) => {
            let mut command = Command::new(first);
            command.args(words).arg(program);
            command
        }
    }
}
