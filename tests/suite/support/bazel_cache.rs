//! A stand-in for bazel-remote: what its HTTP interface promises, with `protoc` to read and write results of actions.

use std::collections::HashMap;
use std::io::{BufReader, Read, Seek, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::fake_registry::digest;
use super::http::{Request, read_head, write_answer};
use super::server::Server;

const MESSAGE: &str = "build.bazel.remote.execution.v2.ActionResult";

pub struct BazelCache {
    server: Server,
    state: Arc<CacheState>,
}

/// What a script answers in the place of the cache.
pub enum Answer {
    Status(u16),
    Silence,
    /// To the same path of another host.
    Redirect(String),
}

type Script = dyn Fn(&Request) -> Option<Answer> + Send + Sync;

struct CacheState {
    /// By `ac/HEX` and `cas/HEX`.
    content: Mutex<HashMap<String, Vec<u8>>>,
    requests: Mutex<Vec<Request>>,
    script: Box<Script>,
    /// What an `Authorization` has to hold.
    wanted: Option<String>,
}

impl BazelCache {
    pub fn new() -> Self {
        Self::scripted(None, |_| None)
    }

    /// One that wants this user and password.
    pub fn with_user(user: &str, password: &str) -> Self {
        Self::scripted(Some((user, password)), |_| None)
    }

    pub fn scripted(
        user: Option<(&str, &str)>,
        script: impl Fn(&Request) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let pair =
            |(user, password): (&str, &str)| format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
        let state = Arc::new(CacheState {
            content: Mutex::default(),
            requests: Mutex::default(),
            script: Box::new(script),
            wanted: user.map(pair),
        });
        let shared = state.clone();
        BazelCache { server: Server::new(move |stream| while let Some(true) = shared.serve(&stream) {}), state }
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        self.server.address().to_string()
    }

    pub fn requests(&self) -> Vec<Request> {
        self.state.requests.lock().unwrap().clone()
    }

    /// The names of what is there, `ac/HEX` or `cas/HEX`, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.state.content.lock().unwrap().keys().cloned().collect();
        names.sort();
        names
    }

    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        self.state.content.lock().unwrap().get(name).cloned()
    }

    /// Puts something there without a request, whatever it is; nothing removes it.
    pub fn set(&self, name: &str, content: Option<&[u8]>) {
        let mut all = self.state.content.lock().unwrap();
        all.remove(name);
        all.extend(content.map(|content| (name.to_owned(), content.to_vec())));
    }
}

impl CacheState {
    /// Answers one request; none or false where the connection is to end.
    fn serve(&self, stream: &TcpStream) -> Option<bool> {
        let mut reader = BufReader::new(stream);
        let mut request = read_head(&mut reader).ok()??;
        let length: Option<u64> = request.header("content-length").and_then(|length| length.parse().ok());
        reader.take(length.unwrap_or(0)).read_to_end(&mut request.body).ok()?;
        self.requests.lock().unwrap().push(request.clone());
        let mut headers = Vec::new();
        let (status, body) = match (self.script)(&request) {
            Some(Answer::Status(status)) => (status, Vec::new()),
            Some(Answer::Silence) => {
                std::thread::sleep(std::time::Duration::from_secs(40));
                return None;
            }
            Some(Answer::Redirect(host)) => {
                headers.push(("location".to_owned(), format!("http://{host}{}", request.path)));
                (307, Vec::new())
            }
            None => self.answer(&request, length),
        };
        write_answer(&mut &*stream, &request.method, status, &headers, &body).ok()
    }

    fn answer(&self, request: &Request, length: Option<u64>) -> (u16, Vec<u8>) {
        if self.wanted.as_deref().is_some_and(|wanted| request.header("authorization") != Some(wanted)) {
            return (401, Vec::new());
        }
        // A path may stand before both.
        let mut parts = request.path.rsplitn(3, '/');
        let (hash, kind) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let is_hash = hash.len() == 64 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_hash || !matches!(kind, "ac" | "cas") {
            return (400, b"resource name must be a SHA256 hash in hex".to_vec());
        }
        let name = format!("{kind}/{hash}");
        let there = self.content.lock().unwrap().get(&name).cloned();
        match (&*request.method, kind) {
            ("GET" | "HEAD", _) => match there {
                // What a result names has to be there.
                Some(content) if kind == "cas" || self.has_all(&content) => (200, content),
                _ => (404, Vec::new()),
            },
            ("PUT", _) if length.is_none() => (400, b"PUT without Content-Length".to_vec()),
            ("PUT", "cas") if digest(&request.body) != format!("sha256:{hash}") => (400, b"hash mismatch".to_vec()),
            ("PUT", _) => {
                let content = if kind == "ac" { with_worker(&request.body) } else { Some(request.body.clone()) };
                let Some(content) = content else { return (400, b"proto: cannot parse".to_vec()) };
                self.content.lock().unwrap().insert(name, content);
                (200, Vec::new())
            }
            _ => (405, Vec::new()),
        }
    }

    fn has_all(&self, result: &[u8]) -> bool {
        let Some(text) = decoded(result) else { return false };
        let value =
            |line: &str, key: &str| line.trim().strip_prefix(key).map(|value| value.trim_matches('"').to_owned());
        let hashes: Vec<String> = text.lines().filter_map(|line| value(line, "hash: ")).collect();
        let sizes: Vec<String> = text.lines().filter_map(|line| value(line, "size_bytes: ")).collect();
        let content = self.content.lock().unwrap();
        hashes.len() == sizes.len()
            && hashes.iter().zip(&sizes).all(|(hash, size)| {
                content.get(&format!("cas/{hash}")).is_some_and(|blob| blob.len().to_string() == *size)
            })
    }
}

/// A result of an action as `protoc` shows it; none if it is none.
pub fn decoded(result: &[u8]) -> Option<String> {
    String::from_utf8(protoc("--decode", result)?).ok()
}

/// The result of an action that `protoc` makes of this text.
pub fn encoded(text: &str) -> Vec<u8> {
    protoc("--encode", text.as_bytes()).unwrap()
}

/// As it is kept: with a note of who has sent it.
fn with_worker(result: &[u8]) -> Option<Vec<u8>> {
    Some(encoded(&format!("{}execution_metadata {{ worker: \"127.0.0.1\" }}\n", decoded(result)?)))
}

fn protoc(what: &str, input: &[u8]) -> Option<Vec<u8>> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/remote-execution");
    let words =
        [format!("{what}={MESSAGE}"), format!("--proto_path={}", place.display()), "action_result.proto".to_owned()];
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(input).unwrap();
    file.rewind().unwrap();
    let output = Command::new("protoc").args(words).stdin(file).output().unwrap();
    output.status.success().then_some(output.stdout)
}
