//! Replaces the URIs of tasks in lists by resolve links.

use std::borrow::Cow;

use longshore_db::Client;
use longshore_db::resolve::{self, Candidate};
use longshore_uri::ObjectUri;

use super::choose::choose;
use crate::api::ApiState;
use crate::api::access::make_link;
use crate::api::error::ApiResult;
use crate::api::offload::Stop;

/// Bytes of links in one answer: some 40,000. A link is about seven times as long as its URI, so tasks that hold
/// only URIs would make a much larger answer. URIs beyond it stay as they are.
pub(in crate::api) const MOST_LINK_BYTES: usize = 8 * 1024 * 1024;

/// Bytes that may still replace URIs in one answer.
pub(super) struct ReplacementBudget {
    /// `None` once a text did not fit: then no other one does.
    left: Option<usize>,
}

impl ReplacementBudget {
    pub(super) fn new(bytes: usize) -> Self {
        Self { left: Some(bytes) }
    }

    /// Spends the bytes of this text; whether it fits.
    pub(super) fn take(&mut self, text: &str) -> bool {
        self.left = self.left.and_then(|left| left.checked_sub(text.len()));
        !self.is_spent()
    }

    pub(super) fn is_spent(&self) -> bool {
        self.left.is_none()
    }
}

/// Puts links in place of the URIs of tasks, as far as the project's storages have their buckets and the
/// answer has room for them.
///
/// No storage is asked for anything: that happens when a link is followed.
pub(in crate::api) struct Links {
    state: ApiState,
    project: i64,
    storages: Vec<Candidate>,
    budget: ReplacementBudget,
}

impl Links {
    /// Reads the storages of a project.
    pub(in crate::api) async fn of(state: &ApiState, client: &Client, project: i64) -> ApiResult<Self> {
        let storages = resolve::import_storages(client, project).await?;
        Ok(Self { state: state.clone(), project, storages, budget: ReplacementBudget::new(MOST_LINK_BYTES) })
    }

    /// The data of a task with links, or `None` if it has no URI that leads to a storage. After `stop`, URIs stay as
    /// they are.
    pub(in crate::api) fn link(
        &mut self,
        task: i64,
        own_key: Option<&str>,
        data: &str,
        stop: &Stop,
    ) -> ApiResult<Option<String>> {
        let mut failed = None;
        let linked = longshore_uri::rewrite(data, own_key, |uri| {
            if self.budget.is_spent() || stop.is_set() {
                return None;
            }
            let parsed = ObjectUri::parse(uri)?;
            choose(&self.storages, &parsed, &self.state.resolve.key(&parsed), None)?;
            let link = make_link(&self.state, self.project, task, uri).map_err(|error| failed = Some(error)).ok()?;
            self.budget.take(&link).then_some(link)
        });
        match (failed, linked) {
            (Some(error), _) => Err(error),
            (None, Cow::Owned(linked)) => Ok(Some(linked)),
            (None, Cow::Borrowed(_)) => Ok(None),
        }
    }
}
