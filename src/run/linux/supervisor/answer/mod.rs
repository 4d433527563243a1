//! The answers, a file for each kind of call.

mod access;
mod acl;
mod asked;
mod attributes;
mod capabilities;
mod change;
mod create;
mod execute;
mod ids;
mod others;
mod ownership;
mod reach;
mod status;

use rustix::fs::{AtFlags, OFlags};
use rustix::io::Errno;

use super::calls::{Call, Times};
use super::listener::Answer;
use super::way::Last;
use asked::{HERE, Outcome};
use create::Making;
use status::Form;

pub(super) use asked::Asked;

impl Asked<'_> {
    pub(super) fn answer(mut self, call: Call) -> Outcome {
        let target = self.target;
        let number = |place| target.number(place);
        let flags = |place| AtFlags::from_bits_retain(number(place));
        match call {
            Call::Stat => self.status(HERE, Some(0), AtFlags::empty(), Form::Plain, 1),
            Call::Lstat => self.status(HERE, Some(0), AtFlags::SYMLINK_NOFOLLOW, Form::Plain, 1),
            Call::Fstat => self.status(target.base(0), None, AtFlags::EMPTY_PATH, Form::Plain, 1),
            Call::Fstatat => self.status(target.base(0), Some(1), flags(3), Form::Plain, 2),
            Call::Statx => self.status(target.base(0), Some(1), flags(2), Form::Extended(number(3)), 4),
            Call::Chown => self.chown(HERE, Some(0), AtFlags::empty(), 1),
            Call::Lchown => self.chown(HERE, Some(0), AtFlags::SYMLINK_NOFOLLOW, 1),
            Call::Fchown => self.chown(target.base(0), None, AtFlags::EMPTY_PATH, 1),
            Call::Fchownat => self.chown(target.base(0), Some(1), flags(4), 2),
            Call::GetId(whose, which) => Ok(Answer::Done(self.identity.ids(whose).get(which).into())),
            Call::GetIds(whose) => self.get_ids(whose),
            Call::GetGroups => self.get_groups(),
            Call::SetId(whose) => self.set_id(whose),
            Call::SetRealEffective(whose) => self.set_real_effective(whose),
            Call::SetAll(whose) => self.set_all(whose),
            Call::SetFile(whose) => self.set_file(whose),
            Call::SetGroups => self.set_groups(),
            Call::CapGet => self.get_capabilities(),
            Call::CapSet => self.set_capabilities(),
            Call::ControlCapabilities => self.control_capabilities(),
            Call::Open => self.open(HERE, 0, OFlags::from_bits_retain(number(1)), number(2)),
            Call::Openat => self.open(target.base(0), 1, OFlags::from_bits_retain(number(2)), number(3)),
            Call::Openat2 => self.open_how(),
            Call::Creat => self.open(HERE, 0, OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC, number(1)),
            Call::Mkdir => self.make(HERE, 0, Making::Directory { mode: number(1) }),
            Call::Mkdirat => self.make(target.base(0), 1, Making::Directory { mode: number(2) }),
            Call::Mknod => self.make(HERE, 0, Making::Node { mode: number(1), device: number(2) }),
            Call::Mknodat => self.make(target.base(0), 1, Making::Node { mode: number(2), device: number(3) }),
            Call::Symlink => self.make(HERE, 1, Making::Link { target: 0 }),
            Call::Symlinkat => self.make(target.base(1), 2, Making::Link { target: 0 }),
            Call::Access => self.access(HERE, 0, number(1), AtFlags::empty()),
            Call::Faccessat => self.access(target.base(0), 1, number(2), AtFlags::empty()),
            Call::Faccessat2 => self.access(target.base(0), 1, number(2), flags(3)),
            Call::SetXattr(at) => self.set_attribute(at),
            Call::GetXattr(at) => self.get_attribute(at),
            Call::ListXattr(at) => self.list_attributes(at),
            Call::RemoveXattr(at) => self.remove_attribute(at),
            Call::Execve => self.execute(HERE, 0, AtFlags::empty()),
            Call::Execveat => self.execute(target.base(0), 1, flags(4)),
            Call::Chroot => self.change_root(),
            Call::Signal(signal) => self.signal(signal.into()),
            Call::SignalOpen => self.signal_open(),
            Call::Trace => self.look_into(1),
            Call::Memory => self.look_into(0),
            Call::SetPriority => self.set_priority(),
            Call::Limit => self.limit(),
            call => self.keep(call),
        }
    }

    /// Those of which [`Call::only_keeps`] tells.
    fn keep(&self, call: Call) -> Outcome {
        let target = self.target;
        let number = |place| target.number(place);
        let flags = |place| AtFlags::from_bits_retain(number(place));
        match call {
            Call::Chdir => self.change_directory(),
            Call::Fchdir => self.change_directory_to_open(),
            Call::Chmod => self.change_mode(HERE, Some(0), AtFlags::empty(), 1),
            Call::Fchmod => self.change_mode(target.base(0), None, AtFlags::empty(), 1),
            Call::Fchmodat => self.change_mode(target.base(0), Some(1), AtFlags::empty(), 2),
            Call::Fchmodat2 => self.change_mode(target.base(0), Some(1), flags(3), 2),
            Call::Link => self.link((HERE, 0), (HERE, 1), AtFlags::empty()),
            Call::Linkat => self.link((target.base(0), 1), (target.base(2), 3), flags(4)),
            Call::Unlink => self.remove(HERE, 0, false),
            Call::Rmdir => self.remove(HERE, 0, true),
            Call::Unlinkat => self.remove(target.base(0), 1, flags(2).contains(AtFlags::REMOVEDIR)),
            Call::Rename => self.rename((HERE, 0), (HERE, 1), 0),
            Call::Renameat => self.rename((target.base(0), 1), (target.base(2), 3), 0),
            Call::Renameat2 => self.rename((target.base(0), 1), (target.base(2), 3), number(4)),
            Call::Truncate => self.truncate(),
            Call::SetTimes => self.change_times(HERE, 0, AtFlags::empty(), Times::Any),
            Call::Futimesat => self.change_times(target.base(0), 1, AtFlags::empty(), Times::Any),
            Call::Utimensat(form) => self.change_times(target.base(0), 1, flags(3), form),
            Call::Readlink => self.go(HERE, 0, Last::Itself),
            Call::Readlinkat => self.go(target.base(0), 1, Last::Itself),
            Call::Statfs => self.go(HERE, 0, Last::Followed),
            Call::NameToHandle => self.go(target.base(0), 1, Last::Itself),
            Call::Watch => self.watch(),
            _ => Err(Errno::NOSYS),
        }
    }
}
