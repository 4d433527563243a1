//! A server that gives out tokens for Debian's `docker-registry`: JSON web tokens, as distribution's token
//! specification has them, signed by `openssl` with a key of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::fake_registry::{FakeRegistry, Reply, Request};
use super::tool;

/// base64 of `ada:s3cret`, by `printf ada:s3cret | base64`.
const ADA: &str = "Basic YWRhOnMzY3JldA==";
/// For how long past its end the registry still takes a token, in seconds.
const LEEWAY: u64 = 60;

/// Knows `ada` with the password `s3cret` alone.
pub struct TokenServer {
    server: FakeRegistry,
    directory: Arc<TempDir>,
}

impl TokenServer {
    /// Tokens are good for between `lifetime` and one second less, whatever is `told` of that, and for `actions` at
    /// most.
    pub fn new(lifetime: u64, told: u64, actions: &'static [&'static str]) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let make = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-days", "2"];
        let files = ["-keyout", "key", "-out", "certificate"];
        tool::checked(Command::new("openssl").args(make).args(files).current_dir(directory.path()));
        let key = directory.clone();
        let server = FakeRegistry::scripted(move |request| {
            if request.header("authorization") != Some(ADA) {
                return Some(Reply::Answer(401, Vec::new(), br#"{"details":"incorrect password"}"#.to_vec()));
            }
            let token = token(key.path(), lifetime, &granted(request, actions));
            let body = json!({ "token": token, "expires_in": told });
            Some(Reply::Answer(200, Vec::new(), body.to_string().into_bytes()))
        });
        TokenServer { server, directory }
    }

    /// What the registry's configuration says of this server.
    pub fn configuration(&self) -> String {
        let (address, certificate) = (self.server.address(), self.certificate());
        format!(
            "auth: {{token: {{realm: 'http://{address}/token', service: here, issuer: there, rootcertbundle: '{}'}}}}\n",
            certificate.display()
        )
    }

    pub fn requests(&self) -> Vec<Request> {
        self.server.requests()
    }

    pub fn address(&self) -> String {
        self.server.address()
    }

    fn certificate(&self) -> PathBuf {
        self.directory.path().join("certificate")
    }
}

/// Of the scopes that are asked for, what is in `actions`.
fn granted(request: &Request, actions: &[&str]) -> Vec<Value> {
    let scopes = request.query.split('&').filter_map(|pair| pair.strip_prefix("scope="));
    let scopes = scopes.map(|scope| scope.replace("%3A", ":").replace("%2F", "/").replace("%2C", ","));
    let grant = |scope: String| {
        let mut parts = scope.splitn(3, ':');
        let (kind, name, asked) = (parts.next()?, parts.next()?, parts.next()?);
        let may: Vec<&str> = asked.split(',').filter(|action| actions.contains(action)).collect();
        Some(json!({ "type": kind, "name": name, "actions": may }))
    };
    scopes.filter_map(grant).collect()
}

fn token(directory: &Path, lifetime: u64, access: &[Value]) -> String {
    let certificate = fs::read_to_string(directory.join("certificate")).unwrap();
    let certificate: String = certificate.lines().filter(|line| !line.starts_with("-----")).collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let header = json!({ "typ": "JWT", "alg": "RS256", "x5c": [certificate] });
    let claims = json!({
        "iss": "there", "sub": "ada", "aud": "here", "jti": "1", "access": access,
        "iat": now, "nbf": now - 1, "exp": now + lifetime - LEEWAY,
    });
    let encode = |part: &Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encode(&header), encode(&claims));
    let arguments =
        ["dgst", "-sha256", "-hex", "-r", "-sign", directory.join("key").to_str().unwrap()].map(str::to_owned);
    let printed = tool::run_with_input("openssl", arguments, signed.as_bytes());
    let hex = printed.split_whitespace().next().unwrap();
    let signature: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    // The registry decodes the certificate as plain base64, all else as the kind for URLs.
    assert!(BASE64_STANDARD.decode(&certificate).is_ok());
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}
