//! Tokens: how they are asked for in all the ways there are, how long they last, and what happens when they end.

use std::io::Read;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ocibake::error::ErrorKind;
use ocibake::oci::Descriptor;
use ocibake::progress::silent;
use ocibake::registry::{Client, Credential, Credentials, RegistryOptions};
use ocibake::store::Store;

use crate::support::fake_registry::{FakeRegistry, Reply, Request, token_auth};
use crate::support::memory_store::MemoryStore;
use crate::support::noise::noise;
use crate::support::registry_client::{News, client, logged_in, options, push, reference, text};

/// base64 of `ada:s3cret`, by `printf ada:s3cret | base64`.
const ADA: &str = "Basic YWRhOnMzY3JldA==";
/// base64 of `ada:re+fresh`.
const ADA_IDENTITY: &str = "Basic YWRhOnJlK2ZyZXNo";

fn client_as(credentials: Credentials) -> Client {
    Client::new(RegistryOptions { credentials, ..options() }).unwrap()
}

/// Credentials with an identity token.
fn with_identity(address: &str) -> (tempfile::TempDir, Credentials) {
    let (directory, credentials) = logged_in(address, "ada", "");
    let token = Credential::IdentityToken { user: Some("ada".to_owned()), token: "re+fresh".to_owned() };
    credentials.store(address, &token).unwrap();
    (directory, credentials)
}

fn image() -> (MemoryStore, Descriptor) {
    let mut store = MemoryStore::default();
    let root = store.image(&[b"a layer"]);
    (store, root)
}

fn lines(registry: &FakeRegistry) -> Vec<String> {
    registry.requests().iter().map(|request| request.line()).collect()
}

fn token(text: &str) -> Reply {
    Reply::Answer(200, Vec::new(), text.as_bytes().to_vec())
}

fn challenge(request: &Request, scope: &str) -> Reply {
    let realm = format!("http://{}/token", request.header("host").unwrap());
    let challenge = format!(r#"Bearer realm="{realm}",service="here",scope="{scope}",error="insufficient_scope""#);
    Reply::refusal(401, "UNAUTHORIZED", "authentication required").with("www-authenticate", challenge)
}

/// Wants the token `good`, which `server` is asked for.
fn guarded(server: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> FakeRegistry {
    FakeRegistry::scripted(move |request| match request.path.as_str() {
        "/token" => Some(server(request)),
        _ if request.header("authorization") == Some("Bearer good") => None,
        _ => Some(challenge(request, "")),
    })
}

/// Tokens that are good until the next one; the first for a second, the others for a minute.
fn short_lived(server_fails: impl Fn(usize) -> bool + Send + Sync + 'static) -> FakeRegistry {
    let asked = AtomicUsize::new(0);
    FakeRegistry::scripted(move |request| {
        if request.path == "/token" {
            let number = asked.fetch_add(1, Ordering::SeqCst);
            let lifetime = if number == 0 { 1 } else { 60 };
            return Some(match server_fails(number) {
                true => Reply::status(500),
                false => token(&format!(r#"{{"token":"token-{number}","expires_in":{lifetime}}}"#)),
            });
        }
        let is_known = request.header("authorization").is_some_and(|shown| shown.starts_with("Bearer token-"));
        (!is_known).then(|| challenge(request, ""))
    })
}

#[test]
fn a_token_is_renewed_before_it_ends() {
    let registry = short_lived(|_| false);
    let client = client();
    let repository = client.repository(&reference(&registry.address(), "org/api"), &silent);
    repository.find("v1").unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    repository.find("v1").unwrap();
    let head = "HEAD /v2/org/api/manifests/v1";
    assert_eq!(lines(&registry), [head, "GET /token", head, "GET /token", head]);
}

#[test]
fn a_token_that_cannot_be_renewed_is_used_to_its_end() {
    let registry = short_lived(|number| number > 0);
    let client = client();
    let repository = client.repository(&reference(&registry.address(), "org/api"), &silent);
    repository.find("v1").unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    repository.find("v1").unwrap();
    repository.find("v1").unwrap();
    let head = "HEAD /v2/org/api/manifests/v1";
    assert_eq!(lines(&registry), [head, "GET /token", head, "GET /token", head, head]);
}

#[test]
fn of_many_requests_one_renews_the_token() {
    let registry = short_lived(|_| false);
    let client = client();
    let (small, small_root) = image();
    push(&client, &registry.address(), &small, &small_root, &[], &News::default()).unwrap();
    let before = registry.count("GET", "/token");
    std::thread::sleep(Duration::from_millis(1100));
    let layers: Vec<Vec<u8>> = (0..24u8).map(|number| vec![number; 100]).collect();
    let layers: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    let mut store = MemoryStore::default();
    let root = store.image(&layers);
    push(&client, &registry.address(), &store, &root, &["v1"], &News::default()).unwrap();
    // On a slow machine the first one may have been renewed in the first push already.
    assert_eq!((before.min(1), registry.count("GET", "/token")), (1, 2));
}

#[test]
fn a_fresh_token_that_is_refused_ends_it_with_the_registrys_words() {
    let given = AtomicUsize::new(0);
    let registry = FakeRegistry::scripted(move |request| match request.path.as_str() {
        "/token" => Some(token(&format!(r#"{{"token":"{}"}}"#, given.fetch_add(1, Ordering::SeqCst)))),
        _ => Some(challenge(request, "repository:org/api:pull")),
    });
    let client = client();
    let error = client.repository(&reference(&registry.address(), "org/api:v1"), &silent).resolve(None).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert_eq!(
        text(&error, &registry.address()),
        (
            "GET http://HOST/v2/org/api/manifests/v1: 401 Unauthorized: UNAUTHORIZED: authentication required"
                .to_owned(),
            "log in with `ocibake login HOST`".to_owned()
        )
    );
    let (head, get) = ("HEAD /v2/org/api/manifests/v1", "GET /v2/org/api/manifests/v1");
    assert_eq!(lines(&registry), [head, "GET /token", head, get, "GET /token", get]);
}

#[test]
fn a_user_without_the_right_is_told_so_and_not_that_the_password_is_wrong() {
    for status in [401, 403] {
        let registry = FakeRegistry::scripted(move |request| match request.path.as_str() {
            "/token" => Some(token(r#"{"token":"narrow"}"#)),
            _ if request.header("authorization").is_none() => Some(challenge(request, "")),
            _ => Some(Reply::refusal(status, "DENIED", "requested access to the resource is denied")),
        });
        let (_directory, credentials) = logged_in(&registry.address(), "ada", "s3cret");
        let (store, root) = image();
        let error = push(&client_as(credentials), &registry.address(), &store, &root, &[], &News::default());
        let (message, hint) = text(&error.unwrap_err(), &registry.address());
        assert!(message.ends_with(": DENIED: requested access to the resource is denied"), "{message}");
        let wanted = "logged in to HOST as ada: check that this user may push to org/api, or log in again with \
                      `ocibake login HOST`";
        assert_eq!(hint, wanted);
    }
}

#[test]
fn a_token_server_that_knows_no_get_is_asked_by_post() {
    for status in [401, 404, 405] {
        let registry = guarded(move |request| match request.method.as_str() {
            "POST" => token(r#"{"access_token":"good"}"#),
            _ => Reply::status(status),
        });
        let (_directory, credentials) = logged_in(&registry.address(), "ada", "s3+cret");
        let (store, root) = image();
        push(&client_as(credentials), &registry.address(), &store, &root, &["v1"], &News::default()).unwrap();
        let asked: Vec<_> = registry.requests().into_iter().filter(|request| request.path == "/token").collect();
        assert_eq!(asked.iter().map(|request| request.method.as_str()).collect::<Vec<_>>(), ["GET", "POST"]);
        assert_eq!((asked[1].query.as_str(), asked[1].header("authorization")), ("", None));
        assert_eq!(
            String::from_utf8_lossy(&asked[1].body),
            "service=here&scope=repository%3Aorg%2Fapi%3Apull%2Cpush&client_id=ocibake&grant_type=password\
             &username=ada&password=s3%2Bcret"
        );
    }
}

#[test]
fn a_token_server_that_knows_no_post_is_shown_an_identity_token_by_get() {
    for status in [400, 401, 404, 405] {
        let registry = guarded(move |request| match request.method.as_str() {
            "GET" if request.header("authorization") == Some(ADA_IDENTITY) => token(r#"{"token":"good"}"#),
            _ => Reply::status(status),
        });
        let (_directory, credentials) = with_identity(&registry.address());
        let (store, root) = image();
        push(&client_as(credentials), &registry.address(), &store, &root, &["v1"], &News::default()).unwrap();
        let methods: Vec<_> =
            registry.requests().into_iter().filter(|request| request.path == "/token").map(|r| r.method).collect();
        assert_eq!(methods, ["POST", "GET"]);
    }
}

#[test]
fn of_two_refusals_the_one_of_the_way_that_is_known_is_told() {
    let refused_by = |get: u16, post: u16| {
        let registry = guarded(move |request| {
            Reply::refusal(if request.method == "GET" { get } else { post }, "UNAUTHORIZED", "wrong password")
        });
        let (_directory, credentials) = logged_in(&registry.address(), "ada", "wr0ng");
        let client = client_as(credentials);
        let error = client.repository(&reference(&registry.address(), "org/api"), &silent).find("v1").unwrap_err();
        assert!(!format!("{error:?}").contains("wr0ng"));
        text(&error, &registry.address())
    };
    let hint = "the credentials for ada at HOST are wrong or have expired: log in again with `ocibake login HOST`";
    let message = |method| format!("{method} http://HOST/token: 401 Unauthorized: UNAUTHORIZED: wrong password");
    assert_eq!(refused_by(401, 404), (message("GET"), hint.to_owned()));
    assert_eq!(refused_by(401, 401), (message("GET"), hint.to_owned()));
    assert_eq!(refused_by(405, 401), (message("POST"), hint.to_owned()));
}

#[test]
fn nobody_is_asked_for_by_get_alone() {
    let registry = guarded(|_| Reply::status(404));
    let client = client();
    let error = client.repository(&reference(&registry.address(), "org/api"), &silent).find("v1").unwrap_err();
    assert_eq!(error.kind, ErrorKind::Registry, "it is not the tag that was not found");
    assert_eq!((registry.count("GET", "/token"), registry.count("POST", "/token")), (1, 0));
}

#[test]
fn a_token_server_may_move_but_the_credential_does_not_move_to_another_host() {
    let stranger = FakeRegistry::scripted(|_| Some(token(r#"{"token":"good"}"#)));
    let elsewhere = format!("http://{}/elsewhere?a=b%2B", stranger.address());
    let registry = guarded(move |request| match request.query.contains("moved") {
        false => Reply::status(302).with("location", format!("/token?moved&{}", request.query)),
        true => Reply::status(302).with("location", elsewhere.clone()),
    });
    let (_directory, credentials) = logged_in(&registry.address(), "ada", "s3cret");
    let client = client_as(credentials);
    client.repository(&reference(&registry.address(), "org/api"), &silent).find("v1").unwrap();
    let asked: Vec<_> = registry.requests().into_iter().filter(|request| request.path == "/token").collect();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|request| request.header("authorization") == Some(ADA)));
    let seen = stranger.requests();
    assert_eq!((seen.len(), seen[0].header("authorization"), seen[0].query.as_str()), (1, None, "a=b%2B"));
}

#[test]
fn an_identity_token_is_posted_to_no_other_host() {
    let stranger = FakeRegistry::scripted(|_| Some(token(r#"{"token":"good"}"#)));
    let elsewhere = format!("http://{}/elsewhere", stranger.address());
    let registry = guarded(move |_| Reply::status(307).with("location", elsewhere.clone()));
    let (_directory, credentials) = with_identity(&registry.address());
    let client = client_as(credentials);
    let error = client.repository(&reference(&registry.address(), "org/api"), &silent).find("v1").unwrap_err();
    assert_eq!(text(&error, &registry.address()).0, "POST http://HOST/token: 307 Temporary Redirect");
    assert_eq!(stranger.requests().len(), 0);

    let moved = guarded(|request| match String::from_utf8_lossy(&request.body).contains("refresh_token=re%2Bfresh") {
        _ if request.query.is_empty() => Reply::status(308).with("location", "/token?moved"),
        true => token(r#"{"token":"good"}"#),
        false => Reply::status(403),
    });
    let (_directory, credentials) = with_identity(&moved.address());
    // The script sees a request before its body is read, so the second answer is judged by what came.
    let _ = client_as(credentials).repository(&reference(&moved.address(), "org/api"), &silent).find("v1");
    let posts: Vec<_> = moved.requests().into_iter().filter(|request| request.method == "POST").collect();
    assert_eq!(posts.iter().map(|post| post.query.as_str()).collect::<Vec<_>>(), ["", "moved"]);
    assert_eq!(posts[0].body, posts[1].body);
}

/// The scopes that are asked for when the registry asks for `scope`.
fn scopes_for(scope: &'static str) -> Vec<String> {
    let registry = FakeRegistry::scripted(move |request| match request.path.as_str() {
        "/token" => Some(token(r#"{"token":"good"}"#)),
        _ if request.header("authorization").is_some() => None,
        _ => Some(challenge(request, scope)),
    });
    let (store, root) = image();
    push(&client(), &registry.address(), &store, &root, &["v1"], &News::default()).unwrap();
    let asked = registry.requests().into_iter().find(|request| request.path == "/token").unwrap();
    let scopes = asked.query.split('&').filter_map(|pair| pair.strip_prefix("scope="));
    scopes.map(|scope| scope.replace("%3A", ":").replace("%2F", "/").replace("%2C", ",")).collect()
}

#[test]
fn what_the_registry_asks_for_stands_first_and_nothing_twice() {
    let own = "repository:org/api:pull,push";
    assert_eq!(scopes_for(""), [own]);
    assert_eq!(scopes_for("aws"), ["aws", own]);
    assert_eq!(scopes_for("repository:org/api:pull"), ["repository:org/api:pull", own]);
    assert_eq!(scopes_for("repository:org/api:pull,push"), [own]);
    assert_eq!(scopes_for("repository:org/api:push,pull"), ["repository:org/api:push,pull"]);
    let two = ["registry:catalog:*", "repository:org/api:delete,pull,push"];
    assert_eq!(scopes_for("registry:catalog:* repository:org/api:delete,pull,push"), two);
}

#[test]
fn a_server_that_looks_at_the_first_scope_alone_gives_what_is_needed_in_the_end() {
    // A token is good for the actions of the first scope; the registry asks for what each request needs.
    let granted = Mutex::new(String::new());
    let registry = FakeRegistry::scripted(move |request| {
        let mut granted = granted.lock().unwrap();
        if request.path == "/token" {
            let first = request.query.split('&').find_map(|pair| pair.strip_prefix("scope=")).unwrap();
            *granted = first.rsplit_once("%3A").unwrap().1.replace("%2C", "-");
            return Some(token(&format!(r#"{{"token":"{granted}"}}"#)));
        }
        let needed = if matches!(request.method.as_str(), "GET" | "HEAD") { "pull" } else { "pull,push" };
        let shown = request.header("authorization").and_then(|shown| shown.strip_prefix("Bearer "));
        let may = shown.is_some_and(|shown| shown == *granted && shown.contains(&needed.replace(',', "-")));
        (!may).then(|| challenge(request, &format!("repository:org/api:{needed}")))
    });
    let (store, root) = image();
    let calm = Client::new(RegistryOptions { parallel: 1, ..options() }).unwrap();
    push(&calm, &registry.address(), &store, &root, &["v1"], &News::default()).unwrap();
    assert_eq!(registry.count("GET", "/token"), 2);
}

#[test]
fn where_both_ways_in_are_offered_the_other_is_taken_if_there_is_no_token_server() {
    let offering = |status: u16| {
        FakeRegistry::scripted(move |request| {
            let realm = format!("http://{}/token", request.header("host").unwrap());
            let bearer = format!(r#"Bearer realm="{realm}""#);
            match request.path.as_str() {
                "/token" => Some(Reply::status(status)),
                _ if request.header("authorization") == Some(ADA) => None,
                _ => Some(
                    Reply::status(401).with("www-authenticate", bearer).with("www-authenticate", r#"Basic realm="x""#),
                ),
            }
        })
    };
    let found = |status: u16| {
        let registry = offering(status);
        let (_directory, credentials) = logged_in(&registry.address(), "ada", "s3cret");
        client_as(credentials).repository(&reference(&registry.address(), "org/api"), &silent).find("v1")
    };
    assert_eq!(found(404).unwrap(), None);
    assert_eq!(found(501).unwrap(), None);
    assert_eq!(found(403).unwrap_err().kind, ErrorKind::Denied, "a token server that says no is believed");
}

/// A registry whose token ends, with a refusal, at the request with this number, counted from 1. If it is not `whole`
/// blobs that it takes, they come by PATCH.
fn ending_at(number: usize, whole: bool) -> FakeRegistry {
    let (auth, seen) = (token_auth(usize::MAX), AtomicUsize::new(0));
    FakeRegistry::scripted(move |request| {
        let is_the_one = request.path != "/token" && seen.fetch_add(1, Ordering::SeqCst) + 1 == number;
        // To the script a request without the token is one with a token that has ended.
        let stripped = Request {
            headers: request.headers.iter().filter(|(name, _)| name != "authorization").cloned().collect(),
            ..request.clone()
        };
        let is_whole = request.is("PUT", "/blobs/uploads/") && request.header("content-length") != Some("0");
        let refusal = || (is_whole && !whole).then(|| Reply::status(405));
        auth(if is_the_one { &stripped } else { request }).or_else(refusal)
    })
}

/// Lets the token end at each request of a push and a pull in turn; returns at which kinds of requests it did.
fn ended_at_all(whole: bool) -> Vec<String> {
    let layer = noise(1, 300_000);
    let mut store = MemoryStore::default();
    let (one, two) = (store.image(&[&layer, b"small"]), store.image(&[b"other"]));
    let root = store.index(vec![one, two]);
    let mut ended = std::collections::BTreeSet::new();
    for number in 1.. {
        let registry = ending_at(number, whole);
        let news = News::default();
        let client = Client::new(RegistryOptions { parallel: 1, ..options() }).unwrap();
        push(&client, &registry.address(), &store, &root, &["v1"], &news).unwrap();
        let repository = client.repository(&reference(&registry.address(), "org/api:v1"), &silent);
        assert_eq!(repository.resolve(None).unwrap().digest, root.digest);
        for descriptor in store.graph(&root).blobs.iter().chain([&root]) {
            let mut got = Vec::new();
            repository.open(descriptor).unwrap().read_to_end(&mut got).unwrap();
            assert!(got == store.bytes(descriptor.digest), "{number}");
        }
        assert_eq!(news.waits().len(), 0, "renewing a token is no failure");
        let requests: Vec<_> = registry.requests().into_iter().filter(|request| request.path != "/token").collect();
        let Some(request) = requests.get(number - 1) else { break };
        let what = if request.path.contains("/manifests/") { "manifest" } else { "blob" };
        ended.insert(format!("{} {what}", request.method));
    }
    ended.into_iter().collect()
}

#[test]
fn a_token_may_end_at_any_request_of_a_push_and_of_a_pull() {
    let all = ["GET blob", "GET manifest", "HEAD blob", "HEAD manifest", "POST blob", "PUT blob", "PUT manifest"];
    assert_eq!(ended_at_all(true), all);
}

#[test]
fn a_token_may_end_at_any_request_of_a_push_in_chunks() {
    assert!(ended_at_all(false).contains(&"PATCH blob".to_owned()));
}

/// docker's `registrytoken`.
#[test]
fn a_registrys_own_token_is_shown_to_it_alone() {
    let registry = guarded(|_| Reply::status(500));
    let directory = tempfile::tempdir().unwrap();
    let credentials = Credentials::from_docker_config(Some(directory.path().to_owned()));
    for (text, is_taken) in [("good", true), ("bad", false)] {
        let token = Credential::RegistryToken { token: text.to_owned() };
        credentials.store(&registry.address(), &token).unwrap();
        let (store, root) = image();
        let client = client_as(credentials.clone());
        let pushed = push(&client, &registry.address(), &store, &root, &["v1"], &News::default());
        assert_eq!(pushed.is_ok(), is_taken, "{pushed:?}");
        assert!(!format!("{pushed:?}").contains("bad"), "{pushed:?}");
    }
    assert!(registry.requests().iter().all(|request| request.path != "/token"));
}

#[test]
fn tokens_are_read_as_go_reads_them() {
    for answer in [
        r#"{"Token": "good"}"#,
        r#"{"token": "", "access_token": "good"}"#,
        r#"{"token": null, "ACCESS_TOKEN": "good", "expires_in": null} and more"#,
    ] {
        let registry = guarded(move |_| token(answer));
        let (store, root) = image();
        let client = client_as(Credentials::none());
        push(&client, &registry.address(), &store, &root, &["v1"], &News::default()).unwrap();
    }
}
