//! The advice of failures in the words of each storage kind, where the general one names what other kinds have.

use crate::{FailureReason, StorageKind};

impl FailureReason {
    /// The same as [`FailureReason::advice`], in the words of this kind of storage.
    pub const fn advice_for(self, kind: StorageKind) -> &'static str {
        let own = match kind {
            StorageKind::S3 | StorageKind::S3s => self.of_s3(),
            StorageKind::Gcs => self.of_gcs(),
            StorageKind::Azure => self.of_azure(),
            StorageKind::Redis => self.of_redis(),
            StorageKind::Localfiles => self.of_localfiles(),
        };
        match own {
            Some(text) => text,
            None => self.advice(),
        }
    }

    const fn of_s3(self) -> Option<&'static str> {
        Some(match self {
            Self::UnknownAccessKey => {
                "The storage does not know this access key. Check the access key ID, and that it is one of this endpoint."
            }
            Self::WrongSecretKey => "The secret key does not match the access key ID. Check the secret access key.",
            Self::MissingCredentials => {
                "Longshore found no credentials for this storage. Enter an access key ID and a secret access key. Or ask the operator to give the scheduler and the workers credentials through their environment or a role."
            }
            Self::AccessDenied => {
                "The storage denied access. Grant these credentials the missing permission: LIST and GET for import (`s3:ListBucket`, `s3:GetObject`), PUT for export (`s3:PutObject`), DELETE if the storage may delete objects (`s3:DeleteObject`). `longshore doctor` prints the policy of a saved storage."
            }
            Self::Unreachable => {
                "The endpoint cannot be reached: its host name does not resolve, or nothing listens there. Check the endpoint and its port."
            }
            Self::BadAnswer => {
                "The endpoint did not answer as S3 does. Check the endpoint: the address of a web console or of a proxy is not that of the store's API."
            }
            _ => return None,
        })
    }

    const fn of_gcs(self) -> Option<&'static str> {
        Some(match self {
            Self::NoSuchBucket => "The bucket does not exist. Check its name.",
            Self::UnknownAccessKey => "Google Cloud does not know this service account. Check its key file.",
            Self::WrongSecretKey => "Google Cloud does not accept the key of this service account. Check its key file.",
            Self::MissingCredentials => {
                "Longshore found no credentials for this storage. Enter the JSON key of a service account. Or ask the operator to give the scheduler and the workers credentials through their environment."
            }
            Self::AccessDenied => {
                "Google Cloud denied access. Grant the service account a role on this bucket: Storage Object Viewer for import, Storage Object User for export."
            }
            Self::Unreachable => {
                "Google Cloud cannot be reached: its host name does not resolve, or nothing answers. Ask the operator to check the network of the scheduler and the workers."
            }
            Self::BadAnswer => {
                "The server did not answer as Google Cloud Storage does. Ask the operator what is between Longshore and Google Cloud."
            }
            _ => return None,
        })
    }

    const fn of_azure(self) -> Option<&'static str> {
        Some(match self {
            Self::NoSuchBucket => "The container does not exist. Check its name, and the name of the storage account.",
            Self::UnknownAccessKey => "Azure does not know this storage account. Check the account name.",
            Self::WrongSecretKey => "The key does not match the storage account. Check the account key.",
            Self::MissingCredentials => {
                "Longshore found no credentials for this storage. Enter the account name and the account key. Or ask the operator to give the scheduler and the workers credentials through their environment."
            }
            Self::AccessDenied => {
                "Azure denied access. Check that the storage account allows its keys (\"Allow storage account key access\") and the network of the scheduler and the workers, and that the blob is not archived."
            }
            Self::Unreachable => {
                "The storage account cannot be reached: its host name does not resolve, or nothing listens there. Check the account name, and the endpoint if the storage has one."
            }
            Self::BadAnswer => "The endpoint did not answer as Azure Blob Storage does. Check the endpoint.",
            _ => return None,
        })
    }

    const fn of_redis(self) -> Option<&'static str> {
        Some(match self {
            Self::AccessDenied => {
                "The server denied access. Grant this user the missing commands and keys: `longshore doctor ID` prints the line for its ACL."
            }
            Self::Unreachable => {
                "The server cannot be reached: the host name does not resolve, or nothing listens at this port. Check host and port."
            }
            Self::BlockedAddress => {
                "The host has a private or local address, and Longshore blocks these. Ask the operator to add it to `LONGSHORE_ALLOWED_ENDPOINTS`."
            }
            Self::Tls => {
                "The TLS connection failed: the server's certificate was not accepted, or this port speaks no TLS. Check the switch for TLS and the certificate."
            }
            Self::BadAnswer => {
                "What listens there did not answer like a Redis server. Check host and port, and whether it needs TLS."
            }
            Self::InvalidSettings => {
                "A setting of the storage is wrong, or the server rejected a command. Check the settings; the log of the scheduler or worker has the details."
            }
            Self::Unavailable => "The server did not answer in time, or cannot serve now. Try again later.",
            Self::Throttled => {
                "The server has as many clients as its `maxclients` allows. Try again later, or raise the limit."
            }
            Self::ReadOnly => {
                "The server is a read-only replica, which accepts no writes. Name its master as the host."
            }
            Self::StorageFull => "The server has reached its memory limit. Free some memory, or raise `maxmemory`.",
            Self::NoSuchObject => "The server has no value under this key. Check the key.",
            _ => return None,
        })
    }

    const fn of_localfiles(self) -> Option<&'static str> {
        Some(match self {
            Self::AccessDenied => {
                "The user that Longshore runs as has no permission for this folder. Grant it on the machines of the scheduler and the workers."
            }
            Self::Unavailable => {
                "The disk of the scheduler or worker gave an error. Try again later, and ask the operator to look at the machine if it stays so."
            }
            Self::ReadOnly => {
                "The folder is mounted read-only. Mount it so that Longshore may write, or choose another folder."
            }
            Self::StorageFull => "The disk is full, or a quota is reached. Free some space, or raise the quota.",
            Self::NoSuchObject => "There is no such file in the folder. Check the path.",
            Self::NoSuchFolder => {
                "The folder does not exist on the machines of the scheduler and the workers, or the path is that of a file. Check the path."
            }
            _ => return None,
        })
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
