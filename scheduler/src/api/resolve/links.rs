//! Links in place of the URIs of tasks, for lists.

use std::borrow::Cow;

use longshore_db::Client;
use longshore_db::resolve::{self, Candidate};
use longshore_model::uri::{self, ObjectUri};

use super::{link, place};
use crate::api::ApiState;
use crate::api::error::ApiResult;
use crate::api::offload::Stop;

/// Bytes of links in one answer: some 40,000. A link is about seven times as long as its URI, so tasks that are nothing
/// but URIs would make a much larger answer. URIs beyond it stay as they are.
pub(in crate::api) const MOST_LINK_BYTES: usize = 8 * 1024 * 1024;

/// What may still take the place of URIs in one answer.
pub(super) struct Room {
    /// `None` once something found no room: then nothing does any more.
    left: Option<usize>,
}

impl Room {
    pub(super) fn new(bytes: usize) -> Self {
        Self { left: Some(bytes) }
    }

    /// Whether there is room for this text too, which it has then.
    pub(super) fn take(&mut self, text: &str) -> bool {
        self.left = self.left.and_then(|left| left.checked_sub(text.len()));
        !self.is_full()
    }

    pub(super) fn is_full(&self) -> bool {
        self.left.is_none()
    }
}

/// Puts links in place of the URIs of tasks, as far as the project's storages have their buckets and the answer has
/// room for them.
///
/// Nothing is signed by a storage and nothing asked of one: a link does so when it is followed.
pub(in crate::api) struct Links {
    state: ApiState,
    project: i64,
    storages: Vec<Candidate>,
    room: Room,
}

impl Links {
    /// Reads the storages of a project.
    pub(in crate::api) async fn of(state: &ApiState, client: &Client, project: i64) -> ApiResult<Self> {
        let storages = resolve::connected(client, project).await?;
        Ok(Self { state: state.clone(), project, storages, room: Room::new(MOST_LINK_BYTES) })
    }

    /// The data of a task with links, or `None` if it has no URI that leads to a storage. Once it is to stop, URIs
    /// stay as they are.
    pub(in crate::api) fn link(
        &mut self,
        task: i64,
        own_key: Option<&str>,
        data: &str,
        stop: &Stop,
    ) -> ApiResult<Option<String>> {
        let mut failed = None;
        let linked = uri::rewrite(data, own_key, |uri| {
            if self.room.is_full() || stop.is_set() {
                return None;
            }
            let parsed = ObjectUri::parse(uri)?;
            place::choose(&self.storages, &parsed, &self.state.resolve.key(&parsed), None)?;
            let link = link::make(&self.state, self.project, task, uri).map_err(|error| failed = Some(error)).ok()?;
            self.room.take(&link).then_some(link)
        });
        match (failed, linked) {
            (Some(error), _) => Err(error),
            (None, Cow::Owned(linked)) => Ok(Some(linked)),
            (None, Cow::Borrowed(_)) => Ok(None),
        }
    }
}
