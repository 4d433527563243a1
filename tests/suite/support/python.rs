//! What Python's own libraries read: a second opinion on tar and gzip.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::listing::{Kind, Listing, Record};
use super::tool;

const LISTING: &str = r#"
import hashlib, json, os, sys, tarfile
with tarfile.open(sys.argv[1], "r:", encoding="utf-8", errors="surrogateescape") as tar:
    for member in tar:
        content = tar.extractfile(member).read() if member.isreg() else b""
        print(json.dumps({
            "path": list(os.fsencode(member.name)),
            "type": member.type.decode(),
            "mode": member.mode, "user": member.uid, "group": member.gid,
            "time": int(member.pax_headers.get("mtime", int(member.mtime))),
            "target": list(os.fsencode(member.linkname)),
            "size": member.size, "sha256": hashlib.sha256(content).hexdigest(),
            "attributes": {key: list(os.fsencode(value)) for key, value in member.pax_headers.items()
                           if key.startswith("SCHILY.xattr.")},
        }))
"#;

const ONE_MEMBER: &str = r#"
import gzip, hashlib, sys, zlib
for line in sys.stdin:
    path, diff_id = line.rsplit(" ", 1)
    blob = open(path, "rb").read()
    stream = zlib.decompressobj(31)
    tar = stream.decompress(blob)
    assert stream.eof and not stream.unused_data and not stream.unconsumed_tail, path
    assert gzip.decompress(blob) == tar, path
    assert "sha256:" + hashlib.sha256(tar).hexdigest() == diff_id.strip(), path
"#;

/// The content of a tar.
pub fn listing_of(tar: &Path) -> Listing {
    let mut listing = Listing(BTreeMap::new());
    let lines = tool::run("python3", ["-c", LISTING, tar.to_str().unwrap()]);
    for line in lines.lines() {
        let member: Value = serde_json::from_str(line).unwrap();
        let path = bytes(&member["path"]);
        let kind = match member["type"].as_str().unwrap() {
            "0" => Kind::File {
                size: member["size"].as_u64().unwrap(),
                sha256: member["sha256"].as_str().unwrap().to_owned(),
                link: None,
            },
            "5" => Kind::Directory,
            "2" => Kind::Symlink { target: bytes(&member["target"]) },
            "1" => {
                let target = bytes(&member["target"]);
                let mut record = listing.0.get(&target).expect("a hard link follows its target").clone();
                if let Kind::File { link, .. } = &mut record.kind {
                    link.get_or_insert(target.clone());
                }
                listing.0.insert(target, record.clone());
                listing.0.insert(path, record);
                continue;
            }
            other => panic!("{} is of type {other}", path.escape_ascii()),
        };
        let attributes = member["attributes"].as_object().unwrap().iter();
        let record = Record {
            mode: if matches!(kind, Kind::Symlink { .. }) { 0 } else { member["mode"].as_u64().unwrap() as u32 },
            kind,
            user: member["user"].as_u64().unwrap(),
            group: member["group"].as_u64().unwrap(),
            time: member["time"].as_i64().unwrap(),
            attributes: attributes
                .map(|(key, value)| (key.trim_start_matches("SCHILY.xattr.").to_owned(), bytes(value)))
                .collect(),
        };
        assert!(listing.0.insert(path.clone(), record).is_none(), "{} comes twice", path.escape_ascii());
    }
    listing
}

/// Fails unless each file is one gzip member, with nothing behind it, of a tar with the diff_id given.
pub fn assert_one_member<'a>(blobs: impl IntoIterator<Item = (&'a Path, String)>) {
    let lines: String = blobs.into_iter().map(|(path, diff_id)| format!("{} {diff_id}\n", path.display())).collect();
    tool::run_with_input("python3", ["-c", ONE_MEMBER], lines.as_bytes());
}

fn bytes(list: &Value) -> Vec<u8> {
    list.as_array().unwrap().iter().map(|byte| byte.as_u64().unwrap() as u8).collect()
}
