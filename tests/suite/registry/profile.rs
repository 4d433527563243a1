//! What holds for every registry there is, and what each of them is known for.

use std::io::Read;

use ocibake::error::ErrorKind;
use ocibake::oci::Descriptor;
use ocibake::progress::silent;
use ocibake::registry::{Client, Credentials, RegistryOptions};
use ocibake::store::Store;

use crate::support::memory_store::MemoryStore;
use crate::support::noise::noise;
use crate::support::registry_client::{News, options, push, reference, text};
use crate::support::registry_profile::{ACR_STATE, Profile, acr, all, artifactory, ecr, ghcr, gitlab};

fn client(profile: &Profile) -> (tempfile::TempDir, Client) {
    let directory = tempfile::tempdir().unwrap();
    let credentials = Credentials::from_docker_config(Some(directory.path().to_owned()));
    credentials.store(&profile.registry.address(), &profile.credential).unwrap();
    // One after the other: which request meets the end of a token is then no matter of chance.
    let client = Client::new(RegistryOptions { credentials, parallel: 1, ..options() }).unwrap();
    (directory, client)
}

fn two_platforms() -> (MemoryStore, Descriptor) {
    let mut store = MemoryStore::default();
    let (one, two) = (store.image(&[&noise(1, 300_000), b"shared"]), store.image(&[b"shared", b"other"]));
    let root = store.index(vec![one, two]);
    (store, root)
}

/// Pushes what `two_platforms` gives and reads all of it back; nothing may have to be tried again.
fn there_and_back(profile: &Profile) {
    let name = profile.name;
    let (_directory, client) = client(profile);
    let (store, root) = two_platforms();
    let (address, news) = (profile.registry.address(), News::default());
    push(&client, &address, &store, &root, &["v1", "latest"], &news)
        .unwrap_or_else(|error| panic!("{name}: {error:?}"));
    let repository = client.repository(&reference(&address, "org/api:v1"), &silent);
    let failed = |error| panic!("{name}: {error:?}");
    assert_eq!(repository.resolve(None).unwrap_or_else(failed).digest, root.digest, "{name}");
    assert_eq!(repository.find("latest").unwrap().unwrap().digest, root.digest, "{name}");
    let graph = store.graph(&root);
    for descriptor in graph.blobs.iter().chain(graph.manifests.iter().map(|(manifest, _)| manifest)) {
        let mut got = Vec::new();
        repository.open(descriptor).unwrap_or_else(|error| panic!("{name}: {error:?}")).read_to_end(&mut got).unwrap();
        assert!(got == store.bytes(descriptor.digest), "{name}");
    }
    let uploads = profile.registry.count("PUT", "/blobs/");
    push(&client, &address, &store, &root, &["v2"], &news).unwrap();
    assert_eq!(profile.registry.count("PUT", "/blobs/"), uploads, "{name}: what is there is not sent again");
    assert_eq!(news.waits().len(), 0, "{name}: {:?}", news.lines());
}

#[test]
fn an_image_goes_to_every_registry_and_comes_back_as_it_was() {
    for profile in all() {
        there_and_back(&profile);
    }
}

#[test]
fn github_asks_for_too_little_and_is_asked_for_what_is_needed() {
    let profile = ghcr();
    there_and_back(&profile);
    let asked: Vec<_> = profile.registry.requests().into_iter().filter(|request| request.path == "/token").collect();
    let scopes = "service=ghcr.io&scope=repository%3Auser%2Fimage%3Apull&scope=repository%3Aorg%2Fapi%3Apull";
    assert_eq!(asked.iter().map(|r| r.query.as_str()).collect::<Vec<_>>(), [&format!("{scopes}%2Cpush"), scopes]);
}

#[test]
fn amazon_says_that_a_repository_has_to_be_made_and_that_a_login_is_over() {
    let profile = ecr();
    let (_directory, client) = client(&profile);
    let (store, root) = two_platforms();
    let address = profile.registry.address();
    let repository = client.repository(&reference(&address, "org/unknown"), &silent);
    let error = repository.upload(&store.graph(&root), &store).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert_eq!(
        text(&error, &address),
        (
            "POST http://HOST/v2/org/unknown/blobs/uploads/: 404 Not Found: NAME_UNKNOWN: The repository with name \
             'org/unknown' does not exist in the registry with id '1'"
                .to_owned(),
            "check the name org/unknown: some registries want a repository to be created before the first push"
                .to_owned()
        )
    );
    assert_eq!(repository.find("v1").unwrap(), None);
    assert!(profile.registry.requests().iter().all(|request| request.path != "/token"), "there is no token server");
}

#[test]
fn azure_gets_the_state_of_an_upload_back_as_it_was_and_is_shown_the_identity_token_alone() {
    let profile = acr();
    there_and_back(&profile);
    let requests = profile.registry.requests();
    let puts: Vec<_> = requests.iter().filter(|request| request.is("PUT", "/blobs/uploads/")).collect();
    assert!(!puts.is_empty());
    for put in puts {
        let rest = put.query.strip_prefix(ACR_STATE).unwrap();
        assert!(rest.contains("&digest=sha256%3A"), "{rest}");
    }
    let traded: Vec<_> = requests.iter().filter(|request| request.path == "/oauth2/token").collect();
    for request in &traded {
        let form = String::from_utf8_lossy(&request.body);
        assert!(form.contains("grant_type=refresh_token") && form.ends_with("refresh_token=re%2Bfresh"), "{form}");
    }
    assert!(traded.iter().all(|request| request.method == "POST" && request.header("authorization").is_none()));
}

#[test]
fn artifactory_forbids_what_is_not_there_and_is_pushed_to_all_the_same() {
    let profile = artifactory();
    there_and_back(&profile);
    let (_directory, client) = client(&profile);
    let repository = client.repository(&reference(&profile.registry.address(), "org/api"), &silent);
    // To take a 403 for an absent tag could let a tag be moved that is there and not shown.
    let error = repository.find("v9").unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    let message = "GET http://HOST/v2/org/api/manifests/v9: 403 Forbidden: UNAUTHORIZED: The client does not have \
                   permission for manifest";
    assert_eq!(text(&error, &profile.registry.address()).0, message);
}

#[test]
fn gitlabs_tokens_run_out_in_the_middle_and_nobody_notices() {
    let profile = gitlab();
    there_and_back(&profile);
    let refused = profile.registry.count("GET", "/jwt/auth");
    assert!(refused > 5, "a token is good for three requests: {refused}");
    assert_eq!(profile.registry.count("POST", "/jwt/auth"), 0);
}

#[test]
fn storage_is_never_shown_what_is_meant_for_the_registry() {
    for profile in all() {
        there_and_back(&profile);
        let requests = profile.registry.requests();
        let at_storage = |r: &&crate::support::fake_registry::Request| r.header("host").unwrap().starts_with("0.0.0.0");
        assert!(requests.iter().filter(at_storage).all(|r| r.header("authorization").is_none()), "{}", profile.name);
    }
}
