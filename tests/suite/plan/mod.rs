//! What users write, as data: specs, flags, labels, modes and names.

mod base_spec;
mod join;
mod image_tables;
mod hcl;
mod label;
mod mention;
mod mode;
mod names;
mod reference;
mod spec;
mod spec_refusal;
