//! One upload that a registry has opened: what goes to it in which requests, and where it stands
//! (distribution-spec, "Pushing Blobs").

use super::super::access::Access;
use super::super::answer::{check_digest, location};
use super::super::known::UploadForm;
use super::super::repository::Repository;
use super::content::StreamedContent;
use crate::error::{Error, ErrorKind, Result};
use crate::net::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, LOCATION, RANGE};
use crate::net::{Body, Failure, Method, Request, Response, StatusCode, Url};
use crate::oci::Digest;

/// Answers to the bytes of a blob by which a registry, or a proxy before it, may only mean the form in which they come.
const REFUSALS: &[StatusCode] = &[
    StatusCode::BAD_REQUEST,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::LENGTH_REQUIRED,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    StatusCode::RANGE_NOT_SATISFIABLE,
    StatusCode::NOT_IMPLEMENTED,
];

/// How often in one upload the registry may say that it wants other bytes than those that it is given.
const CORRECTIONS: u32 = 4;

pub(in crate::registry) struct Session {
    /// Where the next request goes: each answer may move it.
    pub url: Url,
    /// How many bytes the registry has.
    pub offset: u64,
    /// The least that it takes in a chunk but the last (`OCI-Chunk-Min-Length`), or 0.
    least: u64,
}

/// The answer of a registry that does not take a blob in the form in which it came.
pub(super) struct Refusal {
    pub status: StatusCode,
    pub least: u64,
    pub failure: Failure,
}

impl Session {
    /// Returns the upload that the answer to a POST opens.
    pub fn opened(answer: &Response) -> Result<Session> {
        let least = answer.headers().get("oci-chunk-min-length").and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(Session { url: location(answer)?, offset: 0, least: least.unwrap_or(0) })
    }
}

impl Repository<'_> {
    /// Sends what the registry does not have of `content`, in the given form, and completes the upload. One that was
    /// [taken up again](Self::stand) gets the rest by PATCH in any case: a PUT can carry no more than the last chunk.
    pub(super) fn send(
        &self,
        access: &Access,
        content: &StreamedContent<'_, '_>,
        session: &mut Session,
        form: UploadForm,
    ) -> Result<Option<Refusal>, Failure> {
        let size = content.descriptor.size;
        let digest = content.descriptor.digest;
        let answer = match form {
            UploadForm::Whole if session.offset == 0 => {
                let url = completing(&session.url, digest);
                self.send_bytes(access, content, Method::PUT, url, 0..size)?
            }
            _ => {
                let most = if let UploadForm::Chunks(size) = form { size.max(session.least) } else { size };
                if let Some(refusal) = self.send_chunks(access, content, session, most)? {
                    return Ok(Some(refusal));
                }
                self.complete(access, &session.url, digest, REFUSALS)?
            }
        };
        if !answer.status().is_success() {
            return Ok(Some(self.refused(access, answer, session)));
        }
        check_digest(&answer, digest)?;
        Ok(None)
    }

    /// Returns the session, at the offset that the registry reports; none where it cannot tell, or has nothing.
    pub(super) fn stand(&self, access: &Access, session: &Session, size: u64) -> Result<Option<Session>, Failure> {
        // Those who do not know the question answer it with anything; another host may want no such request at all.
        const UNKNOWN: &[StatusCode] = &[StatusCode::INTERNAL_SERVER_ERROR, StatusCode::NOT_IMPLEMENTED];
        let request = Request { expected: UNKNOWN, ..Request::new(Method::GET, session.url.clone()) };
        let answer = match self.client.connection.exchange(access, &request) {
            Ok(answer) => answer,
            Err(failure) if failure.passing.is_some() => return Err(failure),
            Err(_) => return Ok(None),
        };
        let offset = received(&answer).filter(|offset| answer.status().is_success() && *offset <= size);
        let Some(offset) = offset else { return Ok(None) };
        Ok(Some(Session { url: next_url(&answer, &session.url)?, offset, least: session.least }))
    }

    /// PUT, to end an upload whose bytes are all there.
    pub(in crate::registry) fn complete(
        &self,
        access: &Access,
        url: &Url,
        digest: Digest,
        expected: &'static [StatusCode],
    ) -> Result<Response, Failure> {
        let mut put = Request { expected, ..Request::new(Method::PUT, completing(url, digest)) };
        put.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        self.client.connection.exchange(access, &put)
    }

    /// The bytes that are missing, in PATCHes of `most` bytes.
    fn send_chunks(
        &self,
        access: &Access,
        content: &StreamedContent<'_, '_>,
        session: &mut Session,
        most: u64,
    ) -> Result<Option<Refusal>, Failure> {
        let size = content.descriptor.size;
        let mut corrections = 0;
        while session.offset < size {
            let end = session.offset.saturating_add(most).min(size);
            let answer = self.send_bytes(access, content, Method::PATCH, session.url.clone(), session.offset..end)?;
            let reported = received(&answer);
            if !answer.status().is_success() {
                let wanted = reported.filter(|at| *at != session.offset && *at <= size);
                let Some(wanted) = wanted.filter(|_| is_out_of_step(&answer) && corrections < CORRECTIONS) else {
                    return Ok(Some(self.refused(access, answer, session)));
                };
                corrections += 1;
                session.url = next_url(&answer, &session.url)?;
                session.offset = wanted;
                continue;
            }
            // Some say `0-0` whatever they have, some give the end and not the last byte: more than was sent is
            // not there.
            let has = reported.unwrap_or(end).min(end);
            if has <= session.offset {
                let request = answer.label();
                let message = format!("{request}: the registry took {end} bytes and has {has} of them");
                return Err(Error::new(ErrorKind::Registry, message).into());
            }
            session.url = next_url(&answer, &session.url)?;
            session.offset = has;
        }
        Ok(None)
    }

    /// One request with the bytes of `range`.
    fn send_bytes(
        &self,
        access: &Access,
        content: &StreamedContent<'_, '_>,
        method: Method,
        url: Url,
        range: std::ops::Range<u64>,
    ) -> Result<Response, Failure> {
        let length = range.end - range.start;
        let make_body = || content.body(range.start, length);
        let mut request = Request { expected: REFUSALS, ..Request::new(method, url) };
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        request.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        if request.method == Method::PATCH {
            let bytes = format!("{}-{}", range.start, range.end - 1);
            request.headers.insert(CONTENT_RANGE, HeaderValue::try_from(bytes).expect("digits and a dash"));
        }
        request.body = Body::Stream(&make_body, &content.activity);
        let answer = self.client.connection.exchange(access, &request);
        let is_taken = answer.as_ref().is_ok_and(|answer| answer.status().is_success());
        if !is_taken || range.end == content.descriptor.size {
            content.end(is_taken)?;
        }
        answer
    }

    fn refused(&self, access: &Access, answer: Response, session: &Session) -> Refusal {
        let status = answer.status();
        let failure = self.client.connection.refusal(access, answer);
        Refusal { status, least: session.least, failure }
    }
}

fn completing(url: &Url, digest: Digest) -> Url {
    let mut url = url.clone();
    url.query_pairs_mut().append_pair("digest", &digest.to_string());
    url
}

fn next_url(answer: &Response, before: &Url) -> Result<Url> {
    match answer.headers().contains_key(LOCATION) {
        true => location(answer),
        false => Ok(before.clone()),
    }
}

fn is_out_of_step(answer: &Response) -> bool {
    answer.status() == StatusCode::RANGE_NOT_SATISFIABLE
}

/// How many bytes a registry says that it has: `Range: 0-N`, both ends included. `0-0` is what is said of none.
fn received(answer: &Response) -> Option<u64> {
    last_byte(answer.headers().get(RANGE)?.to_str().ok()?)?.checked_add(1)
}

fn last_byte(range: &str) -> Option<u64> {
    let range = range.trim();
    let (start, last) = range.strip_prefix("bytes=").unwrap_or(range).split_once('-')?;
    let last = last.parse().ok().filter(|last| *last > 0)?;
    (start == "0").then_some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_tells_of_the_last_byte_that_is_there() {
        assert_eq!(last_byte("0-999999"), Some(999_999));
        assert_eq!(last_byte("bytes=0-9"), Some(9));
        for nothing in ["0-0", "", "0", "0-", "-9", "5-9", "0--1", "bytes 0-9/20", "0-99999999999999999999"] {
            assert_eq!(last_byte(nothing), None, "{nothing}");
        }
    }
}
