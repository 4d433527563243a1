//! A system call that fails at any point of a build: the build says where and leaves nothing half done, the store is
//! sound, and the next build gives the right image.

use std::fs;
use std::path::Path;

use rustix::param::page_size;

use crate::support::noise::noise;
use crate::support::program::{Outcome, Program};
use crate::support::small_disk::SmallDisk;
use crate::support::strace::Trace;
use crate::support::tool::require;
use crate::support::traces::{all_files, assert_store_is_sound, names_in};
use crate::support::tree::Tree;
use crate::support::world::World;

const SPEC: &str = "name = \"example/faults\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n\
                    [[layer]]\nname = \"many\"\nadd = [{ from = \"many\", to = \"/\" }]\n\
                    [[layer]]\nname = \"large\"\nadd = [{ from = \"large\", to = \"/{arch}\" }]\n";

/// The calls that write, to files whose names are not known before.
const WRITING: [&str; 3] = ["write", "/^rename", "/^mkdir"];

/// No thread makes so many calls.
const NEVER: usize = 9_000;

/// Limits of a tmpfs that nothing here comes near to.
const ROOMY: &str = "size=64m,nr_inodes=9999";

#[test]
fn when_the_context_cannot_be_read() {
    if !require("strace") {
        return;
    }
    let build = Build::new();
    for (calls, fault) in [
        ("pread64", "EIO"),
        ("read", "EIO"),
        ("/^open", "EIO"),
        ("/^open", "EMFILE"),
        ("statx", "EIO"),
        ("getdents64", "EIO"),
        ("flistxattr", "EIO"),
    ] {
        build.fails(calls, fault);
    }
}

#[test]
fn when_the_store_or_an_output_cannot_be_written() {
    if !require("strace") {
        return;
    }
    let build = Build::new();
    for (calls, fault) in [("write", "ENOSPC"), ("write", "EIO"), ("/^rename", "EIO"), ("/^mkdir", "ENOSPC")] {
        build.fails(calls, fault);
    }
}

#[test]
fn a_call_that_was_only_interrupted_is_made_again() {
    if !require("strace") {
        return;
    }
    let build = Build::new();
    for calls in ["pread64", "read", "write"] {
        let mut met = 0;
        for nth in 1..=8 {
            let trace = build.run(calls, "EINTR", nth);
            met += trace.hits().iter().filter(|hit| build.place_of(hit).is_some()).count();
            assert_eq!(trace.outcome.digest(), build.digest);
        }
        assert!(met >= 8, "{calls}: {met}");
    }
}

#[test]
fn when_the_system_has_no_more_threads() {
    if !require("strace") {
        return;
    }
    let build = Build::new();
    let (store, root) = (build.world.program.store(), build.world.path("root"));
    let output = format!("type=local,dest={}", root.display());
    let arguments = ["build", build.world.context(), "--platform=linux/amd64", "--jobs=2", "-o", &output];
    let mut failed = 0;
    for nth in 1..=12 {
        let trace = Trace::run(&build.world.program, ("/^clone3?$", "EAGAIN", nth), &[], &arguments);
        let Outcome { code, stderr, .. } = &trace.outcome;
        assert!(!stderr.contains("panicked"), "{nth}: {stderr}");
        if *code == Some(0) {
            assert_eq!(names_in(&root), ["0", "1", "2", "3", "4", "5", "6", "7", "amd64"], "{nth}");
            remove(&root);
        } else {
            assert!(stderr.contains("thread"), "{nth}: {stderr}");
            failed += 1;
        }
        assert_eq!(build.world.names(), ["before", "x.tar"], "{nth}");
        assert_store_is_sound(&store);
    }
    assert!(failed >= 4, "{failed}");
}

#[test]
fn when_the_disk_of_the_store_is_full_at_any_point() {
    let Some(disk) = SmallDisk::mount(ROOMY) else { return };
    let build = Build::new();
    let program = Program::new().environment("OCIBAKE_STORE", disk.path().join("store"));
    let archive = build.world.path("x.tar");
    let arguments = ["build", build.world.context(), "-o", archive.to_str().unwrap()];
    assert_eq!(program.run(arguments).digest(), build.digest);
    let store = disk.path().join("store");
    let pages = pages_in(&store);
    // The last pages are those of configs, manifests, the index and records.
    let sizes = (1..=6).map(|part| pages * part / 7).chain(pages - 12..pages);
    let sizes = sizes.map(|pages| format!("size={}", pages * page_size()));
    // Five directories, and the root of the file system.
    let counts = (1..all_files(&store).len() + 6).map(|inodes| format!("nr_inodes={inodes}"));
    for limit in sizes.chain(counts) {
        remove(&store);
        remove(&archive);
        disk.limit(&limit);
        let outcome = program.run(arguments).failure(1);
        outcome.says(&["No space left on device", store.to_str().unwrap(), "hint: "]);
        assert_eq!(build.world.names(), ["before"], "{limit}");
        assert_store_is_sound(&store);
        disk.limit(ROOMY);
        assert_eq!(program.run(arguments).digest(), build.digest, "after {limit}");
        assert_store_is_sound(&store);
    }
}

#[test]
fn when_the_disk_of_an_output_is_full_at_any_point() {
    let Some(disk) = SmallDisk::mount(ROOMY) else { return };
    let build = Build::new();
    for name in ["x.tar", "layout"] {
        let output = disk.path().join(name);
        let form = if name == "layout" { "type=oci,tar=false,dest=" } else { "type=oci,dest=" };
        let form = format!("{form}{}", output.display());
        let arguments = ["build", build.world.context(), "-o", &form];
        assert_eq!(build.world.program.run(arguments).digest(), build.digest);
        let pages = pages_in(&output);
        for pages in (0..4).map(|part| 1 + pages * part / 4).chain(pages - 6..pages) {
            remove(&output);
            disk.limit(&format!("size={}", pages * page_size()));
            let outcome = build.world.program.run(arguments).failure(1);
            outcome.says(&["No space left on device", output.to_str().unwrap(), "free some space"]);
            assert_eq!(names_in(disk.path()), [""; 0], "{name} on {pages} pages");
            disk.limit(ROOMY);
            assert_eq!(build.world.program.run(arguments).digest(), build.digest);
        }
        remove(&output);
    }
    assert_store_is_sound(&build.world.program.store());
}

/// A context with a known image, of several blocks, files and layers.
struct Build {
    world: World,
    digest: String,
    archive: Vec<u8>,
}

impl Build {
    fn new() -> Self {
        let tree = Tree::new().file("ocibake.toml", SPEC).file("large/noise", noise(2, 1_100_000));
        let tree = tree.file("large/text", "it repeats itself, ".repeat(20_000)).attribute("user.note", "noted");
        let tree = (0..8).fold(tree, |tree, number| tree.file(format!("many/{number}"), noise(number, 3000)));
        let world = World::of(&tree);
        fs::write(world.path("before"), "").unwrap();
        let digest = world.build(&["-o", "x.tar"]).digest();
        let archive = fs::read(world.path("x.tar")).unwrap();
        Build { world, digest, archive }
    }

    /// One build in which the `nth` of `calls` fails, in each thread. Every other time the store has nothing.
    fn run(&self, calls: &str, error: &str, nth: usize) -> Trace {
        let (store, archive) = (self.world.program.store(), self.world.path("x.tar"));
        let _ = fs::remove_file(&archive);
        // What is read has a known name, and the system's own loader is not to be met.
        let paths = if WRITING.contains(&calls) { Vec::new() } else { self.paths() };
        if nth.is_multiple_of(2) && store.exists() {
            fs::remove_dir_all(&store).unwrap();
        }
        let rest = ["--no-stat-cache", "--jobs=2", "--progress=quiet", "-o", archive.to_str().unwrap()];
        let arguments = [&["build", self.world.context()], &rest[..]].concat();
        Trace::run(&self.world.program, (calls, error, nth), &paths, &arguments)
    }

    /// Everything in the context and in the store.
    fn paths(&self) -> Vec<String> {
        let (context, store) = (self.world.context.path(), self.world.program.store());
        let directories = ["", "many", "large"].map(|name| context.join(name)).into_iter();
        let files = all_files(context).into_iter().chain(all_files(&store));
        directories.chain(files).map(|path| path.to_str().unwrap().trim_end_matches('/').to_owned()).collect()
    }

    /// Lets one call after the other fail, as long as there are any.
    fn fails(&self, calls: &str, error: &str) {
        // With the store as it is, and without.
        let undisturbed = [self.run(calls, error, NEVER + 1), self.run(calls, error, NEVER)];
        let (mut nth, mut met) = (1, 0);
        while undisturbed.iter().any(|trace| trace.nth(nth).next().is_some()) {
            if undisturbed.iter().flat_map(|trace| trace.nth(nth)).all(|call| self.place_of(call).is_some()) {
                let trace = self.run(calls, error, nth);
                met += trace.hits().len();
                self.check(&trace);
            }
            // The first ones are all different, later ones much alike.
            nth += 1 + nth / 5;
        }
        assert!(met >= 4, "only {met} of {calls} failed");
    }

    fn check(&self, trace: &Trace) {
        let (store, archive, hits) = (self.world.program.store(), self.world.path("x.tar"), trace.hits());
        if trace.outcome.code == Some(0) {
            // What is only looked up may fail: it is made anew.
            let around = format!("\"{}\"", self.world.context());
            let in_store = |hit: &&str| hit.contains(store.to_str().unwrap()) && !is_written(hit);
            // A context in which no checkout can be found has no revision, which a warning says.
            let of_checkout = |hit: &&str| hit.starts_with("statx(") && hit.contains(&around);
            let looked_up = |hit: &&str| in_store(hit) || of_checkout(hit);
            assert!(hits.iter().all(looked_up), "it goes on after {hits:#?}");
            assert_eq!(trace.outcome.stdout.trim_end(), self.digest, "after {hits:#?}");
            assert!(fs::read(&archive).unwrap() == self.archive, "after {hits:#?}");
            fs::remove_file(&archive).unwrap();
        } else {
            assert_eq!((trace.outcome.code, trace.outcome.stdout.as_str()), (Some(1), ""), "after {hits:#?}");
            let stderr = &trace.outcome.stderr;
            let mut places = hits.iter().map(|hit| self.place_of(hit));
            // Unless the complaint itself could not be written.
            let named = places.any(|place| place.is_none_or(|place| stderr.contains(&place)));
            assert!(named && !stderr.contains("panicked"), "{stderr} says not where: {hits:#?}");
        }
        assert_eq!(self.world.names(), ["before"], "after {hits:#?}");
        assert_store_is_sound(&store);
        let next = self.world.build(&["--no-stat-cache", "-o", "x.tar"]);
        assert_eq!(next.digest(), self.digest, "after {hits:#?}");
        assert!(fs::read(&archive).unwrap() == self.archive, "after {hits:#?}");
        assert_store_is_sound(&store);
    }

    /// What an error about the call has to name: the very file of the context, the store, or the output.
    fn place_of(&self, hit: &str) -> Option<String> {
        let place = [self.world.context.path(), &self.world.program.store(), self.world.place.path()]
            .into_iter()
            .map(|place| place.display().to_string())
            .find(|place| hit.contains(&format!("<{place}")) || hit.contains(&format!("\"{place}")));
        let place = place?;
        if place != self.world.context() {
            return Some(place);
        }
        let path = &hit[hit.find(&place)?..];
        Some(path[..path.find(['"', '>'])?].to_owned())
    }
}

fn is_written(call: &str) -> bool {
    ["write(", "rename", "mkdir", "O_CREAT"].iter().any(|part| call.contains(part))
}

/// The pages of memory that the files below `place` take on a tmpfs.
fn pages_in(place: &Path) -> usize {
    let page = page_size();
    let files = if place.is_file() { vec![place.to_owned()] } else { all_files(place) };
    files.iter().map(|path| (fs::metadata(path).unwrap().len() as usize).div_ceil(page)).sum()
}

fn remove(output: &Path) {
    fs::remove_dir_all(output).or_else(|_| fs::remove_file(output)).unwrap();
}
