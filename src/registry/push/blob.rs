//! A blob into a repository: found there, mounted from another one, or sent.

use std::cell::{Cell, RefCell};
use std::thread::Scope;

use super::super::access::Access;
use super::super::answer::{UNSETTLED, check_digest};
use super::super::known::UploadForm;
use super::super::repository::Repository;
use super::content::StreamedContent;
use super::session::{Refusal, Session};
use crate::error::{ErrorKind, Result};
use crate::net::header::{CONTENT_LENGTH, HeaderValue};
use crate::net::{Failure, Method, Request, StatusCode};
use crate::oci::{Descriptor, Reference};
use crate::progress::{BlobOutcome, Event};
use crate::store::Store;
use crate::sync::locked;

/// The most repositories that a registry is asked to take one blob from, before it is sent.
const MOST_SOURCES: usize = 3;

/// The state that is kept of a blob from one try to the next.
struct Upload<'scope, 'env> {
    content: StreamedContent<'scope, 'env>,
    /// Other repositories of the same registry that may have it, the likeliest first.
    sources: Vec<String>,
    form: Cell<UploadForm>,
    /// Why the first form was not the right one.
    refused: RefCell<Option<Failure>>,
    /// One that was cut off.
    session: RefCell<Option<Session>>,
    /// The furthest that the registry has got, in bytes.
    reached: Cell<u64>,
}

/// What comes of the wish to have a blob taken from another repository.
enum Taking {
    Mounted,
    /// It is to be sent, to here.
    Opened(Session),
    Refused,
}

impl Repository<'_> {
    pub(in crate::registry) fn push_blob<'scope, 'env>(
        &'env self,
        access: &Access,
        scope: &'scope Scope<'scope, 'env>,
        store: &'env dyn Store,
        descriptor: &'env Descriptor,
    ) -> Result<()> {
        let digest = descriptor.digest;
        let known = &access.place.known;
        let places = known.places(digest);
        let mut places = locked(&places);
        let own = self.reference.repository();
        let outcome = if places.iter().any(|place| place == own) {
            BlobOutcome::Present
        } else {
            let upload = Upload {
                content: StreamedContent::new(
                    scope,
                    store,
                    descriptor,
                    self.progress,
                    self.client.connection.http.options().least_speed,
                ),
                sources: self.sources(&places, store, descriptor),
                form: Cell::new(known.form()),
                refused: RefCell::new(None),
                session: RefCell::new(None),
                reached: Cell::new(0),
            };
            self.bring(access, &upload)?
        };
        places.push(own.to_owned());
        store.note_repository(descriptor, &self.reference);
        (self.progress)(Event::BlobFinished { digest, outcome });
        Ok(())
    }

    pub(in crate::registry) fn has_blob(&self, access: &Access, descriptor: &Descriptor) -> Result<bool, Failure> {
        let url = self.url(access, &format!("blobs/{}", descriptor.digest))?;
        // A registry that cannot tell is sent the blob.
        let request = Request { expected: UNSETTLED, ..Request::new(Method::HEAD, url) };
        let answer = self.client.connection.exchange(access, &request)?;
        if answer.status().is_success() {
            check_digest(&answer, descriptor.digest)?;
        }
        Ok(answer.status().is_success())
    }

    /// A place to upload a blob to; none, if the registry has it by now.
    pub(in crate::registry) fn begin_upload(
        &self,
        access: &Access,
        query: &[(&str, &str)],
    ) -> Result<Option<Session>, Failure> {
        let mut url = self.url(access, "blobs/uploads/")?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut post = Request::new(Method::POST, url);
        post.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        let answer = self.client.connection.exchange(access, &post)?;
        match answer.status() {
            StatusCode::CREATED => Ok(None),
            _ => Ok(Some(Session::opened(&answer)?)),
        }
    }

    /// Tries as often as is set, and for as long as that leads further.
    fn bring(&self, access: &Access, upload: &Upload<'_, '_>) -> Result<BlobOutcome> {
        let backoff = self.client.connection.http.options().backoff;
        loop {
            let before = upload.reached.get();
            let outcome = backoff.run(self.progress, &access.stop, || self.try_blob(access, upload));
            let goes_on = upload.session.borrow().is_some() && upload.reached.get() > before;
            if outcome.is_ok() || !goes_on {
                return outcome;
            }
        }
    }

    fn try_blob(&self, access: &Access, upload: &Upload<'_, '_>) -> Result<BlobOutcome, Failure> {
        if self.resume(access, upload)? {
            return Ok(BlobOutcome::Sent);
        }
        if self.has_blob(access, upload.content.descriptor)? {
            return Ok(BlobOutcome::Present);
        }
        let mut opened = match self.take_from(access, upload) {
            Taking::Mounted => return Ok(BlobOutcome::Mounted),
            Taking::Opened(session) => Some(session),
            Taking::Refused => None,
        };
        loop {
            let session = match opened.take() {
                Some(session) => session,
                None => match self.begin_upload(access, &[])? {
                    Some(session) => session,
                    None => return Ok(BlobOutcome::Present),
                },
            };
            match self.send_to(access, upload, session)? {
                None => {
                    if upload.refused.borrow().is_some() {
                        access.place.known.set_form(upload.form.get());
                    }
                    return Ok(BlobOutcome::Sent);
                }
                Some(refusal) => {
                    if let Some(failure) = upload.change_form(refusal) {
                        return Err(failure);
                    }
                }
            }
        }
    }

    /// Goes on with an upload that was cut off; whether that has brought it to its end.
    fn resume(&self, access: &Access, upload: &Upload<'_, '_>) -> Result<bool, Failure> {
        let Some(session) = upload.session.take() else { return Ok(false) };
        let standing = self.stand(access, &session, upload.content.descriptor.size);
        if standing.is_err() {
            upload.session.replace(Some(session));
        }
        let Some(session) = standing? else { return Ok(false) };
        upload.reached.set(upload.reached.get().max(session.offset));
        // Refused, it begins anew.
        Ok(self.send_to(access, upload, session)?.is_none())
    }

    fn send_to(
        &self,
        access: &Access,
        upload: &Upload<'_, '_>,
        mut session: Session,
    ) -> Result<Option<Refusal>, Failure> {
        let sent = self.send(access, &upload.content, &mut session, upload.form.get());
        if sent.as_ref().is_err_and(|failure| failure.passing.is_some()) {
            upload.session.replace(Some(session));
        }
        sent
    }

    /// Returns the other repositories of this registry that should have a blob: those that are known to, and those that its
    /// store knows of.
    fn sources(&self, places: &[String], store: &dyn Store, descriptor: &Descriptor) -> Vec<String> {
        let noted = store.repositories(descriptor, self.reference.registry());
        let noted = noted.iter().map(Reference::repository);
        let mut sources: Vec<String> = Vec::new();
        for source in places.iter().rev().map(String::as_str).chain(noted) {
            if source != self.reference.repository() && !sources.iter().any(|known| known == source) {
                sources.push(source.to_owned());
            }
        }
        sources
    }

    /// Has the registry take the blob from one of its sources. No registry need do that, nor tell why not.
    fn take_from(&self, access: &Access, upload: &Upload<'_, '_>) -> Taking {
        let (known, own) = (&access.place.known, self.reference.repository());
        let may_give = |source: &&String| !known.are_apart(own, source);
        for source in upload.sources.iter().filter(may_give).take(MOST_SOURCES) {
            match self.mount(access, upload.content.descriptor, source) {
                Ok(None) => return Taking::Mounted,
                // To ask for another one now would leave this behind.
                Ok(Some(session)) => return Taking::Opened(session),
                Err(failure) if failure.passing.is_some() => return Taking::Refused,
                Err(failure) if failure.error.kind == ErrorKind::NotFound => {}
                // What cannot be had from there for this blob cannot be had for others.
                Err(_) => known.set_apart(own, source),
            }
        }
        Taking::Refused
    }

    /// Has the registry take the blob from another of its repositories (distribution-spec, "Mounting a blob from another
    /// repository"). One that does not may open an upload instead.
    fn mount(&self, access: &Access, descriptor: &Descriptor, source: &str) -> Result<Option<Session>, Failure> {
        let query = [("mount", &*descriptor.digest.to_string()), ("from", source)];
        self.begin_upload(&access.mounting(source), &query)
    }
}

impl Upload<'_, '_> {
    /// Takes another form for what was refused. Where there is none, what the registry said at first is the failure.
    fn change_form(&self, refusal: Refusal) -> Option<Failure> {
        let first = self.refused.take().unwrap_or(refusal.failure);
        let Some(form) = self.form.get().after(refusal.status, refusal.least) else { return Some(first) };
        self.form.set(form);
        self.refused.replace(Some(first));
        None
    }
}
