//! Replaces URIs in the data of tasks by resolve links.

use std::borrow::Cow;

use longshore_db::Client;
use longshore_db::resolve::{self, Candidate};
use longshore_uri::ObjectUri;

use super::choose::choose;
use crate::api::ApiState;
use crate::api::access::{LinkTarget, make_link};
use crate::api::error::ApiResult;
use crate::api::offload::Stop;

/// The most bytes of links in one answer: about 40,000 links. A link is about seven times as long as its URI, so tasks
/// that hold only URIs would make a much larger answer. Further URIs do not change.
pub(in crate::api) const MOST_LINK_BYTES: usize = 8 * 1024 * 1024;

/// Bytes that may still replace URIs in one answer.
pub(super) struct ReplacementBudget {
    /// `None` after the first text that did not fit. Then no other one fits.
    left: Option<usize>,
}

impl ReplacementBudget {
    pub(super) fn new(bytes: usize) -> Self {
        Self { left: Some(bytes) }
    }

    /// Spends the bytes of this text. Returns whether it fits.
    pub(super) fn take(&mut self, text: &str) -> bool {
        self.left = self.left.and_then(|left| left.checked_sub(text.len()));
        !self.is_spent()
    }

    pub(super) fn is_spent(&self) -> bool {
        self.left.is_none()
    }
}

/// Replaces URIs in tasks by links, if a storage of the project has their bucket and the links fit into the answer.
///
/// It makes no request to a storage. That happens when a browser loads the link.
pub(in crate::api) struct Links {
    state: ApiState,
    project: i64,
    /// The ID of the caller's token.
    token: i64,
    storages: Vec<Candidate>,
    budget: ReplacementBudget,
}

impl Links {
    /// Reads the storages of a project. The links are made for the token with this ID.
    pub(in crate::api) async fn of(state: &ApiState, client: &Client, project: i64, token: i64) -> ApiResult<Self> {
        let storages = resolve::import_storages(client, project).await?;
        Ok(Self { state: state.clone(), project, token, storages, budget: ReplacementBudget::new(MOST_LINK_BYTES) })
    }

    /// The data of a task with links; `None` if no URI in it has a storage. After `stop`, further URIs do not change.
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
            let target = LinkTarget { project: self.project, task, uri, token: self.token };
            let link = make_link(&self.state, target).map_err(|error| failed = Some(error)).ok()?;
            self.budget.take(&link).then_some(link)
        });
        match (failed, linked) {
            (Some(error), _) => Err(error),
            (None, Cow::Owned(linked)) => Ok(Some(linked)),
            (None, Cow::Borrowed(_)) => Ok(None),
        }
    }
}
