//! The layer engine: what it writes, what it reads and what it unpacks.

mod change;
mod estargz;
mod layer_change;
mod layer_header;
mod unpack;
mod walk;
mod write;
mod zstd;
