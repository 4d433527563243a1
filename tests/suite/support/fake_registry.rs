//! A registry that really keeps what is pushed to it, writes down every request, and misbehaves on demand.

use std::collections::HashMap;
use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::Digest as _;

use super::http::{read_chunks, read_head, write_answer};
use super::server::Server;

pub use super::http::Request;

/// What a script wants done with a request in the place of what a registry would do.
pub enum Reply {
    /// A body shorter than its own `Content-Length` ends with the connection.
    Answer(u16, Vec<(String, String)>, Vec<u8>),
    /// This status at once, before the request's body is read, and the end of the connection.
    Hasty(u16),
    /// The connection ends after so many bytes of the request's body.
    Cut(usize),
    /// Nothing for so long, then the connection ends.
    Silence(Duration),
    /// A body of unknown length (status 200), then nothing for so long, then the connection ends.
    Unmeasured(Vec<u8>, Duration),
    /// This body (status 200), a byte each time that so long has passed.
    Trickle(Vec<u8>, Duration),
    /// The request's body is read a piece of 4 KiB each time that so long has passed, and never answered.
    Sip(Duration),
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Reply::Answer(status, Vec::new(), Vec::new())
    }

    pub fn refusal(status: u16, code: &str, message: &str) -> Self {
        let body = format!(r#"{{"errors":[{{"code":"{code}","message":"{message}","detail":null}}]}}"#);
        Reply::Answer(status, Vec::new(), body.into_bytes())
    }

    pub fn with(self, name: &str, value: impl Into<String>) -> Self {
        match self {
            Reply::Answer(status, mut headers, body) => {
                headers.push((name.to_owned(), value.into()));
                Reply::Answer(status, headers, body)
            }
            other => other,
        }
    }
}

/// Sees each request before its body is read.
type Script = dyn Fn(&Request) -> Option<Reply> + Send + Sync;

#[derive(Default)]
struct Content {
    blobs: HashMap<String, Vec<u8>>,
    /// By `repository/reference`: media type and bytes.
    manifests: HashMap<String, (String, Vec<u8>)>,
    /// By path.
    uploads: HashMap<String, Upload>,
}

/// What has come, and how often its location has changed: with each answer it does.
#[derive(Default)]
struct Upload {
    bytes: Vec<u8>,
    moves: usize,
}

impl Upload {
    fn location(&mut self, path: &str) -> String {
        self.moves += 1;
        format!("{path}?{}", self.state())
    }

    fn state(&self) -> String {
        format!("_state=a%2Bb%3D{}", self.moves)
    }

    /// `0-0` is what docker's registry says of nothing.
    fn range(&self) -> String {
        format!("0-{}", self.bytes.len().saturating_sub(1))
    }
}

/// What a registry may do and need not.
#[derive(Default)]
pub struct Abilities {
    /// Takes the tags of a manifest that is put by its digest.
    pub tags: bool,
    /// Lists referrers.
    pub referrers: bool,
}

/// What becomes of an answer that a registry would give.
type Change = dyn Fn(&Request, Reply) -> Reply + Send + Sync;

struct State {
    script: Box<Script>,
    change: Box<Change>,
    abilities: Abilities,
    content: Mutex<Content>,
    requests: Mutex<Vec<Request>>,
    sessions: AtomicUsize,
}

pub struct FakeRegistry {
    server: Server,
    state: Arc<State>,
}

impl FakeRegistry {
    pub fn new() -> Self {
        Self::scripted(|_| None)
    }

    pub fn scripted(script: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> Self {
        Self::start(Abilities::default(), script, |_, reply| reply)
    }

    /// One that answers in its own manner: what `script` leaves to it goes through `change`.
    pub fn changed(
        script: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static,
        change: impl Fn(&Request, Reply) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start(Abilities::default(), script, change)
    }

    pub fn able(abilities: Abilities, script: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> Self {
        Self::start(abilities, script, |_, reply| reply)
    }

    fn start(
        abilities: Abilities,
        script: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static,
        change: impl Fn(&Request, Reply) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let state = Arc::new(State {
            script: Box::new(script),
            change: Box::new(change),
            abilities,
            content: Mutex::default(),
            requests: Mutex::default(),
            sessions: AtomicUsize::new(0),
        });
        let shared = state.clone();
        let server = Server::new(move |stream| while let Ok(true) = shared.serve(&stream) {});
        FakeRegistry { server, state }
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        self.server.address().to_string()
    }

    /// The same registry by an address that is not taken for loopback.
    pub fn other_address(&self) -> String {
        format!("0.0.0.0:{}", self.server.address().port())
    }

    pub fn requests(&self) -> Vec<Request> {
        self.state.requests.lock().unwrap().clone()
    }

    pub fn count(&self, method: &str, part: &str) -> usize {
        self.requests().iter().filter(|request| request.is(method, part)).count()
    }

    pub fn blob(&self, digest: impl ToString) -> Option<Vec<u8>> {
        self.state.content.lock().unwrap().blobs.get(&digest.to_string()).cloned()
    }

    /// Media type and bytes of `repository/tag-or-digest`.
    pub fn manifest(&self, name: &str) -> Option<(String, Vec<u8>)> {
        self.state.content.lock().unwrap().manifests.get(name).cloned()
    }

    /// Has `bytes` in the place of what the blob `digest` was; nothing if it is none.
    pub fn damage_blob(&self, digest: &str, bytes: Option<&[u8]>) {
        let mut content = self.state.content.lock().unwrap();
        content.blobs.remove(digest);
        content.blobs.extend(bytes.map(|bytes| (digest.to_owned(), bytes.to_vec())));
    }

    /// Has another byte in the middle of the blob `digest`.
    pub fn flip_in_blob(&self, digest: &str) {
        let mut blob = self.blob(digest).unwrap();
        let middle = blob.len() / 2;
        blob[middle] ^= 1;
        self.damage_blob(digest, Some(&blob));
    }

    /// The names `repository/reference` of all manifests, sorted.
    pub fn manifest_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.state.content.lock().unwrap().manifests.keys().cloned().collect();
        names.sort();
        names
    }

    /// Puts a blob there without a request.
    pub fn put_blob(&self, bytes: &[u8]) {
        self.state.content.lock().unwrap().blobs.insert(digest(bytes), bytes.to_vec());
    }

    /// Forgets what is under `repository/tag-or-digest`.
    pub fn remove_manifest(&self, name: &str) {
        self.state.content.lock().unwrap().manifests.remove(name).unwrap();
    }

    /// Lets `repository/tag` stand for something without a request, whatever it is.
    pub fn put_manifest(&self, name: &str, media_type: &str, bytes: &[u8]) {
        let manifests = &mut self.state.content.lock().unwrap().manifests;
        let (repository, _) = name.rsplit_once('/').unwrap();
        for key in [name.to_owned(), format!("{repository}/{}", digest(bytes))] {
            manifests.insert(key, (media_type.to_owned(), bytes.to_vec()));
        }
    }
}

impl State {
    /// One request; whether the connection goes on.
    fn serve(&self, mut stream: &TcpStream) -> io::Result<bool> {
        let mut reader = BufReader::new(stream);
        let Some(mut request) = read_head(&mut reader)? else { return Ok(false) };
        let length: usize = request.header("content-length").map_or(0, |length| length.parse().unwrap());
        let is_chunked = request.header("transfer-encoding").is_some();
        assert!(!is_chunked || request.method == "PATCH", "uploads of a whole blob have a length");
        match (self.script)(&request) {
            Some(Reply::Hasty(status)) => {
                self.requests.lock().unwrap().push(request);
                write_answer(&mut stream, "PUT", status, &[("connection".to_owned(), "close".to_owned())], b"")?;
                // As servers do it: what still comes is read until the other side has heard, lest the answer be lost with
                // a reset.
                stream.set_read_timeout(Some(Duration::from_secs(300)))?;
                stream.shutdown(std::net::Shutdown::Write)?;
                io::copy(&mut reader, &mut io::sink())?;
                Ok(false)
            }
            Some(Reply::Cut(bytes)) => {
                reader.by_ref().take(bytes as u64).read_to_end(&mut request.body)?;
                self.keep(&request);
                self.requests.lock().unwrap().push(request);
                Ok(false)
            }
            Some(Reply::Sip(pause)) => {
                let mut piece = vec![0; 4 << 10];
                while reader.read(&mut piece)? > 0 {
                    std::thread::sleep(pause);
                }
                Ok(false)
            }
            Some(Reply::Silence(time)) => {
                self.requests.lock().unwrap().push(request);
                std::thread::sleep(time);
                Ok(false)
            }
            scripted => {
                let complete = match is_chunked {
                    true => read_chunks(&mut reader, &mut request.body).is_ok(),
                    false => reader.by_ref().take(length as u64).read_to_end(&mut request.body)? == length,
                };
                self.requests.lock().unwrap().push(request.clone());
                if !complete {
                    self.keep(&request);
                    return Ok(false);
                }
                let reply = scripted.unwrap_or_else(|| (self.change)(&request, self.answer(&request)));
                if let Reply::Unmeasured(body, time) = reply {
                    stream.write_all(b"HTTP/1.1 200 -\r\nconnection: close\r\n\r\n")?;
                    stream.write_all(&body)?;
                    std::thread::sleep(time);
                    return Ok(false);
                }
                if let Reply::Trickle(body, pause) = reply {
                    write!(stream, "HTTP/1.1 200 -\r\ncontent-length: {}\r\n\r\n", body.len())?;
                    for byte in body {
                        stream.write_all(&[byte])?;
                        std::thread::sleep(pause);
                    }
                    return Ok(true);
                }
                let Reply::Answer(status, headers, body) = reply else { unreachable!("handled above") };
                write_answer(&mut stream, &request.method, status, &headers, &body)
            }
        }
    }

    fn answer(&self, request: &Request) -> Reply {
        let Some(rest) = request.path.strip_prefix("/v2/") else { return Reply::status(404) };
        if rest.is_empty() {
            return Reply::status(200);
        }
        if let Some((_, at)) = rest.split_once("/blobs/uploads/") {
            return self.upload(request, at);
        }
        if let Some((_, digest)) = rest.split_once("/blobs/") {
            return match self.content.lock().unwrap().blobs.get(digest) {
                Some(bytes) => part_of(bytes, request).with("docker-content-digest", digest),
                None => Reply::refusal(404, "BLOB_UNKNOWN", "blob unknown to registry"),
            };
        }
        match rest.split_once("/manifests/") {
            Some((name, reference)) if request.method == "PUT" => self.put_manifest(request, name, reference),
            Some(_) => match self.content.lock().unwrap().manifests.get(&rest.replacen("/manifests/", "/", 1)) {
                Some((media_type, bytes)) => Reply::Answer(200, Vec::new(), bytes.clone())
                    .with("content-type", media_type)
                    .with("docker-content-digest", digest(bytes)),
                None => Reply::refusal(404, "MANIFEST_UNKNOWN", "manifest unknown"),
            },
            None => rest.strip_suffix("/tags/list").map_or(Reply::status(404), |name| self.tags(name)),
        }
    }

    /// What came of a request that was cut off.
    fn keep(&self, request: &Request) {
        if let Some(upload) = self.content.lock().unwrap().uploads.get_mut(&request.path) {
            upload.bytes.extend_from_slice(&request.body);
        }
    }

    fn tags(&self, name: &str) -> Reply {
        let content = self.content.lock().unwrap();
        let references = content.manifests.keys().filter_map(|key| key.strip_prefix(name)?.strip_prefix('/'));
        let mut tags: Vec<_> = references.filter(|reference| !reference.contains([':', '/'])).collect();
        tags.sort();
        if tags.is_empty() {
            return Reply::refusal(404, "NAME_UNKNOWN", "repository name not known to registry");
        }
        Reply::Answer(200, Vec::new(), serde_json::json!({"name": name, "tags": tags}).to_string().into_bytes())
    }

    fn upload(&self, request: &Request, session: &str) -> Reply {
        let mut content = self.content.lock().unwrap();
        if request.method == "POST" {
            let path = format!("{}{}", request.path, self.sessions.fetch_add(1, Ordering::SeqCst));
            let upload = content.uploads.entry(path.clone()).or_default();
            return Reply::status(202).with("location", upload.location(&path)).with("range", "0-0");
        }
        let known = content.uploads.get_mut(&request.path).filter(|_| !session.is_empty());
        let Some(upload) = known else {
            return Reply::refusal(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
        };
        let standing = |status, upload: &mut Upload| {
            let range = upload.range();
            Reply::status(status).with("location", upload.location(&request.path)).with("range", range)
        };
        // Whoever has missed an answer may ask with the state of the one before.
        if request.method == "GET" {
            return standing(204, upload);
        }
        let is_own = |pair: &&str| pair.starts_with("_state=a%2Bb%3D");
        if request.query.split('&').filter(is_own).any(|pair| pair != upload.state()) {
            return Reply::refusal(404, "BLOB_UPLOAD_INVALID", "blob upload invalid");
        }
        let start = request.header("content-range").map(|range| range.split('-').next().unwrap().parse().ok());
        if start.is_some_and(|start| start != Some(upload.bytes.len())) {
            return standing(416, upload);
        }
        upload.bytes.extend_from_slice(&request.body);
        if request.method == "PATCH" {
            return standing(202, upload);
        }
        let expected = request.query.split('&').find_map(|pair| pair.strip_prefix("digest="));
        let expected = expected.unwrap_or_default().replace("%3A", ":");
        let bytes = content.uploads.remove(&request.path).unwrap().bytes;
        if request.method != "PUT" || expected != digest(&bytes) {
            return Reply::refusal(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
        }
        content.blobs.insert(expected.clone(), bytes);
        Reply::status(201).with("docker-content-digest", expected)
    }

    /// Takes a manifest only if all that it names is there.
    fn put_manifest(&self, request: &Request, name: &str, reference: &str) -> Reply {
        let mut content = self.content.lock().unwrap();
        let Ok(document) = serde_json::from_slice::<serde_json::Value>(&request.body) else {
            return Reply::refusal(400, "MANIFEST_INVALID", "manifest invalid");
        };
        let list = |key: &str| document[key].as_array().cloned().unwrap_or_default();
        let blobs = [vec![document["config"].clone()], list("layers")].concat();
        let lacks_blob =
            blobs.iter().filter_map(|blob| blob["digest"].as_str()).any(|d| !content.blobs.contains_key(d));
        let lacks_child = list("manifests")
            .iter()
            .filter_map(|child| child["digest"].as_str())
            .any(|digest| !content.manifests.contains_key(&format!("{name}/{digest}")));
        if lacks_blob || lacks_child {
            return Reply::refusal(400, "MANIFEST_BLOB_UNKNOWN", "manifest references an unknown blob or manifest");
        }
        let own = digest(&request.body);
        if reference.contains(':') && reference != own {
            return Reply::refusal(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
        }
        let media_type = request.header("content-type").unwrap_or_default().to_owned();
        let tags = request.query.split('&').filter_map(|pair| pair.strip_prefix("tag="));
        let tags: Vec<_> = tags.filter(|_| self.abilities.tags).collect();
        for key in [reference, &own].iter().chain(&tags) {
            content.manifests.insert(format!("{name}/{key}"), (media_type.clone(), request.body.clone()));
        }
        let reply = Reply::status(201).with("docker-content-digest", own);
        let reply = tags.into_iter().fold(reply, |reply, tag| reply.with("oci-tag", tag));
        match document["subject"]["digest"].as_str().filter(|_| self.abilities.referrers) {
            Some(subject) => reply.with("oci-subject", subject),
            None => reply,
        }
    }
}

/// What a request wants of a blob: all of it, or what comes from a byte on (RFC 9110, section 14).
fn part_of(bytes: &[u8], request: &Request) -> Reply {
    let from = request.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    match from {
        None => Reply::Answer(200, Vec::new(), bytes.to_vec()),
        Some(from) if from < bytes.len() => Reply::Answer(206, Vec::new(), bytes[from..].to_vec())
            .with("content-range", format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len())),
        Some(_) => Reply::status(416),
    }
}

pub fn digest(bytes: &[u8]) -> String {
    let hex: String = sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// Asks for a bearer token, as the token specification of docker's registry has it. Each token is good for
/// `uses` requests, and `realm` is at the registry itself.
pub fn token_auth(uses: usize) -> impl Fn(&Request) -> Option<Reply> + Send + Sync {
    // The number of the last token, and how often it may still be used.
    let tokens = Mutex::new((0, 0));
    move |request| {
        let mut tokens = tokens.lock().unwrap();
        if request.path == "/token" {
            *tokens = (tokens.0 + 1, uses);
            let body = format!(r#"{{"token":"token-{}","expires_in":60}}"#, tokens.0);
            return Some(Reply::Answer(200, Vec::new(), body.into_bytes()));
        }
        let expected = format!("Bearer token-{}", tokens.0);
        if request.header("authorization") == Some(&expected) && tokens.1 > 0 {
            tokens.1 -= 1;
            return None;
        }
        let host = request.header("host").unwrap();
        let challenge = format!(r#"Bearer realm="http://{host}/token",service="fake, really",scope="aws""#);
        Some(Reply::refusal(401, "UNAUTHORIZED", "authentication required").with("www-authenticate", challenge))
    }
}
