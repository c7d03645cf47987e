//! Why something could not be moved: closed sets, so that they can be labels and be acted on.

use serde::{Deserialize, Serialize};

use crate::word::words;

words! {
    /// Why one object or one annotation is in quarantine.
    QuarantineReason {
        /// The object has no bytes.
        Empty = "empty",
        /// Not JSON, or cut off in the middle.
        InvalidJson = "invalid_json",
        /// The bytes are not UTF-8.
        NotUtf8 = "not_utf8",
        /// A JSON value that is neither an object nor a list of objects.
        WrongType = "wrong_type",
        /// Nested deeper than the limit.
        TooDeep = "too_deep",
        /// Larger than the size limit, as stored or once unpacked.
        TooLarge = "too_large",
        /// More items than one object may hold.
        TooManyItems = "too_many_items",
        /// `annotations` or `predictions` without `data`.
        MissingData = "missing_data",
        /// `annotations` is not a list of usable annotations.
        InvalidAnnotations = "invalid_annotations",
        /// `predictions` is not a list of usable predictions.
        InvalidPredictions = "invalid_predictions",
        /// A `.gz` or `.zst` object that does not unpack.
        CorruptCompression = "corrupt_compression",
        /// An extension that is neither JSON nor a supported compression of it.
        UnsupportedExtension = "unsupported_extension",
        /// A value that the database cannot hold, such as `\u0000` in a text.
        UnsupportedValue = "unsupported_value",
        /// A key that the database cannot hold.
        UnsupportedKey = "unsupported_key",
        /// A value of the database that is not a text, such as a list or a hash of Redis.
        WrongValueType = "wrong_value_type",
        /// The file filter takes too many steps to say whether it matches the key.
        FilterTooSlow = "filter_too_slow",
        /// What carries the name is no file with content: a pipe, a socket, a device.
        NotAFile = "not_a_file",
        /// The storage refuses this one object.
        Denied = "denied",
        /// The storage did not give or take this one object, however often it was asked.
        Unavailable = "unavailable",
        /// The storage says that the request for this one object is wrong.
        Refused = "refused",
        /// The worker stopped or stalled whenever it worked on this one object.
        Poison = "poison",
    }
}

impl QuarantineReason {
    /// Whether the next sync tries again although the object did not change.
    pub const fn is_transient(self) -> bool {
        match self {
            // The filter may have changed since, which no etag shows.
            Self::Unavailable | Self::FilterTooSlow => true,
            Self::Empty
            | Self::InvalidJson
            | Self::NotUtf8
            | Self::WrongType
            | Self::TooDeep
            | Self::TooLarge
            | Self::TooManyItems
            | Self::MissingData
            | Self::InvalidAnnotations
            | Self::InvalidPredictions
            | Self::CorruptCompression
            | Self::UnsupportedExtension
            | Self::UnsupportedValue
            | Self::UnsupportedKey
            | Self::WrongValueType
            | Self::NotAFile
            | Self::Denied
            | Self::Refused
            | Self::Poison => false,
        }
    }
}

words! {
    /// Why a job was discarded, or a connection refused.
    FailureReason {
        /// The access key is not known to the storage.
        UnknownAccessKey = "unknown_access_key",
        /// The secret key does not fit the access key.
        WrongSecretKey = "wrong_secret_key",
        /// The user name or the password is not right, or one is asked for and none is given.
        WrongPassword = "wrong_password",
        /// No credentials in the storage, the environment or the default chain.
        MissingCredentials = "missing_credentials",
        /// The credentials or the session token have expired.
        ExpiredCredentials = "expired_credentials",
        /// The role may not be assumed: its name, the external id or its trust policy does not fit.
        RoleDenied = "role_denied",
        /// This process has no AWS identity that could assume a role.
        NoIdentity = "no_identity",
        /// The credentials are fine but may not do this.
        AccessDenied = "access_denied",
        NoSuchBucket = "no_such_bucket",
        /// The bucket lives in another region.
        WrongRegion = "wrong_region",
        /// The clocks of this machine and the storage differ too much.
        ClockSkew = "clock_skew",
        /// The storage's certificate is not accepted.
        Tls = "tls",
        /// The address is private, loopback, link-local or metadata, and not allowed by the operator.
        BlockedAddress = "blocked_address",
        /// The host name does not resolve, or nothing listens there.
        Unreachable = "unreachable",
        /// No answer in time, a reset connection, a 5xx.
        Unavailable = "unavailable",
        /// The storage asks for patience, again and again.
        Throttled = "throttled",
        /// The answer is not what this kind of storage says.
        BadAnswer = "bad_answer",
        /// A setting of the storage cannot work.
        InvalidSettings = "invalid_settings",
        /// Nothing is stored under the key.
        NoSuchObject = "no_such_object",
        /// The object ends before the range that was asked for begins.
        NoSuchRange = "no_such_range",
        /// The object is larger than the caller takes.
        TooLarge = "too_large",
        /// The value under the key is not a text.
        WrongValueType = "wrong_value_type",
        /// This kind of storage has no signed URLs.
        NoSignedUrls = "no_signed_urls",
        /// The storage takes nothing at present: a replica, or mounted read-only.
        ReadOnly = "read_only",
        /// No room is left for what is to be written.
        StorageFull = "storage_full",
        /// There is no such folder on this machine.
        NoSuchFolder = "no_such_folder",
        /// The folder is the document root itself.
        RootItself = "root_itself",
        /// The path is not below the document root, or leaves it by a link.
        OutsideRoot = "outside_root",
        /// The operator has not opened files of this machine.
        LocalFilesDisabled = "local_files_disabled",
        /// The secrets of the storage cannot be opened with the keys of this process.
        SealedSecrets = "sealed_secrets",
        /// The storage's server or account changed while a sync ran.
        StorageMoved = "storage_moved",
        /// The worker stopped or stalled, again and again.
        WorkerLost = "worker_lost",
        /// Longshore's own fault: see the log.
        Internal = "internal",
    }
}

impl FailureReason {
    /// What the user can do about it, in one sentence.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::UnknownAccessKey => {
                "Check the access key ID, on Azure the account name, on Google Cloud the service account of the key: the storage does not know it."
            }
            Self::WrongSecretKey => {
                "Check the secret access key, on Azure the account key, on Google Cloud the service account's key: it does not fit the access key ID or account."
            }
            Self::WrongPassword => "Check the user name and the password: the server does not take them.",
            Self::MissingCredentials => {
                "Enter an access key ID and a secret access key, on Google Cloud the JSON of a service account's key, or give the workers credentials by environment or role."
            }
            Self::ExpiredCredentials => "Enter fresh credentials: these have expired.",
            Self::RoleDenied => {
                "Check the role ARN and the external ID, and that the role's trust policy allows sts:AssumeRole to Longshore's identity with this external ID."
            }
            Self::NoIdentity => {
                "Ask the operator to give scheduler and workers working AWS credentials of their own: roles, and buckets without keys, are used with them."
            }
            Self::AccessDenied => {
                "Grant the missing permission (LIST and GET for import, PUT for export) to these credentials."
            }
            Self::NoSuchBucket => "Check the bucket name, the region and the endpoint: there is no such bucket.",
            Self::WrongRegion => "Set the region the bucket lives in.",
            Self::ClockSkew => "Set the clock of this machine: it differs too much from the storage's.",
            Self::Tls => "Check the endpoint's certificate, or add its authority to the system's trusted certificates.",
            Self::BlockedAddress => {
                "Ask the operator to add this endpoint to LONGSHORE_ALLOWED_ENDPOINTS: private and local addresses are blocked."
            }
            Self::Unreachable => {
                "Check the endpoint, on Azure without one the account name: the host does not resolve or nothing listens there."
            }
            Self::Unavailable => "Try again later: the storage does not answer as it should.",
            Self::Throttled => "Try again later: the storage asks for fewer requests.",
            Self::BadAnswer => "Check the endpoint: the answer is not that of this kind of storage.",
            Self::InvalidSettings => "Correct the settings of the storage.",
            Self::NoSuchObject => "Check the key: there is no such object.",
            Self::NoSuchRange => "Ask for bytes that the object has.",
            Self::TooLarge => "Make the object smaller or raise the limit.",
            Self::WrongValueType => "Store the value as a string: SET key value.",
            Self::NoSignedUrls => {
                "Switch pre-signed URLs off: this kind of storage has none, or these credentials cannot sign."
            }
            Self::ReadOnly => "Use a server that takes writes: this one is a read-only replica or mounted read-only.",
            Self::StorageFull => "Make room in the storage: it is full.",
            Self::NoSuchFolder => "Check the path: there is no such folder on the machines of scheduler and workers.",
            Self::RootItself => {
                "Choose a folder below LOCAL_FILES_DOCUMENT_ROOT, such as its sub-folder dataset1: for safety the root itself may not be a storage."
            }
            Self::OutsideRoot => {
                "Choose a folder below LOCAL_FILES_DOCUMENT_ROOT: for safety nothing outside of it, and no link that leads there, may be a storage."
            }
            Self::LocalFilesDisabled => {
                "Ask the operator to set LOCAL_FILES_SERVING_ENABLED to true on scheduler and workers: for safety files of these machines are closed."
            }
            Self::SealedSecrets => "Enter the secrets again, or give this process the key they were sealed with.",
            Self::StorageMoved => "Start a new sync: the storage's server or account changed while this one ran.",
            Self::WorkerLost => {
                "Check the workers' memory limit and logs: they stopped or stalled again and again during this job, whatever its pages held."
            }
            Self::Internal => "Look in the log of the process for this id.",
        }
    }
}
