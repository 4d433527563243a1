//! A repository as a [`Store`] to read from (distribution-spec, "Pull").

use std::io::Read;

use serde_json::Value;

use super::answer::{UNSETTLED, check_digest, content_digest};
use super::download::Download;
use super::repository::Repository;
use crate::error::{Error, ErrorKind, Result};
use crate::net::header::{CONTENT_LENGTH, CONTENT_TYPE};
use crate::net::{Failure, Method, Request, Response, StatusCode};
use crate::oci::{Descriptor, Digest, MANIFEST_LIMIT, Reference, VerifyingReader, from_json, is_valid_tag, media_type};
use crate::progress::{Fetch, Fetched};
use crate::store::Store;

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
        let mut fetch = Fetch::begin(self.progress, Fetched::Name(&self.reference.to_string()), None);
        let found = self.attempt(|| {
            let head = self.head_of_manifest(name)?;
            self.describe(head, name, digest)
        })?;
        fetch.complete();
        Ok(found)
    }

    fn has(&self, descriptor: &Descriptor) -> Result<bool> {
        self.attempt(|| self.has_blob(&self.access, descriptor))
    }

    fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        self.list_referrers(subject)
    }

    fn origin(&self, _: &Descriptor) -> Option<&Reference> {
        Some(&self.reference)
    }
}

impl Repository<'_> {
    /// Returns what `tag` stands for; `None` if the repository has no such tag, or does not exist.
    pub fn find(&self, tag: &str) -> Result<Option<Descriptor>> {
        if !is_valid_tag(tag) {
            return Err(Error::input(format!("`{tag}` is not a tag")));
        }
        self.attempt(|| {
            let head = self.head_of_manifest(tag)?;
            if head.status() == StatusCode::NOT_FOUND {
                return Ok(None);
            }
            match self.describe(head, tag, None) {
                Err(failure) if failure.error.kind == ErrorKind::NotFound => Ok(None),
                described => described.map(Some),
            }
        })
    }

    fn head_of_manifest(&self, name: &str) -> Result<Response, Failure> {
        let head = Request { expected: UNSETTLED, ..self.manifest_request(&self.access, Method::HEAD, name)? };
        self.client.connection.exchange(&self.access, &head)
    }

    /// Returns what `name` stands for, by the answer to HEAD where that tells.
    fn describe(&self, head: Response, name: &str, digest: Option<Digest>) -> Result<Descriptor, Failure> {
        if head.status().is_success()
            && let Some(found) = described(&head)
        {
            check_digest(&head, digest.unwrap_or(found.digest))?;
            return Ok(found);
        }
        self.resolve_by_content(name, digest)
    }

    /// For registries that do not describe a manifest in the answer to HEAD, or refuse to.
    fn resolve_by_content(&self, name: &str, digest: Option<Digest>) -> Result<Descriptor, Failure> {
        let request = self.manifest_request(&self.access, Method::GET, name)?;
        let mut answer = self.client.connection.exchange(&self.access, &request)?;
        let body = answer.read(MANIFEST_LIMIT)?;
        let actual = Digest::of(&body);
        check_digest(&answer, actual)?;
        let label = answer.label();
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
