//! A shell in what a failed command has left.

use std::os::unix::ffi::OsStrExt;

use crate::build::inputs::Inputs;
use crate::build::options::OpenShell;
use crate::error::Error;
use crate::net::Stop;
use crate::progress::{Event, WarningKind};
use crate::run::{Process, Root, Sandbox};

/// The shell where the step names none.
const USUAL: &[u8] = b"/bin/sh";
const TERM: &[u8] = b"TERM=";

/// A shell that is to be opened.
pub struct FailureShell<'a> {
    pub sandbox: &'a Sandbox,
    /// The shell in the place of the command, with all that it was given.
    pub process: Process,
    /// What the command has left, with a work directory that nobody has used.
    pub root: Root,
}

/// Puts a shell in the place of the command: the one that has run it, or else `/bin/sh`.
pub fn change(process: &mut Process) {
    let shell = match &process.arguments[..] {
        [shell, .., flag, _] if flag == b"-c" && shell.ends_with(b"sh") => shell.clone(),
        _ => USUAL.to_vec(),
    };
    process.arguments = vec![shell];
}

impl FailureShell<'_> {
    /// Stops all else, opens the shell and waits for its end. Returns the error that the step is to fail with; that of the
    /// build is `error`. No shell is opened where something else has failed before.
    pub fn open(self, error: Error, inputs: &Inputs<'_>, open: OpenShell<'_>) -> Error {
        let FailureShell { sandbox, mut process, root } = self;
        let failure = error.message.clone();
        if let Err(error) = inputs.fail(error) {
            return error;
        }
        let opened = open(&failure, &mut |terminal, kind| {
            let is_set = process.environment.iter().any(|variable| variable.starts_with(TERM));
            if let Some(kind) = kind.filter(|_| !is_set) {
                process.environment.push([TERM, kind.as_bytes()].concat());
            }
            // All else has been stopped.
            sandbox.run_on(&process, &root, terminal, &Stop::default()).map(drop)
        });
        if let Err(error) = opened {
            let message = format!("no shell was opened: {}", error.message);
            (inputs.options.progress)(Event::Warning { kind: WarningKind::NoShell, message: &message });
        }
        Error::input("the build has failed")
    }
}
