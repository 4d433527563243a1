//! Who has written what a cache has: a signature by Ed25519 (RFC 8032) over a statement, which is the digest of all that a build
//! goes by.

use std::io::Read;
use std::path::Path;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};

use crate::error::{Error, Result};
use crate::oci::Digest;
use crate::store::regular;

/// A larger file is not a key.
const KEY_LIMIT: u64 = 64 << 10;

/// What stands before the 32 bytes of a public key in its DER form (RFC 8410, section 4).
const PUBLIC_KEY_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A private key that statements are signed with.
pub struct SigningKey(Ed25519KeyPair);

/// A public key by which it is told who has signed a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyingKey(Vec<u8>);

/// The keys by which what a cache has is told from what others have put there.
#[derive(Default)]
pub struct CacheKeys {
    /// Signs what is written.
    pub signing: Option<SigningKey>,
    /// Only what one of them has signed is taken; whatever there is, if there are none.
    pub verifying: Vec<VerifyingKey>,
}

impl SigningKey {
    /// Reads a private key from a PEM file (RFC 8410), as `openssl genpkey -algorithm ed25519` writes it.
    pub fn read(path: &Path) -> Result<Self> {
        let wrong = || {
            Error::input(format!("{} is not a private key for Ed25519", path.display()))
                .with_hint("make one with `openssl genpkey -algorithm ed25519 -out KEY`")
        };
        let der = PrivatePkcs8KeyDer::from_pem_slice(&content(path)?).map_err(|_| wrong())?;
        Ed25519KeyPair::from_pkcs8(der.secret_pkcs8_der()).map(SigningKey).map_err(|_| wrong())
    }

    /// Returns the signature of `statement`, in base64.
    pub fn sign(&self, statement: &Digest) -> String {
        BASE64_STANDARD.encode(self.0.sign(statement.as_bytes()))
    }
}

impl VerifyingKey {
    /// Reads a public key from a PEM file (RFC 8410), as `openssl pkey -pubout` writes it.
    pub fn read(path: &Path) -> Result<Self> {
        let wrong = || {
            Error::input(format!("{} is not a public key for Ed25519", path.display()))
                .with_hint("write that of a private KEY with `openssl pkey -in KEY -pubout`")
        };
        let der = SubjectPublicKeyInfoDer::from_pem_slice(&content(path)?).map_err(|_| wrong())?;
        let key = der.strip_prefix(&PUBLIC_KEY_HEAD).filter(|key| key.len() == 32).ok_or_else(wrong)?;
        Ok(VerifyingKey(key.to_vec()))
    }

    /// Returns whether `signature` is that of `statement` with the private key that belongs to this one.
    pub fn verifies(&self, statement: &Digest, signature: Option<&str>) -> bool {
        let signature = signature.and_then(|text| BASE64_STANDARD.decode(text).ok());
        let key = UnparsedPublicKey::new(&ED25519, &self.0);
        signature.is_some_and(|signature| key.verify(statement.as_bytes(), &signature).is_ok())
    }
}

impl CacheKeys {
    /// Returns whether what says so may be taken: one of the keys has signed it, or there are none.
    pub fn are_content_with(&self, statement: &Digest, signature: Option<&str>) -> bool {
        self.verifying.is_empty() || self.verifying.iter().any(|key| key.verifies(statement, signature))
    }

    /// Returns the signature of what is written, if it is to have one: not if it `stands_on_others`, whom nobody has verified.
    pub fn signature(&self, statement: &Digest, stands_on_others: bool) -> Option<String> {
        let signing = self.signing.as_ref().filter(|_| !stands_on_others || !self.verifying.is_empty());
        signing.map(|key| key.sign(statement))
    }
}

fn content(path: &Path) -> Result<Vec<u8>> {
    let failed = |source| Error::io("read", path, source);
    let mut content = Vec::new();
    regular::open(path).map_err(failed)?.take(KEY_LIMIT).read_to_end(&mut content).map_err(failed)?;
    Ok(content)
}
