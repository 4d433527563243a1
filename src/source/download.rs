//! Files downloaded over HTTP, kept in the local store.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::net::{Headers, Receipt, Stop, percent_decoded_text};
use crate::oci::{Digest, Hasher, KeyBuilder, Keyed, from_json, to_json};
use crate::plan::{shown_url, url_without_user};
use crate::progress::Progress;
use crate::registry::OnDemand;
use crate::store::{LocalStore, PendingBlob};
use crate::tree::Content;

/// A file as it was downloaded, now or before.
#[derive(Debug, Clone)]
pub struct Downloaded {
    /// The name in a directory: the last name in the URL's path. BuildKit heeds nothing that the server says of it.
    pub name: String,
    /// The digest of the content.
    pub digest: Digest,
    /// The content, which lies in the local store.
    pub content: Content,
    /// `Last-Modified`, in seconds since 1970; 0 where the server did not say.
    pub modified: i64,
}

impl Downloaded {
    /// Returns `Last-Modified`, in seconds since 1970; none where the server did not say.
    pub fn last_modified(&self) -> Option<i64> {
        Some(self.modified).filter(|modified| *modified != 0)
    }
}

/// The headers that are remembered of a URL, beside the blob that it led to.
#[derive(Serialize, Deserialize)]
struct DownloadRecord {
    headers: Headers,
}

impl Keyed for DownloadRecord {}

/// A blob whose digest is not known yet.
struct Arriving<'s> {
    blob: PendingBlob,
    hasher: Hasher,
    store: &'s LocalStore,
}

impl Write for Arriving<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let failed = |source| io::Error::other(Error::io("write to", self.store.root(), source));
        let count = self.blob.write(bytes).map_err(failed)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.blob.flush()
    }
}

/// The name that BuildKit gives a file that its URL gives no name.
const NAMELESS: &str = "__unnamed__";

/// Downloads `url` into `store`. What the store has of that URL is taken if the server says that it is unchanged; and
/// without asking anybody if it is what `checksum` says. Another content than that is an integrity error. It fails once `stop`
/// is ended.
pub fn download(
    url: &str,
    checksum: Option<Digest>,
    store: &LocalStore,
    client: &OnDemand,
    stop: &Stop,
    progress: Progress<'_>,
) -> Result<Downloaded> {
    // Whoever asks, the server knows what it has sent by the URL and the tag, and says whether that is still so.
    let key = KeyBuilder::new("download 2").part("url", &url_without_user(url)).finish();
    let known = earlier(&key, store);
    if let Some((digest, content, headers)) = &known
        && checksum == Some(*digest)
    {
        return Ok(downloaded(url, *digest, content.clone(), headers));
    }
    let asked = known.as_ref().map(|(_, _, headers)| headers);
    let begin = || Ok(Arriving { blob: store.begin()?, hasher: Hasher::new(), store });
    let (digest, content, headers) = match client.client()?.http().download(url, asked, begin, stop, progress)? {
        Receipt::Received { content: Arriving { blob, hasher, .. }, headers } => {
            let digest = hasher.finish();
            store.commit(blob, digest)?;
            let content = store.content(&digest).ok_or_else(|| gone(&digest))?;
            store.put_record(&key, &digest, &to_json(&DownloadRecord { headers: headers.clone() }))?;
            (digest, content, headers)
        }
        Receipt::Unchanged => known.ok_or_else(|| Error::input("the server says that nothing has changed"))?,
    };
    match checksum {
        Some(expected) if expected != digest => {
            Err(Error::integrity(format!("{} has the digest {digest}, not {expected}", shown_url(url)))
                .with_hint("if the file was meant to change, set --checksum to its new digest"))
        }
        _ => Ok(downloaded(url, digest, content, &headers)),
    }
}

fn earlier(key: &Digest, store: &LocalStore) -> Option<(Digest, Content, Headers)> {
    let (digest, record) = store.record(key)?;
    let record: DownloadRecord = from_json("a download's record", &record).ok()?;
    Some((digest, store.content(&digest)?, record.headers))
}

fn downloaded(url: &str, digest: Digest, content: Content, headers: &Headers) -> Downloaded {
    Downloaded { name: name(url), digest, content, modified: headers.modified().unwrap_or_default() }
}

fn gone(digest: &Digest) -> Error {
    Error::not_found(format!("the blob {digest} is gone from the store"))
}

fn name(url: &str) -> String {
    let before = url.split(['?', '#']).next().unwrap_or_default();
    let path = before.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
    let path = percent_decoded_text(path);
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let is_name = !matches!(last, "" | "." | "..") && !last.contains('\0');
    if is_name { last.to_owned() } else { NAMELESS.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The name is Go's `path.Base` of the path without its escapes.
    #[test]
    fn names_come_from_the_path() {
        for (url, expected) in [
            ("https://example.com/a/file%20one.txt?x=/y#z", "file one.txt"),
            ("https://example.com/a/", "a"),
            ("https://example.com/100%", "100%"),
            ("https://example.com/a%2Fb", "b"),
            ("https://example.com", NAMELESS),
            ("https://example.com/", NAMELESS),
            ("https://example.com/..", NAMELESS),
            ("https://example.com/a%2F..", NAMELESS),
        ] {
            assert_eq!(name(url), expected, "{url}");
        }
    }
}
