//! What to do about a refusal.

use std::time::Duration;

use super::access::Access;
use crate::net::StatusCode;
use crate::net::header::HeaderValue;

/// The proof of who we are that was shown when an answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Nothing,
    /// The password or identity token itself.
    Credential,
    /// A token that the registry's token server gave.
    Token,
}

impl Shown {
    pub fn in_header(header: Option<&HeaderValue>) -> Self {
        match header {
            None => Shown::Nothing,
            Some(header) if header.as_bytes().starts_with(b"Basic ") => Shown::Credential,
            Some(_) => Shown::Token,
        }
    }
}

/// Returns the next step after an answer with `status`, in which the registry `said` something and asked for a `wait`.
pub(super) fn hint(
    access: &Access,
    status: StatusCode,
    said: Option<&str>,
    shown: Shown,
    wait: Option<Duration>,
) -> Option<String> {
    let registry = access.registry();
    let again = || match wait.filter(|wait| !wait.is_zero()) {
        Some(wait) => format!("wait for {} before the next try", words(wait)),
        None => "try again later".to_owned(),
    };
    let pushes = access.pushes();
    match (status.as_u16(), access.repository()) {
        (401 | 403, _) => Some(denied(access, status, shown)),
        (404, Some(repository)) if pushes => Some(format!(
            "check the name {repository}: some registries want a repository to be created before the first push"
        )),
        (404, Some(repository)) if said.is_some_and(|said| said.contains("NAME_UNKNOWN")) => {
            Some(format!("check the name {repository}: {registry} has no such repository, or does not show it to you"))
        }
        (404, Some(repository)) => Some(format!("check the name {repository}, and the tag or digest")),
        (413, _) => Some(
            "the registry, or a proxy before it, limits the size of uploads (nginx does by client_max_body_size)"
                .to_owned(),
        ),
        (429, _) => {
            let anonymous = shown == Shown::Token && access.user().is_none();
            let login = if anonymous { format!(", or log in with `ocibake login {registry}`") } else { String::new() };
            Some(format!("the registry limits the rate of requests: {}{login}", again()))
        }
        (500..=599, _) if is_full(status, said) => {
            Some("the registry has no space left: push again once it has some: what has arrived is kept".to_owned())
        }
        (500 | 502 | 503 | 504, _) => Some(format!("the registry, or a proxy before it, has a problem: {}", again())),
        _ => None,
    }
}

/// Returns the next step after a registry on this machine did not understand plain HTTP.
pub(super) fn wants_tls(registry: &str) -> String {
    format!(
        "{registry} was asked in plain HTTP, as registries on this machine are: if it wants TLS, put the certificate of the \
         authority which signed its own into ~/.config/containers/certs.d/{registry}/ca.crt, or accept any with --insecure"
    )
}

/// Docker's registry gives the system's words for it, or its number.
fn is_full(status: StatusCode, said: Option<&str>) -> bool {
    let says = |words: &str| said.is_some_and(|said| said.contains(words));
    status == StatusCode::INSUFFICIENT_STORAGE || says("no space left on device") || says("\"Err\":28")
}

fn denied(access: &Access, status: StatusCode, shown: Shown) -> String {
    let registry = access.registry();
    match (access.user(), access.repository()) {
        (None, _) => format!("log in with `ocibake login {registry}`"),
        (Some(_), None) => "check the user name and the password".to_owned(),
        (Some(user), Some(_)) if shown == Shown::Credential && status == StatusCode::UNAUTHORIZED => format!(
            "the credentials for {user} at {registry} are wrong or have expired: log in again with `ocibake login {registry}`"
        ),
        (Some(user), Some(repository)) => format!(
            "logged in to {registry} as {user}: check that this user may {} {repository}, or log in again with \
             `ocibake login {registry}`",
            if access.pushes() { "push to" } else { "pull from" },
        ),
    }
}

/// In the largest unit that does it justice; never less than it is.
fn words(time: Duration) -> String {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    match seconds {
        0..=120 => format!("{seconds} s"),
        121..=7_200 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3_600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_a_unit_that_people_use() {
        let cases = [(0, "0 s"), (90, "90 s"), (121, "3 min"), (3_600, "60 min"), (21_600, "6 h"), (86_399, "24 h")];
        for (seconds, wanted) in cases {
            assert_eq!(words(Duration::from_secs(seconds)), wanted);
        }
        assert_eq!(words(Duration::from_millis(1)), "1 s");
    }
}
