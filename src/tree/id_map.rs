//! The owners that files can have here: the IDs that the user namespace of this process has.

use std::io;

use crate::kernel::id_maps;

/// What a user namespace makes of the IDs of the one that it was made in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMap {
    /// The ranges of user IDs.
    pub users: Vec<IdRange>,
    /// The ranges of group IDs.
    pub groups: Vec<IdRange>,
}

/// What all users and groups are in a user namespace that have no ID there (the kernel's `overflowuid`).
pub const NOBODY: u32 = 65534;

/// IDs that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    /// The first as it is known in the namespace.
    pub inside: u32,
    /// The first as it is known where the namespace was made.
    pub outside: u32,
    /// How many there are.
    pub count: u32,
}

impl IdMap {
    /// Returns that of this process. Fails where the system does not tell it.
    pub fn of_this_process() -> io::Result<IdMap> {
        let [users, groups] = id_maps()?;
        Ok(IdMap { users: ranges(&users)?, groups: ranges(&groups)? })
    }

    /// Returns whether there is but one user, or one group.
    pub fn is_single(&self) -> bool {
        self.counts().contains(&1)
    }

    /// Returns whether files can have every owner that there is.
    pub fn is_whole(&self) -> bool {
        self.counts() == [u64::from(u32::MAX); 2]
    }

    /// Returns how many users and how many groups there are.
    pub fn counts(&self) -> [u64; 2] {
        [count(&self.users), count(&self.groups)]
    }

    /// Returns what the user and the group of a file here are where the namespace was made; none for one that has no ID
    /// here, and for [`NOBODY`], which may be one of these.
    pub fn outside(&self, user: u32, group: u32) -> (Option<u32>, Option<u32>) {
        let is_whole = self.is_whole();
        let outside = |ranges: &[IdRange], id: u32| {
            if id == NOBODY && !is_whole {
                return None;
            }
            ranges.iter().find_map(|range| {
                let number = id.checked_sub(range.inside).filter(|number| *number < range.count)?;
                range.outside.checked_add(number)
            })
        };
        (outside(&self.users, user), outside(&self.groups, group))
    }

    /// Returns it in words that are those of no other.
    pub fn words(&self) -> String {
        let words = |ranges: &[IdRange]| {
            let words: Vec<String> = ranges.iter().map(IdRange::words).collect();
            words.join(",")
        };
        format!("users {} groups {}", words(&self.users), words(&self.groups))
    }
}

impl IdRange {
    /// Returns it as the kernel takes it.
    pub fn words(&self) -> String {
        format!("{} {} {}", self.inside, self.outside, self.count)
    }
}

fn count(ranges: &[IdRange]) -> u64 {
    ranges.iter().map(|range| u64::from(range.count)).sum()
}

fn ranges(text: &str) -> io::Result<Vec<IdRange>> {
    let line = |line: &str| {
        let mut numbers = line.split_whitespace().map(str::parse);
        let mut number = || numbers.next()?.ok();
        Some(IdRange { inside: number()?, outside: number()?, count: number()? })
    };
    let ranges: Option<Vec<IdRange>> = text.lines().map(line).collect();
    ranges.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is not as the kernel writes it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_read_as_the_kernel_writes_them() {
        let all = ranges("         0          0 4294967295\n").unwrap();
        assert_eq!(all, [IdRange { inside: 0, outside: 0, count: u32::MAX }]);
        let map = |users: &[IdRange], groups: &[IdRange]| IdMap { users: users.to_vec(), groups: groups.to_vec() };
        assert!(map(&all, &all).is_whole() && !map(&all, &all).is_single());
        let few = ranges("         0       1000          1\n         1     100000      65536\n").unwrap();
        assert_eq!(count(&few), 65537);
        assert!(!map(&few, &all).is_whole() && !map(&few, &few).is_single());
        assert_eq!(map(&few, &all).words(), "users 0 1000 1,1 100000 65536 groups 0 0 4294967295");
        let both = map(&few, &few);
        assert_eq!(both.outside(0, 65536), (Some(1000), Some(165_535)));
        assert_eq!(both.outside(65537, u32::MAX), (None, None));
        assert_eq!(both.outside(NOBODY, NOBODY), (None, None));
        assert_eq!(map(&all, &all).outside(NOBODY, 5), (Some(NOBODY), Some(5)));
        let one = ranges("0 1000 1\n").unwrap();
        assert!(map(&one, &few).is_single() && map(&few, &one).is_single());
        assert!(ranges("0 1000\n").is_err() && ranges("a b c\n").is_err());
        assert!(IdMap::of_this_process().is_ok());
    }
}
