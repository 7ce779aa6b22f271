//! Records of recent sessions, so that a warm turn need not read the log.
//!
//! Invariants: a history that is here ends where the log ended when its turn did; while a turn runs
//! its session's history is with the turn and not here; the cache stays within its bounds.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::SessionId;

use super::history::History;
use crate::limits::{CACHE_BYTES_MAX, CACHED_SESSIONS_MAX};

/// The histories, least recently used first.
#[derive(Debug, Default)]
pub(super) struct SessionCache(Mutex<VecDeque<(SessionId, History)>>);

impl SessionCache {
    /// Takes a session's history out.
    pub(super) fn take(&self, session: &SessionId) -> Option<History> {
        let mut sessions = self.lock();
        let at = sessions.iter().position(|(id, _)| id == session)?;
        sessions.remove(at).map(|(_, history)| history)
    }

    /// Puts a session's history in, and lets the least recently used go.
    pub(super) fn put(&self, session: SessionId, history: History) {
        let mut sessions = self.lock();
        sessions.retain(|(id, _)| *id != session);
        sessions.push_back((session, history));
        let bytes = |sessions: &VecDeque<(SessionId, History)>| -> usize {
            sessions.iter().map(|(_, history)| history.bytes()).sum()
        };
        while sessions.len() > CACHED_SESSIONS_MAX || bytes(&sessions) > CACHE_BYTES_MAX {
            sessions.pop_front();
        }
    }

    /// A cache is only a cache: after a panic elsewhere its content is still whole histories.
    fn lock(&self) -> MutexGuard<'_, VecDeque<(SessionId, History)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::session::{Item, UserMessage};

    fn history(bytes: usize) -> History {
        let message =
            UserMessage { channel: "web".into(), event: "e".into(), text: "x".repeat(bytes) };
        let mut history = History::default();
        history.push("t".parse().unwrap(), Item::User(message));
        history
    }

    fn session(n: usize) -> SessionId {
        format!("s{n}").parse().unwrap()
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let cache = SessionCache::default();
        for n in 0..=CACHED_SESSIONS_MAX {
            cache.put(session(n), history(10));
        }
        assert!(cache.take(&session(0)).is_none());
        assert!(cache.take(&session(1)).is_some());
        assert!(cache.take(&session(1)).is_none(), "the turn has it now");
    }

    #[test]
    fn all_together_stay_within_the_bound() {
        let cache = SessionCache::default();
        for n in 0..4 {
            cache.put(session(n), history(CACHE_BYTES_MAX / 3));
        }
        let kept = (0..4).filter(|n| cache.take(&session(*n)).is_some()).count();
        assert_eq!(kept, 2);
        cache.put(session(9), history(CACHE_BYTES_MAX + 1));
        assert!(cache.take(&session(9)).is_none());
    }
}
