//! Main and what the kubelet and the job do to it.

use super::policies::{MAIN, TERM};
use super::search::Outcome;
use super::settings::{Fault, Setting};
use super::world::{Container, Doing, FRESH_MAIN, File, Label, Main, Record, Steps, World};
use exeunt::machine::{Action, Event, Policy, RestartPolicy, Status, step};

pub fn steps(setting: &Setting, world: &World, steps: &mut Steps) {
    let mut add = |what: &'static str, next: Outcome<World>| steps.push((Label("main", what), next));
    match world.main.container {
        Container::Gone(_) => {}
        Container::Waiting => {
            let mut next = *world;
            let Main { over, unsaid, mute, staged, .. } = world.main;
            next.main = Main { container: Container::Up, over, unsaid, mute, staged, ..FRESH_MAIN };
            // What a look has begun with is no longer what it goes on with.
            for sidecar in &mut next.sidecars {
                sidecar.ran = false;
            }
            add("the kubelet starts the container", next.after(setting, Event::Begun));
        }
        Container::Up if world.main.dying => {
            let mut next = *world;
            if let Some(file) = next.main.file {
                next.files[file].locked = false;
            }
            let Main { ended, over, unsaid, mute, staged, .. } = world.main;
            next.main = Main { ended, over, unsaid, mute, staged, ..FRESH_MAIN };
            next.main.container = match over {
                Some(_) if !setting.repeats_in_vain => Container::Gone(137),
                _ => next.after_exit(setting, 137),
            };
            add("the kernel drops its lock", Ok(next));
        }
        Container::Up => {
            let mut killed = *world;
            killed.main.dying = true;
            killed.main.command = false;
            let written = world.main.file.is_some_and(|file| world.files[file].record.ended.is_some());
            let silent = match world.main.doing {
                Doing::Nothing => world.main.command,
                Doing::Claim(step) => step == 3,
                Doing::Publish { .. } => !written,
            };
            killed.main.mute |= silent;
            killed.ring();
            add("SIGKILL; its files are closed", Ok(killed));
            if world.main.term {
                let mut next = *world;
                next.main.term = false;
                add("SIGTERM", next.after(setting, Event::Signal(TERM)));
            }
            if world.main.command {
                for (what, status) in [("the job ends well", Status::Exited(0)), ("the job fails", Status::Exited(3))] {
                    let mut next = *world;
                    next.main.command = false;
                    next.main.ended = Some(status);
                    add(what, next.after(setting, Event::ChildExited(status)));
                }
                if setting.cleans && world.running.is_some() {
                    let mut next = *world;
                    next.running = None;
                    next.ring();
                    add("the job empties the directory", Ok(next));
                }
            }
            match world.main.doing {
                Doing::Nothing => {}
                Doing::Claim(step) => {
                    let (what, next) = world.claim(setting, step);
                    add(what, next);
                }
                Doing::Publish { step, status, last } => {
                    for refused in [false, true] {
                        let may_be = (setting.refuses && step == 1 && last) || (setting.unwritable && step == 0);
                        if refused && !may_be {
                            continue;
                        }
                        let (what, next) = world.publish(setting, step, status, last, refused);
                        add(what, next);
                    }
                }
            }
        }
    }
}

impl World {
    /// One event of main's machine, and what its driver does about it.
    fn after(mut self, setting: &Setting, event: Event) -> Outcome<World> {
        let policy = Policy { restart_policy: setting.restart_policy, ..MAIN };
        let (state, actions) = step(self.main.state, &policy, event);
        self.main.state = state;
        for action in actions.iter() {
            match action {
                Action::Claim => self.main.doing = Doing::Claim(0),
                Action::Publish { status, last } => self.main.doing = Doing::Publish { step: 0, status, last },
                Action::Start => {
                    self.main.command = true;
                    return self.after(setting, Event::Started);
                }
                Action::Exit(code) => {
                    let due = self.main.ended.map(Status::code);
                    if due.is_some_and(|due| due != code && code != 128 + TERM) {
                        return Err(format!("3. The exit code is the truth: main leaves with {code}, not {due:?}"));
                    }
                    self.main.file = None;
                    self.main.container = self.after_exit(setting, code);
                }
                _ => {}
            }
        }
        Ok(self)
    }

    /// The steps of `Life::claim`.
    fn claim(mut self, setting: &Setting, step: u8) -> (&'static str, Outcome<World>) {
        let late = setting.fault == Fault::LocksLate;
        self.main.doing = Doing::Claim(step + 1);
        let what = match step {
            0 => {
                let restarts = setting.restart_policy == RestartPolicy::OnFailure;
                let file = self.unused();
                self.files[file] = File { record: Record { ours: true, restarts, ..Record::default() }, locked: !late };
                self.main.file = Some(file);
                "makes its record, locked, under a name that nobody looks at"
            }
            1 => {
                if setting.fault != Fault::LeavesTheOldSentinel {
                    self.terminated = None;
                }
                self.ring();
                "removes the sentinel of an earlier life"
            }
            2 => {
                self.running = self.main.file;
                (self.main.staged, self.main.mute, self.main.unsaid) = (true, false, false);
                for sidecar in &mut self.sidecars {
                    sidecar.saw = false;
                }
                self.ring();
                "renames its record to -running"
            }
            _ => {
                if let Some(file) = self.main.file {
                    self.files[file].locked = true;
                }
                self.main.doing = Doing::Nothing;
                return ("has its name", self.after(setting, Event::Claimed));
            }
        };
        (what, Ok(self))
    }

    /// The steps of `Life::end`.
    fn publish(
        mut self,
        setting: &Setting,
        step: u8,
        status: Status,
        last: bool,
        refused: bool,
    ) -> (&'static str, Outcome<World>) {
        let Some(file) = self.main.file else { return ("has no life", Err("main has lost its life".to_owned())) };
        self.main.doing = Doing::Publish { step: step + 1, status, last };
        let first_release = setting.fault == Fault::ReleasesFirst;
        self.files[file].locked &= !first_release;
        // It is over for good when that is on the volume, or when the last try to say so has failed.
        if last && (step > 0 || !refused) {
            self.main.over = self.main.over.or(Some(status));
        }
        let what = match (step, last) {
            (0, _) if refused => {
                self.main.unsaid = true;
                "is refused the writing of how it ended"
            }
            (0, _) => {
                (self.files[file].record.ended, self.files[file].record.last) = (Some(status), last);
                "writes how it ended into its record"
            }
            (1, true) if refused => "is refused the sentinel",
            (1, true) if self.running == Some(file) => {
                (self.running, self.terminated) = (None, Some(file));
                self.ring();
                "renames its record to -terminated"
            }
            (1, true) => {
                let fresh = self.unused();
                self.files[fresh] = File { record: self.files[file].record, locked: false };
                self.terminated = Some(fresh);
                self.ring();
                "makes the sentinel afresh"
            }
            _ => {
                self.files[file].locked = false;
                self.main.file = None;
                self.main.doing = Doing::Nothing;
                self.ring();
                return ("releases its lock and leaves", self.after(setting, Event::Published));
            }
        };
        (what, Ok(self))
    }
}
