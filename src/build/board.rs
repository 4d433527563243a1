//! Tasks that wait for each other.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::time::Instant;

/// Which tasks are asked for, which may be begun, and which are done. A task that nobody asks for is never begun.
pub struct Board<T> {
    /// Those that are asked for and not done, with how many others each waits for.
    open: HashMap<T, usize>,
    dependents: HashMap<T, Vec<T>>,
    /// Since when each may be begun.
    ready: BTreeMap<T, Instant>,
    done: HashSet<T>,
}

impl<T> Default for Board<T> {
    fn default() -> Self {
        Board { open: HashMap::new(), dependents: HashMap::new(), ready: BTreeMap::new(), done: HashSet::new() }
    }
}

impl<T: Copy + Ord + Hash> Board<T> {
    /// Asks for `task`, and for all that it waits for: `needs` says what that is, and never leads back to a task.
    pub fn ask(&mut self, task: T, needs: impl Fn(T) -> Vec<T>) {
        let mut left = vec![task];
        while let Some(task) = left.pop() {
            if self.is_asked(task) {
                continue;
            }
            let needed: Vec<T> = needs(task).into_iter().filter(|need| !self.done.contains(need)).collect();
            self.open.insert(task, needed.len());
            if needed.is_empty() {
                self.ready.insert(task, Instant::now());
            }
            for need in needed {
                self.dependents.entry(need).or_default().push(task);
                left.push(need);
            }
        }
    }

    /// Returns the first task that may be begun and `is_wanted`, and since when it might; it is under way from now on.
    pub fn begin(&mut self, is_wanted: impl Fn(&T) -> bool) -> Option<(T, Instant)> {
        let next = self.ready.keys().copied().find(is_wanted)?;
        self.ready.remove_entry(&next)
    }

    /// Notes that `task` is done: what waits for it alone may be begun.
    pub fn finish(&mut self, task: T) {
        self.open.remove(&task);
        self.done.insert(task);
        for dependent in self.dependents.remove(&task).unwrap_or_default() {
            if let Some(waits_for) = self.open.get_mut(&dependent) {
                *waits_for -= 1;
                if *waits_for == 0 {
                    self.ready.insert(dependent, Instant::now());
                }
            }
        }
    }

    /// Puts back `task`, which is under way: it is to be begun again once all that it waits for is done.
    pub fn postpone(&mut self, task: T, needs: impl Fn(T) -> Vec<T>) {
        self.open.remove(&task);
        self.ask(task, needs);
    }

    pub fn is_asked(&self, task: T) -> bool {
        self.open.contains_key(&task) || self.done.contains(&task)
    }

    pub fn is_done(&self, task: T) -> bool {
        self.done.contains(&task)
    }

    /// Returns whether all that was asked for is done.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(board: &mut Board<i32>, is_wanted: impl Fn(&i32) -> bool) -> Option<i32> {
        board.begin(is_wanted).map(|(task, _)| task)
    }

    #[test]
    fn a_task_is_begun_once_all_that_it_needs_is_done() {
        // 9 needs 3 and 5, 5 needs 3 twice, 3 needs 1, and nobody asks for 7.
        let needs = |task| match task {
            9 => vec![3, 5],
            5 => vec![3, 3],
            3 | 7 => vec![1],
            _ => vec![],
        };
        let mut board = Board::default();
        board.ask(9, needs);
        for expected in [1, 3, 5, 9] {
            assert_eq!(begin(&mut board, |task| *task != expected), None, "before {expected}");
            assert_eq!(begin(&mut board, |_| true), Some(expected));
            assert_eq!(begin(&mut board, |_| true), None, "it is under way");
            assert!(!board.is_done(expected) && !board.is_empty());
            board.finish(expected);
            assert!(board.is_done(expected));
        }
        assert!(board.is_empty() && !board.is_asked(7));
        board.ask(7, needs);
        assert_eq!(begin(&mut board, |_| true), Some(7), "what it needs is done");
    }

    #[test]
    fn a_task_that_is_put_back_waits_for_what_it_lacks_and_others_wait_for_it() {
        let needs = |task| if task == 9 { vec![5] } else { Vec::new() };
        let mut board = Board::default();
        board.ask(9, needs);
        assert_eq!(begin(&mut board, |_| true), Some(5));
        board.postpone(5, |task| if task == 5 { vec![3] } else { Vec::new() });
        assert_eq!(begin(&mut board, |_| true), Some(3));
        assert_eq!(begin(&mut board, |_| true), None);
        board.finish(3);
        for expected in [5, 9] {
            assert_eq!(begin(&mut board, |_| true), Some(expected));
            board.finish(expected);
        }
        assert!(board.is_empty());
    }

    #[test]
    fn the_first_of_those_that_may_be_begun_comes_first() {
        let mut board = Board::default();
        [4, 2, 6].into_iter().for_each(|task| board.ask(task, |_| Vec::new()));
        assert_eq!(begin(&mut board, |task| *task > 2), Some(4));
        assert_eq!(
            {
                let mut next = || begin(&mut board, |_| true);
                (next(), next(), next())
            },
            (Some(2), Some(6), None)
        );
    }
}
