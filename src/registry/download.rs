//! Content as it arrives, over as many requests as it takes.

use std::io::{self, Read};

use bytes::{Buf, Bytes};

use super::answer::check_digest;
use super::repository::Repository;
use crate::error::{Error, ErrorKind, Result};
use crate::net::header::{HeaderValue, RANGE};
use crate::net::{Failure, Method, Request, Response, StatusCode, Tries};
use crate::oci::{Descriptor, media_type};
use crate::progress::{Fetch, Fetched};

/// In bytes. Once so many more have arrived, the breaks before them are forgotten.
const PROGRESS: u64 = 1 << 20;

/// The bytes of a blob or manifest, not checked. One that breaks off is asked for again from where it was (RFC 9110,
/// section 14); a registry that cannot do that begins again, and what is known already is skipped.
pub(super) struct Download<'r> {
    repository: &'r Repository<'r>,
    descriptor: Descriptor,
    answer: Option<Response>,
    chunk: Bytes,
    /// How much has arrived, in order.
    arrived: u64,
    /// Tells how much of a blob has; none for a manifest, which is there at once.
    fetch: Option<Fetch<'r>>,
    /// The bytes of that which the answer repeats.
    repeated: u64,
    tries: Tries<'r>,
    /// Where the breaks before were last forgotten.
    forgotten_at: u64,
}

impl<'r> Download<'r> {
    /// Returns when the first answer is there.
    pub fn begin(repository: &'r Repository<'r>, descriptor: &Descriptor) -> Result<Self> {
        let (progress, stop) = (repository.progress, &repository.access.stop);
        let name = repository.reference.name();
        let what = Fetched::Blob { digest: descriptor.digest, repository: &name };
        let is_manifest = media_type::is_manifest_or_index(&descriptor.media_type);
        let mut download = Download {
            repository,
            descriptor: descriptor.clone(),
            answer: None,
            chunk: Bytes::new(),
            arrived: 0,
            fetch: (!is_manifest).then(|| Fetch::begin(progress, what, Some(descriptor.size))),
            repeated: 0,
            tries: Tries::new(repository.backoff, progress, stop),
            forgotten_at: 0,
        };
        while let Err(failure) = download.ask() {
            download.tries.next(failure)?;
        }
        // From now on there is no other place to ask.
        download.tries = Tries::new(repository.client.connection.http.options().backoff, progress, stop);
        Ok(download)
    }

    /// The next bytes; none at the end.
    fn next(&mut self) -> Result<Bytes> {
        loop {
            if self.answer.is_none() && self.arrived == self.descriptor.size {
                return Ok(Bytes::new());
            }
            let failure = match self.advance() {
                Ok(Some(chunk)) => return Ok(chunk),
                Ok(None) => continue,
                Err(failure) => failure,
            };
            self.answer = None;
            if self.arrived >= self.forgotten_at + PROGRESS {
                self.tries.reset();
                self.forgotten_at = self.arrived;
            }
            self.tries.next(failure)?;
        }
    }

    /// One step: the next bytes, none at the end, or `None` where there was something else to do.
    fn advance(&mut self) -> Result<Option<Bytes>, Failure> {
        let Some(answer) = &mut self.answer else { return self.ask().map(|()| None) };
        let Some(mut chunk) = answer.chunk()? else {
            // Where no length was told, a connection that breaks looks like the end.
            if self.arrived < self.descriptor.size && answer.content_length().is_none() {
                let reason = format!("the answer ended after {} of {} bytes", self.arrived, self.descriptor.size);
                return Err(Failure::passing(answer.label(), reason));
            }
            return Ok(Some(Bytes::new()));
        };
        let known = self.repeated.min(chunk.len() as u64);
        chunk.advance(known as usize);
        self.repeated -= known;
        self.arrived += chunk.len() as u64;
        if let Some(fetch) = &mut self.fetch {
            fetch.advance(chunk.len() as u64);
            if self.arrived == self.descriptor.size {
                fetch.complete();
            }
        }
        Ok(Some(chunk).filter(|chunk| !chunk.is_empty()))
    }

    /// Asks for what has not arrived.
    fn ask(&mut self) -> Result<(), Failure> {
        let (repository, digest) = (self.repository, self.descriptor.digest);
        let mut request = if media_type::is_manifest_or_index(&self.descriptor.media_type) {
            repository.manifest_request(&repository.access, Method::GET, &digest.to_string())?
        } else {
            Request::new(Method::GET, repository.url(&repository.access, &format!("blobs/{digest}"))?)
        };
        if self.arrived > 0 {
            let range = HeaderValue::from_str(&format!("bytes={}-", self.arrived));
            request.headers.insert(RANGE, range.expect("letters and digits are a header's value"));
        }
        let answer = repository.client.connection.exchange(&repository.access, &request)?;
        check_digest(&answer, digest)?;
        let begins_at = if answer.status() == StatusCode::PARTIAL_CONTENT { answer.first_byte()? } else { 0 };
        let Some(repeated) = self.arrived.checked_sub(begins_at) else {
            let place = answer.label();
            let message =
                format!("{place}: asked to continue at byte {}, the server continues at {begins_at}", self.arrived);
            return Err(Error::new(ErrorKind::Registry, message).into());
        };
        self.repeated = repeated;
        self.answer = Some(answer);
        Ok(())
    }
}

impl Read for Download<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() && !buffer.is_empty() {
            self.chunk = self.next().map_err(io::Error::other)?;
        }
        let count = self.chunk.len().min(buffer.len());
        self.chunk.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
