//! Capabilities of processes that are taken for others than root. The kernel goes on to tell root of those that it has.

use rustix::io::Errno;

use super::{Asked, Outcome};
use crate::run::supervisor::listener::Answer;

/// `_LINUX_CAPABILITY_VERSION_1`, which has one set of 32 where later ones have two.
const VERSION_1: u32 = 0x1998_0330;

impl Asked<'_> {
    /// Who is not root has none.
    pub(super) fn get_capabilities(&self) -> Outcome {
        let data = self.target.argument(1);
        let own = self.capabilities_of_itself()?;
        let Some(sets) = own.filter(|_| data != 0) else { return Ok(Answer::Continue) };
        self.check()?;
        self.target.write_numbers(data, &vec![0; sets * 3])?;
        Ok(Answer::Done(0))
    }

    /// And gets none.
    pub(super) fn set_capabilities(&self) -> Outcome {
        let Some(sets) = self.capabilities_of_itself()? else { return Ok(Answer::Continue) };
        let wanted = self.target.read_numbers(self.target.argument(1), sets * 3)?;
        if wanted.iter().all(|set| *set == 0) { Ok(Answer::Done(0)) } else { Err(Errno::PERM) }
    }

    /// Returns how many parts the sets of the process have that is asked about; none if the kernel is to say.
    fn capabilities_of_itself(&self) -> Result<Option<usize>, Errno> {
        if self.identity.is_root() {
            return Ok(None);
        }
        let header = self.target.read_numbers(self.target.argument(0), 2)?;
        let [version, process] = header[..] else { return Err(Errno::FAULT) };
        Ok((process == 0).then_some(if version == VERSION_1 { 1 } else { 2 }))
    }
}
