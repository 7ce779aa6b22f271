//! A night between two days: the agent goes to sleep, and its repository is tidied.

use anyhow::Result;
use serde_json::json;

use super::{Harness, kinds, tables};
use crate::limits::{FAULTS_IDLE_MS, FAULTS_NIGHT_MS, FAULTS_SAVES_FOR_TIDYING};
use crate::wait;

impl Harness {
    /// Lets the agent sleep, and waits for the maintenance that is due then.
    pub(super) async fn rest(&mut self) -> Result<()> {
        let stack = &self.victims.stack;
        let state = stack.folder().join("state");
        let alarm = |at_ms: i64| json!({ "clock_offset_ms": at_ms, "ring": 1 });
        let asleep = || stack.runtime_now().is_ok_and(|runtime| runtime.is_none());
        // What cannot be read at this moment is looked at again.
        let saves = || tables::saves(&state).ok();
        let before = wait::until("the number of saves", saves).await?;
        // Later than every clock that ran ahead; what counts as idle begins with the first alarm.
        let morning_ms = FAULTS_NIGHT_MS + FAULTS_IDLE_MS;
        kinds::order(stack, &alarm(FAULTS_NIGHT_MS)).await?;
        kinds::order(stack, &alarm(morning_ms)).await?;
        wait::until_true("sleep", asleep).await?;
        if before >= FAULTS_SAVES_FOR_TIDYING {
            // An agent that was awake at the first alarm tidies at the next one.
            kinds::order(stack, &alarm(morning_ms)).await?;
            wait::until_true("a tidy repository", || saves() == Some(0)).await?;
            wait::until_true("the end of the maintenance", asleep).await?;
            self.report.tidied += 1;
        }
        kinds::calm(stack).await
    }
}
