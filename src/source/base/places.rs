use std::sync::OnceLock;

/// A list that only grows, also while it is shared: what is in it is there as long as the list.
pub(super) struct Places<T>(OnceLock<Box<Link<T>>>);

struct Link<T> {
    item: T,
    next: Places<T>,
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Places(OnceLock::new())
    }
}

impl<T> Places<T> {
    pub fn push(&self, item: T) -> &T {
        let mut link = Box::new(Link { item, next: Places::default() });
        let mut end = self;
        loop {
            match end.0.set(link) {
                Ok(()) => return &end.0.get().expect("it was set just now").item,
                Err(back) => link = back,
            }
            end = &end.0.get().expect("it could not be set").next;
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let mut at = self;
        std::iter::from_fn(move || {
            let link = at.0.get()?;
            at = &link.next;
            Some(&link.item)
        })
    }
}
