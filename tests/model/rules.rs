//! The rules, one after the other.

use super::*;

/// A rule and what has broken it.
type Kept = Result<(), String>;

fn rule(holds: bool, text: &str) -> Kept {
    if holds { Ok(()) } else { Err(text.to_owned()) }
}

impl History {
    /// What is noted after one step, or the rule that the step breaks. `unmoved`: the machine's state is the same.
    pub fn after(self, policy: &Policy, event: Event, actions: &[Action], unmoved: bool) -> Result<History, String> {
        let before = self;
        let possible = before.possible(policy, event);
        if before.exited {
            rule(actions.is_empty() && unmoved, "nothing is done after Exit")?;
            return Ok(before);
        }
        // The reports of looks are believed whoever asked for them; whatever else cannot have happened changes nothing.
        let report = match event {
            Event::Seen(seen) => seen != Seen::On,
            event => event == Event::ReadyHeld,
        };
        if !possible && !report {
            rule(actions.is_empty() && unmoved, "an event that cannot come, or comes too late, changes nothing")?;
            return Ok(before);
        }
        let reasons = match event {
            Event::Seen(Seen::Over(_)) if !possible && actions.contains(&Action::CloseGate) => {
                vec![(Status::Exited(0), 0)]
            }
            Event::Seen(Seen::Missing) if !possible && actions.contains(&Action::CloseGate) => {
                vec![(Status::Exited(124), 124)]
            }
            _ => before.reasons(policy, event),
        };
        let mut now = before;
        let believed =
            possible || actions.contains(&Action::Arm(Timer::Grace)) || actions.contains(&Action::Arm(Timer::Linger));
        let to_send = now.note(policy, event, believed);
        for action in actions {
            now.obey(&before, policy, event, *action, &reasons)?;
        }
        let sent: Vec<_> = actions.iter().filter_map(|action| sent(*action)).collect();
        rule(
            sent == Vec::from_iter(to_send),
            &format!("a child gets every signal once, and the stop signal once: {sent:?} is not {to_send:?}"),
        )?;
        now.settle(&before, policy, event, actions, &reasons)?;
        Ok(now.without_what_no_longer_matters())
    }

    fn obey(
        &mut self,
        before: &History,
        policy: &Policy,
        event: Event,
        action: Action,
        reasons: &[(Status, u8)],
    ) -> Kept {
        rule(!self.exited, "nothing is done after Exit")?;
        let alive = self.child == Child::Alive;
        match action {
            Action::Claim => {
                rule(self.claim == Claim::No, "the name is asked for once")?;
                self.claim = Claim::Asked;
            }
            Action::Look => {
                // A sidecar that cannot have its name may still find that it is not needed.
                let refused = self.claim == Claim::Refused && policy.role == Role::Sidecar;
                rule(self.claim == Claim::Ours || refused, "nobody is watched before the name is settled")?;
                rule(self.watch != Errand::Over, "nobody is watched who was given up")?;
                rule(policy.role == Role::Sidecar || (policy.stop_with && alive), "main watches a partner only")?;
                self.watch = Errand::Asked;
            }
            Action::OpenGate => {
                rule(policy.gated && self.gate == Errand::No, "the gate is asked for once")?;
                self.gate = Errand::Asked;
            }
            Action::CloseGate => self.gate = Errand::Over,
            Action::Start => {
                let again = matches!(before.child, Child::Dead(_)) && before.deadline == Some(Timer::BackOff);
                rule(self.claim == Claim::Ours, "the command is not started before the name is ours")?;
                rule(self.child == Child::None || again, "a command is started again only after a pause")?;
                rule(self.heard == 0, "no command is started after a signal that ends us")?;
                rule(self.end.is_none(), "no command is started once the end is settled")?;
                rule(!policy.gated || self.gate_opened, "no command is started before its conditions hold")?;
                rule(policy.role == Role::Main || self.watch == Errand::Asked, "a sidecar looks before it starts")?;
                rule(self.ready == Ready::No, "readiness is withdrawn before a restart")?;
                self.past = if let Child::Dead(last) = self.child { Some(last) } else { None };
                self.child = Child::Asked;
            }
            Action::PublishReady => {
                rule(alive, "nobody is ready without a running child")?;
                // A report of a condition that nobody asked for is a slip of the driver, not of the machine.
                let asked = policy.readiness == Readiness::AtOnce && event == Event::Command(Command::Started);
                rule(event == Event::ReadyHeld || (asked && policy.named), "readiness is published when it is there")?;
                self.ready = Ready::Published;
            }
            Action::AwaitReady => {
                rule(
                    alive && policy.named && policy.readiness == Readiness::WhenHeld,
                    "readiness is awaited if wanted",
                )?;
                self.ready = Ready::Awaited;
            }
            Action::WithdrawReady => self.ready = Ready::No,
            Action::Forward(_) => rule(alive, "nothing is sent to a child that is not there")?,
            Action::ForwardKept(set) => {
                rule(
                    alive && event == Event::Command(Command::Started),
                    "what was kept goes to a child that has just been started",
                )?;
                rule(set == before.kept, "what was kept is forwarded, all of it and nothing else")?;
                self.kept = 0;
            }
            Action::Kill => {
                rule(alive, "nobody is killed who is not there")?;
                rule(before.deadline == Some(Timer::Grace) && self.grace_over, "killed only after the grace period")?;
                rule(self.cause.is_some() && self.told == Told::Ordered, "killed only after having been asked")?;
            }
            Action::Arm(timer) => {
                rule(self.deadline != Some(timer), "a deadline that runs is not moved")?;
                self.deadline = Some(timer);
            }
            Action::Disarm => self.deadline = None,
            Action::StopWatching => {
                rule(
                    before.cause.is_none() && (self.cause.is_some() || self.lingering.is_some()),
                    "the watch is given up only once the end is known",
                )?;
                self.watch = Errand::Over;
            }
            Action::Publish { status, last } => {
                rule(policy.named, "a process without a name never publishes an end")?;
                rule(self.claim == Claim::Ours, "nothing is said in a name that is not ours")?;
                rule(self.publication == Errand::No, "an end is published once")?;
                rule(!matches!(self.child, Child::Alive | Child::Asked), "the living are not published as dead")?;
                let reason = reasons.iter().find(|(told, _)| *told == status);
                let (_, code) = *reason.ok_or(format!("the publication tells that death: {status:?}"))?;
                let good = !policy.restart_on.contains(code);
                rule(last == good, "an end is for good unless the kubelet starts the container again")?;
                (self.publication, self.last, self.end, self.ready) = (Errand::Asked, last, Some(code), Ready::No);
            }
            Action::SayGoodbye => {
                let never_ours = before.claim == Claim::Asked && !policy.restart_on.contains(125);
                let published = self.publication == Errand::Over && self.last;
                rule(policy.goodbye && self.goodbye == Errand::No, "goodbye is said once, if it is wanted")?;
                rule(
                    published || (event == Event::Name(Name::Refused) && never_ours),
                    "goodbye comes after a final sentinel",
                )?;
                self.end = self.end.or(reasons.first().map(|(_, code)| *code));
                self.goodbye = Errand::Asked;
            }
            Action::Exit(code) => {
                rule(!matches!(self.child, Child::Alive | Child::Asked), "nobody is left behind")?;
                let silent = !policy.named || self.claim != Claim::Ours || self.publication == Errand::Over;
                rule(silent, "a named process never leaves without a publication")?;
                let told =
                    !(policy.goodbye && self.publication == Errand::Over && self.last) || self.goodbye == Errand::Over;
                rule(told, "goodbye is said before a final exit")?;
                let right = match self.end {
                    Some(end) => end == code,
                    None => reasons.iter().any(|(_, due)| *due == code),
                };
                rule(right, &format!("the exit code is the truth: {code} is neither {:?} nor {reasons:?}", self.end))?;
                (self.exited, self.end) = (true, Some(code));
            }
        }
        Ok(())
    }

    /// What must have been done about the event.
    fn settle(
        &self,
        before: &History,
        policy: &Policy,
        event: Event,
        actions: &[Action],
        reasons: &[(Status, u8)],
    ) -> Kept {
        rule(reasons.is_empty() || self.end.is_some(), "every reason to leave leads out")?;
        rule(before.end.is_some() || self.end.is_none() || !reasons.is_empty(), "nobody leaves without a reason")?;
        rule(self.publication != Errand::Over || self.goodbye == Errand::Asked || self.exited, "said, then gone")?;
        rule(self.goodbye != Errand::Over || self.exited, "after the goodbye comes the exit")?;
        if self.exited {
            return Ok(());
        }
        let killed = actions.iter().filter(|action| **action == Action::Kill).count();
        rule(
            killed == usize::from(self.grace_over && !before.grace_over),
            "whoever does not end in time is killed, once",
        )?;
        rule(self.deadline == self.wanted_deadline(), "every wait that nobody else ends has its deadline")?;
        let known = self.cause.is_some() || self.lingering.is_some();
        rule(!known || self.watch == Errand::Over, "the watch is given up once the end is known")?;
        let absent = !matches!(self.child, Child::Alive);
        rule(!absent || self.ready == Ready::No, "readiness is withdrawn when the child is gone")?;
        if event == Event::Command(Command::Started) {
            let ready = match (policy.named, policy.readiness) {
                (false, _) => Ready::No,
                (true, Readiness::AtOnce) => Ready::Published,
                (true, Readiness::WhenHeld) => Ready::Awaited,
            };
            rule(self.ready == ready, "a started command is ready at once, or when its condition holds")?;
            rule(self.kept == 0, "no signal that was kept is lost")?;
            rule(
                policy.role == Role::Sidecar || !policy.stop_with || self.watch == Errand::Asked,
                "a partner is watched",
            )?;
        }
        let serving = before.child == Child::Alive && before.cause.is_none() && before.lingering.is_none();
        rule(event != Event::ReadyHeld || !serving || self.ready == Ready::Published, "what is ready is said to be")
    }

    /// So that there are no more states than differences.
    fn without_what_no_longer_matters(mut self) -> History {
        if self.child != Child::Alive {
            (self.told, self.held, self.cause, self.grace_over) = (Told::Nothing, false, None, false);
            (self.lingering, self.by_signal) = (None, false);
        }
        if self.child != Child::Asked {
            self.past = None;
        }
        if self.end.is_some() {
            (self.heard, self.kept, self.child, self.deadline) = (0, 0, Child::None, self.deadline);
        }
        if self.exited {
            self = History { exited: true, end: self.end, ..NOTHING };
        }
        self
    }
}

fn sent(action: Action) -> Option<u8> {
    if let Action::Forward(signal) = action { Some(signal) } else { None }
}
