//! The routes of the API, each with its policy.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use utoipa::openapi::{OpenApi, PathItem};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::policy::{Policy, Work};
use super::role::Role;
use crate::api::ApiState;
use crate::api::error::{ApiError, ApiResult};

/// Routes that need a token or a link. A route can only be added together with its policy.
#[derive(Default)]
pub(in crate::api) struct Routes {
    router: OpenApiRouter<ApiState>,
    policies: Policies,
}

impl Routes {
    /// Starts without routes. `document` describes the API as a whole.
    pub(in crate::api) fn with_openapi(document: OpenApi) -> Self {
        Self { router: OpenApiRouter::with_openapi(document), policies: Policies::default() }
    }

    /// Adds the handlers of `routes!`: one path with one or more methods.
    #[must_use]
    pub(in crate::api) fn route(mut self, policy: impl Into<Policy>, routes: UtoipaMethodRouter<ApiState>) -> Self {
        let policy = policy.into();
        for (path, item) in &routes.1.paths {
            let policies = self.policies.0.entry(path.clone()).or_default();
            policies.extend(methods(item).map(|method| (method, policy)));
        }
        Self { router: self.router.routes(routes), policies: self.policies }
    }

    #[must_use]
    pub(in crate::api) fn merge(mut self, other: Self) -> Self {
        for (path, policies) in other.policies.0 {
            self.policies.0.entry(path).or_default().extend(policies);
        }
        Self { router: self.router.merge(other.router), policies: self.policies }
    }

    /// Mounts routes below `prefix`.
    #[must_use]
    pub(in crate::api) fn nest(mut self, prefix: &str, other: Self) -> Self {
        for (path, policies) in other.policies.0 {
            // As for the router, `/` below a prefix is the prefix itself.
            let path = if path == "/" { prefix.to_owned() } else { format!("{prefix}{path}") };
            self.policies.0.entry(path).or_default().extend(policies);
        }
        Self { router: self.router.nest(prefix, other.router), policies: self.policies }
    }

    /// Gives every handler a value, which it can extract as [`axum::Extension`].
    #[must_use]
    pub(in crate::api) fn with_extension<T: Clone + Send + Sync + 'static>(self, value: T) -> Self {
        Self { router: self.router.layer(axum::Extension(value)), policies: self.policies }
    }

    /// The document of these routes.
    pub(in crate::api) fn document_mut(&mut self) -> &mut OpenApi {
        self.router.get_openapi_mut()
    }

    /// The router, its document, and the policies for [`attach_policy`].
    pub(in crate::api) fn into_parts(self) -> (Router<ApiState>, OpenApi, Arc<Policies>) {
        let (router, document) = self.router.split_for_parts();
        (router, document, Arc::new(self.policies))
    }
}

/// The methods of a path.
pub(super) fn methods(item: &PathItem) -> impl Iterator<Item = Method> {
    let methods = [
        (Method::GET, item.get.is_some()),
        (Method::PUT, item.put.is_some()),
        (Method::POST, item.post.is_some()),
        (Method::DELETE, item.delete.is_some()),
        (Method::OPTIONS, item.options.is_some()),
        (Method::HEAD, item.head.is_some()),
        (Method::PATCH, item.patch.is_some()),
        (Method::TRACE, item.trace.is_some()),
    ];
    methods.into_iter().filter_map(|(method, exists)| exists.then_some(method))
}

/// The policies of routes, by the template of their path.
#[derive(Debug, Default)]
pub(in crate::api) struct Policies(BTreeMap<String, Vec<(Method, Policy)>>);

impl Policies {
    /// The policy that was given for a route.
    pub(super) fn stated(&self, method: &Method, path: &str) -> Option<Policy> {
        self.0.get(path)?.iter().find(|(of, _)| of == method).map(|(_, policy)| *policy)
    }

    /// The policy for a request; `None` if its path was not added through [`Routes`].
    pub(super) fn of(&self, method: &Method, path: &str) -> Option<Policy> {
        let policies = self.0.get(path)?;
        // Axum answers HEAD with the handler of GET.
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        Some(self.stated(method, path).unwrap_or_else(|| {
            // The answer is 405, for every caller that may use another method of the path.
            let takes_link = policies.iter().any(|(_, policy)| policy.takes_link);
            Policy { takes_link, work: Work::Short, ..Role::Read.into() }
        }))
    }
}

/// Attaches the policy of its route to each request, for the inner layers.
pub(in crate::api) async fn attach_policy(
    State(policies): State<Arc<Policies>>,
    path: MatchedPath,
    mut request: Request,
    next: Next,
) -> ApiResult<Response> {
    let policy = policies.of(request.method(), path.as_str());
    let policy = policy.ok_or_else(|| ApiError::internal(format!("{} has no policy", path.as_str())))?;
    request.extensions_mut().insert(policy);
    request.extensions_mut().insert(policy.max_body);
    Ok(next.run(request).await)
}
