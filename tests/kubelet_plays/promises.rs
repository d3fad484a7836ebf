//! The promises, checked from outside: by exit codes, by what commands note, by what is said on standard error.

use super::pod::{Container, Pod, begun_in, code};
use super::script::{Helper, Plays};
use crate::house::proc;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant, SystemTime};

impl Pod {
    /// A container has ended: was it allowed to, and with this code? `refused`: its command has not been started.
    pub fn judge(&mut self, index: usize, status: ExitStatus, refused: bool) {
        let container = &self.containers[index];
        let name = container.role.name.clone();
        let complaint = match &container.role.plays {
            Plays::Main(_) => self.judge_main(container, status, refused),
            Plays::Sidecar { helper: Helper::FailsInTheFirstRound(..), .. } if self.round > 0 => {
                self.judge_sidecar(container, Helper::Tidy, status)
            }
            Plays::Sidecar { helper, .. } => self.judge_sidecar(container, *helper, status),
            Plays::Native => self.judge_sidecar(container, Helper::Tidy, status),
        };
        if let Some(complaint) = complaint {
            self.fault(format!("{name}: {complaint}"));
        }
    }

    /// The job's own code, unless somebody else has ended it.
    fn judge_main(&self, main: &Container, status: ExitStatus, refused: bool) -> Option<String> {
        let Plays::Main(attempts) = &main.role.plays else { return None };
        if main.killed || main.asked.is_some() || self.is_deleted() {
            return None;
        }
        if refused && status.code() == Some(125) {
            return (!self.stderr(main).contains("cannot be written")).then(|| "125 without a reason".to_owned());
        }
        if refused {
            return gave_up_on_an_open_gate(main);
        }
        let expected = i32::from(attempts.get(main.played - 1).or(attempts.last())?.code());
        (code(status) != expected).then(|| format!("its code is {} and the job's was {expected}", code(status)))
    }

    fn judge_sidecar(&self, sidecar: &Container, helper: Helper, status: ExitStatus) -> Option<String> {
        let err = self.stderr(sidecar);
        let code = code(status);
        // A signal that came after the job's end decides nothing any more, and neither does a deadline: not even if it is
        // noticed first.
        let over = self.job_over.filter(|_| !self.unseen && self.is_over_as_it_was_told());
        let mut signals: Vec<_> = sidecar.told.map(|(at, _)| at).into_iter().chain(sidecar.asked).collect();
        signals.sort();
        // The first is held for that long; a second passes at once.
        let held = sidecar.told.and(sidecar.role.time_of("--outlive-main")).unwrap_or_default();
        let decides = signals.first().map(|first| signals.iter().skip(1).fold(*first + held, |at, next| at.min(*next)));
        // Until exeunt has its handlers the kernel ends it by the signal, whatever has happened.
        let decides = decides.filter(|_| sidecar.begun.is_some() || status.code().is_some());
        if code == 143 && over.zip(decides).is_some_and(|(over, decides)| over < decides) {
            return Some(format!(
                "ended with 143 by a signal that decides nothing after the job's end: {}",
                err.trim_end()
            ));
        }
        if self.is_deleted() || sidecar.asked.is_some() || sidecar.killed && code == 137 {
            return None;
        }
        let told = sidecar.told.is_some();
        if err.contains("has not been there for") && (code == 124 || told) {
            let (absent, least) = (self.longest_absence(sidecar), sidecar.role.time_of("--absence-timeout")?);
            return (absent < least)
                .then(|| format!("gave up after {least:?}, and its job was away for {absent:?} at most"));
        }
        if code == 124 && err.contains("given up after") {
            let due = sidecar.started + sidecar.role.gate?.timeout;
            let late =
                over.is_some_and(|over| over < due).then(|| "gave up on its gate after the job's end".to_owned());
            return gave_up_on_an_open_gate(sidecar).or(late);
        }
        // A sidecar that could not publish its own name on a full volume has not started its command.
        if self.script.small_volume && code == 125 && err.contains("cannot be written") {
            return None;
        }
        if helper == Helper::StopsByInt && err.contains("killing it with SIGKILL") {
            return Some(format!("killed, although it ends by its stop signal: {}", err.trim_end()));
        }
        let told = told && helper != Helper::StopsByInt;
        // No helper exits with 0 unless it is told to end: then exeunt has found that the job is over.
        if code == 0 && !told {
            if let Some(on) = self.mains().find(|main| !self.may_be_over(main)) {
                return Some(format!("left early: {} is not over: {}", on.role.name, err.trim_end()));
            }
            return self.judge_the_linger(sidecar, helper, &err);
        }
        let log = self.log(&sidecar.role.name);
        if code != 0 && log.rsplit("begin ").next().is_some_and(|last| last.contains("after the job")) {
            return Some(format!("its helper has ended after the job, and its code is {code}: {}", err.trim_end()));
        }
        if code != 0 && !told && err.contains(" is over ") {
            return Some(format!("stopped because the job is over, and its code is {code}"));
        }
        match helper {
            _ if told && (code == 143 || code == 0) => None,
            Helper::Fails(expected, _) | Helper::FailsInTheFirstRound(expected, _) if code == i32::from(expected) => {
                None
            }
            _ => Some(format!("ended with {code} while the job was on: {}", err.trim_end())),
        }
    }

    /// Between the job's end and the stop signal passes `--linger`, where nobody asks for less.
    fn judge_the_linger(&self, sidecar: &Container, helper: Helper, err: &str) -> Option<String> {
        let linger = sidecar.role.time_of("--linger")?;
        let stopped = err.contains(" is over (") && !err.contains("is not started");
        let stays = matches!(helper, Helper::Plain | Helper::Tidy | Helper::IgnoresTerm);
        if !stopped || !stays || sidecar.told.is_some() {
            return None;
        }
        let mut latest = Duration::ZERO;
        for main in self.mains() {
            // Renamed then. One that was killed has left none.
            let sentinel = fs::metadata(self.dir.join(format!("pod/{}-terminated", main.role.name))).ok()?;
            latest = latest.max(Duration::new(sentinel.ctime() as u64, sentinel.ctime_nsec() as u32));
        }
        let lasted = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?.checked_sub(latest)?;
        (lasted < linger).then(|| format!("ended {lasted:?} after its job, and was to linger for {linger:?}"))
    }

    pub fn mains(&self) -> impl Iterator<Item = &Container> {
        self.containers.iter().filter(|container| container.role.is_main())
    }

    /// Whether all jobs have ended with codes that exeunt was told are final.
    fn is_over_as_it_was_told(&self) -> bool {
        let is_final = |main: &Container, status| !self.script.is_said_to_repeat(&main.role, code(status) as u8);
        self.mains().all(|main| main.last.is_some_and(|status| main.is_over() && is_final(main, status)))
    }

    /// Whether a job can be over, by what it has noted itself and what has been done to it: before anything of exeunt says so.
    fn may_be_over(&self, main: &Container) -> bool {
        let Plays::Main(attempts) = &main.role.plays else { return true };
        let is_final = |code: u8| !self.script.is_said_to_repeat(&main.role, code);
        let attempt = attempts.get(main.played).or(attempts.last());
        let missing = main.starts > 0 && attempt.is_some_and(|attempt| attempt.code() == 127);
        // Where it cannot even say that it is there, an empty sentinel says that it is over.
        let begun = begun_in(&self.log(&main.role.name)).count();
        let full = self.script.small_volume && main.starts > 0 && begun == main.begun_before;
        let shut = main.role.gate.is_some_and(|gate| main.starts > 0 && main.started.elapsed() >= gate.timeout);
        main.asked.is_some()
            || main.last.is_some_and(|status| main.is_over() && is_final(code(status) as u8))
            || main.killed && is_final(137)
            || missing && is_final(127)
            || shut && is_final(124)
            || full && is_final(125)
            || self.has_noted_its_end(main)
    }

    /// Whether a job has noted an end in this round that is final.
    pub fn has_noted_its_end(&self, main: &Container) -> bool {
        let log = self.log(&main.role.name);
        let mut noted = log.lines().filter_map(|line| line.strip_prefix("end ")?.parse().ok());
        noted.any(|code| !self.script.is_said_to_repeat(&main.role, code))
    }

    /// The longest time in a sidecar's last start in which no job was there; at most, for a kubelet sees all things late.
    fn longest_absence(&self, sidecar: &Container) -> Duration {
        let mut there: Vec<_> =
            self.mains().flat_map(|main| &main.there).filter(|it| it.1 > sidecar.started).copied().collect();
        there.sort();
        let now = Instant::now();
        there.push((now, now));
        let (mut longest, mut since) = (Duration::ZERO, sidecar.started);
        for (from, to) in there {
            longest = longest.max(from.saturating_duration_since(since));
            since = since.max(to);
        }
        longest
    }

    /// What must be true when all is over.
    pub fn judge_the_end(&mut self) {
        let mut complaints = Vec::new();
        for container in &self.containers {
            let name = &container.role.name;
            for round in 0..=self.round {
                let log = fs::read_to_string(self.log_of_round(name, round)).unwrap_or_default();
                for pid in begun_in(&log).filter(|pid| !self.is_gone(*pid)) {
                    complaints.push(format!("{name}: its command (pid {pid}) goes on alone"));
                }
            }
            complaints.extend(self.judge_the_rotation(container).map(|complaint| format!("{name}: {complaint}")));
            let unhurt =
                container.role.is_main() && !container.killed && container.asked.is_none() && !self.is_deleted();
            if let Some(status) = container.last.filter(|_| unhurt) {
                let code = code(status);
                let kind =
                    if self.script.is_said_to_repeat(&container.role, code as u8) { "running" } else { "terminated" };
                let record = self.text(&format!("pod/{name}-{kind}"));
                let told = [format!("\"exit_code\":{code},"), format!("\"signal\":{},", code - 128)];
                let refused = self.script.small_volume && code == 125;
                if !refused && !told.iter().any(|text| record.contains(text)) {
                    complaints
                        .push(format!("{name}: it ended with {code}, and {name}-{kind} says {:?}", record.trim_end()));
                }
            }
        }
        complaints.into_iter().for_each(|complaint| self.fault(complaint));
    }

    /// A signal between two starts is the next one's: it is noted there, or ends it before it can note anything. On a busy node that
    /// one may be over before its wrapper comes to it; then it is for the one after.
    fn judge_the_rotation(&self, sidecar: &Container) -> Option<&'static str> {
        let before = sidecar.rotated.filter(|_| sidecar.starts == 1)?;
        let log = self.log(&sidecar.role.name);
        let later: Vec<&str> = log.split("begin ").skip(before + 1).collect();
        let arrived = log.contains("rotated") || self.stderr(sidecar).contains("SIGUSR1");
        (later.iter().filter(|life| life.contains("end ")).count() > 1 && !arrived)
            .then_some("a signal between two of its starts was lost")
    }

    /// Whether the command with this number has gone. The number may belong to somebody else by now.
    fn is_gone(&self, pid: i32) -> bool {
        let mark = format!("{}={}", proc::MARK, self.mark());
        let ours = || {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            proc::alive(pid) && environment.windows(mark.len()).any(|part| part == mark.as_bytes())
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while ours() {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }
}

/// A gate that opened before the time was up has opened, whatever is noticed first.
fn gave_up_on_an_open_gate(container: &Container) -> Option<String> {
    let due = container.started + container.role.gate?.timeout;
    let in_time = container.opened.is_some_and(|at| at < due);
    in_time.then(|| "gave up on its gate, which had opened in time".to_owned())
}
