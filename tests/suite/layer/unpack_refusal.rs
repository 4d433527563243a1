//! Layers that are damaged, no layers, or larger than they say are refused, and leave nothing.

use std::fs;

use ocibake::error::ErrorKind;
use ocibake::layer::{self, Layer};
use ocibake::oci::{Descriptor, Digest};
use ocibake::tree::Limits;
use tar::EntryType;

use super::unpack::{fails, unpacked, written};
use crate::support::handmade::{Blob, GZIP, Handmade, PLAIN, ZSTD, entry, file, gzip, tar};
use crate::support::listing::digest;
use crate::support::noise::noise;
use crate::support::traces::names_in;

#[test]
fn what_is_no_whole_tar_is_refused() {
    let whole = tar(&[file("a", noise(1, 5000)), file("b", "b")]);
    let of = |bytes: &[u8]| Handmade::new(&[Blob::of(bytes, PLAIN)]);
    let refused = |bytes: &[u8], says: &str| fails(&of(bytes), &[says]);

    let mut checksum = whole.clone();
    checksum[0] ^= 1;
    refused(&checksum, "the header at byte 0 has a wrong checksum");
    refused(&whole[..3000], "in the middle of an entry");
    refused(&whole[..512 + 5120 + 100], "in the middle of an entry");
    refused(&whole[..100], "in the middle of an entry");
    refused(b"no tar at all, but long enough to be a header".repeat(20).as_slice(), "checksum");

    let sized = |size: u64| {
        let mut header = file("huge", "").header();
        header.set_size(size);
        header.set_cksum();
        [header.as_bytes(), &[0; 1024][..]].concat()
    };
    refused(&sized(1 << 40), "unpack to more than 4294967296 bytes");
    refused(&sized(u64::MAX), "an impossible size");
    refused(&sized(1200), "in the middle of an entry");
    refused(&tar(&[file("a", "").record("size", "-5")]), "an impossible size");
    refused(&tar(&[file("a", "").record("size", "many")]), "an impossible size");
    refused(&tar(&[file("a", "").record("mtime", "noon")]), "a has an invalid time");
    refused(&tar(&[file("a", "").record("uid", "4294967295")]), "a has an invalid uid");
    refused(&tar(&[file("a", "").record("GNU.sparse.major", "1")]), "sparse");
    refused(&tar(&[entry(EntryType::GNUSparse, "a")]), "sparse");
    refused(&tar(&[entry(EntryType::new(b'?'), "a")]), "a has the type `?`");
    let mut long = entry(EntryType::XHeader, "x").header();
    long.set_size(2 << 20);
    long.set_cksum();
    refused(&[long.as_bytes(), &vec![0; 3 << 20][..]].concat(), "2097152 bytes");
    let mut records = entry(EntryType::XHeader, "x").header();
    records.set_size(9);
    records.set_cksum();
    let mut data = b"99 path=a".to_vec();
    data.resize(512, 0);
    refused(&[records.as_bytes(), &data[..], &whole].concat(), "a pax header is damaged");

    // Nothing at all is a layer of nothing, as docker makes them, and a tar may lack its end.
    assert_eq!(names_in(unpacked(&of(&[])).path()), [""; 0]);
    assert_eq!(names_in(unpacked(&of(&[0; 1024])).path()), [""; 0]);
    assert_eq!(names_in(unpacked(&of(&whole[..whole.len() - 1024])).path()), ["a", "b"]);
    // What stands behind the end is nobody's.
    assert_eq!(names_in(unpacked(&of(&[whole.clone(), noise(3, 300_000)].concat())).path()), ["a", "b"]);
}

#[test]
fn what_cannot_be_decompressed_is_refused() {
    let whole = tar(&[file("a", noise(1, 500_000))]);
    let refused = |media_type, bytes: Vec<u8>| {
        fails(
            &Handmade::new(&[Blob { bytes, ..Blob::of(&whole, media_type) }]),
            &["cannot be decompressed", "sha256:"],
        );
    };
    for media_type in [GZIP, ZSTD] {
        let blob = Blob::of(&whole, media_type).bytes;
        refused(media_type, blob[..blob.len() - 5].to_vec());
        refused(media_type, blob[..blob.len() / 2].to_vec());
        refused(media_type, [&blob[..], b"and something behind it"].concat());
        let mut damaged = blob.clone();
        damaged[blob.len() / 2] ^= 0x55;
        let image = Handmade::new(&[Blob { bytes: damaged, ..Blob::of(&whole, media_type) }]);
        // Noise is stored as it is: it decompresses, and to something else.
        let (outcome, _, place) = written(&image);
        outcome.unwrap_err();
        assert_eq!(names_in(place.path()), [""; 0]);
    }
}

#[test]
fn what_is_no_layer_is_refused() {
    let odd = Blob { media_type: "application/vnd.example.model", ..Blob::of(&tar(&[]), PLAIN) };
    fails(&Handmade::new(&[odd]), &["application/vnd.example.model", "sha256:"]);
    let image = Handmade::of(&[&[file("a", "")]]);
    fs::remove_file(image.blob_path(&gzip(&tar(&[file("a", "")])))).unwrap();
    let (outcome, _, place) = written(&image);
    assert_eq!(outcome.unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(names_in(place.path()), [""; 0]);
}

/// Nothing is to be seen of any layer unless all of them hold, those with what is damaged behind the last entry, too.
#[test]
fn a_wrong_digest_leaves_nothing() {
    let good = Blob::of(&tar(&[file("a", noise(1, 100_000))]), GZIP);
    let other = Blob::of(&tar(&[file("b", "b")]), GZIP);
    let wrong_diff_id = Blob { diff_id: digest(&b"another"[..]).1, ..other.clone() };
    fails(
        &Handmade::new(&[good.clone(), wrong_diff_id]),
        &["unpacks to sha256:", &other.diff_id, "of the image's config"],
    );

    let damages: [fn(&mut Vec<u8>); 3] =
        [|bytes| bytes[50] ^= 1, |bytes| bytes.truncate(50_000), |bytes| bytes.push(0)];
    for damage in damages {
        let image = Handmade::new(&[other.clone(), good.clone()]);
        let path = image.blob_path(&good.bytes);
        let mut bytes = good.bytes.clone();
        damage(&mut bytes);
        fs::write(&path, bytes).unwrap();
        let (outcome, _, place) = written(&image);
        let error = outcome.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Integrity, "{error:?}");
        assert!(error.message.contains(&digest(&good.bytes[..]).1), "{error:?}");
        assert_eq!(names_in(place.path()), [""; 0]);
    }
}

/// A million short attributes have few bytes in the tar and many in memory.
#[test]
fn what_attributes_take_in_memory_is_limited() {
    let read = |key: &str, count: usize| {
        let many = (0..count).fold(file("a", ""), |file, number| file.record(&format!("{key}{number:04}"), "x"));
        let tar = tar(&[many]);
        let (blob, diff_id) = (Descriptor::of(PLAIN, &tar), Digest::of(&tar));
        let open = |_: &Descriptor| Ok(Box::new(&tar[..]) as Box<dyn std::io::Read + Send>);
        let limits = Limits { size: 1 << 20, entries: 10, text: 100_000 };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        layer::read(&[Layer { descriptor: blob, diff_id }], &open, limits, &pool)
    };
    let error = read("SCHILY.xattr.user.", 1000).unwrap_err();
    assert!(error.message.contains("extended attributes of the image have more than 100000 bytes"), "{error:?}");
    let tree = read("SCHILY.xattr.user.", 500).unwrap();
    assert_eq!(tree.get(b"a").unwrap().attributes().xattrs.len(), 500);
    // What is not heeded is not kept.
    assert_eq!(read("comment", 1000).unwrap().get(b"a").unwrap().attributes().xattrs.len(), 0);
}

#[test]
fn a_zstd_frame_with_a_huge_window_is_refused() {
    let whole = tar(&[file("a", "a")]);
    // RFC 8878, 3.1.1.1: no single segment; the window is 2^(10 + exponent) bytes. Then one raw block, the last.
    let frame = |exponent: u8| {
        let size = whole.len() as u32;
        let block = (size << 3 | 1).to_le_bytes();
        [&[0x28, 0xb5, 0x2f, 0xfd, 0, exponent << 3][..], &block[..3], &whole].concat()
    };
    let image = |exponent| Handmade::new(&[Blob { bytes: frame(exponent), ..Blob::of(&whole, ZSTD) }]);
    for exponent in [18, 21, 31] {
        fails(&image(exponent), &["cannot be decompressed"]);
    }
    assert_eq!(names_in(unpacked(&image(17)).path()), ["a"]);
}
