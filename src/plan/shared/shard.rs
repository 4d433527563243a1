//! The share of one machine.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use crate::error::{Error, Result};

/// The most shards that a plan is packed into.
const MOST_SHARDS: usize = 100_000;

/// One share of so many, written `3/8`: the first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    number: usize,
    all: usize,
}

impl Shard {
    /// Returns the share of that number, counted from 1. Fails where there is none.
    pub fn new(number: usize, all: usize) -> Result<Self> {
        if all == 0 || all > MOST_SHARDS {
            return Err(Error::usage(format!("there are {all} shards, but there can only be 1 to {MOST_SHARDS}")));
        }
        if number == 0 || number > all {
            return Err(Error::usage(format!("there is no shard {number} of {all}"))
                .with_hint(format!("the first is 1/{all}, and the last {all}/{all}")));
        }
        Ok(Shard { number, all })
    }

    /// Returns the places of its nodes among so many. Shares differ by one node at most, and neighbours stay together.
    pub fn nodes(&self, nodes: usize) -> Range<usize> {
        let begin = |number: usize| number * nodes / self.all;
        begin(self.number - 1)..begin(self.number)
    }

    /// Returns the one of `all` shares that has the node at `place` among so many.
    pub fn of_node(place: usize, nodes: usize, all: usize) -> Option<Self> {
        (1..=all).map(|number| Shard { number, all }).find(|shard| shard.nodes(nodes).contains(&place))
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers = text.split_once('/').and_then(|(number, all)| Some((number.parse().ok()?, all.parse().ok()?)));
        let (number, all) = numbers
            .ok_or_else(|| Error::usage(format!("`{text}` is not a shard")).with_hint("write it as I/N, as in 3/8"))?;
        Shard::new(number, all)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_is_in_one_shard_and_shares_are_equal() {
        for (nodes, all) in [(80, 8), (12, 3), (7, 3), (2, 5), (1, 1), (1000, 256)] {
            let shares: Vec<Range<usize>> =
                (1..=all).map(|number| Shard::new(number, all).unwrap().nodes(nodes)).collect();
            let places: Vec<usize> = shares.iter().cloned().flatten().collect();
            assert_eq!(places, (0..nodes).collect::<Vec<_>>(), "{nodes} nodes of {all} shards");
            let (least, most) = (shares.iter().map(Range::len).min(), shares.iter().map(Range::len).max());
            assert!(most.unwrap() - least.unwrap() <= 1);
            for place in [0, nodes / 2, nodes - 1] {
                assert!(Shard::of_node(place, nodes, all).unwrap().nodes(nodes).contains(&place));
            }
        }
    }

    #[test]
    fn a_shard_that_there_is_not_is_refused() {
        assert_eq!("3/8".parse::<Shard>().unwrap().to_string(), "3/8");
        for wrong in ["9/8", "0/8", "1/0", "8", "a/b", "-1/8", "1/8/8", "1/1000000000", ""] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
