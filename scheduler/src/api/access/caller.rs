//! The verified token of a request.

use longshore_db::audit;
use longshore_db::tokens::{self, TokenDigest};
use longshore_model::Secret;

use super::role::Role;
use crate::api::ApiState;
use crate::api::error::{ApiError, ApiResult};

/// The caller of a request: a known token with the role that the route needs.
#[derive(Debug, Clone)]
pub(in crate::api) struct Caller {
    /// The token's ID.
    pub(in crate::api) id: i64,
    digest: TokenDigest,
    /// The token's name.
    pub(in crate::api) name: String,
    projects: Option<Vec<i64>>,
}

impl Caller {
    /// Looks a token up and checks that its role is enough.
    ///
    /// # Errors
    /// The token is unknown, its role is not enough, or the database is unavailable.
    pub(super) async fn verify(state: &ApiState, token: &Secret, needed: Role) -> ApiResult<Self> {
        let digest = tokens::digest(token);
        let row = state.tokens.find(&state.system, digest).await?.ok_or_else(ApiError::unknown_token)?;
        let role = Role::of(&row.role).ok_or_else(|| ApiError::internal("a token has an unknown role"))?;
        if role < needed {
            return Err(ApiError::forbidden(format!(
                "This request needs a token with role `{}`; `{}` has role `{}`.",
                needed.as_str(),
                row.name,
                role.as_str()
            )));
        }
        Ok(Self { id: row.id, digest, name: row.name, projects: row.projects })
    }

    /// The projects that this caller can access; `None` means all.
    pub(in crate::api) fn scope(&self) -> Option<&[i64]> {
        self.projects.as_deref()
    }

    /// Reads the token again, for long work such as event streams. `None` if the token has been deleted.
    ///
    /// # Errors
    /// The database is unavailable.
    pub(in crate::api) async fn refreshed(&self, state: &ApiState) -> ApiResult<Option<Self>> {
        let row = state.tokens.find(&state.system, self.digest).await?;
        let same = row.filter(|row| row.id == self.id);
        Ok(same.map(|row| Self { name: row.name, projects: row.projects, ..self.clone() }))
    }

    /// Whether this caller can access a project.
    pub(in crate::api) fn sees(&self, project: i64) -> bool {
        self.scope().is_none_or(|projects| projects.contains(&project))
    }

    /// An audit entry with the name of this caller's token.
    pub(in crate::api) fn did(&self, action: &'static str) -> audit::Entry<'_> {
        audit::Entry { token: Some(&self.name), action, ..audit::Entry::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_sees_only_the_projects_of_the_token() {
        let digest = tokens::digest(&Secret::new("t"));
        let caller = |projects| Caller { id: 1, digest, name: "t".to_owned(), projects };
        assert!(caller(None).sees(1));
        assert!(caller(Some(vec![1, 2])).sees(2));
        assert!(!caller(Some(vec![1, 2])).sees(3));
        assert!(!caller(Some(vec![])).sees(1));
    }
}
