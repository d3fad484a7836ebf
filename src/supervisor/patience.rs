//! When a wait is spoken of: pure, with the clock as an argument. What is waited for, and in which words, says
//! `messages.rs`.

use std::time::{Duration, Instant};

/// What takes no longer than this is nobody's concern; and no two lines come closer together.
const FIRST: Duration = Duration::from_secs(1);
/// After the first line: so long after the wait began.
const AGAIN: [Duration; 3] = [Duration::from_secs(60), Duration::from_secs(5 * 60), Duration::from_secs(15 * 60)];
/// And then always after this.
const HOURLY: Duration = Duration::from_secs(60 * 60);

/// One wait, from its beginning to its end.
#[derive(Debug)]
pub struct Patience<What> {
    what: What,
    answer: String,
    since: Instant,
    spoken: Option<Instant>,
    next: Option<Instant>,
}

impl<What: PartialEq> Patience<What> {
    /// A wait for `what` that begins now.
    pub fn begin(what: What, now: Instant) -> Self {
        Patience { what, answer: String::new(), since: now, spoken: None, next: now.checked_add(FIRST) }
    }

    /// Whether it is this that is waited for.
    pub fn is_for(&self, what: &What) -> bool {
        self.what == *what
    }

    /// The last answer that was heard.
    pub fn answer(&self) -> &str {
        &self.answer
    }

    /// When it is to be spoken of next, if nothing changes.
    pub fn next(&self) -> Option<Instant> {
        self.next
    }

    /// What the last answer is. One that has changed is spoken of, too, but not sooner than a second after the last line.
    pub fn hear(&mut self, answer: &str) {
        if self.answer == answer {
            return;
        }
        answer.clone_into(&mut self.answer);
        if let Some(spoken) = self.spoken {
            let soon = spoken.checked_add(FIRST);
            self.next = self.next.into_iter().chain(soon).min();
        }
    }

    /// Whether it is to be spoken of now; if so, it counts as said.
    pub fn speaks(&mut self, now: Instant) -> bool {
        if self.next.is_none_or(|next| now < next) {
            return false;
        }
        self.spoken = Some(now);
        let waited = now.saturating_duration_since(self.since);
        let pause = AGAIN.into_iter().find(|time| *time > waited).map(|time| time.saturating_sub(waited));
        self.next = now.checked_add(pause.unwrap_or(HOURLY));
        true
    }
}
