//! Capabilities of processes. The kernel goes on to tell root of those that it has.

use rustix::io::Errno;

use super::asked::{Asked, Outcome};
use crate::run::supervisor::identity::{Identity, Rights};
use crate::run::supervisor::listener::Answer;

/// `_LINUX_CAPABILITY_VERSION_1`, which has one set of 32 where later ones have two.
const VERSION_1: u32 = 0x1998_0330;

impl Asked<'_> {
    pub(super) fn get_capabilities(&self) -> Outcome {
        let data = self.target.argument(1);
        let (parts, process) = self.header()?;
        if self.is_root() || data == 0 || process != 0 && !self.target.is_called(process)? {
            return Ok(Answer::Continue);
        }
        let Rights { effective, permitted, .. } = self.identity.rights;
        let part = |shift| [(effective >> shift) as u32, (permitted >> shift) as u32, 0];
        self.check()?;
        self.target.write_numbers(data, &[part(0), part(32)].as_flattened()[..parts * 3])?;
        Ok(Answer::Done(0))
    }

    pub(super) fn set_capabilities(&mut self) -> Outcome {
        // Nobody sets those of another.
        let (parts, _) = self.header()?;
        let mut wanted = self.target.read_numbers(self.target.argument(1), parts * 3)?;
        wanted.resize(6, 0);
        let set = |place: usize| u64::from(wanted[place]) | u64::from(wanted[place + 3]) << 32;
        let (effective, permitted, inheritable) = (set(0), set(1), set(2));
        let may = permitted & !self.identity.rights.permitted == 0 && effective & !permitted == 0;
        if self.is_root() && !may {
            // It says why.
            return Ok(Answer::Continue);
        }
        if !may || !self.is_root() && inheritable != 0 {
            return Err(Errno::PERM);
        }
        let rights = Rights { effective, permitted, ..self.identity.rights };
        let done = self.become_another(Identity { rights, ..self.identity.clone() })?;
        Ok(if self.is_root() { Answer::Continue } else { done })
    }

    /// `prctl` with `PR_SET_KEEPCAPS`.
    pub(super) fn keep_capabilities(&mut self) -> Outcome {
        let rights = Rights { are_kept: self.target.argument(1) == 1, ..self.identity.rights };
        self.become_another(Identity { rights, ..self.identity.clone() })?;
        Ok(Answer::Continue)
    }

    fn is_root(&self) -> bool {
        self.identity.user.effective == 0
    }

    /// Returns how many parts the sets have, and whose they are; 0 is the process itself.
    fn header(&self) -> Result<(usize, u32), Errno> {
        let header = self.target.read_numbers(self.target.argument(0), 2)?;
        let [version, process] = header[..] else { return Err(Errno::FAULT) };
        Ok((if version == VERSION_1 { 1 } else { 2 }, process))
    }
}
