//! The files of an image, as the headers of its layers tell of them.

use rayon::ThreadPoolBuilder;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::image::Existing;
use crate::layer;
use crate::plan::label::rfc3339;
use crate::store::Store;
use crate::tree::{Files, Kind, Limits, Node, Object};

/// Returns the files of `image`, whose layers `store` opens. All of these are read to their ends, so that their digests hold,
/// and nothing is unpacked: what is kept are headers. An image with more of them than any real one is refused.
pub fn files(store: &dyn Store, image: &Existing) -> Result<Files> {
    let layers = image.layers()?;
    let pool = ThreadPoolBuilder::new().num_threads(layer::threads(0)).build();
    let pool = pool.map_err(|source| Error::input("cannot start the threads that read layers").with_source(source))?;
    layer::read(&layers, &|layer| store.open(layer), Limits::of(&layers, None), &pool)
}

/// One file-system object of an image. Serialises to what `ocibake ls --json` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileReport {
    /// The path from the root, with a leading slash; what is no UTF-8 in it is replaced.
    pub path: String,
    /// The kind of object, in a word.
    pub kind: &'static str,
    /// Permissions, set-user-ID, set-group-ID and the sticky bit, in octal digits.
    pub mode: String,
    /// The user ID of the owner.
    pub user: u32,
    /// The group ID of the owner.
    pub group: u32,
    /// The size of the content in bytes; 0 for all but files.
    pub size: u64,
    /// The time of the last change, in UTC and full seconds; empty for one that no calendar has.
    pub modified: String,
    /// The target of a symbolic link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Major and minor number of a device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<(u32, u32)>,
}

impl FileReport {
    /// Returns what there is to say of `node` at `path`.
    pub fn of(path: &[u8], node: &Node) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (kind, target, device) = match node.object() {
            Object::Directory(_) | Object::Other(Kind::Directory) => ("directory", None, None),
            Object::Other(Kind::File(_) | Kind::HardLink { .. }) => ("file", None, None),
            Object::Other(Kind::Symlink { target }) => ("symlink", Some(text(target)), None),
            Object::Other(Kind::Fifo) => ("fifo", None, None),
            Object::Other(Kind::CharacterDevice { major, minor }) => ("character-device", None, Some((*major, *minor))),
            Object::Other(Kind::BlockDevice { major, minor }) => ("block-device", None, Some((*major, *minor))),
        };
        let attributes = node.attributes();
        FileReport {
            path: format!("/{}", String::from_utf8_lossy(path)),
            kind,
            mode: format!("{:04o}", attributes.mode),
            user: attributes.user,
            group: attributes.group,
            size: node.content_size(),
            modified: rfc3339(attributes.modified.seconds).unwrap_or_default(),
            target,
            device,
        }
    }
}

/// Returns kind and permissions as `ls -l` shows them, such as `drwxr-xr-x`.
pub fn permissions(node: &Node) -> String {
    let kind = match node.object() {
        Object::Directory(_) | Object::Other(Kind::Directory) => 'd',
        Object::Other(Kind::File(_) | Kind::HardLink { .. }) => '-',
        Object::Other(Kind::Symlink { .. }) => 'l',
        Object::Other(Kind::Fifo) => 'p',
        Object::Other(Kind::CharacterDevice { .. }) => 'c',
        Object::Other(Kind::BlockDevice { .. }) => 'b',
    };
    let mode = node.attributes().mode;
    let has = |bits: u32| mode & bits == bits;
    let mut text = String::from(kind);
    // The bit that changes what the third letter of each class is, and the letter.
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        text.push(if has(4 << shift) { 'r' } else { '-' });
        text.push(if has(2 << shift) { 'w' } else { '-' });
        text.push(match (has(1 << shift), has(special)) {
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Attributes;

    #[test]
    fn permissions_are_as_ls_shows_them() {
        let shown = |kind, mode| permissions(&Node::of(kind, Attributes { mode, ..Attributes::implied() }));
        assert_eq!(shown(Kind::Directory, 0o1777), "drwxrwxrwt");
        assert_eq!(shown(Kind::Directory, 0o1700), "drwx-----T");
        assert_eq!(shown(Kind::Symlink { target: b"x".to_vec() }, 0o777), "lrwxrwxrwx");
        assert_eq!(shown(Kind::Fifo, 0o6644), "prwSr-Sr--");
        assert_eq!(shown(Kind::CharacterDevice { major: 1, minor: 3 }, 0o4755), "crwsr-xr-x");
        assert_eq!(shown(Kind::BlockDevice { major: 8, minor: 0 }, 0o2751), "brwxr-s--x");
    }
}
