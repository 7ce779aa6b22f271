//! What the object is told of a restore: a stream that may be joined late.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use protocol::workspace::WorkspaceEvent;

use super::Keeper;

/// What is to be told.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    /// That the repository is open, with its key.
    pub(super) opened: Option<WorkspaceEvent>,
    /// The newest of what followed.
    pub(super) newest: Option<WorkspaceEvent>,
}

impl Keeper {
    /// The events of the restore, as NDJSON, from the first to the last. Progress that was
    /// overtaken is left out.
    pub fn follow(self: &Arc<Self>) -> impl Stream<Item = Bytes> + Send + use<> {
        let receiver = self.told.subscribe();
        stream::unfold(Some((receiver, false, None)), |follower| async move {
            let (mut receiver, opened_told, told) = follower?;
            loop {
                let Told { opened, newest } = receiver.borrow_and_update().clone();
                if !opened_told && let Some(event) = opened {
                    return Some((line(&event), Some((receiver, true, told))));
                }
                if newest != told
                    && let Some(event) = newest
                {
                    let rest = (!is_last(&event)).then(|| (receiver, true, Some(event.clone())));
                    return Some((line(&event), rest));
                }
                if receiver.changed().await.is_err() {
                    return None;
                }
            }
        })
    }

    pub(super) fn tell(&self, event: WorkspaceEvent) {
        self.told.send_modify(|told| {
            if matches!(event, WorkspaceEvent::Opened { .. }) {
                told.opened = Some(event);
            } else {
                told.newest = Some(event);
            }
        });
    }
}

fn is_last(event: &WorkspaceEvent) -> bool {
    !matches!(event, WorkspaceEvent::Opened { .. } | WorkspaceEvent::Progress { .. })
}

/// An event as a line of NDJSON.
pub fn line(event: &WorkspaceEvent) -> Bytes {
    let mut json = serde_json::to_vec(event).unwrap_or_else(|error| {
        tracing::error!(%error, "an event could not be written");
        Vec::new()
    });
    json.push(b'\n');
    json.into()
}
