//! What is to be known of a URL to download from before it is asked.

/// Returns whether it is a URL to download from.
pub fn is_http(text: &str) -> bool {
    let has = |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    has("http://") || has("https://")
}

/// Returns a URL as it may be shown: without user, password and query, which may be a key to it.
pub fn shown_url(url: &str) -> String {
    url_without_user(url.split(['?', '#']).next().unwrap_or_default())
}

/// Returns a URL without user and password, by which alone what it leads to is known.
pub fn url_without_user(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            format!("{scheme}://{host}{path}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_of_a_url_is_shown() {
        assert_eq!(shown_url("https://me:secret@example.com:1/a@b?key=secret#c"), "https://example.com:1/a@b");
        assert_eq!(shown_url("https://me:secret@example.com"), "https://example.com");
        assert_eq!(
            url_without_user("https://me:secret@example.com/a@b?key=k@l#c"),
            "https://example.com/a@b?key=k@l#c"
        );
        assert_eq!(url_without_user("https://me:secret@example.com?a@b"), "https://example.com?a@b");
    }
}
