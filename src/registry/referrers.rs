//! What refers to a manifest (distribution-spec, "Listing Referrers").

use super::repository::Repository;
use super::tags::next_page;
use crate::error::{Error, ErrorKind, Result};
use crate::net::header::{ACCEPT, HeaderValue};
use crate::net::{Failure, Method, Request, StatusCode, Url, label};
use crate::oci::{Descriptor, ImageIndex, MANIFEST_LIMIT, from_json, media_type};
use crate::store::read_document;

const MOST_PAGES: usize = 100;
/// In bytes, of all pages together.
const LISTS_LIMIT: u64 = 16 << 20;

/// One page of the list, and where the next one is.
struct ReferrerPage {
    referrers: Vec<Descriptor>,
    /// In bytes.
    size: u64,
    next: Option<Url>,
}

impl Repository<'_> {
    /// Returns what refers to `subject`, as the registry lists it; where it does not, as the index under the fallback tag does,
    /// which clients keep ("Referrers Tag Schema").
    pub(super) fn list_referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        let mut url = self.attempt(|| self.url(&self.access, &format!("referrers/{}", subject.digest)))?;
        let (mut referrers, mut size) = (Vec::new(), 0);
        for _ in 0..MOST_PAGES {
            match self.attempt(|| self.page_of_referrers(url.clone()))? {
                None => return self.fallback_referrers(subject),
                Some(page) => {
                    referrers.extend(page.referrers);
                    size += page.size;
                    match page.next {
                        Some(_) if size > LISTS_LIMIT => {
                            let place = label(&Method::GET, &url);
                            let message = format!("{place}: the lists of referrers have more than {LISTS_LIMIT} bytes");
                            return Err(Error::new(ErrorKind::Registry, message));
                        }
                        Some(next) => url = next,
                        None => return Ok(referrers),
                    }
                }
            }
        }
        let place = label(&Method::GET, &url);
        Err(Error::new(ErrorKind::Registry, format!("{place}: there are more than {MOST_PAGES} pages of referrers")))
    }

    /// None where the registry does not know the question. Some answer it with a page for people.
    fn page_of_referrers(&self, url: Url) -> Result<Option<ReferrerPage>, Failure> {
        const UNKNOWN: &[StatusCode] = &[
            StatusCode::NOT_FOUND,
            StatusCode::BAD_REQUEST,
            StatusCode::METHOD_NOT_ALLOWED,
            StatusCode::NOT_ACCEPTABLE,
        ];
        let mut request = Request { expected: UNKNOWN, ..Request::new(Method::GET, url) };
        request.headers.insert(ACCEPT, HeaderValue::from_static(media_type::IMAGE_INDEX));
        let mut answer = self.client.connection.exchange(&self.access, &request)?;
        if !answer.status().is_success() {
            return Ok(None);
        }
        let next = next_page(&request.url, &answer)?;
        let body = answer.read(MANIFEST_LIMIT)?;
        if serde_json::from_slice::<ImageIndex>(&body).is_err() {
            return Ok(None); // no registry that knows of referrers, but one that has a page for everything
        }
        let label = answer.label();
        let index: ImageIndex = from_json(&format!("the list of referrers of {label}"), &body)?;
        Ok(Some(ReferrerPage { referrers: index.manifests, size: body.len() as u64, next }))
    }

    fn fallback_referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        let Some(listed) = self.find(&format!("sha256-{}", subject.digest.hex()))? else { return Ok(Vec::new()) };
        if !media_type::is_index(&listed.media_type) {
            return Ok(Vec::new());
        }
        let bytes = read_document(self, &listed)?;
        Ok(from_json::<ImageIndex>(&format!("index {}", listed.digest), &bytes)?.manifests)
    }
}
