//! Calls by host, since the last report.
//!
//! Invariant: a bounded number of hosts; the rest is counted under one name.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::egress::HostTally;
use protocol::limits::{EGRESS_HOST_BYTES_MAX, EGRESS_REPORT_HOSTS_MAX};
use tokio::sync::Notify;

/// What stands for hosts that found no room.
const OTHERS: &str = "others";

/// The names of the edge, which notes by itself what is called there.
const EDGE: &str = protocol::edge::EDGE_HOST;

/// Calls by host.
#[derive(Debug, Default)]
pub struct Tally {
    /// Calls and bytes.
    hosts: Mutex<BTreeMap<String, (u64, u64)>>,
    changed: Notify,
}

impl Tally {
    /// Notes connections to a host, and bytes that came from it.
    pub fn note(&self, host: &str, port: u16, calls: u64, bytes: u64) {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let is_edge = host.strip_suffix(EDGE).is_some_and(|r| r.is_empty() || r.ends_with('.'));
        if is_edge {
            return;
        }
        let name = match port {
            80 | 443 => host,
            port => format!("{host}:{port}"),
        };
        self.add(name, calls, bytes);
        self.changed.notify_one();
    }

    fn add(&self, name: String, calls: u64, bytes: u64) {
        let mut hosts = self.hosts();
        // One place is kept for all others.
        let is_full = hosts.len() + 1 >= EGRESS_REPORT_HOSTS_MAX && !hosts.contains_key(&name);
        let is_host = name.len() <= EGRESS_HOST_BYTES_MAX
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:[]".contains(&b));
        let name = if is_full || !is_host { OTHERS.to_owned() } else { name };
        let entry = hosts.entry(name).or_default();
        entry.0 = entry.0.saturating_add(calls);
        entry.1 = entry.1.saturating_add(bytes);
    }

    /// Waits until something has been noted.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What has been noted; it counts as reported.
    pub(super) fn take(&self) -> Vec<HostTally> {
        let hosts = std::mem::take(&mut *self.hosts());
        let tally = |(host, (calls, bytes))| HostTally { host, calls, bytes };
        hosts.into_iter().map(tally).collect()
    }

    /// Notes again what could not be reported. It goes out with the next call that is noted.
    pub(super) fn put_back(&self, hosts: Vec<HostTally>) {
        for HostTally { host, calls, bytes } in hosts {
            self.add(host, calls, bytes);
        }
    }

    fn hosts(&self) -> MutexGuard<'_, BTreeMap<String, (u64, u64)>> {
        // No code that can panic runs under this lock.
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_counted_and_the_edge_is_not() {
        let tally = Tally::default();
        tally.note("PyPI.org", 443, 1, 0);
        tally.note("pypi.org", 443, 0, 70);
        tally.note("git.example", 8443, 1, 1);
        tally.note("edge.internal", 80, 1, 1);
        tally.note("api.example.via.edge.internal", 80, 1, 1);
        let of = |host: &str, calls, bytes| HostTally { host: host.to_owned(), calls, bytes };
        let taken = tally.take();
        assert_eq!(taken, [of("git.example:8443", 1, 1), of("pypi.org", 1, 70)]);
        assert!(tally.take().is_empty());
        tally.put_back(taken);
        assert_eq!(tally.take().len(), 2);
    }

    #[test]
    fn there_is_room_for_so_many() {
        let tally = Tally::default();
        for n in 0..2 * EGRESS_REPORT_HOSTS_MAX {
            tally.note(&format!("h{n}.example"), 443, 1, 0);
        }
        tally.note("a b", 443, 1, 0);
        let taken = tally.take();
        assert_eq!(taken.len(), EGRESS_REPORT_HOSTS_MAX);
        let calls: u64 = taken.iter().map(|tally| tally.calls).sum();
        assert_eq!(calls, 2 * EGRESS_REPORT_HOSTS_MAX as u64 + 1);
    }
}
