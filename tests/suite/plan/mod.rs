//! What users write, as data: specs, flags, labels, modes, names and tags.

mod base_spec;
mod label;
mod mode;
mod names;
mod reference;
mod spec;
mod spec_refusal;
mod tag;
