//! TLS as the settings have it, and what its failures mean.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use reqwest::Url;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig,
    SignatureScheme,
};

use super::certificates::{TlsIdentity, Trust};
use crate::error::{Error, ErrorKind, Result};

/// The version of HTTP that is spoken, as ALPN has it.
const HTTP: &[u8] = b"http/1.1";

/// Returns TLS that trusts `roots` and the authorities of `trust`, or, without roots, whatever certificate there is; and that
/// shows the user's own certificate if it `is_own`: a host that the server leads to need not know who the user is.
pub(super) fn configuration(
    roots: Option<Vec<CertificateDer<'static>>>,
    trust: Option<&Trust>,
    is_own: bool,
) -> Result<ClientConfig> {
    let failed =
        |cause: &dyn std::fmt::Display| Error::new(ErrorKind::Registry, format!("cannot set up HTTPS: {cause}"));
    let provider = Arc::new(aws_lc_rs::default_provider());
    let authorities = trust.map(|trust| trust.authorities.as_slice()).unwrap_or_default();
    let authorities = roots.map(|roots| roots.into_iter().chain(authorities.iter().cloned()).collect());
    let verifier = Verifier::new(provider.clone(), authorities).map_err(|cause| failed(&cause))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|cause| failed(&cause))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut configuration = match trust.and_then(|trust| trust.identity.as_ref()).filter(|_| is_own) {
        None => builder.with_no_client_auth(),
        Some(TlsIdentity { path, chain, key }) => {
            builder.with_client_auth_cert(chain.clone(), key.clone_key()).map_err(|cause| {
                Error::input(format!("cannot use the certificate {}: {cause}", path.display()))
                    .with_hint("is the .key beside it that of this certificate?")
            })?
        }
    };
    configuration.alpn_protocols = vec![HTTP.to_vec()];
    Ok(configuration)
}

/// Returns TLS as a server speaks it that shows the certificate of this file, with the key of the other. Fails if they are not
/// those of one another.
pub fn server_tls(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>> {
    let TlsIdentity { path, chain, key } = TlsIdentity::read(certificate, key)?;
    let unusable = |cause: rustls::Error| {
        Error::input(format!("cannot use the certificate {}: {cause}", path.display()))
            .with_hint("is the key that of this certificate?")
    };
    let mut configuration = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(unusable)?;
    configuration.alpn_protocols = vec![HTTP.to_vec()];
    Ok(Arc::new(configuration))
}

#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// None where any certificate will do.
    known: Option<Trusted>,
}

#[derive(Debug)]
struct Trusted {
    verifier: Arc<WebPkiServerVerifier>,
    authorities: HashSet<CertificateDer<'static>>,
}

impl Verifier {
    fn new(
        provider: Arc<CryptoProvider>,
        authorities: Option<HashSet<CertificateDer<'static>>>,
    ) -> Result<Verifier, Box<dyn std::error::Error>> {
        let Some(authorities) = authorities else { return Ok(Verifier { provider, known: None }) };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(authorities.iter().cloned());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?;
        Ok(Verifier { provider, known: Some(Trusted { verifier, authorities }) })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(known) = &self.known else { return Ok(ServerCertVerified::assertion()) };
        match known.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // A certificate that vouches for itself, as `openssl req -x509` makes them, may be used by a server if it is
            // trusted. What else there is to object to, such as its age, has been looked at before.
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(_)))
                if known.authorities.contains(end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Returns what a failure of TLS on the way to `url` asks for; none if `error` is not one.
pub(super) fn tls_hint(url: &Url, error: &reqwest::Error) -> Option<String> {
    let host = url.host_str().unwrap_or_default();
    let place = url.port().map_or(host.to_owned(), |port| format!("{host}:{port}"));
    Some(match tls_error(error)? {
        rustls::Error::InvalidCertificate(error) => match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => format!(
                "the certificate of {host} has expired, so whoever runs it has to renew it; or the clock of this \
                 machine is wrong"
            ),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                format!("the certificate of {host} is not valid yet: is the clock of this machine right?")
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
                "the certificate is not for {host}: use a name that it is for, or look for what else answers at this \
                 address"
            ),
            CertificateError::UnknownIssuer | CertificateError::BadSignature | CertificateError::Other(_) => format!(
                "the certificate of {host} is not trusted: put that of the authority which signed it into \
                 /etc/docker/certs.d/{place}/ca.crt or ~/.config/containers/certs.d/{place}/ca.crt, or add it to the \
                 system's, or accept any with --insecure"
            ),
            _ => format!("the certificate of {host} is not valid, so whoever runs it has to replace it"),
        },
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied,
        ) => format!(
            "{host} requires a client certificate that it trusts: put it and its key into \
                /etc/docker/certs.d/{place}/ or ~/.config/containers/certs.d/{place}/ as client.cert and client.key"
        ),
        rustls::Error::InvalidMessage(_) => format!("{host} does not speak TLS: --insecure allows plain HTTP"),
        _ => format!("{host} and this program cannot agree on how to speak TLS"),
    })
}

/// The TLS library's error wears an I/O error, whose sources leave it out.
fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let mut inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        while let Some(error) = inner {
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        }
        cause = error.source();
    }
    None
}
