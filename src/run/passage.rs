//! How this process came to the place that it is in, and why other places are none for commands.

use std::sync::OnceLock;

use super::rung::Rung;

/// What is said where there is no way to run commands.
pub(super) const UNUSABLE: &str = "commands cannot be run here";

/// Which of two processes this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side<T> {
    /// That which goes on, with what was found where it is, if it has looked.
    Inner(Option<T>),
    /// That which was left behind: the other one has ended with this exit status.
    Outer(u8),
}

/// How this process came to where it is.
#[derive(Debug, Default)]
pub struct Passage {
    /// What the namespace is that it has made for itself; none if it is where it was started.
    pub entered: Option<Rung>,
    /// The user and the group that this process is outside of it.
    pub owner: (u32, u32),
    /// The ways that are not open, the best one first.
    pub refused: Vec<RungRefusal>,
}

static PASSAGE: OnceLock<Passage> = OnceLock::new();

/// Returns how this process came to where it is; none if it has not looked for another place.
pub fn passage() -> Option<&'static Passage> {
    PASSAGE.get()
}

/// Returns whether this process has made the user namespace that it is in, so that its user does not know of it.
pub fn has_entered() -> bool {
    passage().is_some_and(|passage| passage.entered.is_some())
}

/// Keeps how this process came to where it is, which it does once.
pub(super) fn arrive(passage: Passage) {
    let _ = PASSAGE.set(passage);
}

/// Why a way is not open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RungRefusal {
    /// The way.
    pub rung: Rung,
    /// What was refused, and how.
    pub reason: String,
    /// What to change.
    pub hint: Option<String>,
}
