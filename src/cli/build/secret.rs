//! The values of secrets, which are read when a command needs them and kept nowhere.

use std::env;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;

use crate::error::{Error, Result};
use crate::plan::SecretSource;

/// The most that a secret has, in bytes; as with BuildKit.
const LARGEST: u64 = 500 << 10;

/// Returns the value of a secret. As docker has it, that of a variable that is not set is empty. Fails for a file that
/// cannot be read or is too large.
pub fn value(source: &SecretSource) -> Result<Vec<u8>> {
    match source {
        SecretSource::Variable(name) => Ok(env::var_os(name).map(OsStringExt::into_vec).unwrap_or_default()),
        SecretSource::File(path) => {
            let read = || {
                let mut bytes = Vec::new();
                File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
                match bytes.len() as u64 > LARGEST {
                    true => Err(io::Error::other(format!("it is larger than {LARGEST} bytes, too large for a secret"))),
                    false => Ok(bytes),
                }
            };
            read().map_err(|source| Error::io("read the secret", path, source))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_secret_is_what_the_file_or_the_variable_has() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("token");
        let of_file = || value(&SecretSource::File(path.clone()));
        assert!(of_file().unwrap_err().message.starts_with("cannot read the secret"));
        fs::write(&path, b"\0\xff\n").unwrap();
        assert_eq!(of_file().unwrap(), b"\0\xff\n");
        fs::write(&path, vec![b'a'; 512_000]).unwrap();
        assert_eq!(of_file().unwrap().len(), 512_000);
        fs::write(&path, vec![b'a'; 512_001]).unwrap();
        assert!(of_file().is_err());
        let path = env::var_os("PATH").unwrap().into_vec();
        assert_eq!(value(&SecretSource::Variable("PATH".to_owned())).unwrap(), path);
        assert_eq!(value(&SecretSource::Variable("OCIBAKE_NOT_SET".to_owned())).unwrap(), b"");
    }
}
