//! Docker's contexts: the daemons that docker's own program knows by name.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::kind::{EngineAddress, EngineTls};
use crate::error::{Error, Result};
use crate::oci::Digest;

/// The name of what is not a context.
const DEFAULT: &str = "default";

/// More than any of docker's files has, in bytes.
const LIMIT: u64 = 4 << 20;

/// Returns the address of the daemon of the context that is `named`, or else of the one that docker's configuration in the
/// directory `config` names; none if it is docker's usual daemon. Fails for a context that is not there.
pub(super) fn address(config: &Path, named: Option<&str>) -> Result<Option<EngineAddress>> {
    let name = match named {
        Some(name) => Some(name.to_owned()),
        None => {
            let settings = read(&config.join("config.json"))?.unwrap_or_default();
            settings["currentContext"].as_str().map(str::to_owned)
        }
    };
    let Some(name) = name.filter(|name| !name.is_empty() && name != DEFAULT) else { return Ok(None) };
    let directory = Digest::of(name.as_bytes()).hex();
    let meta = read(&config.join("contexts/meta").join(&directory).join("meta.json"))?.ok_or_else(|| {
        Error::not_found(format!("docker has no context called {name}")).with_hint(
            "`docker context ls` of docker's own program shows them; DOCKER_CONTEXT and currentContext name one",
        )
    })?;
    let endpoint = &meta["Endpoints"]["docker"];
    let Some(host) = endpoint["Host"].as_str().filter(|host| !host.is_empty()) else { return Ok(None) };
    let insecure = endpoint["SkipTLSVerify"].as_bool() == Some(true);
    let certificates = config.join("contexts/tls").join(directory).join("docker");
    EngineAddress::parse(host, tls(&certificates, insecure)).map(Some)
}

/// Returns the certificates in a directory as docker has it; none if there are none.
pub(super) fn tls(directory: &Path, insecure: bool) -> Option<EngineTls> {
    let file = |name: &str| Some(directory.join(name)).filter(|path: &PathBuf| path.is_file());
    let (authority, own) = (file("ca.pem"), file("cert.pem").zip(file("key.pem")));
    (authority.is_some() || own.is_some()).then_some(EngineTls { authority, own, insecure })
}

/// Reads a file of docker's; returns none if it is not there.
fn read(path: &Path) -> Result<Option<Value>> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(LIMIT).read_to_end(&mut bytes)) {
        Ok(_) => {
            let wrong = |source| Error::input(format!("{} is not valid", path.display())).with_source(source);
            serde_json::from_slice(&bytes).map(Some).map_err(wrong)
        }
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(Error::io("read", path, error)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_context_has_an_address_and_certificates() {
        let place = tempfile::tempdir().unwrap();
        let config = place.path();
        assert_eq!(address(config, None).unwrap(), None);
        fs::write(config.join("config.json"), r#"{"currentContext":"far"}"#).unwrap();
        let error = address(config, None).unwrap_err();
        assert!(error.message.contains("no context called far"), "{error:?}");
        // sha256sum of `far`.
        let directory = "512eea46ceb3921dff4363c7069d89d4964d1d9fccaa0f411851a7aa60a5c868";
        let meta = config.join("contexts/meta").join(directory);
        fs::create_dir_all(&meta).unwrap();
        let text =
            r#"{"Name":"far","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://far:2376","SkipTLSVerify":false}}}"#;
        fs::write(meta.join("meta.json"), text).unwrap();
        assert_eq!(address(config, None).unwrap(), Some(EngineAddress::Host("far:2376".to_owned(), None)));
        let certificates = config.join("contexts/tls").join(directory).join("docker");
        fs::create_dir_all(&certificates).unwrap();
        for name in ["ca.pem", "cert.pem", "key.pem"] {
            fs::write(certificates.join(name), "").unwrap();
        }
        let Some(EngineAddress::Host(_, Some(tls))) = address(config, None).unwrap() else { panic!("no TLS") };
        assert_eq!(tls.authority, Some(certificates.join("ca.pem")));
        assert_eq!(tls.own, Some((certificates.join("cert.pem"), certificates.join("key.pem"))));
        assert_eq!(address(config, Some("default")).unwrap(), None);
    }
}
