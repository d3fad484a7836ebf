//! What is in the directory, found out without the observer, and what may be concluded from it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::LazyLock;

use exeunt::machine::{Codes, Status, Verdict};
use exeunt::report::Report;
use exeunt::stage::conclude::Conclusion;
use exeunt::stage::file::boot_id;
use exeunt::stage::observe::Observer;
use exeunt::stage::record::{Policy, Record};
use exeunt::stage::{Directory, Identity, names, ready, running, terminated};
use exeunt::status;

static BOOT_ID: LazyLock<String> = LazyLock::new(boot_id);

/// What is there of one name.
#[derive(Debug)]
pub struct Truth {
    sentinel: Option<Thing>,
    running: Option<Thing>,
    ready: Option<Thing>,
}

/// What stands under a file's name.
#[derive(Debug)]
struct Thing {
    identity: Identity,
    /// Only of a regular file.
    held: Option<bool>,
    record: Option<Record>,
}

impl Truth {
    pub fn of(place: &Path, name: &str) -> Truth {
        let thing = |file: String| Thing::at(&place.join(file));
        Truth { sentinel: thing(terminated(name)), running: thing(running(name)), ready: thing(ready(name)) }
    }

    pub fn is_held(&self) -> bool {
        self.running.as_ref().and_then(|running| running.held) == Some(true)
    }

    pub fn identity(&self) -> Option<Identity> {
        self.running.as_ref().map(|running| running.identity)
    }

    /// The record of `-running`.
    pub fn record(&self) -> Option<&Record> {
        self.running.as_ref()?.record.as_ref()
    }

    pub fn has_marks_of_an_end(&self) -> bool {
        self.sentinel.is_some() || self.ready.is_some()
    }

    /// The sentinel, if it counts for this run.
    fn over(&self, run_id: Option<&str>) -> Option<&Thing> {
        let counts =
            |thing: &&Thing| run_id.is_none() || thing.record.as_ref().is_some_and(|record| is_of(record, run_id));
        self.sentinel.as_ref().filter(counts)
    }

    /// The laws that hold for every observer, whatever it has seen before.
    pub fn allows(&self, conclusion: Conclusion, run_id: Option<&str>, seen_held: &HashSet<Identity>) {
        let ended = matches!(conclusion, Conclusion::Over(_) | Conclusion::BetweenAttempts(_));
        let shown = || format!("{conclusion:?} with run id {run_id:?} from {self:#?}");
        if let Some(sentinel) = self.over(run_id) {
            // Its existence is the fact.
            let status = sentinel.record.as_ref().and_then(Record::status);
            let verdict = status.map_or(Verdict::Silent, Verdict::Told);
            assert_eq!(conclusion, Conclusion::Over(verdict), "{}", shown());
            return;
        }
        let Some(running) = &self.running else {
            // Only a life that was seen held can be told by its lock after its name has gone.
            assert!(conclusion == Conclusion::NotStarted || !seen_held.is_empty(), "{}", shown());
            return;
        };
        // A life that was seen held is believed as long as its lock is held, whatever stands in its place now.
        let lives_on = conclusion == Conclusion::Running && !seen_held.is_empty();
        match running.held {
            _ if lives_on => {}
            // A sidecar never leaves early.
            Some(true) => assert!(!ended, "{}", shown()),
            Some(false) => {
                let proves = self.lock_proves() || seen_held.contains(&running.identity);
                assert!(!ended || proves, "{}", shown());
                assert!(conclusion != Conclusion::Running, "{}", shown());
            }
            None => assert_eq!(conclusion, Conclusion::NotStarted, "{}", shown()),
        }
    }

    /// The table, for one who has seen nothing before.
    pub fn is_all_that_a_newcomer_sees(&self, conclusion: Conclusion, run_id: Option<&str>) {
        if self.over(run_id).is_some() {
            return;
        }
        let record = self.record();
        let regular = self.running.as_ref().and_then(|running| running.held);
        let expected = match regular {
            None => Conclusion::NotStarted,
            Some(_) if run_id.is_some() && !record.is_some_and(|record| is_of(record, run_id)) => {
                Conclusion::NotStarted
            }
            Some(true) => Conclusion::Running,
            Some(false) if !self.lock_proves() => Conclusion::Unproven,
            Some(false) => {
                let record = record.expect("it proves by its record");
                let verdict = record.status().map_or(Verdict::Lost, Verdict::Told);
                if is_repeated(record) { Conclusion::BetweenAttempts(verdict) } else { Conclusion::Over(verdict) }
            }
        };
        assert_eq!(conclusion, expected, "with run id {run_id:?} from {self:#?}");
    }

    /// The record names this kernel and this very file.
    fn lock_proves(&self) -> bool {
        self.running.as_ref().is_some_and(|running| {
            running.record.as_ref().is_some_and(|record| {
                !record.boot_id.is_empty()
                    && record.boot_id == *BOOT_ID
                    && (record.device, record.inode) == running.identity
            })
        })
    }

    pub fn is_ready(&self, run_id: Option<&str>, conclusion: Conclusion) -> bool {
        let ready = self.ready.as_ref().filter(|ready| ready.held.is_some());
        conclusion == Conclusion::Running
            && ready.is_some_and(|ready| {
                run_id.is_none() || ready.record.as_ref().is_some_and(|record| is_of(record, run_id))
            })
    }
}

/// Whether the kubelet starts it again: what the record says of its end, or what its policy and its codes say of this code,
/// 137 where there is none.
fn is_repeated(record: &Record) -> bool {
    let code = record.status().map_or(137, Status::code);
    let named = record.restart_on.as_deref().and_then(|codes| Codes::parse(codes).ok());
    match record.last {
        Some(last) => !last,
        None if named.is_some_and(|codes| codes.contains(code)) => true,
        None => record.restart_policy == Policy::OnFailure && code != 0,
    }
}

fn is_of(record: &Record, run_id: Option<&str>) -> bool {
    record.run_id.as_deref() == run_id
}

impl Thing {
    fn at(path: &Path) -> Option<Thing> {
        let metadata = fs::symlink_metadata(path).ok()?;
        let identity = (metadata.dev(), metadata.ino());
        if !metadata.is_file() {
            return Some(Thing { identity, held: None, record: None });
        }
        let file = File::open(path).expect("a regular file");
        let held = file.try_lock_shared().is_err();
        Some(Thing { identity, held: Some(held), record: Record::read(&file) })
    }
}

/// All that stands in a directory, with its kind, size, time of change, and whether its lock is to be had.
pub fn everything(place: &Path) -> BTreeMap<OsString, (u64, u32, u64, i64, Option<bool>)> {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    let describe = |entry: fs::DirEntry| {
        let metadata = fs::symlink_metadata(entry.path()).ok()?;
        let free = metadata.is_file().then(|| File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()));
        let found = (metadata.ino(), metadata.mode(), metadata.size(), metadata.mtime_nsec(), free);
        Some((entry.file_name(), found))
    };
    entries.filter_map(describe).collect()
}

/// The table for people says of each name what an observer says, in lines that a terminal can take.
pub fn is_told_to_people(place: &Path, dir: &Directory) {
    let text = status::run(place, None, false, &Report::early()).expect("the directory can be read");
    assert!(text.ends_with('\n') && !text.replace('\n', "").contains(char::is_control), "{text:?}");
    let json = status::run(place, None, true, &Report::early()).expect("the directory can be read");
    let rows: Vec<serde_json::Value> = serde_json::from_str(&json).expect("JSON");
    let mut known = BTreeSet::new();
    for file in everything(place).keys().filter_map(|file| file.to_str()) {
        let endings = ["-running", "-ready", "-terminated"];
        let name =
            endings.iter().find_map(|ending| file.strip_suffix(ending)).filter(|name| names::check(name).is_ok());
        known.extend(name.map(str::to_owned));
    }
    assert_eq!(
        rows.iter().map(|row| row["name"].as_str().expect("a name")).collect::<Vec<_>>(),
        Vec::from_iter(&known)
    );
    assert_eq!(text.lines().count(), known.len() + 1, "{text:?}");
    for row in rows {
        let conclusion = Observer::new(row["name"].as_str().expect("a name"), None).look(dir);
        let states: &[&str] = match conclusion {
            Conclusion::NotStarted => &["lost", "not started"],
            Conclusion::Running => &["running"],
            Conclusion::Unproven => &["unknown"],
            Conclusion::BetweenAttempts(_) => &["between attempts"],
            Conclusion::Over(Verdict::Lost) => &["dead"],
            Conclusion::Over(_) => &["over"],
        };
        assert!(states.iter().any(|state| row["state"] == *state), "{row} for {conclusion:?}");
        if let Conclusion::Over(Verdict::Told(Status::Exited(code))) = conclusion {
            assert_eq!(row["exit_code"], code);
        }
    }
}

/// How many bytes this thread has read since its start; none where the kernel does not count them.
pub fn bytes_read() -> Option<u64> {
    let counts = fs::read_to_string("/proc/thread-self/io").ok()?;
    counts.lines().find_map(|line| line.strip_prefix("rchar: "))?.parse().ok()
}
