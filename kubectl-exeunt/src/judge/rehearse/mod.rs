//! Every life of a Pod, played before it runs: what each container then does, what becomes of the Pod and of its Job.
//!
//! A life is a [`Fate`] (the one thing that befalls the Pod) and every order in which the rest can follow. Wrapped
//! containers decide by `exeunt::machine::step` and see by `exeunt::stage::conclude::conclude`, so what is played is the program and not a
//! description of it. Time has no length here: a back-off passes, a grace period is used up, an image is pulled or never.

mod actor;
mod scenario;
mod show;
mod world;

pub use actor::Wrapped;
pub use scenario::{
    Again, Call, Container, FailureRule, Job, Mark, Often, Part, Restart, Rule, Scenario, Seat, Then, Way, When,
};
pub use show::{json, svg, text};
pub use world::{Fate, Move};

use std::collections::{BTreeSet, HashMap};
use world::{Phase, Stage, World};

/// How many different worlds of one fate are looked at. A Pod of five containers has some hundreds.
pub const BOUND: usize = 50_000;

/// What has become of a Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PodEnd {
    /// Every container has ended with 0.
    Succeeded,
    /// At least one has not.
    Failed,
    /// It was deleted, and is gone.
    Gone,
    /// Its Job has restarted it as often as it may, and deleted it.
    GivenUp,
    /// `activeDeadlineSeconds` was what ended it.
    Stopped,
    /// It has no end.
    RunsOn,
}

/// One kind of ending.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ending {
    /// What each container did, in words, in the order of the scenario.
    pub containers: Vec<String>,
    /// The exit code of each, if it has ended.
    pub codes: Vec<Option<u8>>,
    /// What has become of the Pod.
    pub pod: PodEnd,
    /// What has become of the Job, in words.
    pub job: String,
}

/// A promise that every life must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Promise {
    /// Its name, which does not change.
    pub name: &'static str,
    /// What it says.
    pub meaning: &'static str,
}

/// The promises, as data.
pub const PROMISES: [Promise; 4] = [ENDS, STAYS, PASSES, RETRIES];
const ENDS: Promise = Promise { name: "pod-ends", meaning: "the Pod ends once its job has ended" };
const STAYS: Promise = Promise { name: "helper-stays", meaning: "no helper leaves before the job" };
const PASSES: Promise = Promise { name: "passed-job-passes", meaning: "a job that passes makes a Pod that succeeds" };
const RETRIES: Promise =
    Promise { name: "retry-has-its-helpers", meaning: "no attempt runs without a helper of the first" };

/// A life in which a promise breaks, as short as there is one.
#[derive(Clone, Debug)]
pub struct Broken {
    /// Which promise.
    pub promise: Promise,
    /// What happened, in its order.
    pub steps: Vec<String>,
}

/// Everything that can come of one fate.
#[derive(Clone, Debug)]
pub struct Row {
    /// What befalls.
    pub fate: Fate,
    /// The same in words.
    pub what: String,
    /// Every ending there is, without the orders in which it is reached.
    pub endings: Vec<Ending>,
    /// The promises that break.
    pub broken: Vec<Broken>,
    /// The bound was hit: there may be more.
    pub cut: bool,
}

/// All lives of a Pod.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// `Job/name`.
    pub title: String,
    /// The names of the containers.
    pub names: Vec<String>,
    /// One for each fate.
    pub rows: Vec<Row>,
    /// The Job is suspended: there is no Pod until somebody resumes it.
    pub suspended: bool,
    /// There may be lives that the manifest does not tell of.
    pub doubtful: bool,
    /// How many worlds were looked at.
    pub worlds: usize,
}

impl Rehearsal {
    /// Does the Pod end by itself in every life in which its job ends? Nothing if the bound was hit, or not all can be seen.
    pub fn ends(&self) -> Option<bool> {
        let matters = |row: &&Row| !matches!(row.fate, Fate::NeverStarts(_));
        let mut ends = true;
        for row in self.rows.iter().filter(matters) {
            ends &= row.endings.iter().all(|ending| is_an_end(ending.pod));
        }
        let unknown = self.doubtful || self.rows.iter().any(|row| row.cut);
        if ends && unknown { None } else { Some(ends) }
    }
}

/// Plays every life of a Pod.
pub fn rehearse(scenario: &Scenario) -> Rehearsal {
    let mut rehearsal = Rehearsal {
        title: scenario.title.clone(),
        names: scenario.containers.iter().map(|container| container.name.clone()).collect(),
        rows: Vec::new(),
        suspended: scenario.job.as_ref().is_some_and(|job| job.suspended),
        doubtful: scenario.doubtful,
        worlds: 0,
    };
    for (fate, what) in fates(scenario) {
        let (row, worlds) = play(&Stage::new(scenario, fate), what, BOUND);
        rehearsal.worlds += worlds;
        rehearsal.rows.push(row);
    }
    rehearsal
}

/// What can befall, with words for it. Codes that a rule or policy names are told apart; one stands for all others.
fn fates(scenario: &Scenario) -> Vec<(Fate, String)> {
    let mut fates = Vec::new();
    let all = || scenario.containers.iter().enumerate();
    for (index, container) in all().filter(|(_, container)| container.part == Part::Job) {
        let name = &container.name;
        let mut special: BTreeSet<u8> = container.rules.iter().flat_map(|rule| rule.codes.iter().copied()).collect();
        for rule in scenario.job.iter().flat_map(|job| &job.on_failure) {
            if rule.container.as_ref().is_none_or(|its| its == name) {
                special.extend(&rule.codes);
            }
        }
        special.remove(&0);
        if container.seat == Seat::Regular {
            fates.push((Fate::Exits(index, 0), format!("{name} exits 0")));
        }
        for code in &special {
            fates.push((Fate::Exits(index, *code), format!("{name} exits {code}")));
        }
        if let Some(other) = (1..=255).find(|code| !special.contains(code)) {
            let words = if special.is_empty() { "exits 1..255" } else { "exits with any other code" };
            fates.push((Fate::Exits(index, other), format!("{name} {words}")));
        }
        if container.seat == Seat::Regular {
            fates.push((Fate::Killed(index), format!("{name} is killed, out of memory")));
        }
    }
    for (index, container) in all().filter(|(_, container)| container.part == Part::Helper) {
        fates.push((Fate::HelperFails(index), format!("{} fails first", container.name)));
    }
    if all().any(|(_, container)| container.part == Part::Job && container.seat == Seat::Regular) {
        fates.push((Fate::Deleted, "the Pod is deleted".to_owned()));
    }
    for (index, container) in all() {
        if let Some(what) = container.unsure {
            fates.push((Fate::Serves(index), format!("{} {what}", container.name)));
        }
    }
    for (index, container) in all() {
        fates.push((Fate::NeverStarts(index), format!("{} never starts", container.name)));
    }
    fates
}

/// How a world was first reached.
type From = Option<(usize, Move)>;

fn play(stage: &Stage<'_>, what: String, bound: usize) -> (Row, usize) {
    let first = stage.first();
    let mut known: HashMap<World, usize> = HashMap::from([(first.clone(), 0)]);
    let mut reached: Vec<(World, From)> = vec![(first, None)];
    let mut endings = BTreeSet::new();
    let mut broken: Vec<Broken> = Vec::new();
    let mut cut = false;
    let mut at = 0;
    while let Some((world, _)) = reached.get(at) {
        let world = world.clone();
        let moves = stage.moves(&world);
        if moves.is_empty() {
            endings.insert(ending(stage, &world));
            for promise in broken_at_the_end(stage, &world) {
                note(stage, &mut broken, promise, &reached, at, None);
            }
        }
        for this in moves {
            let next = stage.after(&world, this);
            for promise in broken_by(stage, &world, &next) {
                note(stage, &mut broken, promise, &reached, at, Some(this));
            }
            if known.contains_key(&next) {
                continue;
            }
            if reached.len() >= bound {
                cut = true;
                continue;
            }
            known.insert(next.clone(), reached.len());
            reached.push((next, Some((at, this))));
        }
        at += 1;
    }
    let row = Row { fate: stage.fate, what, endings: endings.into_iter().collect(), broken, cut };
    (row, reached.len())
}

/// Only the first life that breaks a promise is kept: worlds come in the order of their distance from the start.
fn note(
    stage: &Stage<'_>,
    broken: &mut Vec<Broken>,
    promise: Promise,
    reached: &[(World, From)],
    at: usize,
    last: Option<Move>,
) {
    if broken.iter().any(|known| known.promise == promise) {
        return;
    }
    let mut steps: Vec<Move> = last.into_iter().collect();
    let mut at = at;
    while let Some((_, Some((from, this)))) = reached.get(at) {
        steps.push(*this);
        at = *from;
    }
    let steps = steps.into_iter().rev().map(|this| show::words(stage.scenario, stage.fate, this)).collect();
    broken.push(Broken { promise, steps });
}

fn broken_by(stage: &Stage<'_>, before: &World, after: &World) -> Vec<Promise> {
    let mut found = Vec::new();
    if after.deleted || after.helper_failed {
        return found;
    }
    let seats = || stage.scenario.containers.iter().enumerate();
    let of = |world: &World, index: usize| world.cast.get(index).map(|cast| cast.phase);
    let gone = |world: &World, index: usize| matches!(of(world, index), Some(Phase::Ended(_)));
    let helper = |(_, one): &(usize, &Container)| one.part == Part::Helper && one.seat == Seat::Regular;
    let job_to_come = seats().any(|(index, one)| {
        one.part == Part::Job
            && one.seat == Seat::Regular
            && stage.fate != Fate::NeverStarts(index)
            && matches!(of(after, index), Some(Phase::Up | Phase::Waiting))
    });
    if job_to_come
        && !stage.regulars_over(after)
        && seats().filter(helper).any(|(index, _)| gone(after, index) && !gone(before, index))
    {
        found.push(STAYS);
    }
    let second = seats().any(|(index, one)| {
        let starts = |world: &World| world.cast.get(index).map_or(0, |cast| cast.starts);
        one.part == Part::Job && one.seat == Seat::Regular && starts(after) > starts(before) && starts(before) > 0
    });
    if second && seats().filter(helper).any(|(index, _)| gone(after, index)) {
        found.push(RETRIES);
    }
    found
}

/// A deadline is no end of its own: it stops what does not end.
fn is_an_end(pod: PodEnd) -> bool {
    match pod {
        PodEnd::Succeeded | PodEnd::Failed | PodEnd::Gone => true,
        PodEnd::Stopped | PodEnd::RunsOn | PodEnd::GivenUp => false,
    }
}

fn broken_at_the_end(stage: &Stage<'_>, world: &World) -> Vec<Promise> {
    let mut found = Vec::new();
    let end = pod_end(stage, world);
    let excused = matches!(stage.fate, Fate::NeverStarts(_));
    if !is_an_end(end) && !excused {
        found.push(ENDS);
    }
    let passed = stage.scenario.containers.iter().zip(&world.cast).all(|(container, cast)| {
        container.part == Part::Helper || container.seat != Seat::Regular || cast.phase == Phase::Ended(0)
    });
    if end == PodEnd::Failed && passed && !world.helper_failed {
        found.push(PASSES);
    }
    found
}

fn pod_end(stage: &Stage<'_>, world: &World) -> PodEnd {
    if !stage.over(world) {
        return PodEnd::RunsOn;
    }
    let counts = |seat: Seat| seat != Seat::Native;
    let failed = stage
        .scenario
        .containers
        .iter()
        .zip(&world.cast)
        .any(|(container, cast)| counts(container.seat) && !matches!(cast.phase, Phase::Ended(0)));
    match (world.late, world.deleted, failed) {
        (true, _, _) => PodEnd::Stopped,
        (false, true, _) if world.given_up => PodEnd::GivenUp,
        (false, true, _) => PodEnd::Gone,
        (false, false, true) => PodEnd::Failed,
        (false, false, false) => PodEnd::Succeeded,
    }
}

fn ending(stage: &Stage<'_>, world: &World) -> Ending {
    let pod = pod_end(stage, world);
    let containers = world.cast.iter().map(|cast| {
        let again = if cast.starts > 1 { "again, then " } else { "" };
        match (cast.phase, cast.last) {
            (Phase::Ended(code), _) if cast.stopped => format!("{again}stopped, {code}"),
            (Phase::Ended(code), _) => format!("{again}{code}"),
            (Phase::Up, _) => format!("{again}runs on"),
            (Phase::Loops, _) => "again and again".to_owned(),
            (Phase::Waiting, Some(code)) => format!("{code}, not again"),
            (Phase::Waiting, None) => "-".to_owned(),
        }
    });
    let codes = world.cast.iter().map(|cast| match cast.phase {
        Phase::Ended(code) => Some(code),
        Phase::Waiting | Phase::Up | Phase::Loops => None,
    });
    Ending { containers: containers.collect(), codes: codes.collect(), pod, job: job_end(stage, world, pod) }
}

fn job_end(stage: &Stage<'_>, world: &World, pod: PodEnd) -> String {
    let loops = world.cast.iter().any(|cast| cast.phase == Phase::Loops);
    let Some(job) = &stage.scenario.job else { return "-".to_owned() };
    let times = |retries: u32| match retries {
        0 => "Failed".to_owned(),
        1 => "retried once".to_owned(),
        retries => format!("retried up to {retries} times"),
    };
    match pod {
        PodEnd::Succeeded => "Complete".to_owned(),
        PodEnd::GivenUp => format!("Failed after {} restarts", job.retries),
        PodEnd::Gone => "a new Pod".to_owned(),
        PodEnd::Stopped => {
            let seconds = stage.deadline().unwrap_or(0);
            format!("stopped as failed after {seconds} s")
        }
        PodEnd::RunsOn if loops => "never Complete: started again and again".to_owned(),
        PodEnd::RunsOn => "until activeDeadlineSeconds (none!)".to_owned(),
        PodEnd::Failed => {
            let seats = || stage.scenario.containers.iter().zip(&world.cast);
            let rule = job.on_failure.iter().find(|rule| {
                seats().any(|(container, cast)| {
                    let code = match cast.phase {
                        Phase::Ended(code) if code != 0 => code,
                        _ => return false,
                    };
                    rule.container.as_ref().is_none_or(|name| *name == container.name)
                        && rule.codes.contains(&code) != rule.not_in
                })
            });
            match rule.map(|rule| rule.then) {
                Some(Then::FailJob) => "Failed at once".to_owned(),
                Some(Then::Ignore) => "a new Pod, not counted".to_owned(),
                Some(Then::FailIndex) => "this index is Failed".to_owned(),
                Some(Then::Count) | None => times(job.retries),
            }
        }
    }
}
