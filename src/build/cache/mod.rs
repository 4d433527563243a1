//! Layers that need not be made again, because everything they were made of still looks the same.
//!
//! There are two looks. A step is known by what it is told to do, by what is below it, and by what that which it takes from
//! looks like: if nothing of it has changed, the layer it led to, or that it led to none, is known without a look at any
//! file system. Else its entries are put together, and may still be those of a known layer.
//!
//! A command, which may take long, has a third look: at the content of what it works on, whatever that looks like. What comes of
//! it is noted by the first look, so that the next command on the same files need not read them.
//!
//! And a step has a key by which all machines know it: that of what is below, and the content of all that it takes. By this
//! key other machines find what it came to, where they share a [`StepCache`](crate::source::step_cache::StepCache).
//!
//! What a layer is made of is summed up without a look into the files: all that an entry says, and for a file on disk its
//! identity (device, inode, size, times) in place of its content and its extended attributes. The sum and the layer it
//! led to are kept in the local store. A file that was touched so shortly before it was read that a later change might
//! leave its times as they are is racy, as git calls it, and a layer with such a file is not remembered. What a program
//! still writes to through a mapping changes without a sign for as long as the system likes; no look at times can tell.

mod content;
mod key;
mod records;

pub use content::{content_of, difference, known_difference};
pub use key::{By, Key, Mark, Sum, are_settled};
pub use records::{earlier, is_certain, marker, note, place};
