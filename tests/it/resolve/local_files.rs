//! Local files: by the host's own links, and by tasks.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use longshore_rig::rig::{Rig, StorageHandle};
use longshore_uri::encode_fileuri;
use serde_json::json;

use super::{ResolveRig, check_refused, header};

/// A folder that the operator opens, next to a closed one. Removed after the test.
pub(crate) struct Root(PathBuf);

impl Root {
    pub(crate) fn new() -> Self {
        let base = std::env::temp_dir().join(format!("longshore-resolve-{}", uuid::Uuid::new_v4()));
        fs::create_dir_all(base.join("root")).expect("a folder");
        Self(base.canonicalize().expect("a folder"))
    }

    pub(crate) fn root(&self) -> String {
        self.0.join("root").display().to_string()
    }

    /// Writes a file; the path is relative to the parent of the root.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        fs::write(path, content).expect("a file");
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("the folder was there");
    }
}

async fn served(root: &Root) -> ResolveRig {
    let wishes = Rig::with().env("LOCAL_FILES_SERVING_ENABLED", "true").env("LOCAL_FILES_DOCUMENT_ROOT", root.root());
    ResolveRig::with(wishes).await
}

/// Connects a folder below the root.
pub(crate) async fn connect(all: &ResolveRig, root: &Root, project: i64, folder: &str) -> StorageHandle {
    let path = "/api/storages/localfiles";
    let body = json!({"project": project, "path": format!("{}/{folder}", root.root()), "use_blob_urls": true});
    let storage = all.rig.post(path, body).await;
    StorageHandle { id: storage["id"].as_i64().expect("an id"), project, path }
}

#[tokio::test(flavor = "multi_thread")]
async fn local_files_are_served_only_from_connected_folders_below_the_root() {
    let root = Root::new();
    for path in ["root/ds1/a b+c.txt", "root/ds1/sub/d.txt", "root/ds1-private/s.txt", "outside/s.txt", "root/s.txt"] {
        root.write(path, format!("0123456789 {path}"));
    }
    symlink(root.0.join("outside/s.txt"), root.0.join("root/ds1/out.txt")).expect("a link");
    symlink(root.0.join("outside"), root.0.join("root/ds1/way")).expect("a link");
    let all = served(&root).await;
    connect(&all, &root, all.project, "ds1").await;

    for (query, content) in [
        ("d=ds1/a%20b%2Bc.txt", "0123456789 root/ds1/a b+c.txt"),
        ("d=ds1/a+b%2bc.txt", "0123456789 root/ds1/a b+c.txt"),
        ("d=/ds1/sub/d.txt&x=1", "0123456789 root/ds1/sub/d.txt"),
    ] {
        for slash in ["/", ""] {
            let answer =
                all.request("GET", &format!("/data/local-files{slash}?{query}")).send().await.expect("an answer");
            assert_eq!(
                (answer.status().as_u16(), answer.text().await.ok().as_deref()),
                (200, Some(content)),
                "{query}"
            );
        }
    }
    let path = "/data/local-files/?d=ds1/sub/d.txt";
    let part = all.request("GET", path).header("range", "bytes=2-4").send().await.expect("an answer");
    assert_eq!((part.status().as_u16(), header(&part, "content-range")), (206, Some("bytes 2-4/29")));
    let etag = header(&part, "etag").expect("a tag").to_owned();
    assert_eq!(part.text().await.expect("text"), "234");
    let same = all.request("GET", path).header("if-none-match", etag).send().await.expect("an answer");
    assert_eq!(same.status(), 304);
    let head = all.request("HEAD", path).send().await.expect("an answer");
    assert_eq!((head.status().as_u16(), header(&head, "content-length")), (200, Some("29")));
    let past = all.request("GET", path).header("range", "bytes=29-").send().await.expect("an answer");
    assert_eq!((past.status().as_u16(), header(&past, "content-range")), (416, Some("bytes */29")));

    let outside = root.0.join("outside/s.txt").display().to_string();
    for path in [
        "ds1-private/s.txt",
        "s.txt",
        "ds1",
        "ds1/",
        "ds1/none.txt",
        "ds1/out.txt",
        "ds1/way/s.txt",
        "ds1/../ds1-private/s.txt",
        "ds1/../../outside/s.txt",
        "ds1/%2e%2e/ds1-private/s.txt",
        "ds1/..%2fds1-private%2fs.txt",
        "ds1/%252e%252e/s.txt",
        "ds1\\..\\ds1-private\\s.txt",
        "ds1/./sub/d.txt",
        &outside,
        "..",
    ] {
        all.refused(&format!("/data/local-files/?d={path}"), 404, "not_found").await;
    }
    for query in ["", "?d=", "?d=/", "?d=%00", "?d=%ff", "?path=ds1/sub/d.txt"] {
        all.refused(&format!("/data/local-files/{query}"), 400, "missing_path").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_file_of_another_project_is_not_found() {
    let root = Root::new();
    root.write("root/ds1/a.txt", "here");
    let all = served(&root).await;
    connect(&all, &root, all.project, "ds1").await;
    let elsewhere = all.rig.project().await;
    for (projects, status) in [(json!([elsewhere]), 404), (json!([elsewhere, all.project]), 200)] {
        let new = json!({"name": format!("token {status}"), "role": "read", "projects": projects});
        let token = all.rig.post("/api/tokens", new).await["token"].as_str().expect("a token").to_owned();
        let answer = all.bare("GET", "/data/local-files/?d=ds1/a.txt").bearer_auth(token).send().await;
        assert_eq!(answer.expect("an answer").status(), status);
    }
    let without = all.bare("GET", "/data/local-files/?d=ds1/a.txt").send().await.expect("an answer");
    check_refused(without, 401, "unauthorized").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn local_files_are_served_only_if_the_operator_allows_it() {
    let all = ResolveRig::start().await;
    all.refused("/data/local-files/?d=etc/passwd", 403, "forbidden").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_file_of_a_task_is_streamed_without_a_presigned_url() {
    let root = Root::new();
    root.write("root/ds1/a b#c.txt", "the file");
    root.write("root/ds2/mentioned.txt", "mentioned");
    let all = served(&root).await;
    let storage = connect(&all, &root, all.project, "ds1").await;
    assert_eq!(all.rig.sync_to_end(&storage).await["status"], "completed");
    let list = format!("/api/tasks?project={}", all.project);
    let task = all.rig.get(&format!("{list}&resolve_uri=false")).await["tasks"][0].clone();
    let uri = task["data"]["image"].as_str().expect("a URI");
    assert_eq!(uri, "/data/local-files/?d=ds1/a%20b%23c.txt");

    let link = all.rig.get(&list).await["tasks"][0]["data"]["image"].as_str().expect("a link").to_owned();
    let turned = all.rig.post("/api/resolve", json!({"task": task["id"]})).await["document"]["image"].clone();
    assert_eq!(turned, link);
    let answer = all.bare("GET", &link).send().await.expect("an answer");
    assert_eq!((answer.status().as_u16(), answer.text().await.ok().as_deref()), (200, Some("the file")));
    let project = format!("/projects/{}/resolve/?fileuri={}", all.project, encode_fileuri(uri));
    for path in [uri, &project] {
        let answer = all.request("GET", path).send().await.expect("an answer");
        assert_eq!((answer.status().as_u16(), answer.text().await.ok().as_deref()), (200, Some("the file")), "{path}");
    }

    let mention = all.task(json!({"a": "/data/local-files/?d=ds2/mentioned.txt"})).await;
    all.refused(&super::of_task(mention, "/data/local-files/?d=ds2/mentioned.txt"), 404, "no_storage").await;
    connect(&all, &root, all.project, "ds2").await;
    let answer = all.resolve(mention, "/data/local-files/?d=ds2/mentioned.txt").await;
    assert_eq!(answer.text().await.expect("text"), "mentioned");
}
