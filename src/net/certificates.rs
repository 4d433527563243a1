//! Whose certificates are trusted, and which is the user's own.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::{Error, ErrorKind, Result};

/// Where certificates are.
#[derive(Debug, Clone, Default)]
pub struct Certificates {
    /// Files of authorities' certificates in PEM, and directories of such files, in the place of the system's; none for
    /// the system's, as the crate rustls-native-certs finds them. What cannot be read, and a file without a certificate,
    /// is an error.
    pub roots: Vec<PathBuf>,
    /// Directories in the form of docker's `certs.d` (containers-certs.d(5)): in a directory with the name of the
    /// server, `*.crt` are further authorities, and `*.cert` with `*.key` is the user's own certificate; the first of
    /// several. The first of `directories` that has one for a server counts. A file in it that is no good is an error.
    pub directories: Vec<PathBuf>,
    /// The user's own certificate and its key, for all servers, in the place of what the directories have.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// The certificates that one server's directory holds.
#[derive(Default)]
pub(super) struct Trust {
    pub authorities: Vec<CertificateDer<'static>>,
    pub identity: Option<TlsIdentity>,
}

/// What one shows of oneself to the other side: the user to a server, or a server to its clients.
pub(super) struct TlsIdentity {
    pub path: PathBuf,
    /// Its own certificate first.
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

impl Certificates {
    /// Returns what there is for a server beside the roots.
    pub(super) fn trust(&self, server: &str) -> Result<Option<Trust>> {
        if let Some((certificate, key)) = &self.own {
            let identity = Some(TlsIdentity::read(certificate, key)?);
            return Ok(Some(Trust { authorities: Vec::new(), identity }));
        }
        for directory in self.directories.iter().map(|directory| directory.join(server)) {
            match fs::read_dir(&directory) {
                Ok(entries) => return Trust::read(&directory, entries).map(Some),
                // The directories of the system may be for root's eyes alone.
                Err(error) if is_absence(&error) || error.kind() == io::ErrorKind::PermissionDenied => {}
                Err(error) => return Err(Error::io("read", &directory, error)),
            }
        }
        Ok(None)
    }

    /// Returns whether there is a directory for a server, whatever it holds.
    pub(crate) fn are_there_for(&self, server: &str) -> bool {
        self.directories.iter().any(|directory| directory.join(server).is_dir())
    }

    /// Returns the authorities that are trusted whatever the server. There is one at least.
    pub fn roots(&self) -> Result<Vec<CertificateDer<'static>>> {
        let roots = match self.roots.is_empty() {
            true => rustls_native_certs::load_native_certs().certs,
            false => certificates_in(&self.roots)?,
        };
        let roots: Vec<_> = roots.into_iter().filter(is_usable).collect();
        if roots.is_empty() {
            return Err(Error::new(ErrorKind::Registry, "cannot set up HTTPS: there are no root certificates")
                .with_hint("install the system's (on Debian: ca-certificates)"));
        }
        Ok(roots)
    }
}

impl Trust {
    fn read(directory: &Path, entries: fs::ReadDir) -> Result<Trust> {
        let names: io::Result<BTreeSet<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
        let names = names.map_err(|error| Error::io("read", directory, error))?;
        let with = |extension: &'static str| {
            names.iter().filter(move |path| path.extension().is_some_and(|found| found == extension))
        };
        let mut trust = Trust::default();
        for path in with("crt") {
            trust.authorities.extend(authorities(path)?);
        }
        for path in with("key") {
            if !names.contains(&path.with_extension("cert")) {
                return Err(Error::input(format!("{} has no certificate beside it", path.display()))
                    .with_hint("a client's certificate ends in .cert, that of an authority in .crt"));
            }
        }
        for path in with("cert") {
            let key = path.with_extension("key");
            if !names.contains(&key) {
                return Err(Error::input(format!("{} has no key beside it, {}", path.display(), key.display()))
                    .with_hint("the certificate of an authority ends in .crt"));
            }
            let identity = TlsIdentity::read(path, &key)?;
            trust.identity.get_or_insert(identity);
        }
        Ok(trust)
    }
}

impl TlsIdentity {
    /// Reads a certificate, with those that vouch for it, and its key.
    pub fn read(path: &Path, key_path: &Path) -> Result<TlsIdentity> {
        let malformed = |path: &Path, what: &str| {
            Error::input(format!("{} is not {what}", path.display()))
                .with_hint("it must be in PEM, and a key must have no passphrase")
        };
        let chain = certificates(path, &read(path)?)?;
        if chain.is_empty() {
            return Err(malformed(path, "a certificate"));
        }
        let key = PrivateKeyDer::from_pem_slice(&read(key_path)?).map_err(|_| malformed(key_path, "a key"))?;
        Ok(TlsIdentity { path: path.to_owned(), chain, key })
    }
}

/// The certificates of files and directories. In a directory there may be anything else, too.
fn certificates_in(places: &[PathBuf]) -> Result<Vec<CertificateDer<'static>>> {
    let mut found = Vec::new();
    for place in places {
        if !place.is_dir() {
            found.extend(authorities(place)?);
            continue;
        }
        let failed = |error| Error::io("read", place, error);
        let paths: io::Result<Vec<PathBuf>> =
            fs::read_dir(place).map_err(failed)?.map(|entry| Ok(entry?.path())).collect();
        // OpenSSL's directories have a link or two to each file, by which it finds them.
        let files = paths.map_err(failed)?.into_iter().filter_map(|path| path.canonicalize().ok());
        let files: BTreeSet<PathBuf> = files.filter(|path| path.is_file()).collect();
        for file in files {
            found.extend(authorities(&file).unwrap_or_default());
        }
    }
    Ok(found)
}

/// The certificates in a file that can vouch for others; there is one at least.
fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let mut found = certificates(path, &read(path)?)?;
    found.retain(is_usable);
    if found.is_empty() {
        return Err(Error::input(format!("{} holds no certificate", path.display()))
            .with_hint("it must be in PEM; from DER: openssl x509 -inform der -in FILE -out NEW"));
    }
    Ok(found)
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|error| {
        Error::input(format!("{} is damaged: {error}", path.display())).with_hint("it must be in PEM: copy it again")
    })
}

fn is_usable(certificate: &CertificateDer<'_>) -> bool {
    RootCertStore::empty().add(certificate.clone().into_owned()).is_ok()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| Error::io("read", path, error))
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
