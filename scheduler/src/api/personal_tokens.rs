//! Tokens in the form of Label Studio's personal access tokens, for clients that tell by a token's form
//! how to send it.
//!
//! The official client takes a key that reads as a JWT to a route that gives it a short-lived one, and
//! sends that as `Bearer`. Here the form is all there is to it: the text is a secret like any other, nobody
//! reads its claims, it ends when it is deleted, and the route gives back what it was given.

use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use longshore_db::tokens;
use longshore_model::Secret;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::ApiState;
use super::error::{ApiError, ApiResult};
use super::extract::Json;

/// Where clients ask; without a token, for theirs is in the body.
pub(super) const REFRESH: &str = "/api/token/refresh";

/// 2100: clients refuse a token without an end, and the true one is its deletion.
const END: u64 = 4_102_444_800;

/// A token's text in the form of a JWT, its secret in the place of the signature.
pub(super) fn in_form(secret: &[u8]) -> String {
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = part(json!({"alg": "HS256", "typ": "JWT"}));
    let claims = part(json!({"token_type": "refresh", "exp": END}));
    format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode(secret))
}

#[derive(Deserialize)]
pub(super) struct Refresh {
    refresh: Secret,
}

#[derive(Serialize)]
pub(super) struct Refreshed {
    access: String,
}

/// Gives a token that is known back to whoever has it.
///
/// # Errors
/// Nobody has this token.
pub(super) async fn refresh(State(state): State<ApiState>, Json(body): Json<Refresh>) -> ApiResult<Json<Refreshed>> {
    match state.tokens.find(&state.system, tokens::digest(&body.refresh)).await? {
        Some(_) => Ok(Json(Refreshed { access: body.refresh.expose().to_owned() })),
        None => Err(ApiError::Unauthorized("Invalid token.")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_form_is_that_of_a_jwt_with_an_end_and_the_secret_is_whole() {
        let token = in_form(&[7; 20]);
        let parts: Vec<Vec<u8>> = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
        let claims: Value = serde_json::from_slice(&parts[1]).unwrap();
        assert_eq!((claims["token_type"].as_str(), claims["exp"].as_u64()), (Some("refresh"), Some(END)));
        assert_eq!(parts[2], [7; 20]);
        assert!(token.bytes().all(|byte| byte.is_ascii_graphic()));
    }
}
