//! Users and groups of processes.

use rustix::io::Errno;

use super::asked::{Asked, Outcome};
use crate::run::linux::supervisor::calls::Whose;
use crate::run::linux::supervisor::identity::{Identity, Ids, MOST_GROUPS};
use crate::run::linux::supervisor::listener::Answer;

impl Asked<'_> {
    pub(super) fn get_ids(&self, whose: Whose) -> Outcome {
        let ids = self.identity.ids(whose);
        self.check()?;
        for (place, id) in [ids.real, ids.effective, ids.saved].into_iter().enumerate() {
            self.target.write_numbers(self.target.argument(place), &[id])?;
        }
        Ok(Answer::Done(0))
    }

    pub(super) fn get_groups(&self) -> Outcome {
        let groups = &self.identity.groups;
        let room = self.target.number(0).cast_signed();
        if room < 0 || room != 0 && (room as usize) < groups.len() {
            return Err(Errno::INVAL);
        }
        if room != 0 {
            self.check()?;
            self.target.write_numbers(self.target.argument(1), groups)?;
        }
        Ok(Answer::Done(groups.len() as i64))
    }

    pub(super) fn set_groups(&mut self) -> Outcome {
        let count = self.target.number(0) as usize;
        if !self.identity.may_set(Whose::Group) {
            return Err(Errno::PERM);
        }
        if count > MOST_GROUPS {
            return Err(Errno::INVAL);
        }
        let mut groups = self.target.read_numbers(self.target.argument(1), count)?;
        groups.sort_unstable();
        let groups = groups.into();
        self.become_another(Identity { groups, ..self.identity.clone() })
    }

    pub(super) fn set_id(&mut self, whose: Whose) -> Outcome {
        let (id, may) = (self.target.number(0), self.identity.may_set(whose));
        self.change(whose, |ids| ids.set(id, may))
    }

    pub(super) fn set_real_effective(&mut self, whose: Whose) -> Outcome {
        let (real, effective) = (self.target.number(0), self.target.number(1));
        let may = self.identity.may_set(whose);
        self.change(whose, |ids| ids.set_real_effective(real, effective, may))
    }

    pub(super) fn set_all(&mut self, whose: Whose) -> Outcome {
        let [real, effective, saved] = [0, 1, 2].map(|place| self.target.number(place));
        let may = self.identity.may_set(whose);
        self.change(whose, |ids| ids.set_all(real, effective, saved, may))
    }

    pub(super) fn set_file(&mut self, whose: Whose) -> Outcome {
        let old = self.identity.ids(whose).file;
        let (id, may) = (self.target.number(0), self.identity.may_set(whose));
        self.change(whose, |ids| Ok(ids.set_file(id, may)))?;
        Ok(Answer::Done(old.into()))
    }

    fn change(&mut self, whose: Whose, change: impl FnOnce(&Ids) -> Result<Ids, Errno>) -> Outcome {
        let ids = change(self.identity.ids(whose))?;
        self.become_another(self.identity.with_ids(whose, ids))
    }

    pub(super) fn become_another(&mut self, identity: Identity) -> Outcome {
        if identity != *self.identity {
            let number = self.identities.number(identity)?;
            self.check()?;
            self.identities.assign(self.target.thread, number)?;
        }
        Ok(Answer::Done(0))
    }
}
