//! AWS profiles with a way to sign in that this build does not support.

use aws_credential_types::provider::error::CredentialsError;
use longshore_telemetry::error_chain;

/// Why the process's AWS profile cannot be used, and what to do about it. The texts are for users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnsupportedProfile {
    #[error(
        "The AWS profile of this process signs in with single sign-on (SSO), which this build does not include. Use the programs \
         that `make dist` builds."
    )]
    SingleSignOn,
    #[error(
        "The AWS profile of this process gets credentials from a command (`credential_process`), and Longshore does not run \
         commands. Use a profile with keys, a role or a web identity."
    )]
    Command,
    #[error(
        "The AWS profile of this process uses the session of `aws login`, which Longshore does not read. Use a profile with \
         keys, a role or a web identity."
    )]
    Login,
}

impl UnsupportedProfile {
    /// Reads the SDK's error, which names the missing cargo feature only in its text.
    pub(super) fn of(error: &CredentialsError) -> Option<Self> {
        let text = error_chain(error).to_string();
        let features =
            [("sso", Self::SingleSignOn), ("credentials-process", Self::Command), ("credentials-login", Self::Login)];
        let missing = |feature| text.contains(&format!("cargo feature(s) enabled: {feature}."));
        features.into_iter().find_map(|(feature, profile)| missing(feature).then_some(profile))
    }
}
