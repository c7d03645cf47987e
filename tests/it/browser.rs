//! Images and sounds in a labeling page, in a real browser, with the URLs that Longshore returns.

mod chromium;
pub(crate) mod devtools;

use longshore_local::s3::Object;
use longshore_rig::azurite::{ACCOUNT, Azurite, KEY};
use longshore_rig::gcs::Gcs;
use longshore_rig::rig::Rig;
use serde_json::{Value, json};

use crate::resolve::ResolveRig;
use crate::resolve::local_files::{Root, connect};
use chromium::Site;

pub(crate) const WIDTH: u32 = 7;
const HEIGHT: u32 = 5;

/// Seconds of the sound, at 8,000 bytes each.
const SECONDS: f64 = 0.25;

/// A red image, uncompressed.
pub(crate) fn image() -> Vec<u8> {
    let row =
        [[0, 0, 255].repeat(WIDTH as usize), vec![0; (WIDTH * 3).next_multiple_of(4) as usize - WIDTH as usize * 3]];
    let pixels = row.concat().repeat(HEIGHT as usize);
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let size = 54 + pixels.len() as u32;
    let head = [b"BM".to_vec(), words(&[size, 0, 54, 40, WIDTH, HEIGHT, 1 | 24 << 16, 0, 0, 0, 0, 0, 0])].concat();
    [head, pixels].concat()
}

/// A quarter of a second of a deep tone.
fn sound() -> Vec<u8> {
    let samples: Vec<u8> = (0..(8_000.0 * SECONDS) as u32).map(|n| if n / 20 % 2 == 0 { 96 } else { 160 }).collect();
    let word = |word: u32| word.to_le_bytes().to_vec();
    let format = [word(16), word(1 | 1 << 16), word(8_000), word(8_000), word(1 | 8 << 16)].concat();
    let data = [b"data".to_vec(), word(samples.len() as u32), samples].concat();
    let body = [b"WAVEfmt ".to_vec(), format, data].concat();
    [b"RIFF".to_vec(), word(body.len() as u32), body].concat()
}

const DRAWING: &str = r#"<svg xmlns="http://www.w3.org/2000/svg" width="7" height="5"><script>alert(1)</script></svg>"#;

/// What every kind of storage holds for the page. A browser knows an image or a sound by its first
/// bytes, but a drawing by its type alone.
fn objects() -> [(&'static str, Vec<u8>, Option<&'static str>); 3] {
    let drawing = ("drawing.svg", DRAWING.into(), Some("image/svg+xml"));
    [("red image.bmp", image(), None), ("tone #1.wav", sound(), None), drawing]
}

/// Puts them into a bucket of the rig's S3 server.
fn put_all(rig: &Rig, bucket: &str) {
    for (name, bytes, content_type) in objects() {
        let mut object = Object::new(bytes);
        object.content_type = content_type.map(str::to_owned);
        rig.s3.buckets().put(bucket, name, object);
    }
}

/// A page of another origin, which the rig allows to read.
struct Page {
    site: Site,
    all: ResolveRig,
}

impl Page {
    async fn open(environment: &[(&'static str, String)]) -> Self {
        let site = Site::open().await;
        let wishes = Rig::with().workers(0).env("LONGSHORE_ALLOWED_ORIGINS", site.origin());
        let wishes = environment.iter().fold(wishes, |wishes, (name, value)| wishes.env(name, value));
        Self { all: ResolveRig::with(wishes).await, site }
    }

    /// A storage of any kind; gives its id.
    async fn connect(&self, kind: &str, settings: Value) -> String {
        let mut body = json!({"project": self.all.project});
        let (Some(body_fields), Value::Object(fields)) = (body.as_object_mut(), settings) else { panic!("an object") };
        body_fields.extend(fields);
        let storage = self.all.rig.post(&format!("/api/storages/{kind}"), body).await;
        format!("/api/storages/{kind}/{}", storage["id"])
    }

    async fn stream(&self, storage: &str) {
        let patched = self.all.rig.call("PATCH", storage, Some(json!({"presign": false}))).await;
        assert_eq!(patched.0, 200, "{}", patched.1);
    }

    /// The URLs of a task's data, by name, as `GET /api/tasks` gives them or `POST /api/resolve`.
    async fn urls(&self, task: i64, turned: bool) -> Value {
        let rig = &self.all.rig;
        let mut data = if turned {
            rig.post("/api/resolve", json!({"task": task})).await["document"].clone()
        } else {
            rig.get(&format!("/api/tasks/{task}")).await["data"].clone()
        };
        for url in data.as_object_mut().expect("an object").values_mut() {
            let text = url.as_str().expect("a URL");
            assert!(text.starts_with("/tasks/") || text.starts_with("http://"), "not turned: {text}");
            if text.starts_with('/') {
                *url = json!(format!("{}{text}", rig.url()));
            }
        }
        data
    }

    /// Lets the browser show a task's image and sound by both ways to get URLs; where who serves them knows
    /// their types and allows pages of other sites to read, also a drawing, their pixels and bytes.
    async fn check(&self, task: i64, readable: bool) {
        // A browser for each: an answer cached without CORS cannot be used for a request with CORS.
        for cors in if readable { &[false, true][..] } else { &[false] } {
            let mut wanted = Vec::new();
            for turned in [false, true] {
                let urls = self.urls(task, turned).await;
                wanted.push(json!({"as": "image", "url": urls["image"], "cors": cors}));
                wanted.push(json!({"as": "audio", "url": urls["sound"], "cors": cors}));
                if readable && urls["drawing"].is_string() {
                    wanted.push(json!({"as": "image", "url": urls["drawing"], "cors": cors}));
                }
                if *cors {
                    wanted.push(json!({"as": "bytes", "url": urls["sound"]}));
                    wanted.push(json!({"as": "bytes", "url": urls["image"], "range": "bytes=0-9"}));
                }
            }
            let shown = self.site.show(self.all.rig.run_dir.root(), &json!(wanted)).await;
            assert_eq!(shown.len(), wanted.len());
            for (wanted, shown) in wanted.iter().zip(&shown) {
                check_shown(wanted, shown);
            }
        }
    }

    /// A task with all objects, by what comes before their names in a URI.
    async fn task(&self, start: &str, spelled: impl Fn(&str) -> String) -> i64 {
        let [image, sound, drawing] = objects().map(|(name, _, _)| format!("{start}{}", spelled(name)));
        self.all.task(json!({"image": image, "sound": sound, "drawing": drawing})).await
    }
}

/// Checks that the browser saw a thing as it is.
fn check_shown(wanted: &Value, shown: &Value) {
    assert!(shown.get("error").is_none(), "{wanted}: {shown}");
    match wanted["as"].as_str() {
        Some("image") => {
            assert_eq!((&shown["width"], &shown["height"]), (&json!(WIDTH), &json!(HEIGHT)), "{wanted}: {shown}");
            assert_eq!(shown["pixel"].is_array(), wanted["cors"] == json!(true), "{wanted}: {shown}");
        }
        Some("audio") => {
            assert_eq!((&shown["duration"], &shown["played"]), (&json!(SECONDS), &json!(SECONDS)), "{wanted}");
        }
        _ => {
            let (status, length) = if wanted["range"].is_string() { (206, 10) } else { (200, sound().len()) };
            assert_eq!((&shown["status"], &shown["length"]), (&json!(status), &json!(length)), "{wanted}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_shows_images_and_plays_sounds_from_s3_signed_and_streamed() {
    let page = Page::open(&[]).await;
    let rig = &page.all.rig;
    put_all(rig, "media");
    // After a redirect to another site the browser sends `Origin: null`.
    rig.s3.allow_origin("*");
    let storage = rig.import_storage(page.all.project, "media", json!({"presign": true})).await;
    let task = page.task("s3://media/", str::to_owned).await;
    page.check(task, true).await;
    rig.patch(&storage, json!({"presign": false})).await;
    page.check(task, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_shows_images_and_plays_sounds_from_azure_signed_and_streamed() {
    let azurite = Azurite::shared().await;
    let container = azurite.create_container("media").await;
    for (name, bytes, _) in objects() {
        azurite.put(&container, name, &bytes).await;
    }
    let page = Page::open(&[]).await;
    let settings = json!({
        "container": container, "endpoint": azurite.endpoint(), "account_name": ACCOUNT, "account_key": KEY
    });
    let storage = page.connect("azure", settings).await;
    let task = page.task(&format!("azure-blob://{container}/"), str::to_owned).await;
    // This container has no CORS rule: pages still show images and play sounds.
    page.check(task, false).await;
    page.stream(&storage).await;
    page.check(task, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_shows_images_and_plays_sounds_from_google_cloud_storage_signed_and_streamed() {
    let gcs = Gcs::start().await;
    gcs.create_bucket("media").await;
    for (name, bytes, _) in objects() {
        gcs.put("media", name, &bytes).await;
    }
    let page = Page::open(&[("STORAGE_EMULATOR_HOST", gcs.endpoint().to_owned())]).await;
    let settings = json!({"bucket": "media", "google_application_credentials": gcs.key_file().to_string()});
    let storage = page.connect("gcs", settings).await;
    let task = page.all.task(json!({"image": "gs://media/red image.bmp", "sound": "gs://media/tone #1.wav"})).await;
    page.check(task, false).await;
    page.stream(&storage).await;
    page.check(task, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_shows_images_and_plays_sounds_from_local_files() {
    let root = Root::new();
    for (name, bytes, _) in objects() {
        root.write(&format!("root/media/{name}"), bytes);
    }
    let environment = [("LOCAL_FILES_SERVING_ENABLED", "true".to_owned()), ("LOCAL_FILES_DOCUMENT_ROOT", root.root())];
    let page = Page::open(&environment).await;
    connect(&page.all, &root, page.all.project, "media").await;
    let encoded = |name: &str| name.replace(' ', "%20").replace('#', "%23");
    let task = page.task("/data/local-files/?d=media/", encoded).await;
    page.check(task, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_disallowed_origin_shows_images_but_reads_no_answers() {
    let site = Site::open().await;
    let all = ResolveRig::with(Rig::with().workers(0).env("LONGSHORE_ALLOWED_ORIGINS", "https://other.example")).await;
    let page = Page { site, all };
    put_all(&page.all.rig, "media");
    page.all.rig.import_storage(page.all.project, "media", json!({"presign": false})).await;
    let urls = page.urls(page.task("s3://media/", str::to_owned).await, false).await;
    let wanted = json!([
        {"as": "image", "url": urls["image"], "cors": false},
        {"as": "image", "url": urls["image"], "cors": true},
        {"as": "bytes", "url": urls["sound"]}
    ]);
    let shown = page.site.show(page.all.rig.run_dir.root(), &wanted).await;
    assert_eq!(shown[0]["width"], WIDTH, "{shown:?}");
    assert!(shown[1].get("error").is_some() && shown[2].get("error").is_some(), "{shown:?}");
}
