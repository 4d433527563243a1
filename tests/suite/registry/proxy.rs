//! Proxies on the way to a registry: which are used, and what is said of those that refuse.

use ocibake::error::{Error, ErrorKind};
use ocibake::net::{HttpOptions, Proxies};
use ocibake::progress::silent;
use ocibake::registry::{Client, RegistryOptions};

use crate::support::authority::Authority;
use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::{FakeRegistry, Reply};
use crate::support::memory_store::MemoryStore;
use crate::support::port::Port;
use crate::support::program::Program;
use crate::support::proxy::Proxy;
use crate::support::registry_client::{News, basic, options, push, text};
use crate::support::tool;

/// `printf 'ada:s3cret@' | base64`
const ADA: &str = "Basic YWRhOnMzY3JldEA=";

/// All that goes through one proxy.
fn through(proxy: &str) -> Proxies {
    Proxies { http: Some(proxy.to_owned()), https: Some(proxy.to_owned()), ..Proxies::default() }
}

fn try_push(proxies: Proxies, address: &str, news: &News) -> Result<(), Error> {
    let client =
        Client::new(RegistryOptions { insecure: true, http: HttpOptions { proxies, ..options().http }, ..options() })?;
    let mut store = MemoryStore::default();
    let root = store.image(&[b"a layer"]);
    push(&client, address, &store, &root, &["v1"], news)
}

fn tls_registry() -> Option<DockerRegistry> {
    ["docker-registry", "openssl"].into_iter().all(tool::require).then(|| DockerRegistry::with_tls("", ""))
}

/// Message and hint of the failure to reach `address`, with HOST and PROXY for the addresses.
fn failure(proxy: &str, proxies: Proxies, address: &str) -> (String, String) {
    let client = Client::new(RegistryOptions { http: HttpOptions { proxies, ..options().http }, ..options() }).unwrap();
    let error = client.check(address, &basic("bob", "hunter2"), &silent).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Registry);
    let shown = format!("{error:?}");
    assert!(!shown.contains("s3cret"), "{shown}");
    let (message, hint) = text(&error, address);
    (message.replace(proxy, "PROXY"), hint.replace(proxy, "PROXY"))
}

#[test]
fn https_goes_through_a_tunnel_and_http_is_forwarded() {
    let Some(registry) = tls_registry() else { return };
    let proxy = Proxy::open();
    let address = registry.other_address();
    try_push(through(&format!("http://{}", proxy.address())), &address, &News::default()).unwrap();
    let requests = proxy.requests();
    assert!(!requests.is_empty());
    assert!(requests.iter().all(|request| *request == format!("CONNECT {address}")), "{requests:?}");

    let (proxy, registry) = (Proxy::open(), FakeRegistry::new());
    let address = registry.other_address();
    try_push(through(&proxy.address()), &address, &News::default()).unwrap();
    let requests = proxy.requests();
    assert_eq!(requests[..2], [format!("CONNECT {address}"), format!("GET http://{address}/v2/")]);
    let forwarded = requests.iter().filter(|request| !request.starts_with("CONNECT")).count();
    assert_eq!(forwarded, registry.requests().len(), "nothing goes round it");
}

#[test]
fn loopback_and_exceptions_go_round_the_proxy() {
    let registry = FakeRegistry::new();
    let proxy = Proxy::open();
    try_push(through(&proxy.address()), &registry.address(), &News::default()).unwrap();
    let exceptions = Some(format!("registry.example,{}", registry.other_address()));
    let proxies = Proxies { exceptions, ..through(&proxy.address()) };
    try_push(proxies, &registry.other_address(), &News::default()).unwrap();
    assert_eq!(proxy.requests(), [""; 0]);
}

#[test]
fn a_proxy_is_told_who_asks() {
    let Some(registry) = tls_registry() else { return };
    let proxy = Proxy::with_authorization(ADA);
    let with_password = format!("http://ada:s3cret%40@{}", proxy.address());
    try_push(through(&with_password), &registry.other_address(), &News::default()).unwrap();

    let registry = FakeRegistry::new();
    try_push(through(&with_password), &registry.other_address(), &News::default()).unwrap();
    let told = registry.requests().iter().any(|request| request.header("proxy-authorization").is_some());
    assert!(!told, "the registry need not know");
}

#[test]
fn a_proxy_that_does_not_know_the_user_is_told_apart() {
    let registry = FakeRegistry::new();
    let proxy = Proxy::with_authorization(ADA);
    let (name, address) = (proxy.address(), registry.other_address());
    let (message, hint) = failure(&name, through(&name), &address);
    assert_eq!(
        message,
        "GET https://HOST/v2/: the proxy http://PROXY refuses to connect to 0.0.0.0: 407 Proxy Authentication Required"
    );
    assert_eq!(
        hint,
        "the proxy http://PROXY requires a login: put it into HTTPS_PROXY, as in \
         http://USER:PASSWORD@HOST:PORT"
    );
    let (_, hint) = failure(&name, through(&format!("http://ada:not-s3cret@{name}")), &address);
    assert_eq!(
        hint,
        "the proxy http://PROXY rejects the user and the password in HTTPS_PROXY; write what a URL cannot hold as %XX there, @ as %40"
    );
    assert_eq!(proxy.requests().len(), 2, "no password is tried twice");
}

#[test]
fn a_proxy_that_forbids_a_host_is_told_from_one_that_does_not_reach_it() {
    let registry = FakeRegistry::new();
    let address = registry.other_address();
    let proxy = Proxy::refusing(403);
    let (message, hint) = failure(&proxy.address(), through(&proxy.address()), &address);
    assert_eq!(message, "GET https://HOST/v2/: the proxy http://PROXY refuses to connect to 0.0.0.0: 403 Forbidden");
    assert_eq!(
        hint,
        "the proxy http://PROXY may not allow 0.0.0.0: ask whoever runs it, or name 0.0.0.0 in NO_PROXY if there is a \
         way without it"
    );
    assert_eq!(proxy.requests().len(), 2, "a refusal, and the question for its status");

    let proxy = Proxy::refusing(503);
    let (message, hint) = failure(&proxy.address(), through(&proxy.address()), &address);
    assert!(
        message.ends_with("the proxy http://PROXY refuses to connect to 0.0.0.0: 503 Service Unavailable"),
        "{message}"
    );
    assert_eq!(
        hint,
        "the proxy http://PROXY may not reach 0.0.0.0: is that name right? If there is a way without it, name 0.0.0.0 \
         in NO_PROXY"
    );
    assert_eq!(proxy.requests().len() as u32, 2 * options().http.backoff.tries, "that may pass");
}

#[test]
fn a_proxy_that_is_not_there_is_told_from_a_registry_that_is_not() {
    let port = Port::new();
    let gone = port.to_string();
    let (message, hint) = failure(&gone, through(&gone), "registry.example:5000");
    assert!(
        message.starts_with("GET https://HOST/v2/: cannot connect to the proxy http://PROXY: Connection refused"),
        "{message}"
    );
    assert_eq!(
        hint,
        "is the proxy running, and is HTTPS_PROXY right? If there is a way to registry.example without it, name \
         registry.example in NO_PROXY"
    );
    let news = News::default();
    let error = try_push(through(&gone), "registry.example:5000", &news).unwrap_err();
    assert!(error.message.contains("cannot connect to the proxy"), "{error}");
    assert!(news.lines()[0].starts_with("retrying "), "{:?}", news.lines());
}

#[test]
fn in_plain_http_the_answer_of_a_proxy_is_told_from_that_of_a_registry() {
    let registry = FakeRegistry::scripted(|request| {
        request.is("POST", "/blobs/uploads/").then(|| Reply::refusal(403, "DENIED", "not yours"))
    });
    let address = registry.other_address();
    let hints = |proxy: &Proxy| {
        let client = Client::new(RegistryOptions {
            insecure: true,
            http: HttpOptions { proxies: through(&proxy.address()), ..options().http },
            ..options()
        })
        .unwrap();
        let check =
            client.check(&address, &basic("bob", "hunter2"), &silent).map_err(|error| text(&error, &proxy.address()));
        let push = try_push(through(&proxy.address()), &address, &News::default());
        [check, push.map_err(|error| text(&error, &proxy.address()))].map(|result| result.err().map(|(_, hint)| hint))
    };
    let starts = |hint: &Option<String>, start: &str| hint.as_ref().is_some_and(|hint| hint.starts_with(start));
    for hint in hints(&Proxy::refusing(403)) {
        assert!(starts(&hint, "the proxy http://HOST may not allow 0.0.0.0: "), "{hint:?}");
    }
    for hint in hints(&Proxy::with_authorization(ADA)) {
        assert!(starts(&hint, "the proxy http://HOST requires a login: put it into HTTP_PROXY"), "{hint:?}");
    }
    let [check, push] = hints(&Proxy::open());
    assert!(check.is_none() && starts(&push, "log in with "), "{check:?} {push:?}");
}

#[test]
fn the_program_takes_proxies_from_the_environment_as_curl_does() {
    if !["docker-registry", "openssl"].into_iter().all(tool::require) {
        return;
    }
    let authority = Authority::new();
    let registry = DockerRegistry::with_certificate(&authority.issue("server", "IP:0.0.0.0"), "", "");
    let gone = Port::new();
    let name = format!("{}/org/api:v1", registry.other_address());
    // Whether the proxy was used, with these variables: PROXY is its address, GONE that of none.
    let uses = |variables: &[(&str, &str)]| {
        let proxy = Proxy::open();
        let mut program = Program::new().environment("SSL_CERT_FILE", authority.certificate());
        for (variable, value) in variables {
            program = program
                .environment(variable, value.replace("PROXY", &proxy.address()).replace("GONE", &gone.to_string()));
        }
        program.run(["inspect", &name]).failure(1).says(&["404"]);
        !proxy.requests().is_empty()
    };
    assert!(uses(&[("HTTPS_PROXY", "http://PROXY")]));
    assert!(uses(&[("https_proxy", "PROXY"), ("HTTPS_PROXY", "GONE")]));
    assert!(uses(&[("HTTPS_PROXY", "PROXY"), ("ALL_PROXY", "GONE"), ("HTTP_PROXY", "GONE")]));
    assert!(uses(&[("all_proxy", "http://PROXY"), ("https_proxy", "")]));
    assert!(!uses(&[("HTTP_PROXY", "PROXY")]));
    assert!(!uses(&[("HTTPS_PROXY", "PROXY"), ("NO_PROXY", "registry.example, 0.0.0.0")]));
    assert!(!uses(&[("HTTPS_PROXY", "PROXY"), ("no_proxy", "*"), ("NO_PROXY", "registry.example")]));

    let program = Program::new().environment("https_proxy", "http://ada:s3cret@:8080");
    let outcome = program.run(["inspect", &name]).failure(1).says(&["the proxy for HTTPS is not a URL", "HTTPS_PROXY"]);
    assert!(!outcome.stderr.contains("s3cret"), "{}", outcome.stderr);
}

#[test]
fn http_proxy_is_not_believed_where_a_web_server_may_have_set_it() {
    let (registry, proxy) = (FakeRegistry::new(), Proxy::open());
    let name = format!("{}/org/api:v1", registry.other_address());
    let run = |program: Program| program.run(["inspect", "--insecure", &name]).failure(1).says(&["404"]);
    let program = || Program::new().environment("HTTP_PROXY", proxy.address());
    run(program().environment("REQUEST_METHOD", "GET"));
    assert_eq!(proxy.requests(), [""; 0]);
    run(program());
    assert!(proxy.requests()[0].starts_with("GET http://"), "{:?}", proxy.requests());
}
