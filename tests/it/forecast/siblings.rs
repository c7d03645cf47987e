//! Warnings about mistakes that resemble those of public tickets.

use longshore_rig::rig::send_json;
use serde_json::{Value, json};

use super::{codes, rig, settings, warnings};

/// Goal: the prefix and the filter that were meant are found however the mistake is spelled. Method: siblings of the mistakes of
/// public tickets, in a bucket with folders in folders.
#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_prefix_and_filter_are_recognized_however_they_are_spelled() {
    let (rig, project) = rig().await;
    rig.s3.put("pets", "animals/Cats/1.png", "x");
    let validate = async |own: Value| rig.post("/api/storages/s3/validate", settings(&rig, project, &own)).await;
    for (prefix, code, meant) in [
        ("//images", "prefix_leading_slash", Some("images")),
        (r"\images", "prefix_leading_slash", Some("images")),
        (".//images//", "prefix_leading_slash", Some("images/")),
        (r"animals\Cats", "prefix_backslash", Some("animals/Cats")),
        ("animals//Cats", "prefix_double_slash", Some("animals/Cats")),
        ("animals/./Cats/", "prefix_double_slash", Some("animals/Cats/")),
        ("animals/cats", "prefix_case", Some("animals/Cats")),
        ("animals/cats/1", "prefix_case", Some("animals/Cats/1")),
        ("ANIMALS/Cats", "prefix_case", Some("animals/Cats")),
        ("image", "prefix_not_a_folder", Some("")),
        ("animals/Cats/1", "prefix_not_a_folder", Some("animals/Cats/")),
        ("animals/dogs", "nothing_below_prefix", None),
        ("pets/images", "nothing_below_prefix", None),
        ("https://pets.s3.amazonaws.com/images", "prefix_uri", Some("images")),
        ("images/?.png", "prefix_glob", Some("images")),
        (" images", "prefix_blanks", Some("images")),
    ] {
        let answer = validate(json!({"prefix": prefix, "use_blob_urls": true})).await;
        let found = warnings(&answer);
        assert!(found.contains(&(code, Some("prefix"), meant)), "{prefix}: {found:?}");
        assert!(found.contains(&("nothing_matches", None, None)), "{prefix}: {found:?}");
    }
    for (filter, code, meant) in [
        (r"\d\.png", "filter_not_from_start", r".*\d\.png"),
        ("[a-z]*.png", "filter_not_from_start", ".*[a-z]*.png"),
        ("pets/images/.*", "filter_with_bucket", "images/.*"),
        ("s3://pets/images/*.png", "filter_with_bucket", r"images/[^/]*\.png"),
        ("./images/.*", "filter_leading_slash", "images/.*"),
        ("images/?.png", "glob_filter", r"images/[^/]\.png"),
        ("images/[0-9]?.{png,jpg}", "glob_filter", r"images/[0-9][^/]\.(png|jpg)"),
        ("IMAGES/.*", "filter_case", "(?i)IMAGES/.*"),
    ] {
        rig.s3.put("pets", "images/10.png", "x");
        let answer = validate(json!({"prefix": "images", "regex_filter": filter, "use_blob_urls": true})).await;
        let found = warnings(&answer);
        assert!(found.contains(&(code, Some("regex_filter"), Some(meant))), "{filter}: {found:?}");
    }
    // These are refused, because an expression cannot begin with a repetition. The advice has the expression.
    for (glob, meant) in [
        ("*.jpg", r".*\.jpg"),
        ("**/*.png", r".*\.png"),
        ("*.{jpg,png}", r".*\.(jpg|png)"),
        ("?.jpg", r"[^/]\.jpg"),
        ("images/**/*.jpg", r"images/.*\.jpg"),
    ] {
        let sent = settings(&rig, project, &json!({"regex_filter": glob}));
        let (status, body) = rig.call("POST", "/api/storages/s3/validate", Some(sent)).await;
        let text = body["validation_errors"]["regex_filter"][0].as_str().unwrap_or_default();
        assert!(status == 400 && text.ends_with(&format!("write {meant}")), "{glob}: {body}");
    }
    for fine in [".*", r".*\.png", "images/[0-9].*", "(images|labels)/.*", r"[a-z]*/\d+\.png", "images/.?.*png"] {
        let answer = validate(json!({"prefix": "images", "regex_filter": fine, "use_blob_urls": true})).await;
        assert_eq!(codes(&answer), Vec::<&str>::new(), "{fine}");
    }
}

/// Goal: objects that do not fit the mode or the label config are warned of, whatever they are. Method: buckets of one kind of
/// objects each.
#[tokio::test(flavor = "multi_thread")]
async fn objects_that_fit_neither_the_mode_nor_the_label_config_are_warned_of() {
    let (rig, project) = rig().await;
    rig.s3.put_many("pets", (0..3).map(|n| (format!("tables/{n}.csv"), "a,b\n1,2\n")));
    rig.s3.put_many("pets", (0..3).map(|n| (format!("columns/{n}.snappy.parquet"), "PAR1")));
    rig.s3.put_many("pets", (0..3).map(|n| (format!("lines/{n}.jsonl.gz"), "x")));
    rig.s3.put_many("pets", (0..3).map(|n| (format!("packed/{n}.zip"), "PK")));
    rig.s3.put_many("pets", (0..3).map(|n| (format!("broken/{n}.json"), "{")));
    rig.s3.put_many("pets", (0..3).map(|n| (format!("junk/_{n}/"), "")));
    let config = |text: &str| rig.post("/api/projects", json!({"title": "T", "label_config": text}));
    let two = r#"<View><Image name="i" value="$image"/><Text name="t" value="$caption"/></View>"#;
    let two = config(two).await["id"].as_i64().expect("an ID");
    let series = r#"<View><TimeSeries name="t" value="$csv" valueType="url"/></View>"#;
    let series = config(series).await["id"].as_i64().expect("an ID");
    let found = async |project: i64, prefix: &str, is_blob: bool| {
        let own = json!({"prefix": prefix, "use_blob_urls": is_blob});
        let answer = rig.post("/api/storages/s3/validate", settings(&rig, project, &own)).await;
        codes(&answer).into_iter().map(str::to_owned).collect::<Vec<String>>()
    };
    for (place, prefix, is_blob, expected) in [
        (project, "tables", false, vec!["json_mode_on_tables"]),
        (project, "tables", true, vec!["blob_mode_on_tables"]),
        (project, "columns", false, vec!["json_mode_on_tables"]),
        (project, "columns", true, vec!["blob_mode_on_tables"]),
        (series, "tables", true, vec![]),
        (project, "lines", true, vec!["blob_mode_on_json"]),
        (project, "lines", false, vec!["first_object_unusable"]),
        (project, "packed", false, vec!["all_refused"]),
        (project, "broken", false, vec!["first_object_unusable"]),
        (project, "junk", true, vec!["nothing_matches"]),
        (project, "labels", false, vec!["missing_data_key"]),
        (two, "images", true, vec!["several_data_keys"]),
        (two, "labels", false, vec!["missing_data_key"]),
    ] {
        assert_eq!(found(place, prefix, is_blob).await, expected, "{prefix} {is_blob}");
    }
}

/// Goal: two storages that make tasks of the same objects are noticed, however they name their place. Method: an import, and others
/// whose prefix lies above, below or beside its own, with other credentials, spellings and rights.
#[tokio::test(flavor = "multi_thread")]
async fn storages_of_one_place_are_noticed_however_it_is_named() {
    let (rig, project) = rig().await;
    rig.s3.put("pets", "images/cats/1.png", "x");
    let own = json!({"prefix": "images/cats", "use_blob_urls": true});
    rig.post("/api/storages/s3?report=false", settings(&rig, project, &own)).await;
    let endpoint = rig.s3.endpoint();
    let port = endpoint.rsplit(':').next().expect("a port");
    let other = rig.project().await;
    for (other_project, own, code) in [
        (project, json!({"prefix": "images/cats/"}), Some("same_place")),
        (other, json!({"prefix": "images/cats"}), Some("same_place")),
        (project, json!({"prefix": "images/cats", "s3_endpoint": format!("{endpoint}/")}), Some("same_place")),
        (
            project,
            json!({"prefix": "images/cats", "s3_endpoint": format!("http://LocalHost:{port}")}),
            Some("same_place"),
        ),
        (project, json!({"prefix": "images"}), Some("overlapping_place")),
        (project, json!({"prefix": ""}), Some("overlapping_place")),
        (project, json!({"prefix": "images", "recursive_scan": false}), None),
        (project, json!({"prefix": "images/cats/1"}), Some("overlapping_place")),
        (project, json!({"prefix": "labels"}), None),
    ] {
        let mut sent = settings(&rig, other_project, &own);
        sent["use_blob_urls"] = json!(true);
        let answer = rig.post("/api/storages/s3/validate", sent).await;
        let found = codes(&answer).into_iter().find(|code| code.ends_with("_place"));
        assert_eq!(found, code, "{own}");
    }
    let new = json!({"name": "other", "role": "admin", "projects": [other]});
    let token = rig.post("/api/tokens", new).await["token"].as_str().expect("a token").to_owned();
    let sent = settings(&rig, other, &json!({"prefix": "images", "use_blob_urls": true}));
    let (status, hidden) =
        send_json(rig.request("POST", "/api/storages/s3/validate").bearer_auth(token).json(&sent)).await;
    assert_eq!((status, codes(&hidden)), (200, vec![]), "a caller learns nothing of other projects: {hidden}");
}
