//! Steps that do not stand on each other: they wait side by side, and the first that fails ends the others.

use std::fs;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tempfile::TempDir;

use crate::support::fake_registry::{FakeRegistry, Reply};
use crate::support::program::{Outcome, Program};
use crate::support::tool::require;
use crate::support::traces::assert_store_is_sound;

/// Longer than anything takes here; whoever waits as long has waited in vain.
const IN_VAIN: Duration = Duration::from_secs(120);

/// What has happened, for others to wait for.
#[derive(Clone, Default)]
struct Happened(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Happened {
    fn note(&self, what: &str) {
        self.0.0.lock().unwrap().push(what.to_owned());
        self.0.1.notify_all();
    }

    fn has(&self, what: &str) -> bool {
        self.0.0.lock().unwrap().iter().any(|known| known == what)
    }

    /// Returns whether it has happened, which it waits for.
    fn wait_for(&self, what: &str) -> bool {
        let missing = |known: &mut Vec<String>| !known.iter().any(|known| known == what);
        let (lock, changed) = &*self.0;
        !changed.wait_timeout_while(lock.lock().unwrap(), IN_VAIN, missing).unwrap().1.timed_out()
    }
}

fn content(text: &str) -> Reply {
    Reply::Answer(200, Vec::new(), text.as_bytes().to_vec())
}

fn build(program: &Program, place: &TempDir, dockerfile: &str) -> Outcome {
    fs::write(place.path().join("Dockerfile"), dockerfile).unwrap();
    program.run(["build", place.path().to_str().unwrap(), "--jobs=2", "-o", "type=local,dest=out"])
}

/// Each of both is answered once the other has been asked for.
#[test]
fn stages_that_wait_take_the_time_of_one() {
    let asked = Happened::default();
    let server = FakeRegistry::scripted({
        let asked = asked.clone();
        move |request| {
            let (own, other) = if request.path == "/a" { ("/a", "/b") } else { ("/b", "/a") };
            asked.note(own);
            Some(if asked.wait_for(other) { content(own) } else { Reply::status(504) })
        }
    });
    let address = server.address();
    let place = tempfile::tempdir().unwrap();
    let program = Program::new().directory(place.path());
    let dockerfile = format!(
        "FROM scratch AS one\nADD http://{address}/a /file\nFROM scratch AS two\nADD http://{address}/b /file\n\
         FROM scratch\nCOPY --from=one /file /one\nCOPY --from=two /file /two\n"
    );
    build(&program, &place, &dockerfile).success();
    let read = |name: &str| fs::read_to_string(place.path().join("out").join(name)).unwrap();
    assert_eq!((read("one"), read("two")), ("/a".to_owned(), "/b".to_owned()));
    assert_eq!(server.requests().len(), 2);
}

/// The build of `dockerfile`, in which /fails is answered once /waits was asked for, and /waits once the build has ended.
fn ended_by_the_first(dockerfile: &str) {
    let happened = Happened::default();
    let server = FakeRegistry::scripted({
        let happened = happened.clone();
        move |request| {
            if request.path == "/fails" {
                happened.wait_for("waits");
                return Some(Reply::status(404));
            }
            happened.note("waits");
            // Whoever does not end before has to wait.
            happened.wait_for("ended");
            happened.note("answered");
            Some(Reply::status(500))
        }
    });
    let place = tempfile::tempdir().unwrap();
    let program = Program::new().directory(place.path());
    fs::write(place.path().join("local"), "content").unwrap();
    let outcome = build(&program, &place, &dockerfile.replace("ADDRESS", &server.address()));
    let waited = happened.has("answered");
    happened.note("ended");
    let error = outcome.failure(1).stderr;
    assert!(error.contains("/fails") && error.contains("404"), "{error}");
    assert!(!waited, "the build has waited: {error}");
    assert_store_is_sound(&program.store());
    assert!(!place.path().join("out").exists());
    // What was done before is there for the next build.
    build(&program, &place, "FROM scratch\nCOPY local /\n").success();
    assert_eq!(fs::read_to_string(place.path().join("out/local")).unwrap(), "content");
}

#[test]
fn a_stage_that_fails_ends_a_download() {
    ended_by_the_first(
        "FROM scratch AS one\nADD http://ADDRESS/waits /file\nFROM scratch AS two\nADD http://ADDRESS/fails /file\n\
         FROM scratch\nCOPY local /\nCOPY --from=one /file /one\nCOPY --from=two /file /two\n",
    );
}

#[test]
fn a_stage_that_fails_ends_git() {
    if !require("git") {
        return;
    }
    ended_by_the_first(
        "FROM scratch AS one\nADD http://ADDRESS/waits.git /git\nFROM scratch AS two\nADD http://ADDRESS/fails /file\n\
         FROM scratch\nCOPY local /\nCOPY --from=one /git /one\nCOPY --from=two /file /two\n",
    );
}
