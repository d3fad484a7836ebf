//! A look, step by step.

use super::search::Outcome;
use super::settings::{Fault, Locks, Mains, Setting};
use super::world::{Absent, Held, Look, World};
use exeunt::machine::{Codes, Seen};
use exeunt::stage::conclude::{Conclusion, Running, Sighting, conclude, together};

/// What asking for a lock says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    Held,
    Free,
    Unknown,
}

impl World {
    /// What the sidecar would be told of the lock that its look is about to ask for.
    pub fn lock(&self, setting: &Setting, place: usize) -> Lock {
        let sidecar = &self.sidecars[place];
        let locked = sidecar.held[sidecar.at].is_some_and(|held| self.files[held.file].locked);
        match setting.locks {
            Locks::Refused => Lock::Unknown,
            Locks::Shared | Locks::Elsewhere | Locks::SometimesRefused if locked => Lock::Held,
            _ => Lock::Free,
        }
    }

    /// One step of `Observer::look`.
    pub fn look(mut self, setting: &Setting, place: usize, lock: Lock) -> (&'static str, Outcome<World>) {
        let of = self.sidecars[place].at;
        let (running, terminated) = (self.names[of].running, self.names[of].terminated);
        let ran = self.mains.iter().any(|main| main.command);
        let on_stage = setting.absence && self.is_on_stage();
        let sentinel_first = matches!(setting.fault, Fault::NoSecondLook | Fault::LooksInTheOtherOrder);
        let files = self.files;
        let sidecar = &mut self.sidecars[place];
        let what = match sidecar.look {
            Look::Idle => {
                if of == 0 {
                    (sidecar.due, sidecar.ran, sidecar.judged) = (false, ran, true);
                    sidecar.came_since |= std::mem::take(&mut sidecar.came_now) || on_stage;
                }
                sidecar.look = if sentinel_first {
                    Look::Sentinel { again: false, running: None }
                } else {
                    Look::Stat { again: false }
                };
                "begins to look"
            }
            Look::Stat { again } => {
                let held = sidecar.held[of].map(|held| held.file);
                let forgets = setting.fault == Fault::ForgetsTheLost;
                let lost = running.is_none() && sidecar.held[of].is_some_and(|held| held.seen_locked) && !forgets;
                let keep = lost || (running.is_some() && held == running);
                sidecar.held[of] = sidecar.held[of].filter(|_| keep);
                sidecar.look = if keep || running.is_none() { Look::Lock { again } } else { Look::Open { again } };
                if running.is_some() { "sees -running" } else { "sees no -running" }
            }
            Look::Open { again } => {
                sidecar.held[of] = running.map(|file| Held { file, seen_locked: false, record: files[file].record });
                sidecar.look = Look::Lock { again };
                // Another life, so another absence.
                sidecar.came_now = false;
                if setting.fault != Fault::ForgetsThatItCame {
                    sidecar.absent = Absent::No;
                }
                "opens -running"
            }
            Look::Lock { again } => {
                let locked = lock == Lock::Held;
                let running = sidecar.held[of].as_mut().and_then(|held| {
                    held.seen_locked |= locked;
                    if !locked {
                        held.record = files[held.file].record;
                    }
                    let record = held.record;
                    let counts = record.ours || !setting.run_id;
                    counts.then_some(believed(setting, lock, held))
                });
                if setting.fault == Fault::LooksInTheOtherOrder && !locked && !again {
                    sidecar.look = Look::Sentinel { again: true, running: None };
                    return ("finds no lock held", Ok(self));
                }
                if sentinel_first {
                    return ("tests the lock", self.conclude(setting, place, Sighting { running, terminated: None }));
                }
                sidecar.saw[of] |= locked;
                sidecar.look = Look::Sentinel { again, running };
                if locked { "finds the lock held" } else { "finds no lock held" }
            }
            Look::Sentinel { again, running } => {
                let asks = setting.run_id && setting.fault != Fault::ForgetsTheRunId;
                let counts = |file: &usize| files[*file].record.ours || !asks;
                let terminated = terminated.filter(counts).map(|file| files[file].record.ended);
                let held = running.is_some_and(|running| running.locked);
                let what = if terminated.is_some() { "sees the sentinel" } else { "sees no sentinel" };
                if terminated.is_none() && sentinel_first {
                    sidecar.look = Look::Stat { again };
                } else if terminated.is_none() && !held && !again {
                    sidecar.look = Look::Stat { again: true };
                } else {
                    return (what, self.conclude(setting, place, Sighting { running, terminated }));
                }
                what
            }
        };
        (what, Ok(self))
    }

    fn conclude(mut self, setting: &Setting, place: usize, seen: Sighting) -> Outcome<World> {
        let sidecar = &mut self.sidecars[place];
        sidecar.look = Look::Idle;
        let names = if setting.fault == Fault::LooksAtTheFirstNameOnly { 1 } else { setting.mains.count() };
        if sidecar.at + 1 < names {
            (sidecar.first_seen, sidecar.at) = (seen, sidecar.at + 1);
            return self.look(setting, place, Lock::Unknown).1;
        }
        let all = [sidecar.first_seen, seen];
        let seen = if names == 1 { &all[1..] } else { &all[..] };
        let any = setting.mains == Mains::Any;
        let conclusion = together(seen.iter().map(|seen| conclude(*seen)), any);
        let missing = setting.absence && self.is_missing(setting, place, conclusion);
        let event = match conclusion {
            _ if missing => Seen::Missing,
            Conclusion::Over(verdict) => Seen::Over(verdict),
            Conclusion::BetweenAttempts(verdict) => Seen::Paused(verdict),
            Conclusion::NotStarted | Conclusion::Running | Conclusion::Unproven => Seen::On,
        };
        let sidecar = &mut self.sidecars[place];
        (sidecar.first_seen, sidecar.at) = (Sighting::default(), 0);
        self.looked(setting, place, event)
    }

    fn is_on_stage(&self) -> bool {
        let running = self.names[0].running;
        running.is_some_and(|file| self.files[file].locked) && running == self.mains[0].file
    }

    /// `Audience::is_missing`. How long it may be away is not said here: at some time it is too long.
    fn is_missing(&mut self, setting: &Setting, place: usize, conclusion: Conclusion) -> bool {
        let sidecar = &mut self.sidecars[place];
        let away = matches!(conclusion, Conclusion::NotStarted | Conclusion::BetweenAttempts(_));
        if !away && setting.fault != Fault::CountsWhileItIsThere {
            (sidecar.absent, sidecar.came_since) = (Absent::No, false);
            return false;
        }
        match sidecar.absent {
            Absent::No => (sidecar.absent, sidecar.came_since) = (Absent::Since, false),
            Absent::Since => {}
            Absent::TooLong => {
                sidecar.absent = Absent::Since;
                return true;
            }
        }
        false
    }
}

/// What an observer makes of a lock and a record.
fn believed(setting: &Setting, lock: Lock, held: &Held) -> Running {
    let record = held.record;
    let answered = lock != Lock::Unknown || setting.fault == Fault::TakesAnErrorForAFreeLock;
    let proven = match setting.fault {
        Fault::BelievesEveryLock => true,
        Fault::NeverBelievesALock => record.here,
        _ => record.here || held.seen_locked,
    };
    let repeats = if record.says { setting.restart_on } else { Codes::NONE };
    Running {
        locked: lock == Lock::Held,
        lock_proves: answered && proven,
        ended: record.ended,
        repeated: match (setting.fault, record.ended) {
            (Fault::ForgetsThePolicy, _) => false,
            (Fault::ForgetsTheLastWord, _) => repeats != Codes::NONE,
            (Fault::TakesEveryEndForRepeated, None) => repeats != Codes::NONE,
            (_, Some(_)) => !record.last,
            (_, None) => repeats.contains(137),
        },
    }
}
