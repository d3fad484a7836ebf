//! What happens in one Pod's life, all of it decided by a seed before anything begins.

use std::time::Duration;

/// splitmix64: small, and good enough to choose.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub fn ms(&mut self, end: u64) -> Duration {
        Duration::from_micros(self.below(1000 * end))
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartPolicy {
    Never,
    OnFailure,
}

impl RestartPolicy {
    pub fn word(self) -> &'static str {
        match self {
            RestartPolicy::Never => "never",
            RestartPolicy::OnFailure => "on-failure",
        }
    }
}

/// How one attempt of a job goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Exits with this code.
    Exits(u8),
    /// Is killed by SIGKILL, itself alone.
    Crashes,
    /// Leaves a process behind that goes on for a moment.
    Forks(u8),
    /// Takes no notice of SIGTERM.
    IgnoresTerm(u8),
    /// Fills the volume and leaves it full.
    FillsTheVolume(u8),
    /// Cannot be found.
    IsMissing,
}

#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    pub job: Job,
    pub takes: Duration,
    /// The wrapper is killed by SIGKILL at this time after its start, and all of its container with it.
    pub killed_after: Option<Duration>,
}

impl Attempt {
    /// What the container exits with, if nobody interferes.
    pub fn code(&self) -> u8 {
        match self.job {
            Job::Exits(code) | Job::Forks(code) | Job::IgnoresTerm(code) | Job::FillsTheVolume(code) => code,
            Job::Crashes => 137,
            Job::IsMissing => 127,
        }
    }
}

/// What a sidecar does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Helper {
    /// Ends by SIGTERM.
    Plain,
    /// Ends with 0 after SIGTERM.
    Tidy,
    /// Takes no notice of SIGTERM.
    IgnoresTerm,
    /// Ends by itself, with this code, so many milliseconds after each start.
    Fails(u8, u64),
    /// Knows the volume, as the shell recipe does: takes no notice of SIGTERM, and ends with this code because the sentinels
    /// of all jobs are there.
    SeesTheSentinel(u8),
    /// Takes no notice of SIGTERM, which it gets as soon as it has begun, and ends with 0 by the stop signal, SIGINT.
    StopsByInt,
}

#[derive(Clone, Debug)]
pub struct Role {
    pub name: String,
    pub starts_at: Duration,
    pub plays: Plays,
    pub options: Vec<String>,
}

#[derive(Clone, Debug)]
pub enum Plays {
    /// The attempts in their order; after the last there is no other.
    Main(Vec<Attempt>),
    Sidecar {
        helper: Helper,
        /// When its wrapper is killed, after its first start.
        killed_after: Option<Duration>,
    },
}

#[derive(Clone, Debug)]
pub struct Script {
    pub seed: u64,
    pub policy: RestartPolicy,
    pub roles: Vec<Role>,
    pub deleted_at: Option<Duration>,
    /// The volume is a small one, which a job can fill.
    pub small_volume: bool,
    /// Every call that has to do with the volume takes some milliseconds.
    pub slow_volume: bool,
}

impl Script {
    /// The life that belongs to a seed.
    pub fn new(seed: u64, may_mount: bool) -> Self {
        let dice = &mut Dice::new(seed);
        let policy = dice.one_of(&[RestartPolicy::Never, RestartPolicy::OnFailure]);
        let small_volume = may_mount && dice.percent(10);
        let jobs: &[&str] = if dice.percent(20) { &["main-job", "other-job"] } else { &["main-job"] };
        let mut roles: Vec<Role> = jobs.iter().map(|name| main(dice, name, policy, small_volume)).collect();
        for number in 0..=dice.below(3) {
            roles.push(sidecar(dice, number, policy, jobs));
        }
        let deleted_at = dice.percent(15).then(|| dice.ms(120));
        let slow_volume = dice.percent(5);
        Self { seed, policy, roles, deleted_at, small_volume, slow_volume }
    }
}

fn main(dice: &mut Dice, name: &str, policy: RestartPolicy, small_volume: bool) -> Role {
    let most = if policy == RestartPolicy::OnFailure { dice.below(3) } else { 0 };
    let mut attempts: Vec<Attempt> = (0..most).map(|_| attempt(dice, small_volume, false)).collect();
    attempts.push(attempt(dice, small_volume, policy == RestartPolicy::OnFailure));
    let options = vec!["--name".to_owned(), name.to_owned()];
    Role { name: name.to_owned(), starts_at: dice.ms(40), plays: Plays::Main(attempts), options }
}

/// One attempt. The last under OnFailure passes, or the Pod would never end.
fn attempt(dice: &mut Dice, small_volume: bool, passes: bool) -> Attempt {
    let code = if passes { 0 } else { dice.one_of(&[0, 0, 1, 3, 42, 143]) };
    let code = if passes || code != 0 { code } else { dice.one_of(&[0, 0, 7]) };
    let job = match dice.below(10) {
        0 if !passes => Job::Crashes,
        1 if !passes => Job::IsMissing,
        2 => Job::Forks(code),
        3 => Job::IgnoresTerm(code),
        4..=7 if small_volume => Job::FillsTheVolume(code),
        _ => Job::Exits(code),
    };
    let killed_after = (!passes && dice.percent(25)).then(|| dice.ms(60));
    Attempt { job, takes: dice.ms(50), killed_after }
}

fn sidecar(dice: &mut Dice, number: u64, policy: RestartPolicy, jobs: &[&str]) -> Role {
    let helper = match dice.below(10) {
        0..=3 => Helper::Plain,
        4..=6 => Helper::Tidy,
        7 => Helper::IgnoresTerm,
        // Under OnFailure the kubelet starts it again: it fails again, and so on until the job is over.
        8 if dice.percent(60) => dice.one_of(&[Helper::SeesTheSentinel(9), Helper::StopsByInt]),
        _ if policy == RestartPolicy::OnFailure || dice.percent(50) => Helper::Fails(9, dice.below(60)),
        _ => Helper::Plain,
    };
    let name = format!("sidecar-{number}");
    let mut options = vec!["--until".to_owned(), jobs.join(","), "--grace".to_owned()];
    // Whoever ends by the signal that he has asked for is never to be killed.
    options.push(if helper == Helper::StopsByInt { "1m" } else { "150ms" }.to_owned());
    if helper == Helper::StopsByInt {
        options.extend(["--stop-signal", "INT"].map(str::to_owned));
    }
    if dice.percent(10) {
        options.extend(["--linger", "20ms"].map(str::to_owned));
    }
    if dice.percent(50) {
        options.extend(["--name".to_owned(), name.clone()]);
    }
    // What is held is passed on as the stop signal, by which this one would end.
    if dice.percent(20) && helper != Helper::StopsByInt {
        options.push("--outlive-main=100ms".to_owned());
    }
    if dice.percent(15) {
        options.extend(["--restart", "on-failure"].map(str::to_owned));
    }
    if dice.percent(5) {
        options.extend(["--watch", "poll"].map(str::to_owned));
    }
    let killed_after = dice.percent(15).then(|| dice.ms(80));
    Role { name, starts_at: dice.ms(40), plays: Plays::Sidecar { helper, killed_after }, options }
}
