//! TLS for all clients of this process: Postgres and storages.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};

/// Creates a client configuration that trusts the system's certificates.
///
/// # Errors
/// The cryptographic provider supports no TLS version, which is an error in the build.
pub fn tls_config() -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    // Single unreadable certificate files are common. If there is no certificate at all, only TLS connections fail.
    let (trusted, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if trusted == 0 {
        tracing::warn!(event = "no_trusted_certificates", "no trusted certificates found: TLS connections will fail");
    }
    Ok(ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
