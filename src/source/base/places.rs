//! A list that grows while it is shared.

use std::sync::OnceLock;

/// A list that only grows, also while it is shared: what is in it is there as long as the list.
pub(super) struct GrowingList<T>(OnceLock<Box<ListLink<T>>>);

struct ListLink<T> {
    item: T,
    next: GrowingList<T>,
}

impl<T> Default for GrowingList<T> {
    fn default() -> Self {
        GrowingList(OnceLock::new())
    }
}

impl<T> GrowingList<T> {
    /// Adds `item` at the end, and returns it where it stays.
    pub fn push(&self, item: T) -> &T {
        let mut link = Box::new(ListLink { item, next: GrowingList::default() });
        let mut end = self;
        loop {
            match end.0.set(link) {
                Ok(()) => return &end.0.get().expect("it was set just now").item,
                Err(back) => link = back,
            }
            end = &end.0.get().expect("it could not be set").next;
        }
    }

    /// Returns the items in their order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let mut at = self;
        std::iter::from_fn(move || {
            let link = at.0.get()?;
            at = &link.next;
            Some(&link.item)
        })
    }
}
