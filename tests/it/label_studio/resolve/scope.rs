//! With which storage a URI is resolved: one of the task's project, as it is set now.

use std::iter::once;

use longshore_rig::label_studio::TOKEN;
use longshore_rig::rig::SECRET_ACCESS_KEY;
use serde_json::{Value, json};

use super::kinds::{Site, connect, is_served, send, task_with};
use super::{as_user, path};
use crate::label_studio::differential::every_kind::EveryKind;
use crate::label_studio::differential::store::Store;
use crate::label_studio::{CONFIG, Twins};

const KEY: &str = "folder/b.png";
const IMAGE: &str = "200 image/png: png";

fn streamed(store: &Store) -> Value {
    if is_served(store) { json!({"presign": false}) } else { json!({}) }
}

/// Goal: no user reads a bucket through another project. Method: on every kind, tasks of other projects name the object:
/// without a storage, with a storage of another bucket; and a task of the same project does not name it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_uri_is_resolved_only_for_a_task_that_holds_it_and_with_its_project() {
    let all = EveryKind::start().await;
    let twins = &all.twins;
    for store in once(&Store::S3).chain(&all.stores) {
        let kind = store.kind();
        let site = Site::new(&all, store, "7", streamed(store)).await;
        let [theirs, ours] = site.answers(KEY, None).await;
        assert_eq!((&*theirs, &*ours), (if is_served(store) { IMAGE } else { "404" }, IMAGE), "{kind}");
        let refused = ["404", "404"].map(str::to_owned);

        let uri = store.uri(&site.bucket, KEY);
        let elsewhere = twins.studio.project(CONFIG).await;
        let task = task_with(twins, elsewhere, std::slice::from_ref(&uri)).await;
        assert_eq!(site.answers_for(task, KEY, None).await, refused, "{kind}: a project without storages");
        let name = if matches!(store, Store::Redis(_)) { "6" } else { "another-bucket" };
        let bucket = store.create_bucket(twins, name).await;
        store.put(twins, &bucket, "x", b"x".to_vec()).await;
        connect(twins, store, &bucket, elsewhere, streamed(store)).await;
        assert_eq!(site.answers_for(task, KEY, None).await, refused, "{kind}: a project with another bucket");

        // Label Studio resolves any URI with the storages of a task's project.
        let task = task_with(twins, site.twin.project, &[]).await;
        let [theirs, ours] = site.answers_for(task, KEY, None).await;
        assert_eq!((&*theirs, &*ours), (if is_served(store) { IMAGE } else { "404" }, "404"), "{kind}");

        let head = async |base: &str| {
            let path = path(site.task, &uri);
            let request = reqwest::Client::new().head(format!("{base}{path}"));
            let answer = request.header("authorization", format!("Token {TOKEN}")).send().await.expect("an answer");
            (
                answer.status().as_u16(),
                answer.headers().get("content-length").map(|length| length.to_str().expect("text").to_owned()),
            )
        };
        assert_eq!(head(twins.studio.url()).await.0, 405, "{kind}");
        assert_eq!(head(&twins.rig.url()).await, (200, Some("3".to_owned())), "{kind}");
    }
}

/// The table and the column of the secret of a kind, and a secret that its server refuses.
fn secret(store: &Store) -> Option<(&'static str, &'static str, String)> {
    match store {
        Store::S3 => Some(("s3importstorage", "aws_secret_access_key", format!("not-{SECRET_ACCESS_KEY}"))),
        Store::Gcs(gcs) => {
            Some(("gcsstoragemixin", "google_application_credentials", gcs.unknown_key_file().to_string()))
        }
        Store::Azure(_) => Some(("azureblobstoragemixin", "account_key", "d3Jvbmc=".to_owned())),
        Store::Redis(_) => Some(("redisstoragemixin", "password", "wrong".to_owned())),
        Store::Localfiles(_) => None,
    }
}

impl Site<'_> {
    /// Changes settings in Label Studio, which checks them.
    async fn change(&self, twins: &Twins, settings: Value) {
        self.store.unfit(twins, self.twin.storage).await;
        let path = format!("/api/storages/{}/{}", self.store.kind(), self.twin.storage);
        twins.studio.send("PATCH", &path, Some(&settings)).await;
        self.store.fit(twins, self.twin.storage).await;
    }
}

/// Goal: what users change in Label Studio holds for the next image, although storages stay open. Method: on every kind, an
/// image is loaded between changes: of `presign`, its time, the bucket and the secret, and after the storage is deleted.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn changed_settings_of_a_storage_hold_for_the_next_image() {
    let all = EveryKind::start().await;
    let twins = &all.twins;
    let db = twins.rig.database().await;
    for store in once(&Store::S3).chain(&all.stores) {
        let (kind, is_served) = (store.kind(), is_served(store));
        let site = Site::new(&all, store, "7", streamed(store)).await;
        let check = async |what: &str, expected: &str| {
            let [theirs, ours] = site.answers(KEY, None).await;
            assert_eq!(ours, expected, "{kind}: {what}, ours");
            assert_eq!(theirs, if is_served { expected } else { "404" }, "{kind}: {what}, theirs");
        };
        check("at first", IMAGE).await;
        if is_served {
            for (ttl, caching) in [(7, "no-store, max-age=420"), (12, "no-store, max-age=720")] {
                site.change(twins, json!({"presign": true, "presign_ttl": ttl})).await;
                let answers = site.answers(KEY, None).await;
                assert!(answers.iter().all(|line| line.starts_with("303 ") && line.ends_with(caching)), "{answers:?}");
            }
            site.change(twins, json!({"presign": false})).await;
            check("streamed again", IMAGE).await;
        }

        let other = store.create_bucket(twins, if matches!(store, Store::Redis(_)) { "5" } else { "moved" }).await;
        store.put(twins, &other, "x", b"x".to_vec()).await;
        site.change(twins, store.settings(twins, &other)).await;
        check("another bucket", "404").await;
        site.change(twins, store.settings(twins, &site.bucket)).await;
        check("the first bucket again", IMAGE).await;

        if let Some((table, column, wrong)) = secret(store) {
            let change = format!("UPDATE public.io_storages_{table} SET {column} = $2 WHERE id = $1::bigint");
            let read = format!("SELECT {column} FROM public.io_storages_{table} WHERE id = $1::bigint");
            let right: String = db.query_one(&read, &[&site.twin.storage]).await.expect("a storage").get(0);
            db.execute(&change, &[&site.twin.storage, &wrong]).await.expect("a storage");
            check("a wrong secret", "424").await;
            db.execute(&change, &[&site.twin.storage, &right]).await.expect("a storage");
            check("the right secret again", IMAGE).await;
        }
        let path = format!("/api/storages/{kind}/{}", site.twin.storage);
        twins.studio.send("DELETE", &path, None).await;
        check("no storage", "404").await;
    }
}

/// Goal: users can give a folder of a bucket other credentials. Method: two storages on one bucket, of which the newer one
/// has a prefix.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn the_storage_with_the_longest_prefix_decides_how_an_object_is_served() {
    let twins = Twins::start().await;
    twins.rig.s3.create_bucket("shared");
    twins.rig.s3.put_many("shared", ["a.png", "folder/b.png"].map(|key| (key, "png")));
    let twin = twins.import("shared", json!({"presign": false})).await;
    connect(&twins, &Store::S3, "shared", twin.project, json!({"presign": true, "prefix": "folder"})).await;
    let uris = ["a.png", "folder/b.png"].map(|key| Store::S3.uri("shared", key));
    let task = task_with(&twins, twin.project, &uris).await;
    for (uri, [theirs, ours]) in uris.iter().zip([[200, 200], [200, 303]]) {
        let path = path(task, uri);
        assert_eq!(send(twins.studio.url(), &path, None).await.status(), theirs, "{uri}");
        assert_eq!(as_user(&twins, &path).await.status(), ours, "{uri}");
    }
}

/// Goal: presigned URLs for AWS itself work in every region. Method: storages without an endpoint; signing needs no request.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn presigned_urls_of_aws_name_the_host_of_the_region() {
    let twins = Twins::start().await;
    let north = "https://s3.eu-north-1.amazonaws.com/photos.example/a%20b.jpg";
    for (bucket, region, expected) in [
        (
            "photos",
            None,
            ["https://photos.s3.amazonaws.com/a%20b.jpg", "https://photos.s3.us-east-1.amazonaws.com/a%20b.jpg"],
        ),
        (
            "photos",
            Some("eu-north-1"),
            ["https://photos.s3.amazonaws.com/a%20b.jpg", "https://photos.s3.eu-north-1.amazonaws.com/a%20b.jpg"],
        ),
        ("photos.example", Some("eu-north-1"), [north, north]),
    ] {
        twins.rig.s3.create_bucket(bucket);
        let twin = twins.import(bucket, json!({"presign": true})).await;
        let move_to_aws = "UPDATE public.io_storages_s3importstorage SET s3_endpoint = NULL, region_name = $2
                            WHERE id = $1::bigint";
        twins.rig.database().await.execute(move_to_aws, &[&twin.storage, &region]).await.expect("a storage");
        let uri = Store::S3.uri(bucket, "a b.jpg");
        let task = task_with(&twins, twin.project, std::slice::from_ref(&uri)).await;
        let path = path(task, &uri);
        let seen = [send(twins.studio.url(), &path, None).await, as_user(&twins, &path).await].map(|answer| {
            let url = answer.headers()["location"].to_str().expect("a URL").to_owned();
            url.split_once('?').expect("a query").0.to_owned()
        });
        assert_eq!(seen, expected, "{region:?}");
    }
}
