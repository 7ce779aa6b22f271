//! A session's records at the start of a turn: from the request, the cache and the edge.

use protocol::Sequence;
use protocol::turn::TurnRequest;

use super::Agent;
use super::history::{GapError, History};
use crate::edge::session::LogError;
use crate::limits::{HISTORY_BYTES_MAX, HISTORY_RECORDS_MAX};

/// Why a turn has no records.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    /// What the request brought is not the end of a log.
    #[error("the request's records are no end of a log")]
    Gap(#[from] GapError),
    /// The log could not be read.
    #[error("the session's log could not be opened")]
    Log(#[from] LogError),
}

impl Agent {
    /// The session's history up to where the request says that the log ends.
    pub(super) async fn open_log(&self, request: &mut TurnRequest) -> Result<History, OpenError> {
        let records = std::mem::take(&mut request.records);
        let first = records.first().map_or(request.head + 1, |record| record.sequence);
        let mut history = match self.cache.take(&request.session) {
            // One that ends elsewhere than the log does is of no use.
            Some(cached) if (first - 1..=request.head).contains(&cached.head()) => cached,
            _ => self.read_log(request, first).await?,
        };
        history.extend(records)?;
        history.trim(HISTORY_BYTES_MAX, &request.turn);
        Ok(history)
    }

    /// The records before number `first`, the newest of them.
    async fn read_log(&self, request: &TurnRequest, first: Sequence) -> Result<History, LogError> {
        let from = first.saturating_sub(HISTORY_RECORDS_MAX).max(1);
        let mut history = History::after(from - 1);
        // Each page brings at least one record, so this ends.
        while history.head() + 1 < first {
            let next = history.head() + 1;
            for record in self.edge.read_page(&request.session, next, first - 1).await? {
                history.push(record.turn, record.item);
            }
            history.trim(HISTORY_BYTES_MAX, &request.turn);
        }
        Ok(history)
    }
}
