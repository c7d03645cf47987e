//! Documents: all URIs in one request, as URLs or as `data:` URLs.

use std::io::Write;

use longshore_local::s3::{Object, Op};
use longshore_rig::raw_http;
use serde_json::{Value, json};

use super::{ResolveRig, check_refused};

/// The answer to a URL in a document for a browser without a token.
async fn loaded(all: &ResolveRig, url: &str) -> String {
    let url = if url.starts_with('/') { format!("{}{url}", all.rig.url()) } else { url.to_owned() };
    let answer = raw_http::get(&url).await;
    assert_eq!(answer.status, 200, "{url}: {}", answer.text());
    answer.text()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_uris_of_a_document_are_resolved_by_their_storages() {
    let all = ResolveRig::start().await;
    all.connected("signed", json!({})).await;
    all.streaming("streamed").await;
    for (bucket, key) in
        [("signed", "1.jpg"), ("signed", "a=b c?d#e.jpg"), ("streamed", "2.jpg"), ("streamed", "x&y.jpg")]
    {
        all.rig.s3.put(bucket, key, format!("{bucket} {key}"));
    }
    let html = "<img src='s3://signed/1.jpg'> and <img src=\"s3://streamed/x&amp;y.jpg\"> <b>s3://signed/1.jpg</b>";
    let data = json!({
        "image": "s3://signed/1.jpg",
        "list": ["s3://streamed/2.jpg", 5, null, ["s3://signed/a=b c?d#e.jpg", " s3://streamed/2.jpg "]],
        "nested": {"html": html, "plain": "see s3://signed/1.jpg here"},
        "elsewhere": "s3://unconnected/1.jpg",
        "n": 12_345_678_901_234_567_890_u64
    });
    let task = all.task(data.clone()).await;

    let answer = all.rig.post("/api/resolve", json!({"task": task})).await;
    assert_eq!((&answer["task"], &answer["resolved"], &answer["inlined"]), (&json!(task), &json!(4), &json!(0)));
    assert_eq!(answer["left"], json!([{"uri": "s3://unconnected/1.jpg", "code": "no_storage"}]));
    let document = &answer["document"];
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).expect("text").to_owned();
    let endpoint = format!("http://{}/", all.rig.storage_link.address());
    assert!(text("/image").starts_with(&format!("{endpoint}signed/1.jpg?X-Amz-")), "{document}");
    assert!(text("/list/0").starts_with(&format!("/tasks/{task}/resolve/?fileuri=")), "{document}");
    for (pointer, content) in
        [("/image", "signed 1.jpg"), ("/list/0", "streamed 2.jpg"), ("/list/3/0", "signed a=b c?d#e.jpg")]
    {
        assert_eq!(loaded(&all, &text(pointer)).await, content, "{pointer}");
    }
    let spaced = text("/list/3/1");
    assert!(spaced.starts_with(" /tasks/") && spaced.ends_with(' '), "{spaced}");
    let turned = text("/nested/html");
    let urls: Vec<String> = turned.split(['\'', '"']).skip(1).step_by(2).map(|url| url.replace("&amp;", "&")).collect();
    assert_eq!(loaded(&all, &urls[0]).await, "signed 1.jpg", "{turned}");
    assert_eq!(loaded(&all, &urls[1]).await, "streamed x&y.jpg", "{turned}");
    assert!(
        turned.ends_with("> <b>s3://signed/1.jpg</b>") && !turned.contains("&x") && turned.contains("&amp;"),
        "{turned}"
    );
    for pointer in ["/nested/plain", "/elsewhere", "/n", "/list/1", "/list/2"] {
        assert_eq!(document.pointer(pointer), data.pointer(pointer), "{pointer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_uris_that_the_task_holds_are_resolved_in_a_sent_document() {
    let all = ResolveRig::start().await;
    all.streaming("pics").await;
    let task = all.task(json!({"image": "s3://pics/1.jpg"})).await;
    let document = json!([{"data": {"a": "s3://pics/1.jpg"}, "result": ["s3://pics/secret.jpg"]}]);
    let answer = all.rig.post("/api/resolve", json!({"task": task, "document": document})).await;
    assert_eq!(answer["left"], json!([{"uri": "s3://pics/secret.jpg", "code": "uri_not_held"}]));
    assert_eq!(answer["document"][0]["result"], document[0]["result"]);
    assert!(answer["document"][0]["data"]["a"].as_str().is_some_and(|link| link.starts_with("/tasks/")), "{answer}");

    for (body, status, code) in [
        (json!({"task": 999_999}), 404, "not_found"),
        (json!({}), 400, "validation_error"),
        (json!({"task": task, "mode": "ftp"}), 400, "parse_error"),
    ] {
        let answer = all.request("POST", "/api/resolve").json(&body).send().await.expect("an answer");
        check_refused(answer, status, code).await;
    }
    let many: Vec<String> = (0..10_001).map(|n| format!("s3://pics/{n}")).collect();
    let body = json!({"task": task, "document": many});
    let answer = all.request("POST", "/api/resolve").json(&body).send().await.expect("an answer");
    check_refused(answer, 400, "too_many_uris").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn small_objects_come_inside_the_document_within_limits() {
    const MIB: usize = 1 << 20;
    let all = ResolveRig::start().await;
    all.connected("pics", json!({})).await;
    all.rig.s3.put("pics", "1.png", "image");
    all.rig.s3.put("pics", "just.bin", vec![0; MIB]);
    all.rig.s3.put("pics", "over.bin", vec![0; MIB + 1]);
    let uris = ["1.png", "just.bin", "over.bin", "gone.png"].map(|key| format!("s3://pics/{key}"));
    let task = all.task(json!({"all": uris, "html": "<img src='s3://pics/1.png'>"})).await;
    let inline = async |task: i64| all.rig.post("/api/resolve", json!({"task": task, "mode": "base64"})).await;
    let answer = inline(task).await;
    assert_eq!((&answer["resolved"], &answer["inlined"]), (&json!(3), &json!(2)), "{}", answer["left"]);
    assert_eq!(answer["left"], json!([{"uri": "s3://pics/gone.png", "code": "no_such_object"}]));
    let all_of = &answer["document"]["all"];
    assert_eq!(all_of[0], "data:image/png;base64,aW1hZ2U=");
    assert_eq!(answer["document"]["html"], "<img src='data:image/png;base64,aW1hZ2U='>");
    assert!(all_of[1].as_str().is_some_and(|url| url.starts_with("data:application/octet-stream;base64,AAAA")));
    assert!(all_of[2].as_str().is_some_and(|url| url.contains("/pics/over.bin?X-Amz-")), "too large: a URL");
    assert_eq!(all_of[3], "s3://pics/gone.png");
    assert_eq!(all.rig.s3.calls().iter().filter(|call| call.op == Op::Get && call.key == "1.png").count(), 1);

    let kinds = async |answer: &Value| {
        let urls = answer["document"]["all"].as_array().expect("a list").iter().filter_map(Value::as_str);
        let (data, urls): (Vec<_>, Vec<_>) = urls.partition(|url| url.starts_with("data:"));
        (data.len(), urls.len())
    };
    let keys = |count: usize, size: usize| -> Value {
        let keys = (0..count).map(|n| format!("{size}/{n:03}"));
        let uris = keys.map(|key| {
            all.rig.s3.put("pics", &key, vec![0; size]);
            format!("s3://pics/{key}")
        });
        json!({"all": uris.collect::<Vec<_>>()})
    };
    let number = inline(all.task(keys(101, 10)).await).await;
    assert_eq!(kinds(&number).await, (100, 1), "no more than a hundred objects");
    let size = inline(all.task(keys(18, MIB)).await).await;
    assert_eq!(kinds(&size).await, (16, 2), "no more than 16 MiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_come_with_links_by_default_without_storage_requests() {
    let all = ResolveRig::start().await;
    all.connected("pics", json!({})).await;
    all.rig.s3.put("pics", "1.jpg", "one");
    let data = json!({"image": "s3://pics/1.jpg", "other": "s3://elsewhere/1.jpg", "n": 1});
    let task = all.task(data.clone()).await;
    all.rig.s3.clear_calls();
    let (one, list) = (format!("/api/tasks/{task}/?"), format!("/api/tasks/?project={}&", all.project));
    for path in [&one, &list] {
        let data_of = async |query: &str| {
            let shown = all.rig.get(&format!("{path}{query}")).await;
            if path == &one { shown["data"].clone() } else { shown["tasks"][0]["data"].clone() }
        };
        assert_eq!(data_of("resolve_uri=false").await, data);
        for query in ["", "resolve_uri=true"] {
            let linked = data_of(query).await;
            let link = linked["image"].as_str().expect("a link").to_owned();
            assert!(link.starts_with(&format!("/tasks/{task}/resolve/?fileuri=")), "{linked}");
            assert_eq!((&linked["other"], &linked["n"]), (&data["other"], &data["n"]));
            assert_eq!(all.rig.s3.calls().len(), 0);
            let answer = all.bare("GET", &link).send().await.expect("an answer");
            assert_eq!(loaded(&all, &super::location(&answer)).await, "one");
            all.rig.s3.clear_calls();
        }
    }
}

/// Goal: a `data:` URL has the bytes that a browser would see by the object's own URL.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_stored_compressed_is_inlined_as_a_browser_shows_it() {
    let all = ResolveRig::start().await;
    all.connected("pics", json!({})).await;
    let put = |key: &str, bytes: Vec<u8>, encoding: &str| {
        let mut object = Object::new(bytes);
        object.content_encoding = Some(encoding.to_owned());
        all.rig.s3.buckets().put("pics", key, object);
    };
    let gzip = |bytes: &[u8]| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packed.write_all(bytes).expect("a vector takes all");
        packed.finish().expect("a vector takes all")
    };
    put("1.svg", gzip(b"<svg/>"), "gzip");
    put("bomb.bin", gzip(&vec![0; 100 << 20]), "gzip");
    put("other.bin", b"brotli".to_vec(), "br");
    let uris = ["1.svg", "bomb.bin", "other.bin"].map(|key| format!("s3://pics/{key}"));
    let task = all.task(json!({"all": uris})).await;
    let answer = all.rig.post("/api/resolve", json!({"task": task, "mode": "base64"})).await;
    assert_eq!((&answer["resolved"], &answer["inlined"]), (&json!(3), &json!(1)), "{answer}");
    assert_eq!(answer["document"]["all"][0], "data:image/svg+xml;base64,PHN2Zy8+");
    for n in [1, 2] {
        assert!(answer["document"]["all"][n].as_str().is_some_and(|url| url.contains("X-Amz-")), "{answer}");
    }
}
