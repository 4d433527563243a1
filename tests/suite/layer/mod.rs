//! The layer engine: what it writes, what it reads and what it unpacks.

mod change;
mod change_model;
mod estargz;
mod estargz_readers;
mod layer_change;
mod layer_header;
mod overlay;
mod overlay_model;
mod standing;
mod unpack;
mod unpack_bombs;
mod unpack_contents;
mod unpack_hostile;
mod unpack_once;
mod unpack_pieces;
mod unpack_refusal;
mod walk;
mod whiteout;
mod write;
mod writer;
mod zstd;
