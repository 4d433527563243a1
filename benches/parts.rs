//! The parts of the layer engine, each on one thread: `cargo bench`. Whole commands are in `compare.py`.

use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Write, sink};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use ocibake::layer::{self, Compression, Job, Layer, Owners, Writer, Written};
use ocibake::oci::{Descriptor, Digest, VerifyingReader};
use ocibake::progress::silent;
use ocibake::tree::{self, Attributes, Content, Entry, Ignore, Kind, Limits};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// Of the content that is compressed and hashed, in bytes.
const SIZE: usize = 16 << 20;

criterion_group!(parts, hash, compress, headers, walk, unpack);
criterion_main!(parts);

fn hash(criterion: &mut Criterion) {
    let content = content();
    let mut group = group(criterion, "hash", content.len());
    group.bench_function("sha256", |bencher| bencher.iter(|| Digest::of(black_box(&content))));
}

/// A layer of one file: tar, compression, both digests.
fn compress(criterion: &mut Criterion) {
    let entries = [file(b"content".to_vec(), content())];
    let mut group = group(criterion, "layer", SIZE);
    for name in ["none", "gzip:1", "gzip:4", "gzip:5", "gzip:6", "gzip:9", "zstd:1", "zstd:3", "zstd:9"] {
        let compression: Compression = name.parse().expect("the list has valid names");
        group.bench_function(name, |bencher| bencher.iter(|| write(&entries, compression)));
    }
}

/// A layer of empty files: nearly all headers.
fn headers(criterion: &mut Criterion) {
    let path = |number| format!("{:02}/{number:05}", number % 97).into_bytes();
    let mut entries: Vec<Entry> = (0..20_000).map(|number| file(path(number), Vec::new())).collect();
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    let mut group = criterion.benchmark_group("headers");
    group.throughput(Throughput::Elements(entries.len() as u64)).sample_size(10);
    group.bench_function("20,000 empty files", |bencher| bencher.iter(|| write(&entries, Compression::None)));
}

fn walk(criterion: &mut Criterion) {
    // What a checkout has: this package's own folder, without what was built in it.
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ignore = Ignore::new(["target", ".git"]).expect("these are patterns");
    let count = tree::walk(root, &ignore).expect("it can be read").len();
    let mut group = criterion.benchmark_group("walk");
    group.throughput(Throughput::Elements(count as u64));
    group.bench_function("this package", |bencher| bencher.iter(|| tree::walk(root, &ignore)));
}

/// A layer of files of 64 KiB: read and checked, and then written to a directory.
fn unpack(criterion: &mut Criterion) {
    let content = content();
    let files = content.chunks(64 << 10).enumerate();
    let entries: Vec<Entry> =
        files.map(|(number, part)| file(format!("{number:05}").into_bytes(), part.to_vec())).collect();
    let pool = one_thread();
    let mut group = group(criterion, "unpack", SIZE);
    for name in ["none", "gzip:6", "zstd:3"] {
        let compression: Compression = name.parse().expect("the list has valid names");
        let Written { sink: blob, diff_id, .. } = written(&entries, Vec::new(), compression);
        let layers = [Layer { descriptor: Descriptor::of(compression.media_type(), &blob), diff_id }];
        let open = |at: &Descriptor| {
            let blob = VerifyingReader::new(&blob[..], at.digest, at.size);
            Ok(Box::new(blob) as Box<dyn Read + Send + '_>)
        };
        let read = || {
            let limits = Limits::of(&layers, None);
            layer::read(&layers, &open, limits, &pool).expect("it was written just before")
        };
        group.bench_function(format!("read {name}"), |bencher| bencher.iter(read));
        let tree = read();
        group.bench_function(format!("write {name}"), |bencher| {
            bencher.iter_batched(
                || tempfile::tempdir().expect("there is room"),
                |root| {
                    {
                        let opened = File::open(root.path()).unwrap();
                        layer::unpack(Owners::OfLayers, &tree, &layers, &open, (opened.as_fd(), root.path()), &pool)
                    }
                    .map(|_| root)
                },
                BatchSize::PerIteration,
            )
        });
    }
}

fn group<'a>(criterion: &'a mut Criterion, name: &str, bytes: usize) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(bytes as u64)).sample_size(10);
    group
}

fn write(entries: &[Entry], compression: Compression) -> Digest {
    written(entries, sink(), compression).digest
}

/// By one thread.
fn written<W: Write + Send>(entries: &[Entry], sink: W, compression: Compression) -> Written<W> {
    let writer = Writer::new(compression, 1, &silent);
    let (entries, destination) = (Arc::new(entries.to_vec()), Path::new("nowhere"));
    let job = Job { number: 0, title: "bench", entries, sink, destination, earlier: None };
    thread::scope(|scope| {
        scope.spawn(|| writer.serve());
        let written = writer.write(job).expect("nothing that could fail");
        writer.close();
        written
    })
}

fn one_thread() -> ThreadPool {
    ThreadPoolBuilder::new().num_threads(1).build().expect("one thread can be started")
}

/// This program's own machine code, again and again: about as compressible as what images hold.
fn content() -> Vec<u8> {
    let program = std::env::current_exe().and_then(std::fs::read).expect("the program can read itself");
    program.into_iter().cycle().take(SIZE).collect()
}

fn file(path: Vec<u8>, content: Vec<u8>) -> Entry {
    let kind = Kind::File(Content::Bytes(Arc::from(content)));
    Entry { path, kind, attributes: Attributes { mode: 0o644, ..Attributes::implied() } }
}
