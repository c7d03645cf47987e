//! Longshore beside a real Label Studio: what its own sync writes, and what ours does.
//!
//! Ignored, because a Label Studio takes half a minute to start: run them with `make test-label-studio`.

mod access;
mod adoption;
mod changed;
mod cohort;
mod counters;
mod deleted;
mod differential;
mod effects;
mod export;
mod host_commands;
mod import;
mod items;
mod oldest;
mod page;
mod proxy;
mod references;
mod requests;
mod resolve;
mod routes;
mod secrets;
mod stopping;
mod summary;
mod tables;
mod together;
mod ui;
mod version;
mod webhooks;

use longshore_local::{App, nginx, ports};
use longshore_rig::label_studio::{LabelStudio, TOKEN, Version};
use longshore_rig::rig::{ACCESS_KEY_ID, Rig, RigOptions, SECRET_ACCESS_KEY, send_json};
use serde_json::{Value, json};

const CONFIG: &str = r#"<View><Image name="image" value="$image"/>
    <Choices name="label" toName="image"><Choice value="cat"/><Choice value="dog"/></Choices></View>"#;

/// A Longshore and the Label Studio that is its host.
pub(crate) struct Twins {
    rig: Rig,
    studio: LabelStudio,
}

/// A project of Label Studio with a storage.
pub(crate) struct Twin {
    project: i64,
    storage: i64,
}

impl Twins {
    async fn start() -> Self {
        Self::with(|options| options).await
    }

    /// Longshore with these options, and the newest version of Label Studio.
    async fn with(set: impl FnOnce(RigOptions) -> RigOptions) -> Self {
        Self::of_version(Version::Newest, &[], set).await
    }

    /// With environment variables of Longshore and of Label Studio.
    async fn start_with(ours: &[(&'static str, String)], theirs: &[(&str, String)]) -> Self {
        let set =
            |options: RigOptions| ours.iter().fold(options, |options, (name, value)| options.env(name, value.clone()));
        Self::of_version(Version::Newest, theirs, set).await
    }

    /// This version of Label Studio with these environment variables, and Longshore with these options.
    async fn of_version(
        version: Version,
        environment: &[(&str, String)],
        set: impl FnOnce(RigOptions) -> RigOptions,
    ) -> Self {
        let port = ports::free().expect("a free port");
        let url = format!("http://127.0.0.1:{port}");
        let options = Rig::with().label_studio_version(version).env("LONGSHORE_LABEL_STUDIO_URL", url);
        // As Label Studio's own syncs, those of storages without keys have the credentials of the environment.
        let options = options.env("LONGSHORE_OWN_IDENTITY", "all");
        let rig = set(options).start().await;
        let studio = LabelStudio::start_with(&rig.run_dir, &rig.database_url, port, version, environment).await;
        Self { rig, studio: studio.expect("Label Studio starts") }
    }

    /// A real nginx in front of both, with the configuration for users.
    async fn nginx(&self) -> App {
        self.nginx_with(nginx::Layout::Whole).await
    }

    async fn nginx_with(&self, layout: nginx::Layout<'_>) -> App {
        nginx::start_with(&self.rig.run_dir, self.studio.url(), &self.rig.url(), layout).await.expect("nginx starts")
    }

    /// A project with an S3 import storage, made in Label Studio.
    async fn import(&self, bucket: &str, settings: Value) -> Twin {
        let project = self.studio.project(CONFIG).await;
        let mut body = json!({"project": project, "bucket": bucket, "s3_endpoint": self.rig.s3.endpoint(),
            "region_name": "us-east-1", "aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY});
        body.as_object_mut().expect("an object").extend(settings.as_object().expect("an object").clone());
        let storage = self.studio.send("POST", "/api/storages/s3", Some(&body)).await;
        Twin { project, storage: storage["id"].as_i64().expect("an ID") }
    }

    /// Label Studio's own sync.
    async fn sync_theirs(&self, twin: &Twin) -> Value {
        self.sync_theirs_of("s3", twin).await
    }

    /// The same for a storage of this kind.
    async fn sync_theirs_of(&self, kind: &str, twin: &Twin) -> Value {
        self.studio.send("POST", &format!("/api/storages/{kind}/{}/sync", twin.storage), Some(&json!({}))).await
    }

    /// Asks Longshore for a sync, as a user of Label Studio with this token. Returns status and body.
    async fn ask(&self, twin: &Twin, token: &str) -> (u16, Value) {
        self.ask_of("s3", twin, token).await
    }

    async fn ask_of(&self, kind: &str, twin: &Twin, token: &str) -> (u16, Value) {
        let request = self.rig.request("POST", &format!("/api/storages/{kind}/{}/sync", twin.storage));
        send_json(request.header("authorization", format!("Token {token}"))).await
    }

    /// Longshore's sync of the same storage, for the first user of Label Studio.
    async fn sync_ours(&self, twin: &Twin) -> Value {
        self.sync_ours_of("s3", twin).await
    }

    /// The same for a storage of this kind.
    async fn sync_ours_of(&self, kind: &str, twin: &Twin) -> Value {
        let (status, body) = self.ask_of(kind, twin, TOKEN).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    /// Rows of a project as JSON, without IDs and times.
    async fn rows(&self, twin: &Twin) -> Value {
        let text = "
            SELECT json_build_object(
                'tasks', (SELECT json_agg(r ORDER BY r.inner_id) FROM (
                    SELECT t.data, t.meta, t.is_labeled, t.overlap, t.file_upload_id, t.updated_by_id, t.inner_id,
                           t.total_annotations, t.cancelled_annotations, t.total_predictions, t.comment_count,
                           t.last_comment_updated_at, t.unresolved_comment_count, t.precomputed_agreement, t.allow_skip,
                           l.key, l.object_exists, l.row_group, l.row_index,
                           (SELECT json_agg(json_build_object('result', a.result, 'was_cancelled', a.was_cancelled,
                                   'ground_truth', a.ground_truth, 'prediction', a.prediction, 'lead_time', a.lead_time,
                                   'result_count', a.result_count, 'completed_by', a.completed_by_id,
                                   'updated_by', a.updated_by_id, 'bulk_created', a.bulk_created, 'project', a.project_id = $1,
                                   'import', a.import_id, 'action', a.last_action, 'actor', a.last_created_by_id,
                                   'draft', a.draft_created_at, 'parents', coalesce(a.parent_prediction_id, a.parent_annotation_id),
                                   'has_unique_id', a.unique_id IS NOT NULL)
                                   ORDER BY a.id) FROM public.task_completion a WHERE a.task_id = t.id) AS annotations,
                           (SELECT json_agg(json_build_object('result', p.result, 'score', p.score,
                                   'model_version', p.model_version, 'mislabeling', p.mislabeling,
                                   'cluster', p.cluster, 'neighbors', p.neighbors, 'model', p.model_id) ORDER BY p.id)
                              FROM public.prediction p WHERE p.task_id = t.id) AS predictions
                      FROM public.task t LEFT JOIN public.io_storages_s3importstoragelink l ON l.task_id = t.id
                     WHERE t.project_id = $1) r),
                'storage', (SELECT json_build_object('status', s.status, 'count', s.last_sync_count,
                                   'existed', s.meta -> 'tasks_existed',
                                   'attempts', s.meta -> 'attempts')
                              FROM public.io_storages_s3importstorage s WHERE s.id = $2))::text";
        let (project, storage) =
            (i32::try_from(twin.project).expect("an ID"), i32::try_from(twin.storage).expect("an ID"));
        let row = self.rig.database().await.query_one(text, &[&project, &storage]).await.expect("rows");
        serde_json::from_str(row.get(0)).expect("JSON")
    }

    /// The project's summary.
    async fn summary(&self, twin: &Twin) -> Value {
        let text = "SELECT json_build_object('all', all_data_columns, 'common', common_data_columns,
                           'annotations', created_annotations, 'labels', created_labels)::text
                      FROM public.projects_projectsummary WHERE project_id = $1";
        let project = i32::try_from(twin.project).expect("an ID");
        let row = self.rig.database().await.query_one(text, &[&project]).await.expect("a summary");
        serde_json::from_str(row.get(0)).expect("JSON")
    }
}
