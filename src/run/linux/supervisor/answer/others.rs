//! What a process may do with others: signals, memory and priorities.

use std::fs::File;
use std::io::Read;

use rustix::fs::{Mode, OFlags, fstatfs, openat};
use rustix::io::Errno;

use super::asked::{Asked, Outcome};
use crate::run::linux::supervisor::identity::{BEFORE, Identity, Right};
use crate::run::linux::supervisor::listener::Answer;
use crate::run::linux::supervisor::way::PROCESSES;

/// Of setpriority(2); its type differs between C libraries.
const PRIO_PROCESS: u32 = 0;

impl Asked<'_> {
    /// Answers kill(2): the process is the first argument, and the signal the one of that number. Those of a group, and all, the
    /// kernel sends signals to.
    pub(super) fn signal(&self, signal: usize) -> Outcome {
        let process = self.target.number(0).cast_signed();
        // Who was stopped goes on for everybody of its session.
        let goes_on = self.target.number(signal) == libc::SIGCONT as u32;
        if self.identity.has(Right::Signal) || process <= 0 || goes_on {
            return Ok(Answer::Continue);
        }
        match self.other(process.cast_unsigned()) {
            Some(other) if !may_signal(self.identity, other) => Err(Errno::PERM),
            _ => Ok(Answer::Continue),
        }
    }

    /// Does the same to who is open as a descriptor.
    pub(super) fn signal_open(&self) -> Outcome {
        if self.identity.has(Right::Signal) || self.target.number(1) == libc::SIGCONT as u32 {
            return Ok(Answer::Continue);
        }
        let descriptor = self.target.number(0).cast_signed();
        match self.target.open_process(descriptor).and_then(|thread| self.identities.of(thread).ok()) {
            Some((_, other)) if !may_signal(self.identity, other) => Err(Errno::PERM),
            _ => Ok(Answer::Continue),
        }
    }

    /// Answers ptrace(2) for who begins, and process_vm_readv(2): the process is the argument of that number.
    pub(super) fn look_into(&self, process: usize) -> Outcome {
        match self.other(self.target.number(process)) {
            Some(other) if !is_same(self.identity, other) && !self.identity.has(Right::Trace) => Err(Errno::PERM),
            _ => Ok(Answer::Continue),
        }
    }

    pub(super) fn set_priority(&self) -> Outcome {
        let [which, who] = [0, 1].map(|place| self.target.number(place));
        if which != PRIO_PROCESS || who == 0 || self.identity.has(Right::SetPriority) {
            return Ok(Answer::Continue);
        }
        let own = self.identity.user.effective;
        match self.other(who) {
            Some(other) if own != other.user.real && own != other.user.effective => Err(Errno::PERM),
            _ => Ok(Answer::Continue),
        }
    }

    /// Answers `prlimit` of another process.
    pub(super) fn limit(&self) -> Outcome {
        match self.other(self.target.number(0)) {
            Some(other) if !is_same(self.identity, other) && !self.identity.has(Right::SetLimit) => Err(Errno::PERM),
            _ => Ok(Answer::Continue),
        }
    }

    /// Returns who the process is that the sandbox calls so; none if that is not known.
    fn other(&self, process: u32) -> Option<&Identity> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let processes = openat(self.root, c"proc", flags, Mode::empty()).ok()?;
        // A command may have put there what it likes.
        if fstatfs(&processes).ok()?.f_type as u64 != PROCESSES {
            return None;
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&processes, format!("{process}/limits"), flags, Mode::empty()).ok()?;
        let mut text = String::new();
        File::from(file).read_to_string(&mut text).ok()?;
        // The first process has none, and is this program's.
        number_of(&text).and_then(|number| self.identities.get(number)).or_else(|| self.identities.get(BEFORE))
    }
}

/// What the list of a process's limits says of the one that stands for who it is.
fn number_of(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max file locks"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn may_signal(identity: &Identity, other: &Identity) -> bool {
    let own = [identity.user.real, identity.user.effective];
    own.contains(&other.user.real) || own.contains(&other.user.saved)
}

/// Whether all that the other is for others is what this one really is.
fn is_same(identity: &Identity, other: &Identity) -> bool {
    let is_all = |own: u32, ids: [u32; 3]| ids.iter().all(|id| *id == own);
    is_all(identity.user.real, [other.user.real, other.user.effective, other.user.saved])
        && is_all(identity.group.real, [other.group.real, other.group.effective, other.group.saved])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::process::User;

    #[test]
    fn a_process_is_who_the_limit_of_its_locks_says() {
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let known = limits.lines().find(|line| line.starts_with("Max file locks"));
        assert!(known.is_some(), "{limits}");
        assert_eq!(
            number_of("Max pending signals 1 2 signals\nMax file locks            7   unlimited   locks\n"),
            Some(7)
        );
        assert_eq!(number_of("Max file locks            unlimited   unlimited   locks\n"), None);
    }

    #[test]
    fn signals_go_to_ones_own() {
        let user = |id| Identity::of(&User { id, group: id, groups: Vec::new() }, 0);
        let (app, other) = (user(1000), user(1001));
        assert!(may_signal(&app, &app) && !may_signal(&app, &other) && !may_signal(&app, &user(0)));
        let mut su = user(0);
        su.user.real = 1000;
        assert!(may_signal(&app, &su) && may_signal(&su, &app));
        assert!(is_same(&app, &app) && !is_same(&app, &su) && !is_same(&su, &su));
    }
}
