//! A repository as a [`Store`] to read from (distribution-spec, "Pull").

use std::io::Read;

use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;

use super::client::Repository;
use super::connection::{Request, UNSETTLED, check_digest, content_digest};
use super::download::Download;
use crate::net::failure::{Failure, label};
use crate::error::{Error, ErrorKind, Result};
use crate::oci::{Descriptor, Digest, MANIFEST_LIMIT, Reference, VerifyingReader, from_json, is_valid_tag, media_type};
use crate::store::Store;

const ALL_MANIFESTS: [&str; 4] = [
    media_type::IMAGE_INDEX,
    media_type::IMAGE_MANIFEST,
    media_type::DOCKER_MANIFEST_LIST,
    media_type::DOCKER_MANIFEST,
];

impl Store for Repository<'_> {
    /// A download that breaks off goes on where it was, as often as anything else is tried again.
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        let body = Download::begin(self, descriptor)?;
        Ok(Box::new(VerifyingReader::new(body, descriptor.digest, descriptor.size)))
    }

    /// `name` is a tag or a digest; `None` is what the reference of this repository says.
    fn resolve(&self, name: Option<&str>) -> Result<Descriptor> {
        let own = self.reference.tag_or_digest();
        let name = name.unwrap_or(&own);
        let digest: Option<Digest> = name.parse().ok();
        if digest.is_none() && !is_valid_tag(name) {
            return Err(Error::input(format!("`{name}` is neither a tag nor a digest")));
        }
        self.attempt(async || {
            let head = self.head_of_manifest(name).await?;
            self.describe(head, name, digest).await
        })
    }

    fn has(&self, descriptor: &Descriptor) -> Result<bool> {
        self.attempt(async || self.has_blob(&self.access, descriptor).await)
    }

    fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        self.list_referrers(subject)
    }

    fn origin(&self, _: &Descriptor) -> Option<&Reference> {
        Some(&self.reference)
    }
}

impl Repository<'_> {
    /// What `tag` stands for; `None` if the repository has no such tag, or does not exist.
    pub fn find(&self, tag: &str) -> Result<Option<Descriptor>> {
        if !is_valid_tag(tag) {
            return Err(Error::input(format!("`{tag}` is not a tag")));
        }
        self.attempt(async || {
            let head = self.head_of_manifest(tag).await?;
            if head.status() == StatusCode::NOT_FOUND {
                return Ok(None);
            }
            match self.describe(head, tag, None).await {
                Err(failure) if failure.error.kind == ErrorKind::NotFound => Ok(None),
                described => described.map(Some),
            }
        })
    }

    pub(super) fn attempt<T>(&self, step: impl AsyncFnMut() -> Result<T, Failure>) -> Result<T> {
        self.client.runtime.block_on(self.backoff.run(self.progress, step))
    }

    /// For the manifest that `name` stands for, of whatever type.
    pub(super) async fn manifest_request(&self, method: Method, name: &str) -> Result<Request<'static>, Failure> {
        let mut request = Request::new(method, self.url(&self.access, &format!("manifests/{name}")).await?);
        // One header each: there are registries that do not split them at commas. And all of them even where the type
        // is known: there are such that look for no more than the types that are listed.
        for media_type in ALL_MANIFESTS {
            request.headers.append(ACCEPT, HeaderValue::from_static(media_type));
        }
        Ok(request)
    }

    async fn head_of_manifest(&self, name: &str) -> Result<Response, Failure> {
        let head = Request { expected: UNSETTLED, ..self.manifest_request(Method::HEAD, name).await? };
        self.client.connection.exchange(&self.access, &head).await
    }

    /// What `name` stands for, by the answer to HEAD where that tells.
    async fn describe(&self, head: Response, name: &str, digest: Option<Digest>) -> Result<Descriptor, Failure> {
        if head.status().is_success()
            && let Some(found) = described(&head)
        {
            check_digest(&Method::HEAD, &head, digest.unwrap_or(found.digest))?;
            return Ok(found);
        }
        self.resolve_by_content(name, digest).await
    }

    /// For registries that do not describe a manifest in the answer to HEAD, or refuse to.
    async fn resolve_by_content(&self, name: &str, digest: Option<Digest>) -> Result<Descriptor, Failure> {
        let request = self.manifest_request(Method::GET, name).await?;
        let connection = &self.client.connection;
        let mut answer = connection.exchange(&self.access, &request).await?;
        let body = connection.read(&request.method, &mut answer, MANIFEST_LIMIT).await?;
        let actual = Digest::of(&body);
        check_digest(&request.method, &answer, actual)?;
        let label = label(&request.method, answer.url());
        if let Some(expected) = digest
            && expected != actual
        {
            return Err(Error::integrity(format!("{label}: the manifest has the digest {actual}")).into());
        }
        let of_a_manifest =
            |kind: &&str| media_type::is_manifest_or_index(kind) || kind.starts_with(media_type::FIRST_SCHEMA);
        let media_type = match content_type(&answer).filter(of_a_manifest) {
            Some(media_type) => media_type.to_owned(),
            None => {
                let document: Value = from_json(&format!("the manifest of {label}"), &body).map_err(|error| {
                    error.with_hint("is there a registry, and not some other server, at this address?")
                })?;
                match &document["mediaType"] {
                    Value::String(kind) => kind.clone(),
                    _ if document["schemaVersion"] == 1 => format!("{}json", media_type::FIRST_SCHEMA),
                    _ => "of no type".to_owned(),
                }
            }
        };
        media_type::check_schema(&label, &media_type)?;
        if !media_type::is_manifest_or_index(&media_type) {
            return Err(Error::input(format!("{label}: `{media_type}` is not the type of an image or index")).into());
        }
        Ok(Descriptor::new(media_type, actual, body.len() as u64))
    }
}

/// The descriptor that the headers of an answer to HEAD make up.
fn described(answer: &Response) -> Option<Descriptor> {
    let media_type = content_type(answer).filter(|kind| media_type::is_manifest_or_index(kind))?;
    let size = answer.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()?;
    if size == 0 {
        return None; // no manifest is empty: it is the body of this answer that was counted
    }
    Some(Descriptor::new(media_type, content_digest(answer)?, size))
}

fn content_type(answer: &Response) -> Option<&str> {
    let value = answer.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or(value).trim())
}
