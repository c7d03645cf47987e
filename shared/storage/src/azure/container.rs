//! A container's address and the exact URI of each of its blobs.

use http::Uri;
use http::uri::{Authority, Scheme};
use longshore_model::AzureConnection;

use crate::wire::{BaseUri, EndpointSetting};
use crate::{InvalidSetting, names, pasted};

const ENDPOINT: EndpointSetting = EndpointSetting {
    field: "endpoint",
    not_a_url: "an endpoint must be a URL such as https://myaccount.blob.core.chinacloudapi.cn",
    has_user: "an endpoint may not contain a user and password: use the account name and account key",
    has_query: "an endpoint may not contain a query: shared access signatures are not supported",
};

/// Azure's limit for names, in characters.
const LONGEST_KEY: usize = 1_024;

/// Containers that Azure creates itself, with names that break its rules.
const SPECIAL: [&str; 3] = ["$root", "$web", "$logs"];

/// A container's validated address.
#[derive(Debug, Clone)]
pub(super) struct Container {
    pub(super) name: String,
    /// The endpoint with its path, plus the container.
    pub(super) base: BaseUri,
}

/// The endpoint in the user's settings, if there is one.
pub(super) fn endpoint(connection: &AzureConnection) -> Option<&str> {
    connection.endpoint.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

impl Container {
    /// Validates the settings and chooses the endpoint: the user's, else the operator's, else the public cloud's.
    pub(super) fn new(
        connection: &AzureConnection,
        account: &str,
        operators_endpoint: Option<&str>,
    ) -> Result<Self, InvalidSetting> {
        let name = connection.container.clone();
        if let Some(message) = pasted::message(&name, "container", Some(ENDPOINT.field)) {
            return Err(InvalidSetting::new("container", message));
        }
        if !names::is_azure_container(&name) && !SPECIAL.contains(&name.as_str()) {
            return Err(InvalidSetting::new(
                "container",
                "a container name must have 3 to 63 lower-case letters, digits and single hyphens, and begin and end with a letter or digit",
            ));
        }
        let service = match endpoint(connection).or(operators_endpoint) {
            Some(endpoint) => BaseUri::parse(endpoint, &ENDPOINT)?,
            None => Self::public_cloud(account)?,
        };
        let base = service.below(&name);
        Ok(Self { name, base })
    }

    fn public_cloud(account: &str) -> Result<BaseUri, InvalidSetting> {
        let refusal_error =
            || InvalidSetting::new("account_name", "an account name must have 3 to 24 lower-case letters and digits");
        if !names::is_azure_account(account) {
            return Err(refusal_error());
        }
        let authority = Authority::try_from(format!("{account}.blob.core.windows.net")).map_err(|_| refusal_error())?;
        Ok(BaseUri::new(Scheme::HTTPS, authority))
    }

    /// The URI of a blob. `None` for a key that no container can have: an empty one would name the container itself,
    /// and Azure reads `\` as `/`, so it would name another blob.
    pub(super) fn object(&self, key: &str) -> Option<Uri> {
        if key.is_empty() || key.contains('\\') || key.chars().count() > LONGEST_KEY {
            return None;
        }
        self.base.key(key)
    }

    /// The container's URI with these query parameters.
    pub(super) fn query(&self, parameters: &[(&str, &str)]) -> Option<Uri> {
        self.base.uri("", parameters)
    }
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;

    fn container(name: &str, endpoint: Option<&str>) -> Result<Container, &'static str> {
        let connection = AzureConnection {
            container: name.into(),
            endpoint: endpoint.map(Into::into),
            ..AzureConnection::default()
        };
        Container::new(&connection, "myaccount", None).map_err(|error| error.field)
    }

    #[test]
    fn a_container_is_below_the_accounts_host_or_the_endpoints_path() {
        let public = container("photos", None).unwrap();
        assert_eq!(public.object("a b").unwrap(), "https://myaccount.blob.core.windows.net/photos/a%20b");
        let emulated = container("photos", Some(" http://127.0.0.1:10000/devstoreaccount1/ ")).unwrap();
        assert_eq!(emulated.object("k").unwrap(), "http://127.0.0.1:10000/devstoreaccount1/photos/k");
        assert_eq!(
            emulated.query(&[("comp", "list"), ("prefix", "a/b c+")]).unwrap(),
            "http://127.0.0.1:10000/devstoreaccount1/photos?comp=list&prefix=a%2Fb%20c%2B"
        );
        let sovereign = container("$web", Some("https://myaccount.blob.core.usgovcloudapi.net")).unwrap();
        assert_eq!(sovereign.object("k").unwrap(), "https://myaccount.blob.core.usgovcloudapi.net/$web/k");
    }

    #[test]
    fn the_operators_endpoint_serves_storages_without_an_endpoint() {
        let at = |endpoint: &str| {
            let connection = AzureConnection {
                container: "photos".into(),
                endpoint: Some(endpoint.into()),
                ..AzureConnection::default()
            };
            let container = Container::new(&connection, "myaccount", Some("https://operators.example.com")).unwrap();
            container.base.authority().to_owned()
        };
        assert_eq!(at(""), "operators.example.com");
        assert_eq!(at("https://users.example.com"), "users.example.com");
    }

    #[test]
    fn keys_that_other_clients_change_are_sent_unchanged() {
        let container = container("con", Some("http://h")).unwrap();
        for (key, path) in [
            ("a/../b", "/con/a/../b"),
            ("./x", "/con/./x"),
            ("a//b", "/con/a//b"),
            ("/lead", "/con//lead"),
            ("dir/", "/con/dir/"),
            (" x ", "/con/%20x%20"),
            ("+", "/con/%2B"),
            ("%2F", "/con/%252F"),
            ("?#*\n", "/con/%3F%23%2A%0A"),
            ("ü😀", "/con/%C3%BC%F0%9F%98%80"),
        ] {
            assert_eq!(container.object(key).unwrap().path(), path, "{key:?}");
        }
    }

    #[test]
    fn a_key_that_would_name_something_else_has_no_uri() {
        let container = container("con", None).unwrap();
        assert!(container.object("").is_none());
        assert!(container.object("back\\slash").is_none());
        assert!(container.object(&"ü".repeat(1_024)).is_some());
        assert!(container.object(&"k".repeat(1_025)).is_none());
    }

    #[test]
    fn invalid_settings_name_their_field() {
        for name in ["", "ab", "Photos", "a_b", "-ab", "ab-", "a--b", "a/b", "a?x", "$mine", &"a".repeat(64)] {
            assert_eq!(container(name, None).unwrap_err(), "container", "{name:?}");
        }
        for endpoint in ["azurite:10000", "ftp://h", "http://u:p@h", "https://h/?sv=1&sig=x", "http://", "not a url"] {
            assert_eq!(container("photos", Some(endpoint)).unwrap_err(), "endpoint", "{endpoint:?}");
        }
        let connection = AzureConnection { container: "photos".into(), ..AzureConnection::default() };
        for account in ["my-account", "evil.com/", "ab", ""] {
            assert_eq!(Container::new(&connection, account, None).unwrap_err().field, "account_name", "{account:?}");
        }
    }

    proptest! {
        #[test]
        fn every_key_can_be_decoded_from_its_path(key in "[^\\\\]{1,200}|[./]{1,12}") {
            for endpoint in [None, Some("http://h:1/base")] {
                let container = container("con", endpoint).unwrap();
                let uri = container.object(&key).unwrap();
                let path = uri.path().strip_prefix(container.base.path()).and_then(|path| path.strip_prefix('/'));
                prop_assert_eq!(percent_decode_str(path.unwrap()).decode_utf8().unwrap(), key.as_str());
                prop_assert!(uri.query().is_none());
            }
        }
    }
}
