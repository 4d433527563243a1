//! Notes: what builds leave for people who ask about them. Nothing is made of them, they are of no blob, and they take little
//! room: those used least recently make way for new ones.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::keyed_file;
use super::local::{LocalStore, keep, mark_as_used, own};
use super::prune::remove;
use crate::error::{Error, Result};
use crate::oci::Digest;

/// All notes together have no more bytes than this for long.
const NOTES_LIMIT: u64 = 64 << 20;

impl LocalStore {
    /// Returns what was noted under `key`; none if nothing was, or it is damaged.
    pub fn note(&self, key: &Digest) -> Option<Vec<u8>> {
        let path = self.note_path(key);
        let content = keyed_file::read(own(&path).ok()?, key, NOTES_LIMIT)?;
        mark_as_used(&path);
        Some(content)
    }

    /// Returns whether there is something under `key`, which counts as used.
    pub fn has_note(&self, key: &Digest) -> bool {
        let path = self.note_path(key);
        let is_there = fs::symlink_metadata(&path).is_ok_and(|note| note.is_file());
        if is_there {
            mark_as_used(&path);
        }
        is_there
    }

    /// Notes something under `key`, in place of what was noted before.
    pub fn put_note(&self, key: &Digest, content: &[u8]) -> Result<()> {
        let path = self.note_path(key);
        let is_new = fs::symlink_metadata(&path).is_err();
        let mut file = self.begin_private()?;
        keyed_file::write(&mut file, &path, key, &[content])?;
        keep(file, &path)?;
        let old = if is_new { self.old_notes(NOTES_LIMIT, None)? } else { Vec::new() };
        old.iter().try_for_each(|(path, _)| remove(path))
    }

    /// Returns the notes that go so that no more bytes than `most` are left, those used least recently first, with the size of
    /// each; none that was used more recently than `unused_for` says.
    pub(super) fn old_notes(&self, most: u64, unused_for: Option<Duration>) -> Result<Vec<(PathBuf, u64)>> {
        let mut notes = self.all_notes()?;
        notes.sort();
        let mut left: u64 = notes.iter().map(|(_, size, _)| size).sum();
        let now = SystemTime::now();
        let goes = |(used, size, path): (SystemTime, u64, PathBuf)| {
            let is_old = unused_for.is_none_or(|time| now.duration_since(used).is_ok_and(|age| age >= time));
            let goes = left > most && is_old;
            left -= if goes { size } else { 0 };
            goes.then_some((path, size))
        };
        Ok(notes.into_iter().map_while(goes).collect())
    }

    /// Returns the size of all notes in bytes.
    pub(super) fn size_of_notes(&self) -> Result<u64> {
        Ok(self.all_notes()?.iter().map(|(_, size, _)| size).sum())
    }

    /// All notes: when each was last used, how large it is, and where.
    fn all_notes(&self) -> Result<Vec<(SystemTime, u64, PathBuf)>> {
        let directory = self.notes();
        let failed = |source| Error::io("list", &directory, source);
        let mut notes = Vec::new();
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // One that is gone by now was removed by another.
            let Ok(metadata) = entry.metadata() else { continue };
            notes.push((metadata.modified().map_err(failed)?, metadata.len(), entry.path()));
        }
        Ok(notes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written_and_a_damaged_one_is_none() {
        let place = tempfile::tempdir().unwrap();
        let store = LocalStore::open(place.path()).unwrap();
        let (key, other) = (Digest::of(b"key"), Digest::of(b"other"));
        assert!(store.note(&key).is_none() && !store.has_note(&key));
        store.put_note(&key, b"first").unwrap();
        store.put_note(&key, b"second").unwrap();
        assert_eq!(store.note(&key).unwrap(), b"second");
        fs::rename(store.note_path(&key), store.note_path(&other)).unwrap();
        assert!(store.note(&other).is_none(), "it is another's");
        store.put_note(&key, b"third").unwrap();
        let mut damaged = fs::read(store.note_path(&key)).unwrap();
        *damaged.last_mut().unwrap() ^= 1;
        fs::write(store.note_path(&key), damaged).unwrap();
        assert!(store.note(&key).is_none());
    }

    #[test]
    fn notes_used_least_recently_make_way() {
        let place = tempfile::tempdir().unwrap();
        let store = LocalStore::open(place.path()).unwrap();
        let keys = [b"a", b"b", b"c"].map(|name| Digest::of(name));
        for (age, key) in keys.iter().enumerate() {
            store.put_note(key, &[0; 1000]).unwrap();
            let time = SystemTime::now() - Duration::from_secs(100 * (age as u64 + 1));
            fs::File::options().write(true).open(store.note_path(key)).unwrap().set_modified(time).unwrap();
        }
        // Now it is the last that was used.
        assert!(store.note(&keys[2]).is_some());
        let go = |most, unused_for| {
            let old = store.old_notes(most, unused_for).unwrap();
            old.iter().for_each(|(path, _)| remove(path).unwrap());
            keys.map(|key| store.note_path(&key).exists())
        };
        assert_eq!(store.size_of_notes().unwrap(), 3 * 1064);
        assert_eq!(go(u64::MAX, Some(Duration::ZERO)), [true, true, true], "there is room");
        assert_eq!(go(2200, None), [true, false, true]);
        assert_eq!(go(0, Some(Duration::from_secs(1000))), [true, false, true], "none is that old");
        assert_eq!(go(0, Some(Duration::from_secs(50))), [false, false, true]);
        assert_eq!(go(0, None), [false, false, false]);
    }
}
