//! Random file systems, and random things that are done to what is mounted of them.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, lchown, symlink};
use std::path::Path;

use ocibake::tree::{Attributes, Content, Entry, Files, Kind};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use rustix::fs::{CWD, FileType, Mode, mknodat};

/// Few names, so that they meet; some sort before what whiteouts begin with.
const NAMES: [&str; 6] = ["a", "b", "a.b", " c", ".w", "-d"];

/// Of version 2: cap_net_bind_service, permitted and effective (linux/capability.h).
pub const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// A thing that is done in memory.
#[derive(Debug, Clone)]
pub enum Edit {
    Put(String, Kind, u32),
    Link(String, String),
    Remove(String),
    Mode(String, u32),
    Note(String, u8),
}

/// A thing that is done in a directory.
#[derive(Debug, Clone)]
pub enum Deed {
    Write(String, u8),
    Append(String),
    MakeDirectory(String),
    RemoveAll(String),
    Rename(String, String),
    Link(String, String),
    Symlink(String, String),
    Fifo(String),
    Mode(String, u32),
    Owner(String, u32),
    Note(String, u8),
    Capability(String),
    /// In the place of whatever is there.
    FileInPlace(String),
    DirectoryInPlace(String),
}

fn path() -> impl Strategy<Value = String> {
    vec(select(NAMES.to_vec()), 1..4).prop_map(|names| names.join("/"))
}

/// Where links lead: never out of the directory that they are in.
fn target() -> impl Strategy<Value = String> {
    select(NAMES.to_vec()).prop_map(str::to_owned)
}

pub fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let kind = prop_oneof![
        3 => Just(Kind::Directory),
        5 => (0u8..4).prop_map(|content| Kind::File(Content::Bytes(vec![content; content.into()].into()))),
        1 => target().prop_map(|target| Kind::Symlink { target: target.into() }),
        1 => Just(Kind::Fifo),
    ];
    let edit = prop_oneof![
        8 => (path(), kind, select(vec![0o644, 0o755, 0o4711])).prop_map(|(path, kind, mode)| Edit::Put(path, kind, mode)),
        2 => (path(), path()).prop_map(|(path, target)| Edit::Link(path, target)),
        2 => path().prop_map(Edit::Remove),
        1 => (path(), select(vec![0o700, 0o1777])).prop_map(|(path, mode)| Edit::Mode(path, mode)),
        1 => (path(), 0u8..3).prop_map(|(path, note)| Edit::Note(path, note)),
    ];
    vec(edit, 0..24)
}

pub fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        3 => (path(), 4u8..8).prop_map(|(path, content)| Deed::Write(path, content)),
        1 => path().prop_map(Deed::Append),
        3 => path().prop_map(Deed::MakeDirectory),
        4 => path().prop_map(Deed::RemoveAll),
        2 => (path(), path()).prop_map(|(from, to)| Deed::Rename(from, to)),
        2 => (path(), path()).prop_map(|(path, target)| Deed::Link(path, target)),
        1 => (path(), target()).prop_map(|(path, target)| Deed::Symlink(path, target)),
        1 => path().prop_map(Deed::Fifo),
        2 => (path(), select(vec![0o700, 0o755, 0o1777])).prop_map(|(path, mode)| Deed::Mode(path, mode)),
        1 => (path(), 0u32..3).prop_map(|(path, owner)| Deed::Owner(path, owner)),
        1 => (path(), 0u8..3).prop_map(|(path, note)| Deed::Note(path, note)),
        1 => path().prop_map(Deed::Capability),
        2 => path().prop_map(Deed::FileInPlace),
        3 => path().prop_map(Deed::DirectoryInPlace),
    ];
    vec(deed, 0..24)
}

pub fn edit(files: &mut Files, edits: &[Edit]) {
    let is_there = |files: &Files, path: &str| files.get(path.as_bytes()).is_some();
    for edit in edits {
        match edit {
            Edit::Put(path, kind, mode) => {
                let mode = if matches!(kind, Kind::Symlink { .. }) { 0o777 } else { *mode };
                let attributes = Attributes { mode, ..Attributes::implied() };
                files.put_entry(&Entry { path: path.clone().into(), kind: kind.clone(), attributes });
            }
            Edit::Link(path, target) => {
                let is_file = |kind: &Kind| matches!(kind, Kind::File(_));
                let node = files.get(target.as_bytes()).filter(|node| is_file(&node.entry(Vec::new()).kind)).cloned();
                node.into_iter().for_each(|node| files.put(path.as_bytes(), node));
            }
            Edit::Remove(path) => files.remove(path.as_bytes()),
            Edit::Mode(path, mode) if is_there(files, path) => {
                let attributes = files.place(path.as_bytes()).attributes_mut();
                // That of a link is always the same.
                attributes.mode = if attributes.mode == 0o777 { 0o777 } else { *mode };
            }
            Edit::Note(path, note) if is_there(files, path) => {
                let node = files.place(path.as_bytes());
                if matches!(node.entry(Vec::new()).kind, Kind::File(_) | Kind::Directory) {
                    node.attributes_mut().xattrs.insert(b"user.note".to_vec(), vec![*note]);
                }
            }
            Edit::Mode(..) | Edit::Note(..) => {}
        }
    }
}

/// Does as much of it as can be done.
pub fn perform(root: &Path, deeds: &[Deed]) {
    let at = |path: &String| root.join(path);
    let remove = |path: &String| match at(path).symlink_metadata() {
        Ok(there) if there.is_dir() => fs::remove_dir_all(at(path)),
        _ => fs::remove_file(at(path)),
    };
    for deed in deeds {
        let is_fifo = |path: &String| at(path).metadata().is_ok_and(|there| there.file_type().is_fifo());
        let _ = match deed {
            // Nobody would read it.
            Deed::Write(path, _) | Deed::Append(path) if is_fifo(path) => Ok(()),
            Deed::Write(path, content) => fs::write(at(path), vec![*content; usize::from(*content) - 4]),
            Deed::Append(path) => {
                fs::File::options().append(true).open(at(path)).and_then(|mut file| file.write_all(b"more"))
            }
            Deed::MakeDirectory(path) => fs::create_dir_all(at(path)),
            Deed::RemoveAll(path) => remove(path),
            Deed::Rename(from, to) => fs::rename(at(from), at(to)),
            Deed::Link(path, target) => fs::hard_link(at(target), at(path)),
            Deed::Symlink(path, target) => symlink(target, at(path)),
            Deed::Fifo(path) => mknodat(CWD, at(path), FileType::Fifo, Mode::RWXU, 0).map_err(Into::into),
            Deed::Mode(path, mode) => fs::set_permissions(at(path), fs::Permissions::from_mode(*mode)),
            Deed::Owner(path, owner) => lchown(at(path), Some(*owner), Some(*owner)),
            Deed::Note(path, note) => xattr::set(at(path), "user.note", &[*note]),
            // Of what is no file it says nothing, and no layer has it.
            Deed::Capability(path) if !at(path).symlink_metadata().is_ok_and(|there| there.is_file()) => Ok(()),
            Deed::Capability(path) => xattr::set(at(path), "security.capability", &CAPABILITY),
            Deed::FileInPlace(path) => {
                let _ = remove(path);
                fs::write(at(path), "in the place of it")
            }
            Deed::DirectoryInPlace(path) => {
                let _ = remove(path);
                fs::create_dir(at(path))
            }
        };
    }
}
