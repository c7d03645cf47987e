use std::collections::BTreeSet;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use longshore_broker::{Address, AddressOptions, Broker};
use longshore_db::host::HostKind;
use longshore_db::{Check, Db, Sealer};
use longshore_model::Secret;
use longshore_storage::{Operator, StorageMetrics, Stores, WireOptions};
use longshore_telemetry::Metrics;
use longshore_telemetry::waiting::WaitBoard;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::routes::methods;
use super::*;
use crate::api::personal_tokens::REFRESH;
use crate::api::{ApiState, LoadLimits, Origins, ResolveOptions, TrustedProxies, openapi, router};
use crate::situation::Situation;

/// The whole router, with a database that never answers: a request that gets as far as it is not refused.
fn whole_router() -> Router {
    let exposed = Metrics::new("scheduler", "0");
    let registry = exposed.registry();
    let url = Secret::new("postgres://user@127.0.0.1:1/none");
    let db = || Db::new(&url, "test", 1, Duration::from_secs(1), Check::Always).unwrap();
    let metrics = StorageMetrics::register(registry).unwrap();
    let options = ResolveOptions {
        public_url: String::new(),
        link_lifetime: Duration::from_secs(60),
        allowed_origins: Origins::These(Vec::new()),
        local_files: "/srv".parse().ok(),
    };
    let limits = LoadLimits { requests: 9, token_requests: 9, streams: 9, token_streams: 9 };
    let sealer = Sealer::parse(&Secret::new("a:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")).unwrap();
    let stores = Stores::new(WireOptions::default(), Operator::default(), metrics).unwrap();
    let address = Address::parse(&Secret::new("amqp://user@127.0.0.1:1/none"), &AddressOptions::default()).unwrap();
    let broker = Broker::new(&address, "test");
    let situation = Situation::new(broker.clone(), WaitBoard::register(registry).unwrap());
    let (proxies, stop, memory) = (TrustedProxies::default(), CancellationToken::new(), 1024 * 1024);
    let host = HostKind::Native;
    let state = ApiState::new(
        db(),
        db(),
        sealer,
        stores,
        broker,
        options,
        proxies,
        limits,
        memory,
        registry,
        situation,
        host,
        None,
        stop,
    );
    router(state.unwrap(), Router::new()).unwrap()
}

/// Every route of the document that requires a token or a link, as method and path.
fn documented() -> Vec<(Method, String)> {
    let document = openapi::document();
    // The exchange of a token is another router's: its caller has no token yet.
    let routes = document.paths.paths.iter().filter(|(path, _)| *path != REFRESH);
    routes.flat_map(|(path, item)| methods(item).map(|method| (method, path.clone()))).collect()
}

/// Goal: no route can be called without a token, even if its author forgot something. Method: walk all routes of the
/// document and claim to bring a signature, with and without the rest of a link.
#[tokio::test]
async fn every_route_refuses_a_request_without_a_token_or_a_valid_signature() {
    let (router, mut linked) = (whole_router(), BTreeSet::new());
    let routes = documented();
    assert!(routes.len() > 40, "{routes:?}");
    for (method, path) in &routes {
        let url = path.replace("{kind}", "s3").replace("{id}", "1");
        let link = "fileuri=s3://b/k&project=1&expires=99999999999";
        for query in ["", "?signature=anything", &format!("?{link}&signature=anything"), &format!("?{link}&signature=")]
        {
            let request = Request::builder().method(method).uri(format!("{url}{query}")).body(Body::empty()).unwrap();
            let status = router.clone().oneshot(request).await.unwrap().status();
            if status == StatusCode::FORBIDDEN && query.contains("signature=") {
                linked.insert(path.as_str());
            } else {
                assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path}{query}");
            }
        }
    }
    assert_eq!(linked, BTreeSet::from(["/tasks/{id}/presign", "/tasks/{id}/resolve"]));
}

#[test]
fn every_route_of_the_document_states_its_policy() {
    let (_, _, policies) = openapi::parts();
    for (method, path) in documented() {
        let policy = policies.stated(&method, &path).unwrap_or_else(|| panic!("{method} {path} has no policy"));
        let expected = match (&method, path.as_str()) {
            (_, "/api/tokens" | "/api/audit" | "/api/dead-letters") => Role::Admin,
            (_, "/api/resolve") | (&Method::GET, _) => Role::Read,
            // What changes something needs more than reading.
            _ => policy.role.max(Role::Sync),
        };
        assert_eq!(policy.role, expected, "{method} {path}");
        if method == Method::GET {
            assert_eq!(policies.of(&Method::HEAD, &path), Some(policy), "HEAD is answered as GET: {path}");
        }
    }
}

#[test]
fn a_route_that_was_added_around_the_policies_is_an_error() {
    let (_, _, policies) = openapi::parts();
    assert_eq!(policies.of(&Method::GET, "/api/forgotten"), None);
    // A method that the path does not take is answered with 405, to callers with any role.
    assert_eq!(policies.of(&Method::TRACE, "/api/tokens").map(|policy| policy.role), Some(Role::Read));
    assert_eq!(policies.of(&Method::HEAD, "/api/tokens").map(|policy| policy.role), Some(Role::Admin));
}
