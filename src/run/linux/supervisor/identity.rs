//! Who a process is taken for. The kernel itself keeps a number of that with each process, as a resource limit that has had no
//! meaning since Linux 2.4: it goes along with every fork, thread and exec, and with the process. Commands cannot set it.

use std::collections::HashMap;
use std::sync::Arc;

use rustix::io::Errno;

use super::calls::{Which, Whose};
use crate::run::linux::system::{limit_of, set_limit_of};
use crate::run::process::User;

/// The limit that holds the number.
pub(in crate::run::linux) const LIMIT: u32 = linux_raw_sys::general::RLIMIT_LOCKS;

/// Before the command: the process is still this program's.
pub(in crate::run::linux) const BEFORE: u64 = 0;

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
    pub(super) rights: Rights,
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

/// The capabilities of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Rights {
    pub(super) permitted: u64,
    pub(super) effective: u64,
    pub(super) inheritable: u64,
    /// Those that go on to programs though its user is not root.
    pub(super) ambient: u64,
    /// All that a program can get.
    pub(super) bound: u64,
    /// Those that are permitted stay when root becomes another.
    pub(super) are_kept: bool,
}

/// Those that the supervisor itself asks about, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Right {
    Chown = 1 << 0,
    /// To do with files what their modes do not let others do.
    Override = 1 << 1,
    /// The same, to read and to search.
    ReadSearch = 1 << 2,
    /// To do with files what only their owners may.
    Owner = 1 << 3,
    /// To leave files the bits that make users of programs.
    KeepSetId = 1 << 4,
    Signal = 1 << 5,
    SetGroup = 1 << 6,
    SetUser = 1 << 7,
    SetCapabilities = 1 << 8,
    ChangeRoot = 1 << 18,
    Trace = 1 << 19,
    SetPriority = 1 << 23,
    SetLimit = 1 << 24,
    MakeDevice = 1 << 27,
    /// To give files capabilities.
    SetFile = 1 << 31,
}

/// Those that a process has for files, as whom it is for files.
const OF_FILES: u64 = Right::Chown as u64
    | Right::Override as u64
    | Right::ReadSearch as u64
    | Right::Owner as u64
    | Right::KeepSetId as u64
    | Right::MakeDevice as u64;

/// Those of them without which modes and owners of files keep a process from nothing.
const UNLIMITED: u64 = Right::Chown as u64 | Right::Override as u64 | Right::Owner as u64 | Right::KeepSetId as u64;

impl Rights {
    /// Returns those of root, of which `all` are all.
    pub(super) const fn of_root(all: u64) -> Rights {
        Rights { permitted: all, effective: all, inheritable: 0, ambient: 0, bound: all, are_kept: false }
    }

    /// Returns those of others.
    pub(super) const fn none(all: u64) -> Rights {
        Rights { permitted: 0, effective: 0, ..Rights::of_root(all) }
    }

    /// Returns what a program has that `user` starts; who is another by its file takes no ambient ones along (capabilities(7),
    /// "Transformation of capabilities during execve()").
    pub(super) fn of_program(self, user: &Ids, is_another: bool) -> Rights {
        let ambient = if is_another { 0 } else { self.ambient };
        let is_root = user.real == 0 || user.effective == 0;
        let permitted = if is_root { self.inheritable | self.bound } else { 0 } | ambient;
        let effective = if user.effective == 0 { permitted } else { ambient };
        Rights { permitted, effective, ambient, are_kept: false, ..self }
    }

    /// Returns what capset(2) makes of them.
    pub(super) fn set(self, effective: u64, permitted: u64, inheritable: u64) -> Result<Rights, Errno> {
        let is_within = |set: u64, other: u64| set & !other == 0;
        let may_add = self.effective & Right::SetCapabilities as u64 != 0;
        if !may_add && !is_within(inheritable, self.inheritable | self.permitted)
            || !is_within(inheritable, self.inheritable | self.bound)
            || !is_within(permitted, self.permitted)
            || !is_within(effective, permitted)
        {
            return Err(Errno::PERM);
        }
        Ok(Rights { effective, permitted, inheritable, ambient: self.ambient & permitted & inheritable, ..self })
    }

    /// What is left of them when users change (capabilities(7), "Effect of user ID changes on capabilities").
    fn after(self, old: &Ids, new: &Ids) -> Rights {
        let mut rights = self;
        if old.has(0) && !new.has(0) {
            rights.ambient = 0;
            if !self.are_kept {
                (rights.permitted, rights.effective) = (0, 0);
            }
        }
        match (old.effective, new.effective) {
            (0, 0) => {}
            (0, _) => rights.effective = 0,
            (_, 0) => rights.effective = rights.permitted,
            _ => {}
        }
        rights
    }
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

    /// Returns what setuid(2) and setgid(2) make of them.
    pub(super) fn set(&self, id: u32, may: bool) -> Result<Ids, Errno> {
        match id {
            SAME => Err(Errno::INVAL),
            _ if may => Ok(Ids::all(id)),
            _ if id == self.real || id == self.saved => Ok(Ids { effective: id, file: id, ..*self }),
            _ => Err(Errno::PERM),
        }
    }

    /// Returns what setreuid(2) and setregid(2) make of them.
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

    /// Returns what setresuid(2) and setresgid(2) make of them.
    pub(super) fn set_all(&self, real: u32, effective: u32, saved: u32, may: bool) -> Result<Ids, Errno> {
        if [real, effective, saved].iter().any(|id| *id != SAME && !may && !self.has(*id)) {
            return Err(Errno::PERM);
        }
        let or = |id, old| if id == SAME { old } else { id };
        let effective = or(effective, self.effective);
        Ok(Ids { real: or(real, self.real), effective, saved: or(saved, self.saved), file: effective })
    }

    /// Returns what setfsuid(2) and setfsgid(2) make of them, which fail without a word.
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
    /// Returns the identity of a command's first process, run by `user`. `all` are the rights that root has.
    pub(super) fn of(user: &User, all: u64) -> Identity {
        Identity {
            user: Ids::all(user.id),
            group: Ids::all(user.group),
            groups: user.groups.as_slice().into(),
            rights: if user.id == 0 { Rights::of_root(all) } else { Rights::none(all) },
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
            Whose::User => {
                identity.rights = self.rights.after(&self.user, &ids);
                identity.user = ids;
            }
            Whose::Group => identity.group = ids,
        }
        identity
    }

    pub(super) fn has(&self, right: Right) -> bool {
        self.usable() & right as u64 != 0
    }

    /// The rights that count; who is root, but not for files, has none for them.
    fn usable(&self) -> u64 {
        let is_another_for_files = self.user.file != 0 && self.user.effective == 0;
        self.rights.effective & if is_another_for_files { !OF_FILES } else { u64::MAX }
    }

    /// Returns whether it may do with all files what it likes, and makes them as root.
    pub(super) fn is_unlimited(&self) -> bool {
        self.user.file == 0 && self.usable() & UNLIMITED == UNLIMITED
    }

    /// Returns whether it may go through every directory.
    pub(super) fn searches_all(&self) -> bool {
        self.has(Right::Override) || self.has(Right::ReadSearch)
    }

    /// Returns it as access(2) asks: as who it really is.
    pub(super) fn as_real(&self) -> Identity {
        let mut identity = self.clone();
        for ids in [&mut identity.user, &mut identity.group] {
            (ids.effective, ids.file) = (ids.real, ids.real);
        }
        identity.rights.effective = if self.user.real == 0 { self.rights.permitted } else { 0 };
        identity
    }

    /// Returns whether it may change the ids of users or groups as it likes.
    pub(super) fn may_set(&self, whose: Whose) -> bool {
        self.has(match whose {
            Whose::User => Right::SetUser,
            Whose::Group => Right::SetGroup,
        })
    }

    /// Returns whether modes of files keep it from nothing.
    pub(super) fn overrides(&self) -> bool {
        self.has(Right::Override)
    }

    /// Returns whether what it makes is root's.
    pub(super) fn makes_as_root(&self) -> bool {
        self.user.file == 0 && self.group.file == 0
    }

    /// Returns whether it is of that group, for files.
    pub(super) fn is_in(&self, group: u32) -> bool {
        self.group.file == group || self.groups.contains(&group)
    }
}

/// All that there are, each with its number.
pub(super) struct Identities {
    known: Vec<Identity>,
    numbers: HashMap<Identity, u64>,
    /// Whether any has ever had a root of its own.
    pub(super) has_apart: bool,
    /// Whether any has ever been kept from something by a file's mode or owner.
    pub(super) has_limited: bool,
}

impl Identities {
    /// Returns those of a command. `first` is that of the command, and `all` are the rights that root has.
    pub(super) fn new(first: Identity, all: u64) -> Identities {
        // The one before the command is root.
        let before = Identity::of(&User::default(), all);
        let numbers = [(first.clone(), 1)].into();
        let (has_apart, has_limited) = (first.is_apart, !first.is_unlimited());
        Identities { known: vec![before, first], numbers, has_apart, has_limited }
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
        self.has_apart |= identity.is_apart;
        self.has_limited |= !identity.is_unlimited();
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
    fn rights_go_with_root_unless_they_are_kept() {
        let root = Identity::of(&User::default(), 0xff);
        let app = root.with_ids(Whose::User, Ids::all(1000));
        assert_eq!(app.rights, Rights::none(0xff));
        assert!(root.overrides() && !app.overrides() && !app.may_set(Whose::Group));
        let keeping = Identity { rights: Rights { are_kept: true, ..root.rights }, ..root.clone() };
        let kept = keeping.with_ids(Whose::User, Ids::all(1000));
        assert_eq!((kept.rights.permitted, kept.rights.effective), (0xff, 0));
        let lowered = root.with_ids(Whose::User, Ids { effective: 1000, file: 1000, ..root.user });
        assert_eq!((lowered.rights.permitted, lowered.rights.effective), (0xff, 0));
        assert_eq!(lowered.with_ids(Whose::User, root.user), root);
        let for_files = root.with_ids(Whose::User, Ids { file: 7, ..root.user });
        assert!(!for_files.overrides() && for_files.may_set(Whose::User));
    }

    #[test]
    fn programs_have_the_rights_that_the_manual_page_says() {
        let (root, app) = (Ids::all(0), Ids::all(1000));
        let all = Rights::of_root(0x1ff);
        assert_eq!(all.of_program(&root, false), all);
        assert_eq!(all.of_program(&app, false), Rights::none(0x1ff));
        let dropped = Rights { bound: 0x1fd, ..all };
        assert_eq!(dropped.of_program(&root, false).effective, 0x1fd);
        let ambient = Rights { ambient: 4, ..all.set(0x1ff, 0x1ff, 6).unwrap() };
        let started = ambient.of_program(&app, false);
        assert_eq!((started.permitted, started.effective, started.inheritable), (4, 4, 6));
        assert_eq!(ambient.of_program(&app, true).permitted, 0);
        assert_eq!(started.set(4, 4, 0).unwrap().ambient, 0);
        assert_eq!(started.set(4, 4, 0x10), Err(Errno::PERM));
        assert_eq!(started.set(8, 8, 6), Err(Errno::PERM));
        assert_eq!(all.set(0, 0, 0x200), Err(Errno::PERM));
    }

    #[test]
    fn equal_identities_have_one_number() {
        let user = |id| Identity::of(&User { id, group: 5, groups: vec![1] }, 0xff);
        let mut identities = Identities::new(user(1000), 0xff);
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
