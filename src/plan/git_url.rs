//! Repositories as `docker build` and `ADD` name them, with what is wanted of them behind a `#` or in the query.

use std::fmt;

use super::quantity;
use crate::error::{Error, Result};
use crate::net::percent_decoded_text;
use crate::oci::Encode;

/// A git repository, and what is wanted of it. What shows it to anybody leaves user and password out.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct GitUrl {
    /// The remote that git is given. It may hold a password.
    pub remote: String,
    /// A branch, a tag, a full commit, or a name below `refs/`; else the default branch.
    pub reference: Option<String>,
    /// The directory without slashes around it, and without `.` and `..`; none for the whole.
    pub subdirectory: Option<String>,
    /// The commit, or its beginning, in hexadecimal; it must be that one.
    pub checksum: Option<String>,
    /// `keep-git-dir` of the query; none leaves it to the build.
    pub keep_git_dir: Option<bool>,
    /// `submodules` of the query: false leaves them out. None fetches them.
    pub submodules: Option<bool>,
}

const SCHEMES: [&str; 4] = ["http", "https", "ssh", "git"];

impl GitUrl {
    /// Reads a source of `ADD`: `http(s)://` with a path that ends with `.git`, `git://`, `ssh://`, and `user@host:path`.
    /// None if it is something else.
    pub fn of_source(text: &str) -> Result<Option<GitUrl>> {
        if text.starts_with("./") || text.starts_with("../") {
            return Ok(None);
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return if is_scp_style(text) { read(text).map(Some) } else { Ok(None) };
        };
        let scheme = scheme.to_ascii_lowercase();
        let is_http = scheme.starts_with("http");
        if !SCHEMES.contains(&scheme.as_str()) || (is_http && !before_options(rest).ends_with(".git")) {
            return Ok(None);
        }
        read(&format!("{scheme}://{rest}")).map(Some)
    }

    /// Reads a build context: the same, and `github.com/…`.
    pub fn of_context(text: &str) -> Result<Option<GitUrl>> {
        match text.strip_prefix("github.com/") {
            Some(_) => read(&format!("https://{text}")).map(Some),
            None => Self::of_source(text),
        }
    }

    /// Returns the name that its directory gets where `ADD` needs one.
    pub fn name(&self) -> &str {
        let last = self.remote.rsplit(['/', ':']).next().unwrap_or_default();
        last.strip_suffix(".git").unwrap_or(last)
    }

    /// Returns user and password, as they stand before the `@`; none where git is told no password.
    pub fn secret(&self) -> Option<&str> {
        user_information(&self.remote)
    }

    /// The remote without what is secret.
    fn shown_remote(&self) -> String {
        match self.secret() {
            Some(secret) => self.remote.replacen(&format!("{secret}@"), "", 1),
            None => self.remote.clone(),
        }
    }
}

/// Leaves out what is secret: a commit is what it is, whoever fetches it.
impl Encode for GitUrl {
    fn encode(&self, to: &mut Vec<u8>) {
        let GitUrl { remote: _, reference, subdirectory, checksum, keep_git_dir, submodules } = self;
        (&self.shown_remote(), reference, subdirectory, checksum, keep_git_dir, submodules).encode(to);
    }
}

impl fmt::Display for GitUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown_remote())?;
        match (&self.reference, &self.subdirectory) {
            (None, None) => Ok(()),
            (reference, None) => write!(f, "#{}", reference.as_deref().unwrap_or_default()),
            (reference, Some(below)) => write!(f, "#{}:{below}", reference.as_deref().unwrap_or_default()),
        }
    }
}

impl fmt::Debug for GitUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GitUrl({self})")
    }
}

/// Returns what stands before the `@` of an address with a scheme. A slash in it, which should be written `%2F`, is
/// known by what would be no port before it.
pub(crate) fn user_information(remote: &str) -> Option<&str> {
    let (_, rest) = remote.split_once("://")?;
    let authority = rest.split('/').next()?;
    if let Some((user, _)) = authority.rsplit_once('@') {
        return Some(user);
    }
    let (host, port) = authority.rsplit_once(':')?;
    let is_port = host.starts_with('[') || port.bytes().all(|c| c.is_ascii_digit());
    rest.rsplit_once('@').map(|(user, _)| user).filter(|_| !is_port)
}

/// `user@host:path`, with letters, digits, `-`, `_` (and `.` in the host).
fn is_scp_style(text: &str) -> bool {
    let Some((user, (host, _))) = text.split_once('@').and_then(|(user, rest)| Some((user, rest.split_once(':')?)))
    else {
        return false;
    };
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    !user.is_empty() && user.chars().all(word) && !host.is_empty() && host.chars().all(|c| word(c) || c == '.')
}

fn before_options(text: &str) -> &str {
    text.split(['?', '#']).next().unwrap_or(text)
}

/// `REMOTE[?QUERY][#REF[:DIRECTORY]]`.
fn read(text: &str) -> Result<GitUrl> {
    let (before, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (remote, query) = before.split_once('?').unwrap_or((before, ""));
    let mut url = GitUrl {
        remote: remote.to_owned(),
        reference: None,
        subdirectory: None,
        checksum: None,
        keep_git_dir: None,
        submodules: None,
    };
    let refused = |url: &GitUrl, what: &str| Error::input(format!("{url}: {what}"));
    let host = remote.split_once("://").map_or(remote, |(_, rest)| rest);
    let host = user_information(remote).and_then(|user| host.strip_prefix(user)).unwrap_or(host);
    let host = host
        .strip_prefix('@')
        .unwrap_or(host)
        .split('/')
        .next()
        .unwrap_or_default()
        .rsplit('@')
        .next()
        .unwrap_or_default();
    if host.is_empty() || host.starts_with('-') || remote.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(refused(&url, "this is not the address of a repository"));
    }
    let fragment = percent_decoded_text(fragment);
    let (reference, below) = fragment.split_once(':').unwrap_or((&fragment, ""));
    let mut wanted = UrlSelection { reference: some(reference), subdirectory: some(below), ..UrlSelection::default() };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) =
            pair.split_once('=').map_or((pair, None), |(key, value)| (key, some(&percent_decoded_text(value))));
        wanted.set(&mut url, key, value).map_err(|what| refused(&url, &what))?;
    }
    wanted.finish(&mut url).map_err(|what| refused(&url, &what))?;
    Ok(url)
}

/// The part of a URL behind the address, until all of it is known.
#[derive(Default)]
struct UrlSelection {
    reference: Option<String>,
    subdirectory: Option<String>,
    tag: Option<String>,
    branch: Option<String>,
}

impl UrlSelection {
    fn set(&mut self, url: &mut GitUrl, key: &str, value: Option<String>) -> Result<(), String> {
        let once = |slot: &mut Option<String>| {
            let Some(value) = value.clone() else { return Err(format!("`{key}` has no value in its query")) };
            match slot.replace(value) {
                Some(other) if *slot != Some(other.clone()) => {
                    Err(format!("`{key}` is given twice, once as `{other}`"))
                }
                _ => Ok(()),
            }
        };
        let truth = || match value.as_deref() {
            None => Ok(Some(true)),
            Some(text) => match quantity::boolean(text) {
                Some(is_so) => Ok(Some(is_so)),
                None => Err(format!("`{key}` must be true or false, not `{text}`")),
            },
        };
        match key {
            "ref" => once(&mut self.reference)?,
            "tag" => once(&mut self.tag)?,
            "branch" => once(&mut self.branch)?,
            "subdir" => once(&mut self.subdirectory)?,
            "checksum" | "commit" => once(&mut url.checksum)?,
            "keep-git-dir" => url.keep_git_dir = truth()?,
            "submodules" => url.submodules = truth()?,
            other => {
                return Err(format!(
                    "`{other}` is not known in its query (ref, tag, branch, subdir, checksum, keep-git-dir, submodules are)"
                ));
            }
        }
        Ok(())
    }

    fn finish(self, url: &mut GitUrl) -> Result<(), String> {
        let full = |name: &str, space: &str| match name.strip_prefix(space) {
            Some(_) => name.to_owned(),
            None => format!("{space}{name}"),
        };
        let given = match (self.tag, self.branch) {
            (Some(_), Some(_)) => return Err("it asks for a tag and for a branch".to_owned()),
            (Some(tag), None) => Some(full(&tag, "refs/tags/")),
            (None, Some(branch)) => Some(full(&branch, "refs/heads/")),
            (None, None) => None,
        };
        url.reference = match (self.reference, given) {
            (Some(one), Some(other)) if one != other => return Err(format!("it asks for `{one}` and for `{other}`")),
            (one, other) => one.or(other),
        };
        let hexadecimal = |text: &String| !text.is_empty() && text.bytes().all(|c| c.is_ascii_hexdigit());
        if let Some(checksum) = url.checksum.as_ref().filter(|checksum| !hexadecimal(checksum)) {
            return Err(format!("`{checksum}` is not a commit"));
        }
        // The beginning of a commit says what the default branch is to be, and cannot be asked for.
        if url.reference.is_none() {
            url.reference = url.checksum.clone().filter(|checksum| matches!(checksum.len(), 40 | 64));
        }
        if let Some(reference) = url.reference.as_ref().filter(|reference| !is_reference(reference)) {
            return Err(format!("`{}` cannot be the name of a branch, a tag or a commit", reference.escape_debug()));
        }
        let below = self.subdirectory.unwrap_or_default();
        let parts: Vec<&str> = below.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        if parts.contains(&"..") || below.contains('\0') {
            return Err(format!("the directory `{}` leads out of it", below.escape_debug()));
        }
        url.subdirectory = some(&parts.join("/"));
        Ok(())
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Returns whether git takes `name` for a reference's (git-check-ref-format(1)), as far as it matters that no other
/// argument, and no pattern, can be made of it.
fn is_reference(name: &str) -> bool {
    let is_odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    !name.is_empty()
        && !name.starts_with(['-', '/', '.'])
        && !name.ends_with(['/', '.'])
        && !name.contains("..")
        && !name.contains("@{")
        && !name.chars().any(is_odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Remote, reference and directory.
    type Expected = Option<(&'static str, Option<&'static str>, Option<&'static str>)>;

    fn parts(url: GitUrl) -> (String, Option<String>, Option<String>) {
        (url.remote, url.reference, url.subdirectory)
    }

    /// The expectations are those of BuildKit's documentation and of its own table of such names.
    #[test]
    fn what_is_a_repository_and_what_is_wanted_of_it() {
        let cases: &[(&str, Expected)] = &[
            ("https://example.com/", None),
            ("https://example.com/foo", None),
            ("https://example.com/foo.git", Some(("https://example.com/foo.git", None, None))),
            ("HTTPS://example.com/foo.git", Some(("https://example.com/foo.git", None, None))),
            ("https://example.com/foo.git#deadbeef", Some(("https://example.com/foo.git", Some("deadbeef"), None))),
            (
                "https://example.com/foo.git#release/1.2",
                Some(("https://example.com/foo.git", Some("release/1.2"), None)),
            ),
            ("https://example.com/foo.git/", None),
            ("https://example.com/foo.git.bar", None),
            ("git://example.com/foo", Some(("git://example.com/foo", None, None))),
            ("ssh://git@example.com/foo.git", Some(("ssh://git@example.com/foo.git", None, None))),
            ("custom.xyz/moby/buildkit.git", None),
            ("https://github.com/moby/buildkit", None),
            ("git@github.com:moby/buildkit", Some(("git@github.com:moby/buildkit", None, None))),
            (
                "https://github.com/foo/bar.git#baz/qux:quux/quuz",
                Some(("https://github.com/foo/bar.git", Some("baz/qux"), Some("quux/quuz"))),
            ),
            ("http://github.com/docker/docker.git:#branch", None),
            (
                "https://github.com/docker/docker.git#:myfolder",
                Some(("https://github.com/docker/docker.git", None, Some("myfolder"))),
            ),
            ("./.git", None),
            (".git", None),
            ("file:///srv/foo.git", None),
            ("ext::sh -c id", None),
            (
                "https://github.com/docker/docker.git?ref=v1.0.0&subdir=/subdir",
                Some(("https://github.com/docker/docker.git", Some("v1.0.0"), Some("subdir"))),
            ),
            (
                "https://github.com/docker/docker.git?tag=v1.0.0",
                Some(("https://github.com/docker/docker.git", Some("refs/tags/v1.0.0"), None)),
            ),
            (
                "https://github.com/docker/docker.git?branch=v1.0",
                Some(("https://github.com/docker/docker.git", Some("refs/heads/v1.0"), None)),
            ),
            (
                "git@github.com:moby/buildkit?ref=v1#v1:a//./b/",
                Some(("git@github.com:moby/buildkit", Some("v1"), Some("a/b"))),
            ),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|(remote, reference, below)| {
                (remote.to_owned(), reference.map(str::to_owned), below.map(str::to_owned))
            });
            assert_eq!(GitUrl::of_source(text).unwrap().map(parts), expected, "{text}");
        }
        assert_eq!(GitUrl::of_source("github.com/moby/buildkit").unwrap(), None);
        let short = GitUrl::of_context("github.com/moby/buildkit#master").unwrap().map(parts).unwrap();
        assert_eq!(short, ("https://github.com/moby/buildkit".to_owned(), Some("master".to_owned()), None));
    }

    #[test]
    fn what_could_be_an_option_or_leads_out_is_refused() {
        for text in [
            "https://example.com/a.git#--upload-pack=id",
            "https://example.com/a.git#-x",
            "https://example.com/a.git#a b",
            "https://example.com/a.git#HEAD~1",
            "https://example.com/a.git#refs/*",
            "https://example.com/a.git#:../..",
            "https://example.com/a.git#%2d%2dupload-pack=id",
            "ssh://-oProxyCommand=id/a.git",
            "git@-oProxyCommand:a.git",
            "git://exa mple/a",
            "https://example.com/a.git?tag=a&branch=b",
            "https://example.com/a.git?ref=a#b",
            "https://example.com/a.git?subdir=a&subdir=b",
            "https://example.com/a.git?ref=",
            "https://example.com/a.git?what=a",
            "https://example.com/a.git?checksum=xyz",
            "https://example.com/a.git?submodules=perhaps",
        ] {
            assert!(GitUrl::of_source(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nobody_is_shown_user_and_password() {
        let url = GitUrl::of_source("https://me:secret@example.com/a.git#main:sub").unwrap().unwrap();
        assert_eq!(url.to_string(), "https://example.com/a.git#main:sub");
        assert_eq!(format!("{url:?}"), "GitUrl(https://example.com/a.git#main:sub)");
        assert_eq!(url.secret(), Some("me:secret"));
        let url = GitUrl::of_source("https://me:sec/ret@example.com:8443/a@b.git").unwrap().unwrap();
        assert_eq!(url.secret(), Some("me:sec/ret@example.com:8443/a"), "rather more than less");
        let url = GitUrl::of_source("https://me:sec/ret@example.com:8443/a.git").unwrap().unwrap();
        assert_eq!((url.secret(), url.to_string().as_str()), (Some("me:sec/ret"), "https://example.com:8443/a.git"));
        let url = GitUrl::of_source("https://example.com:8443/a@b.git").unwrap().unwrap();
        assert_eq!(url.secret(), None);
        let error = GitUrl::of_source("https://me:secret@example.com/a.git#-x").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn the_query_says_more() {
        let read = |query: &str| GitUrl::of_source(&format!("https://example.com/a.git?{query}")).unwrap().unwrap();
        let url = read("checksum=0123abc&keep-git-dir&submodules=false");
        assert_eq!(url.checksum.as_deref(), Some("0123abc"));
        assert_eq!(url.reference, None, "the beginning of a commit cannot be asked for");
        let (full, long) = ("a".repeat(40), "b".repeat(64));
        assert_eq!(read(&format!("commit={full}")).reference, Some(full));
        assert_eq!(read(&format!("checksum={long}")).reference, Some(long));
        assert_eq!((url.keep_git_dir, url.submodules), (Some(true), Some(false)));
        assert_eq!(url.name(), "a");
    }
}
