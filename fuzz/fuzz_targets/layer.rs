//! A layer of any content at any level of gzip is read back by another decoder, bit for bit.

#![no_main]

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use flate2::read::GzDecoder;
use libfuzzer_sys::fuzz_target;
use ocibake::layer::{Compression, Job, Writer};
use ocibake::progress::silent;
use ocibake::tree::{Attributes, Content, Entry, Kind};

const LONGEST: usize = 3 << 20;

fuzz_target!(|input: &[u8]| {
    let Some((level, program)) = input.split_first() else { return };
    let kind = Kind::File(Content::Bytes(Arc::from(content(program))));
    let path = b"content".to_vec();
    let entries = [Entry { path, kind, attributes: Attributes { mode: 0o644, ..Attributes::implied() } }];
    let tar = write(&entries, Compression::None);
    let gzip = write(&entries, Compression::Gzip(i32::from(level % 12) + 1));
    let mut decoder = GzDecoder::new(&gzip[..]);
    let mut found = Vec::new();
    decoder.read_to_end(&mut found).expect("it is one member");
    assert!(found == tar);
    assert!(decoder.into_inner().is_empty());
});

/// What `program` says, four bytes an instruction: a few bytes make a lot of data, with repeats of all lengths and
/// distances.
fn content(program: &[u8]) -> Vec<u8> {
    let mut content: Vec<u8> = Vec::new();
    for instruction in program.chunks_exact(4) {
        let &[what, a, b, c] = instruction else { return content };
        let number = usize::from(b) << 8 | usize::from(c);
        if content.len() + (1 << 16) > LONGEST {
            break;
        }
        match what % 5 {
            0 => content.extend([a, b, c]),
            1 => content.extend(std::iter::repeat_n(a, number)),
            // From as far back as the window reaches, and a little farther.
            2 => repeat(&mut content, number, usize::from(a) + 3),
            3 => repeat(&mut content, number, usize::from(a) << 8),
            _ => {
                let mut state = u64::from(a) << 16 | number as u64 | 1 << 40;
                content.extend((0..number / 4).map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    // Of few different bytes, or of all.
                    (state >> 24) as u8 & a.rotate_left(4) | b'0'
                }));
            }
        }
    }
    content
}

/// Adds `length` bytes that have been there `distance` bytes before.
fn repeat(content: &mut Vec<u8>, distance: usize, length: usize) {
    if (1..=content.len()).contains(&distance) {
        (0..length).for_each(|_| content.push(content[content.len() - distance]));
    }
}

fn write(entries: &[Entry], compression: Compression) -> Vec<u8> {
    let (entries, destination) = (Arc::new(entries.to_vec()), Path::new("nowhere"));
    let job = Job { number: 0, title: "fuzz", entries, sink: Vec::new(), destination, earlier: None };
    let writer = Writer::new(compression, 1, &silent);
    thread::scope(|scope| {
        scope.spawn(|| writer.serve());
        let written = writer.write(job).expect("nothing that could fail");
        writer.close();
        written.sink
    })
}
