//! Lets old snapshots go, and what only they used.
//!
//! Invariant: nothing is removed before every folder of the snapshots that stay was read and every
//! pack that they use was seen in its full size; so damage ends a maintenance before it begins.

use bytesize::ByteSize;
use protocol::workspace::Retention;
use rustic_core::jiff::{Span, Zoned};
use rustic_core::{KeepOptions, LimitOption, PruneOptions};

use super::store::Place;
use super::{Repository, Result};
use crate::limits::MAINTENANCE_REPACK_BYTES_MAX;

/// What a maintenance came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maintained {
    /// Snapshots that stay.
    pub kept: u64,
    /// Snapshots that went.
    pub removed: u64,
    /// Bytes that were freed.
    pub freed_bytes: u64,
}

impl Repository {
    /// Forgets snapshots of `host` that no rule of the retention keeps, removes what nothing uses any
    /// more, and makes one index of the many small ones. Nobody else may use the repository.
    pub fn maintain(&self, host: &str, retention: &Retention) -> Result<Maintained> {
        let failed = |what: &'static str| move |error| self.backend.blame(what, error);
        self.backend.preload(&[Place::Config]);
        let open = self.open()?;
        let ours = open
            .get_matching_snapshots(|snapshot| snapshot.hostname == host)
            .map_err(failed("a snapshot"))?;
        let count = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
        let keep = KeepOptions::default()
            .keep_last(count(retention.last))
            .keep_hourly(count(retention.hourly))
            .keep_daily(count(retention.daily))
            .keep_weekly(count(retention.weekly));
        let judged = keep.apply(ours, &Zoned::now()).map_err(failed("the retention"))?;
        let gone: Vec<_> =
            judged.iter().filter(|judged| !judged.keep).map(|judged| judged.snapshot.id).collect();

        let options = PruneOptions::default()
            .ignore_snaps(gone.clone())
            .max_repack(LimitOption::Size(ByteSize(MAINTENANCE_REPACK_BYTES_MAX)))
            .instant_delete(true)
            .keep_pack(Span::new())
            .keep_delete(Span::new());
        let plan = open.prune_plan(&options).map_err(failed("the repository"))?;
        let sizes = plan.stats.size_sum();
        let freed_bytes = sizes.remove + sizes.repackrm + plan.stats.size_unref;
        open.delete_snapshots(&gone).map_err(failed("an old snapshot"))?;
        let pruned = open.prune(&options, plan).map_err(failed("the repository"));
        let settled = self.backend.settle();
        pruned.and(settled)?;
        let (removed, all) = (gone.len() as u64, judged.len() as u64);
        Ok(Maintained { kept: all - removed, removed, freed_bytes })
    }
}
