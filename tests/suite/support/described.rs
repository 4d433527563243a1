//! Files described in lines of text, `KIND PATH [MODE] [USER:GROUP] [CONTENT | TARGET]`, as `fixtures/dockerfiles/README.md`
//! tells: made from such lines in a directory or a tar, and told in such lines of an image's layers.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use serde_json::Value;
use tar::EntryType;

use super::handmade::{self, Entry};
use super::{layout, tool};

/// A file's content that is not compared.
const UNTOLD: &str = "...";

/// No content of a file that is compared has so many bytes.
const LONG: usize = 500;

struct Described {
    kind: String,
    path: String,
    mode: u32,
    owner: (u32, u32),
    /// What a file holds, or where a link leads.
    data: String,
    attributes: Vec<(String, String)>,
}

/// Makes the files in a directory; their owners too, where the test is run by root.
pub fn lay(text: &str, root: &Path) {
    fs::create_dir_all(root).unwrap();
    let files = read(text);
    for file in &files {
        let path = root.join(&file.path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match file.kind.as_str() {
            "dir" => fs::create_dir_all(&path).unwrap(),
            "file" | "busybox" => fs::write(&path, file.content()).unwrap(),
            "link" => symlink(&file.data, &path).unwrap(),
            "hard" => fs::hard_link(root.join(&file.data), &path).unwrap(),
            "fifo" => drop(tool::run("mkfifo", [&path])),
            kind => panic!("{kind:?} is no kind of file"),
        }
        for (name, value) in &file.attributes {
            xattr::set(&path, name, value.as_bytes()).unwrap();
        }
        if file.kind != "hard" && tool::is_root() {
            lchown(&path, Some(file.owner.0), Some(file.owner.1)).unwrap();
        }
    }
    // A folder that nobody may write to is filled before.
    for file in files.iter().rev().filter(|file| !matches!(file.kind.as_str(), "link" | "hard")) {
        fs::set_permissions(root.join(&file.path), fs::Permissions::from_mode(file.mode)).unwrap();
    }
}

/// A tar of the files.
pub fn tar(text: &str) -> Vec<u8> {
    let files = read(text);
    let entries: Vec<Entry> = files
        .iter()
        .map(|file| {
            let like =
                if file.kind == "hard" { files.iter().find(|other| other.path == file.data).unwrap() } else { file };
            let entry = match file.kind.as_str() {
                "dir" => handmade::directory(format!("{}/", file.path)),
                "file" | "busybox" => handmade::file(&file.path, file.content()),
                "link" => handmade::symlink(&file.path, &file.data),
                "hard" => handmade::hard_link(&file.path, &file.data),
                "fifo" => handmade::fifo(&file.path),
                kind => panic!("{kind:?} is no kind of file"),
            };
            entry.mode(like.mode).owner(like.owner.0.into(), like.owner.1.into())
        })
        .collect();
    let mut tar = handmade::tar(&entries);
    tar.resize(tar.len() + 1024, 0);
    tar
}

/// By path, the line of each file that the layers leave, the lowest layer first. Hard links are told from the first path.
pub fn lines(layers: &[PathBuf]) -> BTreeMap<String, String> {
    let mut tree = Tree::default();
    layers.iter().for_each(|layer| tree.apply(layout::tar_of(layer)));
    tree.lines()
}

/// The same of lines that are written down.
pub fn written_lines(text: &str) -> BTreeMap<String, String> {
    text.lines().map(|line| (words(line).swap_remove(1), line.to_owned())).collect()
}

/// Words stand between spaces; one that begins with a quote is a JSON string.
pub fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let end = if rest.starts_with('"') {
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<String>();
            words.push(values.next().unwrap().unwrap());
            values.byte_offset()
        } else {
            let end = rest.find(' ').unwrap_or(rest.len());
            words.push(rest[..end].to_owned());
            end
        };
        rest = rest[end..].trim_start();
    }
    words
}

fn read(text: &str) -> Vec<Described> {
    text.lines().filter(|line| !line.trim().is_empty()).map(Described::read).collect()
}

impl Described {
    fn content(&self) -> Vec<u8> {
        match self.kind.as_str() {
            "busybox" => fs::read(tool::run("sh", ["-c", "command -v busybox"]).trim()).unwrap(),
            _ => self.data.clone().into_bytes(),
        }
    }

    fn read(line: &str) -> Self {
        let mut words = words(line).into_iter().peekable();
        let (kind, path) = (words.next().unwrap(), words.next().unwrap());
        let is_mode = |word: &String| word.len() == 4 && word.bytes().all(|byte| (b'0'..b'8').contains(&byte));
        let default = if matches!(kind.as_str(), "file" | "fifo") { 0o644 } else { 0o755 };
        let mode = words.next_if(is_mode).map_or(default, |word| u32::from_str_radix(&word, 8).unwrap());
        let owner_of = |word: &str| {
            let (user, group) = word.split_once(':')?;
            Some((user.parse().ok()?, group.parse().ok()?))
        };
        let owner = words.next_if(|word| owner_of(word).is_some()).and_then(|word| owner_of(&word)).unwrap_or((0, 0));
        let has_data = matches!(kind.as_str(), "file" | "link" | "hard");
        let data = words.next_if(|_| has_data).unwrap_or_else(|| format!("{path}\n"));
        let attributes = words.map(|word| word.split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap());
        let attributes = attributes.collect();
        Described { kind, path, mode, owner, data, attributes }
    }
}

/// What the layers that were applied leave: for each path its line but for the path, and of hard links the file's number.
#[derive(Default)]
struct Tree {
    files: BTreeMap<String, Node>,
    links: u64,
}

#[derive(Clone)]
struct Node {
    kind: &'static str,
    rest: String,
    link: Option<u64>,
}

impl Tree {
    fn apply(&mut self, layer: Box<dyn Read>) {
        for entry in tar::Archive::new(layer).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = plain(&entry.path_bytes());
            let (folder, name) = path.rsplit_once('/').map_or(("", path.as_str()), |(folder, name)| (folder, name));
            let within = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
            if path.is_empty() {
                continue;
            } else if name == ".wh..wh..opq" {
                self.remove_below(folder);
            } else if let Some(gone) = name.strip_prefix(".wh.") {
                self.remove_below(&within(gone));
                self.files.remove(&within(gone));
            } else {
                let node = self.node(&mut entry);
                if node.kind != "dir" {
                    self.remove_below(&path);
                }
                self.files.insert(path, node);
            }
        }
    }

    fn node(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> Node {
        let target = entry.link_name_bytes().map(|name| String::from_utf8_lossy(&name).into_owned());
        let header = entry.header();
        let owner = format!("{}:{}", header.uid().unwrap(), header.gid().unwrap());
        let mode = format!("{:04o}", header.mode().unwrap() & 0o7777);
        let (kind, mut rest) = match header.entry_type() {
            EntryType::Directory => ("dir", format!("{mode} {owner}")),
            EntryType::Symlink => ("link", format!("{owner} {}", quoted(&target.unwrap()))),
            EntryType::Fifo => ("fifo", format!("{mode} {owner}")),
            EntryType::Link => {
                let file =
                    self.files.get_mut(&plain(target.unwrap().as_bytes())).expect("a hard link follows its file");
                if file.link.is_none() {
                    self.links += 1;
                    file.link = Some(self.links);
                }
                return file.clone();
            }
            _ => {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                let short = String::from_utf8(content).ok().filter(|content| content.len() < LONG);
                let content = short.map_or(UNTOLD.to_owned(), |content| Value::from(content).to_string());
                ("file", format!("{mode} {owner} {content}"))
            }
        };
        for record in entry.pax_extensions().unwrap().into_iter().flatten().map(Result::unwrap) {
            if let Some(name) = record.key().unwrap().strip_prefix("SCHILY.xattr.") {
                let hexadecimal: String = record.value_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
                rest += &format!(" {name}={hexadecimal}");
            }
        }
        Node { kind, rest, link: None }
    }

    fn remove_below(&mut self, folder: &str) {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        self.files.retain(|path, _| !path.starts_with(&prefix));
    }

    fn lines(&self) -> BTreeMap<String, String> {
        let mut first: BTreeMap<u64, &str> = BTreeMap::new();
        let mut lines = BTreeMap::new();
        for (path, node) in &self.files {
            let earlier = node.link.and_then(|link| {
                let file = *first.entry(link).or_insert(path);
                (file != path).then_some(file)
            });
            let line = match earlier {
                Some(file) => format!("hard {} {}", quoted(path), quoted(file)),
                None => format!("{} {} {}", node.kind, quoted(path), node.rest),
            };
            lines.insert(path.clone(), line);
        }
        lines
    }
}

/// Without what stands around it in a tar.
fn plain(path: &[u8]) -> String {
    let path = String::from_utf8_lossy(path);
    path.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/")
}

fn quoted(text: &str) -> String {
    let bare = !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == '"' || c == '\\');
    if bare { text.to_owned() } else { Value::from(text).to_string() }
}
