//! The images of a place, given out as a registry gives them (distribution-spec 1.1): to be pulled, and nothing else.
//!
//! ```text
//!  layout, archive ─┐
//!                   ├─► Stock ──► Offer: names ──► answer ──► hyper
//!  local store ─────┘     └─────► blobs, read by threads ──────┘
//! ```
//!
//! What is always true:
//!
//! - What is given out is reached by an image of the repository that it is asked of; a path of this machine is never made of a
//!   request.
//! - A manifest is verified before it is given out, and of a blob the last piece is held back until all of it is. Of a blob that was
//!   read before each piece is verified.
//! - Memory grows neither with the size of a blob nor with the number of those who ask: connections, answers and all that is read
//!   of a request have their bounds, and nobody is waited for without end.
//! - The local store is open only while something is read from it: what is pruned meanwhile is not found, that is all.

mod answer;
mod asked;
mod exchange;
mod listen;
mod offer;
mod paced;
mod pieces;
mod range;
mod read;
mod refusal;
mod stock;

pub use exchange::{AnsweredRequest, RequestListener};
pub use listen::{Listening, ServeLimits};
pub use offer::{Offer, OfferedImage};
pub use stock::{Snapshot, Stock};
