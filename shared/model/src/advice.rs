//! The advice of failures in the words of each storage kind, where the general one names what other kinds have.

use crate::{FailureReason, StorageKind};

impl FailureReason {
    /// The same as [`FailureReason::advice`], in the words of this kind of storage.
    pub const fn advice_for(self, kind: StorageKind) -> &'static str {
        use StorageKind as Kind;
        match (self, kind) {
            (Self::NoSuchBucket, Kind::S3 | Kind::S3s) => {
                "The bucket does not exist. Check its name, the region and the endpoint."
            }
            (Self::NoSuchBucket, Kind::Gcs) => "The bucket does not exist. Check its name.",
            (Self::NoSuchBucket, Kind::Azure) => {
                "The container does not exist. Check its name, and the name of the storage account."
            }
            (Self::UnknownAccessKey, Kind::S3 | Kind::S3s) => {
                "The storage does not know this access key. Check the access key ID, and that it is one of this endpoint."
            }
            (Self::UnknownAccessKey, Kind::Gcs) => {
                "Google Cloud does not know this service account. Check its key file."
            }
            (Self::UnknownAccessKey, Kind::Azure) => {
                "Azure does not know this storage account. Check the account name."
            }
            (Self::WrongSecretKey, Kind::S3 | Kind::S3s) => {
                "The secret key does not match the access key ID. Check the secret access key."
            }
            (Self::WrongSecretKey, Kind::Gcs) => {
                "Google Cloud does not accept the key of this service account. Check its key file."
            }
            (Self::WrongSecretKey, Kind::Azure) => "The key does not match the storage account. Check the account key.",
            (Self::MissingCredentials, Kind::S3 | Kind::S3s) => {
                "Longshore found no credentials for this storage. Enter an access key ID and a secret access key. Or ask the operator to give the scheduler and the workers credentials through their environment or a role."
            }
            (Self::MissingCredentials, Kind::Gcs) => {
                "Longshore found no credentials for this storage. Enter the JSON key of a service account. Or ask the operator to give the scheduler and the workers credentials through their environment."
            }
            (Self::MissingCredentials, Kind::Azure) => {
                "Longshore found no credentials for this storage. Enter the account name and the account key. Or ask the operator to give the scheduler and the workers credentials through their environment."
            }
            (Self::AccessDenied, Kind::Redis) => {
                "The server denied access. Grant this user the missing commands and keys: `longshore doctor ID` prints the line for its ACL."
            }
            (Self::AccessDenied, Kind::Localfiles) => {
                "The user that Longshore runs as has no permission for this folder. Grant it on the machines of the scheduler and the workers."
            }
            (Self::Unreachable, Kind::Redis) => {
                "The server cannot be reached: the host name does not resolve, or nothing listens at this port. Check host and port."
            }
            (Self::Unreachable, Kind::S3 | Kind::S3s) => {
                "The endpoint cannot be reached: its host name does not resolve, or nothing listens there. Check the endpoint and its port."
            }
            (Self::BlockedAddress, Kind::Redis) => {
                "The host has a private or local address, and Longshore blocks these. Ask the operator to add it to `LONGSHORE_ALLOWED_ENDPOINTS`."
            }
            (Self::Tls, Kind::Redis) => {
                "The TLS connection failed: the server's certificate was not accepted, or this port speaks no TLS. Check the switch for TLS and the certificate."
            }
            (Self::BadAnswer, Kind::Redis) => {
                "What listens there did not answer like a Redis server. Check host and port, and whether it needs TLS."
            }
            (Self::InvalidSettings, Kind::Redis) => {
                "A setting of the storage is wrong, or the server rejected a command. Check the settings; the log of the scheduler or worker has the details."
            }
            _ => self.advice(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_of_a_kind_says_what_happened_and_then_what_to_do() {
        for reason in FailureReason::ALL {
            for kind in StorageKind::ALL {
                let advice = reason.advice_for(*kind);
                assert!(advice.ends_with('.') && advice.contains(". "), "{reason} of {kind}: {advice}");
            }
        }
    }
}
