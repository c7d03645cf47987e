//! The demo beside Label Studio: twin projects on one bucket, one synced by Label Studio itself and one by Longshore.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use longshore_local::label_studio::{self, EMAIL, LabelStudio, NEWEST, PASSWORD};
use longshore_local::{App, installed, nginx, ports};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::checks::Checks;
use super::report::{self, grouped};
use super::scenario::LABEL_CONFIG;
use super::stack::{DemoStack, Servers};
use super::{images, interrupt};

/// Enough that a sync of Label Studio takes most of a minute.
const IMAGES: u32 = 2_000;

const BUCKET: &str = "demo-images";

/// Tasks per page of Label Studio's API.
const PAGE: usize = 500;

/// Columns of a task that differ between any two tasks, or depend on the order of the import.
const OWN_COLUMNS: [&str; 5] = ["id", "inner_id", "project", "created_at", "updated_at"];

/// Runs the demo on a stack below `root` and returns all checks. With `stays` it waits for Ctrl-C before it stops.
pub(super) async fn run(root: &Path, stays: bool) -> Result<Checks> {
    let started = Instant::now();
    report::section("Label Studio, PostgreSQL, RabbitMQ, S3, a scheduler, two workers");
    if !installed::is_installed(NEWEST) {
        report::row("installing", "Label Studio with pip, below target/local, once; this takes some minutes");
    }
    let demo = Demo::start(root).await?;
    report::row("running", &format!("in one database ({:.1} s)", started.elapsed().as_secs_f64()));

    let staying = async {
        let checks = demo.run().await?;
        if stays {
            report::row("stays", "until Ctrl-C");
            interrupt::wait().await?;
        } else {
            report::row("", "It ends now; to look at it: make demo WITH=label-studio STAY=1");
        }
        anyhow::Ok(checks)
    };
    let checks = tokio::select! {
        checks = staying => checks?,
        ended = demo.stack.until_one_ends() => bail!(ended),
        ended = demo.studio.process().wait() => bail!("Label Studio ended ({ended})"),
    };
    report::section("Stop");
    demo.stop().await?;
    report::row("took", &format!("{:.0} s in all", started.elapsed().as_secs_f64()));
    Ok(checks)
}

struct Demo {
    // Dropped first: it waits for the others.
    nginx: Option<App>,
    studio: LabelStudio,
    stack: DemoStack,
}

/// A project with a storage on the bucket.
struct Twin {
    project: i64,
    /// The path of its sync.
    sync: String,
}

impl Demo {
    async fn start(root: &Path) -> Result<Self> {
        let python = tokio::task::spawn_blocking(|| installed::python(NEWEST)).await??;
        let servers = Servers::start(root).await?;
        let database_url = servers.settings.database_url.clone();
        label_studio::fill(&python, &servers.stack, &database_url).await?;
        let studio = LabelStudio::start(&python, servers.stack.run_dir(), &database_url, ports::free()?, &[]).await?;
        let environment = [("LONGSHORE_HOST", "label-studio"), ("LONGSHORE_LABEL_STUDIO_URL", studio.url())];
        let stack = servers.launch(&environment).await?;
        let nginx = match nginx::program() {
            Some(_) => Some(nginx::start(stack.run_dir(), studio.url(), &stack.scheduler.url()).await?),
            None => None,
        };
        Ok(Self { nginx, studio, stack })
    }

    /// Where Longshore gets its requests: through nginx if it is installed.
    fn front(&self) -> String {
        self.nginx.as_ref().map_or_else(|| self.stack.scheduler.url(), App::url)
    }

    async fn run(&self) -> Result<Checks> {
        let mut checks = Checks::default();
        let images = tokio::task::spawn_blocking(|| images::make(IMAGES)).await??;
        let keys: Vec<String> = images.iter().map(|(key, _)| key.clone()).collect();
        report::section("A bucket, and twin projects that import from it");
        report::row(BUCKET, &format!("{} PNG images", grouped(images.len())));
        self.stack.s3.put_many(BUCKET, images);
        let theirs = self.twin("Synced by Label Studio").await?;
        let ours = self.twin("Synced by Longshore").await?;

        let studio = self.studio.url().to_owned();
        for (round, created) in [("First sync", keys.len()), ("Second sync: no new objects", 0)] {
            report::section(round);
            let (answer, slow) = self.sync(&studio, &theirs, "Label Studio's own").await?;
            check(&mut checks, "its own", created, &answer);
            let (answer, fast) = self.sync(&self.front(), &ours, "Longshore's").await?;
            check(&mut checks, "Longshore's", created, &answer);
            report::row("ratio", &format!("Longshore's is {:.1} times as fast", slow / fast));
        }

        report::section("Tasks, as Label Studio shows them");
        let (slow, fast) = (self.tasks(&theirs).await?, self.tasks(&ours).await?);
        checks.images("its own tasks", BUCKET, &keys, &slow);
        checks.images("Longshore's tasks", BUCKET, &keys, &fast);
        let (slow, fast) = (by_image(&slow), by_image(&fast));
        let equal = slow.iter().filter(|(image, task)| fast.get(*image) == Some(*task)).count();
        checks.count("twins", "tasks equal but for IDs and times", keys.len(), equal);
        checks.print();
        self.say_where(&theirs, &ours);
        Ok(checks)
    }

    async fn twin(&self, title: &str) -> Result<Twin> {
        let project = self.studio.create_project(title, LABEL_CONFIG).await?;
        let settings = &self.stack.settings;
        let body = json!({
            "project": project, "title": BUCKET, "bucket": BUCKET, "prefix": "images", "regex_filter": r".*\.png",
            "use_blob_urls": true, "recursive_scan": true, "presign": true, "region_name": "us-east-1",
            "s3_endpoint": self.stack.s3.endpoint(), "aws_access_key_id": settings.s3_access_key,
            "aws_secret_access_key": settings.s3_secret_key,
        });
        let storage = self.studio.send("POST", "/api/storages/s3", Some(&body)).await?;
        let id = storage["id"].as_i64().context("the storage's ID")?;
        report::row(&format!("project {project}"), title);
        Ok(Twin { project, sync: format!("/api/storages/s3/{id}/sync") })
    }

    /// Asks a server for a sync as the page does, and returns the answer and the seconds until then.
    async fn sync(&self, base: &str, twin: &Twin, who: &str) -> Result<(Value, f64)> {
        let started = Instant::now();
        let answer = self.studio.send_to(base, "POST", &twin.sync, Some(&json!({}))).await?;
        let seconds = started.elapsed().as_secs_f64();
        let created = answer["last_sync_count"].as_u64().unwrap_or_default();
        let status = answer["status"].as_str().unwrap_or_default();
        report::row(who, &format!("{status}, created {} in {seconds:.2} s", grouped(usize::try_from(created)?)));
        Ok((answer, seconds))
    }

    /// All tasks of a project, with the URIs that they hold.
    async fn tasks(&self, twin: &Twin) -> Result<Vec<Value>> {
        let mut tasks = Vec::new();
        for page in 1.. {
            let path = format!(
                "/api/tasks/?project={}&page={page}&page_size={PAGE}&resolve_uri=false&fields=all",
                twin.project
            );
            let body = self.studio.send("GET", &path, None).await?;
            let rows = body["tasks"].as_array().context("a page of tasks")?;
            tasks.extend_from_slice(rows);
            let total = body["total"].as_u64().context("the number of tasks")?;
            if tasks.len() as u64 >= total || rows.is_empty() {
                break;
            }
        }
        Ok(tasks)
    }

    fn say_where(&self, theirs: &Twin, ours: &Twin) {
        report::section(&format!("Look at {}", self.front()));
        if self.nginx.is_none() {
            report::row(
                "without nginx",
                &format!("pages are at {}; Sync there is Label Studio's own", self.studio.url()),
            );
        }
        report::row("sign in", &format!("{EMAIL}, {PASSWORD}"));
        report::row("synced by Longshore", &format!("/projects/{}/data", ours.project));
        report::row("by Label Studio", &format!("/projects/{}/data", theirs.project));
        report::row("a Sync button", &format!("/projects/{}/settings/storage", ours.project));
    }

    async fn stop(self) -> Result<()> {
        drop((self.nginx, self.studio));
        self.stack.stop().await
    }
}

/// Compares what a sync's answer says.
fn check(checks: &mut Checks, about: &'static str, created: usize, answer: &Value) {
    let count = answer["last_sync_count"].as_u64().and_then(|count| usize::try_from(count).ok());
    checks.count(about, "created", created, count.unwrap_or(usize::MAX));
    checks.same(about, "status", "completed", answer["status"].as_str().unwrap_or("none"));
}

/// Tasks without what differs between any two, by their image.
fn by_image(tasks: &[Value]) -> BTreeMap<String, Value> {
    let comparable = tasks.iter().map(|task| {
        let mut task = task.clone();
        if let Some(columns) = task.as_object_mut() {
            columns.retain(|name, _| !OWN_COLUMNS.contains(&name.as_str()));
        }
        (task["data"]["image"].as_str().unwrap_or_default().to_owned(), task)
    });
    comparable.collect()
}
