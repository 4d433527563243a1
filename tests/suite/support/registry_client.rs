//! A client that does not wait long between its tries, and what it says of itself.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use ocibake::error::{Error, Result};
use ocibake::net::{Backoff, HttpOptions};
use ocibake::oci::{Descriptor, Reference};
use ocibake::progress::{BlobOutcome, Event};
use ocibake::registry::{Client, Credential, Credentials, OnDemand, RegistryOptions};

use super::fake_registry::digest;
use super::memory_store::MemoryStore;

pub fn options() -> RegistryOptions {
    RegistryOptions {
        parallel: 8,
        http: HttpOptions {
            backoff: Backoff { tries: 5, base: Duration::from_millis(5) },
            patience: Duration::from_secs(300),
            ..RegistryOptions::default().http
        },
        ..RegistryOptions::default()
    }
}

pub fn client() -> Client {
    Client::new(options()).unwrap()
}

/// One blob at a time.
pub fn alone() -> Client {
    Client::new(RegistryOptions { parallel: 1, ..options() }).unwrap()
}

pub fn with_patience(patience: Duration) -> Client {
    Client::new(RegistryOptions { http: HttpOptions { patience, ..options().http }, ..options() }).unwrap()
}

pub fn on_demand() -> OnDemand {
    OnDemand::new(options())
}

/// Credentials with one entry in a `config.json`, which goes away with the directory.
pub fn logged_in(registry: &str, user: &str, password: &str) -> (tempfile::TempDir, Credentials) {
    let directory = tempfile::tempdir().unwrap();
    let credentials = Credentials::from_docker_config(Some(directory.path().to_owned()));
    credentials.store(registry, &basic(user, password)).unwrap();
    (directory, credentials)
}

pub fn basic(user: &str, password: &str) -> Credential {
    Credential::Basic { user: user.to_owned(), password: password.to_owned() }
}

pub fn reference(address: &str, name: &str) -> Reference {
    format!("{address}/{name}").parse().unwrap()
}

/// Pushes what `root` reaches to the repository `org/api`.
pub fn push(
    client: &Client,
    address: &str,
    store: &MemoryStore,
    root: &Descriptor,
    tags: &[&str],
    news: &News,
) -> Result<()> {
    let tags: Vec<String> = tags.iter().map(|tag| tag.to_string()).collect();
    let tell = |event: Event<'_>| news.tell(event);
    let (repository, graph) = (client.repository(&reference(address, "org/api"), &tell), store.graph(root));
    repository.upload(&graph, store)?;
    repository.tag(&graph, &tags)
}

/// Message and hint, with HOST for the address.
pub fn text(error: &Error, address: &str) -> (String, String) {
    let redact = |text: &str| text.replace(address, "HOST");
    (redact(&error.message), redact(error.hint.as_deref().unwrap_or_default()))
}

/// What progress told, one line for each event; bytes that advance are summed up.
#[derive(Default)]
pub struct News {
    lines: Mutex<Vec<String>>,
    advanced: Mutex<u64>,
    advanced_of: Mutex<HashMap<String, u64>>,
    waits: Mutex<Vec<Duration>>,
}

impl News {
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Since the last start or restart of any blob.
    pub fn advanced(&self) -> u64 {
        *self.advanced.lock().unwrap()
    }

    /// Of the blob with this content, since its last start or restart.
    pub fn advanced_of(&self, content: &[u8]) -> u64 {
        self.advanced_of.lock().unwrap()[&digest(content)]
    }

    pub fn waits(&self) -> Vec<Duration> {
        self.waits.lock().unwrap().clone()
    }

    pub fn tell(&self, event: Event<'_>) {
        let line = match event {
            Event::BlobStarted { descriptor } => format!("started {}", descriptor.digest),
            Event::BlobRestarted { digest, from } => {
                *self.advanced.lock().unwrap() = from;
                self.advanced_of.lock().unwrap().insert(digest.to_string(), from);
                format!("restarted {digest} at {from}")
            }
            Event::BlobAdvanced { digest, bytes } => {
                *self.advanced.lock().unwrap() += bytes;
                *self.advanced_of.lock().unwrap().entry(digest.to_string()).or_default() += bytes;
                return;
            }
            Event::BlobFinished { digest, outcome: BlobOutcome::Sent } => format!("sent {digest}"),
            Event::BlobFinished { digest, outcome: BlobOutcome::Present } => format!("present {digest}"),
            Event::ManifestPushed { name, .. } => format!("manifest {name}"),
            Event::Retrying { request, reason, wait, .. } => {
                self.waits.lock().unwrap().push(wait);
                format!("retrying {request}: {reason}")
            }
            other => format!("{other:?}"),
        };
        self.lines.lock().unwrap().push(line);
    }
}
