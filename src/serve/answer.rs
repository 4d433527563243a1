//! What is answered to what is asked for: all of it but the bytes of blobs.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use hyper::header::{
    ACCEPT_RANGES, ALLOW, CONTENT_RANGE, CONTENT_TYPE, ETAG, HOST, HeaderName, HeaderValue, IF_NONE_MATCH, IF_RANGE,
    LINK, RANGE, RETRY_AFTER,
};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use serde_json::json;

use super::asked::{Endpoint, ManifestKey, Query};
use super::offer::{MeantImages, OfferedImage, TagMeaning};
use super::range::WantedPart;
use super::read::BlobRead;
use super::refusal::{RefusalCode, RequestRefusal};
use super::stock::{ImageContent, Snapshot, Stock};
use crate::oci::{Descriptor, Digest, ImageIndex, Map, media_type, to_json};
use crate::store::read_document;

/// What is answered.
pub(super) struct ServedAnswer {
    pub status: StatusCode,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub content: AnswerContent,
    /// What went wrong here.
    pub fault: Option<String>,
}

/// What stands behind the headers.
pub(super) enum AnswerContent {
    Bytes(Vec<u8>),
    /// So many bytes, which only a GET gets.
    Size(u64),
    Blob(Box<BlobRead>),
}

const DOCUMENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

const JSON: &str = "application/json";

/// A request, and what there is to answer it with.
struct Asking<'a> {
    stock: &'a Arc<Stock>,
    snapshot: Arc<Snapshot>,
    asked: &'a Parts,
    query: Query,
}

/// Answers a request. This may take as long as the documents of an image take to read.
pub(super) fn answer(stock: &Arc<Stock>, asked: &Parts) -> ServedAnswer {
    try_answer(stock, asked).unwrap_or_else(ServedAnswer::refused)
}

fn try_answer(stock: &Arc<Stock>, asked: &Parts) -> Result<ServedAnswer, RequestRefusal> {
    if !matches!(asked.method, Method::GET | Method::HEAD) {
        return Err(RequestRefusal::read_only());
    }
    let asking = || {
        let snapshot = stock.snapshot().map_err(|error| RequestRefusal::unread(&error, RefusalCode::Unknown))?;
        Ok(Asking { stock, snapshot, asked, query: Query::of(asked.uri.query().unwrap_or_default()) })
    };
    match Endpoint::of(asked.uri.path())? {
        Endpoint::Base => Ok(ServedAnswer::document(JSON, b"{}".to_vec())),
        Endpoint::Catalog => asking()?.catalog(),
        Endpoint::Tags(name) => asking()?.tags(&name),
        Endpoint::Manifest(name, key) => asking()?.manifest(&name, &key),
        Endpoint::Blob(name, digest) => asking()?.blob(&name, &digest),
        Endpoint::Referrers(name, subject) => asking()?.referrers(&name, &subject),
    }
}

impl ServedAnswer {
    /// Returns the answer that refuses.
    pub fn refused(refusal: RequestRefusal) -> ServedAnswer {
        let mut answer = ServedAnswer::document(JSON, refusal.document());
        match refusal.status {
            StatusCode::METHOD_NOT_ALLOWED => answer.add(ALLOW, "GET, HEAD"),
            StatusCode::SERVICE_UNAVAILABLE => answer.add(RETRY_AFTER, "1"),
            _ => {}
        }
        ServedAnswer { status: refusal.status, fault: refusal.fault, ..answer }
    }

    fn document(kind: &str, document: Vec<u8>) -> ServedAnswer {
        let mut answer = ServedAnswer::of(StatusCode::OK, AnswerContent::Bytes(document));
        answer.add(CONTENT_TYPE, kind);
        answer
    }

    fn of(status: StatusCode, content: AnswerContent) -> ServedAnswer {
        ServedAnswer { status, headers: Vec::new(), content, fault: None }
    }

    /// Adds a header, unless the value can stand in none: media types are written by others.
    fn add(&mut self, name: HeaderName, value: &str) {
        self.headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
    }

    fn identify(&mut self, digest: &Digest) {
        self.add(DOCUMENT_DIGEST, &digest.to_string());
        self.add(ETAG, &etag(digest));
    }
}

impl Asking<'_> {
    fn catalog(&self) -> Result<ServedAnswer, RequestRefusal> {
        let names = self.snapshot.offer.repositories();
        let (page, link) = self.page(names.iter().map(String::as_str).collect(), "/v2/_catalog")?;
        Ok(linked(ServedAnswer::document(JSON, to_json(&json!({"repositories": page}))), link))
    }

    fn tags(&self, name: &str) -> Result<ServedAnswer, RequestRefusal> {
        let tags = self.meant(name)?.tags();
        let (page, link) = self.page(tags, &format!("/v2/{name}/tags/list"))?;
        Ok(linked(ServedAnswer::document(JSON, to_json(&json!({"name": name, "tags": page}))), link))
    }

    /// Returns the part of all names that is wanted, and where the next part is, if there is more.
    fn page<'n>(&self, all: BTreeSet<&'n str>, path: &str) -> Result<(Vec<&'n str>, Option<String>), RequestRefusal> {
        let wrong = |_| RequestRefusal::bad(RefusalCode::PaginationNumberInvalid, "n is not a number");
        let count = self.query.count.as_deref().map(str::parse::<usize>).transpose().map_err(wrong)?;
        let after = |name: &&str| self.query.last.as_deref().is_none_or(|last| *name > last);
        let mut left = all.into_iter().filter(after);
        let page: Vec<&str> = left.by_ref().take(count.unwrap_or(usize::MAX)).collect();
        let link = match (page.last(), left.next()) {
            (Some(last), Some(_)) => {
                let registry = self.query.registry.as_deref().filter(|registry| is_plain(registry));
                let registry = registry.map(|registry| format!("&ns={registry}")).unwrap_or_default();
                Some(format!("<{path}?n={}&last={last}{registry}>; rel=\"next\"", page.len()))
            }
            _ => None,
        };
        Ok((page, link))
    }

    fn manifest(&self, name: &str, key: &ManifestKey) -> Result<ServedAnswer, RequestRefusal> {
        let meant = self.meant(name)?;
        let unknown = |message: String| RequestRefusal::not_found(RefusalCode::ManifestUnknown, message);
        let (image, descriptor) = match key {
            ManifestKey::Digest(digest) => self
                .reached(&meant, |reached| reached.manifest(digest).cloned())?
                .ok_or_else(|| unknown(format!("no image here has the manifest {digest}")))?,
            ManifestKey::Tag(tag) => match meant.tag(tag) {
                TagMeaning::One(image) => (image, image.root.clone()),
                TagMeaning::None => return Err(unknown(format!("{name} has no tag {tag} here"))),
                TagMeaning::Several(names) => {
                    let names = names.join(" and ");
                    return Err(unknown(format!("{name}:{tag} is {names}: ask by the full name, or with ns=")));
                }
            },
        };
        let mut answer = match self.is_known(&descriptor.digest) {
            true => ServedAnswer::of(StatusCode::NOT_MODIFIED, AnswerContent::Bytes(Vec::new())),
            false => {
                let read = self.stock.with_store(&self.snapshot, image, |store| read_document(store, &descriptor));
                let bytes = read.map_err(|error| RequestRefusal::unread(&error, RefusalCode::ManifestUnknown))?;
                ServedAnswer::document(&descriptor.media_type, bytes)
            }
        };
        answer.identify(&descriptor.digest);
        Ok(answer)
    }

    fn blob(&self, name: &str, digest: &Digest) -> Result<ServedAnswer, RequestRefusal> {
        let unknown =
            || RequestRefusal::not_found(RefusalCode::BlobUnknown, format!("no image here has the blob {digest}"));
        let (image, descriptor) =
            self.reached(&self.meant(name)?, |reached| reached.content(digest).cloned())?.ok_or_else(unknown)?;
        let mut answer = if self.is_known(digest) {
            ServedAnswer::of(StatusCode::NOT_MODIFIED, AnswerContent::Bytes(Vec::new()))
        } else if self.asked.method == Method::HEAD {
            let has = self.stock.with_store(&self.snapshot, image, |store| store.has(&descriptor));
            if !has.map_err(|error| RequestRefusal::unread(&error, RefusalCode::BlobUnknown))? {
                return Err(unknown());
            }
            ServedAnswer::of(StatusCode::OK, AnswerContent::Size(descriptor.size))
        } else {
            self.part(image, descriptor)
        };
        answer.add(CONTENT_TYPE, "application/octet-stream");
        answer.add(ACCEPT_RANGES, "bytes");
        answer.identify(digest);
        Ok(answer)
    }

    /// Answers with the part of a blob that is asked for.
    fn part(&self, image: &OfferedImage, descriptor: Descriptor) -> ServedAnswer {
        let size = descriptor.size;
        let range = self.header(RANGE).filter(|_| self.is_same(&descriptor.digest));
        let read = |part: Range<u64>| {
            let (stock, snapshot) = (self.stock.clone(), self.snapshot.clone());
            AnswerContent::Blob(Box::new(BlobRead { stock, snapshot, image: image.clone(), descriptor, part }))
        };
        match WantedPart::of(range, size) {
            WantedPart::Whole => ServedAnswer::of(StatusCode::OK, read(0..size)),
            WantedPart::Part(part) => {
                let place = format!("bytes {}-{}/{size}", part.start, part.end - 1);
                let mut answer = ServedAnswer::of(StatusCode::PARTIAL_CONTENT, read(part));
                answer.add(CONTENT_RANGE, &place);
                answer
            }
            WantedPart::Outside => {
                let mut answer = ServedAnswer::of(StatusCode::RANGE_NOT_SATISFIABLE, AnswerContent::Bytes(Vec::new()));
                answer.add(CONTENT_RANGE, &format!("bytes */{size}"));
                answer
            }
        }
    }

    fn referrers(&self, name: &str, subject: &Digest) -> Result<ServedAnswer, RequestRefusal> {
        let mut listed: Vec<Descriptor> = Vec::new();
        for image in self.meant(name)?.images() {
            let reached = self
                .stock
                .reached(&self.snapshot, image)
                .map_err(|error| RequestRefusal::unread(&error, RefusalCode::Unknown))?;
            for referrer in reached.referrers(subject) {
                if listed.iter().all(|known| known.digest != referrer.digest) {
                    listed.push(referrer.clone());
                }
            }
        }
        let wanted = self.query.artifact_type.as_deref().filter(|kind| !kind.is_empty());
        if let Some(kind) = wanted {
            listed.retain(|referrer| referrer.other.get("artifactType").is_some_and(|own| own == kind));
        }
        let mut answer = ServedAnswer::document(media_type::IMAGE_INDEX, to_json(&ImageIndex::new(listed, Map::new())));
        if wanted.is_some() {
            answer.add(FILTERS_APPLIED, "artifactType");
        }
        Ok(answer)
    }

    fn meant(&self, name: &str) -> Result<MeantImages<'_>, RequestRefusal> {
        // A client may name the very registry that it asks.
        let own = self.header(HOST);
        let registry = self.query.registry.as_deref().filter(|registry| Some(*registry) != own);
        let unknown =
            || RequestRefusal::not_found(RefusalCode::NameUnknown, format!("there is no repository {name} here"));
        self.snapshot.offer.meant(name, registry).ok_or_else(unknown)
    }

    /// Returns what `find` finds in what an image reaches, and the image. What cannot be read of others is no fault, as long as it
    /// is found.
    fn reached<'m, T>(
        &self,
        meant: &MeantImages<'m>,
        find: impl Fn(&ImageContent) -> Option<T>,
    ) -> Result<Option<(&'m OfferedImage, T)>, RequestRefusal> {
        let mut fault = None;
        for image in meant.images() {
            match self.stock.reached(&self.snapshot, image) {
                Ok(reached) => {
                    if let Some(found) = find(&reached) {
                        return Ok(Some((image, found)));
                    }
                }
                Err(error) => fault = Some(RequestRefusal::unread(&error, RefusalCode::Unknown)),
            }
        }
        fault.map_or(Ok(None), Err)
    }

    fn header(&self, name: HeaderName) -> Option<&str> {
        self.asked.headers.get(name)?.to_str().ok()
    }

    /// Returns whether who asks has it already (RFC 9110, section 13.1.2).
    fn is_known(&self, digest: &Digest) -> bool {
        let own = etag(digest);
        let is_own = |tag: &str| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == own;
        self.header(IF_NONE_MATCH).is_some_and(|tags| tags.split(',').any(|tag| is_own(tag.trim())))
    }

    /// Returns whether who asks for a part has other parts of the same (RFC 9110, section 13.1.5).
    fn is_same(&self, digest: &Digest) -> bool {
        self.header(IF_RANGE).is_none_or(|tag| tag.trim() == etag(digest))
    }
}

fn linked(mut answer: ServedAnswer, link: Option<String>) -> ServedAnswer {
    link.iter().for_each(|link| answer.add(LINK, link));
    answer
}

fn etag(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

/// Returns whether it can stand in an address as it is.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b':' | b'[' | b']'))
}
