//! What the tests that strike exeunt at its system calls have in common: the command line, the gate, the counting.

use super::{Call, Verdict};
use crate::house::counts::full_length;
use crate::house::{self, House, proc};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

/// exeunt, to be started under the tracer; what it and its command write is in `NAME.out` and `NAME.err`.
pub fn exeunt<'a>(house: &House, name: &str, words: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(house::EXEUNT);
    command.arg("--dir").arg(house.pod("")).args(words);
    for (variable, _) in std::env::vars_os() {
        if variable.as_encoded_bytes().starts_with(b"EXEUNT_") {
            command.env_remove(variable);
        }
    }
    command.env(proc::MARK, house.path("traced.run")).stdin(Stdio::null());
    command.stdout(File::create(house.path(format!("{name}.out"))).expect("a file for stdout"));
    command.stderr(File::create(house.path(format!("{name}.err"))).expect("a file for stderr"));
    command
}

/// What a file of the house holds; nothing if there is none.
pub fn text(house: &House, name: &str) -> String {
    String::from_utf8_lossy(&fs::read(house.path(name)).unwrap_or_default()).into_owned()
}

/// The names in the shared directory, in order.
pub fn stage(house: &House) -> Vec<String> {
    let entries = fs::read_dir(house.pod("")).expect("the shared directory").flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The lives that are played: the plain one, and at full length (EXEUNT_FULL=1) also one in which the options take part
/// that start processes of their own.
pub fn lives(full: &'static [&'static str]) -> Vec<&'static [&'static str]> {
    [&[][..]].into_iter().chain(full_length().then_some(full)).collect()
}

/// A FIFO at which a command waits until it is opened: `read x < GATE`.
pub struct Gate {
    fifo: File,
    pub path: PathBuf,
    opened: AtomicBool,
}

impl Gate {
    pub fn new(house: &House, name: &str) -> Self {
        let path = house.path(name);
        let made = Command::new("mkfifo").arg(&path).status().expect("mkfifo");
        assert!(made.success(), "mkfifo {}", path.display());
        // Open for both sides, so nobody waits for somebody else to open it.
        let fifo = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(&path);
        Self { fifo: fifo.expect("the gate"), path, opened: AtomicBool::new(false) }
    }

    pub fn open(&self) {
        if !self.opened.swap(true, SeqCst) {
            (&self.fifo).write_all(b"go\n").expect("the gate can be opened");
        }
    }

    /// `echo started`, then wait, then `exit CODE`.
    pub fn job(&self, code: u8) -> String {
        format!("echo started; read x < {}; exit {code}", self.path.display())
    }
}

/// Recognises the moment in which exeunt has started its command and goes to sleep.
#[derive(Default)]
pub struct Moment {
    launched: bool,
}

impl Moment {
    /// Whether this call is the wait that follows the start.
    pub fn has_come(&mut self, call: &Call) -> bool {
        self.launched |= call.child && call.number == libc::SYS_execve;
        self.launched && !call.child && call.number == libc::SYS_ppoll
    }
}

/// Kills at the call with this number.
pub fn kill_at(index: u64) -> impl Fn(&Call) -> Verdict {
    move |call| if call.index == index { Verdict::Kill } else { Verdict::Pass }
}

/// Runs `case` for 1, 2, 3… on several threads until it answers for `ENOUGH` numbers on end that they lie beyond the
/// end of the run: the length of a run differs by a few calls. Returns how many were within.
pub fn for_every_call(what: &str, case: impl Fn(u64) -> bool + Sync) -> u64 {
    const ENOUGH: u64 = 5;
    let (next, within, beyond) = (AtomicU64::new(1), AtomicU64::new(0), AtomicU64::new(0));
    in_parallel(|| {
        while beyond.load(SeqCst) < ENOUGH {
            let index = next.fetch_add(1, SeqCst);
            let note = Note(format!("{what}: struck at system call {index}"));
            if case(index) {
                within.fetch_add(1, SeqCst);
                beyond.store(0, SeqCst);
            } else {
                beyond.fetch_add(1, SeqCst);
            }
            drop(note);
        }
    });
    within.into_inner()
}

/// Runs `worker` on as many threads as are worth while: they wait more than they compute.
pub fn in_parallel(worker: impl Fn() + Sync) {
    let threads = std::env::var("EXEUNT_FAULT_THREADS").ok().and_then(|number| number.parse().ok());
    let threads = threads.unwrap_or_else(|| 2 * std::thread::available_parallelism().map_or(2, usize::from));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(&worker);
        }
    });
}

/// Said when the thread that holds it fails.
pub struct Note(pub String);

impl Drop for Note {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--> {}", self.0);
        }
    }
}

/// The longest of many times, and what it belonged to.
#[derive(Default)]
pub struct Longest(Mutex<(Duration, u64)>);

impl Longest {
    pub fn note(&self, time: Duration, index: u64) {
        let mut longest = self.0.lock().expect("nobody fails while holding it");
        *longest = (*longest).max((time, index));
    }

    pub fn say(&self) -> String {
        let (time, index) = *self.0.lock().expect("nobody fails while holding it");
        format!("{:.1} ms (call {index})", time.as_secs_f64() * 1000.0)
    }
}
