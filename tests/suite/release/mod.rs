//! Tags: which ones a push sets, in which order, and back again.

mod ci;
mod push;
mod push_again;
mod push_names;
mod ratchet;
mod resolve;
mod rollback;
mod tag_plan;
mod tags;
mod versions;
