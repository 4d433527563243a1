//! Where a repository is, without who may fetch it: git hands an address to its helpers as an argument, which everybody on
//! the machine can see.

use crate::plan::user_information;

/// An address that may be shown, and what was taken from it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// The URL, with the user where it is one of SSH.
    pub url: String,
    /// A line of the file of git-credential-store(1), where the address told a user of HTTP.
    pub credential: Option<String>,
}

impl Address {
    /// Reads an address as git has them.
    pub fn of(remote: &str) -> Address {
        let taken_apart = user_information(remote).and_then(|information| {
            let (scheme, rest) = remote.split_once("://")?;
            Some((scheme, information, rest.strip_prefix(information)?.strip_prefix('@')?))
        });
        let Some((scheme, information, place)) = taken_apart else {
            return Address { url: remote.to_owned(), credential: None };
        };
        // A user alone is a token, which wants no password.
        let (user, password) = information.split_once(':').unwrap_or((information, ""));
        match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => {
                let host = place.split('/').next().unwrap_or_default();
                let credential = format!("{scheme}://{}:{}@{host}\n", escaped(user), escaped(password));
                Address { url: format!("{scheme}://{place}"), credential: Some(credential) }
            }
            // It knows no users.
            "git" => Address { url: format!("{scheme}://{place}"), credential: None },
            _ => Address { url: format!("{scheme}://{user}@{place}"), credential: None },
        }
    }

    /// Returns whether git would fetch from it over a network, by a way that is spoken here.
    pub fn is_remote(&self) -> bool {
        const SCHEMES: [&str; 6] = ["http", "https", "ssh", "git", "git+ssh", "ssh+git"];
        let is_odd = self.url.starts_with('-') || self.url.chars().any(char::is_control);
        match self.url.split_once("://") {
            Some((scheme, _)) => SCHEMES.contains(&scheme.to_ascii_lowercase().as_str()) && !is_odd,
            // `host:path`; with two colons it is for a program to interpret.
            None => !is_odd && self.url.split('/').next().is_some_and(|it| it.contains(':') && !it.contains("::")),
        }
    }
}

/// Escapes what would end a part. What is escaped already stays so.
fn escaped(part: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte);
    part.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// Returns `text` without what stands between `://` and `@` in any address in it.
pub(super) fn without_user_information(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let end = after.find(|c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '/')).unwrap_or(after.len());
        rest = after[..end].rfind('@').map_or(after, |at| &after[at + 1..]);
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_taken_from_an_address() {
        for (remote, url, credential) in [
            ("https://h/a.git", "https://h/a.git", None),
            ("https://u:p@h:1/a.git", "https://h:1/a.git", Some("https://u:p@h:1\n")),
            ("http://u:p%40:é@h/a@b", "http://h/a@b", Some("http://u:p%40%3A%C3%A9@h\n")),
            ("https://u:p/w@h/a", "https://h/a", Some("https://u:p%2Fw@h\n")),
            ("https://token@h/a", "https://h/a", Some("https://token:@h\n")),
            ("https://u:p@q@h/a", "https://h/a", Some("https://u:p%40q@h\n")),
            ("ssh://git:p@h/a", "ssh://git@h/a", None),
            ("ssh://git@h/a", "ssh://git@h/a", None),
            ("git://u:p@h/a", "git://h/a", None),
            ("git@h:a", "git@h:a", None),
        ] {
            let address = Address { url: url.to_owned(), credential: credential.map(str::to_owned) };
            assert_eq!(Address::of(remote), address, "{remote}");
        }
    }

    #[test]
    fn files_and_programs_are_no_addresses() {
        for (url, is_remote) in [
            ("https://h/a", true),
            ("SSH://h/a", true),
            ("git@h:a/b", true),
            ("h:a", true),
            ("/srv/a", false),
            ("../a", false),
            ("./a:b", false),
            ("file:///srv/a", false),
            ("ext::sh -c id", false),
            ("ext::https://h/a", false),
            ("--upload-pack=id", false),
            ("-h:a", false),
            ("ftp://h/a", false),
            ("https://h/\na", false),
            ("", false),
        ] {
            assert_eq!(Address::of(url).is_remote(), is_remote, "{url}");
        }
    }

    #[test]
    fn what_is_shown_tells_no_user() {
        let text = "fatal: 'https://u:p@h/a' and http://t@h, ssh://h/a@b: no";
        assert_eq!(without_user_information(text), "fatal: 'https://h/a' and http://h, ssh://h/a@b: no");
    }
}
