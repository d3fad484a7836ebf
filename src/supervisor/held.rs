//! What waits for a look. Facts count in the order in which they happened: before a signal, a death or a deadline is acted on,
//! the job is looked at, and where the volume is slow to answer these wait for it, but not for long.

use super::door::Door;
use crate::machine::{Event, Timer};
use std::time::{Duration, Instant};

/// How long they wait for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is acted on next. A death waits beside it, in the driver.
#[derive(Debug, Default)]
pub struct Held {
    /// Signals that came.
    pub signals: Vec<u8>,
    /// What has become of the conditions.
    pub gate: Option<Event>,
    /// The deadline that has passed.
    pub elapsed: Option<Timer>,
    /// How long it waits, if it does.
    pub until: Option<Instant>,
    /// For the look with this number, or a later one.
    look: u64,
}

impl Held {
    /// All of it waits for the look with this number, or a later one.
    pub fn wait_for(&mut self, look: u64, now: Instant) {
        self.look = look;
        self.until = self.until.or(now.checked_add(PATIENCE));
    }

    /// Whether it waits still.
    pub fn is_waiting(&self, door: &Door, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until) && !door.hangs() && !door.has_answered(self.look)
    }
}
