//! TLS for all clients of this process: Postgres, the broker and storages. The one place that reads trusted
//! certificates.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme, WantsVerifier,
};

/// How a client checks its server, and proves who it is.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// A PEM file with the trusted certificate authorities. `None` trusts those of the system.
    pub authorities: Option<PathBuf>,
    /// Whether a valid certificate for another host name is accepted. Only for private authorities, which certify
    /// nothing but the operator's own servers.
    pub accepts_other_names: bool,
    /// PEM files with the client's certificate chain and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Why a client configuration could not be made. Names the file, never its content.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing, unreadable or not PEM.
    #[error("cannot read {file}: {reason}", file = .file.display())]
    File {
        /// The file that the operator named.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The cryptographic provider refuses the certificates, or supports no TLS version.
    #[error("the certificates cannot be used")]
    Certificates(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        Self::Certificates(Box::new(error))
    }
}

/// Creates a client configuration that trusts the system's certificates and checks names.
///
/// # Errors
/// The cryptographic provider supports no TLS version, which is an error in the build.
pub fn tls_config() -> Result<ClientConfig, rustls::Error> {
    Ok(builder()?.with_root_certificates(system_authorities()).with_no_client_auth())
}

/// Creates a client configuration that trusts no server. For clients that never use TLS but whose type needs one.
///
/// # Errors
/// As [`tls_config`].
pub fn tls_config_without_trust() -> Result<ClientConfig, rustls::Error> {
    Ok(builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

/// Creates a client configuration.
///
/// # Errors
/// A file cannot be used, or as [`tls_config`].
pub fn tls_config_of(options: &TlsOptions) -> Result<ClientConfig, TlsError> {
    let roots = Arc::new(match &options.authorities {
        Some(file) => authorities(file)?,
        None => system_authorities(),
    });
    let builder = builder().map_err(unusable)?;
    let builder = if options.accepts_other_names {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build().map_err(unusable)?;
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyName(verifier)))
    } else {
        builder.with_root_certificates(roots)
    };
    let Some((chain, key)) = &options.identity else { return Ok(builder.with_no_client_auth()) };
    let private_key = PrivateKeyDer::from_pem_file(key).map_err(unreadable(key))?;
    builder.with_client_auth_cert(certificates(chain)?, private_key).map_err(unusable)
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, rustls::Error> {
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider())).with_safe_default_protocol_versions()
}

fn system_authorities() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // Single unreadable certificate files are common. If there is no certificate at all, only TLS connections fail.
    let (trusted, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if trusted == 0 {
        tracing::warn!(event = "no_trusted_certificates", "no trusted certificates found: TLS connections will fail");
    }
    roots
}

/// The authorities in a file that the operator named. Unlike the system's, each of them must be usable.
fn authorities(file: &PathBuf) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(unreadable(file))?;
    }
    Ok(roots)
}

/// The certificates in a PEM file: at least one.
fn certificates(file: &PathBuf) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(|certificates| certificates.collect())
        .map_err(unreadable(file))?;
    if certificates.is_empty() {
        return Err(unreadable(file)("it has no certificate in PEM format"));
    }
    Ok(certificates)
}

fn unreadable<E: fmt::Display>(file: &Path) -> impl FnOnce(E) -> TlsError {
    |reason| TlsError::File { file: file.to_path_buf(), reason: reason.to_string() }
}

fn unusable(error: impl std::error::Error + Send + Sync + 'static) -> TlsError {
    TlsError::Certificates(Box::new(error))
}

/// Checks a certificate except for its name.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is checked last, so the chain and the dates are valid.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            checked => checked,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
