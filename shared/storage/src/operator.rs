//! The operator's environment variables for storages.

use std::path::PathBuf;

use longshore_model::Secret;
use longshore_telemetry::settings::{Environment, Program, Setting, is_on, table};

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
    /// `LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED`, or else `LOCAL_FILES_SERVING_ENABLED`: whether storages may use files of this machine at all.
    pub local_files_serving: bool,
    /// `LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT`, or else `LOCAL_FILES_DOCUMENT_ROOT`: storages may use only files below
    /// this folder. `None` if there are no local files.
    pub local_files_root: Option<DocumentRoot>,
    /// `LABEL_STUDIO_HOST`, without a slash at its end: what URIs of local files begin with. Empty with the native host.
    pub label_studio_host: String,
    /// `LONGSHORE_OWN_IDENTITY`: which storages may use the processes' own cloud identity.
    pub own_identity: OwnIdentity,
    /// Pairs of variables that mean the same and have different values: the one that counts, and the other.
    pub conflicts: Vec<(&'static str, &'static str)>,
}

/// The two names of whether local files are served. The longer one wins, as in Label Studio.
const SERVING: [&Setting; 2] = [&table::LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED, &table::LOCAL_FILES_SERVING_ENABLED];

/// The two names of the folder of local files. The longer one wins, as in Label Studio.
const ROOT: [&Setting; 2] = [&table::LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT, &table::LOCAL_FILES_DOCUMENT_ROOT];

impl Operator {
    /// Reads the settings from the environment.
    pub fn read(read: &mut Environment<'_>) -> Self {
        let local_files_serving = read.is_on(read.either(SERVING[0], SERVING[1]));
        Self {
            conflicts: conflicts(read),
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
    let setting = read.either(ROOT[0], ROOT[1]);
    let text = read.text(setting);
    let root = text.map(|text| text.parse::<DocumentRoot>().and_then(|root| root.check().map(|()| root)));
    match root {
        Some(Ok(root)) => return Some(root),
        _ if !is_on => {}
        Some(Err(fault)) => read.fault(setting, fault),
        None => read.fault(
            &table::LOCAL_FILES_DOCUMENT_ROOT,
            format!(
                "must be set if {} is true: every admin may read all files below it",
                read.either(SERVING[0], SERVING[1]).name
            ),
        ),
    }
    None
}

/// Pairs of names that are both set, to different values.
fn conflicts(read: &Environment<'_>) -> Vec<(&'static str, &'static str)> {
    let differ = |[first, second]: [&Setting; 2], is_same: fn(&str, &str) -> bool| {
        let (winner, other) = (read.given(first)?, read.given(second)?);
        (!is_same(&winner, &other)).then_some((first.name, second.name))
    };
    let same_switch = |one: &str, other: &str| is_on(one) == is_on(other);
    let same_folder = |one: &str, other: &str| one.trim_end_matches('/') == other.trim_end_matches('/');
    [differ(SERVING, same_switch), differ(ROOT, same_folder)].into_iter().flatten().collect()
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
    fn label_studios_longer_names_of_local_files_win_and_a_conflict_is_known() {
        const LONG_ON: (&str, &str) = ("LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED", "true");
        const LONG_ROOT: (&str, &str) = ("LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT", "/home/user");
        const SHORT_ROOT: (&str, &str) = ("LOCAL_FILES_DOCUMENT_ROOT", "/srv/x");
        let root = |operator: &Operator| operator.local_files_root.as_ref().unwrap().of(7);
        let alone = read(&[LONG_ON, LONG_ROOT]).unwrap();
        assert_eq!((alone.local_files_serving, root(&alone).as_str()), (true, "/home/user"));
        assert_eq!(alone.conflicts, []);
        // One of each kind is no conflict.
        assert_eq!(root(&read(&[LONG_ON, SHORT_ROOT]).unwrap()), "/srv/x");
        let both = read(&[LONG_ON, ("LOCAL_FILES_SERVING_ENABLED", "no"), LONG_ROOT, SHORT_ROOT]).unwrap();
        assert_eq!((both.local_files_serving, root(&both).as_str()), (true, "/home/user"));
        assert_eq!(both.conflicts.len(), 2, "{:?}", both.conflicts);
        let off = read(&[
            ("LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED", "0"),
            ("LOCAL_FILES_SERVING_ENABLED", "1"),
            SHORT_ROOT,
        ]);
        assert!(!off.unwrap().local_files_serving);
        let same =
            [LONG_ON, ("LOCAL_FILES_SERVING_ENABLED", "1"), LONG_ROOT, ("LOCAL_FILES_DOCUMENT_ROOT", "/home/user/")];
        assert_eq!(read(&same).unwrap().conflicts, []);
        let error = read(&[LONG_ON, ("LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT", "/")]).unwrap_err();
        assert!(error.contains("LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT must"), "{error}");
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
