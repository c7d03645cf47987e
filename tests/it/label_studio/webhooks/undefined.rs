//! The key `$undefined$` of task data: webhooks get the name of a data column of the label config in its place.

use longshore_rig::webhook::WebhookServer;
use serde_json::{Value, json};

use super::normalized;
use crate::label_studio::Twins;

/// Label configs, and the name that takes the place of `$undefined$`. Postgres puts shorter names first.
const CONFIGS: &[(&str, Option<&str>)] = &[
    ("<View></View>", None),
    (
        r#"<View><Image name="i" value="$picture"/><Text name="t" value="$zz"/><Text name="u" value="$b"/>
           <Text name="v" value="$a"/><Choices name="c" toName="i"><Choice value="x"/></Choices></View>"#,
        Some("a"),
    ),
    (
        r#"<View><Header value="$title"/><Text name="t" value="About $topic and $other"/>
           <Choices name="c" toName="t"><Choice value="x"/></Choices></View>"#,
        Some("topic"),
    ),
    (
        r#"<View><Video name="v" value="$same"/><Audio name="s" value="$same"/>
           <Choices name="c" toName="v"><Choice value="x"/></Choices></View>"#,
        Some("same"),
    ),
];

/// Goal: receivers see the names that Label Studio's own syncs show them. Method: twin projects with each label config, and
/// tasks with the key alone, beside others, in place of a column that they have too, and deeper in the data.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn an_undefined_key_has_the_same_name_in_webhooks_as_in_those_of_label_studio() {
    let twins = Twins::start().await;
    let server = WebhookServer::start().await;
    let datas = [
        json!({"$undefined$": "s3://x/1.jpg"}),
        json!({"$undefined$": null, "title": "t"}),
        json!({"$undefined$": {"$undefined$": 1}, "a": "named", "topic": "named", "same": "named"}),
        json!({"a": {"$undefined$": 2}}),
    ];
    for (n, (config, name)) in CONFIGS.iter().enumerate() {
        let bucket = format!("undefined{n}");
        twins.rig.s3.create_bucket(&bucket);
        for (index, data) in datas.iter().enumerate() {
            twins.rig.s3.put(&bucket, &format!("{index}.json"), json!({"data": data}).to_string());
        }
        let mut bodies = Vec::new();
        for side in ["theirs", "ours"] {
            let twin = twins.import(&bucket, json!({})).await;
            let project = format!("/api/projects/{}/", twin.project);
            twins.studio.send("PATCH", &project, Some(&json!({"label_config": config}))).await;
            let path = format!("/{side}{n}");
            twins.webhook(&server.url(&path), Some(twin.project), json!({})).await;
            if side == "theirs" {
                twins.sync_theirs(&twin).await;
            } else {
                twins.sync_ours(&twin).await;
            }
            bodies.push(normalized(&twins.until_received(&server, &path, 1).await[0].body));
        }
        let [theirs, ours] = &bodies[..] else { panic!("two bodies") };
        assert_eq!(ours, theirs, "{config}");
        let shown = ours["tasks"].as_array().expect("tasks").iter().map(|task| task["data"].clone());
        let expected = datas.iter().map(|data| renamed(data, *name));
        assert_eq!(shown.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{config}");
    }
}

/// The data with this name for the key of its first level.
fn renamed(data: &Value, name: Option<&str>) -> Value {
    let mut data = data.as_object().expect("an object").clone();
    if let Some(name) = name
        && let Some(value) = data.remove("$undefined$")
    {
        data.insert(name.to_owned(), value);
    }
    data.into()
}
