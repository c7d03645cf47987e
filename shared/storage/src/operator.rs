//! The operator's environment variables for storages.

use std::path::PathBuf;

use longshore_model::Secret;
use longshore_telemetry::settings::{Environment, Program, table};

use crate::{DocumentRoot, OwnIdentity};

/// Defaults and permissions that only the operator sets. The AWS SDK reads all `AWS_*` variables except the region
/// itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// `AWS_REGION`, or else `AWS_DEFAULT_REGION`: the region of buckets whose storage sets none.
    pub region: Option<String>,
    /// `GOOGLE_APPLICATION_CREDENTIALS`: a file with the credentials for storages that have none.
    pub google_application_credentials: Option<PathBuf>,
    /// `STORAGE_EMULATOR_HOST`: the address of Google Cloud Storage, as a URL or `host:port`; `None` is Google's.
    pub storage_emulator_host: Option<String>,
    /// `AZURE_BLOB_ACCOUNT_NAME` and `AZURE_BLOB_ACCOUNT_KEY`: the account for storages that have none.
    pub azure_account_name: Option<Secret>,
    pub azure_account_key: Option<Secret>,
    /// `AZURE_BLOB_ENDPOINT`: the endpoint for storages that have none; `None` is the public cloud.
    pub azure_endpoint: Option<String>,
    /// `LOCAL_FILES_SERVING_ENABLED`: whether storages may use files of this machine at all.
    pub local_files_serving: bool,
    /// `LOCAL_FILES_DOCUMENT_ROOT`: storages may use only files below this folder. `None` if there are no local files.
    pub local_files_root: Option<DocumentRoot>,
    /// `LABEL_STUDIO_HOST`, without a slash at its end: what URIs of local files begin with. Empty with the native host.
    pub label_studio_host: String,
    /// `LONGSHORE_OWN_IDENTITY`: which storages may use the processes' own cloud identity.
    pub own_identity: OwnIdentity,
}

impl Operator {
    /// Reads the settings from the environment.
    pub fn read(read: &mut Environment<'_>) -> Self {
        let local_files_serving = read.is_on(&table::LOCAL_FILES_SERVING_ENABLED);
        Self {
            region: read.text(&table::AWS_REGION).or_else(|| read.variable("AWS_DEFAULT_REGION")),
            google_application_credentials: read.text(&table::GOOGLE_APPLICATION_CREDENTIALS).map(PathBuf::from),
            storage_emulator_host: read.text(&table::STORAGE_EMULATOR_HOST),
            azure_account_name: read.text(&table::AZURE_BLOB_ACCOUNT_NAME).map(Secret::new),
            azure_account_key: read.text(&table::AZURE_BLOB_ACCOUNT_KEY).map(Secret::new),
            azure_endpoint: read.text(&table::AZURE_BLOB_ENDPOINT),
            local_files_serving,
            local_files_root: document_root(read, local_files_serving),
            label_studio_host: label_studio_host(read),
            own_identity: own_identity(read),
        }
    }
}

/// Which storages may use the own identity. In Label Studio every user may save a storage without keys, so beside it none
/// has the identity unless the operator says so.
fn own_identity(read: &mut Environment<'_>) -> OwnIdentity {
    let given = read.parsed(&table::OWN_IDENTITY);
    let is_given = read.given(&table::OWN_IDENTITY).is_some();
    let is_label_studio = read.text(&table::HOST).as_deref() == Some("label-studio");
    if is_label_studio && !is_given { OwnIdentity::none() } else { given.unwrap_or_default() }
}

/// The base of local-file URIs by the rules of Label Studio, which ignores one without a scheme.
fn label_studio_host(read: &mut Environment<'_>) -> String {
    let is_host = read.text(&table::HOST).as_deref() == Some("label-studio");
    let base = read.text(&table::LABEL_STUDIO_HOST).filter(|_| is_host).unwrap_or_default();
    let is_url = base.starts_with("http://") || base.starts_with("https://");
    if is_url { base.strip_suffix('/').unwrap_or(&base).to_owned() } else { String::new() }
}

/// The root of local files. If they are switched on, one that would open the whole machine is a fault, and so is none.
fn document_root(read: &mut Environment<'_>, is_on: bool) -> Option<DocumentRoot> {
    let text = read.text(&table::LOCAL_FILES_DOCUMENT_ROOT);
    let root = text.map(|text| text.parse::<DocumentRoot>().and_then(|root| root.check().map(|()| root)));
    match root {
        Some(Ok(root)) => return Some(root),
        _ if !is_on => {}
        Some(Err(fault)) => read.fault(&table::LOCAL_FILES_DOCUMENT_ROOT, fault),
        None => read.fault(
            &table::LOCAL_FILES_DOCUMENT_ROOT,
            "must be set if LOCAL_FILES_SERVING_ENABLED is true: every admin may read all files below it",
        ),
    }
    None
}

impl Default for Operator {
    /// An empty environment.
    fn default() -> Self {
        Self::read(&mut Environment::new(Program::Worker, |_| None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Operator, String> {
        let mut read = Environment::new(Program::Worker, |name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        });
        let operator = Operator::read(&mut read);
        read.finish().map(|()| operator).map_err(|error| error.to_string())
    }

    #[test]
    fn local_files_need_a_root_that_is_not_the_whole_machine() {
        const ON: (&str, &str) = ("LOCAL_FILES_SERVING_ENABLED", "true");
        let root = |path| ("LOCAL_FILES_DOCUMENT_ROOT", path);
        for faulty in
            [&[ON][..], &[ON, root("")], &[ON, root("/")], &[ON, root("/x/..")], &[ON, root("/proc/self/root")]]
        {
            let error = read(faulty).unwrap_err();
            assert!(error.contains("LOCAL_FILES_DOCUMENT_ROOT must"), "{faulty:?}: {error}");
        }
        assert_eq!(read(&[ON, root("/srv/x")]).unwrap().local_files_root.unwrap().of(7), "/srv/x");
        assert_eq!(read(&[ON, root("/srv/{project}")]).unwrap().local_files_root.unwrap().of(7), "/srv/7");
        // Switched off, the root has no effect.
        assert_eq!(read(&[root("/")]).unwrap().local_files_root, None);
    }

    #[test]
    fn the_own_identity_is_for_admins_of_all_projects_unless_the_operator_says_otherwise() {
        assert_eq!(read(&[]).unwrap().own_identity, OwnIdentity::default());
        assert_eq!(read(&[("LONGSHORE_OWN_IDENTITY", "none")]).unwrap().own_identity, "none".parse().unwrap());
        assert!(read(&[("LONGSHORE_OWN_IDENTITY", "some")]).unwrap_err().contains("LONGSHORE_OWN_IDENTITY is invalid"));
    }

    #[test]
    fn beside_label_studio_no_storage_has_the_own_identity_unless_the_operator_says_so() {
        const HOST: (&str, &str) = ("LONGSHORE_HOST", "label-studio");
        assert_eq!(read(&[HOST]).unwrap().own_identity, "none".parse().unwrap());
        assert_eq!(read(&[HOST, ("LONGSHORE_OWN_IDENTITY", "all")]).unwrap().own_identity, "all".parse().unwrap());
    }

    #[test]
    fn uris_of_local_files_begin_as_label_studio_is_told() {
        let base =
            |host, base| read(&[("LONGSHORE_HOST", host), ("LABEL_STUDIO_HOST", base)]).unwrap().label_studio_host;
        assert_eq!(base("label-studio", "https://labels.example.com/ls/"), "https://labels.example.com/ls");
        assert_eq!(base("label-studio", "labels.example.com"), "", "Label Studio ignores it, too");
        assert_eq!(base("native", "https://labels.example.com"), "");
    }
}
