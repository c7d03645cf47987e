//! Dead letters can be read and deleted without the broker's own tools.

mod faults;
mod lock;

use std::process::Command;

use futures::future::join_all;
use longshore_local::app::program;
use longshore_rig::amqp::AmqpHost;
use longshore_rig::rig::{Rig, rows, send_json, until};
use serde_json::{Value, json};

/// A rig whose queue has this many dead letters: requests that cannot be carried out, the last one unreadable.
async fn with_letters(count: usize) -> (Rig, AmqpHost) {
    let rig = Rig::with().workers(0).schedulers(2).start().await;
    let host = AmqpHost::connect(&rig.amqp_url).await;
    for number in 1..count {
        let request = json!({"version": 1, "kind": "s3", "direction": "import", "storage": 900_000 + number});
        host.publish("longshore.requests", request.to_string().as_bytes()).await;
    }
    host.publish("longshore.requests", &[b"{\xff".as_slice(), &[b'x'; 5_000]].concat()).await;
    until("all are dead letters", async || (rig.get("/api/dead-letters").await["count"] == count).then_some(())).await;
    (rig, host)
}

fn ids(page: &Value) -> Vec<String> {
    rows(page).iter().map(|letter| letter["id"].as_str().expect("an id").to_owned()).collect()
}

/// Goal: reading shows what died, when, why and how often, and loses nothing. Method: pages, repeated and from two
/// schedulers at the same time.
#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_read_in_pages_by_two_readers_at_once_and_stay() {
    const COUNT: usize = 37;
    let (rig, host) = with_letters(COUNT).await;
    let all = rig.get("/api/dead-letters?limit=1000").await;
    assert_eq!((rows(&all).len(), &all["next_skip"]), (COUNT, &Value::Null));
    let letter = rows(&all).iter().find(|letter| letter["bytes"] == 5_002).expect("the unreadable one");
    assert_eq!(
        (&letter["queue"], &letter["reason"], &letter["count"]),
        (&json!("longshore.requests"), &json!("rejected"), &json!(1))
    );
    assert_eq!(letter["body"].as_str().expect("a text").chars().count(), 1_024);
    assert!(letter["dead_at"].as_str().is_some_and(|at| at.starts_with("20")), "{letter}");

    let http = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
    let read = async |scheduler: usize, query: &str| {
        let url = format!("{}/api/dead-letters?{query}", rig.schedulers[scheduler].url());
        let (status, page) = send_json(http.get(url).bearer_auth(rig.token())).await;
        assert_eq!(status, 200, "{page}");
        page
    };
    let readers = (0..8).map(|reader| read(reader % 2, "limit=1000"));
    for page in join_all(readers).await {
        let (mut seen, mut expected) = (ids(&page), ids(&all));
        seen.sort_unstable();
        expected.sort_unstable();
        assert_eq!(seen, expected, "each reader sees all of them");
    }
    let first = read(0, "limit=20").await;
    assert_eq!((ids(&first).len(), &first["next_skip"]), (20, &json!(20)));
    let rest = read(1, "limit=20&skip=20").await;
    assert_eq!((ids(&rest).len(), &rest["next_skip"]), (COUNT - 20, &Value::Null));
    until("the broker still has all", async || (host.waiting_in("longshore.dead").await.len() == COUNT).then_some(()))
        .await;
    until("the metric shows them", async || {
        let text = reqwest::get(format!("{}/metrics", rig.url())).await.ok()?.text().await.ok()?;
        let line = format!("longshore_queue_messages_ready{{queue=\"longshore.dead\"}} {COUNT}");
        text.contains(&line).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chosen_dead_letters_are_deleted_and_audited_and_then_all() {
    let (rig, host) = with_letters(5).await;
    let all = rig.get("/api/dead-letters").await;
    let chosen = &ids(&all)[1..3];
    let path = format!("/api/dead-letters?ids={},{},{}", chosen[0], chosen[1], "0".repeat(24));
    let (status, deleted) = rig.call("DELETE", &path, None).await;
    assert_eq!((status, &deleted), (200, &json!({"deleted": 2, "missing": ["0".repeat(24)]})));
    let left = rig.get("/api/dead-letters").await;
    let mut expected: Vec<String> = ids(&all).into_iter().filter(|id| !chosen.contains(id)).collect();
    let mut kept = ids(&left);
    expected.sort_unstable();
    kept.sort_unstable();
    assert_eq!(kept, expected);
    for wrong in ["", "?ids=", "?ids=x", "?all=false", &format!("?all=true&ids={}", chosen[0])] {
        let (status, body) = rig.call("DELETE", &format!("/api/dead-letters{wrong}"), None).await;
        assert_eq!((status, &body["code"]), (400, &json!("invalid_query")), "{wrong}: {body}");
    }

    let longshore = |arguments: &str| {
        let mut command = Command::new(program("longshore").expect("the programs are built"));
        command.args(arguments.split_whitespace()).env("LONGSHORE_URL", rig.url()).env("LONGSHORE_TOKEN", rig.token());
        let output = command.output().expect("it starts");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let shown = longshore("dead-letters list");
    assert!(shown.contains(&kept[0]) && shown.contains("rejected"), "{shown}");
    assert_eq!(longshore("dead-letters delete --all"), "Deleted: 3 dead letters.\n");
    assert_eq!(longshore("dead-letters list"), "(none)\n");
    assert_eq!(host.waiting_in("longshore.dead").await, [] as [&str; 0]);
    let audit = rig.get("/api/audit?action=dead_letters.delete").await;
    assert_eq!(audit["audit"][0]["detail"], json!({"all": true}));
    assert_eq!(
        (&audit["audit"][1]["detail"]["count"], &audit["audit"][1]["token_name"]),
        (&json!(2), &json!("bootstrap"))
    );
}
