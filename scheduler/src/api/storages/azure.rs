//! Azure Blob Storage: its fields in requests.

use longshore_model::{AzureConnection, Connection, Direction, FailureReason, Secrets, StorageKind};
use serde::Deserialize;
use utoipa::ToSchema;

use super::draft::{Draft, set};
use super::fields::{Fields, OTHER_KIND};
use super::kind::Kind;
use crate::api::error::NON_FIELD;

/// The kind `azure`.
pub(crate) struct Azure;

impl Kind for Azure {
    fn kind(&self) -> StorageKind {
        StorageKind::Azure
    }

    fn title(&self) -> &'static str {
        "Microsoft Azure"
    }

    fn blank(&self, _: Direction) -> Connection {
        Connection::Azure(AzureConnection::default())
    }

    fn connection_fields(&self) -> &'static [&'static str] {
        &["container", "prefix", "endpoint"]
    }

    fn secret_fields(&self) -> &'static [&'static str] {
        &["account_name", "account_key"]
    }

    /// A signature covers the account and the path, and no host: another server could pass it on.
    fn bound_secret(&self, connection: &Connection) -> Option<(&'static str, String)> {
        let Connection::Azure(azure) = connection else { return None };
        Some(("account_key", azure.endpoint.clone().unwrap_or_default()))
    }

    fn read(&self, fields: &mut Fields, draft: &mut Draft, whole: bool) {
        let (Connection::Azure(azure), Secrets::Azure(secrets)) = (&mut draft.settings.connection, &mut draft.secrets)
        else {
            return fields.refuse(NON_FIELD, OTHER_KIND);
        };
        fields.required("container", &mut azure.container, whole);
        set(&mut azure.prefix, fields.text("prefix"));
        set(&mut azure.endpoint, fields.word("endpoint"));
        set(&mut secrets.account_name, fields.secret("account_name"));
        set(&mut secrets.account_key, fields.secret("account_key"));
    }

    fn field(&self, reason: FailureReason) -> &'static str {
        match reason {
            FailureReason::NoSuchBucket => "container",
            FailureReason::UnknownAccessKey => "account_name",
            FailureReason::WrongSecretKey => "account_key",
            FailureReason::BlockedAddress | FailureReason::Tls => "endpoint",
            _ => NON_FIELD,
        }
    }
}

/// The own fields of a storage on Azure in a request.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "the fields are read one by one; this documents them")]
pub(crate) struct AzureFields {
    container: String,
    prefix: Option<String>,
    account_name: Option<String>,
    account_key: Option<String>,
    /// Base URL of an emulator or of a sovereign cloud.
    endpoint: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::error::ApiError;
    use crate::api::storages::draft::Base;
    use serde_json::{Value, json};

    fn read(base: Base, sent: Value) -> Result<Draft, ApiError> {
        let Value::Object(sent) = sent else { panic!("an object") };
        Draft::read(&Azure, Direction::Import, base, &sent)
    }

    #[test]
    fn a_stored_account_key_signs_for_no_other_server_than_it_was_entered_for() {
        let own = json!({"project": 1, "container": "pics", "account_name": "labels", "account_key": "aHVudGVyMg=="});
        let stored = Box::new(read(Base::Nothing, own).unwrap());
        let moved = json!({"project": 1, "container": "pics", "endpoint": "https://evil.test"});
        for base in [Base::Stored(stored.clone()), Base::Secrets(stored.clone())] {
            let Err(ApiError::Invalid(errors)) = read(base, moved.clone()) else { panic!("must be refused") };
            assert_eq!(errors["account_key"], ["Enter it again: the address changed."]);
        }
        let mut entered = moved;
        entered["account_key"] = json!("aHVudGVyMg==");
        assert!(read(Base::Stored(stored.clone()), entered).is_ok());
        assert!(read(Base::Secrets(stored), json!({"project": 1, "container": "others"})).is_ok());
    }
}
