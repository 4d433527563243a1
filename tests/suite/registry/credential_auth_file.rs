//! podman's `auth.json` beside docker's `config.json`, and credentials for parts of a registry.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ocibake::progress::silent;
use ocibake::registry::{Client, Credential, Credentials, RegistryOptions};
use ocibake::store::Store;
use serde_json::json;
use tempfile::TempDir;

use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::{FakeRegistry, Reply};
use crate::support::program::Program;
use crate::support::registry_client::{basic, options, reference};
use crate::support::tool;

/// `printf 'ada:s3cret' | base64`, and the same for bob and eve.
const ADA: &str = "YWRhOnMzY3JldA==";
const BOB: &str = "Ym9iOnMzY3JldA==";
const EVE: &str = "ZXZlOnMzY3JldA==";

/// A directory with these files, of which `config.json` is docker's and the others podman's, in their order.
fn with_files(files: &[(&str, serde_json::Value)]) -> (TempDir, Credentials) {
    let directory = tempfile::tempdir().unwrap();
    for (name, document) in files {
        fs::write(directory.path().join(name), document.to_string()).unwrap();
    }
    let names = files.iter().map(|(name, _)| *name).filter(|name| *name != "config.json");
    let paths: Vec<PathBuf> = names.map(|name| directory.path().join(name)).collect();
    let credentials = Credentials::from_docker_config(Some(directory.path().to_owned())).with_auth_files(paths);
    (directory, credentials)
}

/// The user for that repository.
fn user(credentials: &Credentials, registry: &str, repository: &str) -> Option<String> {
    let keyring = credentials.find(registry).unwrap();
    keyring.credential(Some(repository)).map(|credential| credential.user().to_owned())
}

/// The order of the lookups is that of containers-auth.json(5).
#[test]
fn the_longest_path_wins_and_ends_at_a_slash() {
    let (_directory, credentials) = with_files(&[(
        "auth.json",
        json!({"auths": {
            "registry.example/foo/bar/image": {"auth": ADA},
            "registry.example/foo": {"auth": BOB},
            "registry.example": {"auth": EVE},
            "other.example/foo/": {"auth": ADA},
            "https://old.example/v1/": {"auth": BOB},
        }}),
    )]);
    let user = |registry: &str, repository: &str| user(&credentials, registry, repository);
    assert_eq!(user("registry.example", "foo/bar/image").as_deref(), Some("ada"));
    assert_eq!(user("registry.example", "foo/bar/image/below").as_deref(), Some("ada"));
    assert_eq!(user("registry.example", "foo/bar/images").as_deref(), Some("bob"));
    assert_eq!(user("registry.example", "foo").as_deref(), Some("bob"));
    assert_eq!(user("registry.example", "foobar").as_deref(), Some("eve"));
    assert_eq!(user("other.example", "foo/bar").as_deref(), Some("ada"));
    assert_eq!(user("other.example", "bar"), None);
    assert_eq!(user("old.example", "foo/bar").as_deref(), Some("bob"));
    assert_eq!(credentials.find("other.example").unwrap().credential(None), None);
}

#[test]
fn dockers_file_is_asked_first_and_podmans_in_their_order() {
    let (_directory, credentials) = with_files(&[
        (
            "config.json",
            json!({"auths": {"a.example": {"auth": ADA}, "c.example/org": {"auth": ADA}, "d.example": {}}}),
        ),
        ("one.json", json!({"auths": {"a.example/org": {"auth": BOB}, "b.example": {"auth": BOB}}})),
        ("missing.json", json!({})),
        (
            "two.json",
            json!({"auths": {"b.example": {"auth": EVE}, "c.example": {"auth": EVE}, "d.example": {"auth": EVE}}}),
        ),
    ]);
    let user = |registry: &str, repository: &str| user(&credentials, registry, repository);
    assert_eq!(user("a.example", "org/api").as_deref(), Some("ada"));
    assert_eq!(user("b.example", "org/api").as_deref(), Some("bob"));
    assert_eq!(user("c.example", "org/api").as_deref(), Some("ada"));
    assert_eq!(user("c.example", "other/api").as_deref(), Some("eve"));
    assert_eq!(user("d.example", "org/api").as_deref(), Some("eve"));
}

#[test]
fn a_login_and_a_logout_touch_dockers_file_alone() {
    let podmans = json!({"auths": {"a.example": {"auth": BOB}}});
    let (directory, credentials) = with_files(&[
        ("config.json", json!({"auths": {"a.example/org": {"auth": EVE}}})),
        ("auth.json", podmans.clone()),
    ]);
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(directory.path().join(name)).unwrap()).unwrap()
    };
    credentials.store("a.example", &basic("ada", "s3cret")).unwrap();
    let both = json!({"auths": {"a.example": {"auth": ADA}, "a.example/org": {"auth": EVE}}});
    assert_eq!(read("config.json"), both);
    assert_eq!(user(&credentials, "a.example", "org/api").as_deref(), Some("eve"));
    assert!(credentials.erase("a.example").unwrap());
    assert_eq!(read("config.json"), json!({"auths": {}}));
    assert_eq!(read("auth.json"), podmans);
}

#[test]
fn a_broken_file_is_named() {
    let (directory, credentials) = with_files(&[("auth.json", json!({}))]);
    let path = directory.path().join("auth.json");
    fs::write(&path, "{\n\"auths\": s3cret }").unwrap();
    let error = credentials.find("a.example").unwrap_err();
    assert_eq!(error.message, format!("{}:2:10: not a JSON object", path.display()));
}

/// podman hands the registry's own name to a helper, and docker a URL for Docker Hub.
#[test]
fn a_helper_that_podmans_file_names_is_asked_by_the_registrys_name() {
    let (directory, credentials) = with_files(&[("auth.json", json!({"credHelpers": {"docker.io": "test"}}))]);
    let source = directory.path().join("source");
    let script = "#!/bin/sh\nread -r server\nprintf '{\"Username\": \"%s\", \"Secret\": \"x\"}' \"$1 $server\"\n";
    fs::write(&source, script).unwrap();
    tool::install(&source, &directory.path().join("docker-credential-test"));
    let credentials = credentials.with_search_path(format!("{}:/usr/bin:/bin", directory.path().display()));
    assert_eq!(user(&credentials, "docker.io", "org/api").as_deref(), Some("get docker.io"));
    assert_eq!(user(&credentials, "a.example", "org/api"), None);
}

#[test]
fn each_repository_is_asked_for_as_its_own_user() {
    let registry = FakeRegistry::scripted(|request| {
        let challenge = || Reply::refusal(401, "UNAUTHORIZED", "who?").with("www-authenticate", "Basic realm=\"x\"");
        request.header("authorization").is_none().then(challenge)
    });
    let address = registry.address();
    let auths = json!({"auths": {format!("{address}/ada"): {"auth": ADA}, format!("{address}/bob"): {"auth": BOB}}});
    let (_directory, credentials) = with_files(&[("auth.json", auths)]);
    let client = Client::new(RegistryOptions { credentials, ..options() }).unwrap();
    for name in ["ada/api", "bob/api", "eve/api"] {
        client.repository(&reference(&address, name), &silent).resolve(Some("v1")).unwrap_err();
    }
    let shown = |name: &str| {
        let requests = registry.requests().into_iter().filter(|request| request.path.contains(name));
        let mut shown: Vec<String> =
            requests.filter_map(|request| request.header("authorization").map(str::to_owned)).collect();
        shown.dedup();
        shown
    };
    assert_eq!(shown("ada/api"), [format!("Basic {ADA}")]);
    assert_eq!(shown("bob/api"), [format!("Basic {BOB}")]);
    assert_eq!(shown("eve/api"), [""; 0]);
}

#[test]
fn the_program_finds_what_skopeo_has_logged_in_to() {
    if !["docker-registry", "htpasswd", "skopeo"].into_iter().all(tool::require) {
        return;
    }
    let registry = DockerRegistry::with_user("ada", "s3cret");
    let address = registry.address();
    let login = |file: &Path| {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["login", "--tls-verify=false", "-u", "ada", "-p", "s3cret", "--authfile"]).arg(file).arg(&address);
        tool::checked(&mut skopeo);
    };
    // Nothing is there; the user is let in, or is not.
    let inspect = |program: &Program, said: &str| {
        program.run(["inspect", &format!("{address}/org/api:v1")]).failure(1).says(&[said]);
    };
    inspect(&Program::new(), "401");

    let program = Program::new();
    login(&program.home().join(".config/containers/auth.json"));
    inspect(&program, "404");
    inspect(&program.environment("XDG_CONFIG_HOME", "/nonexistent"), "401");

    let program = Program::new();
    login(&program.home().join("run/containers/auth.json"));
    let runtime = program.home().join("run");
    inspect(&program.environment("XDG_RUNTIME_DIR", runtime), "404");

    let program = Program::new();
    let named = program.home().join("own.json");
    login(&named);
    inspect(&program.environment("REGISTRY_AUTH_FILE", named), "404");
    let program = Program::new().environment("REGISTRY_AUTH_FILE", "/nonexistent/auth.json");
    login(&program.home().join(".config/containers/auth.json"));
    inspect(&program, "401");
}

#[test]
fn debug_shows_no_secret_of_a_keyring() {
    let (_directory, credentials) = with_files(&[("auth.json", json!({"auths": {"a.example": {"auth": ADA}}}))]);
    let keyring = credentials.find("a.example").unwrap();
    assert!(matches!(keyring.credential(None), Some(Credential::Basic { password, .. }) if password == "s3cret"));
    assert!(!format!("{keyring:?}").contains("s3cret"));
}
