//! Capabilities of processes. Those that the kernel knows of stay as they are: what a process gives up it is kept from here.

use rustix::io::Errno;

use super::asked::{Asked, Outcome};
use crate::run::linux::supervisor::identity::{Identity, Right, Rights};
use crate::run::linux::supervisor::listener::Answer;

/// `_LINUX_CAPABILITY_VERSION_1`, which has one set of 32 where later ones have two.
const VERSION_1: u32 = 0x1998_0330;
const VERSIONS: [u32; 3] = [VERSION_1, 0x2007_1026, 0x2008_0522];

impl Asked<'_> {
    pub(super) fn get_capabilities(&self) -> Outcome {
        let data = self.target.argument(1);
        let Some((parts, process)) = self.header()? else { return Ok(Answer::Continue) };
        if data == 0 || process != 0 && !self.target.is_called(process)? {
            return Ok(Answer::Continue);
        }
        let Rights { effective, permitted, inheritable, .. } = self.identity.rights;
        let part = |shift| [effective, permitted, inheritable].map(|set| (set >> shift) as u32);
        self.check()?;
        self.target.write_numbers(data, &[part(0), part(32)].as_flattened()[..parts * 3])?;
        Ok(Answer::Done(0))
    }

    pub(super) fn set_capabilities(&mut self) -> Outcome {
        // Nobody sets those of another.
        let Some((parts, process)) = self.header()? else { return Ok(Answer::Continue) };
        if process != 0 && !self.target.is_called(process)? {
            return Err(Errno::PERM);
        }
        let mut wanted = self.target.read_numbers(self.target.argument(1), parts * 3)?;
        wanted.resize(6, 0);
        // Of what the kernel does not know it takes no notice.
        let set = |place: usize| (u64::from(wanted[place]) | u64::from(wanted[place + 3]) << 32) & ALL;
        let rights = self.identity.rights.set(set(0), set(1), set(2))?;
        self.become_another(Identity { rights, ..self.identity.clone() })
    }

    pub(super) fn control_capabilities(&mut self) -> Outcome {
        let rights = self.identity.rights;
        let argument = self.target.argument(1);
        let (rights, told) = match self.target.number(0).cast_signed() {
            libc::PR_SET_KEEPCAPS if argument <= 1 => (Rights { are_kept: argument == 1, ..rights }, 0),
            libc::PR_GET_KEEPCAPS => (rights, rights.are_kept.into()),
            libc::PR_CAPBSET_READ => (rights, (rights.bound & one(argument)? != 0).into()),
            libc::PR_CAPBSET_DROP if !self.identity.has(Right::SetCapabilities) => return Err(Errno::PERM),
            libc::PR_CAPBSET_DROP => (Rights { bound: rights.bound & !one(argument)?, ..rights }, 0),
            libc::PR_CAP_AMBIENT => ambient(rights, argument, self.target.argument(2))?,
            _ => return Err(Errno::INVAL),
        };
        self.become_another(Identity { rights, ..self.identity.clone() })?;
        Ok(Answer::Done(told))
    }

    /// Returns how many parts the sets have, and whose they are; 0 is the process itself. None of a version that the kernel
    /// is to tell of.
    fn header(&self) -> Result<Option<(usize, u32)>, Errno> {
        let header = self.target.read_numbers(self.target.argument(0), 2)?;
        let [version, process] = header[..] else { return Err(Errno::FAULT) };
        let parts = if version == VERSION_1 { 1 } else { 2 };
        Ok(VERSIONS.contains(&version).then_some((parts, process)))
    }
}

/// The last capability that there is, CAP_CHECKPOINT_RESTORE.
const LAST: u64 = 40;
const ALL: u64 = (1 << (LAST + 1)) - 1;

fn one(number: u64) -> Result<u64, Errno> {
    if number <= LAST { Ok(1 << number) } else { Err(Errno::INVAL) }
}

fn ambient(rights: Rights, request: u64, number: u64) -> Result<(Rights, i64), Errno> {
    let ambient = match i32::try_from(request).map_err(|_| Errno::INVAL)? {
        libc::PR_CAP_AMBIENT_CLEAR_ALL => 0,
        libc::PR_CAP_AMBIENT_IS_SET => return Ok((rights, (rights.ambient & one(number)? != 0).into())),
        libc::PR_CAP_AMBIENT_LOWER => rights.ambient & !one(number)?,
        libc::PR_CAP_AMBIENT_RAISE if rights.permitted & rights.inheritable & one(number)? == 0 => {
            return Err(Errno::PERM);
        }
        libc::PR_CAP_AMBIENT_RAISE => rights.ambient | one(number)?,
        _ => return Err(Errno::INVAL),
    };
    Ok((Rights { ambient, ..rights }, 0))
}
