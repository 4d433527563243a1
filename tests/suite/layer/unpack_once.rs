//! Layers come to disk as they are read, each once: what is there then is what they make.

use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use ocibake::error::{Error, ErrorKind, Result};
use ocibake::layer::{Layer, Owners, Unpacked, read, unpack, unpack_all};
use ocibake::oci::{Descriptor, Digest, VerifyingReader};
use ocibake::tree::Limits;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tempfile::TempDir;

use crate::support::handmade::{Blob, Entry, GZIP, PLAIN, directory, fifo, file, hard_link, symlink, tar};
use crate::support::listing::Listing;
use crate::support::noise::noise;
use crate::support::traces::names_in;

/// Layers in memory.
struct Layers {
    layers: Vec<Layer>,
    blobs: Vec<Vec<u8>>,
    opened: AtomicUsize,
}

impl Layers {
    fn new(blobs: &[Blob]) -> Self {
        let layer = |blob: &Blob| Layer {
            descriptor: Descriptor::of(blob.media_type, &blob.bytes),
            diff_id: format!("sha256:{}", blob.diff_id).parse().unwrap(),
        };
        Layers {
            layers: blobs.iter().map(layer).collect(),
            blobs: blobs.iter().map(|blob| blob.bytes.clone()).collect(),
            opened: AtomicUsize::new(0),
        }
    }

    fn of(layers: &[Vec<Entry>]) -> Self {
        let blobs: Vec<Blob> = layers.iter().map(|entries| Blob::of(&tar(entries), GZIP)).collect();
        Layers::new(&blobs)
    }

    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let number = self.layers.iter().position(|layer| layer.descriptor == *descriptor).unwrap();
        let blob = Cursor::new(self.blobs[number].clone());
        Ok(Box::new(VerifyingReader::new(blob, descriptor.digest, descriptor.size)))
    }

    /// Read once, and read once more and written.
    fn twice(&self, threads: usize) -> Result<TempDir> {
        let pool = pool(threads);
        let files = read(&self.layers, &|it| self.open(it), Limits::of_build(), &pool)?;
        finished(|root| unpack(Owners::OfLayers, &files, &self.layers, &|it| self.open(it), root, &pool))
    }

    fn once(&self, threads: usize) -> Result<TempDir> {
        finished(|root| {
            unpack_all(Owners::OfLayers, &self.layers, &|it| self.open(it), Limits::of_build(), root, &pool(threads))
        })
    }
}

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

fn finished(unpack: impl FnOnce((std::os::fd::BorrowedFd<'_>, &Path)) -> Result<Unpacked>) -> Result<TempDir> {
    let place = tempfile::tempdir().unwrap();
    let root = File::open(place.path()).unwrap();
    let unpacked = unpack((root.as_fd(), place.path()))?;
    unpacked.directories.finish(b"", root.as_fd(), place.path())?;
    Ok(place)
}

const NAMES: [&str; 5] = ["a", "b", "c", ".wh.a", ".wh..wh..opq"];

/// Anything at a few paths, so that names meet: in one layer, in several, through links, beside whiteouts.
fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let path = || vec(select(NAMES.to_vec()), 1..4).prop_map(|names| names.join("/"));
    let target = || select(vec!["a", "b", "/c", "../b", "a/b", "."]);
    let size = prop_oneof![Just(0usize), 1..2000usize, Just(300_000)];
    let entry = prop_oneof![
        6 => (path(), any::<u64>(), size, 0..0o1000u32)
            .prop_map(|(path, seed, size, mode)| file(path, noise(seed, size)).mode(mode)),
        3 => (path(), 0..0o1000u32).prop_map(|(path, mode)| directory(path).mode(mode)),
        2 => (path(), target()).prop_map(|(path, target)| symlink(path, target)),
        2 => (path(), path()).prop_map(|(path, target)| hard_link(path, target)),
        1 => path().prop_map(fifo),
    ];
    vec(entry, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_is_what_the_layers_make(layers in vec(entries(), 1..4), threads in 1..4usize) {
        let layers = Layers::of(&layers);
        match (layers.once(threads), layers.twice(threads)) {
            (Ok(once), Ok(twice)) => {
                Listing::of_directory(once.path()).assert_is(&Listing::of_directory(twice.path()));
                prop_assert_eq!(all_names(once.path()), all_names(twice.path()));
            }
            (Err(once), Err(twice)) => prop_assert_eq!(once.message, twice.message),
            (once, twice) => prop_assert!(false, "{:?} {:?}", once.err(), twice.err()),
        }
    }
}

/// Every name below `root`, those that listings have no interest in, too.
fn all_names(root: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for name in names_in(root) {
        let path = root.join(&name);
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            all.extend(all_names(&path).into_iter().map(|below| format!("{name}/{below}")));
        }
        all.push(name);
    }
    all
}

#[test]
fn each_layer_is_read_once() {
    let layers = Layers::of(&[
        vec![file("a", "lower"), file("b", "lower"), file("d/e/f", "lower"), symlink("l", "d")],
        vec![file("a", "upper"), file(".wh.b", ""), file("l/e/f", "upper"), file("l/large", noise(1, 400_000))],
        vec![file(".wh.d", ""), directory("d"), file("d/new", "uppermost")],
    ]);
    let place = layers.once(2).unwrap();
    assert_eq!(layers.opened.load(Ordering::Relaxed), 3);
    assert_eq!(all_names(place.path()), ["a", "d/new", "d", "l"]);
    assert_eq!(fs::read_to_string(place.path().join("a")).unwrap(), "upper");
    assert_eq!(fs::read_to_string(place.path().join("l/new")).unwrap(), "uppermost");
}

/// A link may lead elsewhere each time that a layer which is listed twice comes through it.
#[test]
fn a_layer_that_is_listed_twice_may_have_one_file_at_two_places() {
    for content in [noise(1, 10), noise(2, 700_000)] {
        let twice = vec![file("l/x", &content)];
        let layers = Layers::of(&[
            vec![directory("m"), directory("n"), symlink("l", "m")],
            twice.clone(),
            vec![symlink("l", "n")],
            twice,
        ]);
        for place in [layers.once(3).unwrap(), layers.twice(3).unwrap()] {
            for path in ["m/x", "n/x"] {
                assert!(fs::read(place.path().join(path)).unwrap() == content, "{path}");
            }
        }
    }
}

/// What is wrong with one layer is told, whatever came to disk of the others.
#[test]
fn what_does_not_hold_is_an_error() {
    let good = Blob::of(&tar(&[file("a", noise(1, 900_000)), file("b", "b")]), GZIP);
    let wrong = Blob { diff_id: Digest::of(b"another").hex().to_string(), ..good.clone() };
    let cut = Blob { bytes: good.bytes[..good.bytes.len() - 20].to_vec(), ..good.clone() };
    let of = |layers: &[&Blob], threads| -> Error {
        Layers::new(&layers.iter().map(|it| (*it).clone()).collect::<Vec<_>>()).once(threads).unwrap_err()
    };
    for threads in [1, 3] {
        let error = of(&[&good, &wrong], threads);
        assert_eq!(error.kind, ErrorKind::Integrity, "{error:?}");
        assert!(error.message.contains(&format!("unpacks to sha256:{}", good.diff_id)), "{error:?}");
        let error = of(&[&cut, &good], threads);
        assert!(error.message.contains("cannot be decompressed"), "{error:?}");
        // The blob is another than the one that was asked for.
        let mut layers = Layers::new(std::slice::from_ref(&good));
        let last = layers.blobs[0].len() - 1;
        layers.blobs[0][last] ^= 1;
        let error = layers.once(threads).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Integrity, "{error:?}");
    }
    let plain = Layers::new(&[Blob::of(&tar(&[file("a", "a")]), PLAIN)]);
    assert_eq!(all_names(plain.once(1).unwrap().path()), ["a"]);
}
