//! Hashes, identifiers that are made of them, and ciphers.

use aws_lc_rs::digest::{self, Algorithm};
use aws_lc_rs::rsa::{Pkcs1PrivateDecryptingKey, PrivateDecryptingKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};

use super::function::{Arguments, Function, FunctionFailure, number, string};
use crate::plan::hcl::value::Value;

/// What bcrypt costs if nothing is said: so many doublings.
const USUAL_COST: u32 = 10;

/// What is paid for each of the rounds of bcrypt, of which there are `2^cost`.
const ROUND: usize = 300;

/// In bytes; what bcrypt takes.
const LONGEST_PASSWORD: usize = 72;

pub const FUNCTIONS: &[Function] = &[
    Function::new("bcrypt", &[string("str")], bcrypt_hash).and_more(number("cost")),
    Function::new("md5", &[string("str")], |given| Ok(Value::text(hex(&Md5::digest(given.text(0)))))),
    Function::new("rsadecrypt", &[string("ciphertext"), string("privatekey")], rsa_decrypt),
    Function::new("sha1", &[string("str")], |given| hashed(given, &digest::SHA1_FOR_LEGACY_USE_ONLY)),
    Function::new("sha256", &[string("str")], |given| hashed(given, &digest::SHA256)),
    Function::new("sha512", &[string("str")], |given| hashed(given, &digest::SHA512)),
    Function::new("uuidv4", &[], |given| {
        let mut bytes = [0; 16];
        (given.surroundings.random)(&mut bytes);
        Ok(Value::text(uuid(bytes, 4)))
    }),
    Function::new("uuidv5", &[string("namespace"), string("name")], uuid_of_name),
];

fn hashed(given: &Arguments<'_>, algorithm: &'static Algorithm) -> Result<Value, FunctionFailure> {
    Ok(Value::text(hex(digest::digest(algorithm, given.text(0).as_bytes()).as_ref())))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bcrypt_hash(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let cost = match given.values.len() {
        1 => USUAL_COST,
        2 => u32::try_from(given.integer(1)?).unwrap_or(u32::MAX),
        _ => return Err("it takes no more than two arguments".into()),
    };
    // As in Go, what is too little is taken for the usual.
    let cost = if cost < 4 { USUAL_COST } else { cost };
    if cost > 31 {
        return Err(FunctionFailure::of(1, "it must not be more than 31"));
    }
    if given.text(0).len() > LONGEST_PASSWORD {
        return Err(FunctionFailure::of(0, format!("it must not be longer than {LONGEST_PASSWORD} bytes")));
    }
    given.spend(ROUND.saturating_mul(1 << cost))?;
    let mut salt = [0; 16];
    (given.surroundings.random)(&mut salt);
    match bcrypt::hash_with_salt(given.text(0), cost, salt) {
        Ok(parts) => Ok(Value::text(parts.format_for_version(bcrypt::Version::TwoA))),
        Err(error) => Err(error.to_string().into()),
    }
}

fn uuid(mut bytes: [u8; 16], version: u8) -> String {
    bytes[6] = bytes[6] & 0x0f | version << 4;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text = hex(&bytes);
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

/// The identifier of a name in a space of names (RFC 9562).
fn uuid_of_name(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let space = match given.text(0) {
        "dns" => "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        "url" => "6ba7b811-9dad-11d1-80b4-00c04fd430c8",
        "oid" => "6ba7b812-9dad-11d1-80b4-00c04fd430c8",
        "x500" => "6ba7b814-9dad-11d1-80b4-00c04fd430c8",
        other => other,
    };
    let digits: Vec<u32> = space.chars().filter(|c| *c != '-').map_while(|c| c.to_digit(16)).collect();
    let is_uuid =
        digits.len() == 32 && space.len() == 36 && [8, 13, 18, 23].iter().all(|at| space.as_bytes()[*at] == b'-');
    if !is_uuid {
        return Err(FunctionFailure::of(0, "it is neither a UUID nor one of dns, url, oid and x500"));
    }
    let mut named: Vec<u8> = digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect();
    named.extend_from_slice(given.text(1).as_bytes());
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &named);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.as_ref()[..16]);
    Ok(Value::text(uuid(bytes, 5)))
}

/// Base64 of what was encrypted with PKCS #1 v1.5, and the PEM of a key without a password.
fn rsa_decrypt(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let cipher = STANDARD.decode(given.text(0)).map_err(|_| FunctionFailure::of(0, "it is not base64"))?;
    let key = private_key(given.text(1))
        .ok_or_else(|| FunctionFailure::of(1, "it is not an RSA key of 2048 to 8192 bits in PEM without a password"))?;
    let mut text = vec![0; key.min_output_size()];
    let decrypted = key.decrypt(&cipher, &mut text).map_err(|_| "the key does not fit what was encrypted")?;
    match std::str::from_utf8(decrypted) {
        Ok(text) => Ok(Value::text(text)),
        Err(_) => Err("what was encrypted is not UTF-8".into()),
    }
}

fn private_key(pem: &str) -> Option<Pkcs1PrivateDecryptingKey> {
    let (_, rest) = pem.split_once("-----BEGIN ")?;
    let (kind, rest) = rest.split_once("PRIVATE KEY-----")?;
    let (body, _) = rest.split_once("-----END ")?;
    let der = STANDARD.decode(body.split_whitespace().collect::<String>()).ok()?;
    let der = match kind.trim() {
        "RSA" => in_pkcs8(&der)?,
        "" => der,
        _ => return None,
    };
    Pkcs1PrivateDecryptingKey::new(PrivateDecryptingKey::from_pkcs8(&der).ok()?).ok()
}

/// A key of PKCS #1 as one of PKCS #8 (RFC 5208): a version, the algorithm, and the key.
fn in_pkcs8(key: &[u8]) -> Option<Vec<u8>> {
    const HEAD: &[u8] =
        &[0x02, 1, 0, 0x30, 13, 0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 0x05, 0, 0x04, 0x82];
    let mut inner = HEAD.to_vec();
    inner.extend(u16::try_from(key.len()).ok()?.to_be_bytes());
    inner.extend_from_slice(key);
    let mut outer = vec![0x30, 0x82];
    outer.extend(u16::try_from(inner.len()).ok()?.to_be_bytes());
    outer.extend(inner);
    Some(outer)
}
