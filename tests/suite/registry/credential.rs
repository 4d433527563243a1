use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use ocibake::error::ErrorKind;
use ocibake::registry::{Credential, Credentials, Keeper};
use serde_json::{Value, json};

use crate::support::registry_client::basic;
use crate::support::tool;

/// Credentials over a directory with this `config.json`.
fn with_config(text: &str) -> (tempfile::TempDir, Credentials) {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("config.json"), text).unwrap();
    let credentials = Credentials::from_docker_config(Some(directory.path().to_owned()));
    (directory, credentials)
}

/// The credential for all of a registry.
fn find_whole(credentials: &Credentials, registry: &str) -> Option<Credential> {
    credentials.find(registry).unwrap().credential(None).cloned()
}

fn config(directory: &Path) -> Value {
    serde_json::from_slice(&fs::read(directory.join("config.json")).unwrap()).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// A helper that keeps what it is told in files beside it, as the helpers' protocol has it.
const HELPER: &str = r#"#!/bin/sh
here=$(dirname "$0")
case $1 in
store)
    cat > "$here/kept" ;;
get)
    read -r server
    echo "$server" >> "$here/asked"
    if [ -e "$here/kept" ]; then cat "$here/kept"
    elif [ "$server" = broken.example ]; then echo "s3cret on stdout"; echo "s3cret on stderr" >&2; exit 1
    else echo "credentials not found in native keychain"; exit 1
    fi ;;
erase)
    read -r server
    rm "$here/kept" ;;
esac
"#;

fn with_helper(config: &str) -> (tempfile::TempDir, Credentials) {
    let (directory, credentials) = with_config(config);
    let program = directory.path().join("docker-credential-test");
    let source = directory.path().join("source");
    fs::write(&source, HELPER).unwrap();
    tool::install(&source, &program);
    let search_path = format!("{}:/usr/bin:/bin", directory.path().display());
    (directory, credentials.with_search_path(search_path))
}

/// The base64 texts come from `printf … | base64`.
#[test]
fn every_form_of_an_entry_is_read() {
    let (_directory, credentials) = with_config(
        r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "aHViOnNlY3JldDp3aXRoOmNvbG9ucw=="},
            "localhost:5000": {"auth": "YWRhOnMzY3JldA=="},
            "https://old.example/v1/": {"username": "ada", "password": "s3cret"},
            "token.example": {"auth": "YWRhOg==", "identitytoken": "t0ken"},
            "helped.example": {},
            "path.example/some/path": {"auth": "YWRhOnMzY3JldA=="}
        }}"#,
    );
    let find = |registry: &str| find_whole(&credentials, registry);
    let ada = Some(basic("ada", "s3cret"));
    assert_eq!(find("docker.io"), Some(basic("hub", "secret:with:colons")));
    assert_eq!(find("localhost:5000"), ada);
    assert_eq!(find("old.example"), ada);
    let token = Credential::IdentityToken { user: Some("ada".to_owned()), token: "t0ken".to_owned() };
    assert_eq!(find("token.example"), Some(token));
    assert_eq!(find("helped.example"), None);
    assert_eq!(find("localhost"), None);
    assert_eq!(find("5000"), None);
}

#[test]
fn no_directory_and_no_file_hold_no_credentials() {
    assert_eq!(find_whole(&Credentials::none(), "docker.io"), None);
    let directory = tempfile::tempdir().unwrap();
    let nowhere = Credentials::from_docker_config(Some(directory.path().join("missing")));
    assert_eq!(find_whole(&nowhere, "docker.io"), None);
    assert!(!nowhere.erase("docker.io").unwrap());
    assert!(!directory.path().join("missing").exists());
    assert_eq!(Credentials::none().store("a.example", &basic("a", "b")).unwrap_err().kind, ErrorKind::Input);
}

#[test]
fn a_broken_file_is_named_and_its_text_is_not_shown() {
    let (directory, credentials) = with_config("{\n  \"auths\": s3cret }");
    let error = credentials.find("a.example").unwrap_err();
    let path = directory.path().join("config.json");
    assert_eq!(error.message, format!("{}:2:12: not a JSON object", path.display()));

    let (directory, credentials) = with_config(r#"{"auths": {"a.example": {"auth": "s3cret!"}}}"#);
    let error = credentials.find("a.example").unwrap_err();
    let path = directory.path().join("config.json");
    assert_eq!(error.message, format!("{}: the `auth` of `a.example` is not base64 of user:password", path.display()));
    assert!(!format!("{error:?}").contains("s3cret"));
}

#[test]
fn storing_keeps_what_else_the_file_holds_and_hides_it_from_others() {
    let (directory, credentials) = with_config(
        r#"{"proxies": {"default": {"httpProxy": "http://p"}}, "detachKeys": "ctrl-e",
            "auths": {"other.example": {"auth": "eDp5"}, "https://a.example/v1/": {"auth": "b2xkOm9sZA=="}}}"#,
    );
    let path = directory.path().join("config.json");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(credentials.store("a.example", &basic("ada", "s3cret")).unwrap(), Keeper::File(path.clone()));

    assert_eq!(
        config(directory.path()),
        json!({
            "proxies": {"default": {"httpProxy": "http://p"}},
            "detachKeys": "ctrl-e",
            "auths": {"other.example": {"auth": "eDp5"}, "a.example": {"auth": "YWRhOnMzY3JldA=="}},
        })
    );
    assert_eq!(mode(&path), 0o600);
    assert_eq!(find_whole(&credentials, "a.example"), Some(basic("ada", "s3cret")));
    let files = fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(files, 1, "no temporary file is left");

    assert!(credentials.erase("a.example").unwrap());
    assert!(!credentials.erase("a.example").unwrap());
    assert_eq!(find_whole(&credentials, "a.example"), None);
    assert_eq!(config(directory.path())["auths"], json!({"other.example": {"auth": "eDp5"}}));
    assert_eq!(config(directory.path())["detachKeys"], "ctrl-e");
}

#[test]
fn a_new_directory_is_for_its_owner_alone() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("home/.docker");
    let credentials = Credentials::from_docker_config(Some(directory.clone()));
    credentials.store("docker.io", &basic("ada", "s3cret")).unwrap();
    assert_eq!(mode(&directory), 0o700);
    assert_eq!(mode(&directory.join("config.json")), 0o600);
    assert_eq!(config(&directory), json!({"auths": {"https://index.docker.io/v1/": {"auth": "YWRhOnMzY3JldA=="}}}));
}

#[test]
fn a_config_that_is_a_link_stays_one() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("settings.json");
    fs::write(&target, "{}").unwrap();
    let docker = directory.path().join("docker");
    fs::create_dir(&docker).unwrap();
    symlink(&target, docker.join("config.json")).unwrap();
    let credentials = Credentials::from_docker_config(Some(docker.clone()));
    credentials.store("a.example", &basic("ada", "s3cret")).unwrap();
    assert!(fs::symlink_metadata(docker.join("config.json")).unwrap().is_symlink());
    assert!(fs::read_to_string(target).unwrap().contains("YWRhOnMzY3JldA=="));
}

#[test]
fn a_helper_is_given_and_asked_for_credentials() {
    let (directory, credentials) = with_helper(r#"{"credsStore": "test"}"#);
    let kept = credentials.store("docker.io", &basic("ada", "s3cret")).unwrap();
    assert_eq!(kept, Keeper::Helper("docker-credential-test".to_owned()));
    let told: Value = serde_json::from_slice(&fs::read(directory.path().join("kept")).unwrap()).unwrap();
    let wanted = json!({"ServerURL": "https://index.docker.io/v1/", "Username": "ada", "Secret": "s3cret"});
    assert_eq!(told, wanted);
    assert_eq!(config(directory.path()), json!({"credsStore": "test"}), "nothing goes into the file");

    assert_eq!(find_whole(&credentials, "docker.io"), Some(basic("ada", "s3cret")));
    assert_eq!(fs::read_to_string(directory.path().join("asked")).unwrap(), "https://index.docker.io/v1/\n");
    assert!(credentials.erase("docker.io").unwrap());
    assert_eq!(find_whole(&credentials, "docker.io"), None);
    assert!(!credentials.erase("docker.io").unwrap());
}

#[test]
fn a_helpers_identity_token_is_one() {
    let (_directory, credentials) = with_helper(r#"{"credsStore": "test"}"#);
    let token = Credential::IdentityToken { user: None, token: "t0ken".to_owned() };
    credentials.store("a.example", &token).unwrap();
    assert_eq!(find_whole(&credentials, "a.example"), Some(token));
}

#[test]
fn a_helper_for_one_registry_goes_before_the_one_for_all() {
    let (directory, credentials) = with_helper(r#"{"credsStore": "missing", "credHelpers": {"a.example": "test"}}"#);
    credentials.store("a.example", &basic("ada", "s3cret")).unwrap();
    assert!(directory.path().join("kept").exists());
    let error = credentials.find("b.example").unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::NotFound, "cannot find docker-credential-missing"));
}

#[test]
fn a_helper_that_has_nothing_leaves_it_to_the_file() {
    let (_directory, credentials) =
        with_helper(r#"{"credsStore": "test", "auths": {"a.example": {"auth": "YWRhOnMzY3JldA=="}}}"#);
    assert_eq!(find_whole(&credentials, "a.example"), Some(basic("ada", "s3cret")));
}

#[test]
fn a_failing_helper_says_why_on_standard_error_alone() {
    let (_directory, credentials) = with_helper(r#"{"credsStore": "test"}"#);
    let error = credentials.find("broken.example").unwrap_err();
    assert_eq!(error.message, "docker-credential-test get: s3cret on stderr");
    assert!(!format!("{error:?}").contains("on stdout"));
}

/// Each is what docker takes, whose files and helpers people write by hand. The base64 text is that of `printf ada:s3cret`.
#[test]
fn what_go_reads_is_read() {
    let ada = Some(basic("ada", "s3cret"));
    for text in [
        r#"{"auths": {"any.example": {"auth": "YWRh\nOnMzY3Jl\r\ndA==\n"}}}"#,
        r#"{"Auths": {"any.example": {"AUTH": "YWRhOnMzY3JldA=="}}} and more"#,
        r#"{"auths": {"any.example": {"auth": null, "Username": "ada", "Password": "s3cret"}}, "credHelpers": null}"#,
    ] {
        assert_eq!(find_whole(&with_config(text).1, "any.example"), ada, "{text}");
    }
    for text in ["", "\n", "null", r#"{"auths": null}"#, r#"{"auths": {"any.example": null}}"#] {
        let (directory, credentials) = with_config(text);
        assert_eq!(find_whole(&credentials, "any.example"), None, "{text:?}");
        credentials.store("any.example", &basic("ada", "s3cret")).unwrap();
        assert_eq!(config(directory.path())["auths"]["any.example"]["auth"], "YWRhOnMzY3JldA==", "{text:?}");
    }
    let (directory, credentials) = with_config(r#"{"AUTHS": {"other.example": {"auth": "YWRhOnMzY3JldA=="}}}"#);
    credentials.store("any.example", &basic("ada", "s3cret")).unwrap();
    assert_eq!(config(directory.path())["AUTHS"].as_object().unwrap().len(), 2);
    let (_directory, credentials) =
        with_config(r#"{"auths": {"any.example": {"auth": "YTpi", "registrytoken": "t0ken"}}}"#);
    assert_eq!(find_whole(&credentials, "any.example"), Some(Credential::RegistryToken { token: "t0ken".to_owned() }));
}

#[test]
fn answers_of_helpers_are_read_as_go_reads_them() {
    let (directory, credentials) = with_helper(r#"{"CREDSSTORE": "test"}"#);
    for (answer, expected) in [
        (r#"{"ServerURL": "x", "username": "ada", "SECRET": "s3cret"} done"#, Some(basic("ada", "s3cret"))),
        ("{}", None),
        (r#"{"Username": null, "Secret": null}"#, None),
    ] {
        fs::write(directory.path().join("kept"), answer).unwrap();
        assert_eq!(find_whole(&credentials, "any.example"), expected, "{answer}");
    }
    for answer in ["done", "[]", r#"{"Username": "#] {
        fs::write(directory.path().join("kept"), answer).unwrap();
        assert!(credentials.find("any.example").unwrap_err().message.contains("is not a credential"), "{answer}");
    }
}

#[test]
fn debug_shows_no_secret() {
    let token = Credential::IdentityToken { user: None, token: "s3cret".to_owned() };
    assert_eq!(format!("{:?}", basic("ada", "s3cret")), r#"Basic { user: "ada", .. }"#);
    assert_eq!(format!("{token:?}"), r#"IdentityToken { user: "<token>", .. }"#);
}
