//! The command: started, signalled, reaped. There is one reaper in exeunt, and it is here.

use super::{Supervisor, refusal};
use crate::exit;
use crate::machine::{Command as Fate, Event, Restart, Role, State, Status, Word};
use crate::plan::program;
use crate::sys::child::{self, Found, Launch, Refused, Started, Unsent};
use crate::sys::{descriptors, signals, terminal};
use crate::words;
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// How often the group is looked at when its leader is gone: members that are nobody's children of ours end unannounced.
/// The pauses double; whoever is a child of ours is heard of at once.
const FIRST_GROUP_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_GROUP_PAUSE: Duration = Duration::from_secs(5);
/// The kernel gives the room of a thread that has ended back a moment later: so often, with a millisecond between.
const ROOM_TRIES: u32 = 100;

/// The command while it is ours to signal. Gone when it has been reaped: there is no number left that could be misused.
pub(super) struct Command {
    pub(super) pid: Pid,
    /// Whether it was seen to become the command.
    seen: bool,
    /// How its leader ended, while the rest of its group lives on.
    pub(super) leader: Option<Status>,
    /// When the rest is looked at next, and the pause after that.
    pub(super) next: Instant,
    pause: Duration,
    /// Whether it has been said that a filter keeps signals from it.
    unheard: bool,
}

impl Supervisor {
    pub(super) fn start(&mut self) {
        let fate = match self.launch() {
            Ok(Started { pid, seen }) => {
                let (next, pause) = (Instant::now(), FIRST_GROUP_PAUSE);
                self.command = Some(Command { pid, seen, leader: None, next, pause, unheard: false });
                Fate::Started
            }
            Err(fate) => fate,
        };
        self.queue.push_back(Event::Command(fate));
    }

    fn launch(&mut self) -> Result<Started, Fate> {
        if !self.plan.failed {
            self.say_attempt();
        }
        if self.plan.failed {
            return Err(Fate::Failed(exit::OURS));
        }
        let name = program(&self.plan.command).display().to_string();
        let mut launch = Launch::new(&self.plan.command, self.signals.ignored()).map_err(|error| {
            self.report.failure(&format!("{name}: {error}"));
            Fate::Failed(exit::OURS)
        })?;
        self.restarts.started = Instant::now();
        self.foreground = terminal::is_ours();
        launch.foreground = self.foreground;
        // Always, as under every other init: what is sent to our group reaches the command once, by us, and its own
        // `kill 0` reaches what it means.
        launch.own_group = true;
        let again = matches!(self.state, State::Starting { last: Some(_), .. });
        let mut started = launch.start();
        // The thread of the watch may have taken the command's place, where so few are allowed.
        if !again && matches!(started, Err(full @ Refused::NoProcess(_)) if full.passes()) && self.make_room() {
            for _ in 0..ROOM_TRIES {
                signals::pause(Duration::from_millis(1));
                started = launch.start();
                if !started.is_err_and(Refused::passes) {
                    break;
                }
            }
        }
        let started = started.map_err(|refused| {
            if again && refused.passes() {
                self.deferred = true;
                self.say_deferred(refused);
                return Fate::Deferred;
            }
            let (code, message) = refusal::why(&name, &launch, refused);
            let hint = if code == exit::NOT_FOUND { self.plan.hint() } else { String::new() };
            self.report.failure(&(message + &hint));
            Fate::Failed(code)
        })?;
        // The command has its working directory and its descriptors now. We must not keep mounts and pipes busy.
        if self.plan.policy.restart == Restart::Never {
            let _ = nix::unistd::chdir("/");
            descriptors::close_inherited();
        }
        Ok(started)
    }

    pub(super) fn forward(&mut self, signal: u8) {
        let again = self.plan.policy.restart != Restart::Never;
        // It may have ended already, and be dead before its number is used: a short life, on a slow volume or a busy node.
        if again && self.command.is_some() {
            self.reap();
            self.children = true;
        }
        let Some(command) = self.command.as_ref().filter(|command| command.leader.is_none() || self.plan.group) else {
            // That has not been acted on yet: what comes now is for the next, if one comes.
            if again {
                self.held.signals.push(signal);
            }
            return;
        };
        // A shell that brings us to the foreground has given the terminal to our group, and means the command's.
        if i32::from(signal) == libc::SIGCONT && terminal::is_ours() {
            self.foreground = true;
            terminal::give_to(command.pid);
        }
        let Err(unsent) = child::send(command.pid, self.plan.group, signal) else { return };
        let (signal, name) = (signals::name(signal), program(&self.plan.command).display());
        match unsent {
            // Neither is news: one will be reaped in a moment, the other has changed its user.
            Unsent::Gone => self.report.debug(|| format!("{signal} is not delivered: it has ended")),
            Unsent::Anothers => self.report.debug(|| format!("{signal} is not delivered: it is another user's")),
            Unsent::Filtered(errno) => {
                let errno = words::errno(errno);
                let message =
                    format!("{signal} cannot be passed on to {name}: {errno}; the seccomp profile must allow kill");
                if let Some(command) = self.command.as_mut().filter(|command| !command.unheard) {
                    command.unheard = true;
                    self.report.warning(&message);
                }
            }
        }
    }

    pub(super) fn kill(&mut self) {
        let Some(command) = &self.command else { return };
        let sent = child::send(command.pid, self.plan.group, libc::SIGKILL as u8);
        let name = program(&self.plan.command).display();
        match sent {
            Ok(()) | Err(Unsent::Gone) => return,
            Err(Unsent::Anothers) => self
                .report
                .warning(&format!("{name} may not be killed: it has changed its user, and CAP_KILL is missing here")),
            Err(Unsent::Filtered(errno)) => self.report.warning(&format!(
                "{name} cannot be killed: {}; the seccomp profile must allow kill; leaving it",
                words::errno(errno)
            )),
        }
        self.queue.push_back(Event::Command(Fate::Unkillable));
    }

    pub(super) fn reap(&mut self) {
        loop {
            match child::reap() {
                Found::Ended(pid, status) => {
                    if let Some(command) = self.command.as_mut().filter(|command| command.pid == pid) {
                        command.leader = Some(status);
                    } else if self.goodbye == Some(pid) {
                        self.goodbye = None;
                        self.queue.push_back(Event::Said(Word::Goodbye));
                    } else if let Some(vigil) = &mut self.vigil {
                        vigil.ended(pid, status.code());
                    }
                }
                Found::Stopped(pid, signal) => self.stopped(pid, signal),
                Found::Nobody => break,
                Found::NoChildren => {
                    // A command that is not our child any more and was not reaped by us is gone all the same: somebody above
                    // had SIGCHLD ignored in the instant of its death. Nothing is known of how.
                    if let Some(command) = self.command.as_mut().filter(|command| command.leader.is_none()) {
                        command.leader = Some(Status::Exited(exit::OURS));
                    }
                    break;
                }
            }
        }
    }

    /// The command has ended when it has been reaped; with a group, when the group is empty as well.
    pub(super) fn look_at_group(&mut self) {
        let Some(command) = &mut self.command else { return };
        let Some(status) = command.leader else { return };
        if self.plan.group {
            match child::send(command.pid, true, 0) {
                // Nobody is left; or nobody can be asked, and the end of the leader is the last that is heard of it.
                Err(Unsent::Gone | Unsent::Filtered(_)) => {}
                // SIGKILL has reached whom it may: those that are left have changed their user.
                Err(Unsent::Anothers) if matches!(self.state, State::Killing { .. }) => {
                    self.command = None;
                    self.queue.push_back(Event::Command(Fate::Unkillable));
                    return;
                }
                Ok(()) | Err(Unsent::Anothers) => {
                    command.next = Instant::now() + command.pause;
                    command.pause = (command.pause * 2).min(LONGEST_GROUP_PAUSE);
                    return;
                }
            }
        }
        if !command.seen {
            self.say_unseen(status);
        }
        self.command = None;
        if self.foreground {
            terminal::take_back();
        }
        // Whoever ended because the job has ended may have been quicker than its sentinel.
        if self.plan.policy.role == Role::Sidecar
            && matches!(self.state, State::Running { .. } | State::Holding)
            && let Some(audience) = self.audience.as_mut().filter(|audience| audience.sees_it_alive())
        {
            audience.look_closely();
        }
        self.dead = Some(status);
    }

    /// A death counts once it is known whether the job ended before it.
    pub(super) fn judge_death(&mut self) {
        let settled = self.plan.policy.role == Role::Main
            || self.job_is_over
            || self.door.hangs()
            || self.audience.as_ref().is_none_or(|audience| audience.is_at_rest());
        if settled && let Some(status) = self.dead.take() {
            self.queue.push_back(Event::Command(Fate::Ended(status)));
        }
    }

    /// A command that was suspended from the terminal suspends us too, or the shell above us would wait for ever.
    pub(super) fn stopped(&mut self, pid: Pid, signal: u8) {
        let by_terminal = matches!(i32::from(signal), libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU);
        let ours = self.command.as_ref().is_some_and(|command| command.pid == pid);
        if !by_terminal || !ours || !terminal::is_there() {
            return;
        }
        if terminal::leads_session() {
            // There is no shell above us: nobody could ever continue it. The kernel ignores these signals in a process
            // group without a parent in its session (orphaned, credentials(7)), which the command would be without us.
            if i32::from(signal) == libc::SIGTSTP {
                let _ = child::send(pid, true, libc::SIGCONT as u8);
            }
            return;
        }
        if self.foreground {
            terminal::take_back();
        }
        child::stop_ourselves();
        if terminal::is_ours() {
            self.foreground = true;
            terminal::give_to(pid);
        }
        // ctrl-Z has stopped the whole group.
        let _ = child::send(pid, true, libc::SIGCONT as u8);
    }
}
