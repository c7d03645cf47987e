//! Why a TLS handshake failed, and what an operator does about it.

use std::error::Error;
use std::io;

use rustls::CertificateError;

/// The cause of a failed handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsRefusal {
    /// No trusted authority issued the certificate.
    UnknownAuthority,
    /// The certificate is for another host name.
    OtherName,
    /// The certificate has expired, or is not valid yet.
    Dates,
    /// The certificate is that of an authority. A server needs one of its own.
    Authority,
    /// The certificate is invalid for another reason.
    Certificate,
    /// The server wants a certificate of the client, or refuses it.
    ClientCertificate,
    /// What answered does not speak TLS, or no version in common.
    Protocol,
}

impl TlsRefusal {
    /// Finds the cause in a chain of errors. `None` if no part of it is about TLS.
    pub fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(refusal) = error.downcast_ref::<rustls::Error>() {
                return Some(Self::of_rustls(refusal));
            }
            // An I/O error hides the error that it was made of from `source`.
            next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
                Some(inner) => Some(inner),
                None => error.source(),
            };
        }
        None
    }

    fn of_rustls(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(reason) => match reason {
                CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownAuthority,
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Self::OtherName,
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => Self::Dates,
                other if format!("{other:?}").contains("CaUsedAsEndEntity") => Self::Authority,
                _ => Self::Certificate,
            },
            rustls::Error::AlertReceived(alert) => {
                let alert = format!("{alert:?}");
                let is_about_client =
                    ["Certificate", "UnknownCA", "AccessDenied"].iter().any(|word| alert.contains(word));
                if is_about_client { Self::ClientCertificate } else { Self::Protocol }
            }
            _ => Self::Protocol,
        }
    }

    /// What to do. `authorities` and `other_name` say how this client is told to trust an authority, and to accept
    /// another name.
    pub fn advice(self, authorities: &str, other_name: &str) -> String {
        match self {
            Self::UnknownAuthority => {
                format!("name the file with the authority that issued the certificate: {authorities}")
            }
            Self::OtherName => {
                format!(
                    "connect to a host name that the certificate lists, or give the server a certificate for this one{other_name}"
                )
            }
            Self::Dates => "renew the certificate of the server, or correct the clock of this machine".to_owned(),
            Self::Authority => {
                "the server shows the certificate of an authority: issue a certificate for the server with it"
                    .to_owned()
            }
            Self::Certificate => "give the server a valid certificate".to_owned(),
            Self::ClientCertificate => "the server wants a client certificate that it trusts".to_owned(),
            Self::Protocol => "does this port speak TLS?".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_found_inside_of_io_errors() {
        let refusal = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let nested = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, refusal));
        assert_eq!(TlsRefusal::of(&nested), Some(TlsRefusal::UnknownAuthority));
        assert_eq!(TlsRefusal::of(&io::Error::other("closed")), None);
    }
}
