//! Tokens in the form of Label Studio's personal access tokens. The format of a token decides how some clients
//! send it.
//!
//! The official client exchanges a token in JWT format for a short-lived one, and sends that as `Bearer`. Longshore's
//! tokens only have the format of a JWT: Longshore does not read their claims, they are valid until they expire or are
//! deleted, and the exchange returns the same token.

use axum::Extension;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use longshore_db::tokens;
use longshore_model::Secret;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::ApiState;
use super::access::TokenKey;
use super::client_address::ClientAddress;
use super::error::{ApiError, ApiResult, Denial, DeniedAccess, TokenName};
use super::extract::Json;

/// The route of the exchange. Its request has the token in the body, not in a header.
pub(super) const REFRESH: &str = "/api/token/refresh";

/// The year 2100: clients refuse a token without an expiry, also one that is valid until it is deleted.
const END: i64 = 4_102_444_800;

/// Formats a secret as a JWT, with the secret as its signature. Clients read from it when the token expires.
pub(super) fn jwt_text(secret: &[u8], expires_at: Option<Timestamp>) -> String {
    let end = expires_at.map_or(END, Timestamp::as_second);
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = part(json!({"alg": "HS256", "typ": "JWT"}));
    let claims = part(json!({"token_type": "refresh", "exp": end}));
    format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode(secret))
}

/// A token to exchange.
#[derive(Deserialize, ToSchema)]
pub(super) struct Refresh {
    /// The token, in JWT format.
    #[schema(value_type = String)]
    refresh: Secret,
}

/// The token to send as `Bearer`.
#[derive(Serialize, ToSchema)]
pub(super) struct RefreshedToken {
    /// The same token.
    access: String,
}

/// Returns a known token to the client that sent it.
///
/// # Errors
/// The token is unknown or has expired.
#[utoipa::path(
    post, path = "/api/token/refresh", operation_id = "tokens_refresh", tag = "tokens", request_body = Refresh,
    responses((status = 200, body = RefreshedToken)), security()
)]
pub(super) async fn refresh(
    State(state): State<ApiState>,
    Extension(address): Extension<ClientAddress>,
    Json(body): Json<Refresh>,
) -> ApiResult<Json<RefreshedToken>> {
    let key = TokenKey::Digest(tokens::digest(&body.refresh));
    // This route has no authentication in front of it, which counts denied requests elsewhere.
    match state.tokens.find(&state.system, key).await? {
        Some(row) if row.is_expired() => {
            let name = TokenName { id: row.id, name: row.name };
            let denied = DeniedAccess { denial: Denial::ExpiredToken, token: Some(name.clone()) };
            state.denials.count(address, &denied);
            Err(ApiError::expired_token(name))
        }
        Some(_) => Ok(Json(RefreshedToken { access: body.refresh.expose().to_owned() })),
        None => {
            state.denials.count(address, &DeniedAccess { denial: Denial::UnknownToken, token: None });
            Err(ApiError::unknown_token())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_token_has_the_format_of_a_jwt_with_an_expiry_and_the_whole_secret() {
        let token = jwt_text(&[7; 20], None);
        let parts: Vec<Vec<u8>> = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
        let claims: Value = serde_json::from_slice(&parts[1]).unwrap();
        assert_eq!((claims["token_type"].as_str(), claims["exp"].as_i64()), (Some("refresh"), Some(END)));
        let short = jwt_text(&[7; 20], Timestamp::from_second(1_800_000_000).ok());
        let claims = URL_SAFE_NO_PAD.decode(short.split('.').nth(1).unwrap()).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&claims).unwrap()["exp"], 1_800_000_000);
        assert_eq!(parts[2], [7; 20]);
        assert!(token.bytes().all(|byte| byte.is_ascii_graphic()));
    }
}
