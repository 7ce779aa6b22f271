//! Does what a person commands, without waking the container and without touching the log.
//!
//! Invariant: a command has its effect once per message id: a page that did not hear the answer asks
//! again and hears the same one.

use std::rc::Rc;

use protocol::chat::ServerFrame;
use protocol::session::UserMessage;
use protocol::{Problem, SessionId};
use sha2::{Digest as _, Sha256};

use super::command::{self, Command, HEARTBEAT, HEARTBEAT_PROMPT, HELP, JobAction};
use super::core::{Core, books_failed};
use super::lifecycle::Lifecycle;
use super::schedule::{Missed, Schedule, show};
use super::store::inbox;
use super::store::jobs::{self, Job};
use super::store::{outbox, turns, workspace};
use super::usage;
use crate::limits::{JOB_HISTORY_MAX, JOBS_MAX};
use crate::platform::clock::now_ms;
use crate::platform::sockets::{self, Socket};

impl Core {
    /// Does a command; false when the text is a message.
    pub(super) async fn command(
        self: &Rc<Self>,
        socket: &Socket,
        session: &SessionId,
        message: &UserMessage,
    ) -> Result<bool, Problem> {
        let failed = |error| books_failed(&error);
        let zone = &self.settings.time_zone;
        let Some(command) = command::parse(&message.text, zone, now_ms()) else {
            return Ok(false);
        };
        let before = inbox::command_answer(&self.sql, message).map_err(failed)?;
        let text = match (before, command) {
            (Some(answer), _) => answer,
            (None, Err(why)) => why,
            (None, Ok(command)) => {
                let answer = self.obey(session, &message.event, command).await?;
                inbox::note_command(&self.sql, session, message, &answer, now_ms())
                    .map_err(failed)?;
                answer
            }
        };
        self.arm().await;
        sockets::send(socket, &ServerFrame::Notice { id: message.event.clone(), text });
        Ok(true)
    }

    async fn obey(
        self: &Rc<Self>,
        session: &SessionId,
        event: &str,
        command: Command,
    ) -> Result<String, Problem> {
        match command {
            Command::Help => Ok(HELP.to_owned()),
            Command::Usage => Ok(usage::text(&self.usage()?)),
            Command::Status => self.status(),
            Command::Stop => {
                let running = turns::running_in(&self.sql, session);
                match running.map_err(|error| books_failed(&error))? {
                    Some(running) => {
                        self.stop_turn(&running).await?;
                        Ok("Stopping.".into())
                    }
                    None => Ok("Nothing runs here.".into()),
                }
            }
            Command::Egress => self.show_egress(),
            Command::Jobs => self.list_jobs(),
            Command::Add { schedule, prompt, missed } => {
                // Of the message's own id, so that a repetition makes no second job.
                self.add_job(session, job_name(event), schedule, (prompt, missed))
            }
            Command::Heartbeat(schedule) => {
                let what = (HEARTBEAT_PROMPT.trim().to_owned(), Missed::Skip);
                self.add_job(session, HEARTBEAT.into(), schedule, what)
            }
            Command::HeartbeatOff => self.change_job(JobAction::Remove, HEARTBEAT),
            Command::Job(action, id) => self.change_job(action, &id),
            Command::StartEmpty => {
                workspace::ask_start_empty(&self.sql).map_err(|error| books_failed(&error))?;
                self.drain()?;
                Ok("The next life of the container begins with an empty folder. What was saved \
                    stays in the bucket until old snapshots are removed."
                    .into())
            }
        }
    }

    fn add_job(
        &self,
        session: &SessionId,
        id: String,
        schedule: Schedule,
        (prompt, missed): (String, Missed),
    ) -> Result<String, Problem> {
        let failed = |error| books_failed(&error);
        let count = jobs::all(&self.sql).map_err(failed)?.len();
        if count >= JOBS_MAX {
            return Ok(format!("There are {count} jobs already, the most. Remove one first."));
        }
        let next_ms = match schedule.next_after(now_ms()) {
            Ok(next_ms) => next_ms,
            Err(why) => return Ok(why),
        };
        let job = Job {
            id,
            schedule,
            prompt,
            session: session.clone(),
            channel: "web".into(),
            chat: session.to_string(),
            missed,
            enabled: true,
            next_ms,
            failures: 0,
        };
        jobs::put(&self.sql, &job, now_ms()).map_err(failed)?;
        Ok(format!("Job `{}` is due {}.", job.id, self.when(job.next_ms)))
    }

    fn change_job(self: &Rc<Self>, action: JobAction, id: &str) -> Result<String, Problem> {
        let failed = |error| books_failed(&error);
        let all = jobs::all(&self.sql).map_err(failed)?;
        let Some(job) = all.into_iter().find(|job| job.id == id) else {
            return Ok(format!("There is no job `{id}`; `/schedule` lists them."));
        };
        match action {
            JobAction::Remove => {
                jobs::remove(&self.sql, id).map_err(failed)?;
                Ok(format!("Job `{id}` is gone."))
            }
            JobAction::Pause => {
                jobs::enable(&self.sql, id, false, None).map_err(failed)?;
                Ok(format!("Job `{id}` is paused."))
            }
            JobAction::Resume => {
                let next_ms = match job.schedule.next_after(now_ms()) {
                    Ok(Some(next_ms)) => next_ms,
                    Ok(None) => return Ok(format!("Job `{id}` is over.")),
                    Err(why) => return Ok(why),
                };
                jobs::enable(&self.sql, id, true, Some(next_ms)).map_err(failed)?;
                Ok(format!("Job `{id}` is due {}.", self.when(Some(next_ms))))
            }
            JobAction::Run => {
                jobs::run_now(&self.sql, &job, now_ms()).map_err(failed)?;
                self.worked_at_ms.set(now_ms());
                self.pump()?;
                Ok(format!("Job `{id}` runs."))
            }
            JobAction::History => {
                let runs = jobs::history(&self.sql, id, JOB_HISTORY_MAX).map_err(failed)?;
                let zone = &self.settings.time_zone;
                let lines =
                    runs.iter().map(|(due_ms, what)| format!("{}: {what}", show(*due_ms, zone)));
                let lines: Vec<String> = lines.collect();
                Ok(if lines.is_empty() { "It has not run yet.".into() } else { lines.join("\n\n") })
            }
        }
    }

    fn list_jobs(&self) -> Result<String, Problem> {
        let all = jobs::all(&self.sql).map_err(|error| books_failed(&error))?;
        if all.is_empty() {
            return Ok(format!("There are no jobs.\n\n{HELP}"));
        }
        let line = |job: &Job| {
            let state = if job.enabled { self.when(job.next_ms) } else { "paused".into() };
            let failures = match job.failures {
                0 => String::new(),
                count => format!(", {count} failures in a row"),
            };
            let begin: String = job.prompt.chars().take(80).collect();
            format!("- `{}` {state}{failures}: {begin}", job.id)
        };
        Ok(all.iter().map(line).collect::<Vec<_>>().join("\n"))
    }

    fn when(&self, next_ms: Option<u64>) -> String {
        next_ms.map_or_else(|| "no more".into(), |next_ms| show(next_ms, &self.settings.time_zone))
    }

    fn status(&self) -> Result<String, Problem> {
        let failed = |error| books_failed(&error);
        let zone = &self.settings.time_zone;
        let (epoch, state) = self.lifecycle()?;
        let state = match state {
            Lifecycle::Cold => "asleep".into(),
            Lifecycle::Starting { since_ms, .. } => {
                format!("starting since {}", show(since_ms, zone))
            }
            Lifecycle::Restoring { .. } => "awake, bringing the workspace back".into(),
            Lifecycle::Ready { since_ms, .. } => format!("awake since {}", show(since_ms, zone)),
            Lifecycle::Maintaining { .. } => "tidying the saved workspace".into(),
            Lifecycle::Draining { .. } => "going to sleep".into(),
            Lifecycle::Failed { reason, failures, next_try_ms, .. } => format!(
                "failed {failures} times in a row: {reason} Next try: {}",
                show(next_try_ms, zone)
            ),
        };
        let saved = match self.workspace()?.snapshot_at_ms {
            Some(at_ms) => format!("saved {}", show(at_ms, zone)),
            None => "not saved yet".into(),
        };
        let running = turns::running_everywhere(&self.sql).map_err(failed)?.len();
        let due = jobs::next_due_ms(&self.sql).map_err(failed)?;
        let parked = outbox::parked(&self.sql).map_err(failed)?;
        let mut lines = vec![
            format!("- container: {state} (epoch {epoch})"),
            format!("- workspace: {saved}"),
            format!("- turns that run: {running}"),
            format!("- next job: {}", self.when(due)),
            format!("- answers set aside: {parked}"),
        ];
        lines.extend(self.problems().iter().map(|problem| format!("- problem: {problem}")));
        Ok(lines.join("\n"))
    }

    /// When a job is due next.
    pub(super) fn schedule_due_ms(&self) -> Result<Option<u64>, Problem> {
        jobs::next_due_ms(&self.sql).map_err(|error| books_failed(&error))
    }

    /// Lets every job run whose time has come.
    pub(super) fn run_schedule(&self) -> Result<(), Problem> {
        let failed = |error| books_failed(&error);
        let now_ms = now_ms();
        for job in jobs::due(&self.sql, now_ms).map_err(failed)? {
            let Some(due_ms) = job.next_ms else { continue };
            match job.schedule.due(due_ms, job.missed, now_ms) {
                Ok(due) => {
                    if due.runs {
                        self.worked_at_ms.set(now_ms);
                    }
                    jobs::advance(&self.sql, &job, due_ms, due, now_ms).map_err(failed)?;
                }
                Err(why) => {
                    crate::platform::log::trouble(format_args!("job {} is paused: {why}", job.id));
                    jobs::enable(&self.sql, &job.id, false, None).map_err(failed)?;
                }
            }
        }
        Ok(())
    }
}

/// The name of the job that this message makes.
fn job_name(event: &str) -> String {
    let hash = Sha256::digest(event.as_bytes());
    let digits = hash.iter().take(3).flat_map(|byte| [byte >> 4, byte & 15]);
    let name: String = digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect();
    format!("j{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_begin_alike_make_jobs_of_their_own() {
        assert_ne!(job_name("1893f0c-1"), job_name("1893f0c-2"));
        assert_eq!(job_name("a").len(), 7);
    }
}
