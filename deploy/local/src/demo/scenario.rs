//! The main job step by step: import images, import task files, import both again, annotate, export.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::checks::{Checks, number};
use super::longshore::Longshore;
use super::report::{self, grouped};
use super::stack::DemoStack;
use super::tasks::{ExpectedResult, TaskFile};
use super::{images, tasks};

const IMAGES: u32 = 5_000;
const ANNOTATIONS: usize = 60;

const IMAGE_BUCKET: &str = "demo-images";
const FILE_BUCKET: &str = "demo-tasks";
const EXPORT_BUCKET: &str = "demo-annotations";

pub(super) const LABEL_CONFIG: &str = r#"<View><Image name="image" value="$image"/><Choices name="kind" toName="image"><Choice value="Day"/><Choice value="Night"/></Choices></View>"#;

/// Runs the scenario on a stack below `root` and returns all checks.
pub(super) async fn run(root: &Path) -> Result<Checks> {
    let started = Instant::now();
    report::section("A private stack");
    let stack = DemoStack::start(root).await?;
    let what = "PostgreSQL, RabbitMQ, Redis, S3, a scheduler, two workers";
    report::row("running", &format!("{what} ({:.1} s)", started.elapsed().as_secs_f64()));

    let demo = Demo::new(&stack)?;
    let checks = tokio::select! {
        checks = demo.run() => checks?,
        ended = stack.until_one_ends() => bail!(ended),
    };

    report::section("Stop");
    let stopping = Instant::now();
    stack.stop().await?;
    report::row("stopped", &format!("all programs ({:.1} s)", stopping.elapsed().as_secs_f64()));
    report::row("took", &format!("{:.0} s in all", started.elapsed().as_secs_f64()));
    Ok(checks)
}

struct Demo<'a> {
    stack: &'a DemoStack,
    longshore: Longshore,
    files: Vec<TaskFile>,
}

impl<'a> Demo<'a> {
    fn new(stack: &'a DemoStack) -> Result<Self> {
        let longshore = Longshore::new(stack.scheduler.url(), stack.s3.endpoint(), &stack.settings)?;
        Ok(Self { stack, longshore, files: tasks::make()? })
    }

    /// Fills the buckets with images and task files.
    async fn fill(&self) -> Result<()> {
        report::section("Two buckets");
        let images = tokio::task::spawn_blocking(|| images::make(IMAGES)).await??;
        let bytes: usize = images.iter().map(|(_, bytes)| bytes.len()).sum();
        let size = format!("{} x {} pixels", images::WIDTH, images::HEIGHT);
        let text =
            format!("{:>5} PNG images of {size}, {} kB, all different", grouped(images.len()), grouped(bytes / 1_000));
        report::row(IMAGE_BUCKET, &text);
        self.stack.s3.put_many(IMAGE_BUCKET, images);
        // The file filter must skip these two.
        self.stack.s3.put(IMAGE_BUCKET, "images/", "");
        self.stack.s3.put(IMAGE_BUCKET, "images/README.txt", "Made by the demo.");

        let bad = self.files.iter().filter(|file| matches!(file.expected, ExpectedResult::Quarantine(_))).count();
        let text =
            format!("{:>5} JSON files with one or more tasks, some gzipped; {bad} of them invalid", self.files.len());
        report::row(FILE_BUCKET, &text);
        self.stack.s3.put_many(FILE_BUCKET, self.files.iter().map(|file| (file.key.clone(), file.bytes.clone())));
        self.stack.s3.create_bucket(EXPORT_BUCKET);
        Ok(())
    }

    async fn run(&self) -> Result<Checks> {
        self.fill().await?;
        let mut checks = Checks::default();
        report::section("A project and its storages");
        let project = self.create(&["project", "create", "--title", "Demo", "--label-config", LABEL_CONFIG]).await?;
        let id = project.to_string();
        let storage = ["storage", "create", "s3", "--project", id.as_str(), "--bucket"];
        let images = [IMAGE_BUCKET, "--blob", "--recursive", "--prefix", "images", "--regex", r".*\.png"];
        let images = self.create(&[&storage[..], &images].concat()).await?;
        let files = self.create(&[&storage[..], &[FILE_BUCKET, "--prefix", "tasks"]].concat()).await?;
        let export = [EXPORT_BUCKET, "--export", "--prefix", "annotations", "--json-suffix"];
        let export = self.create(&[&storage[..], &export].concat()).await?;

        report::section("Import images: one task per object");
        let keys = self.image_keys();
        checks.count("image bucket", "images", usize::try_from(IMAGES)?, keys.len());
        let sync = self.sync(images, self.stack.s3.objects(IMAGE_BUCKET).len()).await?;
        let counters = [("matched", keys.len()), ("created", keys.len()), ("existed", 0), ("quarantined", 0)];
        checks.sync("images", &sync, "completed", &counters);

        report::section("Import task files: objects contain tasks");
        let bad = self.files.iter().filter(|file| matches!(file.expected, ExpectedResult::Quarantine(_))).count();
        let good = self.files.len() - bad;
        let items = self
            .files
            .iter()
            .map(|file| if let ExpectedResult::Tasks(items) = &file.expected { items.len() } else { 0 });
        let counters = [
            ("matched", good + bad),
            ("created", items.sum()),
            ("imported", good),
            ("existed", 0),
            ("quarantined", bad),
        ];
        let sync = self.sync(files, self.files.len()).await?;
        checks.sync("files", &sync, "completed_with_errors", &counters);
        let quarantine = self.longshore.quarantine(files).await?;
        show_quarantine(&quarantine);

        report::section("Import both again: no new objects");
        let sync = self.sync(images, keys.len()).await?;
        checks.sync("images again", &sync, "completed", &[("created", 0), ("existed", keys.len())]);
        let sync = self.sync(files, self.files.len()).await?;
        let counters = [("created", 0), ("existed", good), ("quarantined", 0), ("still_quarantined", bad)];
        checks.sync("files again", &sync, "completed", &counters);

        let tasks = self.longshore.tasks(project).await?;
        let (of_images, of_files): (Vec<Value>, Vec<Value>) = tasks.into_iter().partition(is_of_image);
        checks.images("image tasks", IMAGE_BUCKET, &keys, &of_images);
        checks.files(&self.files, &of_files);
        checks.quarantine(&self.files, &quarantine);
        self.check_file_bucket(&mut checks);

        self.annotate_and_export(project, export, &of_images, &mut checks).await?;
        report::section("Every count compared with the buckets");
        checks.print();
        Ok(checks)
    }

    /// Checks that Longshore did not change the task files.
    fn check_file_bucket(&self, checks: &mut Checks) {
        let original = self.files.iter().map(|file| (&file.key, file.bytes.as_slice())).collect::<BTreeMap<_, _>>();
        let stored = self.stack.s3.objects(FILE_BUCKET);
        let same = stored.iter().filter(|(key, _, bytes)| original.get(key).is_some_and(|file| file == bytes)).count();
        checks.count("file bucket", "unchanged files", tasks::FILES, same);
    }

    async fn annotate_and_export(
        &self,
        project: i64,
        export: i64,
        of_images: &[Value],
        checks: &mut Checks,
    ) -> Result<()> {
        report::section("Annotate some tasks, export all annotations");
        for (number, task) in of_images.iter().step_by(of_images.len() / ANNOTATIONS).take(ANNOTATIONS).enumerate() {
            let choice = if number % 3 == 0 { "Night" } else { "Day" };
            let result = json!([{"from_name": "kind", "to_name": "image", "type": "choices",
                                 "value": {"choices": [choice]}}]);
            let path = format!("/api/tasks/{}/annotations/", task["id"]);
            self.longshore.post(&path, &json!({"result": result, "lead_time": 2.5})).await?;
        }
        let tasks = self.longshore.tasks(project).await?;
        let annotations = |tasks: &[Value]| -> usize {
            tasks.iter().map(|task| task["annotations"].as_array().map_or(0, Vec::len)).sum()
        };
        let from_files: usize = self
            .files
            .iter()
            .map(|file| {
                if let ExpectedResult::Tasks(items) = &file.expected {
                    items.iter().map(|item| item.annotations).sum()
                } else {
                    0
                }
            })
            .sum();
        let expected = ANNOTATIONS + from_files;
        report::row("annotations", &format!("{ANNOTATIONS} made in the demo, {from_files} imported with files"));
        checks.count("annotations", "all", expected, annotations(&tasks));

        let sync = self.sync(export, expected).await?;
        checks.sync("export", &sync, "completed", &[("exported", expected), ("quarantined", 0)]);
        let before = self.stack.s3.objects(EXPORT_BUCKET);
        let parse = |(key, _, bytes): &(String, String, bytes::Bytes)| {
            Ok((key.clone(), serde_json::from_slice(bytes).with_context(|| format!("exported object {key}"))?))
        };
        let objects: Vec<(String, Value)> = before.iter().map(parse).collect::<Result<_>>()?;
        checks.exported(&objects, &tasks);

        let sync = self.sync(export, expected).await?;
        checks.sync("export again", &sync, "completed", &[("exported", 0)]);
        let same = before == self.stack.s3.objects(EXPORT_BUCKET);
        checks.same("export again", "bucket", "unchanged", if same { "unchanged" } else { "changed" });

        let (key, body) = objects.iter().max_by_key(|(_, body)| body["id"].as_i64()).context("an exported object")?;
        report::section(&format!("One exported object: s3://{EXPORT_BUCKET}/{key}"));
        report::document(body);
        Ok(())
    }

    /// Runs a `create` command and returns the new ID.
    async fn create(&self, arguments: &[&str]) -> Result<i64> {
        self.longshore.run(arguments).await?["id"].as_i64().context("an id")
    }

    /// Syncs a storage to the end and prints a summary.
    async fn sync(&self, storage: i64, objects: usize) -> Result<Value> {
        let (storage, objects) = (storage.to_string(), objects.to_string());
        let sync = self.longshore.run(&["sync", "start", &storage, "--follow", "--expect", &objects]).await?;
        summarize(&sync);
        Ok(sync)
    }

    /// Keys of the images in the bucket.
    fn image_keys(&self) -> Vec<String> {
        let keys = self.stack.s3.objects(IMAGE_BUCKET).into_iter().map(|(key, ..)| key);
        keys.filter(|key| key.starts_with("images/") && key.ends_with(".png")).collect()
    }
}

fn is_of_image(task: &Value) -> bool {
    task["data"].get("image").is_some()
}

/// Prints what a sync did.
fn summarize(sync: &Value) {
    let count = |name: &str| number(&sync["counts"][name]);
    let time = |name: &str| sync[name].as_str().and_then(|time| time.parse::<Timestamp>().ok());
    let took =
        time("finished_at").zip(time("started_at")).map_or(0.0, |(to, from)| to.duration_since(from).as_secs_f64());
    let (moved, what, text) = if sync["direction"] == "export" {
        let moved = count("exported");
        (moved, "objects", format!("exported {}", grouped(moved)))
    } else {
        let created = count("created");
        let quarantined = grouped(count("quarantined") + count("still_quarantined"));
        let text = format!(
            "created {}, already there {}, quarantined {quarantined}",
            grouped(created),
            grouped(count("existed"))
        );
        (created, "tasks", text)
    };
    let rate = per_second(moved, took).map(|rate| format!(", {} {what} a second", grouped(rate))).unwrap_or_default();
    let status = sync["status"].as_str().unwrap_or_default().replace('_', " ");
    report::row(&status, &format!("{text} ({took:.2} s{rate})"));
}

/// Items per second, rounded down; `None` if it would be 0, or if no time passed.
fn per_second(moved: usize, seconds: f64) -> Option<usize> {
    let micros = Duration::try_from_secs_f64(seconds).ok()?.as_micros();
    let rate = (moved as u128 * 1_000_000).checked_div(micros).filter(|rate| *rate > 0)?;
    usize::try_from(rate).ok()
}

/// Prints the number of quarantined objects for each reason, with one example.
fn show_quarantine(rows: &[Value]) {
    let mut by_reason: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for row in rows {
        by_reason.entry(row["reason"].as_str().unwrap_or_default()).or_default().push(row);
    }
    for (reason, rows) in by_reason {
        let text = |name: &str| rows[0][name].as_str().unwrap_or_default();
        report::row(
            &format!("{:>4} {reason}", rows.len()),
            &format!("for example {}: {}", text("key"), text("detail")),
        );
    }
}
