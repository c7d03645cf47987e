//! What the routes can be asked.

use serde::Deserialize;
use utoipa::IntoParams;

/// Which object.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ResolveQuery {
    /// The URI in base64, standard or URL-safe; plain works too.
    pub(super) fileuri: Option<String>,
}

/// Which object, perhaps by a link.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LinkQuery {
    /// The URI in base64, standard or URL-safe; plain works too.
    pub(super) fileuri: Option<String>,
    /// Of a link: the project of the task.
    pub(super) project: Option<i64>,
    /// Of a link: until when it is good, in seconds since 1970.
    pub(super) expires: Option<i64>,
    /// Of a link: its proof.
    pub(super) signature: Option<String>,
}
