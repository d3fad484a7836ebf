//! What happens in one Pod's life, all of it decided by a seed before anything begins.

use super::node::Node;
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

/// `restartPolicyRules` of a container: after which codes it begins again, whatever the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The codes, as `--restart-on` has them.
    pub word: &'static str,
    pub codes: &'static [u8],
    /// The operator is `NotIn`.
    pub all_but: bool,
    /// The action is `RestartAllContainers`: the whole Pod begins again with it, on the same volumes.
    pub all_begin: bool,
}

impl Rule {
    pub const fn after(word: &'static str, codes: &'static [u8]) -> Self {
        Self { word, codes, all_but: false, all_begin: false }
    }

    pub const fn after_all_but(word: &'static str, codes: &'static [u8]) -> Self {
        Self { all_but: true, ..Self::after(word, codes) }
    }

    pub const fn for_all(self) -> Self {
        Self { all_begin: true, ..self }
    }

    pub fn holds(&self, code: u8) -> bool {
        self.codes.contains(&code) != self.all_but
    }
}

/// Lists, a range, all but some; with and without the code of a container that was killed.
const RULES: [Rule; 5] = [
    Rule::after("42,43", &[42, 43]),
    Rule::after("40-49", &[40, 41, 42, 43, 44, 45, 46, 47, 48, 49]),
    Rule::after("0,42", &[0, 42]),
    Rule::after("42,137", &[42, 137]),
    Rule::after_all_but("!0,1", &[0, 1]),
];

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
    /// Ends by itself, with this code, so many milliseconds after each start; and notes it if the job is over by then.
    Fails(u8, u64),
    /// The same, until all containers begin again; from then on it is tidy.
    FailsInTheFirstRound(u8, u64),
    /// Fails in the same way, and notes each SIGUSR1: the kubelet sends one when it has just failed.
    Rotates(u8, u64),
    /// Knows the volume, as the shell recipe does: takes no notice of SIGTERM, and ends with this code because the sentinels
    /// of all jobs are there.
    SeesTheSentinel(u8),
    /// Takes no notice of SIGTERM, which it gets as soon as it has begun, and ends with 0 by the stop signal, SIGINT.
    StopsByInt,
}

/// A file that is waited for before the command is started.
#[derive(Clone, Copy, Debug)]
pub struct Gate {
    /// When it is made, after the first start.
    pub opens: Duration,
    /// `--wait-timeout`.
    pub timeout: Duration,
}

#[derive(Clone, Debug)]
pub struct Role {
    pub name: String,
    pub starts_at: Duration,
    /// After the init container, when all containers begin again.
    pub again_at: Duration,
    pub plays: Plays,
    /// What exeunt is told by `--restart-on`, and the kubelet goes by.
    pub rule: Option<Rule>,
    pub gate: Option<Gate>,
    /// When somebody sends it a SIGTERM, after its command has begun.
    pub told_after: Option<Duration>,
    /// Its wrapper is stopped over the end of the job, and somebody sends it a SIGTERM before it goes on.
    pub stopped_over_the_end: bool,
    /// When its wrapper is stopped, as by the freezer or by throttling, after its first start; and for how long.
    pub stall: Option<(Duration, Duration)>,
    pub options: Vec<String>,
}

impl Role {
    pub fn new(name: &str, starts_at: Duration, plays: Plays) -> Self {
        Self {
            name: name.to_owned(),
            starts_at,
            again_at: starts_at,
            plays,
            rule: None,
            gate: None,
            told_after: None,
            stopped_over_the_end: false,
            stall: None,
            options: Vec::new(),
        }
    }

    pub fn is_main(&self) -> bool {
        matches!(self.plays, Plays::Main(_))
    }

    /// An init container that goes on (`restartPolicy: Always`).
    pub fn is_native(&self) -> bool {
        matches!(self.plays, Plays::Native)
    }

    /// The time of an option: of `--linger`, of `--outlive-main`.
    pub fn time_of(&self, option: &str) -> Option<Duration> {
        let mut words = self.options.iter().flat_map(|word| word.split('='));
        words.find(|word| *word == option)?;
        let ms = words.next()?.strip_suffix("ms")?.parse().ok()?;
        Some(Duration::from_millis(ms))
    }
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
    /// A tidy helper in a native sidecar: there before the other init containers, and started again until all others are over.
    Native,
}

impl Plays {
    /// One helper that nobody kills.
    pub fn helper(helper: Helper) -> Self {
        Plays::Sidecar { helper, killed_after: None }
    }
}

/// How an init container does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// `exeunt reset`.
    Alone,
    /// `exeunt install --reset`: the containers run the copy in the volume, and in the next round it is copied anew while a
    /// native sidecar runs it.
    WithTheBinary,
}

#[derive(Clone, Debug)]
pub struct Script {
    pub seed: u64,
    pub policy: RestartPolicy,
    pub roles: Vec<Role>,
    pub deleted_at: Option<Duration>,
    /// The volume is a small one, which a job can fill.
    pub small_volume: bool,
    /// Where it is played.
    pub node: Node,
    /// An init container clears the volume of what is over, in each round.
    pub reset: Option<Reset>,
    /// Nobody has told the kubelet of the rules that exeunt has been told.
    pub without_rules: bool,
    /// The jobs cannot be started (their image is not to be had) until all sidecars have given up.
    pub late: bool,
}

/// What a life is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Policies, kills, deletion, volumes, deadlines.
    Ordinary,
    /// A job is repeated by its rule.
    ByRule,
    /// All containers begin again, by the rule of the job or of a sidecar.
    AllBegin,
    /// No job comes.
    NobodyComes,
    /// The next attempt that exeunt was told of does not come.
    NoNextAttempt,
    /// A helper gets a signal between two of its starts.
    Rotation,
    /// A gate opens shortly before the time is up, where that is not easily seen.
    LateGate,
}

impl Kind {
    fn new(dice: &mut Dice) -> Self {
        match dice.below(100) {
            0..12 => Kind::ByRule,
            12..16 => Kind::AllBegin,
            16..18 => Kind::NobodyComes,
            18..21 => Kind::NoNextAttempt,
            21..23 => Kind::Rotation,
            23..27 => Kind::LateGate,
            _ => Kind::Ordinary,
        }
    }

    fn node(self, dice: &mut Dice) -> Node {
        let late = self == Kind::LateGate;
        let without_inotify = dice.percent(if late { 50 } else { 4 });
        let somebody_mounts = late && !without_inotify || dice.percent(4);
        Node { slow_volume: dice.percent(5), without_inotify, somebody_mounts }
    }
}

impl Script {
    /// Nothing happens but what the roles do.
    pub fn quiet(policy: RestartPolicy, roles: Vec<Role>) -> Self {
        Self {
            seed: 0,
            policy,
            roles,
            deleted_at: None,
            small_volume: false,
            node: Node::default(),
            reset: None,
            without_rules: false,
            late: false,
        }
    }

    /// The life that belongs to a seed.
    pub fn new(seed: u64, may_mount: bool) -> Self {
        let dice = &mut Dice::new(seed);
        let kind = Kind::new(dice);
        let policy = match kind {
            Kind::NobodyComes | Kind::NoNextAttempt => RestartPolicy::Never,
            _ => dice.one_of(&[RestartPolicy::Never, RestartPolicy::OnFailure]),
        };
        let jobs: &[&str] = if dice.percent(20) { &["main-job", "other-job"] } else { &["main-job"] };
        let mut script = Self::quiet(policy, Vec::new());
        script.seed = seed;
        // Where a whole round begins anew, nobody clears the volume but `reset`.
        script.small_volume = may_mount && kind != Kind::AllBegin && dice.percent(10);
        script.roles = jobs.iter().map(|name| main(dice, name, policy, kind, script.small_volume)).collect();
        for number in 0..=dice.below(3) {
            script.roles.push(sidecar(dice, number, policy, kind, jobs));
        }
        script.deleted_at = dice.percent(15).then(|| dice.ms(120));
        script.node = kind.node(dice);
        script.without_rules = kind == Kind::NoNextAttempt;
        script.late = kind == Kind::NobodyComes;
        if kind == Kind::AllBegin {
            script.reset = Some(dice.one_of(&[Reset::Alone, Reset::WithTheBinary]));
            begins_again(dice, &mut script.roles);
        }
        for role in &mut script.roles {
            role.stall = match role.gate {
                _ if role.stopped_over_the_end => None,
                Some(_) if kind == Kind::LateGate => None,
                // Over the moment in which the time is up, and as often as not in which it opens.
                Some(gate) if dice.percent(60) => {
                    let begins = gate.timeout.mul_f64(0.3) + dice.ms(30);
                    if dice.percent(50) {
                        role.gate = Some(Gate { opens: begins + dice.ms(10), ..gate });
                    }
                    Some((begins, gate.timeout + dice.ms(40) - begins))
                }
                // Around the end, as often as not: a job takes up to 50 ms.
                _ if dice.percent(if role.told_after.is_some() { 60 } else { 20 }) => Some((dice.ms(100), dice.ms(60))),
                _ => None,
            };
        }
        script
    }

    /// Whether exeunt was told that this code of this container is not final.
    pub fn is_said_to_repeat(&self, role: &Role, code: u8) -> bool {
        role.rule.is_some_and(|rule| rule.holds(code)) || self.policy == RestartPolicy::OnFailure && code != 0
    }

    /// Whether the kubelet starts this container again after this code; and all others with it.
    pub fn repeats(&self, role: &Role, code: u8) -> Option<bool> {
        let rule = role.rule.filter(|rule| !self.without_rules && rule.holds(code));
        let again = self.is_said_to_repeat(role, code) && !self.without_rules;
        again.then(|| rule.is_some_and(|rule| rule.all_begin))
    }
}

fn main(dice: &mut Dice, name: &str, policy: RestartPolicy, kind: Kind, small_volume: bool) -> Role {
    let mut role = Role::new(name, dice.ms(40), Plays::Main(Vec::new()));
    role.options = vec!["--name".to_owned(), name.to_owned()];
    role.rule = match kind {
        // Where 0 is repeated, a failure has to be the end.
        Kind::ByRule => Some(loop {
            let rule = dice.one_of(&RULES);
            if policy == RestartPolicy::Never || !rule.holds(0) {
                break rule;
            }
        }),
        Kind::NoNextAttempt => Some(RULES[0]),
        _ => None,
    };
    let repeated =
        |code: u8| role.rule.is_some_and(|rule| rule.holds(code)) || policy == RestartPolicy::OnFailure && code != 0;
    let any = &[0, 0, 0, 1, 3, 7, 42, 143];
    let by_rule: Vec<u8> =
        [42, 43, 9, 0].into_iter().filter(|code| role.rule.is_some_and(|it| it.holds(*code))).collect();
    let mut attempts = Vec::new();
    for _ in 0..if policy == RestartPolicy::OnFailure { dice.below(3) } else { 0 } {
        attempts.push(attempt(dice, small_volume, any, |_| true));
    }
    for _ in 0..if by_rule.is_empty() { 0 } else { 1 + dice.below(2) } {
        attempts.push(attempt(dice, small_volume, &by_rule, |_| true));
    }
    // After the last there is no other, or the Pod would never end.
    let last: Vec<u8> = any.iter().copied().filter(|code| !repeated(*code)).collect();
    attempts.push(attempt(dice, small_volume, &last, |code| !repeated(code)));
    if kind == Kind::Rotation {
        // Longer than the pauses between the first three starts of a helper.
        attempts.iter_mut().for_each(|attempt| attempt.takes += Duration::from_millis(500));
    }
    role.gate = match kind {
        Kind::LateGate => Some(late_gate(dice)),
        Kind::Ordinary if dice.percent(8) => Some(gate(dice)),
        _ => None,
    };
    role.plays = Plays::Main(attempts);
    role
}

/// One attempt. `may`: whether it may end with this code, where that is not chosen.
fn attempt(dice: &mut Dice, small_volume: bool, codes: &[u8], may: impl Fn(u8) -> bool) -> Attempt {
    let code = dice.one_of(codes);
    let job = match dice.below(10) {
        0 if may(137) => Job::Crashes,
        1 if may(127) => Job::IsMissing,
        2 => Job::Forks(code),
        3 => Job::IgnoresTerm(code),
        4..=7 if small_volume => Job::FillsTheVolume(code),
        _ => Job::Exits(code),
    };
    let killed_after = (may(137) && dice.percent(25)).then(|| dice.ms(60));
    Attempt { job, takes: dice.ms(50), killed_after }
}

/// It opens before the time is up, or after it.
fn gate(dice: &mut Dice) -> Gate {
    Gate { opens: dice.ms(120), timeout: Duration::from_millis(80) }
}

/// It opens after the third look without a watch, which comes after 150 ms, and before the fourth.
fn late_gate(dice: &mut Dice) -> Gate {
    let timeout = Duration::from_millis(300);
    Gate { opens: timeout - dice.ms(100), timeout }
}

fn sidecar(dice: &mut Dice, number: u64, policy: RestartPolicy, kind: Kind, jobs: &[&str]) -> Role {
    let helper = match dice.below(10) {
        _ if kind == Kind::Rotation && number == 0 => Helper::Rotates(9, 20),
        0..=3 => Helper::Plain,
        4..=6 => Helper::Tidy,
        7 => Helper::IgnoresTerm,
        // Under OnFailure the kubelet starts it again: it fails again, and so on until the job is over.
        8 if dice.percent(60) => dice.one_of(&[Helper::SeesTheSentinel(9), Helper::StopsByInt]),
        _ if policy == RestartPolicy::OnFailure || dice.percent(50) => Helper::Fails(9, dice.below(60)),
        _ => Helper::Plain,
    };
    let killed_after = (helper != Helper::Rotates(9, 20) && dice.percent(15)).then(|| dice.ms(80));
    let mut role = Role::new(&format!("sidecar-{number}"), dice.ms(40), Plays::Sidecar { helper, killed_after });
    role.options = vec!["--until".to_owned(), jobs.join(","), "--grace".to_owned()];
    let options = &mut role.options;
    // Whoever ends by the signal that he has asked for is never to be killed.
    options.push(if helper == Helper::StopsByInt { "1m" } else { "150ms" }.to_owned());
    if helper == Helper::StopsByInt {
        options.extend(["--stop-signal", "INT"].map(str::to_owned));
        role.told_after = Some(Duration::ZERO);
    }
    if dice.percent(10) {
        options.extend(["--linger", "20ms"].map(str::to_owned));
    }
    if dice.percent(50) {
        options.extend(["--name".to_owned(), role.name.clone()]);
    }
    // What is held is passed on as the stop signal, by which this one would end.
    if dice.percent(20) && helper != Helper::StopsByInt {
        options.push("--outlive-main=60ms".to_owned());
        // A failed attempt ends the holding, as it has to where the Pod is deleted.
        let told = kind == Kind::Ordinary && policy == RestartPolicy::Never;
        role.told_after = (told && matches!(helper, Helper::Plain | Helper::Tidy)).then(|| dice.ms(90));
    }
    if dice.percent(15) || matches!(helper, Helper::Rotates(..)) {
        options.extend(["--restart", "on-failure"].map(str::to_owned));
    }
    if dice.percent(5) {
        options.extend(["--watch", "poll"].map(str::to_owned));
    }
    match kind {
        Kind::NobodyComes | Kind::NoNextAttempt => {
            options.extend(["--absence-timeout".to_owned(), format!("{}ms", 30 + dice.below(60))]);
        }
        Kind::Ordinary | Kind::ByRule if dice.percent(8) => {
            options.extend(["--absence-timeout", "150ms"].map(str::to_owned));
        }
        Kind::Ordinary if role.told_after.is_some() => {}
        Kind::Ordinary if dice.percent(8) => role.gate = Some(gate(dice)),
        Kind::Ordinary if policy == RestartPolicy::Never && helper == Helper::Plain => {
            role.stopped_over_the_end = dice.percent(15);
        }
        _ => {}
    }
    role
}

/// One of them lets all begin again; and there may be a native sidecar, which lives while `reset` runs.
fn begins_again(dice: &mut Dice, roles: &mut Vec<Role>) {
    const BY_A_SIDECAR: Rule = Rule::after("9", &[9]).for_all();
    for role in roles.iter_mut() {
        role.again_at = dice.ms(40);
    }
    if dice.percent(50) {
        let Plays::Main(attempts) = &mut roles[0].plays else { unreachable!("the first is a job") };
        let takes = dice.ms(50);
        let first = Attempt { job: dice.one_of(&[Job::Exits(42), Job::Forks(42)]), takes, killed_after: None };
        attempts.insert(0, first);
        // 42 would be the end of no round.
        attempts.iter_mut().skip(1).filter(|attempt| attempt.code() == 42).for_each(|it| it.job = Job::Exits(0));
        roles[0].rule = Some(Rule::after("42", &[42]).for_all());
    } else {
        let role = roles.iter_mut().find(|role| !role.is_main()).expect("a sidecar");
        role.plays = Plays::helper(Helper::FailsInTheFirstRound(9, dice.below(60)));
        role.rule = Some(BY_A_SIDECAR);
        role.told_after = None;
        role.options.retain(|option| !matches!(option.as_str(), "--restart" | "on-failure"));
    }
    if dice.percent(50) {
        let mut native = Role::new("native", Duration::ZERO, Plays::Native);
        let jobs: Vec<_> = roles.iter().filter(|role| role.is_main()).map(|role| role.name.clone()).collect();
        native.options = ["--name", "native", "--until", &jobs.join(",")].map(str::to_owned).into();
        for main in roles.iter_mut().filter(|role| role.is_main()) {
            main.options.extend(["--wait-for", "native", "--wait-timeout", "20s"].map(str::to_owned));
        }
        roles.push(native);
    }
}
