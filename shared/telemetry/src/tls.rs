//! TLS for every client of this process: Postgres and storages.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};

/// A client configuration that trusts what this machine trusts.
///
/// # Errors
/// The cryptographic provider supports no TLS version, which is a fault of the build.
pub fn tls_config() -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    // Single files that do not parse are common; none at all only matters once TLS is used.
    let (trusted, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if trusted == 0 {
        tracing::warn!(event = "no_trusted_certificates", "no trusted certificates found: TLS connections will fail");
    }
    Ok(ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
