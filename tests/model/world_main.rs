//! Main and what the kubelet and the job do to it.

use super::policies::{MAIN, TERM};
use super::search::Outcome;
use super::settings::{Fault, Mains, Setting};
use super::world::{Container, Doing, FRESH_MAIN, File, Label, Main, Record, SENT, Steps, UNTRUE, World};
use exeunt::machine::{Action, Command, Event, Name, Policy, State, Status, Word, step};

const NAMES: [&str; 2] = ["main", "second main"];

pub fn steps(setting: &Setting, world: &World, of: usize, steps: &mut Steps) {
    let mut add = |what: &'static str, next: Outcome<World>| steps.push((Label(NAMES[of], what), next));
    match world.mains[of].container {
        Container::Gone(_) => {}
        // Whoever takes a name waits while the volume is reset.
        Container::Waiting if world.is_resetting() && (of == 0 || setting.fault != Fault::ResetsOutOfTurn) => {}
        Container::Waiting => {
            let mut next = *world;
            let Main { over, unsaid, mute, staged, .. } = world.mains[of];
            next.mains[of] = Main { container: Container::Up, over, unsaid, mute, staged, ..FRESH_MAIN };
            // What a look has begun with is no longer what it goes on with.
            for sidecar in &mut next.sidecars {
                sidecar.ran = false;
            }
            add("the kubelet starts the container", next.after(setting, of, Event::Begun));
        }
        Container::Up if world.mains[of].dying => {
            let mut next = *world;
            if let Some(file) = next.mains[of].file {
                next.files[file].locked = false;
            }
            let Main { ended, over, unsaid, mute, staged, .. } = world.mains[of];
            next.mains[of] = Main { ended, over, unsaid, mute, staged, ..FRESH_MAIN };
            next.mains[of].container = match over {
                Some(_) if !setting.repeats_in_vain => Container::Gone(137),
                _ => next.after_exit(setting, 137),
            };
            add("the kernel drops its lock", Ok(next));
        }
        Container::Up => {
            let mut killed = *world;
            killed.mains[of].dying = true;
            killed.mains[of].command = false;
            let written = world.mains[of].file.is_some_and(|file| world.files[file].record.ended.is_some());
            let silent = match world.mains[of].doing {
                Doing::Nothing => world.mains[of].command,
                Doing::Claim(step) => step == 3,
                Doing::Publish { .. } => !written,
            };
            killed.mains[of].mute |= silent;
            killed.ring(setting);
            add("SIGKILL; its files are closed", Ok(killed));
            if world.mains[of].term {
                add("SIGTERM", world.is_told_to_end(setting, of));
            }
            if let Some((at, _)) = world.unsent(setting).into_iter().find(|(_, signal)| *signal == TERM) {
                let mut next = *world;
                next.sent |= 1 << at;
                next.mains[of].term = true;
                next.mains[of].early = matches!(world.mains[of].state, State::Claiming { .. });
                add("somebody sends it SIGTERM", Ok(next));
            }
            if world.mains[of].command {
                for (what, status) in [("the job ends well", Status::Exited(0)), ("the job fails", Status::Exited(3))] {
                    let mut next = *world;
                    next.mains[of].command = false;
                    next.mains[of].ended = Some(status);
                    add(what, next.after(setting, of, Event::Command(Command::Ended(status))));
                }
                if setting.cleans && world.names[of].running.is_some() {
                    let mut next = *world;
                    next.names[of].running = None;
                    next.ring(setting);
                    add("the job empties the directory", Ok(next));
                }
            }
            match world.mains[of].doing {
                Doing::Nothing => {}
                Doing::Claim(step) => {
                    let (what, next) = world.claim(setting, of, step);
                    add(what, next);
                }
                Doing::Publish { step, status, last } => {
                    for refused in [false, true] {
                        let may_be = (setting.refuses && step == 1 && last) || (setting.unwritable && step == 0);
                        if refused && !may_be {
                            continue;
                        }
                        let (what, next) = world.publish(setting, of, step, status, last, refused);
                        add(what, next);
                    }
                }
            }
        }
    }
}

impl World {
    fn is_told_to_end(mut self, setting: &Setting, of: usize) -> Outcome<World> {
        let main = &mut self.mains[of];
        main.term = false;
        let dropped = setting.fault == Fault::DropsAnEarlySignal && matches!(main.state, State::Claiming { .. });
        if dropped { Ok(self) } else { self.after(setting, of, Event::Signal(TERM)) }
    }

    /// One event of main's machine, and what its driver does about it.
    fn after(mut self, setting: &Setting, of: usize, event: Event) -> Outcome<World> {
        let policy = Policy { restart_on: setting.restart_on, ..MAIN };
        let (state, actions) = step(self.mains[of].state, &policy, event);
        self.mains[of].state = state;
        for action in actions.iter() {
            match action {
                Action::Claim => self.mains[of].doing = Doing::Claim(0),
                Action::Publish { status, last } => self.mains[of].doing = Doing::Publish { step: 0, status, last },
                Action::Start => {
                    if self.mains[of].early {
                        return Err(format!("{SENT}: SIGTERM came first, and the job is started all the same"));
                    }
                    self.mains[of].command = true;
                    return self.after(setting, of, Event::Command(Command::Started));
                }
                Action::Exit(code) => {
                    let due = self.mains[of].ended.map(Status::code);
                    if due.is_some_and(|due| due != code && code != 128 + TERM) {
                        return Err(format!("{UNTRUE}: main leaves with {code}, not {due:?}"));
                    }
                    self.mains[of].file = None;
                    self.mains[of].container = self.after_exit(setting, code);
                }
                _ => {}
            }
        }
        if setting.mains == Mains::One { Ok(self) } else { self.in_one_step(setting, of) }
    }

    /// A claim or a publication at once: what can come between its steps is tried with one main.
    fn in_one_step(mut self, setting: &Setting, of: usize) -> Outcome<World> {
        loop {
            self = match self.mains[of].doing {
                Doing::Nothing => return Ok(self),
                Doing::Claim(step) => self.claim(setting, of, step).1?,
                Doing::Publish { step, status, last } => self.publish(setting, of, step, status, last, false).1?,
            }
        }
    }

    /// The steps of `Life::claim`.
    fn claim(mut self, setting: &Setting, of: usize, step: u8) -> (&'static str, Outcome<World>) {
        let late = setting.fault == Fault::LocksLate;
        self.mains[of].doing = Doing::Claim(step + 1);
        let what = match step {
            0 => {
                let file = self.unused();
                let here = setting.locks.are_in_one_place();
                let record = Record { ours: true, here, says: true, ..Record::default() };
                self.files[file] = File { record, locked: !late };
                self.mains[of].file = Some(file);
                "makes its record, locked, under a name that nobody looks at"
            }
            1 => {
                if setting.fault != Fault::LeavesTheOldSentinel {
                    self.names[of].terminated = None;
                }
                self.ring(setting);
                "removes the sentinel of an earlier life"
            }
            2 => {
                self.names[of].running = self.mains[of].file;
                (self.mains[of].staged, self.mains[of].mute, self.mains[of].unsaid) = (true, false, false);
                for sidecar in &mut self.sidecars {
                    sidecar.saw[of] = false;
                    sidecar.came_now |= setting.absence;
                }
                self.ring(setting);
                "renames its record to -running"
            }
            _ => {
                if let Some(file) = self.mains[of].file {
                    self.files[file].locked = true;
                }
                self.mains[of].doing = Doing::Nothing;
                // What has come goes before everything else, as long as nothing has been started.
                let told = if self.mains[of].term { self.is_told_to_end(setting, of) } else { Ok(self) };
                return ("has its name", told.and_then(|world| world.after(setting, of, Event::Name(Name::Ours))));
            }
        };
        (what, Ok(self))
    }

    /// The steps of `Life::end`.
    fn publish(
        mut self,
        setting: &Setting,
        of: usize,
        step: u8,
        status: Status,
        last: bool,
        refused: bool,
    ) -> (&'static str, Outcome<World>) {
        let Some(file) = self.mains[of].file else { return ("has no life", Err("main has lost its life".to_owned())) };
        self.mains[of].doing = Doing::Publish { step: step + 1, status, last };
        let first_release = setting.fault == Fault::ReleasesFirst;
        self.files[file].locked &= !first_release;
        // It is over for good when that is on the volume, or when the last try to say so has failed.
        if last && (step > 0 || !refused) {
            self.mains[of].over = self.mains[of].over.or(Some(status));
        }
        let what = match (step, last) {
            (0, _) if refused => {
                self.mains[of].unsaid = true;
                "is refused the writing of how it ended"
            }
            (0, _) => {
                (self.files[file].record.ended, self.files[file].record.last) = (Some(status), last);
                "writes how it ended into its record"
            }
            (1, true) if refused => "is refused the sentinel",
            (1, true) if self.names[of].running == Some(file) => {
                (self.names[of].running, self.names[of].terminated) = (None, Some(file));
                self.ring(setting);
                "renames its record to -terminated"
            }
            (1, true) => {
                let fresh = self.unused();
                self.files[fresh] = File { record: self.files[file].record, locked: false };
                self.names[of].terminated = Some(fresh);
                self.ring(setting);
                "makes the sentinel afresh"
            }
            _ => {
                self.files[file].locked = false;
                self.mains[of].file = None;
                self.mains[of].doing = Doing::Nothing;
                self.ring(setting);
                return ("releases its lock and leaves", self.after(setting, of, Event::Said(Word::End)));
            }
        };
        (what, Ok(self))
    }
}
