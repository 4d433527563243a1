//! Registries that repeat what they were shown: none of it goes on to whoever reads errors and logs.

use serde_json::Value;

use crate::support::fake_registry::{FakeRegistry, Reply, Request};
use crate::support::program::{Outcome, Program};
use crate::support::registry_client::basic;
use ocibake::registry::Credentials;

const PASSWORD: &str = "s3cret pass/w\"ord";
/// By `printf 'ada:s3cret pass/w"ord' | base64`.
const PAIR: &str = "YWRhOnMzY3JldCBwYXNzL3cib3Jk";
/// Longer than what an error repeats.
const TOKEN_LENGTH: usize = 600;

fn token() -> String {
    format!("t0ken{}", "ab/".repeat(TOKEN_LENGTH / 3))
}

/// A refusal that repeats what it was shown, in its message and in a header, and the password if that was among it.
fn echo(request: &Request) -> Reply {
    let shown = request.header("authorization").unwrap_or_default();
    let password = if shown.starts_with("Basic ") { PASSWORD } else { "a password" };
    let message = format!("who is {shown}? not {password}, and not {shown} either");
    let body = serde_json::json!({"errors": [{"code": "DENIED", "message": message}]}).to_string();
    let body = body.replace('/', "\\/"); // as PHP writes it
    Reply::Answer(403, Vec::new(), body.into_bytes()).with("x-seen", shown)
}

fn wants_basic(request: &Request) -> Option<Reply> {
    match request.header("authorization") {
        None => Some(Reply::status(401).with("www-authenticate", "Basic realm=x")),
        Some(_) => Some(echo(request)),
    }
}

fn wants_token(request: &Request) -> Option<Reply> {
    let realm = format!("Bearer realm=\"http://{}/token\"", request.header("host").unwrap());
    match request.header("authorization") {
        _ if request.path == "/token" => {
            Some(Reply::Answer(200, Vec::new(), format!(r#"{{"token":"{}"}}"#, token()).into_bytes()))
        }
        None => Some(Reply::status(401).with("www-authenticate", realm)),
        Some(_) => Some(echo(request)),
    }
}

fn wants_token_of_nobody(request: &Request) -> Option<Reply> {
    if request.path == "/token" { Some(echo(request)) } else { wants_token(request) }
}

fn program(address: &str, program: Program) -> Program {
    Credentials::from_docker_config(Some(program.docker_config())).store(address, &basic("ada", PASSWORD)).unwrap();
    program
}

/// Nothing of it, in no form and not in part.
fn assert_keeps_secrets(outcome: &Outcome) {
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    assert!(said.contains("who is "), "nothing is repeated: {said}");
    for secret in ["s3cret", PAIR, "t0ken"] {
        assert!(!said.contains(secret), "{secret}: {said}");
    }
}

#[test]
fn errors_and_progress_do_not_repeat_what_was_shown() {
    for script in [wants_basic, wants_token, wants_token_of_nobody] {
        let registry = FakeRegistry::scripted(script);
        let program = program(&registry.address(), Program::new());
        let name = format!("{}/org/app:1", registry.address());
        assert_keeps_secrets(&program.run(["inspect", &name]).failure(1));
    }
}

#[test]
fn doctor_does_not_repeat_what_was_shown() {
    for script in [wants_basic, wants_token, wants_token_of_nobody] {
        let registry = FakeRegistry::scripted(script);
        let program = program(&registry.address(), Program::new());
        let name = format!("{}/org/app", registry.address());
        assert_keeps_secrets(&program.run(["doctor", "-v", &name]));
        let outcome = program.run(["doctor", "-v", "--json", &name]);
        assert_keeps_secrets(&outcome);
        serde_json::from_str::<Value>(&outcome.stdout).unwrap();
    }
}
