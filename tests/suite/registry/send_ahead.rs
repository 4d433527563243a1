//! Layers are sent while they are compressed; whatever becomes of that, the push comes to the same end.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::{FakeRegistry, Reply, Request, digest, token_auth};
use crate::support::layout::Layout;
use crate::support::noise::noise;
use crate::support::program::{Outcome, Program};
use crate::support::tool::{self, require};
use crate::support::traces::{assert_nothing_is_in_the_making, assert_store_is_sound, names_in};
use crate::support::tree::Tree;

const SPEC: &str = "name = \"example/ahead\"\nplatforms = [\"linux/amd64\"]\n\
                    [[layer]]\nname = \"large\"\nadd = [{ from = \"large\", to = \"/large/\" }]\n\
                    [[layer]]\nname = \"small\"\nadd = [{ from = \"small\", to = \"/small/\" }]\n";

/// Of the large layer, in bytes.
const LARGE: usize = 24 << 20;

fn context() -> TempDir {
    let tree = Tree::new().file("ocibake.toml", SPEC).file("small/text", "text\n");
    (0..4).fold(tree, |tree, at| tree.file(format!("large/{at}"), noise(at, LARGE / 4))).plant()
}

fn push(program: &Program, registry: &str, context: &Path) -> Outcome {
    program.run(["push", "--no-fan-out", &format!("{registry}/org/app:1"), context.to_str().unwrap()])
}

/// How much came by PATCH, and by PUT.
fn received(registry: &FakeRegistry) -> (usize, usize) {
    let requests = registry.requests();
    let by = |method: &str| {
        let uploads = requests.iter().filter(|request| request.is(method, "/blobs/uploads/"));
        uploads.map(|request| request.body.len()).sum()
    };
    (by("PATCH"), by("PUT"))
}

/// The image is in the registry, whole, and is the one that a build without a registry makes.
#[track_caller]
fn assert_is_right(registry: &FakeRegistry, outcome: Outcome, context: &Path) {
    let place = tempfile::tempdir().unwrap();
    let layout = place.path().join("layout");
    let words = ["build", context.to_str().unwrap(), "-o", &format!("{}/", layout.display())];
    let expected = Program::new().run(words).digest();
    assert_eq!(outcome.success().stdout.trim().rsplit('@').next(), Some(&*expected));
    assert!(registry.manifest("org/app/1").is_some());
    for layer in &Layout::open(&layout).images()[0].layers {
        let bytes = fs::read(layer).unwrap();
        assert!(registry.blob(digest(&bytes)) == Some(bytes));
    }
}

#[test]
fn a_large_layer_is_sent_once_and_while_it_is_made() {
    let context = context();
    let program = Program::new();
    let blobs = program.store().join("blobs/sha256");
    let before = std::sync::Arc::new(Mutex::new(None));
    let noted = before.clone();
    let registry = FakeRegistry::scripted(move |request| {
        if request.method == "PATCH" {
            let large = |path: &std::path::PathBuf| fs::metadata(path).unwrap().len() >= LARGE as u64;
            let whole = names_in(&blobs).iter().map(|name| blobs.join(name)).filter(large).count();
            *noted.lock().unwrap() = Some(whole);
        }
        None
    });
    let outcome = push(&program, &registry.address(), context.path());
    assert_eq!(*before.lock().unwrap(), Some(0), "no such blob was whole when its upload began");
    let (ahead, whole) = received(&registry);
    assert!((LARGE..LARGE + LARGE / 50).contains(&ahead), "{ahead} bytes by PATCH");
    assert!(whole < 10_000, "the small layer and the config, {whole} bytes, by PUT");
    let patch = registry.requests().into_iter().find(|request| request.method == "PATCH").unwrap();
    assert_eq!(patch.header("transfer-encoding"), Some("chunked"));
    assert_eq!(registry.count("POST", "/blobs/uploads/"), 3);
    assert!(outcome.stderr.contains(": sent 24."), "{}", outcome.stderr);
    assert_is_right(&registry, outcome, context.path());
    assert_store_is_sound(&program.store());
}

#[test]
fn a_real_registry_takes_it() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let context = context();
    let registry = DockerRegistry::open();
    let outcome = push(&Program::new(), &registry.address(), context.path()).success();
    let place = tempfile::tempdir().unwrap();
    let layout = place.path().join("layout");
    let (from, to) = (format!("docker://{}/org/app:1", registry.address()), format!("oci:{}", layout.display()));
    tool::run("skopeo", ["--insecure-policy", "copy", "-q", "--src-tls-verify=false", &from, &to]);
    let image = Layout::open(&layout).images().remove(0);
    assert_eq!(outcome.stdout.trim().rsplit('@').next(), Some(&*image.digest));
    // The ordinary push finds what was sent ahead: each blob is sent once, and told of once.
    let mut blobs: Vec<&str> = outcome.stderr.lines().filter(|line| line.starts_with("blob ")).collect();
    assert!(blobs.iter().all(|line| line.contains(": sent ")), "{}", outcome.stderr);
    let lines = blobs.len();
    blobs.sort_by_key(|line| line.split(':').next());
    blobs.dedup_by_key(|line| line.split(':').next());
    assert_eq!((lines, blobs.len()), (3, 3), "{}", outcome.stderr);
}

#[test]
fn nothing_is_sent_ahead_where_it_would_be_in_vain() {
    // Small layers are asked for first, known ones are not made, or of known blocks, and other outputs need no registry.
    let context = context();
    let program = Program::new();
    let registry = FakeRegistry::new();
    push(&program, &registry.address(), context.path()).success();
    let first = registry.requests().len();
    push(&program, &registry.address(), context.path()).success();
    let name = format!("{}/org/app:1", registry.address());
    let words = ["push", "--no-fan-out", &name, context.path().to_str().unwrap(), "--no-stat-cache"];
    let outcome = program.run(words).success();
    assert!(outcome.stderr.contains("layer large: "), "it was made again: {}", outcome.stderr);
    let again = registry.requests().split_off(first);
    assert!(
        again
            .iter()
            .all(|request| matches!(request.method.as_str(), "HEAD" | "GET") || request.is("PUT", "/manifests/"))
    );
    let words = ["build", context.path().to_str().unwrap(), "-o", "image.tar", "-t"];
    Program::new().run(words.iter().chain([&&*format!("{}/org/app:1", registry.address())])).success();
    assert_eq!(registry.requests().len(), first + again.len());
}

#[test]
fn several_repositories_get_the_image_and_one_of_them_ahead() {
    let context = context();
    let registry =
        FakeRegistry::scripted(|request| (request.is("HEAD", "/v2/org/other/blobs/")).then(|| Reply::status(404)));
    let names = ["app", "other"].map(|name| format!("{}/org/{name}:1", registry.address()));
    let words = ["build", "--push", context.path().to_str().unwrap(), "-t", &names[0], "-t", &names[1]];
    Program::new().run(words).success();
    assert_eq!(registry.count("PATCH", "/v2/org/app/"), 1);
    assert_eq!(registry.count("PATCH", ""), 1);
    assert!(registry.manifest("org/other/1").is_some());
}

#[test]
fn registries_that_do_not_take_it() {
    let context = context();
    type Script = fn(&Request) -> Option<Reply>;
    let answers: [(&str, Script); 10] = [
        ("PATCH 401, as of a token that has ended", |request| {
            (request.method == "PATCH").then(|| Reply::status(401).with("www-authenticate", "Basic realm=\"test\""))
        }),
        ("PATCH 405", |request| (request.method == "PATCH").then_some(Reply::Hasty(405))),
        ("PATCH 416", |request| (request.method == "PATCH").then(|| Reply::status(416))),
        ("PATCH 411", |request| (request.method == "PATCH").then_some(Reply::Hasty(411))),
        ("PATCH 500", |request| (request.method == "PATCH").then(|| Reply::status(500))),
        ("PATCH cut", |request| (request.method == "PATCH").then_some(Reply::Cut(9_000_000))),
        ("PATCH without Location", |request| (request.method == "PATCH").then(|| Reply::status(202))),
        ("PATCH 202 that keeps nothing", |request| {
            (request.method == "PATCH").then(|| Reply::status(202).with("location", request.path.clone()))
        }),
        ("PUT 500 after PATCH", |request| {
            (request.is("PUT", "/uploads/") && request.header("content-length") == Some("0"))
                .then(|| Reply::status(500))
        }),
        ("202 on everything of an upload in parts", |request| {
            let is_completion = request.is("PUT", "/uploads/") && request.header("content-length") == Some("0");
            (request.method == "PATCH" || is_completion)
                .then(|| Reply::status(202).with("location", request.path.clone()))
        }),
    ];
    for (what, script) in answers {
        let registry = FakeRegistry::scripted(script);
        let program = Program::new();
        let outcome = push(&program, &registry.address(), context.path());
        assert!(registry.count("PATCH", "") >= 1, "{what}: it was not tried");
        assert!(!outcome.stderr.contains("warning"), "{what}: {}", outcome.stderr);
        let (_, whole) = received(&registry);
        assert!(whole >= LARGE, "{what}: the ordinary push has sent it");
        assert_is_right(&registry, outcome, context.path());
        assert_store_is_sound(&program.store());
    }
}

#[test]
fn the_first_upload_is_refused_and_the_second_is_not() {
    let context = context();
    let posts = AtomicUsize::new(0);
    let registry = FakeRegistry::scripted(move |request| {
        (request.method == "POST" && posts.fetch_add(1, Ordering::SeqCst) == 0).then(|| Reply::status(403))
    });
    let outcome = push(&Program::new(), &registry.address(), context.path());
    assert_eq!(registry.count("PATCH", ""), 0);
    assert_is_right(&registry, outcome, context.path());
}

#[test]
fn a_token_is_shown() {
    let context = context();
    let registry = FakeRegistry::scripted(token_auth(1000));
    let outcome = push(&Program::new(), &registry.address(), context.path());
    let patch = registry.requests().into_iter().find(|request| request.method == "PATCH").unwrap();
    assert_eq!(patch.header("authorization"), Some("Bearer token-1"));
    assert!(received(&registry).1 < LARGE);
    assert_is_right(&registry, outcome, context.path());
}

/// A registry that takes no notice of what comes by PATCH. Were that waited for, it would be until the system gives the
/// connection up, after 30 seconds.
fn unheeding() -> FakeRegistry {
    FakeRegistry::scripted(|request| (request.method == "PATCH").then_some(Reply::Silence(Duration::from_secs(600))))
}

#[test]
fn what_the_registry_has_is_given_up() {
    let context = context();
    let there = FakeRegistry::new();
    let start = Instant::now();
    push(&Program::new(), &there.address(), context.path()).success();
    let usual = start.elapsed();
    let blob = there.requests().into_iter().find(|request| request.method == "PATCH").unwrap().body;
    let registry = unheeding();
    registry.put_blob(&blob);
    let start = Instant::now();
    let outcome = push(&Program::new(), &registry.address(), context.path());
    assert!(start.elapsed() < 3 * usual + Duration::from_secs(20), "{:?} and {usual:?}", start.elapsed());
    assert_eq!(registry.count("PATCH", ""), 1);
    assert_is_right(&registry, outcome, context.path());
}

#[test]
fn a_build_that_fails_does_not_wait_for_the_registry() {
    let context = context();
    let registry = unheeding();
    let program = Program::new();
    let name = format!("{}/org/app:1", registry.address());
    // The last that is read, long after it was walked, and a while after the first bytes are sent: what stands between
    // takes its time.
    let late = context.path().join("large/3");
    fs::remove_file(context.path().join("large/2")).unwrap();
    let slowly = ["--jobs=1", "--compression=zstd:19"];
    let arguments = [&["push", "--no-fan-out", &name, context.path().to_str().unwrap()], &slowly[..]].concat();
    let start = Instant::now();
    let mut process = program.command(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    while registry.count("PATCH", "") == 0 {
        assert!(process.try_wait().unwrap().is_none(), "it came to its end without a PATCH");
        sleep(Duration::from_millis(1));
    }
    fs::write(&late, "shorter").unwrap();
    // For a third of the content.
    let usual = start.elapsed();
    let changed = Instant::now();
    let output = process.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("changed while it was read"), "{output:?}");
    let time = changed.elapsed();
    assert!(time < 6 * usual + Duration::from_secs(15), "{time:?} and {usual:?}");
    assert_store_is_sound(&program.store());
    assert_eq!(registry.count("HEAD", ""), 0, "nothing is pushed");
}

#[test]
fn a_signal_ends_it_at_once() {
    let context = context();
    let registry = unheeding();
    let program = Program::new();
    let name = format!("{}/org/app:1", registry.address());
    let arguments = ["push", "--no-fan-out", &name, context.path().to_str().unwrap(), "--jobs=1"];
    let mut process = program.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while registry.count("PATCH", "") == 0 {
        assert!(process.try_wait().unwrap().is_none(), "it came to its end without a PATCH");
        sleep(Duration::from_millis(1));
    }
    kill_process(Pid::from_child(&process), Signal::INT).unwrap();
    let sent = Instant::now();
    process.wait().unwrap();
    assert!(sent.elapsed() < Duration::from_secs(20), "{:?}", sent.elapsed());
    assert_nothing_is_in_the_making(&program.store());
}
