//! The file tree: what a file system holds, by headers alone, and what may be done to it.
//!
//! - `entry`, `time`, `content`, `spool`: one object, and where its content lies;
//! - `files`: a file system of them, `file_name`: its names; `change`: what makes one out of another;
//! - `disk`: what lies on this machine, as entries; `ignore`, `pattern`, `path`, `mode`: the languages in which users say what
//!   of it they mean, where to and how;
//! - `edit`, `copy`, `lay`, `owner`: what steps do to a file system; `id_map`: which owners files can have here;
//! - `limits`: how much all of that may be.

mod change;
mod content;
mod copy;
mod disk;
mod edit;
mod entry;
mod file_name;
mod files;
mod id_map;
mod ignore;
mod lay;
mod limits;
mod mode;
pub mod owner;
pub mod path;
pub(crate) mod pattern;
mod spool;
mod time;

pub use change::{Change, diff};
pub use content::{Content, ContentReader, DiskFile, Identity};
pub use copy::{Copier, Matched, Pivot, has_wildcard, literal_start, matched, not_there};
pub use disk::real_path::{find_real, name_of, open_file, open_real, real_within};
pub use disk::{
    LeftOut, Reason, belongs_to_content, find_xattrs, inspect, link_names, read_xattr, read_xattrs, walk, walk_all,
    walk_special,
};
pub use edit::Edit;
pub use entry::{Attributes, Entry, Kind, newest};
pub use file_name::FileName;
pub use files::{Files, Node, Object};
pub use id_map::{IdMap, IdRange, NOBODY};
pub use ignore::{Above, Ignore};
pub use lay::{Role, lay_over};
pub use limits::{BOMB, Budget, ENTRIES, Limits, TEXT, Whole};
pub use mode::Mode;
pub use path::{joined, parent};
pub use pattern::Pattern;
pub(crate) use pattern::clean;
pub use spool::Spool;
pub use time::Time;
