//! Answers and documents that cost schedulers most.

use bytes::Bytes;
use futures::future::join_all;
use longshore_rig::rig::Rig;

use super::attack::Attack;
use crate::answers::{TEN_MEGABYTES, annotate, insert};

/// Tasks of 10 MB, annotations of 10 MB on one task, and clients that ask for them at once.
const ROWS: usize = 60;
const CLIENTS: usize = 8;

/// URIs of a document of 14.7 MB, and how many of those are sent at once.
const URIS: usize = 700_000;
const DOCUMENTS: usize = 24;

/// Rows that are large to show, in the attacker's project.
pub(super) struct LargeRows {
    /// A task with [`ROWS`] annotations.
    annotated: i64,
    /// A small task.
    task: i64,
}

impl LargeRows {
    /// Tasks that are large, one with many annotations, and some with a few that are large together.
    pub(super) async fn insert(rig: &Rig, project: i64) -> Self {
        let task = insert(rig, project, "SELECT '{\"image\": \"s3://b/1\"}'").await;
        for _ in 0..ROWS {
            insert(rig, project, TEN_MEGABYTES).await;
        }
        let annotated = insert(rig, project, "SELECT '{}'").await;
        for _ in 0..ROWS {
            annotate(rig, annotated, "SELECT jsonb_build_array(repeat('x', 10000000))").await;
        }
        for _ in 0..4 {
            let task = insert(rig, project, "SELECT '{}'").await;
            for _ in 0..8 {
                annotate(rig, task, "SELECT jsonb_build_array(repeat(U&'\\00e9', 2000000))").await;
            }
        }
        Self { annotated, task }
    }
}

impl Attack {
    /// Eight clients that ask for everything there is, beside eight that do not read what they asked for.
    pub(super) async fn large_answers(&self) {
        let list = format!("/api/tasks?project={}&page_size=1000&fields=all", self.project);
        let annotated = format!("/api/tasks/{}", self.rows.annotated);
        for path in [&list, &annotated, &format!("{annotated}/annotations")] {
            join_all((0..CLIENTS).map(|_| self.caller.send("large answer", "GET", path, None))).await;
        }
        let head = format!("GET {list} HTTP/1.1\r\nhost: x\r\nauthorization: Token {}\r\n\r\n", self.caller.token);
        let silent =
            join_all((0..CLIENTS).map(|client| self.caller.connection(self.caller.scheduler(client % 2), &head))).await;
        for _ in 0..2 {
            join_all((0..CLIENTS).map(|_| self.caller.send("large answer", "GET", &list, None))).await;
        }
        drop(silent);
    }

    /// Documents with more URIs than may be resolved.
    pub(super) async fn large_documents(&self) {
        let uris: Vec<String> = (0..URIS).map(|n| format!("\"s3://b/{n:09}\"")).collect();
        let body = Bytes::from(format!("{{\"task\": {}, \"document\": [{}]}}", self.rows.task, uris.join(",")));
        let sent =
            (0..DOCUMENTS).map(|_| self.caller.send("large document", "POST", "/api/resolve", Some(body.clone())));
        join_all(sent).await;
    }
}
