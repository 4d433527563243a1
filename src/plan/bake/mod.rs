//! Bake files as buildx reads them: in HCL, in JSON, and compose files; and the tables of images of an `ocibake.toml`.
//!
//! [`BakeDefinition::read`] reads files into targets and groups: variables get their values, matrices become targets, and later
//! files are laid over earlier ones. [`BakeDefinition::resolve`] makes of these what is to be built: with what targets inherit
//! and what the command line changes, and with the targets that they take from. Nothing here is built.

mod allowance;
mod bake_file;
mod block;
mod compose;
mod credential;
mod decode;
mod defined_block;
mod definition;
mod entry;
mod evaluation;
mod files;
mod images;
mod outputs;
mod override_set;
mod policy;
mod relative;
mod resolve;
mod select;
mod settle;
mod target;
mod value;
mod variable;
mod variable_block;

pub use allowance::{Allowances, AllowedDevices};
pub use bake_file::{BakeFile, BakeReader, BuiltIn, USUAL_FILES};
pub use credential::{AgentEntry, SecretEntry};
pub use definition::BakeDefinition;
pub use entry::{AttestEntry, CacheEntry, OutputEntry};
pub use policy::{PolicyEntry, PolicyFile, ResourceSettings};
pub use resolve::{BakeRequest, ResolvedBake};
pub use select::target_name;
pub use settle::{HERE, is_remote};
pub use target::{BakeGroup, BakeTarget};
pub use variable_block::ListedVariable;
