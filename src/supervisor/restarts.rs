//! How long to wait before a sidecar's child is started again.

use std::time::{Duration, Instant};

/// The pauses between two starts of a sidecar's child.
pub(super) struct Restarts {
    pub(super) pause: Duration,
    pub(super) started: Instant,
}

/// A proxy is missed by the job at once, so the kubelet's 10 s would be too long; and a program that fails at once should
/// not be started a thousand times.
const FIRST_RESTART_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_RESTART_PAUSE: Duration = Duration::from_secs(10);
/// Whatever ran for this long was well; its next failure is counted as the first.
const WELL_AFTER: Duration = Duration::from_secs(10);

impl Default for Restarts {
    fn default() -> Self {
        Restarts { pause: Duration::ZERO, started: Instant::now() }
    }
}

impl Restarts {
    pub(super) fn count(&mut self, now: Instant) {
        let first = self.pause.is_zero() || now.saturating_duration_since(self.started) >= WELL_AFTER;
        self.pause = if first { FIRST_RESTART_PAUSE } else { (self.pause * 2).min(LONGEST_RESTART_PAUSE) };
    }
}
