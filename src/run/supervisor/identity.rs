//! Who a process is taken for. The kernel itself keeps a number of that with each process, as a resource limit that has had no
//! meaning since Linux 2.4: it goes along with every fork, thread and exec, and with the process. Commands cannot set it.

use std::collections::HashMap;
use std::sync::Arc;

use rustix::io::Errno;

use super::calls::{Which, Whose};
use crate::run::process::User;
use crate::run::system::{limit_of, set_limit_of};

/// The limit that holds the number.
pub(in crate::run) const LIMIT: u32 = libc::RLIMIT_LOCKS as u32;

/// Before the command: the process is still this program's.
pub(in crate::run) const BEFORE: u64 = 0;

/// So many different ones there can be in a run.
const MOST: usize = 1 << 16;

/// As many groups as the kernel has.
pub(super) const MOST_GROUPS: usize = 65_536;

/// Leaves an id as it is.
pub(super) const SAME: u32 = u32::MAX;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) user: Ids,
    pub(super) group: Ids,
    pub(super) groups: Arc<[u32]>,
    /// It may have a root of its own.
    pub(super) is_apart: bool,
    /// It is this only if it has become that program, and else what it was before.
    pub(super) becoming: Option<Becoming>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Becoming {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) before: u64,
}

/// The four ids of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Ids {
    pub(super) real: u32,
    pub(super) effective: u32,
    pub(super) saved: u32,
    /// The one that counts for files.
    pub(super) file: u32,
}

impl Ids {
    fn all(id: u32) -> Ids {
        Ids { real: id, effective: id, saved: id, file: id }
    }

    fn has(&self, id: u32) -> bool {
        [self.real, self.effective, self.saved].contains(&id)
    }

    /// As setuid(2) and setgid(2).
    pub(super) fn set(&self, id: u32, may: bool) -> Result<Ids, Errno> {
        match id {
            SAME => Err(Errno::INVAL),
            _ if may => Ok(Ids::all(id)),
            _ if id == self.real || id == self.saved => Ok(Ids { effective: id, file: id, ..*self }),
            _ => Err(Errno::PERM),
        }
    }

    /// As setreuid(2) and setregid(2).
    pub(super) fn set_real_effective(&self, real: u32, effective: u32, may: bool) -> Result<Ids, Errno> {
        let may_real = real == SAME || may || real == self.real || real == self.effective;
        if !may_real || !(effective == SAME || may || self.has(effective)) {
            return Err(Errno::PERM);
        }
        let mut ids = *self;
        if real != SAME {
            ids.real = real;
        }
        if effective != SAME {
            ids.effective = effective;
        }
        if real != SAME || effective != SAME && effective != self.real {
            ids.saved = ids.effective;
        }
        Ok(Ids { file: ids.effective, ..ids })
    }

    /// As setresuid(2) and setresgid(2).
    pub(super) fn set_all(&self, real: u32, effective: u32, saved: u32, may: bool) -> Result<Ids, Errno> {
        if [real, effective, saved].iter().any(|id| *id != SAME && !may && !self.has(*id)) {
            return Err(Errno::PERM);
        }
        let or = |id, old| if id == SAME { old } else { id };
        let effective = or(effective, self.effective);
        Ok(Ids { real: or(real, self.real), effective, saved: or(saved, self.saved), file: effective })
    }

    /// As setfsuid(2) and setfsgid(2), which fail without a word.
    pub(super) fn set_file(&self, id: u32, may: bool) -> Ids {
        let may = id != SAME && (may || self.has(id) || id == self.file);
        Ids { file: if may { id } else { self.file }, ..*self }
    }

    pub(super) fn get(&self, which: Which) -> u32 {
        match which {
            Which::Real => self.real,
            Which::Effective => self.effective,
        }
    }
}

impl Identity {
    pub(super) fn of(user: &User) -> Identity {
        Identity {
            user: Ids::all(user.id),
            group: Ids::all(user.group),
            groups: user.groups.as_slice().into(),
            is_apart: false,
            becoming: None,
        }
    }

    pub(super) fn ids(&self, whose: Whose) -> &Ids {
        match whose {
            Whose::User => &self.user,
            Whose::Group => &self.group,
        }
    }

    pub(super) fn with_ids(&self, whose: Whose, ids: Ids) -> Identity {
        let mut identity = self.clone();
        match whose {
            Whose::User => identity.user = ids,
            Whose::Group => identity.group = ids,
        }
        identity
    }

    /// Whether it may do as root does.
    pub(super) fn is_root(&self) -> bool {
        self.user.effective == 0
    }

    /// Whether it may do so with files.
    pub(super) fn is_root_of_files(&self) -> bool {
        self.user.file == 0
    }

    /// Whether it is of that group, for files.
    pub(super) fn is_in(&self, group: u32) -> bool {
        self.group.file == group || self.groups.contains(&group)
    }
}

/// All that there are, each with its number.
pub(super) struct Identities {
    known: Vec<Identity>,
    numbers: HashMap<Identity, u64>,
}

impl Identities {
    /// `first` is that of the command, and of who has no number.
    pub(super) fn new(first: Identity) -> Identities {
        // The one before the command is root.
        let before = Identity::of(&User::default());
        let numbers = [(first.clone(), 1)].into();
        Identities { known: vec![before, first], numbers }
    }

    /// Returns who `thread` is, and the number of that.
    pub(super) fn of(&self, thread: u32) -> Result<(u64, &Identity), Errno> {
        let number = limit_of(thread, LIMIT)?.0;
        let known = usize::try_from(number).ok().and_then(|number| self.known.get(number));
        known.map(|identity| (number, identity)).ok_or(Errno::PERM)
    }

    /// Returns the number of `identity`.
    pub(super) fn number(&mut self, identity: Identity) -> Result<u64, Errno> {
        if let Some(number) = self.numbers.get(&identity) {
            return Ok(*number);
        }
        if self.known.len() == MOST {
            return Err(Errno::AGAIN);
        }
        let number = self.known.len() as u64;
        self.known.push(identity.clone());
        self.numbers.insert(identity, number);
        Ok(number)
    }

    /// Makes the process of `thread` who has `number`.
    pub(super) fn assign(&self, thread: u32, number: u64) -> Result<(), Errno> {
        let (_, hard) = limit_of(thread, LIMIT)?;
        set_limit_of(thread, LIMIT, number, hard)
    }

    pub(super) fn get(&self, number: u64) -> Option<&Identity> {
        self.known.get(usize::try_from(number).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_change_as_the_manual_pages_have_it() {
        let root = Ids::all(0);
        let app = Ids::all(1000);
        assert_eq!(root.set(1000, true), Ok(app));
        assert_eq!(app.set(0, false), Err(Errno::PERM));
        assert_eq!(app.set(SAME, true), Err(Errno::INVAL));
        // What seteuid does, and what takes it back.
        let lowered = root.set_all(SAME, 1000, SAME, true).unwrap();
        assert_eq!(lowered, Ids { real: 0, effective: 1000, saved: 0, file: 1000 });
        assert_eq!(lowered.set_all(SAME, 0, SAME, false), Ok(root));
        assert_eq!(lowered.set_real_effective(SAME, 7, false), Err(Errno::PERM));
        assert_eq!(
            root.set_real_effective(SAME, 1000, true),
            Ok(Ids { real: 0, effective: 1000, saved: 1000, file: 1000 })
        );
        assert_eq!(root.set_real_effective(1000, SAME, true), Ok(Ids { real: 1000, ..root }));
        assert_eq!(app.set_file(7, false), app);
        assert_eq!(root.set_file(7, true), Ids { file: 7, ..root });
    }

    #[test]
    fn equal_identities_have_one_number() {
        let user = |id| Identity::of(&User { id, group: 5, groups: vec![1] });
        let mut identities = Identities::new(user(1000));
        assert_eq!(identities.number(user(1000)), Ok(1));
        assert_eq!(identities.number(user(1001)), Ok(2));
        assert_eq!(identities.number(user(1001)), Ok(2));
        assert_eq!(identities.get(2), Some(&user(1001)));
        for id in 2000..2000 + MOST as u32 {
            let _ = identities.number(user(id));
        }
        assert_eq!(identities.number(user(1)), Err(Errno::AGAIN));
    }
}
