//! Messages that came while a turn ran, until its next step takes them.
//!
//! Invariants: a message is taken once, however often it is sent; what is not taken stays in the
//! object's inbox, so nothing is lost with this queue.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use protocol::session::UserMessage;
use protocol::{Problem, ProblemCode};

use crate::limits::STEERED_MESSAGES_MAX;

/// The queue of one turn, shared between the server and the driver.
#[derive(Debug, Clone, Default)]
pub struct Steering(Arc<Mutex<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<UserMessage>,
    seen: HashSet<(String, String)>,
}

impl Steering {
    /// Adds messages, without those that were sent before.
    pub fn push(&self, messages: Vec<UserMessage>) -> Result<(), Problem> {
        self.with(|queue| {
            let key = |message: &UserMessage| (message.channel.clone(), message.event.clone());
            let fresh = messages.iter().filter(|message| !queue.seen.contains(&key(message)));
            if queue.seen.len() + fresh.count() > STEERED_MESSAGES_MAX {
                let message = format!("A turn takes {STEERED_MESSAGES_MAX} messages on its way.");
                let problem = Problem::new(ProblemCode::Busy, message);
                return Err(problem.remedy("The rest waits for the next turn."));
            }
            for message in messages {
                if queue.seen.insert(key(&message)) {
                    queue.waiting.push(message);
                }
            }
            Ok(())
        })
    }

    /// Takes what has come.
    pub fn take(&self) -> Vec<UserMessage> {
        self.with(|queue| std::mem::take(&mut queue.waiting))
    }

    /// No code that can panic runs under this lock.
    fn with<T>(&self, work: impl FnOnce(&mut Queue) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(event: &str) -> UserMessage {
        UserMessage { channel: "web".into(), event: event.into(), text: "x".into() }
    }

    #[test]
    fn a_message_that_is_sent_again_is_taken_once() {
        let steering = Steering::default();
        steering.push(vec![message("a"), message("b"), message("a")]).unwrap();
        assert_eq!(steering.take(), [message("a"), message("b")]);
        steering.push(vec![message("b"), message("c")]).unwrap();
        assert_eq!(steering.take(), [message("c")]);
    }

    #[test]
    fn a_flood_is_left_for_the_next_turn() {
        let steering = Steering::default();
        let many = (0..=STEERED_MESSAGES_MAX).map(|n| message(&n.to_string())).collect();
        assert_eq!(steering.push(many).unwrap_err().code, ProblemCode::Busy);
        assert!(steering.take().is_empty());
        let enough = || (0..STEERED_MESSAGES_MAX).map(|n| message(&n.to_string())).collect();
        steering.push(enough()).unwrap();
        // What is known already takes no room.
        steering.push(enough()).unwrap();
    }
}
