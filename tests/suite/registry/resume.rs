//! Downloads that break off: how they go on, and when they do not.

use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ocibake::error::{Error, ErrorKind, Result};
use ocibake::net::HttpOptions;
use ocibake::oci::{Descriptor, media_type};
use ocibake::progress::{Event, silent};
use ocibake::registry::{Client, RegistryOptions};
use ocibake::store::Store;
use proptest::prelude::*;

use crate::support::fake_registry::{FakeRegistry, Reply, Request, digest};
use crate::support::noise::noise;
use crate::support::registry_client::{News, client, options, reference, text};

/// A registry that has `blob`, and does what `answer` says to the Nth request for it, counted from 0.
fn holding(
    blob: &[u8],
    answer: impl Fn(usize, &Request) -> Option<Reply> + Send + Sync + 'static,
) -> (FakeRegistry, Descriptor) {
    let asked = AtomicUsize::new(0);
    let registry = FakeRegistry::scripted(move |request| {
        assert!(request.is("GET", "/blobs/"), "{}", request.line());
        answer(asked.fetch_add(1, Ordering::SeqCst), request)
    });
    registry.put_blob(blob);
    (registry, Descriptor::of(media_type::LAYER, blob))
}

fn read(client: &Client, registry: &FakeRegistry, blob: &Descriptor) -> Result<Vec<u8>> {
    let repository = client.repository(&reference(&registry.address(), "org/api"), &silent);
    let mut bytes = Vec::new();
    let mut reader = repository.open(blob)?;
    reader.read_to_end(&mut bytes).map_err(|source| Error::from_read("read", "blob", source))?;
    Ok(bytes)
}

/// So much of `bytes` from byte `from` on, promised to be all of the rest.
fn broken_part(bytes: &[u8], from: usize, length: usize) -> Reply {
    let end = bytes.len().min(from + length);
    let reply = match from {
        0 => Reply::Answer(200, Vec::new(), bytes[..end].to_vec()),
        _ => Reply::Answer(206, Vec::new(), bytes[from..end].to_vec())
            .with("content-range", format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len())),
    };
    reply.with("content-length", (bytes.len() - from).to_string())
}

fn begins_at(request: &Request) -> usize {
    let range = request.header("range").unwrap_or("bytes=0-");
    range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap()
}

fn ranges(registry: &FakeRegistry) -> Vec<Option<String>> {
    registry.requests().iter().map(|request| request.header("range").map(str::to_owned)).collect()
}

#[test]
fn a_download_goes_on_where_it_broke_off_and_says_so() {
    let blob = noise(1, 3 << 20);
    let bytes = blob.clone();
    let (registry, descriptor) =
        holding(&blob, move |number, _| (number == 0).then(|| broken_part(&bytes, 0, 1_000_000)));
    let (client, news) = (client(), News::default());
    let tell = |event: Event<'_>| news.tell(event);
    let repository = client.repository(&reference(&registry.address(), "org/api"), &tell);
    let mut got = Vec::new();
    repository.open(&descriptor).unwrap().read_to_end(&mut got).unwrap();
    assert!(got == blob);
    assert_eq!(ranges(&registry), [None, Some("bytes=1000000-".to_owned())]);
    let lines = news.lines();
    let wanted = format!("retrying GET http://{}/v2/org/api/blobs/{}: ", registry.address(), descriptor.digest);
    let (fetched, lines): (Vec<String>, Vec<String>) = lines.into_iter().partition(|line| line.starts_with("Fetch"));
    assert!(lines.len() == 1 && lines[0].starts_with(&wanted), "{lines:?}");
    assert!(fetched.last().unwrap().starts_with("FetchFinished") && fetched.last().unwrap().contains("is_whole: true"));
}

#[test]
fn a_registry_that_knows_no_ranges_begins_again_and_nothing_is_read_twice() {
    let blob = noise(2, 3 << 20);
    let bytes = blob.clone();
    let (registry, descriptor) = holding(&blob, move |number, _| match number {
        0 => Some(broken_part(&bytes, 0, 1_000_000)),
        // It breaks before what is new begins, and in the middle of it.
        1 => Some(broken_part(&bytes, 0, 500_000)),
        2 => Some(broken_part(&bytes, 0, 2_000_000)),
        _ => Some(Reply::Answer(200, Vec::new(), bytes.clone())),
    });
    assert!(read(&client(), &registry, &descriptor).unwrap() == blob);
    let wanted = [None, Some(1_000_000), Some(1_000_000), Some(2_000_000)];
    assert_eq!(ranges(&registry), wanted.map(|from| from.map(|from| format!("bytes={from}-"))));
}

#[test]
fn breaks_are_forgotten_as_long_as_there_is_progress() {
    let blob = noise(3, 6_000_000);
    let bytes = blob.clone();
    let (registry, descriptor) =
        holding(&blob, move |_, request| Some(broken_part(&bytes, begins_at(request), 500_000)));
    assert!(read(&client(), &registry, &descriptor).unwrap() == blob);
    assert_eq!(registry.requests().len(), 12, "11 breaks, though a request is tried no more than five times");
}

#[test]
fn breaks_without_progress_end_with_the_last_of_them() {
    let blob = noise(4, 1 << 20);
    let bytes = blob.clone();
    let (registry, descriptor) = holding(&blob, move |_, request| Some(broken_part(&bytes, begins_at(request), 100)));
    let error = read(&client(), &registry, &descriptor).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Registry);
    let (message, _) = text(&error, &registry.address());
    let wanted = format!("GET http://HOST/v2/org/api/blobs/{}: the connection broke: ", descriptor.digest);
    assert!(message.starts_with(&wanted), "{message}");
    assert_eq!(registry.requests().len(), 5);
}

#[test]
fn an_end_without_a_length_is_no_end() {
    let blob = noise(5, 100_000);
    let bytes = blob.clone();
    let (registry, descriptor) = holding(&blob, move |number, _| {
        (number == 0).then(|| Reply::Unmeasured(bytes[..60_000].to_vec(), Duration::ZERO))
    });
    assert!(read(&client(), &registry, &descriptor).unwrap() == blob);
    assert_eq!(ranges(&registry), [None, Some("bytes=60000-".to_owned())]);
}

#[test]
fn a_silence_in_the_middle_is_a_break() {
    let blob = noise(6, 100_000);
    let bytes = blob.clone();
    let (registry, descriptor) = holding(&blob, move |number, _| {
        (number == 0).then(|| Reply::Unmeasured(bytes[..60_000].to_vec(), Duration::from_secs(600)))
    });
    let hurried = Client::new(RegistryOptions {
        http: HttpOptions { patience: Duration::from_millis(300), ..options().http },
        ..options()
    })
    .unwrap();
    assert!(read(&hurried, &registry, &descriptor).unwrap() == blob);
    assert_eq!(ranges(&registry), [None, Some("bytes=60000-".to_owned())]);
}

#[test]
fn a_length_that_lies_does_no_harm_to_what_is_all_there() {
    let blob = noise(7, 100_000);
    let bytes = blob.clone();
    let (registry, descriptor) = holding(&blob, move |_, _| {
        Some(Reply::Answer(200, Vec::new(), bytes.clone()).with("content-length", "100007"))
    });
    assert!(read(&client(), &registry, &descriptor).unwrap() == blob);
    assert_eq!(registry.requests().len(), 1);
}

#[test]
fn a_part_that_cannot_be_the_next_one_is_an_error() {
    let cases = [
        (416, None, "416 Range Not Satisfiable"),
        (206, None, "a partial answer does not say which part it is"),
        (206, Some("bytes */100000"), "a partial answer does not say which part it is"),
        (206, Some("bytes 60001-99999/100000"), "asked to continue at byte 60000, the server continues at 60001"),
    ];
    for (status, range, reason) in cases {
        let blob = noise(8, 100_000);
        let bytes = blob.clone();
        let (registry, descriptor) = holding(&blob, move |number, _| {
            let part = || Reply::Answer(status, Vec::new(), bytes[60_000..].to_vec());
            Some(match range {
                _ if number == 0 => broken_part(&bytes, 0, 60_000),
                None => part(),
                Some(range) => part().with("content-range", range),
            })
        });
        let error = read(&client(), &registry, &descriptor).unwrap_err();
        let message = format!("GET http://HOST/v2/org/api/blobs/{}: {reason}", descriptor.digest);
        assert_eq!(text(&error, &registry.address()).0, message);
        assert_eq!(registry.requests().len(), 2);
    }
}

#[test]
fn other_content_after_a_break_is_found_out() {
    let (blob, other) = (noise(9, 100_000), noise(10, 100_000));
    let (bytes, wrong) = (blob.clone(), other.clone());
    let (registry, descriptor) = holding(&blob, move |number, request| {
        Some(if number == 0 {
            broken_part(&bytes, 0, 60_000)
        } else {
            broken_part(&wrong, begins_at(request), 1 << 20)
        })
    });
    let error = read(&client(), &registry, &descriptor).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Integrity);
    let mixed = [&blob[..60_000], &other[60_000..]].concat();
    assert_eq!(error.message, format!("blob {} has the digest {}", digest(&blob), digest(&mixed)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the cuts are and whether the registry knows ranges, the content is the same.
    #[test]
    fn content_does_not_depend_on_where_it_was_cut(
        cuts in proptest::collection::vec(0usize..200_000, 0..4),
        ranges in any::<bool>(),
    ) {
        let blob = noise(11, 200_000);
        let (bytes, plan) = (blob.clone(), cuts.clone());
        let (registry, descriptor) = holding(&blob, move |number, request| {
            let from = if ranges { begins_at(request) } else { 0 };
            Some(broken_part(&bytes, from, plan.get(number).copied().unwrap_or(usize::MAX / 2)))
        });
        prop_assert!(read(&client(), &registry, &descriptor).unwrap() == blob);
        prop_assert!(registry.requests().len() <= cuts.len() + 1);
    }
}
