//! `registries.conf`: mirrors, other places of registries, and which are insecure or blocked.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use ocibake::error::{Error, ErrorKind};
use ocibake::oci::{Descriptor, Reference};
use ocibake::progress::{Event, silent};
use ocibake::registry::{Client, Credentials, RegistriesConf, RegistryOptions};
use ocibake::store::{Graph, Store};
use tempfile::TempDir;

use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::{FakeRegistry, Reply, Request, digest};
use crate::support::memory_store::MemoryStore;
use crate::support::port::Port;
use crate::support::program::Program;
use crate::support::registry_client::{News, basic, client, options, push};
use crate::support::tool;

/// A client with this `registries.conf`.
fn configured(text: &str) -> (TempDir, Result<Client, Error>) {
    configured_with(text, Credentials::none())
}

fn configured_with(text: &str, credentials: Credentials) -> (TempDir, Result<Client, Error>) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("registries.conf");
    fs::write(&file, text).unwrap();
    let registries = RegistriesConf { file: Some(file), directories: Vec::new() };
    (directory, Client::new(RegistryOptions { registries, credentials, ..options() }))
}

/// `[[registry]]` at that place, with these mirrors.
fn mirrored(registry: &str, mirrors: &[&str]) -> String {
    let mirrors: Vec<String> =
        mirrors.iter().map(|mirror| format!("[[registry.mirror]]\nlocation = \"{mirror}\"\n")).collect();
    format!("[[registry]]\nlocation = \"{registry}\"\n{}", mirrors.concat())
}

/// A registry with an image of two layers, and what it follows.
fn with_image(script: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> (FakeRegistry, Descriptor) {
    let registry = FakeRegistry::scripted(script);
    let mut store = MemoryStore::default();
    let root = store.image(&[b"a layer", b"another"]);
    push(&client(), &registry.address(), &store, &root, &["v1"], &News::default()).unwrap();
    (registry, root)
}

/// Pulls all of an image; its digest, and the warnings.
fn pull(client: &Client, name: &str) -> (Result<String, Error>, Vec<String>) {
    let warnings = Mutex::new(Vec::new());
    let hear = |event: Event<'_>| {
        if let Event::Warning { message, .. } = event {
            warnings.lock().unwrap().push(message.to_owned());
        }
    };
    let read = || {
        let reference: Reference = name.parse()?;
        let repository = client.mirrored(&reference, &hear)?;
        let root = repository.resolve(None)?;
        for blob in &Graph::of(&repository, &root)?.blobs {
            let read = repository.open(blob)?.read_to_end(&mut Vec::new());
            read.map_err(|source| Error::from_read("read", "a blob", source))?;
        }
        Ok(root.digest.to_string())
    };
    let outcome = read();
    (outcome, warnings.into_inner().unwrap())
}

#[test]
fn a_pull_takes_everything_from_the_mirror_and_a_push_nothing() {
    let (mirror, root) = with_image(|_| None);
    let registry = FakeRegistry::new();
    let (_directory, client) = configured(&mirrored(&registry.address(), &[&mirror.address()]));
    let client = client.unwrap();
    let (outcome, warnings) = pull(&client, &format!("{}/org/api:v1", registry.address()));
    assert_eq!((outcome.unwrap(), warnings), (root.digest.to_string(), vec![]));
    assert_eq!(registry.requests().len(), 0);

    let before = mirror.requests().len();
    let mut store = MemoryStore::default();
    let root = store.image(&[b"a new layer"]);
    push(&client, &registry.address(), &store, &root, &["v2"], &News::default()).unwrap();
    assert!(registry.manifest("org/api/v2").is_some());
    assert_eq!(mirror.requests().len(), before);
}

#[test]
fn mirrors_are_asked_in_their_order_once_and_the_registry_at_the_end() {
    let (registry, root) = with_image(|_| None);
    let empty = FakeRegistry::new();
    let (forbidden, _) = with_image(|request| {
        let is_asked = request.method != "PUT" && request.path.contains("/manifests/");
        is_asked.then(|| Reply::refusal(403, "DENIED", "not yours"))
    });
    let layer = digest(b"another");
    let (partial, _) = with_image(move |request| request.is("GET", &layer).then(|| Reply::status(404)));
    let gone = Port::new();
    let mirrors = [gone.to_string(), empty.address(), forbidden.address(), partial.address()];
    let mirrors = mirrors.each_ref().map(String::as_str);
    let (_directory, client) = configured(&mirrored(&registry.address(), &mirrors));
    let before = registry.requests().len();
    let (outcome, warnings) = pull(&client.unwrap(), &format!("{}/org/api:v1", registry.address()));
    assert_eq!(outcome.unwrap(), root.digest.to_string());

    assert_eq!(warnings.len(), 2, "who lacks an image is not worth a word: {warnings:?}");
    assert!(warnings[0].starts_with(&format!("the mirror {gone}/org/api is left out: HEAD ")), "{warnings:?}");
    assert!(warnings[0].contains("cannot connect"), "{warnings:?}");
    let address = forbidden.address();
    assert!(warnings[1].starts_with(&format!("the mirror {address}/org/api is left out: GET ")), "{warnings:?}");
    assert!(warnings[1].contains("403") && warnings[1].contains(&format!("ocibake login {address}")), "{warnings:?}");
    assert_eq!(empty.count("HEAD", ""), 1);
    assert_eq!(forbidden.count("HEAD", "/manifests/v1"), 1);
    assert_eq!(partial.count("GET", "/blobs/"), 3, "the config, a layer, and the one that it lacks");
    let asked: Vec<String> = registry.requests().split_off(before).iter().map(Request::line).collect();
    assert_eq!(asked, [format!("GET /v2/org/api/blobs/{}", digest(b"another"))]);
}

#[test]
fn the_failure_of_the_registry_is_the_one_that_is_told() {
    let (empty, registry) = (FakeRegistry::new(), FakeRegistry::new());
    let (_directory, client) = configured(&mirrored(&registry.address(), &[&empty.address()]));
    let error = pull(&client.unwrap(), &format!("{}/org/api:v1", registry.address())).0.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.message.contains(&registry.address()), "{error}");
}

#[test]
fn content_of_a_mirror_that_is_not_what_was_asked_for_is_refused() {
    let layer = digest(b"another");
    let (mirror, _) = with_image(move |request| {
        request.is("GET", &layer).then(|| Reply::Answer(200, Vec::new(), b"ANOTHER".to_vec()))
    });
    let (registry, _) = with_image(|_| None);
    let (_directory, client) = configured(&mirrored(&registry.address(), &[&mirror.address()]));
    let error = pull(&client.unwrap(), &format!("{}/org/api:v1", registry.address())).0.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Integrity);
}

#[test]
fn some_mirrors_are_for_tags_or_for_digests_alone() {
    let (registry, root) = with_image(|_| None);
    let (by_tag, _) = with_image(|_| None);
    let (by_digest, _) = with_image(|_| None);
    let usage = |mirror: &FakeRegistry, usage: &str| {
        format!("[[registry.mirror]]\nlocation = \"{}\"\npull-from-mirror = \"{usage}\"\n", mirror.address())
    };
    let text = mirrored(&registry.address(), &[]) + &usage(&by_tag, "tag-only") + &usage(&by_digest, "digest-only");
    let name = format!("{}/org/api", registry.address());
    let asked = |text: &str, name: &str| {
        let (_directory, client) = configured(text);
        let all = [&by_tag, &by_digest, &registry];
        let before = all.map(|registry| registry.requests().len());
        pull(&client.unwrap(), name).0.unwrap();
        let after = all.map(|registry| registry.requests().len());
        [0, 1, 2].map(|number| after[number] > before[number])
    };
    assert_eq!(asked(&text, &format!("{name}:v1")), [true, false, false]);
    assert_eq!(asked(&text, &format!("{name}@{}", root.digest)), [false, true, false]);
    let text = mirrored(&registry.address(), &[&by_digest.address()]);
    let text = text.replacen("[[registry]]", "[[registry]]\nmirror-by-digest-only = true", 1);
    assert_eq!(asked(&text, &format!("{name}:v1")), [false, false, true]);
    assert_eq!(asked(&text, &format!("{name}@{}", root.digest)), [false, true, false]);
}

#[test]
fn a_location_takes_the_place_of_the_prefix_for_pulls() {
    let (place, root) = with_image(|_| None);
    let text = format!(
        "[[registry]]\nprefix = \"registry.example/team\"\nlocation = \"{0}/org\"\n\
         [[registry]]\nprefix = \"*.example\"\nlocation = \"{0}\"\n",
        place.address()
    );
    let (_directory, client) = configured(&text);
    let client = client.unwrap();
    for name in ["registry.example/team/api:v1", "other.registry.example/org/api:v1"] {
        assert_eq!(pull(&client, name).0.unwrap(), root.digest.to_string(), "{name}");
    }
    // A push goes where it says, as with skopeo and podman.
    let registry = FakeRegistry::new();
    let text =
        format!("[[registry]]\nprefix = \"{}/org\"\nlocation = \"{}/org\"\n", registry.address(), place.address());
    let (_directory, client) = configured(&text);
    let client = client.unwrap();
    assert_eq!(pull(&client, &format!("{}/org/api:v1", registry.address())).0.unwrap(), root.digest.to_string());
    let before = place.requests().len();
    let mut store = MemoryStore::default();
    let root = store.image(&[b"a new layer"]);
    push(&client, &registry.address(), &store, &root, &["v2"], &News::default()).unwrap();
    assert!(registry.manifest("org/api/v2").is_some());
    assert_eq!(place.requests().len(), before);
}

#[test]
fn what_is_blocked_is_neither_pulled_nor_pushed() {
    let (registry, root) = with_image(|_| None);
    let address = registry.address();
    let (directory, client) = configured(&format!(
        "\n[[registry]]\nlocation = \"{address}\"\n[[registry]]\nlocation = \"{address}/org\"\nblocked = true\n"
    ));
    let client = client.unwrap();
    let before = registry.requests().len();
    let refused = |error: Error| {
        assert_eq!((error.kind, error.message), (ErrorKind::Denied, format!("{address}/org/api:v1 is blocked")));
        let file = directory.path().join("registries.conf");
        assert_eq!(error.hint, Some(format!("{}:4 says so", file.display())));
    };
    refused(pull(&client, &format!("{address}/org/api:v1")).0.unwrap_err());
    let repository = client.repository(&format!("{address}/org/api:v1").parse().unwrap(), &silent);
    let mut store = MemoryStore::default();
    store.image(&[b"a layer", b"another"]);
    refused(repository.upload(&store.graph(&root), &store).unwrap_err());
    assert_eq!(registry.requests().len(), before);
    let elsewhere = client.mirrored(&format!("{address}/else/api:v1").parse().unwrap(), &silent).unwrap();
    assert_eq!(elsewhere.resolve(None).unwrap_err().kind, ErrorKind::NotFound);
}

#[test]
fn a_registry_may_be_insecure_and_its_mirror_not() {
    let (registry, root) = with_image(|_| None);
    let other = registry.other_address();
    let name = format!("{other}/org/api:v1");
    let (_directory, client) = configured(&format!("[[registry]]\nlocation = \"{other}\"\ninsecure = true\n"));
    assert_eq!(pull(&client.unwrap(), &name).0.unwrap(), root.digest.to_string());
    let mirror =
        "[[registry]]\nlocation = \"registry.example\"\n[[registry.mirror]]\nlocation = \"MIRROR\"\ninsecure = true\n";
    let (_directory, client) = configured(&mirror.replace("MIRROR", &other));
    assert_eq!(pull(&client.unwrap(), "registry.example/org/api:v1").0.unwrap(), root.digest.to_string());
    let (_directory, client) = configured("");
    assert!(pull(&client.unwrap(), &name).0.unwrap_err().message.contains(" https://"));
}

#[test]
fn a_mirror_is_shown_its_own_credential_alone() {
    let basic_auth = |request: &Request| {
        let challenge = || Reply::refusal(401, "UNAUTHORIZED", "who?").with("www-authenticate", "Basic realm=\"x\"");
        request.header("authorization").is_none().then(challenge)
    };
    let mirror = FakeRegistry::scripted(basic_auth);
    let registry = FakeRegistry::scripted(basic_auth);
    let directory = tempfile::tempdir().unwrap();
    let credentials = Credentials::from_docker_config(Some(directory.path().to_owned()));
    credentials.store(&mirror.address(), &basic("mirror", "m")).unwrap();
    credentials.store(&registry.address(), &basic("registry", "r")).unwrap();
    let text = mirrored(&registry.address(), &[&mirror.address()]);
    let (_directory, client) = configured_with(&text, credentials);
    let name = format!("{}/org/api:v1", registry.address());
    assert_eq!(pull(&client.unwrap(), &name).0.unwrap_err().kind, ErrorKind::NotFound);
    let shown = |registry: &FakeRegistry| {
        let requests = registry.requests();
        let shown = requests.iter().filter_map(|request| request.header("authorization").map(str::to_owned));
        shown.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    };
    // `printf 'mirror:m' | base64` and `printf 'registry:r' | base64`
    assert_eq!(shown(&mirror), ["Basic bWlycm9yOm0="]);
    assert_eq!(shown(&registry), ["Basic cmVnaXN0cnk6cg=="]);
}

#[test]
fn a_file_that_is_no_good_is_named_with_the_line() {
    let table = "[[registry]]\nlocation = \"registry.example\"\n";
    let mirror = "[[registry.mirror]]\nlocation = \"mirror.example\"\npull-from-mirror = \"all\"\n";
    let cases = [
        ("[[registry\n".to_owned(), 1, "not a registries.conf: "),
        (format!("{table}insecure = \"yes\"\n"), 3, "not a registries.conf: invalid type: string \"yes\""),
        (format!("{table}{}", mirror.replace("all", "never")), 5, "not a registries.conf: unknown variant `never`"),
        ("[registries.search]\nregistries = ['docker.io']\n".to_owned(), 1, "this is the format of version 1"),
        (table.replace("registry.e", "https://registry.e"), 2, "a location and a prefix must not have a scheme"),
        (table.replace("registry.example", "registry/org"), 2, "`registry/org` is not a host, with or without a path"),
        (format!("{table}prefix = \"Not A Host\"\n"), 3, "`Not A Host` is not a host"),
        (format!("{table}prefix = \"*.example/org\"\n"), 3, "`*.` can only come before a host"),
        ("[[registry]]\nprefix = \"a.example\"\n".to_owned(), 1, "this registry has a prefix, but no location"),
        ("[[registry]]\ninsecure = true\n".to_owned(), 1, "this registry has neither a prefix nor a location"),
        (format!("{table}[[registry.mirror]]\ninsecure = true\n"), 3, "this mirror has no location"),
        (
            format!("{table}mirror-by-digest-only = true\n{}", mirror.replace("all", "tag-only")),
            4,
            "pull-from-mirror and mirror-by-digest-only exclude each other",
        ),
    ];
    for (text, line, expected) in cases {
        let (directory, client) = configured(&text);
        let error = client.err().unwrap();
        let file = directory.path().join("registries.conf").display().to_string();
        let message = error.message.strip_prefix(&format!("{file}: ")).unwrap_or_else(|| panic!("{error}"));
        assert!(message.starts_with(expected), "{message}");
        let excerpt = error.excerpt.unwrap();
        assert_eq!((excerpt.file, excerpt.line), (file, line), "{message}");
    }
    let missing = RegistriesConf { file: Some(PathBuf::from("/missing.conf")), directories: Vec::new() };
    let error = Client::new(RegistryOptions { registries: missing, ..options() }).err().unwrap();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::NotFound, "cannot read /missing.conf"));
}

#[test]
fn further_files_take_the_place_of_what_is_for_the_same_prefix() {
    let (old, _) = with_image(|_| None);
    let (new, root) = with_image(|_| None);
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    write("registries.conf", &mirrored("registry.example", &[&old.address()]));
    fs::create_dir(directory.path().join("conf.d")).unwrap();
    write("conf.d/10-old.conf", &mirrored("registry.example", &[&old.address()]));
    write("conf.d/20-new.conf", &mirrored("registry.example", &[&new.address()]));
    write("conf.d/30-other.conf", &mirrored("other.example", &[&old.address()]));
    write("conf.d/40-no-configuration", "[[registry\n");
    let registries = RegistriesConf {
        file: Some(directory.path().join("registries.conf")),
        directories: vec![directory.path().join("missing.d"), directory.path().join("conf.d")],
    };
    let before = old.requests().len();
    let client = Client::new(RegistryOptions { registries, ..options() }).unwrap();
    assert_eq!(pull(&client, "registry.example/org/api:v1").0.unwrap(), root.digest.to_string());
    assert_eq!(old.requests().len(), before);
    pull(&client, "other.example/org/api:v1").0.unwrap();
    assert!(old.requests().len() > before);
}

#[test]
fn the_program_pulls_through_a_mirror_as_skopeo_does() {
    if !["docker-registry", "skopeo"].into_iter().all(tool::require) {
        return;
    }
    let registry = DockerRegistry::open();
    let context = tempfile::tempdir().unwrap();
    fs::write(context.path().join("app"), "an application").unwrap();
    let program = Program::new();
    for name in ["one", "two"] {
        let name = format!("{}/org/{name}:v1", registry.address());
        let add = format!("{}:/", context.path().join("app").display());
        program.run(["build", "--add", &add, "-t", &name, "--push"]).success();
    }
    let mirror = DockerRegistry::mirror_of(&format!("http://{}", registry.address()));
    let text = format!(
        "[[registry]]\nprefix = \"registry.example\"\nlocation = \"{}\"\ninsecure = true\n\
         [[registry.mirror]]\nlocation = \"{}\"\ninsecure = true\n",
        registry.address(),
        mirror.address()
    );
    let file = program.home().join("own.conf");
    fs::write(&file, &text).unwrap();

    let wanted = program.run(["inspect", "--json", &format!("{}/org/one:v1", registry.address())]).success().stdout;
    let named = Program::new().environment("CONTAINERS_REGISTRIES_CONF", &file);
    let digest_in = |report: &str| serde_json::from_str::<serde_json::Value>(report).unwrap()["digest"].clone();
    let found = named.run(["inspect", "--json", "registry.example/org/one:v1"]).success().stdout;
    assert_eq!(digest_in(&found), digest_in(&wanted));
    assert!(mirror.has_seen("org/one") && !mirror.has_seen("org/two"));

    let mut skopeo = Command::new("skopeo");
    skopeo.arg("--registries-conf").arg(&file).args(["inspect", "--raw", "docker://registry.example/org/two:v1"]);
    let raw = tool::checked(skopeo.env("HOME", program.home()));
    assert!(mirror.has_seen("org/two"), "skopeo understands the file alike");
    let users = Program::new();
    fs::write(users.home().join(".config/containers/registries.conf"), &text).unwrap();
    let found = users.run(["inspect", "--json", "registry.example/org/two:v1"]).success().stdout;
    assert_eq!(digest_in(&found), digest(raw.as_bytes()).as_str());

    fs::write(users.home().join(".config/containers/registries.conf"), "\n[[registry]]\ninsecure = 1\n").unwrap();
    let outcome = users.run(["inspect", "registry.example/org/two:v1"]).failure(1);
    outcome.says(&[".config/containers/registries.conf:3:12", "insecure = 1"]);
}
