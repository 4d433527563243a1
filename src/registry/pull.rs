//! A repository as a [`Store`] to read from (distribution-spec, "Pull").

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;

use super::client::{Client, Repository};
use super::connection::{Request, check_digest, content_digest};
use super::failure::{Failure, label};
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest, MANIFEST_LIMIT, Reference, VerifyingReader, from_json, is_valid_tag, media_type};
use crate::store::Store;

impl Store for Repository<'_> {
    /// A blob that breaks off in the middle is an error of the reader: what has been read cannot be taken back.
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        let client = self.client;
        let answer = self.attempt(async || {
            let is_manifest = media_type::is_manifest_or_index(&descriptor.media_type);
            let kind = if is_manifest { "manifests" } else { "blobs" };
            let url = self.url(&self.access, &format!("{kind}/{}", descriptor.digest)).await?;
            let mut request = Request::new(Method::GET, url);
            if let Ok(accept) = HeaderValue::from_str(&descriptor.media_type)
                && is_manifest
            {
                request.headers.insert(ACCEPT, accept);
            }
            let answer = client.connection.exchange(&self.access, &request).await?;
            check_digest(&request.method, &answer, descriptor.digest)?;
            Ok(answer)
        })?;
        let body = Download { client, answer, chunk: Bytes::new() };
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
            let mut head = self.manifest_request(Method::HEAD, name).await?;
            head.expected = &[StatusCode::METHOD_NOT_ALLOWED];
            let answer = self.client.connection.exchange(&self.access, &head).await?;
            if answer.status().is_success()
                && let Some(found) = described(&answer)
            {
                check_digest(&Method::HEAD, &answer, digest.unwrap_or(found.digest))?;
                return Ok(found);
            }
            self.resolve_by_content(name, digest).await
        })
    }

    fn origin(&self, _: &Descriptor) -> Option<&Reference> {
        Some(&self.reference)
    }
}

impl Repository<'_> {
    fn attempt<T>(&self, step: impl AsyncFnMut() -> Result<T, Failure>) -> Result<T> {
        self.client.runtime.block_on(self.backoff.run(self.progress, step))
    }

    async fn manifest_request(&self, method: Method, name: &str) -> Result<Request<'static>, Failure> {
        const ALL: [&str; 4] = [
            media_type::IMAGE_INDEX,
            media_type::IMAGE_MANIFEST,
            media_type::DOCKER_MANIFEST_LIST,
            media_type::DOCKER_MANIFEST,
        ];
        let mut request = Request::new(method, self.url(&self.access, &format!("manifests/{name}")).await?);
        // One header each: there are registries that do not split them at commas.
        for media_type in ALL {
            request.headers.append(ACCEPT, HeaderValue::from_static(media_type));
        }
        Ok(request)
    }

    /// For registries that do not describe a manifest in the answer to HEAD.
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
        let media_type = match content_type(&answer).filter(|kind| media_type::is_manifest_or_index(kind)) {
            Some(media_type) => media_type.to_owned(),
            None => {
                let document: Value = from_json(&format!("the manifest of {label}"), &body).map_err(|error| {
                    error.with_hint("is there a registry, and not some other server, at this address?")
                })?;
                document["mediaType"].as_str().unwrap_or("of no type").to_owned()
            }
        };
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
    Some(Descriptor::new(media_type, content_digest(answer)?, size))
}

fn content_type(answer: &Response) -> Option<&str> {
    let value = answer.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or(value).trim())
}

/// A body as it arrives, one chunk at a time.
struct Download<'a> {
    client: &'a Client,
    answer: Response,
    chunk: Bytes,
}

impl Read for Download<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            let next = self.client.connection.chunk(&Method::GET, &mut self.answer);
            match self.client.runtime.block_on(next) {
                Ok(Some(chunk)) => self.chunk = chunk,
                Ok(None) => return Ok(0),
                Err(failure) => return Err(io::Error::other(failure.error)),
            }
        }
        let count = self.chunk.len().min(buffer.len());
        self.chunk.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
