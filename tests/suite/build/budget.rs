//! Small input that would come to much: it is refused by a limit that its error names, and what is honest is not.

use std::io::Write;

use proptest::prelude::*;
use serde_json::json;

use crate::support::program::{Outcome, Program};
use crate::support::tree::Tree;

/// Builds a Dockerfile that is told by standard input, and has no context.
fn build(dockerfile: &str) -> Outcome {
    let place = Tree::new().file("Dockerfile", dockerfile).plant();
    let output = place.path().join("x.tar");
    let arguments = ["build", place.path().to_str().unwrap(), "--platform=linux/amd64", "-o", output.to_str().unwrap()];
    Program::new().run(arguments)
}

fn repeated(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect()
}

#[test]
fn relative_workdirs_add_up_to_a_path_that_a_system_opens() {
    let deep = |count| format!("FROM scratch\n{}", repeated(count, |_| "WORKDIR a\n".to_owned()));
    build(&deep(100)).success();
    build(&deep(300)).failure(1).says(&["Dockerfile:258:1", "is 257 names deep, more than the limit of 256"]);
    let name = "n".repeat(100);
    let long = format!("FROM scratch\n{}", repeated(50, |_| format!("WORKDIR {name}\n")));
    build(&long).failure(1).says(&["Dockerfile:42:1", "has 4140 bytes, more than the limit of 4095"]);
    let name = "n".repeat(256);
    build(&format!("FROM scratch\nWORKDIR /a/{name}\n"))
        .failure(1)
        .says(&["Dockerfile:2:1", "in a path has 256 bytes, more than the limit of 255"]);
}

#[test]
fn files_are_copied_to_a_path_that_a_system_opens() {
    let name = "n".repeat(256);
    build(&format!("FROM scratch\nCOPY Dockerfile /a/{name}\n"))
        .failure(1)
        .says(&["Dockerfile:2:17", "more than the limit of 255"]);
    // Each stage has what the one before has, deeper.
    let path = format!("/{}", "n".repeat(200)).repeat(15);
    let dockerfile = format!("FROM scratch AS a\nCOPY Dockerfile {path}/f\nFROM scratch\nCOPY --from=a / {path}\n");
    build(&dockerfile).failure(1).says(&["Dockerfile:4:1", "bytes, more than the limit of 4095"]);
}

#[test]
fn a_stage_may_have_many_steps_and_stand_on_many_stages() {
    let steps = repeated(3_000, |number| format!("WORKDIR /x{}\n", number % 50));
    build(&format!("FROM scratch AS a\n{steps}FROM scratch\nCOPY --from=a / /\n")).success();
    let stages = repeated(3_000, |number| format!("FROM s{number} AS s{}\n", number + 1));
    build(&format!("FROM scratch AS s0\nWORKDIR /low\n{stages}WORKDIR /x\n")).success();
}

#[test]
fn variables_that_double_come_to_an_end() {
    let doubling = repeated(40, |_| "ENV A=$A$A\n".to_owned());
    build(&format!("FROM scratch\nENV A=0123456789\n{doubling}"))
        .failure(1)
        .says(&["Dockerfile:21:7", "its variables expand to more than the 8388608 bytes that a word can hold"]);
    let doubling = repeated(40, |_| "ARG A=${A}${A}\n".to_owned());
    build(&format!("ARG A=0123456789\n{doubling}FROM scratch\n")).failure(1).says(&["Dockerfile:20:7", "8388608"]);
}

#[test]
fn what_all_words_come_to_has_an_end() {
    let doubling = repeated(17, |_| "ARG A=$A$A\n".to_owned());
    let long = format!("FROM scratch\nARG A=0123456789abcdef\n{doubling}");
    let many = format!("{long}{}", repeated(400, |number| format!("LABEL l{number}=$A\n")));
    build(&many).failure(1).says(&["expand to more than 268435456 bytes"]);
    // A stage has the settings of the one below.
    let stages = repeated(2_000, |number| format!("FROM s{number} AS s{}\n", number + 1));
    let many = format!("FROM scratch AS s0\nARG A=0123456789abcdef\n{doubling}ENV B=$A\n{stages}WORKDIR /x\n");
    build(&many).failure(1).says(&["expand to more than 268435456 bytes"]);
}

#[test]
fn settings_that_no_registry_takes_are_refused() {
    let doubling = repeated(18, |_| "ARG A=$A$A\n".to_owned());
    build(&format!("FROM scratch\nARG A=0123456789abcdef\n{doubling}ENV B=$A\nWORKDIR /x\n"))
        .failure(1)
        .says(&["the config of the image has ", " bytes, more than the limit of 4194304"]);
}

#[test]
fn copies_that_double_come_to_an_end() {
    let [a, b] = ["a", "b"].map(|name| name.repeat(200));
    let stage = |number: usize| {
        let below = number.checked_sub(1).map_or("scratch".to_owned(), |below| format!("s{below}"));
        let copies = match number {
            0 => "COPY Dockerfile /f\n".to_owned(),
            _ => format!("COPY --from={below} / /{a}/\nCOPY --from={below} / /{b}/\n"),
        };
        format!("FROM scratch AS s{number}\n{copies}")
    };
    build(&repeated(5, stage)).success();
    build(&repeated(60, stage)).failure(1).says(&["of the build's steps have more than 268435456 bytes"]);
}

/// Users are looked for in memory; their files are as large as an image says.
#[test]
fn a_file_of_users_may_not_be_larger_than_one_is() {
    let place = Tree::new().file("Dockerfile", "").file("passwd", "root:x:0:0::/:/bin/sh\n").plant();
    let build = |dockerfile: &str| {
        std::fs::write(place.path().join("Dockerfile"), dockerfile).unwrap();
        let output = place.path().join("x.tar");
        let context = place.path().to_str().unwrap();
        Program::new().run(["build", context, "--platform=linux/amd64", "-o", output.to_str().unwrap()])
    };
    let set_size = |size: u64| {
        std::fs::File::options().write(true).open(place.path().join("passwd")).unwrap().set_len(size).unwrap();
    };
    for file in ["passwd", "group"] {
        let owner = if file == "passwd" { "somebody" } else { "0:somebody" };
        let dockerfile = format!("FROM scratch\nCOPY passwd /etc/{file}\nCOPY --chown={owner} Dockerfile /x\n");
        set_size(16 << 20);
        build(&dockerfile).success();
        set_size((16 << 20) + 1);
        let says = format!("/etc/{file} of the image has 16777217 bytes, more than the limit of 16777216");
        build(&dockerfile).failure(1).says(&["Dockerfile:3", &says]);
        // A number is looked for nowhere.
        build(&dockerfile.replace("somebody", "7")).success();
    }
}

/// A docker archive of `layers`, by name; with `links` to the first of them.
fn archive(layers: &[Vec<u8>], diff_id: &str, links: usize) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let mut tar = tar::Builder::new(std::fs::File::create(place.path().join("x.tar")).unwrap());
    let mut names = Vec::new();
    let mut add = |name: String, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, &name, bytes).unwrap();
    };
    for (number, layer) in layers.iter().enumerate() {
        names.push(format!("layer{number}"));
        add(format!("layer{number}"), layer);
    }
    names.extend((0..links).map(|number| format!("link{number}")));
    let config = json!({"os": "linux", "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": vec![diff_id; names.len()]}});
    add("config.json".to_owned(), config.to_string().as_bytes());
    let images = json!([{"Config": "config.json", "RepoTags": null, "Layers": names}]);
    add("manifest.json".to_owned(), images.to_string().as_bytes());
    for number in 0..links {
        let mut header = tar::Header::new_ustar();
        header.set_size(0);
        header.set_entry_type(tar::EntryType::Link);
        tar.append_link(&mut header, format!("link{number}"), "layer0").unwrap();
    }
    tar.finish().unwrap();
    place
}

fn inspect(place: &tempfile::TempDir) -> Outcome {
    Program::new().directory(place.path()).run(["inspect", "docker-archive:x.tar"])
}

/// So many MiB of zeros; `mark` makes one frame unlike another of the same content.
fn zeros(count: usize, mark: u8) -> Vec<u8> {
    let mut frames = zstd::Encoder::new(Vec::new(), 1).unwrap();
    (0..count).for_each(|_| frames.write_all(&vec![0; 1 << 20]).unwrap());
    let mut frames = frames.finish().unwrap();
    frames.extend(zstd::encode_all(&[][..], i32::from(mark)).unwrap());
    // A frame that is skipped (RFC 8878, 3.1.2).
    frames.extend([0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, mark]);
    frames
}

#[test]
fn a_layer_of_a_docker_archive_is_unpacked_once_whatever_its_names() {
    let (size, hex) = crate::support::listing::digest(std::io::Read::take(std::io::repeat(0), 256 << 20));
    assert_eq!(size, 256 << 20);
    let layer = zeros(256, 0);
    let copies = vec![layer; 4];
    // 16 GiB, if each were unpacked.
    inspect(&archive(&copies, &format!("sha256:{hex}"), 60)).success();
}

#[test]
fn the_layers_of_a_small_docker_archive_do_not_unpack_to_much() {
    let hex = "0".repeat(64);
    let place = archive(&[zeros(2049, 0)], &format!("sha256:{hex}"), 0);
    inspect(&place).failure(1).says(&["x.tar: the layers in the archive unpack to more than 2147483648 bytes"]);
}

#[derive(Debug, Clone)]
enum Packing {
    Gzip,
    Zstd,
}

fn member() -> impl Strategy<Value = (u8, Vec<u8>, Vec<u8>)> {
    let kind = prop::sample::select(b"0125xgLKS6".to_vec());
    let name = prop::collection::vec(prop::sample::select(b"ab/.\0".to_vec()), 0..40);
    (kind, name, prop::collection::vec(any::<u8>(), 0..2000))
}

fn archived(members: &[(u8, Vec<u8>, Vec<u8>)], packings: &[Packing]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, name, content) in members {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.as_old_mut().linkname[..name.len()].copy_from_slice(name);
        header.set_entry_type(tar::EntryType::new(*kind));
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.extend([0; 1024]);
    for packing in packings {
        bytes = match packing {
            Packing::Gzip => {
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                gzip.write_all(&bytes).unwrap();
                gzip.finish().unwrap()
            }
            Packing::Zstd => zstd::encode_all(&bytes[..], 1).unwrap(),
        };
    }
    bytes
}

proptest! {
    /// Whatever is in an archive, and however often it is compressed, no more is had of it than the limits allow.
    #[test]
    fn readers_keep_within_the_limits(
        members in prop::collection::vec(member(), 0..8),
        packings in prop::collection::vec(prop::sample::select(vec![Packing::Gzip, Packing::Zstd]), 0..3),
        size in 0_u64..20_000,
        entries in 0_u64..8,
        text in 0_u64..4000,
    ) {
        let archive = archived(&members, &packings);
        let mut unpacked = ocibake::layer::decompressed(&archive[..]).unwrap();
        let limits = ocibake::tree::Limits { size, entries, text };
        let spool = |_| Ok(std::sync::Arc::new(ocibake::tree::Spool::new(ocibake::oci::Digest::of(b""))));
        match ocibake::layer::read_archive(&mut unpacked, std::io::sink(), spool, "it", limits) {
            Ok(overlay) => {
                let tree = overlay.files();
                let paths: Vec<Vec<u8>> = tree.paths().map(|(path, _)| path).collect();
                let told = tree.paths().filter(|(path, _)| !path.is_empty() && !overlay.is_implied(path));
                prop_assert!(told.count() as u64 <= entries);
                prop_assert!(paths.iter().all(|path| path.len() <= 4095));
            }
            Err(error) => prop_assert!(!error.message.is_empty()),
        }
    }
}
