use ocibake::error::ErrorKind;
use ocibake::oci::Descriptor;
use ocibake::progress::silent;
use ocibake::registry::{Client, Credential, Credentials, RegistryOptions};
use ocibake::store::Store;

use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::{FakeRegistry, Reply, Request, token_auth};
use crate::support::memory_store::MemoryStore;
use crate::support::registry_client::{News, basic, client, logged_in, options, push, reference, text};
use crate::support::tool;

/// base64 of `ada:s3cret`, by `printf ada:s3cret | base64`.
const ADA: &str = "Basic YWRhOnMzY3JldA==";

fn client_as(credentials: Credentials) -> Client {
    Client::new(RegistryOptions { credentials, ..options() }).unwrap()
}

fn image(layers: &[&[u8]]) -> (MemoryStore, Descriptor) {
    let mut store = MemoryStore::default();
    let root = store.image(layers);
    (store, root)
}

fn wants_basic(request: &Request) -> Option<Reply> {
    let refusal = || Reply::refusal(401, "UNAUTHORIZED", "who?").with("www-authenticate", r#"Basic realm="a, b""#);
    (request.header("authorization") != Some(ADA)).then(refusal)
}

#[test]
fn a_token_is_asked_for_once_however_many_requests_wait_for_it() {
    let registry = FakeRegistry::scripted(token_auth(usize::MAX));
    let layers: Vec<Vec<u8>> = (0..24u8).map(|number| vec![number; 100]).collect();
    let layers: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    let (store, root) = image(&layers);
    push(&client(), &registry.address(), &store, &root, &["v1"], &News::default()).unwrap();

    let tokens: Vec<_> = registry.requests().into_iter().filter(|request| request.path == "/token").collect();
    assert_eq!(tokens.len(), 1);
    assert_eq!(tokens[0].query, "service=fake%2C+really&scope=aws&scope=repository%3Aorg%2Fapi%3Apull%2Cpush");
    assert_eq!(tokens[0].header("authorization"), None);
    let unauthorised =
        registry.requests().iter().filter(|r| r.path != "/token" && r.header("authorization").is_none()).count();
    assert!((1..=8).contains(&unauthorised), "{unauthorised} of 8 parallel requests went without a token");
}

#[test]
fn a_pull_asks_for_no_more_than_pulling() {
    let registry = FakeRegistry::scripted(token_auth(usize::MAX));
    let (store, root) = image(&[b"a layer"]);
    push(&client(), &registry.address(), &store, &root, &["v1"], &News::default()).unwrap();
    let client = client();
    client.repository(&reference(&registry.address(), "org/api:v1"), &silent).resolve(None).unwrap();
    let last = registry.requests().into_iter().rfind(|request| request.path == "/token").unwrap();
    assert_eq!(last.query, "service=fake%2C+really&scope=aws&scope=repository%3Aorg%2Fapi%3Apull");
}

#[test]
fn a_token_that_expires_in_mid_push_is_renewed() {
    // An upload takes three requests and a token is good for four, so it runs out at each kind of them in turn.
    let registry = FakeRegistry::scripted(token_auth(4));
    let layers: Vec<Vec<u8>> = (0..6u8).map(|number| vec![number; 300_000]).collect();
    let layers: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    let (store, root) = image(&layers);
    let calm = Client::new(RegistryOptions { parallel: 1, ..options() }).unwrap();
    let news = News::default();
    push(&calm, &registry.address(), &store, &root, &["v1"], &news).unwrap();
    assert_eq!(news.waits().len(), 0, "renewing a token is no failure");
    assert!(registry.count("GET", "/token") >= 5);
    for layer in layers {
        assert_eq!(registry.blob(crate::support::fake_registry::digest(layer)).unwrap(), layer);
    }
    assert!(registry.manifest("org/api/v1").is_some());
}

#[test]
fn the_credential_goes_to_the_token_server_and_the_token_to_the_registry() {
    let token_server = FakeRegistry::scripted(|request| {
        assert_eq!(request.path, "/token");
        Some(Reply::Answer(200, Vec::new(), br#"{"access_token":"good"}"#.to_vec()))
    });
    let realm = format!("http://{}/token?account=x", token_server.address());
    let registry = FakeRegistry::scripted(move |request| {
        let challenge = format!(r#"Basic realm="no", BEARER Realm="{realm}",service="here""#);
        let refusal = || Reply::status(401).with("WWW-Authenticate", challenge);
        (request.header("authorization") != Some("Bearer good")).then(refusal)
    });
    let (_directory, credentials) = logged_in(&registry.address(), "ada", "s3cret");
    let (store, root) = image(&[b"a layer"]);
    push(&client_as(credentials), &registry.address(), &store, &root, &["v1"], &News::default()).unwrap();

    let asked = token_server.requests();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("authorization"), Some(ADA));
    assert_eq!(asked[0].query, "account=x&service=here&scope=repository%3Aorg%2Fapi%3Apull%2Cpush");
    let shown: Vec<_> =
        registry.requests().iter().filter_map(|r| r.header("authorization").map(str::to_owned)).collect();
    assert!(shown.iter().all(|header| header == "Bearer good"), "{shown:?}");
}

#[test]
fn an_identity_token_is_traded_in_by_post() {
    let registry = FakeRegistry::scripted(token_auth(usize::MAX));
    let directory = tempfile::tempdir().unwrap();
    let credentials = Credentials::from_docker_config(Some(directory.path().to_owned()));
    let token = Credential::IdentityToken { user: None, token: "re+fresh".to_owned() };
    credentials.store(&registry.address(), &token).unwrap();
    let (store, root) = image(&[]);
    push(&client_as(credentials), &registry.address(), &store, &root, &["v1"], &News::default()).unwrap();

    let asked = registry.requests().into_iter().find(|request| request.path == "/token").unwrap();
    assert_eq!((asked.method.as_str(), asked.query.as_str()), ("POST", ""));
    assert_eq!(asked.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(
        String::from_utf8(asked.body).unwrap(),
        "service=fake%2C+really&scope=aws+repository%3Aorg%2Fapi%3Apull%2Cpush&client_id=ocibake\
         &grant_type=refresh_token&refresh_token=re%2Bfresh"
    );
}

#[test]
fn basic_authentication_is_used_where_it_is_asked_for() {
    let registry = FakeRegistry::scripted(wants_basic);
    let (_directory, credentials) = logged_in(&registry.address(), "ada", "s3cret");
    let (store, root) = image(&[b"a layer"]);
    push(&client_as(credentials), &registry.address(), &store, &root, &["v1"], &News::default()).unwrap();
    assert!(registry.requests()[0].header("authorization").is_none(), "nothing is shown before it is asked for");
    assert!(registry.manifest("org/api/v1").is_some());
}

#[test]
fn no_credential_follows_a_redirect_or_a_location_to_another_host() {
    let stranger = FakeRegistry::scripted(|request| match request.method.as_str() {
        "PUT" => Some(Reply::status(201)),
        _ => Some(Reply::Answer(200, Vec::new(), b"a layer".to_vec())),
    });
    let elsewhere = format!("http://{}/elsewhere", stranger.address());
    let registry = FakeRegistry::scripted(move |request| {
        wants_basic(request).or_else(|| match request.method.as_str() {
            "POST" => Some(Reply::status(202).with("location", elsewhere.clone())),
            "GET" => Some(Reply::status(307).with("location", elsewhere.clone())),
            "PUT" => Some(Reply::status(201)),
            _ => None,
        })
    });
    let (_directory, credentials) = logged_in(&registry.address(), "ada", "s3cret");
    let client = client_as(credentials);
    let (store, root) = image(&[b"a layer"]);
    push(&client, &registry.address(), &store, &root, &["v1"], &News::default()).unwrap();
    let repository = client.repository(&reference(&registry.address(), "org/api"), &silent);
    let layer = Descriptor::of(ocibake::oci::media_type::LAYER, b"a layer");
    repository.open(&layer).unwrap().read_to_end(&mut Vec::new()).unwrap();

    let seen = stranger.requests();
    assert_eq!(seen.iter().filter(|request| request.method == "PUT").count(), 2);
    assert_eq!(seen.iter().filter(|request| request.method == "GET").count(), 1);
    for request in seen {
        assert_eq!(request.header("authorization"), None, "{}", request.line());
    }
}

#[test]
fn a_stranger_that_a_redirect_leads_to_gets_no_token_when_it_asks() {
    let stranger = FakeRegistry::scripted(wants_basic);
    let elsewhere = format!("http://{}/elsewhere", stranger.address());
    let registry = FakeRegistry::scripted(move |_| Some(Reply::status(307).with("location", elsewhere.clone())));
    let (_directory, credentials) = logged_in(&registry.address(), "ada", "s3cret");
    let client = client_as(credentials);
    let repository = client.repository(&reference(&registry.address(), "org/api:v1"), &silent);
    assert_eq!(repository.resolve(None).unwrap_err().kind, ErrorKind::Denied);
    assert!(!stranger.requests().is_empty());
    assert!(stranger.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[test]
fn refusals_say_what_to_do_about_them() {
    let registry = FakeRegistry::scripted(wants_basic);
    let (store, root) = image(&[]);
    let refused = |client: &Client| {
        let error = push(client, &registry.address(), &store, &root, &[], &News::default()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied);
        text(&error, &registry.address())
    };
    let message = "POST http://HOST/v2/org/api/blobs/uploads/: 401 Unauthorized: UNAUTHORIZED: who?".to_owned();
    assert_eq!(refused(&client()), (message.clone(), "log in with `ocibake login HOST`".to_owned()));
    let (_directory, credentials) = logged_in(&registry.address(), "ada", "wr0ng");
    let hint = "the credentials for ada at HOST are wrong or have expired: log in again with `ocibake login HOST`";
    assert_eq!(refused(&client_as(credentials)), (message, hint.to_owned()));
}

#[test]
fn a_token_server_that_refuses_is_named() {
    let registry = FakeRegistry::scripted(|request| match request.path.as_str() {
        "/token" => Some(Reply::Answer(401, Vec::new(), br#"{"details":"incorrect username or password"}"#.to_vec())),
        _ => token_auth(1)(request),
    });
    let error = client().check(&registry.address(), &basic("ada", "wr0ng"), &silent).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert_eq!(
        text(&error, &registry.address()),
        (
            "GET http://HOST/token: 401 Unauthorized: incorrect username or password".to_owned(),
            "check the user name and the password".to_owned()
        )
    );
}

#[test]
fn a_check_tries_the_credential_it_is_given() {
    let registry = FakeRegistry::scripted(wants_basic);
    client().check(&registry.address(), &basic("ada", "s3cret"), &silent).unwrap();
    assert_eq!(registry.requests().last().unwrap().line(), "GET /v2/");
    let error = client().check(&registry.address(), &basic("ada", "wr0ng"), &silent).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(!format!("{error:?}").contains("wr0ng"));
}

#[test]
fn an_answer_without_a_token_is_an_error() {
    let registry = FakeRegistry::scripted(|request| match request.path.as_str() {
        "/token" => Some(Reply::Answer(200, Vec::new(), br#"{"toucan":"s3cret"}"#.to_vec())),
        _ => token_auth(1)(request),
    });
    let error = client().check(&registry.address(), &basic("ada", "s3cret"), &silent).unwrap_err();
    assert_eq!(text(&error, &registry.address()).0, "GET http://HOST/token: the answer holds no token");
}

#[test]
fn a_real_registry_lets_in_the_right_password_alone() {
    if !tool::require("docker-registry") || !tool::require("htpasswd") {
        return;
    }
    let registry = DockerRegistry::with_user("ada", "s3cret");
    let (store, root) = image(&[b"a layer"]);
    let try_as = |user: &str, password: &str| {
        let (_directory, credentials) = logged_in(&registry.address(), user, password);
        push(&client_as(credentials), &registry.address(), &store, &root, &["v1"], &News::default())
    };
    try_as("ada", "s3cret").unwrap();
    assert_eq!(try_as("ada", "wr0ng").unwrap_err().kind, ErrorKind::Denied);
    client().check(&registry.address(), &basic("ada", "s3cret"), &silent).unwrap();
    let error = client().check(&registry.address(), &basic("ada", "wr0ng"), &silent).unwrap_err();
    assert_eq!(
        text(&error, &registry.address()),
        (
            "GET http://HOST/v2/: 401 Unauthorized: UNAUTHORIZED: authentication required".to_owned(),
            "check the user name and the password".to_owned()
        )
    );
}
