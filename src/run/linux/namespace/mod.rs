//! A user namespace for the whole program, in which it is root.
//!
//! A namespace of users can be entered by a process of one thread alone. So a program that may need one makes a second
//! process of itself before it has begun anything: that one goes on in the namespace, with all that was read so far, and
//! nothing has to be handed on to a new start of the program and be believed there. The first process has the rights by which
//! the namespace gets its IDs. It does nothing from then on but hand on signals, and it ends as the other one ends; should
//! it be killed, the other one is, too.

mod entry;
mod outer;
mod refusal;
mod subordinate;

use std::fs;
use std::io;

use rustix::process::{getegid, geteuid, getuid};
use rustix::thread::{CapabilitySet, capabilities};

use self::entry::{Begun, NewMap};
use self::subordinate::IdKind;
use super::system;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::Isolation;
use crate::run::passage::{Passage, RungRefusal, Side, arrive, passage};
use crate::run::rung::Rung;
use crate::tree::{IdMap, IdRange};

/// Goes from a user namespace that this program has made into one below it, in which this process is `user` and `group` again
/// and no more. There must be one thread.
pub fn become_user(user: u32, group: u32) -> io::Result<()> {
    system::leave_users()?;
    fs::write("/proc/self/setgroups", "deny")?;
    let map = |id| IdRange { inside: id, outside: 0, count: 1 }.words();
    fs::write("/proc/self/uid_map", map(user))?;
    fs::write("/proc/self/gid_map", map(group))
}

/// Returns whether it is of use to look for another place for `isolation`: this process is where it was started, and that is
/// no place for it.
pub fn may_help(isolation: Isolation) -> bool {
    let is_here = match isolation {
        Isolation::Chroot => true,
        Isolation::SingleId => false,
        Isolation::Auto | Isolation::Ids => may_mount(),
    };
    passage().is_none() && !is_here
}

/// Goes on in the first place of those that `isolation` names in which `look` finds what is looked for: here, if this is root
/// with the right to mount, or for a chroot, without a look; in a user namespace with all IDs that this user may have; in one
/// with his own alone; and else here all the same, for a chroot or for who may do without, unless `isolation` names one place.
/// There must be one thread.
pub fn enter<T>(isolation: Isolation, look: &dyn Fn(Rung) -> Result<T>) -> Result<Side<T>> {
    let owner = (geteuid().as_raw(), getegid().as_raw());
    let mut passage = Passage { owner, ..Passage::default() };
    if !may_help(isolation) {
        arrive(passage);
        return Ok(Side::Inner(None));
    }
    let rungs: &[Rung] = match isolation {
        Isolation::Ids => &[Rung::Ids],
        Isolation::SingleId => &[Rung::SingleId],
        Isolation::Auto | Isolation::Chroot => &[Rung::Ids, Rung::SingleId],
    };
    for rung in rungs {
        match map(*rung).and_then(|map| entry::begin(&map, &|| look(*rung))) {
            Ok(Begun::Inner(found)) => {
                passage.entered = Some(*rung);
                arrive(passage);
                return Ok(Side::Inner(Some(found)));
            }
            Ok(Begun::Outer(child)) => return outer::accompany(child).map(Side::Outer),
            Err(refusal) => passage.refused.push(RungRefusal { rung: *rung, ..refusal }),
        }
    }
    if let (true, Some(refusal)) = (isolation != Isolation::Auto, passage.refused.first()) {
        let RungRefusal { rung, reason, hint } = refusal;
        let mut error = Error::new(ErrorKind::Io, format!("commands cannot be run with --isolation={rung}: {reason}"));
        error.hint = hint.clone();
        return Err(error);
    }
    arrive(passage);
    Ok(Side::Inner(None))
}

/// Returns the IDs of a namespace for `rung`.
fn map(rung: Rung) -> Result<NewMap, RungRefusal> {
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    let one = |outside| vec![IdRange { inside: 0, outside, count: 1 }];
    if rung == Rung::SingleId {
        return Ok(NewMap::Single(IdMap { users: one(user), groups: one(group) }));
    }
    let both = CapabilitySet::SETUID | CapabilitySet::SETGID;
    if user == 0 && capabilities(None).is_ok_and(|own| own.effective.contains(both)) {
        let own = IdMap::of_this_process();
        let IdMap { users, groups } =
            own.map_err(|error| RungRefusal::new(format!("cannot read /proc/self/uid_map: {error}")))?;
        let same = |range: IdRange| IdRange { outside: range.inside, ..range };
        let same = |ranges: Vec<IdRange>| ranges.into_iter().map(same).collect();
        return Ok(NewMap::Direct(IdMap { users: same(users), groups: same(groups) }));
    }
    let owner = getuid().as_raw();
    let users = subordinate::map(IdKind::Users, user, owner).map_err(|refusal| match user {
        0 => RungRefusal::new("this is root without CAP_SETUID or CAP_SETGID").with_hint(
            "give the container these capabilities, and CAP_SETFCAP, as docker does by default; or use another user there",
        ),
        _ => refusal,
    })?;
    Ok(NewMap::Subordinate(IdMap { users, groups: subordinate::map(IdKind::Groups, group, owner)? }))
}

/// Returns whether this process is root with the right to mount, of the machine or of a user namespace.
fn may_mount() -> bool {
    let may = capabilities(None).is_ok_and(|own| own.effective.contains(CapabilitySet::SYS_ADMIN));
    may && geteuid().is_root()
}
