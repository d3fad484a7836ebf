//! The simulated kubelet held against the real one: the same lives of Pods on both have the same starts, restarts and codes,
//! the same phase at the end, and the same order of all that is not at the same time.
//!
//! A life is counted in units, of which the real kubelet's are longer; it needs a second or two for what the simulated one does
//! at once. So nothing is compared that is less than a unit apart.

use crate::house::House;
use crate::plays::pod::Pod;
use crate::plays::script::{Attempt, Helper, Job, Plays, Reset, RestartPolicy, Role, Rule, Script};
use crate::row::{RESTART_ALL, RESTART_RULES, Row};
use RestartPolicy::{Never, OnFailure};
use serde_json::{Deserializer, Value, json};
use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

/// The simulated kubelet has a grace period of four of them, and of ten seconds.
const SIMULATED: Duration = Duration::from_millis(100);
const REAL: Duration = Duration::from_millis(2500);
/// Of a real kubelet: ten seconds.
const BACK_OFF: u32 = 4;
const AT_ONCE: usize = 8;

#[test]
fn forty_lives_are_the_same_under_the_simulated_kubelet_and_under_the_real_one() {
    let Some(row) = Row::new() else { return };
    let lives = lives();
    assert_eq!(lives.len(), 40);
    are_the_same_on_both(&row, &lives);
}

#[test]
fn lives_by_rules_are_the_same_under_both_kubelets() {
    let Some(row) = Row::needing(&[RESTART_RULES]) else { return };
    are_the_same_on_both(&row, &lives_by_rules());
}

/// All containers begin again: the init container with `exeunt reset` first, on the same volume.
#[test]
fn lives_that_begin_again_as_a_whole_are_the_same_under_both_kubelets() {
    let Some(row) = Row::needing(&[RESTART_RULES, RESTART_ALL]) else { return };
    are_the_same_on_both(&row, &lives_that_begin_again());
}

#[track_caller]
fn are_the_same_on_both(row: &Row, lives: &[Life]) {
    let (house, left, differ) = (House::new(), Mutex::new((0..).zip(lives)), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = left.lock().expect("the lives").next();
                    let Some((number, life)) = next else { break };
                    if let Err(difference) = life.is_the_same_on_both(&house, row, number) {
                        differ.lock().expect("those that differ").push((number, life, difference));
                    }
                }
            });
        }
    });
    // On a busy node eight Pods at once get in each other's way, and a life that needs seconds more is another life; and so it is
    // where the machine stalls. What the kubelets do differently they do again, one life at a time, and once more.
    let mut faults = Vec::new();
    for (number, life, first) in differ.into_inner().expect("those that differ") {
        eprintln!("differs beside others, played again: {first}");
        let again = |time: u64| life.is_the_same_on_both(&house, row, number + 100 * time);
        if let Err(second) = again(1)
            && let Err(third) = again(2)
        {
            faults.push(format!("{first}\n\nand again: {second}\n\nand again: {third}"));
        }
    }
    assert!(faults.is_empty(), "{} of {} differ\n{}", faults.len(), lives.len(), faults.join("\n\n"));
}

/// A negative control: another code, another order, another restart is a difference.
#[test]
fn two_lives_that_differ_are_told_apart() {
    let course = |ends: &[(&str, f64, Option<i32>)]| {
        let mut course = Course { phase: "Failed".to_owned(), containers: BTreeMap::new() };
        for (name, at, code) in ends {
            course.containers.entry((*name).to_owned()).or_default().push((*at, *code));
        }
        course
    };
    let one = course(&[("a", 0.0, None), ("a", 3.0, Some(7)), ("b", 0.1, None), ("b", 5.0, Some(0))]);
    // Less than a unit apart, the order is nobody's.
    let later = course(&[("a", 0.2, None), ("a", 4.5, Some(7)), ("b", 0.0, None), ("b", 6.0, Some(0))]);
    assert_eq!(one.differs_from(&later), None);
    for other in [
        course(&[("a", 0.0, None), ("a", 3.0, Some(8)), ("b", 0.1, None), ("b", 5.0, Some(0))]),
        course(&[("a", 0.0, None), ("a", 6.5, Some(7)), ("b", 0.1, None), ("b", 5.0, Some(0))]),
        course(&[
            ("a", 0.0, None),
            ("a", 3.0, Some(7)),
            ("a", 3.1, None),
            ("a", 4.0, Some(0)),
            ("b", 0.1, None),
            ("b", 5.0, Some(0)),
        ]),
    ] {
        assert!(one.differs_from(&other).is_some(), "{other:?}");
    }
}

/// A negative control: what one of them has not told is not compared, and nothing else is forgotten.
#[test]
fn only_an_end_that_is_not_told_is_forgotten() {
    let course = |events: &[Option<i32>]| Course {
        phase: String::new(),
        containers: BTreeMap::from([("a".to_owned(), events.iter().map(|code| (0.0, *code)).collect())]),
    };
    let whole = [None, Some(143), None, Some(0)];
    for (told, same) in [
        (&[None, None, Some(0)][..], true),
        (&whole, true),
        (&[None, Some(137), None, Some(0)], false),
        (&[None, None, Some(3)], false),
        (&[None, Some(143)], false),
        (&[None, None, None, Some(0)], false),
    ] {
        let (mut simulated, real) = (course(&whole), course(told));
        simulated.forget_what_is_not_told(&real);
        assert_eq!(simulated.differs_from(&real).is_none(), same, "{told:?}");
    }
}

/// What came of a life: of each container its starts (no code) and ends, in units.
#[derive(Debug)]
struct Course {
    phase: String,
    containers: BTreeMap<String, Vec<(f64, Option<i32>)>>,
}

impl Course {
    /// A container that is ended so that all can begin again is removed at once: its start was seen, and nobody is told its end.
    fn forget_what_is_not_told(&mut self, other: &Self) {
        for (name, events) in &mut self.containers {
            let starts = |events: &[(f64, Option<i32>)]| -> Vec<Vec<(f64, Option<i32>)>> {
                events.chunk_by(|_, next| next.1.is_some()).map(<[_]>::to_vec).collect()
            };
            let told = other.containers.get(name).map(|events| starts(events)).unwrap_or_default();
            let keep = |(number, start): (usize, Vec<_>)| {
                let known = told.get(number).map_or(start.len(), Vec::len);
                start.into_iter().take(known).collect::<Vec<_>>()
            };
            *events = starts(events).into_iter().enumerate().flat_map(keep).collect();
        }
    }

    fn differs_from(&self, other: &Self) -> Option<String> {
        if self.phase != other.phase {
            return Some(format!("{} and {}", self.phase, other.phase));
        }
        let codes = |course: &Self| -> BTreeMap<String, Vec<Option<i32>>> {
            let of = |(name, events): (&String, &Vec<(f64, Option<i32>)>)| {
                (name.clone(), events.iter().map(|event| event.1).collect())
            };
            course.containers.iter().map(of).collect()
        };
        if codes(self) != codes(other) {
            return Some(format!("{:?} and {:?}", codes(self), codes(other)));
        }
        // Now each event of one is an event of the other.
        let times = |course: &Self| -> Vec<(String, f64)> {
            let of = |(name, events): (&String, &Vec<(f64, Option<i32>)>)| {
                let name = name.clone();
                let label = move |(number, event): (usize, &(f64, Option<i32>))| (format!("{name} {number}"), event.0);
                events.iter().enumerate().map(label).collect::<Vec<_>>()
            };
            course.containers.iter().flat_map(of).collect()
        };
        let (these, those) = (times(self), times(other));
        for first in 0..these.len() {
            for second in 0..first {
                let (here, there) = (these[first].1 - these[second].1, those[first].1 - those[second].1);
                if here.abs() > 1.0 && there.abs() > 1.0 && (here > 0.0) != (there > 0.0) {
                    let (first, second) = (&these[first].0, &these[second].0);
                    return Some(format!("event {first} is {here:.1} and {there:.1} units after event {second}"));
                }
            }
        }
        None
    }
}

/// Of one container, by the identity of each start: when that was, and when it ended with which code.
type Starts = BTreeMap<String, (String, Option<(String, i32)>)>;

/// In units.
#[derive(Clone, Debug)]
struct Life {
    policy: RestartPolicy,
    mains: Vec<Vec<Attempted>>,
    sidecars: Vec<Aside>,
    deleted: Option<u32>,
    /// Of the mains.
    rule: Option<Rule>,
    /// exeunt was told of it, and the Pod does not have it.
    without_rules: bool,
    /// Where all containers begin again.
    reset: Reset,
}

#[derive(Clone, Copy, Debug)]
struct Attempted {
    job: Job,
    takes: u32,
    killed: Option<u32>,
}

#[derive(Clone, Debug)]
struct Aside {
    helper: Helper,
    killed: Option<u32>,
    restart: bool,
    outlives: bool,
    /// `--absence-timeout`.
    waits: Option<u32>,
    rule: Option<Rule>,
}

fn tries(job: Job, takes: u32) -> Attempted {
    Attempted { job, takes, killed: None }
}

fn aside(helper: Helper) -> Aside {
    Aside { helper, killed: None, restart: false, outlives: false, waits: None, rule: None }
}

fn life(policy: RestartPolicy, attempts: &[Attempted], sidecars: &[Aside]) -> Life {
    Life {
        policy,
        mains: vec![attempts.to_vec()],
        sidecars: sidecars.to_vec(),
        deleted: None,
        rule: None,
        without_rules: false,
        reset: Reset::Alone,
    }
}

fn lives() -> Vec<Life> {
    let plain = || aside(Helper::Plain);
    let tidy = || aside(Helper::Tidy);
    let deaf = || aside(Helper::IgnoresTerm);
    let fails = |units: u64| aside(Helper::Fails(9, units));
    let mut lives = Vec::new();
    // Every way to end, beside two kinds of helpers.
    let jobs = [Job::Exits(0), Job::Exits(3), Job::Crashes, Job::Forks(0), Job::Forks(5), Job::IgnoresTerm(0)];
    for job in jobs {
        lives.extend([plain(), tidy()].map(|helper| life(Never, &[tries(job, 2)], &[helper])));
    }
    lives.push(life(Never, &[tries(Job::IsMissing, 0)], &[tidy()]));
    lives.push(life(Never, &[tries(Job::Exits(42), 2)], &[deaf()]));
    // Attempts.
    let (fail, pass, crash) = (tries(Job::Exits(3), 2), tries(Job::Exits(0), 2), tries(Job::Crashes, 2));
    lives.push(life(OnFailure, &[pass], &[tidy()]));
    lives.push(life(OnFailure, &[fail, pass], &[plain()]));
    lives.push(life(OnFailure, &[fail, pass], &[tidy()]));
    lives.push(life(OnFailure, &[crash, pass], &[tidy()]));
    lives.push(life(OnFailure, &[fail, crash, pass], &[tidy()]));
    lives.push(life(OnFailure, &[tries(Job::Forks(1), 2), pass], &[plain(), tidy()]));
    // Helpers that fail.
    lives.push(life(Never, &[tries(Job::Exits(0), 4)], &[fails(1)]));
    lives.push(life(Never, &[tries(Job::Exits(3), 4)], &[fails(1), tidy()]));
    lives.push(life(OnFailure, &[tries(Job::Exits(0), 6)], &[fails(1)]));
    lives.push(life(OnFailure, &[tries(Job::Exits(0), 1)], &[fails(8)]));
    // What exeunt starts again, the kubelet does not see.
    lives.push(life(Never, &[tries(Job::Exits(0), 4)], &[Aside { restart: true, ..fails(1) }]));
    lives.push(life(OnFailure, &[tries(Job::Exits(0), 4)], &[Aside { restart: true, ..fails(1) }]));
    // Whole containers are killed.
    let killed = |job| Attempted { job, takes: 20, killed: Some(2) };
    lives.push(life(Never, &[killed(Job::Exits(0))], &[tidy()]));
    lives.push(life(Never, &[killed(Job::IgnoresTerm(0))], &[plain(), tidy()]));
    lives.push(life(OnFailure, &[killed(Job::Exits(0)), pass], &[tidy()]));
    lives.push(life(Never, &[tries(Job::Exits(0), 6)], &[Aside { killed: Some(2), ..tidy() }]));
    lives.push(life(OnFailure, &[tries(Job::Exits(0), 6)], &[Aside { killed: Some(2), ..tidy() }]));
    // Deleted, with and without a job that leaves at once. Who is asked first is nobody's promise, so there is no helper here
    // whose code would tell.
    let deleted = |life| Life { deleted: Some(4), ..life };
    lives.push(deleted(life(Never, &[tries(Job::Forks(0), 20)], &[tidy()])));
    lives.push(deleted(life(Never, &[tries(Job::Exits(0), 20)], &[tidy()])));
    lives.push(deleted(life(OnFailure, &[tries(Job::Exits(0), 20)], &[tidy()])));
    lives.push(deleted(life(Never, &[tries(Job::IgnoresTerm(0), 20)], &[tidy()])));
    lives.push(deleted(life(Never, &[tries(Job::Exits(0), 20)], &[deaf()])));
    lives.push(deleted(life(OnFailure, &[tries(Job::Exits(3), 1), tries(Job::Exits(0), 20)], &[tidy(), deaf()])));
    lives.push(deleted(life(Never, &[tries(Job::IgnoresTerm(0), 6)], &[Aside { outlives: true, ..tidy() }])));
    // Several jobs and several helpers.
    let mut two = life(Never, &[tries(Job::Exits(0), 2)], &[plain(), tidy()]);
    two.mains.push(vec![tries(Job::Exits(4), 6)]);
    lives.push(two);
    let mut two = life(OnFailure, &[fail, pass], &[tidy()]);
    two.mains.push(vec![tries(Job::Exits(0), 2)]);
    lives.push(two);
    lives
}

const FORTY_TWO: Rule = Rule::after("42,43", &[42, 43]);

fn lives_by_rules() -> Vec<Life> {
    let (plain, tidy) = (|| aside(Helper::Plain), || aside(Helper::Tidy));
    let exits = |code| tries(Job::Exits(code), 2);
    let by = |rule, attempts: &[Attempted], sidecar| Life { rule: Some(rule), ..life(Never, attempts, &[sidecar]) };
    let killed = Attempted { job: Job::Exits(0), takes: 20, killed: Some(2) };
    let mut lives = vec![
        by(FORTY_TWO, &[exits(42), exits(0)], tidy()),
        by(FORTY_TWO, &[exits(42), exits(7)], plain()),
        by(FORTY_TWO, &[exits(7)], tidy()),
        by(FORTY_TWO, &[exits(43), exits(42), exits(0)], tidy()),
        by(FORTY_TWO, &[tries(Job::Crashes, 2)], tidy()),
        by(FORTY_TWO, &[killed], tidy()),
        by(Rule::after("42,137", &[42, 137]), &[killed, exits(0)], tidy()),
        by(Rule::after("0,42", &[0, 42]), &[exits(0), exits(3)], tidy()),
        by(Rule::after_all_but("!0,1", &[0, 1]), &[exits(5), exits(1)], tidy()),
        by(Rule::after_all_but("!0,1", &[0, 1]), &[tries(Job::Crashes, 2), exits(0)], plain()),
        by(FORTY_TWO, &[exits(42), exits(0)], Aside { restart: true, ..aside(Helper::Fails(9, 1)) }),
    ];
    // The policy decides of what is in no rule.
    lives.push(Life { policy: OnFailure, ..by(FORTY_TWO, &[exits(42), exits(3), exits(0)], tidy()) });
    // Nobody has told the kubelet: the attempt that exeunt waits for does not come.
    let gives_up = Aside { waits: Some(3), ..tidy() };
    lives.push(Life { without_rules: true, ..by(FORTY_TWO, &[exits(42)], gives_up) });
    lives
}

fn lives_that_begin_again() -> Vec<Life> {
    let (plain, tidy) = (|| aside(Helper::Plain), || aside(Helper::Tidy));
    let exits = |code| tries(Job::Exits(code), 2);
    let by_job = |attempts: &[Attempted], sidecars: &[Aside]| Life {
        rule: Some(FORTY_TWO.for_all()),
        ..life(Never, attempts, sidecars)
    };
    let watcher =
        || Aside { rule: Some(Rule::after("9", &[9]).for_all()), ..aside(Helper::FailsInTheFirstRound(9, 2)) };
    let long = tries(Job::Exits(0), 20);
    let mut with_another = by_job(&[exits(42), tries(Job::Exits(0), 4)], &[tidy()]);
    with_another.mains.push(vec![tries(Job::Exits(0), 1), exits(0)]);
    vec![
        by_job(&[exits(42), exits(0)], &[tidy()]),
        by_job(&[exits(42), exits(7)], &[plain(), tidy()]),
        by_job(&[exits(42), exits(43), exits(0)], &[tidy()]),
        by_job(&[exits(42), tries(Job::Crashes, 2)], &[aside(Helper::IgnoresTerm)]),
        life(Never, &[long, exits(0)], &[watcher()]),
        life(Never, &[long, exits(3)], &[watcher(), tidy()]),
        // The sentinel of the other job would be there still.
        with_another,
        // The policy decides of what is in no rule.
        Life { policy: OnFailure, ..by_job(&[exits(42), exits(3), exits(0)], &[tidy()]) },
        // The containers run the copy that each round's init container makes.
        Life { reset: Reset::WithTheBinary, ..by_job(&[exits(42), exits(0)], &[tidy()]) },
        Life { reset: Reset::WithTheBinary, ..life(Never, &[long, exits(3)], &[watcher(), plain()]) },
    ]
}

impl Life {
    fn mains(&self) -> impl Iterator<Item = (String, &Vec<Attempted>)> {
        self.mains.iter().enumerate().map(|(number, attempts)| (format!("main-{number}"), attempts))
    }

    fn sidecars(&self) -> impl Iterator<Item = (String, &Aside)> {
        self.sidecars.iter().enumerate().map(|(number, aside)| (format!("sidecar-{number}"), aside))
    }

    /// Of exeunt in front of a helper, with the times in this unit.
    fn options(&self, aside: &Aside, unit: Duration) -> Vec<String> {
        let jobs: Vec<_> = self.mains().map(|(name, _)| name).collect();
        let mut options =
            vec!["--until".to_owned(), jobs.join(","), "--grace".to_owned(), format!("{}ms", unit.as_millis())];
        if aside.restart {
            options.extend(["--restart", "on-failure"].map(str::to_owned));
        }
        if aside.outlives {
            options.push(format!("--outlive-main={}ms", 3 * unit.as_millis()));
        }
        if let Some(units) = aside.waits {
            options.push(format!("--absence-timeout={}ms", (units * unit).as_millis()));
        }
        options
    }

    /// Whether all containers may begin again, by the rule of one of them.
    fn begins_again(&self) -> bool {
        let rules = self.sidecars.iter().filter_map(|aside| aside.rule).chain(self.rule);
        rules.into_iter().any(|rule| rule.all_begin)
    }

    fn is_the_same_on_both(&self, house: &House, row: &Row, number: u64) -> Result<(), String> {
        let (mut simulated, real) = (self.simulated(house, number), self.real(row, number));
        simulated.forget_what_is_not_told(&real);
        simulated.differs_from(&real).map_or(Ok(()), |difference| {
            Err(format!("life {number}, {self:?}: {difference}\n{simulated:#?}\n{real:#?}"))
        })
    }

    fn simulated(&self, house: &House, number: u64) -> Course {
        let mains = self.mains().map(|(name, attempts)| {
            let attempt = |tried: &Attempted| Attempt {
                job: tried.job,
                takes: tried.takes * SIMULATED,
                killed_after: tried.killed.map(|units| units * SIMULATED),
            };
            // The others are there before it, as under the real kubelet.
            let mut role = Role::new(&name, SIMULATED / 2, Plays::Main(attempts.iter().map(attempt).collect()));
            (role.options, role.rule) = (vec!["--name".to_owned(), name], self.rule);
            role
        });
        let sidecars = self.sidecars().map(|(name, aside)| {
            let ms = |units: u64| units * SIMULATED.as_millis() as u64;
            let helper = match aside.helper {
                Helper::Fails(code, units) => Helper::Fails(code, ms(units)),
                Helper::FailsInTheFirstRound(code, units) => Helper::FailsInTheFirstRound(code, ms(units)),
                other => other,
            };
            let plays = Plays::Sidecar { helper, killed_after: aside.killed.map(|units| units * SIMULATED) };
            let mut role = Role::new(&name, Duration::ZERO, plays);
            (role.options, role.rule) = (self.options(aside, SIMULATED), aside.rule);
            role
        });
        let mut script = Script::quiet(self.policy, mains.chain(sidecars).collect());
        script.seed = number;
        script.deleted_at = self.deleted.map(|units| units * SIMULATED);
        script.reset = self.begins_again().then_some(self.reset);
        script.without_rules = self.without_rules;
        let mut pod = Pod::new(script, house.path(format!("life-{number}")));
        pod.back_off = BACK_OFF * SIMULATED;
        pod.play(Duration::from_secs(20));
        assert!(pod.faults.is_empty(), "{}", pod.story());
        let failed = pod.containers.iter().any(|it| !it.last.is_some_and(|status| status.success()));
        let units = |course: &[(Duration, Option<i32>)]| {
            course.iter().map(|(at, code)| (at.as_secs_f64() / SIMULATED.as_secs_f64(), *code)).collect()
        };
        Course {
            phase: if failed { "Failed" } else { "Succeeded" }.to_owned(),
            containers: pod.containers.iter().map(|it| (it.role.name.clone(), units(&it.course))).collect(),
        }
    }

    fn real(&self, row: &Row, number: u64) -> Course {
        let pod = format!("life-{number}");
        row.apply(&self.manifest(&pod).to_string());
        let mut course = BTreeMap::<String, Starts>::new();
        let mut watch = Command::new("timeout")
            .args(["240", "kubectl", "--namespace", row.namespace(), "get", "pod", &pod, "--watch", "--output=json"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start kubectl");
        let (mut told, mut phase) = (false, String::new());
        for object in Deserializer::from_reader(watch.stdout.take().expect("a pipe")).into_iter::<Value>() {
            // A watch that is cut off is a life that differs, and is played again.
            let Ok(object) = object else { break };
            let status = &object["status"];
            let statuses = status["containerStatuses"].as_array().cloned().unwrap_or_default();
            for container in &statuses {
                let name = container["name"].as_str().expect("a name");
                for state in [&container["state"], &container["lastState"]] {
                    note(course.entry(name.to_owned()).or_default(), state, container);
                }
            }
            let all_run = statuses.len() == self.mains.len() + self.sidecars.len()
                && statuses.iter().all(|container| container["state"]["running"].is_object());
            if all_run && !told {
                told = true;
                self.interfere(row, &pod);
            }
            phase = status["phase"].as_str().unwrap_or_default().to_owned();
            if phase == "Succeeded" || phase == "Failed" {
                break;
            }
        }
        let _ = Command::new("kill").arg(watch.id().to_string()).status();
        let _ = watch.wait();
        let patch = r#"{"metadata":{"finalizers":null}}"#;
        row.kubectl(&["patch", "pod", &pod, "--type=merge", "--patch", patch]);
        let events = |lives: &Starts| {
            let mut lives: Vec<_> = lives.values().collect();
            lives.sort();
            let of = |(began, end): &(String, Option<(String, i32)>)| {
                [Some((units(began), None)), end.as_ref().map(|(at, code)| (units(at), Some(*code)))]
            };
            lives.into_iter().flat_map(of).flatten().collect()
        };
        Course { phase, containers: course.iter().map(|(name, lives)| (name.clone(), events(lives))).collect() }
    }

    /// What happens to the Pod from outside, once all of it runs.
    fn interfere(&self, row: &Row, pod: &str) {
        let victim = self
            .mains()
            .map(|(name, attempts)| (name, attempts[0].killed))
            .chain(self.sidecars().map(|(name, aside)| (name, aside.killed)))
            .find_map(|(name, killed)| killed.map(|units| (name, units)));
        if let Some((name, units)) = victim {
            std::thread::sleep(units * REAL);
            row.kill(pod, &name);
        }
        if let Some(units) = self.deleted {
            std::thread::sleep(units * REAL);
            row.kubectl(&["delete", "pod", pod, "--wait=false"]);
        }
    }

    fn manifest(&self, name: &str) -> Value {
        let began = |name: &str| format!("touch /life/{name}.began;");
        let wait: String =
            self.sidecars().map(|(name, _)| format!("until [ -e /life/{name}.began ]; do sleep 0.1; done; ")).collect();
        let mains = self.mains().map(|(name, attempts)| {
            let count = format!("n=$(cat /life/{name}.n || echo 0); echo $((n + 1)) >/life/{name}.n;");
            let lines: Vec<_> = attempts.iter().map(|tried| job(*tried)).collect();
            let cases =
                lines.iter().enumerate().map(|(number, line)| format!("{number}) {line} ;; ")).collect::<String>();
            let line = format!("{count} [ $n -gt 0 ] || {{ {wait}}}; case $n in {cases} *) exit 99 ;; esac");
            let command = if attempts[0].job == Job::IsMissing {
                vec!["/no/such/command".to_owned()]
            } else {
                vec!["/bin/sh".to_owned(), "-c".to_owned(), line]
            };
            self.container(&name, "main", &["--name".to_owned(), name.clone()], self.rule, &command)
        });
        let sidecars = self.sidecars().map(|(name, aside)| {
            let (began, on) = (began(&name), "while :; do sleep 60 & wait; done");
            // On a busy node seconds pass between the starts of two containers, and nothing in a life depends on that.
            let mains: String =
                self.mains().map(|(main, _)| format!("until [ -e /life/{main}.n ]; do sleep 0.1; done; ")).collect();
            let line = match aside.helper {
                Helper::Plain => format!("{began} exec sleep 1000"),
                Helper::Tidy => format!("trap 'exit 0' TERM; {began} {on}"),
                Helper::IgnoresTerm => format!("trap '' TERM; {began} {on}"),
                Helper::Fails(code, units) => format!("{began} {mains} sleep {}; exit {code}", seconds(units as u32)),
                Helper::FailsInTheFirstRound(code, units) => format!(
                    "[ -e /life/{name}.failed ] && trap 'exit 0' TERM; {began} {mains}
                    while [ -e /life/{name}.failed ]; do sleep 0.1; done;
                    sleep {}; touch /life/{name}.failed; exit {code}",
                    seconds(units as u32)
                ),
                Helper::SeesTheSentinel(_) | Helper::StopsByInt | Helper::Rotates(..) => {
                    panic!("{:?} has no command here", aside.helper)
                }
            };
            let command = ["/bin/sh".into(), "-c".into(), line];
            self.container(&name, "sidecar", &self.options(aside, REAL), aside.rule, &command)
        });
        let reset: &[&str] = match self.reset {
            Reset::Alone => &["/bin/exeunt", "reset"],
            Reset::WithTheBinary => &["/bin/exeunt", "install", "--reset", "/tmp/pod"],
        };
        let reset: Vec<_> = reset.iter().map(|word| (*word).to_owned()).collect();
        let first = self.begins_again().then(|| bare("first", &reset));
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "finalizers": ["exeunt.test/kept"]},
            "spec": {
                "restartPolicy": self.policy_word(),
                "terminationGracePeriodSeconds": 10, "automountServiceAccountToken": false,
                "initContainers": first.into_iter().collect::<Vec<_>>(),
                "containers": sidecars.chain(mains).collect::<Vec<_>>(),
                "volumes": [{"name": "pod", "emptyDir": {}}, {"name": "life", "emptyDir": {}}],
            },
        })
    }

    fn container(&self, name: &str, mode: &str, options: &[String], rule: Option<Rule>, command: &[String]) -> Value {
        let exeunt = match self.reset {
            Reset::WithTheBinary => "/tmp/pod/exeunt",
            Reset::Alone => "/bin/exeunt",
        };
        let wrapper = [exeunt, "--mode", mode, "--restart-policy", self.policy.word()].map(str::to_owned);
        let told = rule.map(|rule| vec!["--restart-on".to_owned(), rule.word.to_owned()]).unwrap_or_default();
        let command = [&wrapper[..], &told, options, &["--".to_owned()], command].concat();
        let mut container = bare(name, &command);
        if let Some(rule) = rule.filter(|_| !self.without_rules) {
            let operator = if rule.all_but { "NotIn" } else { "In" };
            let action = if rule.all_begin { "RestartAllContainers" } else { "Restart" };
            let codes = json!({"operator": operator, "values": rule.codes});
            container["restartPolicy"] = json!(self.policy_word());
            container["restartPolicyRules"] = json!([{"action": action, "exitCodes": codes}]);
        }
        container
    }

    /// As a Pod has it.
    fn policy_word(&self) -> &'static str {
        if self.policy == Never { "Never" } else { "OnFailure" }
    }
}

fn bare(name: &str, command: &[String]) -> Value {
    json!({
        "name": name, "image": "busybox", "imagePullPolicy": "IfNotPresent", "command": command,
        "volumeMounts": [{"name": "pod", "mountPath": "/tmp/pod"}, {"name": "life", "mountPath": "/life"}],
    })
}

/// One start of a container and its end, if this state knows of them.
fn note(lives: &mut Starts, state: &Value, container: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if let Some(running) = state.get("running") {
        lives.entry(text(&container["containerID"])).or_insert((text(&running["startedAt"]), None));
    }
    // One that was removed so that all can begin again has an end without a time, and none that was its own.
    if let Some(end) =
        state.get("terminated").filter(|end| end["finishedAt"].is_string() && end["containerID"].is_string())
    {
        let code = end["exitCode"].as_i64().expect("a code");
        let end_of = Some((text(&end["finishedAt"]), i32::try_from(code).expect("a code")));
        lives.insert(text(&end["containerID"]), (text(&end["startedAt"]), end_of));
    }
}

/// An attempt of a job, as one line of a shell. Kubernetes takes one of two dollars away.
fn job(tried: Attempted) -> String {
    let takes = seconds(tried.takes);
    match tried.job {
        Job::Exits(code) => format!("sleep {takes}; exit {code}"),
        Job::Crashes => format!("sleep {takes}; sh -c 'kill -KILL $PPID'; exit 98"),
        Job::Forks(code) => format!("(sleep 1 &); sleep {takes}; exit {code}"),
        Job::IgnoresTerm(code) => format!("trap '' TERM; sleep {takes}; exit {code}"),
        Job::FillsTheVolume(_) | Job::IsMissing => "exit 97".to_owned(),
    }
}

fn seconds(units: u32) -> String {
    format!("{:.1}", (units * REAL).as_secs_f64())
}

/// Of the time of a day, which is all that is compared: no life is played over midnight twice.
fn units(time: &str) -> f64 {
    let clock =
        time.split('T').nth(1).and_then(|rest| rest.strip_suffix('Z')).unwrap_or_else(|| panic!("a time: {time}"));
    let parts: Vec<f64> = clock.split(':').map(|part| part.parse().expect("a number")).collect();
    (parts[0] * 3600.0 + parts[1] * 60.0 + parts[2]) / REAL.as_secs_f64()
}
