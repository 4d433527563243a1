//! Who has written an entry: a signature by Ed25519 (RFC 8032) over all of it that a build goes by.

use std::io::Read;
use std::path::Path;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};

use super::entry::StepEntry;
use crate::error::{Error, Result};
use crate::layer::Layer;
use crate::oci::{Digest, KeyBuilder};
use crate::store::regular;

/// A larger file is not a key.
const KEY_LIMIT: u64 = 64 << 10;

/// What stands before the 32 bytes of a public key in its DER form (RFC 8410, section 4).
const PUBLIC_KEY_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A private key that entries are signed with.
pub struct SigningKey(Ed25519KeyPair);

/// A public key by which it is told who has signed an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyingKey(Vec<u8>);

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

    /// Returns the signature of an entry that says that the step of this `key`, done `on` that, came to `layer`; in base64.
    pub fn sign(&self, key: &Digest, on: &Digest, layer: Option<&Layer>) -> String {
        BASE64_STANDARD.encode(self.0.sign(statement(key, on, layer).as_bytes()))
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

    /// Returns whether `entry` was signed with the private key that belongs to this one.
    pub fn verifies(&self, entry: &StepEntry) -> bool {
        let signature = entry.signature.as_deref().and_then(|text| BASE64_STANDARD.decode(text).ok());
        let statement = statement(&entry.key, &entry.on, entry.layer.as_ref());
        let key = UnparsedPublicKey::new(&ED25519, &self.0);
        signature.is_some_and(|signature| key.verify(statement.as_bytes(), &signature).is_ok())
    }
}

/// The digest of all of an entry that a build goes by.
fn statement(key: &Digest, on: &Digest, layer: Option<&Layer>) -> Digest {
    let kind = layer.map(|layer| layer.descriptor.media_type.as_str());
    let layer = layer.map(|layer| (layer.descriptor.digest, layer.descriptor.size, layer.diff_id));
    KeyBuilder::new("step signature 1")
        .part("key", key)
        .part("on", on)
        .part("layer", &layer)
        .part("media type", &kind)
        .finish()
}

fn content(path: &Path) -> Result<Vec<u8>> {
    let failed = |source| Error::io("read", path, source);
    let mut content = Vec::new();
    regular::open(path).map_err(failed)?.take(KEY_LIMIT).read_to_end(&mut content).map_err(failed)?;
    Ok(content)
}
