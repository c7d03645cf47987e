//! Images on every kind of storage: what Longshore answers, beside what Label Studio itself answers for the same URL.

use std::collections::BTreeMap;
use std::iter::once;

use longshore_rig::label_studio::TOKEN;
use longshore_uri::encode_fileuri;
use percent_encoding::percent_decode_str;
use reqwest::redirect::Policy;
use reqwest::{Response, Url};
use serde_json::{Value, json};

use super::differences::LISTED;
use crate::label_studio::differential::every_kind::EveryKind;
use crate::label_studio::differential::store::Store;
use crate::label_studio::{Twin, Twins};

/// Minutes for which a presigned URL is valid.
const TTL: i64 = 7;

/// The header of both for the object itself.
const CACHING: &str = "private, max-age=3600, must-revalidate";

/// Objects with their content.
const OBJECTS: &[(&str, &str)] = &[
    ("a ü+1.jpg", "0123456789"),
    ("folder/b.png", "png"),
    ("folder//c.png", "two slashes"),
    ("/d.png", "a slash first"),
    ("100%25.jpg", "a percent sign"),
    ("q?.jpg", "a question mark"),
    ("h#.jpg", "a hash"),
    ("sound.mp3", "mp3"),
    ("sound.wav", "wav"),
    ("clip.mp4", "mp4"),
    ("page.html", "<p>"),
    ("icon.svg", "<svg/>"),
    ("paper.pdf", "%PDF"),
    ("table.csv", "a,b"),
    ("words.txt", "words"),
    ("task.json", "{}"),
    ("no-extension", "?"),
    ("empty.jpg", ""),
];

/// A key that the bucket lacks, although a task holds its URI.
const MISSING: &str = "missing.jpg";

/// Parts of the first object.
const RANGES: &[&str] = &[
    "bytes=2-5",
    "bytes=0-",
    "bytes=0-0",
    "bytes=4-",
    "bytes=8-99",
    "bytes=-3",
    "bytes=10-",
    "bytes=5-2",
    "items=1-2",
    "bytes=0-1,4-5",
];

/// A project with a storage, and a task that holds the URIs of its objects.
pub(super) struct Site<'a> {
    all: &'a EveryKind,
    pub(super) store: &'a Store,
    pub(super) bucket: String,
    pub(super) twin: Twin,
    pub(super) task: i64,
}

impl<'a> Site<'a> {
    /// `name` is a number, so that it can name a database too.
    pub(super) async fn new(all: &'a EveryKind, store: &'a Store, name: &str, settings: Value) -> Self {
        let twins = &all.twins;
        let name = if matches!(store, Store::Redis(_)) { name.to_owned() } else { format!("site-{name}") };
        let bucket = store.create_bucket(twins, &name).await;
        for (key, content) in OBJECTS.iter().filter(|(key, _)| can_hold(store, key)) {
            store.put(twins, &bucket, key, content.as_bytes().to_vec()).await;
        }
        let project = twins.studio.project(crate::label_studio::CONFIG).await;
        let storage = connect(twins, store, &bucket, project, settings).await;
        let keys = OBJECTS.iter().map(|(key, _)| *key).chain(once(MISSING));
        let uris: Vec<String> = keys.map(|key| store.uri(&bucket, key)).collect();
        let task = task_with(twins, project, &uris).await;
        Self { all, store, bucket, twin: Twin { project, storage }, task }
    }

    /// What Label Studio and Longshore answer for an object, each in a line.
    pub(super) async fn answers(&self, key: &str, range: Option<&str>) -> [String; 2] {
        self.answers_for(self.task, key, range).await
    }

    /// The same for an object of this site that another task may hold.
    pub(super) async fn answers_for(&self, task: i64, key: &str, range: Option<&str>) -> [String; 2] {
        let uri = self.store.uri(&self.bucket, key);
        let path = format!("/tasks/{task}/resolve/?fileuri={}", encode_fileuri(&uri));
        let twins = &self.all.twins;
        self.store.unfit(twins, self.twin.storage).await;
        let mut theirs = send(twins.studio.url(), &path, range).await;
        self.store.fit(twins, self.twin.storage).await;
        if theirs.status() == 303 {
            // Label Studio's name of the account is not that of the tests.
            theirs = send(twins.studio.url(), &path, range).await;
        }
        [line(theirs).await, line(send(&twins.rig.url(), &path, range).await).await]
    }

    /// The type and the bytes that a browser gets from Longshore for an object, also from where it is redirected to.
    async fn loaded(&self, key: &str) -> (String, String) {
        let uri = self.store.uri(&self.bucket, key);
        let path = format!("/tasks/{}/resolve/?fileuri={}", self.task, encode_fileuri(&uri));
        let mut answer = send(&self.all.twins.rig.url(), &path, None).await;
        if let Some(url) = answer.headers().get("location") {
            answer = reqwest::get(url.to_str().expect("a URL")).await.expect("an answer");
        }
        let content_type = answer.headers()["content-type"].to_str().expect("text").to_owned();
        (content_type, answer.text().await.expect("an object"))
    }
}

/// Creates a storage in Label Studio, and gives it the settings that Longshore needs.
pub(super) async fn connect(twins: &Twins, store: &Store, bucket: &str, project: i64, settings: Value) -> i64 {
    let mut body = store.settings(twins, bucket);
    let fields = body.as_object_mut().expect("an object");
    fields.insert("project".to_owned(), json!(project));
    fields.extend(settings.as_object().expect("an object").clone());
    let storage = twins.studio.send("POST", &format!("/api/storages/{}", store.kind()), Some(&body)).await;
    let storage = storage["id"].as_i64().expect("an ID");
    store.fit(twins, storage).await;
    storage
}

/// A task that no storage imported.
pub(super) async fn task_with(twins: &Twins, project: i64, uris: &[String]) -> i64 {
    let path = format!("/api/projects/{project}/import?return_task_ids=true");
    let made = twins.studio.send("POST", &path, Some(&json!([{"data": {"image": "i", "uris": uris}}]))).await;
    made["task_ids"][0].as_i64().expect("a task")
}

pub(super) async fn send(base: &str, path: &str, range: Option<&str>) -> Response {
    let http = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().expect("a client");
    let request = http.get(format!("{base}{path}")).header("authorization", format!("Token {TOKEN}"));
    let request = range.into_iter().fold(request, |request, range| request.header("range", range));
    request.send().await.expect("an answer")
}

/// What matters of an answer: of a redirect where it leads to, of an object its type and bytes.
pub(super) async fn line(answer: Response) -> String {
    let status = answer.status().as_u16();
    let header =
        |name: &str| answer.headers().get(name).map_or("none", |value| value.to_str().expect("text")).to_owned();
    let caching = match header("cache-control") {
        caching if caching == CACHING => String::new(),
        caching => format!(", {caching}"),
    };
    match status {
        303 => format!("303 {}{caching}", location(&header("location"))),
        200 => {
            let content_type = header("content-type");
            format!("200 {content_type}{caching}: {}", answer.text().await.unwrap_or_else(|_| "cut off".to_owned()))
        }
        206 => {
            let (content_type, part) = (header("content-type"), header("content-range"));
            let bytes = answer.text().await.unwrap_or_else(|_| "cut off".to_owned());
            format!("206 {content_type}{caching}, {part}: {bytes}")
        }
        _ => status.to_string(),
    }
}

/// The path of a presigned URL, decoded, and what its query says besides the signature.
fn location(url: &str) -> String {
    let url: Url = url.parse().unwrap_or_else(|error| panic!("{error}: {url}"));
    let path = percent_decode_str(url.path()).decode_utf8_lossy().into_owned();
    // Azurite has the account in the path.
    let path = path.strip_prefix("/longshoretests").unwrap_or(&path).to_owned();
    let value = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let expires = value("X-Amz-Expires").or_else(|| value("X-Goog-Expires"));
    let rights = value("sp").map(|rights| format!(" sp={rights}")).unwrap_or_default();
    let content_type = value("response-content-type").map(|text| format!(" as {text}")).unwrap_or_default();
    let hash = if url.fragment().is_some() { " and a fragment" } else { "" };
    format!("{path}{hash}{content_type}{rights} for {}", expires.unwrap_or_else(|| "a time".to_owned()))
}

fn can_hold(store: &Store, key: &str) -> bool {
    !matches!(store, Store::Localfiles(_)) || !(key.starts_with('/') || key.contains("//"))
}

/// Whether Label Studio serves objects of this kind by their URIs.
pub(super) fn is_served(store: &Store) -> bool {
    !matches!(store, Store::Redis(_) | Store::Localfiles(_))
}

/// Compares answers with what is listed, and returns what is not as expected.
fn fault(case: &str, answers: &[String; 2]) -> Option<String> {
    let listed = LISTED.iter().find(|difference| difference.case == case);
    let [theirs, ours] = answers;
    let is_expected = match listed {
        Some(listed) => theirs == listed.theirs && ours == listed.ours,
        None => theirs == ours,
    };
    (!is_expected).then(|| format!("{case}, listed as {listed:?}\n    theirs {theirs}\n    ours   {ours}"))
}

/// Goal: pages show the same images, whichever of both answers. Method: the same URLs to both, for every kind, whole and in
/// parts.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn both_stream_the_same_objects_but_for_the_listed_differences() {
    let all = EveryKind::start().await;
    let (mut faults, mut of_s3) = (Vec::new(), BTreeMap::<&str, String>::new());
    for store in once(&Store::S3).chain(&all.stores) {
        let settings = if is_served(store) { json!({"presign": false}) } else { json!({}) };
        let site = Site::new(&all, store, "9", settings).await;
        let whole = OBJECTS.iter().map(|(key, _)| (*key, None)).chain(once((MISSING, None)));
        let parts = RANGES.iter().map(|range| (OBJECTS[0].0, Some(*range)));
        for (key, range) in whole.chain(parts).filter(|(key, _)| can_hold(store, key)) {
            let what = range.unwrap_or(key);
            let answers = site.answers(key, range).await;
            if is_served(store) {
                faults.extend(fault(&format!("{} {what}", store.kind()), &answers));
            } else {
                // The entry `more-kinds`: Label Studio serves none, and Longshore the same as for the other kinds.
                assert_eq!(answers, ["404".to_owned(), of_s3[what].clone()], "{} {what}", store.kind());
            }
            let [_, ours] = answers;
            of_s3.entry(what).or_insert(ours);
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// Goal: browsers are sent to the same object, for the same time. Method: the same URLs to both, for every kind that
/// presigns, and the objects that the URLs of Longshore give.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn both_redirect_to_the_same_objects_but_for_the_listed_differences() {
    let all = EveryKind::start().await;
    let mut faults = Vec::new();
    for store in once(&Store::S3).chain(&all.stores).filter(|store| is_served(store)) {
        let site = Site::new(&all, store, "9", json!({"presign": true, "presign_ttl": TTL})).await;
        for (key, _) in OBJECTS.iter().chain(&[(MISSING, "")]) {
            let answers = site.answers(key, None).await.map(|line| line.replace(&site.bucket, "BUCKET"));
            faults.extend(fault(&format!("{} presigned {key}", store.kind()), &answers));
        }
        for (key, content) in OBJECTS {
            let (content_type, loaded) = site.loaded(key).await;
            assert_eq!(loaded, *content, "{} {key}", store.kind());
            // Objects of the tests are stored without a type.
            let is_image = content_type == "image/jpeg" || !key.ends_with(".jpg");
            assert!(is_image || !matches!(store, Store::S3), "{key} is shown, not downloaded: {content_type}");
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
