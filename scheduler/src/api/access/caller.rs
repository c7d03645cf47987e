//! The verified token of a request.

use std::fmt::Display;

use longshore_db::Transaction;
use longshore_db::audit::{self, Source};
use longshore_db::tokens::{self, TokenRow};
use longshore_model::Secret;

use super::known_tokens::TokenKey;
use super::role::Role;
use crate::api::ApiState;
use crate::api::client_address::ClientAddress;
use crate::api::error::{ApiError, ApiResult, TokenName};

/// The caller of a request: a known token with the role that the route needs.
#[derive(Debug, Clone)]
pub(in crate::api) struct Caller {
    /// The token's ID.
    pub(in crate::api) id: i64,
    /// The token's name.
    pub(in crate::api) name: String,
    projects: Option<Vec<i64>>,
    /// The address of the client, as text.
    address: Option<String>,
}

impl Caller {
    /// Looks a token up and checks that its role is enough.
    ///
    /// # Errors
    /// The token is unknown or has expired, its role is not enough, or the database is unavailable.
    pub(super) async fn verify(
        state: &ApiState,
        token: &Secret,
        needed: Role,
        address: ClientAddress,
    ) -> ApiResult<Self> {
        let key = TokenKey::Digest(tokens::digest(token));
        let row = state.tokens.find(&state.system, key).await?.ok_or_else(ApiError::unknown_token)?;
        if row.is_expired() {
            return Err(ApiError::expired_token(TokenName { id: row.id, name: row.name }));
        }
        let role = Role::of(&row.role).ok_or_else(|| ApiError::internal("a token has an unknown role"))?;
        if role < needed {
            let refused = ApiError::forbidden(format!(
                "This request needs a token with role `{}`; `{}` has role `{}`.",
                needed.as_str(),
                row.name,
                role.as_str()
            ));
            return Err(refused.of(TokenName { id: row.id, name: row.name }));
        }
        Ok(Self { id: row.id, name: row.name, projects: row.projects, address: address.to_text() })
    }

    /// The projects that this caller can access; `None` means all.
    pub(in crate::api) fn scope(&self) -> Option<&[i64]> {
        self.projects.as_deref()
    }

    /// Reads the token again, for long work such as event streams. `None` if it was deleted or has expired.
    ///
    /// # Errors
    /// The database is unavailable.
    pub(in crate::api) async fn refreshed(&self, state: &ApiState) -> ApiResult<Option<Self>> {
        let row = state.tokens.find(&state.system, TokenKey::Id(self.id)).await?;
        let valid = row.filter(|row| !row.is_expired());
        Ok(valid.map(|row: TokenRow| Self { name: row.name, projects: row.projects, ..self.clone() }))
    }

    /// Reads the token again just before the commit of work that took long, and keeps it from being deleted until then.
    ///
    /// # Errors
    /// The token was deleted, expired or lost its role meanwhile, or the database is unavailable.
    pub(in crate::api) async fn confirmed(&self, tx: &Transaction<'_>, needed: Role) -> ApiResult<Self> {
        let row = tokens::hold(tx, self.id).await?.ok_or_else(ApiError::unknown_token)?;
        if row.is_expired() {
            return Err(ApiError::expired_token(TokenName { id: row.id, name: row.name }));
        }
        if Role::of(&row.role).is_none_or(|role| role < needed) {
            let lost = ApiError::forbidden("The token lost its role while the request ran.");
            return Err(lost.of(TokenName { id: row.id, name: row.name }));
        }
        Ok(Self { name: row.name, projects: row.projects, ..self.clone() })
    }

    /// Whether this caller can access a project.
    pub(in crate::api) fn sees(&self, project: i64) -> bool {
        self.scope().is_none_or(|projects| projects.contains(&project))
    }

    /// The row that a request names, if the caller can access its project, which `project` returns. `what` names the row,
    /// such as `storage 7`.
    ///
    /// # Errors
    /// The row does not exist, or the caller cannot access it. Both have the same answer; the second is counted as a
    /// denial.
    pub(in crate::api) fn visible<T>(
        &self,
        row: Option<T>,
        project: impl Fn(&T) -> i64,
        what: impl Display,
    ) -> ApiResult<T> {
        match row {
            Some(row) if self.sees(project(&row)) => Ok(row),
            Some(_) => Err(ApiError::not_found(what).hiding_a_row()),
            None => Err(ApiError::not_found(what)),
        }
    }

    /// Refuses callers that are limited to some projects. `what` completes "A token that is limited to some projects
    /// cannot …".
    ///
    /// # Errors
    /// The caller is limited to some projects.
    pub(in crate::api) fn check_all_projects(&self, what: &str) -> ApiResult<()> {
        if self.projects.is_none() {
            return Ok(());
        }
        Err(ApiError::forbidden(format!(
            "A token that is limited to some projects cannot {what}. Use a token for all projects."
        )))
    }

    /// The address of the client, as text.
    pub(in crate::api) fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    /// The ID and the name of the token.
    pub(super) fn token_name(&self) -> TokenName {
        TokenName { id: self.id, name: self.name.clone() }
    }

    /// An audit entry with this caller's token and address.
    pub(in crate::api) fn did(&self, action: &'static str) -> audit::Entry<'_> {
        audit::Entry {
            source: Source::Api,
            token_id: Some(self.id),
            token: Some(&self.name),
            address: self.address(),
            action,
            ..audit::Entry::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_sees_only_the_projects_of_the_token() {
        let caller = |projects| Caller { id: 1, name: "t".to_owned(), projects, address: None };
        assert!(caller(None).sees(1));
        assert!(caller(Some(vec![1, 2])).sees(2));
        assert!(!caller(Some(vec![1, 2])).sees(3));
        assert!(!caller(Some(vec![])).sees(1));
    }
}
