//! Requests to registries with who we are, and how their answers are judged.

use super::access::Access;
use super::connection::Connection;
use crate::net::{Failure, Request, Response, StatusCode};

/// How often one request is answered with what others have fetched meanwhile, or with something of its own.
const AUTHORIZATIONS: usize = 4;

impl Connection {
    /// Sends a request, logging in where that is asked for and following redirects; returns an answer that is 2xx or
    /// `expected`. What was shown, and the registry then tired of, is renewed once, and the request sent again.
    pub(super) fn exchange(&self, access: &Access, request: &Request<'_>) -> Result<Response, Failure> {
        let answer = self.converse(access, request)?;
        if answer.status().is_success() || request.expected.contains(&answer.status()) {
            return Ok(answer);
        }
        Err(self.refusal(access, answer))
    }

    /// Does the same for whom any answer will do.
    pub(super) fn converse(&self, access: &Access, request: &Request<'_>) -> Result<Response, Failure> {
        let mut shown = self.authorization(access);
        let mut answer = self.send(access, request, shown.as_ref())?;
        for _ in 0..AUTHORIZATIONS {
            if answer.status() != StatusCode::UNAUTHORIZED || !access.owns(answer.url()) {
                break;
            }
            let Some(better) = self.authorize(access, &answer, shown.as_ref())? else { break };
            shown = Some(better.header);
            answer = self.send(access, request, shown.as_ref())?;
            if better.is_fresh {
                break;
            }
        }
        Ok(answer)
    }
}
