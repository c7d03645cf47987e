//! Rows that the values of the table name.

use serde_json::json;

use crate::label_studio::Twins;

/// Inserts what IDs in the table stand for: prediction and annotation 1000050, ML backend 1000007 and model run 1000008.
pub(super) async fn insert(twins: &Twins) {
    let text = r#"{"data": {"image": "i"}, "annotations": [{"result": []}], "predictions": [{"result": []}]}"#;
    twins.rig.s3.create_bucket("parents");
    twins.rig.s3.put("parents", "1.json", text.as_bytes().to_vec());
    let parents = twins.import("parents", json!({})).await;
    twins.sync_ours(&parents).await;
    let db = twins.rig.database().await;
    db.batch_execute("UPDATE public.prediction SET id = 1000050; UPDATE public.task_completion SET id = 1000050;")
        .await
        .expect("parents");
    let times = json!({"created_at": "2024-01-02T03:04:05Z", "updated_at": "2024-01-02T03:04:05Z"});
    for (table, row) in [
        (
            "ml_mlbackend",
            json!({"id": 1_000_007, "project_id": parents.project, "is_interactive": false, "timeout": 1, "url": "http://127.0.0.1",
                "auto_update": false, "state": "CO", "auth_method": "NONE", "title": "backend"}),
        ),
        ("ml_models_modelinterface", json!({"id": 1, "title": "model", "input_fields": [], "output_classes": []})),
        (
            "ml_models_thirdpartymodelversion",
            json!({"id": 1, "provider": "OpenAI", "provider_model_id": "m", "title": "version", "prompt": "", "parent_model_id": 1}),
        ),
        (
            "ml_models_modelrun",
            json!({"id": 1_000_008, "project_id": parents.project, "model_version_id": 1, "project_subset": "All",
                "status": "Completed", "total_predictions": 0, "total_correct_predictions": 0, "total_tasks": 0}),
        ),
    ] {
        let mut row = row;
        row.as_object_mut().expect("an object").extend(times.as_object().expect("an object").clone());
        let insert = format!(
            "INSERT INTO public.{table} SELECT (jsonb_populate_record(NULL::public.{table}, $1::text::jsonb)).*"
        );
        db.execute(&insert, &[&row.to_string()]).await.unwrap_or_else(|error| panic!("{table}: {error:?}"));
    }
}
