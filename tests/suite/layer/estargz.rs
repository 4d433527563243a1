//! Layers of eStargz, read by its specification alone (stargz-snapshotter, docs/estargz.md).

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::bufread::GzDecoder;
use ocibake::layer::{Compression, Written};
use ocibake::plan::label::rfc3339;
use ocibake::tree::{Entry, Kind};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::write::{any_entries, assorted, golden};
use crate::support::entry::{directory, file, listing_of, symlink, tar_of, write, write_all, write_to};
use crate::support::layout::Layout;
use crate::support::listing::{self, Listing, Record, digest};
use crate::support::noise::noise;
use crate::support::program::Program;
use crate::support::tree::Tree;

pub(super) const LANDMARK: &str = ".no.prefetch.landmark";
pub(super) const TOC: &str = "stargz.index.json";
const TOC_DIGEST: &str = "containerd.io/snapshot/stargz/toc.digest";
const UNCOMPRESSED_SIZE: &str = "io.containers.estargz.uncompressed-size";

const MIB: usize = 1 << 20;

#[test]
fn any_entries_are_where_the_table_says() {
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    let settings = (any_entries().prop_map(in_utf8), 1..=12i32, 1..9usize);
    let outcome = TestRunner::new(config).run(&settings, |(entries, level, threads)| {
        assert_holds(&write(&entries, Compression::Estargz(level), threads), &entries);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn files_of_every_size_around_a_chunk_come_back() {
    let sizes = [0, 1, 511, 512, 513, MIB - 1, MIB, MIB + 1, 2 * MIB, 4 * MIB - 512, 4 * MIB, 5 * MIB + 7];
    let all: Vec<Entry> = sizes.iter().map(|size| file(format!("{size:08}"), noise(7, *size))).collect();
    assert_holds(&write(&all, Compression::Estargz(1), 2), &all);
    for one in all.chunks(1) {
        assert_holds(&write(one, Compression::Estargz(1), 2), one);
    }
}

#[test]
fn any_number_of_headers_may_follow_a_content() {
    // 4 MB of them.
    let links = |letter: char| (0..4000).map(move |number| symlink(format!("{letter}{number:05}"), "t".repeat(101)));
    let mut entries: Vec<Entry> = links('a').collect();
    entries.push(file("b", noise(1, 3 * MIB / 2)));
    entries.extend(links('c'));
    let blob = write(&entries, Compression::Estargz(6), 3);
    assert_holds(&blob, &entries);
}

#[test]
fn a_layer_without_entries_has_a_landmark_and_a_table() {
    let blob = write(&[], Compression::Estargz(6), 1);
    assert_holds(&blob, &[]);
    assert_eq!(Listing::of_tar(&tar_of(&blob.sink, Compression::Estargz(6))[..]).0.len(), 2);
}

#[test]
fn the_bytes_are_the_same_for_any_number_of_threads() {
    let (one, other) = (assorted(), golden());
    let expected = write(&one, Compression::Estargz(2), 1);
    assert_holds(&expected, &one);
    for threads in [1, 2, 3, 8, 64] {
        assert!(write(&one, Compression::Estargz(2), threads).sink == expected.sink, "{threads} threads");
        let jobs = [&one[..], &other, &[]].into_iter().map(|entries| (Vec::new(), entries)).collect();
        let side_by_side = write_all(jobs, Compression::Estargz(2), threads);
        for (written, entries) in side_by_side.into_iter().zip([&one[..], &other, &[]]) {
            let written = written.unwrap();
            let alone = write(entries, Compression::Estargz(2), 1);
            assert!(written.sink == alone.sink, "{threads} threads");
            assert_eq!((written.diff_id, &written.annotations), (alone.diff_id, &alone.annotations));
        }
    }
}

/// As in `layer.rs`: an update that changes bytes must not pass unseen.
#[test]
fn the_bytes_are_those_they_have_always_been() {
    let expected = [
        (1, "d911f07e334521c25e3e8a01b8e67d348227e63a926b8a4dcd650ddb414404c7"),
        (6, "2847985e7774cf1bdf73a652c182d9f239d74f4c07142dc81233535acc0a21a4"),
        (12, "57fb52c4910c485a5add18331b9e97b33b1ec1982c165e3271608501d60f4510"),
    ];
    let digests = expected.map(|(level, _)| {
        let blob = write(&golden(), Compression::Estargz(level), 2);
        assert_holds(&blob, &golden());
        (level, blob.digest.hex())
    });
    assert_eq!(digests.each_ref().map(|(level, digest)| (*level, digest.as_str())), expected);
}

#[test]
fn what_the_format_has_a_meaning_for_is_refused() {
    for path in [LANDMARK, TOC, ".prefetch.landmark"] {
        for entry in [file(path, "x"), directory(path), symlink(path, "x")] {
            let error = write_to(Vec::new(), &[entry], Compression::Estargz(6), 1).unwrap_err();
            assert!(error.message.contains(path) && error.hint.unwrap().contains("exclude"), "{}", error.message);
        }
        let below = [directory("a"), file(format!("a/{path}"), "x")];
        assert_holds(&write(&below, Compression::Estargz(6), 1), &below);
        write(&[file(path, "x")], Compression::Gzip(6), 1);
    }
}

#[test]
fn what_json_cannot_hold_is_refused() {
    for entry in [file(b"caf\xe9", "x"), symlink("link", b"caf\xe9")] {
        let error = write_to(Vec::new(), &[entry], Compression::Estargz(6), 1).unwrap_err();
        assert!(error.message.contains("UTF-8") && error.hint.is_some(), "{}", error.message);
    }
}

#[test]
fn a_store_that_has_most_of_it_gives_the_same_bytes() {
    let context = context();
    let at = |name: &str| context.path().join("files").join(name);
    let warm = Program::new();
    let build = |program: &Program, jobs: &str| {
        let words = ["build", context.path().to_str().unwrap(), "--compression=estargz", "--jobs", jobs];
        program.run(words.iter().chain(&["--no-stat-cache"])).digest()
    };
    build(&warm, "2");
    let changes: [&dyn Fn(); 4] = [
        &|| fs::write(at("noise"), noise(6, 2_600_000)).unwrap(),
        &|| fs::write(at("text"), "fewer words\n".repeat(100_000)).unwrap(),
        &|| fs::write(at("new"), noise(5, 2_600_000)).unwrap(),
        &|| fs::remove_file(at("link")).unwrap(),
    ];
    for (number, change) in changes.iter().enumerate() {
        change();
        assert_eq!(build(&warm, "1"), build(&Program::new(), "8"), "change {number}");
    }
}

#[test]
fn a_known_layer_keeps_its_annotations() {
    let (place, context) = (tempfile::tempdir().unwrap(), context());
    // Younger files are not remembered.
    std::thread::sleep(std::time::Duration::from_millis(150));
    let program = Program::new().directory(place.path());
    let build = |layout: &str| {
        let words = ["build", context.path().to_str().unwrap(), "--compression=estargz", "-o", layout];
        program.run(words).success().stderr
    };
    build("first/");
    assert!(build("second/").contains("unchanged"));
    let [first, second] = ["first", "second"].map(|layout| Layout::open(place.path().join(layout)).images().remove(0));
    assert!(first.manifest["layers"][0]["annotations"][TOC_DIGEST].is_string(), "{}", first.manifest);
    assert_eq!(first.manifest, second.manifest);
}

/// What the table of contents says is so, and the digests, sizes and annotations of the whole are what they should be.
#[track_caller]
fn assert_holds(blob: &Written<Vec<u8>>, entries: &[Entry]) {
    let (size, sha256) = digest(&blob.sink[..]);
    assert_eq!((blob.size, blob.digest.hex()), (size, sha256));
    let members = members(&blob.sink);
    let tar = members.values().flatten().copied().collect::<Vec<u8>>();
    assert_eq!(blob.diff_id.hex(), digest(&tar[..]).1);
    assert!(tar.ends_with(&[0; 1024]) && tar.len().is_multiple_of(512));

    let (toc, json) = table(&blob.sink, &members);
    let annotations =
        [(TOC_DIGEST, format!("sha256:{}", digest(&json[..]).1)), (UNCOMPRESSED_SIZE, tar.len().to_string())];
    let annotations = annotations.map(|(key, value)| (key.to_owned(), value));
    assert_eq!(blob.annotations, BTreeMap::from(annotations));

    let mut expected = entries.to_vec();
    let mut landmark = file(LANDMARK, [0x0f]);
    landmark.attributes.mode = 0o644;
    expected.push(landmark);
    listing_of_table(&toc, &members, entries).assert_is(&listing_of(&expected));
    // The tar is the same, and has the table as its last entry.
    expected.push(file(TOC, &json));
    Listing::of_tar(&tar[..]).assert_is(&listing_of(&expected));
    assert_eq!(tar.len() - 1024 - json.len().next_multiple_of(512), tar_position(&tar, TOC) + 512);
}

/// The gzip members of `blob` ("The structure"), by the offsets at which they begin.
fn members(blob: &[u8]) -> BTreeMap<u64, Vec<u8>> {
    let mut members = BTreeMap::new();
    let mut rest = blob;
    while !rest.is_empty() {
        let (offset, mut content) = (blob.len() - rest.len(), Vec::new());
        GzDecoder::new(&mut rest).read_to_end(&mut content).unwrap();
        members.insert(offset as u64, content);
    }
    members
}

/// The table of contents, and its bytes ("Footer", "TOC").
fn table(blob: &[u8], members: &BTreeMap<u64, Vec<u8>>) -> (Value, Vec<u8>) {
    let footer = &blob[blob.len() - 51..];
    let decoder = GzDecoder::new(footer);
    let extra = decoder.header().unwrap().extra().unwrap();
    assert_eq!((&extra[..4], &extra[20..]), (&b"SG\x16\0"[..], &b"STARGZ"[..]));
    // A block that is the last and stored, with its length and the complement of it; CRC-32 and length of nothing.
    assert_eq!(footer[38..], [1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
    let offset = u64::from_str_radix(std::str::from_utf8(&extra[4..20]).unwrap(), 16).unwrap();
    // It is the last but the footer.
    let starts: Vec<&u64> = members.keys().rev().take(2).collect();
    assert_eq!(starts, [&(blob.len() as u64 - 51), &offset]);
    let mut tar = tar::Archive::new(&members[&offset][..]);
    let mut contents = tar.entries().unwrap();
    let mut entry = contents.next().unwrap().unwrap();
    assert_eq!(entry.path_bytes(), TOC.as_bytes());
    let mut json = Vec::new();
    entry.read_to_end(&mut json).unwrap();
    assert!(contents.next().is_none(), "it stands alone in its member");
    let toc: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(toc["version"], 1);
    (toc, json)
}

/// What the table ("TOCEntries") and the members that it leads to say is in the layer.
fn listing_of_table(toc: &Value, members: &BTreeMap<u64, Vec<u8>>, entries: &[Entry]) -> Listing {
    let times: BTreeMap<&[u8], i64> =
        entries.iter().map(|entry| (&entry.path[..], entry.attributes.modified.seconds)).collect();
    let mut listing = Listing(BTreeMap::new());
    let mut rest = toc["entries"].as_array().unwrap().iter().peekable();
    while let Some(entry) = rest.next() {
        let name = entry["name"].as_str().unwrap();
        let kind = match entry["type"].as_str().unwrap() {
            "reg" => {
                let mut chunks = vec![entry];
                while let Some(chunk) = rest.next_if(|next| next["type"] == "chunk") {
                    assert_eq!(chunk["name"], name);
                    chunks.push(chunk);
                }
                let content = content(&chunks, members);
                let (size, sha256) = digest(&content[..]);
                assert_eq!((number(entry, "size"), &entry["digest"]), (size, &json!(format!("sha256:{sha256}"))));
                listing::Kind::File { size, sha256, link: None }
            }
            "dir" => listing::Kind::Directory,
            "symlink" => listing::Kind::Symlink { target: entry["linkName"].as_str().unwrap().into() },
            "hardlink" => {
                let target: Vec<u8> = entry["linkName"].as_str().unwrap().into();
                let mut record = listing.0[&target].clone();
                let listing::Kind::File { link, .. } = &mut record.kind else { panic!("{entry}") };
                *link = Some(target.clone());
                listing.0.insert(target, record.clone());
                listing.0.insert(name.into(), record);
                continue;
            }
            other => panic!("{other}"),
        };
        let path = name.strip_suffix('/').unwrap_or(name);
        assert_eq!(path != name, kind == listing::Kind::Directory, "{name}");
        let is_link = matches!(kind, listing::Kind::Symlink { .. });
        // RFC 3339 has no other years than these.
        let time = times.get(path.as_bytes()).copied().unwrap_or(0);
        assert_eq!(entry.get("modtime").and_then(Value::as_str), rfc3339(time).ok().as_deref(), "{name}");
        let record = Record {
            mode: if is_link { 0 } else { u32::try_from(number(entry, "mode")).unwrap() },
            kind,
            user: entry["uid"].as_u64().unwrap(),
            group: entry["gid"].as_u64().unwrap(),
            time,
            attributes: attributes(entry),
        };
        assert!(listing.0.insert(path.into(), record).is_none(), "{name} comes twice");
    }
    listing
}

/// A file's content out of the members that its chunks begin.
fn content(chunks: &[&Value], members: &BTreeMap<u64, Vec<u8>>) -> Vec<u8> {
    let size = number(chunks[0], "size");
    let mut content = Vec::new();
    for chunk in chunks.iter().filter(|_| size > 0) {
        let from = number(chunk, "chunkOffset");
        assert_eq!(from, content.len() as u64, "{chunk}");
        // "The last chunk in a reg file or reg file that isn't chunked MUST set this property to zero."
        let length = match number(chunk, "chunkSize") {
            0 => size - from,
            length => length,
        };
        assert!(length > 0 && (from + length < size) == (number(chunk, "chunkSize") > 0), "{chunk}");
        let part = &members[&number(chunk, "offset")][..length as usize];
        assert_eq!(chunk["chunkDigest"], format!("sha256:{}", digest(part).1), "{chunk}");
        content.extend_from_slice(part);
    }
    content
}

fn attributes(entry: &Value) -> BTreeMap<String, Vec<u8>> {
    let Some(attributes) = entry["xattrs"].as_object() else { return BTreeMap::new() };
    let decoded = |(name, value): (&String, &Value)| (name.clone(), STANDARD.decode(value.as_str().unwrap()).unwrap());
    attributes.iter().map(decoded).collect()
}

/// A number, which is 0 if it is left out.
fn number(entry: &Value, key: &str) -> u64 {
    entry.get(key).map_or(0, |value| value.as_u64().unwrap())
}

/// Where the header of `path` begins.
fn tar_position(tar: &[u8], path: &str) -> usize {
    let mut positions = tar::Archive::new(tar);
    let entry = positions.entries().unwrap().map(Result::unwrap).find(|entry| *entry.path_bytes() == *path.as_bytes());
    entry.unwrap().raw_header_position() as usize
}

/// The same with names that are UTF-8, in the same order: each byte as the character of its number.
fn in_utf8(mut entries: Vec<Entry>) -> Vec<Entry> {
    let text = |bytes: &mut Vec<u8>| *bytes = bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into();
    for entry in &mut entries {
        text(&mut entry.path);
        if let Kind::Symlink { target } | Kind::HardLink { target } = &mut entry.kind {
            text(target);
        }
    }
    entries
}

pub(super) fn context() -> TempDir {
    let spec = "name = \"example/seekable\"\nplatforms = [\"linux/amd64\"]\n\
                [[layer]]\nadd = [{ from = \"files\", to = \"/\" }]\n";
    let tree = Tree::new().file("ocibake.toml", spec).file("files/noise", noise(5, 2_600_000));
    let tree = tree.file("files/text", "many words\n".repeat(300_000)).hole("files/hole", 1_500_000);
    let tree = tree.hard_link("files/usr/hard", "files/text").symlink("files/link", "text").directory("files/void");
    let tree = tree.file("files/usr/tool", noise(1, 70_000)).mode(0o4755).file("files/usr/empty", "").mode(0o600);
    let tree = tree.file("files/usr/naïve name", "spaced\n").time(1_700_000_000).file("files/noted", "noted\n");
    let tree = tree.attribute("user.note", [0, 1, 0xff]).directory("files/tmp").mode(0o1777).time(1_600_000_000);
    let far = format!("files/{}/{}", "d".repeat(200), "f".repeat(200));
    (0..60).fold(tree.file(far, "far\n"), |tree, at| tree.file(format!("files/many/{at}"), noise(at, 999))).plant()
}
