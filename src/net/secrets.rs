//! What an answer must not give away where it is repeated.

use std::cmp::Reverse;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::HeaderValue;

/// The parts of a request that show who we are, in the forms in which a server may repeat it.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    /// Returns the secrets in an `Authorization`: a token, or a password by itself and as it is sent (RFC 7617).
    pub fn in_header(header: Option<&HeaderValue>) -> Self {
        let sent = header.and_then(|header| header.to_str().ok()?.split_once(' ')).map(|(_, sent)| sent);
        let pair = sent.and_then(|sent| String::from_utf8(BASE64_STANDARD.decode(sent).ok()?).ok());
        let password = pair.as_deref().and_then(|pair| pair.split_once(':')).map(|(_, password)| password);
        let mut secrets: Vec<String> =
            sent.into_iter().chain(password).filter(|secret| !secret.is_empty()).map(str::to_owned).collect();
        secrets.sort_by_key(|secret| Reverse(secret.len()));
        Secrets(secrets)
    }

    /// Returns `text` with `…` in place of each of them.
    pub fn hide(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "…"))
    }
}
