//! Docker's API, as far as images are loaded by it (docs.docker.com/reference/api/engine). podman has the same.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::super::sink::{Sink, is_unread};
use super::kind::{EngineAddress, EngineKind};
use crate::error::{Error, ErrorKind, Result};
use crate::net::header::{CONTENT_TYPE, HeaderValue};
use crate::net::{
    Activity, Body, Certificates, HttpClient, HttpOptions, LeastSpeed, Method, PieceSender, Pieces, REFUSAL_LIMIT,
    Request, Response, Server, StatusCode, Stop, Url, printable, words,
};
use crate::oci::{Digest, Reference};

/// An engine unpacks all that it was given before it answers.
const PATIENCE: Duration = Duration::from_secs(3600);

/// The most that an answer has, in bytes: one about all images of a machine.
const ANSWER_LIMIT: u64 = 64 << 20;

/// Of what an engine says of a failure an error repeats so many characters.
const LONGEST_REASON: usize = 1000;

/// An API that is spoken to.
pub(super) struct EngineApi {
    http: HttpClient,
    server: Server,
    base: Url,
    kind: EngineKind,
    address: EngineAddress,
}

/// What answers, and how it keeps images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ImageKeeping {
    /// Docker's own store: one platform, layers by their chain.
    Docker,
    /// Docker with containerd's store: all platforms.
    Containerd,
    /// podman, which answers in docker's words.
    Podman,
}

impl EngineApi {
    /// Returns one that has asked nothing yet.
    pub fn new(kind: EngineKind, address: &EngineAddress) -> Result<Self> {
        let least_speed = LeastSpeed { bytes: 0, within: PATIENCE };
        let mut options = HttpOptions { patience: PATIENCE, least_speed, ..HttpOptions::default() };
        let (base, host, insecure) = match address {
            EngineAddress::Socket(path) => {
                options.socket = Some(path.clone());
                ("http://localhost/".to_owned(), "localhost".to_owned(), false)
            }
            EngineAddress::Host(host, None) => (format!("http://{host}/"), host.clone(), false),
            EngineAddress::Host(host, Some(tls)) => {
                let roots = tls.authority.iter().cloned().collect();
                options.certificates = Certificates { roots, directories: Vec::new(), own: tls.own.clone() };
                (format!("https://{host}/"), host.clone(), tls.insecure)
            }
        };
        let base = Url::parse(&base)
            .map_err(|source| Error::input(format!("{address} is not the address of an engine")).with_source(source))?;
        let server = Server { noun: "engine", name: host.clone(), host, insecure };
        Ok(EngineApi { http: HttpClient::new(options)?, server, base, kind, address: address.clone() })
    }

    /// Fails if nobody answers.
    pub fn ping(&self) -> Result<()> {
        self.get("_ping").map(drop)
    }

    /// Returns how what answers keeps images.
    pub fn keeping(&self) -> Result<ImageKeeping> {
        let version = self.get("version")?.unwrap_or_default();
        let parts = version["Components"].as_array();
        let is_podman = |part: &Value| part["Name"].as_str().is_some_and(|name| name.starts_with("Podman"));
        if parts.is_some_and(|parts| parts.iter().any(is_podman)) {
            return Ok(ImageKeeping::Podman);
        }
        let information = self.get("info")?.unwrap_or_default();
        let status = information["DriverStatus"].as_array().cloned().unwrap_or_default();
        let is_containerd = status.iter().any(|pair| {
            pair[0] == "driver-type" && pair[1].as_str().is_some_and(|kind| kind.starts_with("io.containerd"))
        });
        Ok(if is_containerd { ImageKeeping::Containerd } else { ImageKeeping::Docker })
    }

    /// Returns the ID of the image that goes by `name`, a name or an ID; none if there is no such image.
    pub fn id(&self, name: &str) -> Result<Option<Digest>> {
        let image = self.get(&format!("images/{name}/json"))?;
        Ok(image.and_then(|image| id(image["Id"].as_str()?)))
    }

    /// Returns the diff_ids of the layers of each of so many images, the newest first.
    pub fn layers(&self, most: usize) -> Result<Vec<Vec<Digest>>> {
        let images = self.get("images/json")?.unwrap_or_default();
        let ids = images.as_array().into_iter().flatten().filter_map(|image| id(image["Id"].as_str()?));
        let mut all = Vec::new();
        for id in ids.take(most) {
            // One that has gone in the meantime has no layers that count.
            let image = self.get(&format!("images/{id}/json"))?.unwrap_or_default();
            let layers = image["RootFS"]["Layers"].as_array().into_iter().flatten();
            all.push(layers.map_while(|layer| layer.as_str()?.parse().ok()).collect());
        }
        Ok(all)
    }

    /// Lets `name` stand for the image with this ID.
    pub fn tag(&self, image: Digest, name: &Reference) -> Result<()> {
        let mut url = self.url(&format!("images/{image}/tag"))?;
        url.query_pairs_mut().append_pair("repo", &name.name()).append_pair("tag", name.tag().unwrap_or("latest"));
        let mut answer = self.send(&Request::new(Method::POST, url))?;
        if answer.status().is_success() { Ok(()) } else { Err(self.refusal(&mut answer)) }
    }

    /// Loads the archive that `write` writes.
    pub fn load(&self, write: impl FnOnce(Sink) -> Result<()> + Send) -> Result<()> {
        let mut url = self.url("images/load")?;
        url.query_pairs_mut().append_pair("quiet", "1");
        let (sender, pieces) = Pieces::channel();
        let activity = Arc::new(Activity::default());
        let body = || {
            let again = || Error::new(ErrorKind::Io, format!("{} asks for the image twice", self.kind));
            pieces.body(0, u64::MAX).ok_or_else(again)
        };
        let mut request = Request::new(Method::POST, url);
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
        request.body = Body::Stream(&body, &activity);
        let sink = Sink::Engine(Box::new(PieceWriter { sender, activity: activity.clone() }));
        let (answer, written) = thread::scope(|scope| {
            let writing = thread::Builder::new().name("engine".to_owned()).spawn_scoped(scope, || write(sink));
            let writing =
                writing.map_err(|source| Error::new(ErrorKind::Io, "cannot start a thread").with_source(source))?;
            let answer = self.send(&request);
            // An engine that has answered takes no more.
            pieces.stop();
            Ok((answer, writing.join().unwrap_or(Ok(()))))
        })?;
        if let Err(error) = written
            && !is_unread(&error)
        {
            return Err(error);
        }
        let mut answer = answer?;
        if !answer.status().is_success() {
            return Err(self.refusal(&mut answer));
        }
        let said = answer.read(ANSWER_LIMIT).map_err(|failure| self.failed(failure.error))?;
        // The status was sent before all was done.
        let lines = serde_json::Deserializer::from_slice(&said).into_iter::<Value>().map_while(Result::ok);
        match lines.filter_map(|line| Some(line["error"].as_str()?.to_owned())).next() {
            Some(error) => Err(self.refused(&error)),
            None => Ok(()),
        }
    }

    /// Returns what is available at `path`; none if there is nothing. What is no JSON is null.
    fn get(&self, path: &str) -> Result<Option<Value>> {
        let mut answer = self.send(&Request::new(Method::GET, self.url(path)?))?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => {
                let body = answer.read(ANSWER_LIMIT).map_err(|failure| self.failed(failure.error))?;
                Ok(Some(serde_json::from_slice(&body).unwrap_or_default()))
            }
            _ => Err(self.refusal(&mut answer)),
        }
    }

    fn url(&self, path: &str) -> Result<Url> {
        self.base
            .join(path)
            .map_err(|source| Error::input(format!("`{path}` is not a path of an API")).with_source(source))
    }

    fn send(&self, request: &Request<'_>) -> Result<Response> {
        let sent = self.http.send(&self.server, request, None, &Stop::default());
        sent.map_err(|failure| self.failed(failure.error))
    }

    /// The error of a request that has come to nothing.
    fn failed(&self, error: Error) -> Error {
        Error { kind: ErrorKind::Io, message: format!("{} at {}: {}", self.kind, self.address, error.message), ..error }
            .with_hint(self.way())
    }

    /// The error of an answer that refuses.
    fn refusal(&self, answer: &mut Response) -> Error {
        let status = answer.status();
        let said = answer.read(REFUSAL_LIMIT).ok().and_then(|body| words(answer.headers(), &body));
        let said = said.unwrap_or_else(|| "it does not say why".to_owned());
        let error = Error::new(ErrorKind::Io, format!("{} at {}: {status}: {said}", self.kind, self.address));
        if status == StatusCode::BAD_REQUEST { error.with_hint(self.way()) } else { error }
    }

    /// Returns what to look at where nobody answers as an engine does.
    fn way(&self) -> String {
        let kind = self.kind;
        match &self.address {
            EngineAddress::Socket(_) => format!("is it {kind} that listens there?"),
            EngineAddress::Host(_, None) => {
                format!(
                    "is it {kind} that listens there? One that wants TLS needs DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH"
                )
            }
            EngineAddress::Host(_, Some(_)) => {
                format!("is it {kind} that listens there, and are ca.pem, cert.pem and key.pem those for it?")
            }
        }
    }

    fn refused(&self, why: &str) -> Error {
        let kind = self.kind;
        let why: String = printable(why).chars().take(LONGEST_REASON).collect();
        let hint = match why.contains("no space left") {
            true => format!("{kind} has no space left for the image: remove some that are not needed"),
            false => format!("{kind} says why; `-o FILE` writes an archive to try it by hand"),
        };
        Error::new(ErrorKind::Io, format!("{kind} did not take the image: {why}"))
            .with_details(vec![format!("at {}", self.address)])
            .with_hint(hint)
    }
}

/// Reads an ID; podman leaves out of what kind it is.
pub(super) fn id(text: &str) -> Option<Digest> {
    let text = text.trim();
    if text.contains(':') { text.parse().ok() } else { format!("sha256:{text}").parse().ok() }
}

/// Writes into the body of a request.
struct PieceWriter {
    sender: PieceSender,
    activity: Arc<Activity>,
}

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.sender.send(Ok(bytes.to_vec().into())) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.activity.note();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
