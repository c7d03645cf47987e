//! Runs a case: twin projects, both synced twice.

use futures::{StreamExt, stream};
use longshore_rig::rig::until;
use serde_json::{Value, json};

use super::case::{Case, Object};
use super::compare::{self, Places};
use super::state::{self, State};
use super::store::Store;
use super::tables::Tables;
use crate::label_studio::{Twin, Twins};

/// Cases that run at the same time. Label Studio uses one core, so more would only wait.
const CASES: usize = 4;

/// What `$SIDE` in an object becomes in the project of Label Studio's syncs and in that of ours.
const SIDES: [&str; 2] = ["aaaaaaaa", "bbbbbbbb"];

/// Runs all cases, and returns what is not as expected.
pub(crate) async fn run_all(twins: &Twins, store: &Store, cases: &[Case]) -> Vec<String> {
    let runs = cases.iter().map(|case| Run { twins, store, case }.run());
    let faults: Vec<Vec<String>> = stream::iter(runs).buffered(CASES).collect().await;
    faults.concat()
}

/// A case on a server.
struct Run<'a> {
    twins: &'a Twins,
    store: &'a Store,
    case: &'a Case,
}

/// The project and the storage of one side.
struct Side {
    twin: Twin,
    bucket: String,
    /// What `$SIDE` becomes.
    word: &'static str,
    is_theirs: bool,
}

/// Runs a case, and returns what both sides have.
pub(crate) async fn places(twins: &Twins, store: &Store, case: &Case) -> [Places; 2] {
    Run { twins, store, case }.places().await
}

impl Run<'_> {
    async fn run(self) -> Vec<String> {
        compare::faults(self.case, &self.places().await)
    }

    async fn places(&self) -> [Places; 2] {
        let [theirs, ours] = self.sides().await;
        let mut places = [Places::new(), Places::new()];
        for round in 1..=2 {
            let kind = self.store.kind();
            tokio::join!(self.twins.sync_theirs_of(kind, &theirs.twin), self.twins.sync_ours_of(kind, &ours.twin));
            let states = [self.read(&theirs).await, self.read(&ours).await];
            compare::add(&mut places, round, [&states[0], &states[1]], self.case);
            if round == 1 {
                for side in [&theirs, &ours] {
                    self.put(&side.bucket, side.word, &self.case.later).await;
                    self.delete_tasks(&side.twin).await;
                }
            }
        }
        for (places, side) in places.iter_mut().zip([&theirs, &ours]) {
            for (part, value) in self.summary(side).await {
                places.insert(format!("summary {part}"), value);
            }
        }
        places
    }

    /// Creates buckets, projects and storages.
    async fn sides(&self) -> [Side; 2] {
        let contents = self.case.objects.iter().chain(&self.case.later);
        // Both sides share a bucket unless an object needs different texts.
        let is_shared = !contents.into_iter().any(|(_, content)| content.windows(5).any(|part| part == b"$SIDE"));
        let mut sides = Vec::new();
        let mut bucket = String::new();
        for (word, is_theirs) in SIDES.into_iter().zip([true, false]) {
            if is_theirs || !is_shared {
                let name = if is_shared { self.case.name.clone() } else { format!("{}-{word}", self.case.name) };
                bucket = self.store.create_bucket(self.twins, &name).await;
                self.put(&bucket, word, &self.case.objects).await;
            }
            let twin = self.create(&bucket, is_theirs).await;
            sides.push(Side { twin, bucket: bucket.clone(), word, is_theirs });
        }
        sides.try_into().unwrap_or_else(|_| panic!("two sides"))
    }

    async fn put(&self, bucket: &str, word: &str, objects: &[Object]) {
        for (key, content) in objects {
            let content = match std::str::from_utf8(content) {
                Ok(text) => text.replace("$SIDE", word).into_bytes(),
                Err(_) => content.clone(),
            };
            self.store.put(self.twins, bucket, key, content).await;
        }
    }

    /// Creates the project and the storage in Label Studio.
    async fn create(&self, bucket: &str, is_theirs: bool) -> Twin {
        let studio = &self.twins.studio;
        let project = studio.project(self.case.project["label_config"].as_str().expect("a label config")).await;
        studio.send("PATCH", &format!("/api/projects/{project}/"), Some(&self.case.project)).await;
        let mut body = self.store.settings(self.twins, bucket);
        let fields = body.as_object_mut().expect("an object");
        fields.insert("project".to_owned(), json!(project));
        fields.extend(self.case.settings.as_object().expect("an object").clone());
        let storage = studio.send("POST", &format!("/api/storages/{}", self.store.kind()), Some(&body)).await;
        let storage = storage["id"].as_i64().expect("an ID");
        if !is_theirs {
            self.store.fit(self.twins, storage).await;
        }
        Twin { project, storage }
    }

    /// Reads the rows of a project and its storage.
    async fn read(&self, side: &Side) -> State {
        let statement = state::statement(&Tables::of(self.store.kind()));
        let id = |id: i64| i32::try_from(id).expect("an ID");
        let (project, storage) = (id(side.twin.project), id(side.twin.storage));
        let db = self.twins.rig.database().await;
        let row = db.query_one(&statement, &[&project, &storage]).await.expect("rows");
        let text = self.store.normalize(row.get(0), &side.bucket, &self.case.name).replace(side.word, "$SIDE");
        State::parse(&text, side.twin.project)
    }

    /// Deletes the tasks of the keys that the case names.
    async fn delete_tasks(&self, twin: &Twin) {
        let text = format!(
            "SELECT l.task_id::bigint FROM public.{} l JOIN public.task t ON t.id = l.task_id
              WHERE t.project_id = $1::bigint AND l.key = ANY ($2)",
            Tables::of(self.store.kind()).links
        );
        let db = self.twins.rig.database().await;
        for row in db.query(&text, &[&twin.project, &self.case.deleted]).await.expect("links") {
            self.twins.studio.send("DELETE", &format!("/api/tasks/{}/", row.get::<_, i64>(0)), None).await;
        }
    }

    /// The parts of the project's summary.
    ///
    /// Label Studio's own count of columns is too large until it counts again. Its count of labels is too small, and when
    /// it counts again it becomes smaller, so that one is read before.
    async fn summary(&self, side: &Side) -> Vec<(&'static str, Value)> {
        let db = self.twins.rig.database().await;
        until("everything is added to the summary", async || {
            let text = "SELECT count(*) FROM host_deltas WHERE project_id = $1";
            let row = db.query_one(text, &[&side.twin.project]).await.expect("a table");
            (row.get::<_, i64>(0) == 0).then_some(())
        })
        .await;
        let before = self.twins.summary(&side.twin).await;
        if side.is_theirs {
            let path = format!("/api/projects/{}/summary/reset/", side.twin.project);
            self.twins.studio.send("POST", &path, Some(&json!({}))).await;
        }
        let after = self.twins.summary(&side.twin).await;
        let parts = [
            ("columns", &after["all"]),
            ("common", &after["common"]),
            ("annotations", &after["annotations"]),
            ("labels", &before["labels"]),
        ];
        let doubles = |value: &Value| {
            let mut value = value.clone();
            state::doubles(&mut value);
            value
        };
        parts.map(|(part, value)| (part, doubles(value))).to_vec()
    }
}
