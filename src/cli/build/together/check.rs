//! What builds that are made as one cannot differ in.

use std::collections::HashMap;

use super::{NamedRequest, Together};
use crate::cli::build::request::BuildOrder;
use crate::error::{Error, Result};
use crate::progress::{Event, Progress, WarningKind};

impl Together<'_> {
    /// Refuses builds that differ in what is the same for all layers.
    pub(super) fn check_alike(&self, orders: &[BuildOrder]) -> Result<()> {
        let Some((first, order)) = self.requests.first().zip(orders.first()) else { return Ok(()) };
        for (other, other_order) in self.requests.iter().zip(orders).skip(1) {
            let (one, two) = (&first.request, &other.request);
            let differing = [
                ("compressions", one.build.compression != two.build.compression),
                ("times of files", order.modified != other_order.modified),
                ("kinds of layers (--squash)", one.build.squash != two.build.squash),
            ];
            if let Some((what, _)) = differing.into_iter().find(|(_, differs)| *differs) {
                let message = format!("the targets {} and {} ask for different {what}", first.name, other.name);
                return Err(Error::usage(message).with_hint("build one of them by itself"));
            }
        }
        Ok(())
    }
}

/// Gives each name to the last target that has it, with a warning.
pub fn name_once(requests: &[NamedRequest<'_>], orders: &mut [BuildOrder], progress: Progress<'_>) {
    let mut holders: HashMap<String, usize> = HashMap::new();
    for (number, order) in orders.iter().enumerate() {
        for name in &order.names {
            let Some(earlier) = holders.insert(name.to_string(), number).filter(|earlier| *earlier != number) else {
                continue;
            };
            if let (Some(one), Some(two)) = (requests.get(earlier), requests.get(number)) {
                let (name, one, two) = (name.familiar(), &one.name, &two.name);
                let message = format!("{one} and {two} are both named {name}, which will be the image of {two}");
                progress(Event::Warning { kind: WarningKind::NameTwice, message: &message });
            }
        }
    }
    for (number, order) in orders.iter_mut().enumerate() {
        order.names.retain(|name| holders.get(&name.to_string()) == Some(&number));
    }
}
