//! The adaptive limit of an endpoint: fewer concurrent requests when it throttles, more as it recovers, and no effect
//! on other endpoints.

use std::sync::Arc;

use longshore_model::{S3Secrets, Secret, Secrets};
use prometheus::Registry;
use tokio::task::JoinSet;

use super::crowd::Crowd;
use super::{FAST, answer, options, settings};
use crate::{Concurrency, Operator, RetryPolicy, Storage, StorageMetrics, Stores, WireOptions};

const START: usize = 8;

/// A client whose limits start at [`START`] and do not grow; every refusal reaches the caller.
fn stores() -> Stores {
    let concurrency = Concurrency { start: START, ceiling: START };
    let options = WireOptions { concurrency, retry: RetryPolicy { retries: 0, ..FAST }, ..options() };
    let metrics = StorageMetrics::register(&Registry::new()).expect("a fresh registry");
    Stores::new(options, Operator::default(), metrics).expect("a client")
}

fn open(stores: &Stores, crowd: &Crowd) -> Arc<dyn Storage> {
    let secrets = Secrets::S3(S3Secrets {
        aws_access_key_id: Some(Secret::new("AKIDTEST")),
        aws_secret_access_key: Some(Secret::new("very-secret")),
        aws_session_token: None,
    });
    stores.open(1, &settings(format!("http://127.0.0.1:{}", crowd.port)), &secrets).expect("good settings")
}

/// Starts `count` reads together, more than the endpoint's limit.
fn read_many(storage: &Arc<dyn Storage>, count: usize) -> JoinSet<bool> {
    let read = |storage: Arc<dyn Storage>| async move { storage.get("key", None, 1_000).await.is_ok() };
    (0..count).map(|_| read(Arc::clone(storage))).collect()
}

fn good() -> String {
    answer("200 OK", "ETag: \"1\"\r\n", "{}")
}

#[tokio::test]
async fn throttling_halves_the_limit_and_every_good_round_raises_it_by_one() {
    for refusal in ["503 Slow Down", "429 Too Many Requests"] {
        let crowd = Crowd::start().await;
        let storage = open(&stores(), &crowd);
        let reads = read_many(&storage, 100);
        crowd.waits(START).await;
        crowd.answer_all(&answer(refusal, "", ""));
        let mut good_ones = 0;
        for limit in [4, 5, 6, 7, 8] {
            for _ in 0..limit {
                crowd.waits(limit).await;
                crowd.answer_one(good());
                good_ones += 1;
            }
        }
        // The limit has recovered and does not exceed its ceiling.
        while good_ones < 100 - START - START {
            crowd.waits(START).await;
            crowd.answer_one(good());
            good_ones += 1;
        }
        crowd.waits(START).await;
        crowd.answer_all(&good());
        let done = reads.join_all().await;
        assert_eq!(done.iter().filter(|done| !**done).count(), START, "{refusal}: the refused ones");
    }
}

#[tokio::test]
async fn repeated_refusals_leave_one_request_at_a_time() {
    let crowd = Crowd::start().await;
    let storage = open(&stores(), &crowd);
    let reads = read_many(&storage, 20);
    for limit in [8, 4, 2, 1, 1, 1, 1] {
        crowd.waits(limit).await;
        crowd.answer_all(&answer("503 Slow Down", "", ""));
    }
    crowd.waits(1).await;
    crowd.answer_one(good());
    crowd.waits(1).await;
    crowd.answer_all(&good());
    assert_eq!(reads.join_all().await.iter().filter(|done| **done).count(), 2);
}

#[tokio::test]
async fn an_endpoint_that_throttles_does_not_slow_another() {
    let (throttling, healthy) = (Crowd::start().await, Crowd::start().await);
    let stores = stores();
    let (slow, fast) = (open(&stores, &throttling), open(&stores, &healthy));
    let refused = read_many(&slow, 16);
    for limit in [8, 4, 2, 1] {
        throttling.waits(limit).await;
        throttling.answer_all(&answer("503 Slow Down", "", ""));
    }
    // One request still waits there and may never be answered.
    throttling.waits(1).await;
    let reads = read_many(&fast, 3 * START);
    for _ in 0..3 {
        healthy.waits(START).await;
        healthy.answer_all(&good());
    }
    assert!(reads.join_all().await.into_iter().all(|done| done), "no read was refused");
    throttling.waits(1).await;
    drop(refused);
}

#[tokio::test]
async fn a_server_error_other_than_throttling_does_not_change_the_limit() {
    let crowd = Crowd::start().await;
    let storage = open(&stores(), &crowd);
    let reads = read_many(&storage, 3 * START);
    crowd.waits(START).await;
    crowd.answer_all(&answer("500 Internal Server Error", "", ""));
    crowd.waits(START).await;
    crowd.answer_all(&good());
    crowd.waits(START).await;
    crowd.answer_all(&good());
    assert_eq!(reads.join_all().await.iter().filter(|done| **done).count(), 2 * START);
}
