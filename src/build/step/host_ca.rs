//! `--host-ca`: the certificates that this machine trusts, made usable for commands.
//!
//! They lie in a file in memory, outside of all that becomes a layer, and variables say so to those who would not look there.

use crate::run::{Mount, MountSource};

/// A place in `/dev`, of which nothing is the image's.
const BUNDLE: &str = "/dev/host-ca/ca-certificates.crt";
/// What apt reads before its own configuration.
const APT: &str = "/dev/host-ca/apt.conf";

/// The variables of programs that have certificates of their own or look for them elsewhere. Those that an image sets stay.
pub const VARIABLES: [(&str, &str); 9] = [
    ("SSL_CERT_FILE", BUNDLE),       // OpenSSL, Go, Ruby, Rust's rustls
    ("CURL_CA_BUNDLE", BUNDLE),      // curl
    ("GIT_SSL_CAINFO", BUNDLE),      // git
    ("PIP_CERT", BUNDLE),            // pip
    ("REQUESTS_CA_BUNDLE", BUNDLE),  // Python's requests
    ("NODE_EXTRA_CA_CERTS", BUNDLE), // Node and npm
    ("CARGO_HTTP_CAINFO", BUNDLE),   // cargo
    ("AWS_CA_BUNDLE", BUNDLE),       // AWS' command line and libraries
    ("APT_CONFIG", APT),             // apt
];

/// Returns the mounts of `bundle`, as every user may read it.
pub fn mounts(bundle: &[u8]) -> [Mount; 2] {
    let file = |path: &str, content: &[u8]| Mount {
        target: path.as_bytes().to_vec(),
        source: MountSource::File { content: content.to_vec(), mode: 0o444, user: 0, group: 0 },
        read_only: true,
    };
    [file(BUNDLE, bundle), file(APT, format!("Acquire::https::CaInfo \"{BUNDLE}\";\n").as_bytes())]
}
