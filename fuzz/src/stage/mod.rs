//! The observe path, over a directory in which others do as they please: a script, decoded from the input, of what they
//! do, and of looks in between. Our own publisher takes part in it.

mod mischief;
mod publisher;
mod truth;

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use exeunt::machine::Verdict;
use exeunt::stage::conclude::{Conclusion, together};
use exeunt::stage::observe::Observer;
use exeunt::stage::publish::Life;
use exeunt::stage::{Directory, Identity};

use super::script::Script;
use truth::Truth;

/// Whose lives are played.
const NAMES: [&str; 2] = ["main-job", "a"];
const RUN_IDS: [Option<&str>; 3] = [None, Some("r1"), Some("r2")];
/// Who looks on from beginning to end, and for which run.
const SEATS: [(&str, Option<&str>); 3] = [("main-job", None), ("main-job", Some("r1")), ("a", None)];
/// A script is cut off here: what cannot be shown in so many steps will not be shown in more.
const STEPS: usize = 30;
/// What one look may read: twice a record for each of the files that it may open, and once more for `-running`, which may
/// be rewritten in place; two sights; and what it costs to ask for the count.
const READ_BY_A_LOOK: u64 = 2 * 3 * 4096 + 1024;

/// The input is a script.
pub fn stage(input: &[u8]) {
    let mut script = Script(input);
    let mut theatre = Theatre::new();
    for _ in 0..STEPS {
        if script.is_over() {
            break;
        }
        match script.below(16) {
            0..=9 => theatre.mischief(&mut script),
            10..=12 => theatre.publisher(&mut script),
            13 => theatre.directory_goes(&mut script),
            _ => theatre.everybody_looks(),
        }
    }
    theatre.everybody_looks();
    truth::is_told_to_people(&theatre.place, &theatre.dir);
}

struct Theatre {
    root: PathBuf,
    /// The directory that is held open, and where it is.
    dir: Directory,
    place: PathBuf,
    audience: Vec<Seat>,
    lives: [Option<Played>; NAMES.len()],
    /// Locks that others hold.
    locks: Vec<File>,
    moved: u32,
}

/// A life that our publisher plays, and whether somebody else has written into any file since.
struct Played {
    life: Life,
    run_id: Option<&'static str>,
    tampered: bool,
}

/// An observer that goes on looking, and what it has seen held so far.
struct Seat {
    name: &'static str,
    run_id: Option<&'static str>,
    observer: Observer,
    seen_held: HashSet<Identity>,
}

impl Theatre {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let memory = || Some(PathBuf::from("/dev/shm")).filter(|path| path.is_dir());
        let base = std::env::var_os("TMPDIR").map(PathBuf::from).or_else(memory).unwrap_or_else(std::env::temp_dir);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let root = base.join(format!("exeunt-fuzz-{}-{number}", std::process::id()));
        let place = root.join("pod");
        fs::create_dir_all(&place).expect("a directory in memory");
        fs::write(root.join("precious"), "precious").expect("a file in memory");
        let dir = Directory::open(&place).expect("it is there");
        let audience = SEATS.map(|(name, run_id)| Seat::new(name, run_id)).into();
        Theatre { root, dir, place, audience, lives: [const { None }; NAMES.len()], locks: Vec::new(), moved: 0 }
    }

    /// Where names lead to now; the directory that is held open may have gone elsewhere.
    fn pod(&self) -> PathBuf {
        self.root.join("pod")
    }

    fn directory_goes(&mut self, script: &mut Script<'_>) {
        let (pod, is_here) = (self.pod(), self.place == self.pod());
        assert_eq!(self.dir.is_current(), is_here, "whether the directory is the one that was opened");
        if script.below(2) == 0 && is_here {
            self.moved += 1;
            self.place = self.root.join(format!("moved-{}", self.moved));
            fs::rename(&pod, &self.place).expect("a directory moved");
            fs::create_dir(&pod).expect("a new one");
        } else {
            self.dir = Directory::open(&pod).expect("it is there");
            self.place = pod;
        }
    }

    /// Looks, by those who have looked before and by newcomers, and holds what they say against the laws.
    fn everybody_looks(&mut self) {
        let before = truth::everything(&self.place);
        let mut concluded = Vec::new();
        for seat in &mut self.audience {
            let truth = Truth::of(&self.place, seat.name);
            let read = truth::bytes_read();
            let conclusion = seat.observer.look(&self.dir);
            if let (Some(before), Some(after)) = (read, truth::bytes_read()) {
                assert!(after - before <= READ_BY_A_LOOK, "one look has read {} bytes", after - before);
            }
            if truth.is_held() {
                seat.seen_held.extend(truth.identity());
                assert!(!self.locks.is_empty() || self.lives.iter().any(Option::is_some), "we hold a lock ourselves");
            }
            truth.allows(conclusion, seat.run_id, &seat.seen_held);
            assert_eq!(seat.observer.look(&self.dir), conclusion, "looking has changed what is seen");
            assert_eq!(truth.is_ready(seat.run_id, conclusion), seat.observer.is_ready(&self.dir), "{truth:?}");

            let mut newcomer = Seat::new(seat.name, seat.run_id);
            let fresh = newcomer.observer.look(&self.dir);
            truth.allows(fresh, seat.run_id, &HashSet::new());
            truth.is_all_that_a_newcomer_sees(fresh, seat.run_id);
            concluded.push(conclusion);
        }
        the_order_of_names_does_not_matter(&concluded);
        assert_eq!(truth::everything(&self.place), before, "looking has changed the directory");
        let precious = fs::read(self.root.join("precious")).expect("what is outside the directory");
        assert_eq!(precious, b"precious", "a link was followed");
        assert!(File::open(self.root.join("precious")).expect("as above").try_lock().is_ok(), "a link was followed");
    }
}

impl Seat {
    fn new(name: &'static str, run_id: Option<&'static str>) -> Self {
        Seat { name, run_id, observer: Observer::new(name, run_id), seen_held: HashSet::new() }
    }
}

impl Drop for Theatre {
    fn drop(&mut self) {
        remove(&self.root);
    }
}

fn remove(path: &Path) {
    let _ = fs::remove_dir_all(path).or_else(|_| fs::remove_file(path));
}

/// Which name stands first on the list decides at most whose code it is.
fn the_order_of_names_does_not_matter(concluded: &[Conclusion]) {
    let kind = |conclusion: Conclusion| match conclusion {
        Conclusion::Over(verdict) => Some(verdict.code() == 0),
        Conclusion::BetweenAttempts(_) => Some(false),
        Conclusion::NotStarted | Conclusion::Running | Conclusion::Unproven => None,
    };
    let is_over = |conclusion: Conclusion| matches!(conclusion, Conclusion::Over(_));
    let forwards = |any| together(concluded.iter().copied(), any);
    let backwards = |any| together(concluded.iter().rev().copied(), any);
    assert_eq!(kind(forwards(false)), kind(backwards(false)), "{concluded:?}");
    assert_eq!(is_over(forwards(false)), concluded.iter().all(|one| is_over(*one)), "{concluded:?}");
    for any in [forwards(true), backwards(true)] {
        assert_eq!(is_over(any), concluded.iter().any(|one| is_over(*one)), "{concluded:?}");
    }
    let silent = Conclusion::Over(Verdict::Silent);
    assert_eq!(together([silent].into_iter(), false), silent);
}
