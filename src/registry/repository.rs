//! One repository of a registry.

use super::access::Access;
use super::answer::join;
use super::client::Client;
use super::registries::ImagePlace;
use crate::error::Result;
use crate::net::header::{ACCEPT, HeaderValue};
use crate::net::{Backoff, Failure, Method, Request, Url};
use crate::oci::{Reference, media_type};
use crate::progress::Progress;

const ALL_MANIFESTS: [&str; 4] = [
    media_type::IMAGE_INDEX,
    media_type::IMAGE_MANIFEST,
    media_type::DOCKER_MANIFEST_LIST,
    media_type::DOCKER_MANIFEST,
];

/// One repository of a registry: a [`Store`] to pull from, and a place to push to.
///
/// [`Store`]: crate::store::Store
pub struct Repository<'a> {
    pub(super) client: &'a Client,
    pub(super) access: Access,
    pub(super) reference: Reference,
    pub(super) backoff: Backoff,
    pub(super) progress: Progress<'a>,
}

impl Client {
    /// Returns the repository that `reference` names, wherever its mirrors are: what is to be pushed to, and asked for what it
    /// has. Nothing is sent yet. One that is blocked fails at the first request.
    pub fn repository<'a>(&'a self, reference: &Reference, progress: Progress<'a>) -> Repository<'a> {
        let insecure = self.settings.is_insecure(&reference.to_string()).unwrap_or_default();
        let place = ImagePlace { reference: reference.clone(), insecure };
        self.repository_at(&place, self.connection.http.options().backoff, progress)
    }

    pub(super) fn repository_at<'a>(
        &'a self,
        place: &ImagePlace,
        backoff: Backoff,
        progress: Progress<'a>,
    ) -> Repository<'a> {
        let reference = place.reference.clone();
        let registry = self.registry(reference.registry(), place.insecure);
        let access = Access::pull(registry, reference.repository());
        Repository { client: self, access, reference, backoff, progress }
    }
}

impl Repository<'_> {
    /// Returns the URL of something in this repository.
    pub(super) fn url(&self, access: &Access, path: &str) -> Result<Url, Failure> {
        self.client.settings.is_insecure(&self.reference.to_string())?;
        let base = self.client.connection.base(access)?;
        Ok(join(base, &format!("v2/{}/{path}", self.reference.repository()))?)
    }

    /// Returns a request for the manifest that `name` stands for, of whatever type.
    pub(super) fn manifest_request(
        &self,
        access: &Access,
        method: Method,
        name: &str,
    ) -> Result<Request<'static>, Failure> {
        let mut request = Request::new(method, self.url(access, &format!("manifests/{name}"))?);
        // One header each: there are registries that do not split them at commas. And all of them even where the type
        // is known: there are such that look for no more than the types that are listed.
        for media_type in ALL_MANIFESTS {
            request.headers.append(ACCEPT, HeaderValue::from_static(media_type));
        }
        Ok(request)
    }

    /// Runs `step` as often as it takes, and is allowed.
    pub(super) fn attempt<T>(&self, step: impl FnMut() -> Result<T, Failure>) -> Result<T> {
        self.backoff.run(self.progress, &self.access.stop, step)
    }
}
