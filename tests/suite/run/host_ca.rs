//! `--host-ca`: commands trust what the machine trusts.

use std::fs;

use super::dockerfile::Bench;
use crate::support::traces::names_in;
use crate::support::tree::Tree;

const BUNDLE: &str = "# ours\n-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";

#[test]
fn the_machines_certificates_are_there_for_commands_and_nowhere_else() {
    let Some(mut bench) = Bench::new(Tree::new()) else { return };
    fs::write(bench.path("ca.pem"), BUNDLE).unwrap();
    let file = bench.path("ca.pem");
    let steps = "ENV PIP_CERT=/own.pem\nUSER 1000\nRUN [\"/bin/true\"]\nUSER 0\n\
                 RUN set -e; for file in $SSL_CERT_FILE $CURL_CA_BUNDLE $GIT_SSL_CAINFO $REQUESTS_CA_BUNDLE \
                 $NODE_EXTRA_CA_CERTS $CARGO_HTTP_CAINFO $AWS_CA_BUNDLE; do cat $file; done > /told; \
                 echo $PIP_CERT >> /told; cat $APT_CONFIG >> /told; ! echo > $SSL_CERT_FILE\n";
    let plain = bench.build("RUN true\n", &["-o", "plain.tar"]).digest();
    // It is in no key: what was run without is not run again.
    bench.program = bench.program.environment("SSL_CERT_FILE", &file);
    let known = bench.build("RUN true\n", &["--host-ca", "--progress=plain", "-o", "with.tar"]).success();
    assert!(known.stderr.contains("#2 CACHED\n"), "{}", known.stderr);
    assert_eq!(known.digest(), plain);
    assert_eq!(fs::read(bench.path("plain.tar")).unwrap(), fs::read(bench.path("with.tar")).unwrap());
    bench.build(steps, &["--host-ca", "-o", "type=local,dest=root", "-o", "x.tar"]).success();
    let told = fs::read_to_string(bench.path("root/told")).unwrap();
    let path = "/dev/host-ca/ca-certificates.crt";
    assert_eq!(told, format!("{}/own.pem\nAcquire::https::CaInfo \"{path}\";\n", BUNDLE.repeat(7)));
    assert_eq!(names_in(&bench.path("root")), ["bin", "dev", "proc", "sys", "told"]);
    let archive = fs::read(bench.path("x.tar")).unwrap();
    assert!(!archive.windows(7).any(|part| part == b"host-ca"), "the image tells of it");
}

#[test]
fn every_user_may_read_the_certificates() {
    let Some(mut bench) = Bench::new(Tree::new()) else { return };
    fs::write(bench.path("ca.pem"), BUNDLE).unwrap();
    let file = bench.path("ca.pem");
    bench.program = bench.program.environment("SSL_CERT_FILE", file);
    let steps = "RUN mkdir -m 777 /free\nUSER 1000\nRUN cat $SSL_CERT_FILE $APT_CONFIG > /free/told\n";
    bench.build(steps, &["--host-ca", "-o", "type=local,dest=root"]).success();
    assert!(fs::read_to_string(bench.path("root/free/told")).unwrap().starts_with(BUNDLE));
}

#[test]
fn what_is_no_file_of_certificates_is_refused_before_anything_is_run() {
    let Some(mut bench) = Bench::new(Tree::new()) else { return };
    fs::write(bench.path("ca.pem"), "none").unwrap();
    let file = bench.path("ca.pem");
    bench.program = bench.program.environment("SSL_CERT_FILE", file);
    bench.build("RUN true\n", &["--host-ca"]).failure(2).says(&["--host-ca: ", "ca.pem is not a file of certificates"]);
    // Without the flag nobody asks for it.
    bench.build("RUN test -z $SSL_CERT_FILE && test ! -e /dev/host-ca\n", &[]).success();
}
