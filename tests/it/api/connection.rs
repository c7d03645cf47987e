//! Connections are checked before settings are saved: invalid settings are refused with the field and advice.

use longshore_local::s3::{Fault, Op, S3ErrorCode};
use longshore_rig::rig::{ACCESS_KEY_ID, Rig, SECRET_ACCESS_KEY};
use serde_json::{Value, json};

use super::{refused, text};

/// A rig with a bucket, and the settings that reach it.
async fn with_bucket() -> (Rig, Value) {
    let rig = Rig::with().workers(0).start().await;
    rig.s3.create_bucket("pics");
    let good = json!({
        "project": rig.project().await, "bucket": "pics", "s3_endpoint": rig.s3.endpoint(),
        "aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY
    });
    (rig, good)
}

fn but(settings: &Value, field: &str, value: Value) -> Value {
    let mut settings = settings.clone();
    settings[field] = value;
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_field_is_named_with_its_message_on_every_route_that_takes_it() {
    let (rig, good) = with_bucket().await;
    let storage = rig.import_storage(good["project"].as_i64().expect("an id"), "pics", json!({})).await;
    let least = "Ensure this value is greater than or equal to 0.";
    let cases = [
        ("project", json!("one"), "A valid integer is required."),
        ("project", json!(999), "Invalid pk \"999\" - object does not exist."),
        ("project", Value::Null, "This field may not be null."),
        ("title", json!("x".repeat(257)), "Ensure this field has no more than 256 characters."),
        ("title", json!(["x"]), "Not a valid string."),
        ("description", json!("a\u{0}b"), "Null characters are not allowed."),
        ("synchronizable", json!("maybe"), "Must be a valid boolean."),
        ("presign", Value::Null, "This field may not be null."),
        ("use_blob_urls", json!({}), "Must be a valid boolean."),
        ("recursive_scan", json!(2), "Must be a valid boolean."),
        ("presign_ttl", json!(-1), least),
        ("presign_ttl", json!(32_768), "Ensure this value is less than or equal to 32767."),
        ("presign_ttl", json!(1.5), "A valid integer is required."),
        ("bucket", json!(""), "This field is required."),
        ("bucket", json!("a/b"), "write the name alone of the bucket: `a`; put `b` into `prefix`"),
        ("s3_endpoint", json!("minio:9000"), "an endpoint must begin with https:// or http://"),
        ("s3_endpoint", json!("ftp://host"), "an endpoint must begin with https:// or http://"),
        (
            "s3_endpoint",
            json!("http://me:pw@host"),
            "an endpoint may not contain a user and password: use the key fields",
        ),
        (
            "region_name",
            json!("eu central"),
            "a region may contain only letters, digits and hyphens, such as eu-central-1",
        ),
    ];
    let one = format!("/api/storages/s3/{}", storage.id);
    let routes = [
        ("POST", "/api/storages/s3"),
        ("POST", "/api/storages/s3/validate"),
        ("POST", "/api/storages/s3/files"),
        ("PUT", one.as_str()),
        ("PATCH", one.as_str()),
    ];
    for (field, value, message) in cases {
        for (method, path) in routes {
            let sent = if method == "PATCH" { json!({field: value}) } else { but(&good, field, value.clone()) };
            let body = refused(&rig, method, path, Some(sent), 400, "validation_error").await;
            assert_eq!(body["detail"], "Validation error");
            assert_eq!(body["validation_errors"], json!({field: [message]}), "{method} {path}");
        }
    }
    let sent = but(&good, "regex_filter", json!("("));
    let body = refused(&rig, "POST", "/api/storages/s3", Some(sent), 400, "validation_error").await;
    let message = body["validation_errors"]["regex_filter"][0].as_str().expect("a message");
    assert!(message.starts_with("the file filter is not a valid regular expression"), "{message}");
    let mut aws = but(&good, "bucket", json!("Not_AWS"));
    aws["s3_endpoint"] = Value::Null;
    let body = refused(&rig, "POST", "/api/storages/s3", Some(aws), 400, "validation_error").await;
    assert!(body["validation_errors"]["bucket"].is_array(), "{body}");
    let all = rig.get("/api/storages").await;
    assert_eq!(all.as_array().map(Vec::len), Some(1), "nothing was stored: {all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_connection_names_the_reason_and_the_field() {
    let (rig, good) = with_bucket().await;
    let closed = format!("http://127.0.0.1:{}", longshore_local::ports::free().expect("a port"));
    let cases = [
        (but(&good, "aws_secret_access_key", json!("wrong")), "wrong_secret_key", "aws_secret_access_key"),
        (but(&good, "aws_access_key_id", json!("AKIANOBODY")), "unknown_access_key", "aws_access_key_id"),
        (but(&good, "bucket", json!("no-such-bucket")), "no_such_bucket", "bucket"),
        (but(&good, "s3_endpoint", json!(closed)), "unreachable", "s3_endpoint"),
    ];
    for collection in ["/api/storages/s3", "/api/storages/export/s3"] {
        let validate = format!("{collection}/validate");
        let (status, body) = rig.call("POST", &validate, Some(good.clone())).await;
        assert!(status == 200 && body["warnings"].is_array(), "{body}");
        for (settings, code, field) in &cases {
            for path in [&validate, collection] {
                let body = refused(&rig, "POST", path, Some(settings.clone()), 400, code).await;
                assert_eq!(body["validation_errors"][field][0], body["detail"], "{path}");
            }
        }
    }

    // An import needs only reading, an export only writing.
    rig.s3.fail(Op::Put, Fault::Error(S3ErrorCode::AccessDenied));
    assert_eq!(text(&rig, "POST", "/api/storages/s3/validate", Some(&good)).await.0, 200);
    let path = "/api/storages/export/s3/validate";
    let body = refused(&rig, "POST", path, Some(good.clone()), 400, "access_denied").await;
    assert!(body["detail"].as_str().is_some_and(|detail| detail.contains("PUT for export")), "{body}");
    rig.s3.clear_faults();
    rig.s3.fail(Op::List, Fault::Error(S3ErrorCode::AccessDenied));
    refused(&rig, "POST", "/api/storages/s3/validate", Some(good.clone()), 400, "access_denied").await;
    assert_eq!(text(&rig, "POST", path, Some(&good)).await.0, 200);

    assert_eq!(rig.get("/api/storages").await, json!([]), "nothing was stored");
    assert!(rig.s3.objects("pics").is_empty(), "the test object is deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_the_operator_does_not_allow_is_forbidden() {
    let rig = Rig::with().workers(0).env("LONGSHORE_ALLOWED_ENDPOINTS", "").start().await;
    let project = rig.project().await;
    let port = rig.s3.address().port();
    for host in ["127.0.0.1", "localhost", "[::1]", "10.1.2.3", "169.254.169.254", "0.0.0.0", "[::ffff:127.0.0.1]"] {
        let settings = json!({
            "project": project, "bucket": "pics", "s3_endpoint": format!("http://{host}:{port}"),
            "aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY
        });
        for path in
            ["/api/storages/s3", "/api/storages/s3/validate", "/api/storages/s3/files", "/api/storages/export/s3"]
        {
            let body = refused(&rig, "POST", path, Some(settings.clone()), 403, "blocked_address").await;
            assert!(body["validation_errors"]["s3_endpoint"].is_array(), "{host} {path}: {body}");
        }
    }
    assert!(rig.s3.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn validation_with_an_id_uses_the_stored_secrets_and_changes_nothing() {
    let (rig, good) = with_bucket().await;
    rig.s3.create_bucket("others");
    let settings = json!({"title": "T", "presign": false, "synchronizable": false});
    let storage = rig.import_storage(good["project"].as_i64().expect("an id"), "pics", settings).await;
    let db = rig.database().await;
    let row = async || -> String { db.query_one("SELECT s::text FROM storages s", &[]).await.expect("a row").get(0) };
    let before = row().await;

    let mut sent = json!({
        "id": storage.id, "project": storage.project, "bucket": "others", "title": "U",
        "s3_endpoint": format!("http://{}", rig.storage_link.address())
    });
    let path = "/api/storages/s3/validate";
    assert_eq!(rig.call("POST", path, Some(sent.clone())).await.0, 200);
    let files = rig.post("/api/storages/s3/files", sent.clone()).await;
    assert_eq!(files["complete"], true);
    sent["aws_secret_access_key"] = json!("wrong");
    refused(&rig, "POST", path, Some(sent.clone()), 400, "wrong_secret_key").await;
    sent["id"] = json!(storage.id + 100);
    refused(&rig, "POST", path, Some(sent.clone()), 404, "not_found").await;
    sent["id"] = json!(storage.id);
    refused(&rig, "POST", "/api/storages/export/s3/validate", Some(sent), 404, "not_found").await;
    assert_eq!(row().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_shows_which_keys_a_sync_imports_and_why_it_skips_others() {
    let (rig, good) = with_bucket().await;
    let keys = ["a/1.json", "a/2.txt", "a/dir/", "a/sub/3.json", "a/z.json", "b.json"];
    rig.s3.put_many("pics", keys.map(|key| (key, "four")));
    let path = "/api/storages/s3/files";
    let mut settings = but(&good, "prefix", json!("a"));
    settings["regex_filter"] = json!(r".*\.json$");
    let names = |list: &Value| -> Vec<Value> {
        list.as_array().expect("a list").iter().map(|item| item["key"].clone()).collect()
    };
    let rules = |preview: &Value| -> Vec<(String, String)> {
        let skipped = preview["skipped"].as_array().expect("a list").iter();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        skipped.map(|item| (text(&item["key"]), text(&item["rule"]))).collect()
    };
    let of = |key: &str, rule: &str| (key.to_owned(), rule.to_owned());
    let deep = "lies in a sub-folder, and recursive scan is off";
    let regex = "the file filter does not match at the start of the key";
    let folder = "a folder, not an object with content";

    let flat = rig.post(path, settings.clone()).await;
    assert_eq!(names(&flat["files"]), ["a/1.json", "a/z.json"]);
    assert_eq!((&flat["files"][0]["size"], &flat["complete"]), (&json!(4), &json!(true)));
    assert!(flat["files"][0]["last_modified"].as_str().is_some_and(|time| time.ends_with('Z')), "{flat}");
    let mut skipped = rules(&flat);
    skipped.sort();
    assert_eq!(skipped, [of("a/2.txt", regex), of("a/dir/", deep), of("a/sub/", deep)]);

    settings["recursive_scan"] = json!(true);
    let deep = rig.post(path, settings.clone()).await;
    assert_eq!(names(&deep["files"]), ["a/1.json", "a/sub/3.json", "a/z.json"]);
    assert_eq!(rules(&deep), [of("a/2.txt", regex), of("a/dir/", folder)]);

    settings["limit"] = json!(2);
    let cut = rig.post(path, settings.clone()).await;
    assert_eq!(cut["files"][2], json!({"key": null, "last_modified": null, "size": null}));
    assert_eq!((names(&cut["files"]).len(), &cut["complete"]), (3, &json!(false)));
    settings["limit"] = json!(0);
    let body = refused(&rig, "POST", path, Some(settings.clone()), 400, "validation_error").await;
    assert!(body["validation_errors"]["limit"].is_array());
    settings["limit"] = json!(10);
    settings["bucket"] = json!("no-such-bucket");
    refused(&rig, "POST", path, Some(settings), 400, "no_such_bucket").await;
}

/// Goal: a bucket as people paste it, and an endpoint with more than the server, are refused with what to change. Method: the
/// forms of tickets and consoles, on a real server.
#[tokio::test(flavor = "multi_thread")]
async fn a_pasted_bucket_or_endpoint_is_refused_with_what_to_take_away() {
    let (rig, good) = with_bucket().await;
    let name = good["bucket"].as_str().expect("a name").to_owned();
    for (bucket, rest) in [
        (format!("s3://{name}"), "take `s3://` away"),
        (format!("s3://{name}/images/"), "put `images/` into `prefix`"),
        (format!("{name}/images"), "put `images` into `prefix`"),
        (format!("{name}/"), "take the slash at the end away"),
        (format!("arn:aws:s3:::{name}"), "take `arn:aws:s3:::` away"),
        (format!("https://{name}.s3.amazonaws.com"), "take `https://` away"),
    ] {
        let settings = but(&good, "bucket", json!(bucket));
        let body = refused(&rig, "POST", "/api/storages/s3", Some(settings), 400, "validation_error").await;
        let message = body["validation_errors"]["bucket"][0].as_str().unwrap_or_default();
        assert!(message.contains(&format!("write the name alone of the bucket: `{name}`")), "{bucket}: {message}");
        assert!(message.contains(rest), "{bucket}: {message}");
    }
    let server = good["s3_endpoint"].as_str().expect("an endpoint");
    for endpoint in [format!("{server}/{name}"), format!("{server}/browser/{name}"), format!("{server}/console")] {
        let settings = but(&good, "s3_endpoint", json!(endpoint));
        let (status, body) = rig.call("POST", "/api/storages/s3", Some(settings)).await;
        let message = body["validation_errors"]["s3_endpoint"][0].as_str().unwrap_or_default();
        assert!(status == 400 && message.contains(&format!("`{server}")), "{endpoint}: {body}");
        assert!(message.contains("The server answered `404 NoSuch"), "{message}");
    }
    let azure = json!({"project": good["project"], "container": "https://acct.blob.core.windows.net/images/train",
                       "account_name": "acct", "account_key": "a2V5"});
    let body = refused(&rig, "POST", "/api/storages/azure", Some(azure), 400, "validation_error").await;
    let message = body["validation_errors"]["container"][0].as_str().unwrap_or_default();
    assert!(message.contains("`images`") && message.contains("put `train` into `prefix`"), "{message}");
}
