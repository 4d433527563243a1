//! What `ocibake push` and `ocibake inspect` say of a registry that refuses, fails or is not there.

use crate::support::fake_registry::{FakeRegistry, Reply, Request};
use crate::support::port::Port;
use crate::support::program::Outcome;
use crate::support::server::Server;
use crate::support::traces::assert_store_is_sound;
use crate::support::world::World;

const SPEC: &str = "platforms = [\"linux/amd64\"]\n[[layer]]\nadd = [{ from = \"files\", to = \"/\" }]\n";

#[test]
fn credentials_that_are_missing() {
    let answer = |_: &Request| Some(Reply::refusal(401, "UNAUTHORIZED", "authentication required"));
    insta::assert_snapshot!(pushed(answer), @"
    error: POST http://HOST/v2/org/app/blobs/uploads/: 401 Unauthorized: UNAUTHORIZED: authentication required
      hint: log in with `ocibake login HOST`
    ");
    insta::assert_snapshot!(inspected(answer), @"
    error: GET http://HOST/v2/org/app/manifests/1: 401 Unauthorized: UNAUTHORIZED: authentication required
      hint: log in with `ocibake login HOST`
    ");
}

#[test]
fn what_is_not_allowed() {
    let answer = |_: &Request| Some(Reply::refusal(403, "DENIED", "requested access to the resource is denied"));
    insta::assert_snapshot!(pushed(answer), @"
    error: POST http://HOST/v2/org/app/blobs/uploads/: 403 Forbidden: DENIED: requested access to the resource is denied
      hint: log in with `ocibake login HOST`
    ");
    insta::assert_snapshot!(inspected(answer), @"
    error: GET http://HOST/v2/org/app/manifests/1: 403 Forbidden: DENIED: requested access to the resource is denied
      hint: log in with `ocibake login HOST`
    ");
}

#[test]
fn what_is_not_there() {
    // To look for something that is not there is no failure.
    let answer = |request: &Request| {
        (request.method != "HEAD").then(|| Reply::refusal(404, "NAME_UNKNOWN", "repository name not known to registry"))
    };
    insta::assert_snapshot!(pushed(answer), @"
    error: POST http://HOST/v2/org/app/blobs/uploads/: 404 Not Found: NAME_UNKNOWN: repository name not known to registry
      hint: check the name org/app: some registries want a repository to be created before the first push
    ");
    insta::assert_snapshot!(inspected(answer), @"
    error: GET http://HOST/v2/org/app/manifests/1: 404 Not Found: NAME_UNKNOWN: repository name not known to registry
      hint: check the name org/app: HOST has no such repository, or does not show it to you
    ");
}

#[test]
fn too_many_requests() {
    let answer = |_: &Request| Some(Reply::refusal(429, "TOOMANYREQUESTS", "slow down").with("retry-after", "0"));
    insta::assert_snapshot!(pushed(answer), @"
    (tried again 4 times)
    error: HEAD http://HOST/v2/org/app/manifests/DIGEST: 429 Too Many Requests
      hint: the registry limits the rate of requests: try again later
    ");
    insta::assert_snapshot!(inspected(answer), @"
    (tried again 4 times)
    error: HEAD http://HOST/v2/org/app/manifests/1: 429 Too Many Requests
      hint: the registry limits the rate of requests: try again later
    ");
}

#[test]
fn failures_of_the_registry() {
    let broken = |_: &Request| Some(Reply::refusal(500, "UNKNOWN", "unknown error").with("retry-after", "0"));
    insta::assert_snapshot!(pushed(broken), @"
    (tried again 4 times)
    error: HEAD http://HOST/v2/org/app/manifests/DIGEST: 500 Internal Server Error
      hint: the registry, or a proxy before it, has a problem: try again later
    ");
    insta::assert_snapshot!(inspected(broken), @"
    (tried again 4 times)
    error: HEAD http://HOST/v2/org/app/manifests/1: 500 Internal Server Error
      hint: the registry, or a proxy before it, has a problem: try again later
    ");
    let page = |_: &Request| {
        let page = b"<html><h1>Service Unavailable</h1></html>".to_vec();
        Some(Reply::Answer(503, Vec::new(), page).with("retry-after", "0"))
    };
    insta::assert_snapshot!(pushed(page), @"
    (tried again 4 times)
    error: HEAD http://HOST/v2/org/app/manifests/DIGEST: 503 Service Unavailable
      hint: the registry, or a proxy before it, has a problem: try again later
    ");
    insta::assert_snapshot!(inspected(page), @"
    (tried again 4 times)
    error: HEAD http://HOST/v2/org/app/manifests/1: 503 Service Unavailable
      hint: the registry, or a proxy before it, has a problem: try again later
    ");
}

#[test]
fn answers_that_make_no_sense() {
    let answer = |request: &Request| match request.method.as_str() {
        "HEAD" => Some(Reply::status(404)),
        _ => Some(Reply::Answer(200, Vec::new(), b"{\"schemaVersion\": tw".to_vec())),
    };
    insta::assert_snapshot!(pushed(answer), @"
    error: POST http://HOST/v2/org/app/blobs/uploads/: the answer has no Location
      hint: is there a registry, and not some other server, at this address?
    ");
    let answer = |_: &Request| Some(Reply::Answer(200, Vec::new(), b"{\"schemaVersion\": tw".to_vec()));
    insta::assert_snapshot!(inspected(answer), @"
    error: the manifest of GET http://HOST/v2/org/app/manifests/1 is not valid
      caused by: expected ident at line 1 column 20
      hint: is there a registry, and not some other server, at this address?
    ");
}

#[test]
fn connections_that_break() {
    let answer = |_: &Request| Some(Reply::Cut(0));
    insta::assert_snapshot!(pushed(answer), @"
    (tried again 4 times)
    error: HEAD http://HOST/v2/org/app/manifests/DIGEST: the connection broke: connection closed before message completed
      hint: look for a proxy or a network between here and 127.0.0.1 that cuts it
    ");
    insta::assert_snapshot!(inspected(answer), @"
    (tried again 4 times)
    error: HEAD http://HOST/v2/org/app/manifests/1: the connection broke: connection closed before message completed
      hint: look for a proxy or a network between here and 127.0.0.1 that cuts it
    ");
}

#[test]
fn connections_that_are_reset() {
    let server = Server::new(|stream| {
        // Closed with something unread, a connection is reset.
        let _ = stream.peek(&mut [0]);
    });
    let address = server.address().to_string();
    let world = World::new(SPEC);
    let name = format!("{address}/org/app:1");
    for outcome in [world.push(&name, &[world.context(), "--jobs=1"]), world.inspect(&[&name])] {
        let said = refused(&world, &address, outcome);
        for part in ["error: HEAD http://HOST/v2/org/app/", "reset by peer", "hint: look for a proxy or a network"] {
            assert!(said.contains(part), "{part:?} is not in {said:?}");
        }
    }
}

#[test]
fn nobody_at_the_port() {
    let port = Port::new();
    let address = port.to_string();
    let world = World::new(SPEC);
    let name = format!("{address}/org/app:1");
    insta::assert_snapshot!(refused(&world, &address, world.push(&name, &[world.context(), "--jobs=1"])), @"
    (tried again 4 times)
    error: HEAD http://HOST/v2/org/app/manifests/DIGEST: cannot connect: Connection refused (os error 111)
      hint: nothing listens at HOST: is the registry running, and are its name and port right?
    ");
    insta::assert_snapshot!(refused(&world, &address, world.inspect(&[&name])), @"
    (tried again 4 times)
    error: HEAD http://HOST/v2/org/app/manifests/1: cannot connect: Connection refused (os error 111)
      hint: nothing listens at HOST: is the registry running, and are its name and port right?
    ");
}

#[test]
fn a_registry_that_wants_to_be_asked_tomorrow() {
    let limited = |_: &Request| Some(Reply::status(429).with("retry-after", "86400"));
    insta::assert_snapshot!(pushed(limited), @"
    error: HEAD http://HOST/v2/org/app/manifests/DIGEST: 429 Too Many Requests
      hint: the registry limits the rate of requests: wait for 24 h before the next try
    ");
    insta::assert_snapshot!(inspected(limited), @"
    error: HEAD http://HOST/v2/org/app/manifests/1: 429 Too Many Requests
      hint: the registry limits the rate of requests: wait for 24 h before the next try
    ");
}

/// What a push to a registry that answers so says.
fn pushed(answer: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> String {
    let registry = FakeRegistry::scripted(answer);
    let world = World::new(SPEC);
    let outcome = world.push(&format!("{}/org/app:1", registry.address()), &[world.context(), "--jobs=1"]);
    refused(&world, &registry.address(), outcome)
}

fn inspected(answer: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> String {
    let registry = FakeRegistry::scripted(answer);
    let world = World::new(SPEC);
    let outcome = world.inspect(&[&format!("{}/org/app:1", registry.address())]);
    refused(&world, &registry.address(), outcome)
}

/// The error of a run that failed and left nothing, and how often something was tried again.
fn refused(world: &World, address: &str, outcome: Outcome) -> String {
    let outcome = outcome.failure(1);
    assert_eq!(world.names(), [""; 0]);
    assert_store_is_sound(&world.program.store());
    let error = &outcome.stderr[outcome.stderr.find("error: ").expect("it complains")..];
    let again = outcome.stderr.matches("retrying in").count();
    let again = if again > 0 { format!("(tried again {again} times)\n") } else { String::new() };
    let text = error.replace(address, "HOST");
    // Which blob comes first is left to the threads.
    let digest = text.find("sha256:").map(|at| text[at..at + 71].to_owned());
    let text = digest.map_or(text.clone(), |digest| text.replace(&digest, "DIGEST"));
    format!("{again}{text}")
}
