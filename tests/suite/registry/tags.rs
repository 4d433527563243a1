//! Which tags a repository has, and what one of them stands for.

use ocibake::error::{Error, ErrorKind};
use ocibake::oci::Descriptor;
use ocibake::progress::silent;

use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::{FakeRegistry, Reply, Request};
use crate::support::memory_store::MemoryStore;
use crate::support::registry_client::{News, client, push, reference, text};
use crate::support::tool;

fn tags(address: &str, repository: &str) -> Result<Vec<String>, Error> {
    client().repository(&reference(address, repository), &silent).tags()
}

fn find(address: &str, name: &str, tag: &str) -> Result<Option<Descriptor>, Error> {
    client().repository(&reference(address, name), &silent).find(tag)
}

fn page(tags: &str) -> Reply {
    Reply::Answer(200, Vec::new(), format!(r#"{{"name":"org/api","tags":{tags}}}"#).into_bytes())
}

/// Answers what is asked of the list of tags.
fn listing(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> FakeRegistry {
    FakeRegistry::scripted(move |request| request.is("GET", "/v2/org/api/tags/list").then(|| answer(request)))
}

#[test]
fn a_real_registry_lists_all_tags_over_several_pages() {
    if !tool::require("docker-registry") {
        return;
    }
    let registry = DockerRegistry::open();
    let mut store = MemoryStore::default();
    let root = store.image(&[b"a layer"]);
    push(&client(), &registry.address(), &store, &root, &["v0"], &News::default()).unwrap();
    let mut wanted: Vec<String> = (0..2345).map(|number| format!("v{number}")).collect();
    registry.copy_tag("org/api", "v0", &wanted[1..]);
    wanted.sort();
    assert_eq!(tags(&registry.address(), "org/api").unwrap(), wanted);

    assert_eq!(tags(&registry.address(), "org/unknown").unwrap(), [""; 0]);
    let found = find(&registry.address(), "org/api", "v7").unwrap();
    assert_eq!(found, Some(Descriptor { platform: None, ..root }));
    assert_eq!(find(&registry.address(), "org/api", "w7").unwrap(), None);
    assert_eq!(find(&registry.address(), "org/unknown", "v7").unwrap(), None);
}

#[test]
fn pages_are_followed_on_the_registry_alone_whatever_host_they_name() {
    let registry = listing(|request| match request.query.as_str() {
        "n=1000" => page(r#"["b","a"]"#).with("link", r#"</v2/org/api/tags/list?last=a&n=2>; rel="next""#),
        // As a registry writes it that does not know of the proxy before it.
        "last=a&n=2" => {
            page(r#"["a","../c"]"#).with("link", r#"<https://inner.invalid:1/v2/org/api/tags/list?x=%2B>; rel="next""#)
        }
        "x=%2B" => page("null"),
        other => panic!("{other}"),
    });
    assert_eq!(tags(&registry.address(), "org/api").unwrap(), ["a", "b"]);
    assert_eq!(registry.requests().len(), 3);
}

#[test]
fn pages_that_lead_in_a_circle_end() {
    let registry = listing(|_| page(r#"["a"]"#).with("link", r#"<?n=1000>; rel="next""#));
    let error = tags(&registry.address(), "org/api").unwrap_err();
    let message = "GET http://HOST/v2/org/api/tags/list: the pages form a circle";
    assert_eq!(text(&error, &registry.address()).0, message);
    assert_eq!(registry.requests().len(), 1);
}

#[test]
fn tags_and_pages_without_end_end() {
    let long = "x".repeat(128);
    let registry = listing(move |request| {
        let number: usize = request.query.strip_prefix("n=").unwrap().parse().unwrap();
        let tags: Vec<String> =
            (0..20_000).map(|tag| format!("\"{:.128}\"", format!("{number}.{tag}.{long}"))).collect();
        page(&format!("[{}]", tags.join(","))).with("link", format!(r#"<?n={}>; rel="next""#, number + 1))
    });
    let error = tags(&registry.address(), "org/api").unwrap_err();
    let message = "GET http://HOST/v2/org/api/tags/list: the tags are more than 16777216 bytes";
    assert_eq!(text(&error, &registry.address()).0, message);
    assert_eq!(registry.requests().len(), 7, "16 MiB are reached with the seventh page of 20,000 tags of 128 bytes");
}

#[test]
fn addresses_of_pages_count_as_the_tags_do() {
    let long = "x".repeat(60_000);
    let registry = listing(move |request| {
        let number: usize = request.query.split('&').next().unwrap().strip_prefix("n=").unwrap().parse().unwrap();
        page("[]").with("link", format!(r#"<?n={}&{long}>; rel="next""#, number + 1))
    });
    let error = tags(&registry.address(), "org/api").unwrap_err();
    let message = "GET http://HOST/v2/org/api/tags/list: the tags are more than 16777216 bytes";
    assert_eq!(text(&error, &registry.address()).0, message);
    assert!(registry.requests().len() < 300);
}

#[test]
fn a_registry_that_refuses_to_list_is_told_from_one_without_tags() {
    let no_tags = listing(|_| Reply::refusal(404, "NAME_UNKNOWN", "repository name not known to registry"));
    assert_eq!(tags(&no_tags.address(), "org/api").unwrap(), [""; 0]);
    for (status, kind) in [(403, ErrorKind::Denied), (401, ErrorKind::Denied), (405, ErrorKind::Registry)] {
        let refusing = listing(move |_| Reply::refusal(status, "DENIED", "no"));
        let error = tags(&refusing.address(), "org/api").unwrap_err();
        assert_eq!(error.kind, kind);
        let message = text(&error, &refusing.address()).0;
        assert!(message.starts_with(&format!("GET http://HOST/v2/org/api/tags/list: {status} ")), "{message}");
        assert!(message.ends_with(": DENIED: no"), "{message}");
    }
    let garbage = listing(|_| Reply::Answer(200, Vec::new(), b"<html>".to_vec()));
    assert!(tags(&garbage.address(), "org/api").is_err());
}

#[test]
fn a_tag_is_found_by_content_where_head_is_not_known() {
    let registry = FakeRegistry::scripted(|request| (request.is("HEAD", "/manifests/")).then(|| Reply::status(405)));
    let mut store = MemoryStore::default();
    let root = store.image(&[b"a layer"]);
    push(&client(), &registry.address(), &store, &root, &["v1"], &News::default()).unwrap();
    let found = find(&registry.address(), "org/api", "v1").unwrap();
    assert_eq!(found, Some(Descriptor { platform: None, ..root }));
    assert_eq!(find(&registry.address(), "org/api", "v2").unwrap(), None);
}

#[test]
fn what_is_refused_is_not_taken_for_missing() {
    for status in [401, 403, 500] {
        let registry =
            FakeRegistry::scripted(move |_| Some(Reply::refusal(status, "DENIED", "no").with("retry-after", "0")));
        find(&registry.address(), "org/api", "v1").unwrap_err();
    }
}
