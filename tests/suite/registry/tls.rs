//! Whom TLS trusts: `certs.d`, the files of the environment, and what is said of certificates that are no good.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use ocibake::error::{Error, ErrorKind};
use ocibake::net::{Certificates, HttpOptions};
use ocibake::progress::silent;
use ocibake::registry::{Client, RegistryOptions};
use tempfile::TempDir;

use crate::support::authority::{Authority, Issued};
use crate::support::docker_registry::DockerRegistry;
use crate::support::memory_store::MemoryStore;
use crate::support::program::Program;
use crate::support::registry_client::{News, basic, options, push, text};
use crate::support::tool;

const OWN_ADDRESS: &str = "IP:0.0.0.0";

fn there() -> bool {
    ["docker-registry", "openssl"].into_iter().all(tool::require)
}

/// A directory like docker's `certs.d`, with one for `address` that trusts `authority`.
fn certificates_of(address: &str, authority: Option<&Authority>) -> (TempDir, PathBuf, Certificates) {
    let directory = tempfile::tempdir().unwrap();
    let own = directory.path().join(address);
    fs::create_dir(&own).unwrap();
    if let Some(authority) = authority {
        fs::copy(authority.certificate(), own.join("ca.crt")).unwrap();
    }
    let certificates = Certificates { directories: vec![directory.path().to_owned()], ..Certificates::default() };
    (directory, own, certificates)
}

fn try_push(certificates: Certificates, address: &str) -> Result<(), Error> {
    let client = Client::new(RegistryOptions { http: HttpOptions { certificates, ..options().http }, ..options() })?;
    let mut store = MemoryStore::default();
    let root = store.image(&[b"a layer"]);
    push(&client, address, &store, &root, &["v1"], &News::default())
}

/// A context with one file, and a spec that puts it into an image.
fn context() -> TempDir {
    let context = tempfile::tempdir().unwrap();
    fs::write(context.path().join("app"), "an application").unwrap();
    fs::write(context.path().join("ocibake.toml"), "[[layer]]\nadd = [{ from = \"app\", to = \"/\" }]\n").unwrap();
    context
}

#[test]
fn an_authority_in_a_registrys_directory_is_trusted_for_that_registry_alone() {
    if !there() {
        return;
    }
    let authority = Authority::new();
    let certificate = authority.issue("server", OWN_ADDRESS);
    let [one, other] = [(); 2].map(|()| DockerRegistry::with_certificate(&certificate, "", ""));
    let (_directory, _, certificates) = certificates_of(&one.other_address(), Some(&authority));
    try_push(certificates.clone(), &one.other_address()).unwrap();

    let address = other.other_address();
    let error = try_push(certificates, &address).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Registry);
    let (message, hint) = text(&error, &address);
    assert!(message.contains(": no TLS connection: invalid peer certificate: UnknownIssuer"), "{message}");
    assert_eq!(
        hint,
        "the certificate of 0.0.0.0 is not trusted: put that of the authority which signed it into \
         /etc/docker/certs.d/HOST/ca.crt or ~/.config/containers/certs.d/HOST/ca.crt, or add it to the system's, or \
         accept any with --insecure"
    );
}

#[test]
fn a_registry_on_this_machine_is_spoken_to_in_tls_if_it_has_a_directory() {
    if !there() {
        return;
    }
    let authority = Authority::new();
    let registry = DockerRegistry::with_certificate(&authority.issue("server", "IP:127.0.0.1"), "", "");
    let address = registry.address();
    let (_directory, _, certificates) = certificates_of(&address, Some(&authority));
    try_push(certificates, &address).unwrap();
    // And nothing less will do then.
    let (_directory, _, certificates) = certificates_of(&address, None);
    let (message, _) = text(&try_push(certificates, &address).unwrap_err(), &address);
    assert!(message.starts_with("HEAD https://HOST/") && message.contains("UnknownIssuer"), "{message}");
}

/// Docker's documentation tells users to make such a one.
#[test]
fn a_certificate_that_vouches_for_itself_is_trusted_where_it_is_named() {
    if !there() {
        return;
    }
    let registry = DockerRegistry::with_tls("", "");
    let address = registry.other_address();
    let (_directory, own, certificates) = certificates_of(&address, None);
    fs::copy(registry.certificate(), own.join("ca.crt")).unwrap();
    try_push(certificates.clone(), &address).unwrap();
    let roots = vec![registry.certificate()];
    try_push(Certificates { roots: roots.clone(), ..Certificates::default() }, &address).unwrap();

    // One that is for no host at all.
    let authority = Authority::new();
    let registry = DockerRegistry::with_certificate(&authority.own(), "", "");
    let address = registry.other_address();
    let (_directory, _, certificates) = certificates_of(&address, Some(&authority));
    let error = try_push(certificates, &address).unwrap_err();
    assert!(error.message.contains("not valid for name"), "{error}");
}

#[test]
fn each_fault_of_a_certificate_has_its_own_hint() {
    if !there() {
        return;
    }
    let authority = Authority::new();
    let cases: [(Issued, &str, &str); 3] = [
        (
            authority.issue_expired("expired", OWN_ADDRESS),
            "certificate expired",
            "the certificate of 0.0.0.0 has expired, so whoever runs it has to renew it; or the clock of this machine is \
             wrong",
        ),
        (
            authority.issue_early("early", OWN_ADDRESS),
            "certificate not valid yet",
            "the certificate of 0.0.0.0 is not valid yet: is the clock of this machine right?",
        ),
        (
            authority.issue("other", "DNS:registry.example"),
            "certificate not valid for name",
            "the certificate is not for 0.0.0.0: use a name that it is for, or look for what else answers at this address",
        ),
    ];
    for (certificate, fault, expected) in cases {
        let registry = DockerRegistry::with_certificate(&certificate, "", "");
        let address = registry.other_address();
        let (_directory, _, certificates) = certificates_of(&address, Some(&authority));
        let (message, hint) = text(&try_push(certificates, &address).unwrap_err(), &address);
        assert!(message.starts_with("HEAD https://HOST/v2/org/api/"), "{message}");
        assert!(message.contains(&format!(": no TLS connection: invalid peer certificate: {fault}")), "{message}");
        assert_eq!(hint, expected);
    }
}

#[test]
fn a_registry_that_wants_to_know_its_users_is_shown_their_certificate() {
    if !there() {
        return;
    }
    let authority = Authority::new();
    let tls = format!(", clientcas: [{}]", authority.certificate().display());
    let registry = DockerRegistry::with_certificate(&authority.issue("server", OWN_ADDRESS), &tls, "");
    let address = registry.other_address();
    let (_directory, own, certificates) = certificates_of(&address, Some(&authority));

    let wanted = "0.0.0.0 requires a client certificate that it trusts: put it and its key into \
                  /etc/docker/certs.d/HOST/ or ~/.config/containers/certs.d/HOST/ as client.cert and client.key";
    let (message, hint) = text(&try_push(certificates.clone(), &address).unwrap_err(), &address);
    assert!(message.contains(": no TLS connection: received fatal alert: "), "{message}");
    assert_eq!(hint, wanted);

    let stranger = Authority::new();
    stranger.issue("ada", "DNS:ada").install(&own);
    let (message, hint) = text(&try_push(certificates.clone(), &address).unwrap_err(), &address);
    assert!(message.contains("received fatal alert"), "{message}");
    assert_eq!(hint, wanted);

    authority.issue("ada", "DNS:ada").install(&own);
    try_push(certificates, &address).unwrap();
}

#[test]
fn a_users_certificate_goes_to_the_registry_alone_and_trust_in_its_authority_wherever_it_leads() {
    if !there() {
        return;
    }
    let authority = Authority::new();
    let certificate = authority.issue("server", "IP:0.0.0.0,IP:127.0.0.1");
    let tls = format!(", clientcas: [{}]", authority.certificate().display());
    let token_server = DockerRegistry::with_certificate(&certificate, &tls, "");
    let realm = format!("https://{}/token", token_server.address());
    let bundle = authority.certificate();
    let auth =
        format!("auth: {{token: {{realm: '{realm}', service: s, issuer: i, rootcertbundle: {}}}}}\n", bundle.display());
    let registry = DockerRegistry::with_certificate(&certificate, &tls, &auth);
    let address = registry.other_address();
    let (_directory, own, certificates) = certificates_of(&address, Some(&authority));
    authority.issue("ada", "DNS:ada").install(&own);
    let client =
        Client::new(RegistryOptions { http: HttpOptions { certificates, ..options().http }, ..options() }).unwrap();
    let error = client.check(&address, &basic("ada", "s3cret"), &silent).unwrap_err();
    assert!(error.message.starts_with(&format!("GET {realm}: no TLS connection: received fatal alert: ")), "{error}");
    let place = token_server.address();
    assert!(error.hint.as_ref().is_some_and(|hint| hint.contains(&format!("certs.d/{place}/"))), "{error:?}");
}

#[test]
fn files_that_are_no_good_are_named() {
    if !tool::require("openssl") {
        return;
    }
    let authority = Authority::new();
    let user = authority.issue("ada", "DNS:ada");
    let other = authority.issue("bob", "DNS:bob");
    let pem = fs::read_to_string(&user.path).unwrap();
    let damaged = pem.replacen("\nMII", "\n!!!", 1);
    let cases: [(&[(&str, &str)], &str); 6] = [
        (&[("ca.crt", "no certificate")], "DIRECTORY/ca.crt holds no certificate"),
        (&[("ca.crt", &damaged)], "DIRECTORY/ca.crt is damaged: "),
        (&[("client.cert", &pem)], "DIRECTORY/client.cert has no key beside it, DIRECTORY/client.key"),
        (&[("client.key", "")], "DIRECTORY/client.key has no certificate beside it"),
        (&[("client.cert", &pem), ("client.key", "no key")], "DIRECTORY/client.key is not a key"),
        (
            &[("client.cert", &pem), ("client.key", &fs::read_to_string(&other.key).unwrap())],
            "cannot use the certificate DIRECTORY/client.cert: ",
        ),
    ];
    let address = "0.0.0.0:1";
    for (files, expected) in cases {
        let (_directory, own, certificates) = certificates_of(address, None);
        for (name, text) in files {
            fs::write(own.join(name), text).unwrap();
        }
        let error = try_push(certificates, address).unwrap_err();
        let message = error.message.replace(own.to_str().unwrap(), "DIRECTORY");
        assert!(message.starts_with(expected), "{message}");
        assert_eq!(error.kind, ErrorKind::Input, "{message}");
        assert!(error.hint.is_some(), "{message}");
    }
}

#[test]
fn roots_take_the_place_of_the_systems() {
    if !there() {
        return;
    }
    let (authority, other) = (Authority::new(), Authority::new());
    let registry = DockerRegistry::with_certificate(&authority.issue("server", OWN_ADDRESS), "", "");
    let address = registry.other_address();
    let with_roots =
        |roots: &[PathBuf]| try_push(Certificates { roots: roots.to_vec(), ..Certificates::default() }, &address);
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("README"), "what else lies in such directories").unwrap();
    symlink(authority.certificate(), directory.path().join("0123abcd.0")).unwrap();
    symlink("gone", directory.path().join("4567abcd.0")).unwrap();
    with_roots(&[authority.certificate()]).unwrap();
    with_roots(&[directory.path().to_owned()]).unwrap();
    with_roots(&[other.certificate(), authority.certificate()]).unwrap();
    let hint = with_roots(&[other.certificate()]).unwrap_err().hint.unwrap();
    assert!(hint.starts_with("the certificate of 0.0.0.0 is not trusted: "), "{hint}");

    let missing = directory.path().join("missing");
    let error = with_roots(std::slice::from_ref(&missing)).unwrap_err();
    assert_eq!(error.message, format!("cannot read {}", missing.display()));
    let readme = directory.path().join("README");
    let error = with_roots(std::slice::from_ref(&readme)).unwrap_err();
    assert_eq!(error.message, format!("{} holds no certificate", readme.display()));
}

#[test]
fn the_program_finds_certificates_where_docker_and_podman_do() {
    if !there() {
        return;
    }
    let (authority, context) = (Authority::new(), context());
    let registry = DockerRegistry::with_certificate(&authority.issue("server", OWN_ADDRESS), "", "");
    let address = registry.other_address();
    let name = format!("{address}/org/api:v1.0.0");
    let pushes = |program: &Program| program.run(["push", &name, context.path().to_str().unwrap()]);
    pushes(&Program::new()).failure(1).says(&["UnknownIssuer", &format!("/etc/docker/certs.d/{address}/ca.crt")]);

    for place in ["containers", "docker"] {
        let program = Program::new();
        let own = program.home().join(".config").join(place).join("certs.d").join(&address);
        fs::create_dir_all(&own).unwrap();
        fs::copy(authority.certificate(), own.join("ca.crt")).unwrap();
        pushes(&program).success();
        if place == "containers" && tool::require("skopeo") {
            assert_eq!(skopeo_digest(&program, &name), digest_of(&program, &name));
        }
    }
    let program = Program::new().environment("SSL_CERT_FILE", authority.certificate());
    pushes(&program).success();
    let directory = tempfile::tempdir().unwrap();
    fs::copy(authority.certificate(), directory.path().join("own.pem")).unwrap();
    let list = format!("/nonexistent-but-first:{}", directory.path().display());
    let program = Program::new().environment("SSL_CERT_DIR", &list);
    pushes(&program).failure(1).says(&["cannot read /nonexistent-but-first"]);
    let program = Program::new().environment("SSL_CERT_DIR", directory.path());
    pushes(&program).success();
}

/// The digest that `ocibake inspect` tells.
fn digest_of(program: &Program, name: &str) -> String {
    let outcome = program.run(["inspect", "--json", name]).success();
    let report: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    report["digest"].as_str().unwrap().to_owned()
}

/// What skopeo, in the program's home, finds under that name.
fn skopeo_digest(program: &Program, name: &str) -> String {
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["inspect", "--raw", &format!("docker://{name}")]).env_clear().env("HOME", program.home());
    skopeo.env("PATH", std::env::var_os("PATH").unwrap()).env("XDG_RUNTIME_DIR", Path::new("/nonexistent"));
    crate::support::fake_registry::digest(tool::checked(&mut skopeo).as_bytes())
}
