//! A simulated kubelet plays whole lives of Pods, many at once, with real processes: jobs that pass, fail, crash, fork,
//! ignore signals, cannot be found, or are killed with their wrapper; restarts with back-off, by the policy and by rules; Pods
//! that begin again as a whole; jobs that do not come; sidecars that crash and come back; deletion at any moment; a volume that is
//! slow, or full at the end; a node without inotify, or where somebody mounts. What is promised is checked from outside.
//!
//! EXEUNT_POD_LIVES says how many (10,000; with EXEUNT_FULL=1 30,000), EXEUNT_POD_SEED which is the first: a failure prints its seed, and that seed with
//! one life plays it again.

mod house;
#[path = "kubelet_plays/mod.rs"]
mod plays;

use house::{House, counts};
use plays::pod::{Pod, may_mount};
use plays::script::{Attempt, Helper, Job, Plays, Reset, RestartPolicy, Role, Rule, Script};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

roles! {
    fn sees_the_sentinels() { plays::commands::play_one_that_sees_the_sentinels() }
}

/// Within this all sidecars have ended after their job: it holds a slow look (5 s) in case an event was lost.
const BOUND: Duration = Duration::from_secs(10);
/// So many lives are played in every run of the tests, and so many at full length.
const USUAL: u64 = 10_000;
const FULL_LENGTH: u64 = 30_000;
/// A failure is printed with all that is known; so many are enough to understand it.
const ENOUGH: usize = 3;

#[test]
fn in_every_life_of_a_pod_the_sidecars_leave_with_their_job_and_the_codes_are_true() {
    let usual = if counts::full_length() { FULL_LENGTH } else { USUAL };
    let (lives, first) = (setting("EXEUNT_POD_LIVES", usual), setting("EXEUNT_POD_SEED", 1));
    let at_once = setting("EXEUNT_PODS_AT_ONCE", 24);
    let (house, begun) = (House::new(), Instant::now());
    let (next, totals, stories) = (AtomicU64::new(first), Totals::default(), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..at_once.min(lives) {
            scope.spawn(|| {
                let may_mount = may_mount();
                loop {
                    let seed = next.fetch_add(1, SeqCst);
                    if seed >= first + lives || stories.lock().expect("a list").len() >= ENOUGH {
                        break;
                    }
                    let mut pod = Pod::new(Script::new(seed, may_mount), house.path(seed.to_string()));
                    pod.play(BOUND);
                    pod.judge_the_end();
                    totals.count(&pod);
                    if !pod.faults.is_empty() {
                        stories.lock().expect("a list").push(pod.story());
                    }
                }
            });
        }
    });
    println!("{} in {:.1} s", totals.say(), begun.elapsed().as_secs_f64());
    let stories = stories.into_inner().expect("a list");
    if std::env::var_os("EXEUNT_POD_LIVES").is_none() && stories.is_empty() {
        counts::at_least("lives of Pods", totals.lives.load(SeqCst) as u64);
        counts::at_least("containers started in them", totals.starts.load(SeqCst) as u64);
        counts::at_least("of these Pods, with a slow volume", totals.slow.load(SeqCst) as u64);
    }
    assert!(stories.is_empty(), "play one again with EXEUNT_POD_LIVES=1 EXEUNT_POD_SEED=…\n{}", stories.join("\n\n"));
}

/// A negative control: a sidecar that waits for nobody has to be missed.
#[test]
fn a_sidecar_that_never_ends_would_be_noticed() {
    let house = House::new();
    let mut script = quiet_script(Duration::from_millis(1));
    script.roles[1].options = vec!["--until".to_owned(), "somebody-else".to_owned()];
    let mut pod = Pod::new(script, house.path("pod"));
    pod.play(Duration::from_millis(300));
    assert!(pod.faults.iter().any(|fault| fault.contains("not all containers have ended")), "{}", pod.story());
}

/// A negative control: somebody says that the job is over while it is not.
#[test]
fn a_sidecar_that_leaves_early_would_be_noticed() {
    let house = House::new();
    let mut pod = Pod::new(quiet_script(Duration::from_millis(500)), house.path("pod"));
    std::fs::write(house.path("pod/pod/main-job-terminated"), "").expect("a sentinel of somebody else's");
    pod.play(BOUND);
    assert!(pod.faults.iter().any(|fault| fault.contains("left early")), "{}", pod.story());
}

/// A negative control: all containers begin again, and nobody has run `exeunt reset`: the sentinel of the round before is there.
#[test]
fn a_round_that_begins_without_reset_would_be_noticed() {
    for reset in [None, Some(Reset::Alone), Some(Reset::WithTheBinary)] {
        let house = House::new();
        let mut script = quiet_script(Duration::ZERO);
        let attempt = |ms| Attempt { job: Job::Exits(0), takes: Duration::from_millis(ms), killed_after: None };
        script.roles[0].plays = Plays::Main(vec![attempt(60_000), attempt(100)]);
        let watcher = Plays::helper(Helper::FailsInTheFirstRound(9, 600));
        let mut role = Role::new("watcher", Duration::ZERO, watcher);
        role.rule = Some(Rule::after("9", &[9]).for_all());
        script.roles.push(role);
        script.reset = reset;
        let mut pod = Pod::new(script, house.path("pod"));
        pod.play(BOUND);
        assert_eq!(pod.round, 1, "{}", pod.story());
        assert_eq!(pod.faults.iter().any(|fault| fault.contains("left early")), reset.is_none(), "{}", pod.story());
    }
}

/// One job that passes, and one sidecar.
fn quiet_script(takes: Duration) -> Script {
    let job = Plays::Main(vec![Attempt { job: Job::Exits(0), takes, killed_after: None }]);
    let main = Role::new("main-job", Duration::from_millis(300), job);
    let sidecar = Role::new("sidecar-0", Duration::ZERO, Plays::helper(Helper::Plain));
    Script::quiet(RestartPolicy::Never, vec![main, sidecar])
}

/// What has been played, for the report.
#[derive(Default)]
struct Totals {
    lives: AtomicUsize,
    starts: AtomicUsize,
    deleted: AtomicUsize,
    unseen: AtomicUsize,
    killed: AtomicUsize,
    small: AtomicUsize,
    slow: AtomicUsize,
    lasted: Mutex<Vec<(Duration, u64)>>,
}

impl Totals {
    fn count(&self, pod: &Pod) {
        self.lives.fetch_add(1, SeqCst);
        self.starts.fetch_add(pod.containers.iter().map(|container| container.starts).sum(), SeqCst);
        self.killed.fetch_add(pod.containers.iter().map(|container| container.kills).sum(), SeqCst);
        self.deleted.fetch_add(usize::from(pod.is_deleted()), SeqCst);
        self.unseen.fetch_add(usize::from(pod.unseen), SeqCst);
        self.small.fetch_add(usize::from(pod.script.small_volume), SeqCst);
        self.slow.fetch_add(usize::from(pod.script.node.slow_volume), SeqCst);
        if !pod.is_deleted() && pod.job_over.is_some() {
            self.lasted.lock().expect("a list").push((pod.lasted, pod.script.seed));
        }
    }

    fn say(&self) -> String {
        let mut lasted = self.lasted.lock().expect("a list").clone();
        lasted.sort();
        let at =
            |part: f64| lasted.get((lasted.len() as f64 * part) as usize).map_or(0.0, |it| it.0.as_secs_f64() * 1000.0);
        let (longest, seed) = lasted.last().copied().unwrap_or_default();
        format!(
            "{} lives of Pods with {} starts of containers: {} wrappers killed, {} Pods deleted ({} because their job was \
             killed before it was seen), {} with a volume that can be full, {} with a slow one; from the end of the job to the end of the Pod \
             {:.1} ms in the middle, {:.1} ms for 99 of 100, at most {:.1} ms (seed {seed})",
            self.lives.load(SeqCst),
            self.starts.load(SeqCst),
            self.killed.load(SeqCst),
            self.deleted.load(SeqCst),
            self.unseen.load(SeqCst),
            self.small.load(SeqCst),
            self.slow.load(SeqCst),
            at(0.5),
            at(0.99),
            longest.as_secs_f64() * 1000.0,
        )
    }
}

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(value) => value.parse().unwrap_or_else(|_| panic!("{name}: {value:?} is not a number")),
        Err(_) => default,
    }
}
