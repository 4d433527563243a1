//! The certificates that this machine trusts.

use std::env;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};

/// The variable that names the user's own, as OpenSSL and Go have it.
const FILE: &str = "SSL_CERT_FILE";

/// Where systems have theirs, as Go looks for them (`crypto/x509/root_linux.go`).
const PLACES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Arch, Gentoo
    "/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora, RHEL 6
    "/etc/ssl/ca-bundle.pem",                            // openSUSE
    "/etc/pki/tls/cacert.pem",                           // OpenELEC
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // CentOS, RHEL 7
    "/etc/ssl/cert.pem",                                 // Alpine
];

/// In bytes; many times what any system has.
const LARGEST: u64 = 16 << 20;

/// Returns the certificates of `SSL_CERT_FILE`, else the system's. Fails where there are none.
pub fn find() -> Result<Arc<[u8]>> {
    let named = env::var_os(FILE).filter(|path| !path.is_empty()).map(PathBuf::from);
    if let Some(named) = named {
        return read(&named);
    }
    match PLACES.map(Path::new).into_iter().find(|path| path.is_file()) {
        Some(path) => read(path),
        None => Err(Error::usage("--host-ca: this machine has no file of trusted certificates")
            .with_hint(format!("install ca-certificates, or name your own file in {FILE}"))),
    }
}

fn read(path: &Path) -> Result<Arc<[u8]>> {
    let failed = |source| Error::io("read the certificates in", path, source);
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    let begin = b"-----BEGIN ";
    if bytes.len() as u64 > LARGEST || !bytes.windows(begin.len()).any(|part| part == begin) {
        return Err(Error::usage(format!("--host-ca: {} is not a file of certificates", path.display())).with_hint(
            "it holds certificates in PEM: lines between -----BEGIN CERTIFICATE----- and -----END CERTIFICATE-----",
        ));
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_certificates_is_read_and_no_other() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("ca.pem");
        assert!(read(&path).unwrap_err().message.starts_with("cannot read the certificates in "));
        std::fs::write(&path, "none").unwrap();
        assert!(read(&path).unwrap_err().message.ends_with("is not a file of certificates"));
        let text = "# one\n-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";
        std::fs::write(&path, text).unwrap();
        assert_eq!(*read(&path).unwrap(), *text.as_bytes());
    }
}
