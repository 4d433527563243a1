//! Directory trees to build images from: described as data, then created on disk in a chosen order.
//!
//! Every mode is set explicitly, so that the umask never matters.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, mknodat, utimensat};
use tempfile::TempDir;

use super::noise::noise;

/// What a tree is to hold, in the order in which it is created. The calls that set an attribute ([`mode`](Tree::mode),
/// [`owner`](Tree::owner), …) are about the node added last. Parents that are not named are created with mode 0755.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    nodes: Vec<Node>,
}

#[derive(Clone)]
struct Node {
    path: Vec<u8>,
    kind: Kind,
    mode: Option<u32>,
    owner: Option<(u32, u32)>,
    /// Seconds since 1970.
    time: Option<i64>,
    attributes: BTreeMap<String, Vec<u8>>,
}

#[derive(Clone)]
enum Kind {
    File(Vec<u8>),
    /// A file with nothing but a hole of this many bytes.
    Hole(u64),
    Directory,
    Symlink(Vec<u8>),
    HardLink(Vec<u8>),
    Socket,
    Fifo,
    /// The device that `/dev/null` is; only root can create it.
    Device,
}

impl Tree {
    pub fn new() -> Self {
        Tree::default()
    }

    pub fn file(self, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        self.node(path, Kind::File(content.as_ref().to_owned()))
    }

    pub fn hole(self, path: impl AsRef<[u8]>, size: u64) -> Self {
        self.node(path, Kind::Hole(size))
    }

    pub fn directory(self, path: impl AsRef<[u8]>) -> Self {
        self.node(path, Kind::Directory)
    }

    pub fn symlink(self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.node(path, Kind::Symlink(target.as_ref().to_owned()))
    }

    /// `target` is a path in this tree, of a file that may be named later.
    pub fn hard_link(self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.node(path, Kind::HardLink(target.as_ref().to_owned()))
    }

    pub fn socket(self, path: impl AsRef<[u8]>) -> Self {
        self.node(path, Kind::Socket)
    }

    pub fn fifo(self, path: impl AsRef<[u8]>) -> Self {
        self.node(path, Kind::Fifo)
    }

    pub fn device(self, path: impl AsRef<[u8]>) -> Self {
        self.node(path, Kind::Device)
    }

    pub fn mode(mut self, mode: u32) -> Self {
        self.last().mode = Some(mode);
        self
    }

    /// Only root can create what belongs to others.
    pub fn owner(mut self, user: u32, group: u32) -> Self {
        self.last().owner = Some((user, group));
        self
    }

    /// The time of last change, in seconds since 1970.
    pub fn time(mut self, seconds: i64) -> Self {
        self.last().time = Some(seconds);
        self
    }

    pub fn attribute(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.last().attributes.insert(name.to_owned(), value.as_ref().to_owned());
        self
    }

    /// The same tree, created the other way round.
    pub fn reversed(mut self) -> Self {
        self.nodes.reverse();
        self
    }

    /// Creates the tree in a fresh directory that every user may enter.
    pub fn plant(&self) -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        self.plant_in(directory.path());
        directory
    }

    /// Creates the tree in `root`, which comes to be if it is not there.
    pub fn plant_in(&self, root: &Path) {
        let mut directories = BTreeSet::from([root.to_owned()]);
        for node in &self.nodes {
            let path = root.join(OsStr::from_bytes(&node.path));
            let parents = path.ancestors().skip(1).take_while(|parent| *parent != root);
            directories.extend(parents.map(Path::to_owned));
        }
        let (links, others): (Vec<_>, Vec<_>) =
            self.nodes.iter().partition(|node| matches!(node.kind, Kind::HardLink(_)));
        fs::create_dir_all(root).unwrap();
        for node in others.iter().chain(&links) {
            node.create(root);
        }
        // Attributes come last and deepest first: a new child changes its parent's time.
        for directory in &directories {
            fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut others = others;
        others.sort_by(|one, other| other.path.cmp(&one.path));
        for node in others {
            node.set_attributes(root);
        }
    }

    fn node(mut self, path: impl AsRef<[u8]>, kind: Kind) -> Self {
        let path = path.as_ref().to_owned();
        self.nodes.push(Node { path, kind, mode: None, owner: None, time: None, attributes: BTreeMap::new() });
        self
    }

    fn last(&mut self) -> &mut Node {
        self.nodes.last_mut().expect("an attribute follows the node that has it")
    }
}

impl Node {
    fn create(&self, root: &Path) {
        let path = root.join(OsStr::from_bytes(&self.path));
        let told = |result: std::io::Result<()>| result.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        told(fs::create_dir_all(path.parent().unwrap_or(root)));
        told(match &self.kind {
            Kind::File(content) => fs::write(&path, content),
            Kind::Hole(size) => File::create(&path).and_then(|file| file.set_len(*size)),
            Kind::Directory => fs::create_dir_all(&path),
            Kind::Symlink(target) => symlink(OsStr::from_bytes(target), &path),
            Kind::HardLink(target) => fs::hard_link(root.join(OsStr::from_bytes(target)), &path),
            Kind::Socket => UnixListener::bind(&path).map(drop),
            Kind::Fifo => mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).map_err(Into::into),
            Kind::Device => {
                let null = rustix::fs::makedev(1, 3);
                mknodat(CWD, &path, FileType::CharacterDevice, Mode::RWXU, null).map_err(Into::into)
            }
        });
    }

    fn set_attributes(&self, root: &Path) {
        let path = root.join(OsStr::from_bytes(&self.path));
        // In this order: a new owner clears set-user-id bits and capabilities.
        if let Some((user, group)) = self.owner {
            lchown(&path, Some(user), Some(group)).unwrap();
        }
        for (name, value) in &self.attributes {
            xattr::set(&path, name, value).unwrap_or_else(|error| panic!("{name} of {}: {error}", path.display()));
        }
        let usual = if matches!(self.kind, Kind::Directory) { 0o755 } else { 0o644 };
        if !matches!(self.kind, Kind::Symlink(_)) {
            let mode = fs::Permissions::from_mode(self.mode.unwrap_or(usual));
            fs::set_permissions(&path, mode).unwrap();
        }
        if let Some(seconds) = self.time {
            let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
            let times = Timestamps { last_access: time, last_modification: time };
            utimensat(CWD, &path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.path.escape_ascii(), self.kind)?;
        match self.mode {
            Some(mode) => write!(f, ", mode {mode:04o}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::File(content) => write!(f, "file of {} bytes", content.len()),
            Kind::Hole(size) => write!(f, "hole of {size} bytes"),
            Kind::Directory => write!(f, "directory"),
            Kind::Symlink(target) => write!(f, "symlink to {}", target.escape_ascii()),
            Kind::HardLink(target) => write!(f, "hard link to {}", target.escape_ascii()),
            Kind::Socket => write!(f, "socket"),
            Kind::Fifo => write!(f, "fifo"),
            Kind::Device => write!(f, "device"),
        }
    }
}

/// Trees of all kinds of nodes that an image can hold, with odd names and modes; the user can read all of it.
pub fn any_tree() -> impl Strategy<Value = Tree> {
    let name = prop_oneof![
        4 => "[a-z]{1,8}".prop_map(String::into_bytes),
        2 => proptest::collection::vec(any::<u8>(), 1..20),
        1 => "[a-z]{90,255}".prop_map(String::into_bytes),
    ]
    .prop_map(|mut name| {
        name.iter_mut().filter(|byte| matches!(byte, 0 | b'/')).for_each(|byte| *byte = b'_');
        if matches!(&name[..], b"." | b"..") { b"dots".to_vec() } else { name }
    });
    let leaf = prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..3000).prop_map(Kind::File),
        1 => (0u64..300_000).prop_map(Kind::Hole),
        1 => Just(Kind::Directory),
        1 => "[a-z/.]{1,200}".prop_map(|target| Kind::Symlink(target.into_bytes())),
    ];
    let leaf = (leaf, 0u32..0o10000, 0i64..1 << 33);
    let parents = proptest::collection::vec(name.clone(), 0..5);
    let leaves = proptest::collection::vec((parents, name, leaf), 0..30);
    (leaves, proptest::collection::vec(any::<proptest::sample::Index>(), 0..3)).prop_map(|(leaves, links)| {
        let mut tree = Tree::new();
        for (parents, name, (kind, mode, time)) in leaves {
            let path = [parents, vec![name]].concat().join(&b'/');
            if tree.nodes.iter().any(|node| is_within(&node.path, &path) || is_within(&path, &node.path)) {
                continue;
            }
            let readable = if matches!(kind, Kind::Directory) { 0o700 } else { 0o400 };
            tree = tree.node(path, kind).mode(mode | readable).time(time);
        }
        let is_file = |node: &&Node| matches!(node.kind, Kind::File(_) | Kind::Hole(_));
        let files: Vec<_> = tree.nodes.iter().filter(is_file).map(|node| node.path.clone()).collect();
        for (number, link) in links.iter().enumerate().filter(|_| !files.is_empty()) {
            let directory = format!("hard links {number}");
            tree = tree.hard_link(format!("{directory}/one"), link.get(&files));
        }
        tree
    })
}

/// The same, and a few files that are large enough for several blocks, of content that compresses well, badly or not.
pub fn any_large_tree() -> impl Strategy<Value = Tree> {
    let content = prop_oneof![
        (any::<u64>(), 0usize..2_500_000).prop_map(|(seed, size)| noise(seed, size)),
        ("[a-z]{1,40}", 0usize..60_000).prop_map(|(words, times)| words.repeat(times).into_bytes()),
        // Half and half.
        (any::<u64>(), 0usize..700_000).prop_map(|(seed, size)| [noise(seed, size), vec![b'x'; size]].concat()),
    ];
    (any_tree(), proptest::collection::vec(content, 0..4)).prop_map(|(tree, contents)| {
        let numbered = contents.into_iter().enumerate();
        numbered.fold(tree, |tree, (number, content)| tree.file(format!("a large one/{number}"), content))
    })
}

fn is_within(path: &[u8], directory: &[u8]) -> bool {
    PathBuf::from(OsStr::from_bytes(path)).starts_with(OsStr::from_bytes(directory))
}
