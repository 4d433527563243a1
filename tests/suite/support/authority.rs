//! An authority of the tests' own, which signs certificates (with openssl).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::tool;

pub struct Authority {
    directory: TempDir,
}

/// A certificate and its key, for as long as its authority lives.
pub struct Issued {
    pub path: PathBuf,
    pub key: PathBuf,
}

/// In UTC, YYMMDDHHMMSSZ.
const LONG_AGO: &str = "200101000000Z";
const AGO: &str = "200201000000Z";
const ONCE: &str = "480101000000Z";

impl Authority {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("index"), "").unwrap();
        let config = "[ca]\ndefault_ca = own\n[own]\ndatabase = index\nnew_certs_dir = .\nrand_serial = yes\n\
             default_md = sha256\npolicy = any\ncopy_extensions = copy\nunique_subject = no\n\
             [any]\ncommonName = supplied\n";
        fs::write(directory.path().join("config"), config).unwrap();
        let authority = Authority { directory };
        authority.openssl(
            "req -x509 -newkey rsa:2048 -nodes -subj /CN=authority -days 2 -keyout ca.key -out ca.crt \
             -addext keyUsage=critical,keyCertSign",
        );
        authority
    }

    /// The authority's own, to be trusted.
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("ca.crt")
    }

    /// The same, for a server to use.
    pub fn own(&self) -> Issued {
        Issued { path: self.certificate(), key: self.directory.path().join("ca.key") }
    }

    /// One for `names`, as in `IP:0.0.0.0,DNS:localhost`.
    pub fn issue(&self, name: &str, names: &str) -> Issued {
        self.sign(name, names, LONG_AGO, ONCE)
    }

    pub fn issue_expired(&self, name: &str, names: &str) -> Issued {
        self.sign(name, names, LONG_AGO, AGO)
    }

    pub fn issue_early(&self, name: &str, names: &str) -> Issued {
        self.sign(name, names, "470101000000Z", ONCE)
    }

    fn sign(&self, name: &str, names: &str, from: &str, to: &str) -> Issued {
        self.openssl(&format!(
            "req -new -newkey rsa:2048 -nodes -subj /CN={name} -addext subjectAltName={names} -keyout {name}.key \
             -out {name}.request"
        ));
        self.openssl(&format!(
            "ca -batch -notext -config config -cert ca.crt -keyfile ca.key -startdate {from} -enddate {to} \
             -in {name}.request -out {name}.crt"
        ));
        let path = |extension: &str| self.directory.path().join(format!("{name}.{extension}"));
        Issued { path: path("crt"), key: path("key") }
    }

    fn openssl(&self, arguments: &str) {
        tool::checked(Command::new("openssl").args(arguments.split_whitespace()).current_dir(&self.directory));
    }
}

impl Issued {
    /// As a user's own, in a directory like docker's `certs.d/REGISTRY`.
    pub fn install(&self, directory: &Path) {
        fs::copy(&self.path, directory.join("client.cert")).unwrap();
        fs::copy(&self.key, directory.join("client.key")).unwrap();
    }
}
