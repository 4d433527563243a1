//! What is large stays bounded in memory and open files. These run for minutes and need room in `TMPDIR`, so only when
//! asked for: `cargo test --release --test suite -- --ignored large`.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::docker_registry::DockerRegistry;
use crate::support::listing::digest;
use crate::support::program::Program;
use crate::support::tool::{self, checked, require, skip};
use crate::support::tree::Tree;

const SPEC: &str = "name = \"example/large\"\nplatforms = [\"linux/amd64\"]\n\
                    [[layer]]\nname = \"all\"\nadd = [{ from = \"files\", to = \"/\" }]\n";
const GIB: u64 = 1 << 30;

/// Of resident memory, in KiB, with eight threads.
const LIMIT: u64 = 64 << 10;

#[test]
#[ignore = "takes minutes and 7 GiB of disk"]
fn a_layer_of_4_gib_is_built_and_pushed_in_little_memory() {
    if !["docker-registry", "skopeo", "time"].into_iter().all(require) || !room_for(7 * GIB) {
        return;
    }
    // On disk each content lies once, in the layer several times.
    let add = |name: &str, number: usize| format!("{{ from = \"{name}\", to = \"/{name} {number}\" }},");
    let add: String =
        (0..6).map(|number| add("noise", number)).chain((0..8).map(|number| add("text", number))).collect();
    let spec =
        format!("name = \"example/large\"\nplatforms = [\"linux/amd64\"]\n[[layer]]\nname = \"all\"\nadd = [{add}]\n");
    let context = Tree::new().file("ocibake.toml", spec).plant();
    noise(&context.path().join("noise"), GIB / 2);
    text(&context.path().join("text"), GIB / 8);
    let registry = DockerRegistry::open();
    let name = format!("{}/example/large", registry.address());
    let program = Program::new();
    let arguments = ["push", "--no-fan-out", "--jobs", "8", &format!("{name}:big"), context.path().to_str().unwrap()];
    let (answer, peak) = measured(&program.command(arguments));

    // The registry has checked each blob's digest, and that it has all that the manifest names.
    let raw = ["inspect", "--raw", "--tls-verify=false", &format!("docker://{name}:big")];
    let manifest = tool::run("skopeo", raw);
    assert_eq!(answer.trim_end(), format!("{name}:big@sha256:{}", digest(manifest.as_bytes()).1));
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let layer = &manifest["layers"][0];
    let size = layer["size"].as_u64().unwrap();
    assert!(size > 3 * GIB, "noise has no shorter form, and here are {size} bytes");
    let hex = layer["digest"].as_str().unwrap().trim_start_matches("sha256:");
    let blob = fs::metadata(program.store().join("blobs/sha256").join(hex)).unwrap();
    assert_eq!(blob.size(), size);
    assert!(peak < LIMIT, "it took {peak} KiB");
}

#[test]
#[ignore = "takes minutes"]
fn a_sparse_file_of_9_gib_comes_out_whole() {
    if !["time", "tar", "gzip", "sha256sum", "cmp"].into_iter().all(require) || !room_for(GIB) {
        return;
    }
    let context = context();
    let sparse = context.path().join("files/sparse");
    let file = File::create(&sparse).unwrap();
    file.set_len(9 * GIB).unwrap();
    for (offset, content) in [(0, "first"), (GIB - 3, "middle"), (8 * GIB + 7, "beyond"), (9 * GIB - 4, "last")] {
        file.write_all_at(content.as_bytes(), offset).unwrap();
    }
    let place = tempfile::tempdir().unwrap();
    let layout = place.path().join("layout");
    let into = format!("{}/", layout.display());
    let arguments = ["build", context.path().to_str().unwrap(), "--compression", "gzip:1", "--jobs", "8", "-o", &into];
    let (_, peak) = measured(&Program::new().command(arguments));

    let (blob, diff_id) = only_layer(&layout);
    let listed = shell("gzip -dc < \"$1\" | tar --list --verbose --numeric-owner --file -", &[&blob]);
    let words: Vec<_> = listed.split_whitespace().collect();
    assert_eq!((words[2], words[5]), ("9663676416", "sparse"), "{listed}");
    shell("gzip -dc < \"$1\" | tar --extract --to-stdout --file - | cmp - \"$2\"", &[&blob, &sparse]);
    let tar = shell("gzip -dc < \"$1\" | sha256sum", &[&blob]);
    assert_eq!(format!("sha256:{}", &tar[..64]), diff_id);
    assert!(peak < LIMIT, "it took {peak} KiB");

    // And as a file again, which has its holes.
    let root = place.path().join("root");
    let arguments = ["build", context.path().to_str().unwrap(), "--compression", "gzip:1", "--jobs", "2", "-o"];
    let into = format!("type=local,dest={},limit=10g", root.display());
    let (_, peak) = measured(&Program::new().command(arguments.into_iter().chain([into.as_str()])));
    shell("cmp \"$1\" \"$2\"", &[&root.join("sparse"), &sparse]);
    assert!(fs::metadata(root.join("sparse")).unwrap().blocks() * 512 < 10 << 20);
    assert!(peak < LIMIT, "it took {peak} KiB");
}

#[test]
#[ignore = "takes minutes"]
fn a_layer_of_60_000_files_needs_few_open_files_and_little_memory() {
    if !["time", "tar", "gzip"].into_iter().all(require) || !room_for(GIB) {
        return;
    }
    let context = context();
    for directory in 0..600 {
        let path = context.path().join(format!("files/directory {directory}/below/it"));
        fs::create_dir_all(&path).unwrap();
        for file in 0..100 {
            fs::write(path.join(format!("file {file}")), format!("{directory} {file}\n").repeat(file)).unwrap();
        }
    }
    let place = tempfile::tempdir().unwrap();
    let layout = place.path().join("layout");
    let into = format!("{}/", layout.display());
    let program = Program::new();
    let arguments = ["build", context.path().to_str().unwrap(), "--jobs", "8", "-o", &into];
    let build = program.command(arguments);
    let mut bounded = Command::new("sh");
    bounded.args(["-c", "ulimit -n 64; exec \"$@\"", "sh"]).arg(build.get_program()).args(build.get_args());
    bounded.envs(build.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let (answer, peak) = measured(&bounded);
    assert!(peak < LIMIT, "it took {peak} KiB");
    let root = format!("type=local,dest={}", place.path().join("root").display());
    let flat = format!("type=tar,dest={}", place.path().join("flat.tar").display());
    let outputs = ["build", context.path().to_str().unwrap(), "--jobs", "8", "-o", &root, "-o", &flat];
    let (again, peak) = measured(&program.command(outputs));
    assert_eq!(again, answer);
    // What was known of the files for the build is not all given back when their tree is made.
    assert!(peak < 2 * LIMIT, "it took {peak} KiB");

    let (blob, _) = only_layer(&layout);
    let listed = shell("gzip -dc < \"$1\" | tar --list --file -", &[&blob]);
    assert_eq!(listed.lines().count(), 60_000 + 3 * 600);
    let content = "file='directory 99/below/it/file 42'; gzip -dc < \"$1\" | tar -xOf - \"$file\"";
    assert_eq!(shell(content, &[&blob]), "99 42\n".repeat(42));
    shell("diff --recursive \"$1\" \"$2\"", &[&context.path().join("files"), &place.path().join("root")]);
    let listed = shell("tar --list --file \"$1\"", &[&place.path().join("flat.tar")]);
    assert_eq!(listed.lines().count(), 60_000 + 3 * 600);
}

fn context() -> TempDir {
    Tree::new().file("ocibake.toml", SPEC).directory("files").plant()
}

/// Whether that many bytes are free where temporary files go.
fn room_for(bytes: u64) -> bool {
    let place = std::env::temp_dir();
    let status = rustix::fs::statvfs(&place).unwrap();
    let free = status.f_bavail * status.f_frsize;
    free >= bytes || skip(&format!("{} has {free} bytes free, not {bytes}", place.display()))
}

/// Runs a command, which has to succeed, and returns what it prints and its peak of resident memory in KiB, as
/// time(1) has it.
fn measured(command: &Command) -> (String, u64) {
    let report = tempfile::NamedTempFile::new().unwrap();
    let mut timed = Command::new("/usr/bin/time");
    timed.arg("--verbose").arg("--output").arg(report.path()).arg(command.get_program()).args(command.get_args());
    timed.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(directory) = command.get_current_dir() {
        timed.current_dir(directory);
    }
    let answer = checked(&mut timed);
    let report = fs::read_to_string(report.path()).unwrap();
    let figure = |name: &str| {
        let line = report.lines().find_map(|line| line.trim().strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {report}")).trim_start_matches(": ").to_owned()
    };
    let peak = figure("Maximum resident set size (kbytes)").parse().unwrap();
    let wall = figure("Elapsed (wall clock) time (h:mm:ss or m:ss)");
    println!("{peak} KiB, {wall}, {} s of user time", figure("User time (seconds)"));
    (answer, peak)
}

/// The blob of the only layer of the only image, and its diff_id.
fn only_layer(layout: &Path) -> (PathBuf, String) {
    let read = |path: PathBuf| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let blob = |descriptor: &Value| {
        let hex = descriptor["digest"].as_str().unwrap().trim_start_matches("sha256:");
        layout.join("blobs/sha256").join(hex)
    };
    let manifest = read(blob(&read(layout.join("index.json"))["manifests"][0]));
    let config = read(blob(&manifest["config"]));
    (blob(&manifest["layers"][0]), config["rootfs"]["diff_ids"][0].as_str().unwrap().to_owned())
}

fn shell(script: &str, arguments: &[&Path]) -> String {
    // With pipefail, so that no part of a pipe fails unseen.
    checked(Command::new("bash").args(["-o", "pipefail", "-c", script, "bash"]).args(arguments).stdin(Stdio::null()))
}

/// A file that no compression makes smaller.
fn noise(path: &Path, size: u64) {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..size / 8 {
        // xorshift (Marsaglia, 2003)
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        file.write_all(&state.to_le_bytes()).unwrap();
    }
    file.flush().unwrap();
}

/// A file of numbered lines, `size` bytes and up to a line more.
fn text(path: &Path, size: u64) {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    let (mut written, mut number) = (0, 0u64);
    while written < size {
        let line = format!("{number} {:x}\n", number.wrapping_mul(2_654_435_761));
        file.write_all(line.as_bytes()).unwrap();
        written += line.len() as u64;
        number += 1;
    }
    file.flush().unwrap();
}
