//! Why a job failed. The set is closed, so a reason can be a metric label and code can decide by it.

use serde::{Deserialize, Serialize};

use crate::word::words;

words! {
    /// Why a job was discarded, or why a storage connection failed.
    FailureReason {
        /// The storage does not know the access key.
        UnknownAccessKey = "unknown_access_key",
        /// The secret key does not match the access key.
        WrongSecretKey = "wrong_secret_key",
        /// The user name or the password is wrong, or the server requires one and none is set.
        WrongPassword = "wrong_password",
        /// There are no credentials in the storage, the environment or the default chain.
        MissingCredentials = "missing_credentials",
        /// The credentials or the session token have expired.
        ExpiredCredentials = "expired_credentials",
        /// AWS denies the role: its ARN, the external ID or its trust policy does not match.
        RoleDenied = "role_denied",
        /// This process has no working AWS credentials with which it could assume a role.
        NoIdentity = "no_identity",
        /// The storage has no credentials, and the operator does not let it use those of this process.
        OwnIdentityDenied = "own_identity_denied",
        /// The credentials are valid but lack the permission.
        AccessDenied = "access_denied",
        /// The bucket or the container does not exist.
        NoSuchBucket = "no_such_bucket",
        /// The bucket is in another region.
        WrongRegion = "wrong_region",
        /// The clock of this machine differs too much from the storage's clock.
        ClockSkew = "clock_skew",
        /// The storage's TLS certificate was not accepted, or the port speaks no TLS.
        Tls = "tls",
        /// The address is private, loopback, link-local or a metadata service, and the operator has not allowed it.
        BlockedAddress = "blocked_address",
        /// The host name does not resolve, or nothing listens there.
        Unreachable = "unreachable",
        /// The storage did not answer in time, reset the connection, or answered with a 5xx status.
        Unavailable = "unavailable",
        /// The storage limited the request rate, even after retries.
        Throttled = "throttled",
        /// The answer is not one that this kind of storage gives.
        BadAnswer = "bad_answer",
        /// The store does not say how its listing continues.
        UnsupportedListing = "unsupported_listing",
        /// The answer is not the object that the storage's listing shows.
        ContentMismatch = "content_mismatch",
        /// Objects that were exported earlier are missing in the storage.
        TargetChanged = "target_changed",
        /// None of the first objects of an import can be used, all for the same reason.
        AllObjectsUnusable = "all_objects_unusable",
        /// A setting of the storage is wrong.
        InvalidSettings = "invalid_settings",
        /// The storage has no object with this key.
        NoSuchObject = "no_such_object",
        /// The object ends before the requested byte range begins.
        NoSuchRange = "no_such_range",
        /// The object is larger than the caller accepts.
        TooLarge = "too_large",
        /// The value under the key is not a string.
        WrongValueType = "wrong_value_type",
        /// This kind of storage has no presigned URLs, or its credentials cannot sign.
        NoSignedUrls = "no_signed_urls",
        /// The storage accepts no writes: it is a replica, or it is mounted read-only.
        ReadOnly = "read_only",
        /// The storage has no space left.
        StorageFull = "storage_full",
        /// The folder does not exist on this machine.
        NoSuchFolder = "no_such_folder",
        /// The folder is the document root itself.
        RootItself = "root_itself",
        /// The path is not below the document root, or leaves it through a link.
        OutsideRoot = "outside_root",
        /// The operator has not allowed access to files of this machine.
        LocalFilesDisabled = "local_files_disabled",
        /// None of this process's keys can decrypt the storage's secrets.
        SealedSecrets = "sealed_secrets",
        /// A user changed the storage's server or account while a sync ran, or the bucket of a storage without credentials.
        StorageMoved = "storage_moved",
        /// The storage or its project was deleted in Label Studio while a sync ran.
        StorageDeleted = "storage_deleted",
        /// The tables of Label Studio are not ones that this release can write.
        HostUnsupported = "host_unsupported",
        /// A table of Label Studio has no IDs left.
        HostFull = "host_full",
        /// Label Studio heard nothing of the sync for 25 s, took it for dead and started its own.
        TakenOver = "taken_over",
        /// A sync of Label Studio itself had the storage when this one was to start.
        SyncLive = "sync_live",
        /// Too many attempts in a row ended because their worker stopped or stalled.
        WorkerLost = "worker_lost",
        /// An error inside Longshore; the log has the cause.
        Internal = "internal",
    }
}

impl FailureReason {
    /// What happened, then what the user can do about it, in full sentences.
    ///
    /// The API, the CLI and the host show this text unchanged. It never has text from a storage's answer.
    #[expect(clippy::too_many_lines, reason = "a table with one text per reason")]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::UnknownAccessKey => {
                "The storage does not know this access key. Check the access key ID, on Azure the account name, on Google Cloud the service account."
            }
            Self::WrongSecretKey => {
                "The secret key does not match the access key ID or the account. Check the secret access key, on Azure the account key, on Google Cloud the service account's key."
            }
            Self::WrongPassword => {
                "The server did not accept the user name and the password. Check both; leave them empty if the server requires none."
            }
            Self::MissingCredentials => {
                "Longshore found no credentials for this storage. Enter an access key ID and a secret access key, on Google Cloud the JSON key of a service account. Or ask the operator to give the scheduler and the workers credentials through their environment or a role."
            }
            Self::ExpiredCredentials => "The credentials have expired. Enter new ones.",
            Self::RoleDenied => {
                "AWS did not let Longshore assume the role. Check the role ARN. The role's trust policy must allow Longshore's identity to call `sts:AssumeRole` with the external ID of the project, which `longshore project show` prints."
            }
            Self::NoIdentity => {
                "The AWS credentials of the scheduler and the workers are missing or do not work. Longshore needs them to assume a role, and to read a bucket without access keys. Ask the operator to set them."
            }
            Self::OwnIdentityDenied => {
                "This storage would use Longshore's own cloud identity, and the operator has not lent it to this project. Enter credentials that belong to the storage. Or ask an admin of all projects to save it, or the operator to set `LONGSHORE_OWN_IDENTITY`."
            }
            Self::AccessDenied => {
                "The storage denied access. Grant these credentials the missing permission: LIST and GET for import, PUT for export, DELETE if the storage may delete objects."
            }
            Self::NoSuchBucket => "The bucket does not exist. Check its name, the region and the endpoint.",
            Self::WrongRegion => "The bucket is in another region. Set the bucket's region.",
            Self::ClockSkew => {
                "The clock of the scheduler or worker differs too much from the storage's clock. Ask the operator to set the clock."
            }
            Self::Tls => {
                "The TLS connection failed: the endpoint's certificate was not accepted, or this port speaks no TLS. Check whether the endpoint begins with `https://` or `http://`, and its certificate, or ask the operator to add the certificate's authority to the trusted ones of the scheduler and the workers."
            }
            Self::BlockedAddress => {
                "The endpoint has a private or local address, and Longshore blocks these. Ask the operator to add the endpoint to `LONGSHORE_ALLOWED_ENDPOINTS`; metadata services stay blocked."
            }
            Self::Unreachable => {
                "The endpoint cannot be reached: its host name does not resolve, or nothing listens there. Check the endpoint."
            }
            Self::Unavailable => {
                "The storage did not answer in time, or answered with a server error. Try again later."
            }
            Self::Throttled => "The storage limited the request rate. Try again later.",
            Self::UnsupportedListing => {
                "The store does not list all keys: after the first page, its server honors neither continuation tokens nor markers nor `start-after`, or it leads in a circle, or it hides keys below folders. Use another server, or make the prefix narrower."
            }
            Self::BadAnswer => "The endpoint did not answer like this kind of storage. Check the endpoint.",
            Self::ContentMismatch => {
                "The storage did not return the object that its listing shows, but something else, such as a proxy's error page or a part of the object. Check the endpoint, and what is between Longshore and the storage. Longshore tries such an object again at the end of the sync and in the next sync."
            }
            Self::TargetChanged => {
                "Objects that were exported earlier are missing in the storage: someone deleted them, or the bucket was created again. Export all annotations again: `longshore sync start ID --all`, or `\"mode\": \"all\"` in the options of the sync."
            }
            Self::AllObjectsUnusable => {
                "None of the objects of the first page can be imported, all for the same reason, so the sync stopped at once. Check prefix and file filter, and whether the storage holds images or other media: those need \"Treat every bucket object as a source file\" (`use_blob_urls`). To import the rest of the bucket all the same, set `stop_when_unusable` to false."
            }
            Self::InvalidSettings => {
                "A setting of the storage is wrong, or the storage rejected a request as invalid. Check the settings; the log of the scheduler or worker has the details."
            }
            Self::NoSuchObject => "The storage has no object with this key. Check the key.",
            Self::NoSuchRange => {
                "The requested byte range is past the end of the object. Request bytes that the object has."
            }
            Self::TooLarge => "The object is too large. Make it smaller, or ask the operator to raise the limit.",
            Self::WrongValueType => "The value under this key is not a string. Store it as a string: `SET key value`.",
            Self::NoSignedUrls => {
                "This storage has no presigned URLs, because its kind has none or its credentials cannot sign. Switch presigned URLs off."
            }
            Self::ReadOnly => {
                "The storage accepts no writes: it is a read-only replica, or it is mounted read-only. Use a storage that accepts writes."
            }
            Self::StorageFull => "The storage is full. Free some space.",
            Self::NoSuchFolder => {
                "The folder does not exist on the machines of the scheduler and the workers. Check the path."
            }
            Self::RootItself => {
                "The path is the document root itself, and for safety the root may not be a storage. Choose a folder below it, such as its sub-folder `dataset1`."
            }
            Self::OutsideRoot => {
                "The path is outside the document root (`LOCAL_FILES_DOCUMENT_ROOT`, which may be a folder for each project), or a link leads out of it, which is blocked for safety. Choose a folder below the root of this project."
            }
            Self::LocalFilesDisabled => {
                "Local files are switched off, which is the default for safety. Ask the operator to set `LOCAL_FILES_SERVING_ENABLED` to `true` and `LOCAL_FILES_DOCUMENT_ROOT` to a folder, for the scheduler and the workers."
            }
            Self::SealedSecrets => {
                "The secrets of the storage cannot be decrypted. Enter them again, or ask the operator to add the key that encrypted them to `LONGSHORE_SECRET_KEYS`."
            }
            Self::StorageMoved => {
                "The storage's server, account or bucket was changed while this sync ran. Start a new sync."
            }
            Self::StorageDeleted => {
                "The storage or its project was deleted in Label Studio while this sync ran. Tasks imported before stay as Label Studio left them; nothing needs to be done."
            }
            Self::HostUnsupported => {
                "Label Studio's tables are not ones that this release of Longshore can write, so nothing was written. Ask the operator to run `longshore-scheduler check`."
            }
            Self::HostFull => {
                "A table of Label Studio has no IDs left, so nothing was written. Ask the operator to widen its column `id`, or to start a new database of Label Studio."
            }
            Self::TakenOver => {
                "Label Studio heard nothing of this sync for 25 seconds, took it for dead and started its own. What was imported until then is kept. When that sync has ended, start a new one. If it happens again, ask the operator whether the scheduler and the workers were paused."
            }
            Self::SyncLive => "Label Studio itself was syncing this storage. Start a new sync when that one has ended.",
            Self::WorkerLost => {
                "Workers stopped or stalled again and again during this job, and Longshore found no single object that causes it. Ask the operator to check the workers' memory limit and logs."
            }
            Self::Internal => "An error occurred inside Longshore. Ask the operator to look up its cause in the log.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_says_what_happened_and_then_what_to_do() {
        for reason in FailureReason::ALL {
            let advice = reason.advice();
            assert!(advice.ends_with('.') && advice.contains(". "), "{reason} needs at least two sentences: {advice}");
        }
    }
}
