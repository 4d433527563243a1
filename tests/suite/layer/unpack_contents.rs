//! Contents of every kind come to disk: in memory, on disk, in a layer, in a tar that lies elsewhere.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Cursor, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ocibake::error::{Error, Result};
use ocibake::layer::{Compression, Layer, Owners, flatten, read, unpack};
use ocibake::oci::{Descriptor, Digest};
use ocibake::tree::{Content, Entry, Files, Ignore, Kind, Limits, Spool, walk};
use tempfile::TempDir;

use crate::support::entry::{directory, file, write};
use crate::support::noise::noise;
use crate::support::tree::Tree;

const LARGE: usize = 3_000_000;

fn pool() -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap()
}

/// A layer in memory, and how often it was opened.
struct InMemory {
    layer: Layer,
    blob: Vec<u8>,
    opened: AtomicUsize,
}

impl InMemory {
    fn of(entries: &[Entry]) -> Self {
        let written = write(entries, Compression::Gzip(1), 1);
        let descriptor =
            Descriptor { digest: written.digest, ..Compression::Gzip(1).descriptor(written.digest, written.size) };
        let layer = Layer { descriptor, diff_id: written.diff_id };
        InMemory { layer, blob: written.sink, opened: AtomicUsize::new(0) }
    }

    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        assert_eq!(descriptor.digest, self.layer.descriptor.digest);
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(Cursor::new(self.blob.clone())))
    }

    fn files(&self) -> Files {
        read(std::slice::from_ref(&self.layer), &|descriptor| self.open(descriptor), Limits::of_build(), &pool())
            .unwrap()
    }
}

fn unpacked(files: &Files, layer: &InMemory) -> Result<TempDir> {
    let place = tempfile::tempdir().unwrap();
    let root = File::open(place.path()).unwrap();
    let layers = [layer.layer.clone()];
    let done = unpack(Owners::OfLayers, files, &layers, &|it| layer.open(it), (root.as_fd(), place.path()), &pool())?;
    done.directories.finish(b"", root.as_fd(), place.path())?;
    Ok(place)
}

fn put(files: &mut Files, directory: &str, contents: impl IntoIterator<Item = (&'static str, Content)>) {
    for (name, content) in contents {
        files.put_entry(&Entry { kind: Kind::File(content), ..file(format!("{directory}/{name}"), "") });
    }
}

fn spooled(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

#[test]
fn every_kind_of_content_comes_to_disk() {
    let contents: BTreeMap<&'static str, Vec<u8>> = BTreeMap::from([
        ("empty", Vec::new()),
        ("hole", vec![0; LARGE]),
        ("large", noise(1, LARGE)),
        ("small", b"small".to_vec()),
    ]);
    let on_disk = contents.iter().fold(Tree::new(), |tree, (name, content)| tree.file(name, content)).plant();
    let entries: Vec<Entry> = [directory("layer")]
        .into_iter()
        .chain(contents.iter().map(|(name, content)| file(format!("layer/{name}"), content)))
        .collect();
    let layer = InMemory::of(&entries);
    let mut files = layer.files();
    put(&mut files, "bytes", contents.iter().map(|(name, content)| (*name, Content::Bytes(content[..].into()))));
    let walked = walk(on_disk.path(), &Ignore::new([]).unwrap()).unwrap();
    put(
        &mut files,
        "disk",
        contents.keys().zip(walked).map(|(name, entry)| match entry.kind {
            Kind::File(content) => (*name, content),
            other => unreachable!("{other:?}"),
        }),
    );
    // A tar that was unpacked already, and one that is when it is asked for.
    let all = contents.values().flatten().copied().collect::<Vec<u8>>();
    let filled = Spool::new(Digest::of(b"filled"));
    filled.fill(spooled(&all));
    let bytes = all.clone();
    let made = Spool::made_by(Digest::of(b"made"), move || Ok(spooled(&bytes)));
    for (name, spool) in [("filled", filled), ("made", made)] {
        let (spool, mut at) = (Arc::new(spool), 0);
        put(
            &mut files,
            name,
            contents.iter().map(|(name, content)| {
                let part = Content::Part { spool: spool.clone(), offset: at, size: content.len() as u64 };
                at += content.len() as u64;
                (*name, part)
            }),
        );
    }
    layer.opened.store(0, Ordering::Relaxed);
    let place = unpacked(&files, &layer).unwrap();
    assert_eq!(layer.opened.load(Ordering::Relaxed), 1, "a layer is read once");
    for directory in ["layer", "bytes", "disk", "filled", "made"] {
        for (name, content) in &contents {
            let path = place.path().join(directory).join(name);
            assert!(fs::read(&path).unwrap() == *content, "{}", path.display());
        }
    }
}

/// Some of a layer may have been unpacked for somebody else: nobody says that all of it was.
#[test]
fn what_a_layer_has_is_had_from_the_layer() {
    let layer = InMemory::of(&[file("one", "first"), file("two", "second")]);
    let files = layer.files();
    let Kind::File(Content::Part { spool, .. }) = files.get(b"one").unwrap().entry(Vec::new()).kind else {
        panic!("it is no part of the layer")
    };
    spool.fill(spooled(&[0; 4096]));
    let place = unpacked(&files, &layer).unwrap();
    assert_eq!(fs::read_to_string(place.path().join("two")).unwrap(), "second");
}

#[test]
fn a_layer_of_which_nothing_is_wanted_is_not_read() {
    let layer = InMemory::of(&[file("one", "first")]);
    let mut files = Files::new();
    files.put_all(&[file("other", "o")]);
    unpacked(&files, &layer).unwrap();
    assert_eq!(layer.opened.load(Ordering::Relaxed), 0);
}

#[test]
fn a_content_that_is_nowhere_is_an_error_at_once() {
    let layer = InMemory::of(&[]);
    let mut files = Files::new();
    let spool = Arc::new(Spool::new(Digest::of(b"nowhere")));
    put(&mut files, "d", [("lost", Content::Part { spool, offset: 0, size: 1 })]);
    let error = unpacked(&files, &layer).unwrap_err();
    assert_eq!(error.message, "the content of /d/lost is in none of the layers");
}

#[test]
fn a_file_on_disk_that_is_not_the_one_that_was_walked_is_refused() {
    let changes: [fn(&Path); 4] = [
        |path| File::options().append(true).open(path).unwrap().write_all(b"more").unwrap(),
        |path| {
            // Its time of change moves on with the clock's ticks.
            std::thread::sleep(std::time::Duration::from_millis(20));
            let (content, time) = (fs::read(path).unwrap(), fs::metadata(path).unwrap().modified().unwrap());
            fs::write(path, content.iter().map(|byte| !byte).collect::<Vec<u8>>()).unwrap();
            File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
        },
        |path| {
            let content = fs::read(path).unwrap();
            fs::remove_file(path).unwrap();
            fs::write(path, content).unwrap();
        },
        |path| fs::remove_file(path).unwrap(),
    ];
    for content in [Vec::new(), b"small".to_vec(), noise(2, LARGE)] {
        for change in changes {
            let place = Tree::new().file("it", &content).plant();
            let mut files = Files::new();
            files.put_all(&walk(place.path(), &Ignore::new([]).unwrap()).unwrap());
            change(&place.path().join("it"));
            let Error { message, .. } = unpacked(&files, &InMemory::of(&[])).unwrap_err();
            assert_eq!(message, format!("{} changed while it was read", place.path().join("it").display()));
        }
    }
}

/// As a build has it that copies one file of a base twice.
#[test]
fn one_content_of_a_layer_may_be_in_several_files() {
    let contents = [Vec::new(), b"small".to_vec(), noise(3, LARGE)];
    let names = ["empty", "small", "large"];
    let entries: Vec<Entry> = names.iter().zip(&contents).map(|(name, content)| file(name, content)).collect();
    let layer = InMemory::of(&entries);
    let mut files = layer.files();
    for name in names {
        let Kind::File(content) = files.get(name.as_bytes()).unwrap().entry(Vec::new()).kind else {
            panic!("it is no file")
        };
        put(&mut files, "copies", [(name, content)]);
    }
    let place = unpacked(&files, &layer).unwrap();
    let flat = tempfile::NamedTempFile::new().unwrap();
    let layers = [layer.layer.clone()];
    let open = |it: &Descriptor| layer.open(it);
    let end = flatten(&files, &layers, &open, "", (flat.as_file(), 0), flat.path(), &pool()).unwrap();
    assert!(end > 2 * LARGE as u64);
    let mut in_tar = BTreeMap::new();
    for entry in tar::Archive::new(File::open(flat.path()).unwrap()).entries().unwrap() {
        let (mut entry, mut content) = (entry.unwrap(), Vec::new());
        entry.read_to_end(&mut content).unwrap();
        in_tar.insert(entry.path().unwrap().into_owned(), content);
    }
    for (name, content) in names.iter().zip(&contents) {
        for path in [Path::new(name).to_owned(), Path::new("copies").join(name)] {
            assert!(fs::read(place.path().join(&path)).unwrap() == *content, "{}", path.display());
            assert!(in_tar[&path] == *content, "{}", path.display());
        }
    }
}
