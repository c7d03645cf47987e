//! What a caller may make of a storage: its project, the external ID of its role, and the processes' own cloud identity.

use longshore_db::host::HostKind;
use longshore_db::host::label_studio::handles;
use longshore_db::projects;
use longshore_model::{Connection, FailureReason};
use longshore_storage::{ErrorKind, Op, StorageError};

use super::change::Draft;
use crate::api::ApiState;
use crate::api::access::Caller;
use crate::api::error::{ApiError, ApiResult};

/// Admits a draft before it is probed, and completes it with the external ID of its project. `stored` is the storage that
/// the draft changes, or whose secrets it borrows.
///
/// # Errors
/// The caller cannot access the project, chooses an external ID, or may not use the processes' own identity.
pub(super) async fn admit(
    state: &ApiState,
    caller: &Caller,
    mut draft: Draft,
    stored: Option<&Draft>,
) -> ApiResult<Draft> {
    let project = draft.fields.project_id;
    let external_id = external_id(state, caller, project).await?;
    set_external_id(&mut draft, stored, external_id)?;
    check_identity(state, caller, &draft)?;
    Ok(draft)
}

/// Checks a project that a request sends for a stored storage. A wrong one is named before anything that follows from the
/// move to another project, such as secrets to enter again.
///
/// # Errors
/// The caller cannot access the project.
pub(super) async fn check_project(state: &ApiState, caller: &Caller, project: Option<i64>) -> ApiResult<()> {
    match project {
        Some(project) => external_id(state, caller, project).await.map(drop),
        None => Ok(()),
    }
}

/// The external ID of a project, if it exists and the caller can access it.
async fn external_id(state: &ApiState, caller: &Caller, project: i64) -> ApiResult<String> {
    let client = state.db.client().await?;
    if state.host == HostKind::LabelStudio && !handles::has_project(&client, project).await? {
        return Err(no_project(project));
    }
    match projects::external_id(&client, project).await? {
        Some(external_id) if caller.sees(project) => Ok(external_id),
        Some(_) => Err(no_project(project).hiding_a_row()),
        None => Err(no_project(project)),
    }
}

/// The same answer for a missing project and one that the caller cannot access.
pub(super) fn no_project(project: i64) -> ApiError {
    ApiError::invalid("project", format!("Invalid pk \"{project}\" - object does not exist."))
}

/// Gives a role the external ID of its project. Users cannot choose one: it could be that of another project.
///
/// A storage of an earlier release has an ID that its user chose. It keeps it as long as nothing of its connection
/// changes, because the role's owner must change the trust policy first.
fn set_external_id(draft: &mut Draft, stored: Option<&Draft>, own: String) -> ApiResult<()> {
    let is_unchanged = stored.is_some_and(|stored| {
        stored.fields.project_id == draft.fields.project_id
            && stored.fields.settings.connection == draft.fields.settings.connection
    });
    let Connection::S3s(role) = &mut draft.fields.settings.connection else { return Ok(()) };
    if is_unchanged {
        return Ok(());
    }
    let earlier = stored.and_then(|stored| match &stored.fields.settings.connection {
        Connection::S3s(role) => role.external_id.as_deref(),
        _ => None,
    });
    let sent = role.external_id.as_deref().map(str::trim).filter(|id| !id.is_empty());
    // A client may send back what it was shown.
    if sent.is_some_and(|sent| sent != own && Some(sent) != earlier) {
        let message = format!(
            "Longshore makes the external ID of each project. Leave it out, or send {own}, and require that one in the \
             trust policy of the role."
        );
        return Err(ApiError::invalid("external_id", message));
    }
    role.external_id = Some(own);
    Ok(())
}

/// Refuses a draft that would use the processes' own cloud identity if the operator does not lend it to the caller.
pub(super) fn check_identity(state: &ApiState, caller: &Caller, draft: &Draft) -> ApiResult<()> {
    let settings = &draft.fields.settings;
    let connection = &settings.connection;
    let own_identity = state.stores.own_identity();
    let is_unscoped = caller.scope().is_none();
    if !connection.uses_own_identity(&draft.secrets)
        || own_identity.lends_to(is_unscoped, draft.fields.project_id, connection)
    {
        return Ok(());
    }
    let reason = FailureReason::OwnIdentityDenied;
    Err(ApiError::connection(connection, StorageError::new(Op::Connect, ErrorKind::Denied, reason)))
}

#[cfg(test)]
mod tests {
    use longshore_model::{Direction, StorageKind};
    use serde_json::{Value, json};

    use super::super::change::{Base, Change};
    use super::*;

    const OWN: &str = "longshore-own";

    fn draft(base: Base, sent: &Value) -> Draft {
        let change = Change::parse(StorageKind::S3s, Direction::Import, sent.as_object().unwrap());
        change.apply(base).unwrap()
    }

    fn role(more: &Value) -> Value {
        let mut sent = json!({"project": 1, "bucket": "pics", "role_arn": "arn:aws:iam::123456789012:role/r"});
        sent.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        sent
    }

    /// The external ID that a draft gets.
    fn given(mut draft: Draft, stored: Option<&Draft>) -> Result<Option<String>, String> {
        set_external_id(&mut draft, stored, OWN.to_owned()).map_err(|error| format!("{error:?}"))?;
        let Connection::S3s(role) = draft.fields.settings.connection else { panic!("a role") };
        Ok(role.external_id)
    }

    #[test]
    fn a_role_gets_the_external_id_of_its_project_and_no_other() {
        for sent in [json!({}), json!({"external_id": null}), json!({"external_id": " "}), json!({"external_id": OWN})]
        {
            assert_eq!(given(draft(Base::Nothing, &role(&sent)), None).unwrap().as_deref(), Some(OWN), "{sent}");
        }
        let chosen = given(draft(Base::Nothing, &role(&json!({"external_id": "of-another"}))), None).unwrap_err();
        assert!(chosen.contains(OWN) && chosen.contains("trust policy"), "{chosen}");
    }

    #[test]
    fn a_chosen_external_id_of_an_earlier_release_stays_until_the_connection_changes() {
        let stored = draft(Base::Nothing, &role(&json!({"external_id": "ours-1"})));
        let patched = |sent: Value| given(draft(Base::Stored(Box::new(stored.clone())), &sent), Some(&stored));
        for kept in [json!({"title": "T"}), json!({"external_id": "ours-1"}), json!({"presign": false})] {
            assert_eq!(patched(kept.clone()).unwrap().as_deref(), Some("ours-1"), "{kept}");
        }
        for changed in [
            json!({"bucket": "other"}),
            json!({"role_arn": "arn:aws:iam::123456789012:role/other"}),
            json!({"external_id": null}),
            json!({"external_id": OWN}),
            json!({"project": 2}),
            json!({"prefix": "a", "external_id": "ours-1"}),
        ] {
            assert_eq!(patched(changed.clone()).unwrap().as_deref(), Some(OWN), "{changed}");
        }
        assert!(patched(json!({"external_id": "of-another"})).is_err());
    }
}
