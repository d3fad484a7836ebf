//! The one door to the volume. Where the file system is local, what is wished for is done in place: a thread would cost more
//! than the doing. Where it is not, or cannot be told without asking it, one worker does it, from the opening on, so that a
//! volume that hangs never makes the init deaf; the answer rings the bell of the loop. One wish is under way at a time; of
//! those that wait the newest wins.

use super::volume::{Answer, Await, Look, Request, Volume};
use crate::machine::Status;
use crate::plan::Plan;
use crate::report::Report;
use crate::stage::publish::Turn;
use crate::stage::watch::{Bell, Rung};
use crate::sys::{descriptors, mounts, signals};
use anyhow::Result;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Builder, Thread};
use std::time::{Duration, Instant};

/// A volume that has not answered for so long hangs, as far as others should wait for it.
const HANGS_AFTER: Duration = Duration::from_secs(1);
/// Where no thread can be started just now, it is tried so often again, with pauses that double from a millisecond: a quarter of
/// a second in all, before anything has been started.
const TRIES: u32 = 8;
/// The worker's stack: nothing it does is deep.
const STACK: usize = 256 * 1024;

/// The way to the volume.
pub struct Door {
    place: Place,
    /// A worker has found it to be local.
    local: bool,
    bell: Option<Bell>,
    /// The number of the last look that was asked for, and of the last that was answered.
    asked: u64,
    answered: u64,
}

enum Place {
    /// There is no volume: it has not been opened, or cannot be.
    Closed,
    /// What is asked for is done here and now.
    Here(Box<Volume>),
    /// What is asked for is done by a worker.
    Beside(Worker),
}

struct Worker {
    desk: Arc<Desk>,
    thread: Thread,
    /// Whether it has the volume open.
    opened: bool,
    wishes: Wishes,
    /// Since when one of them is under way.
    since: Option<Instant>,
    hangs: bool,
}

/// Over which the loop and the worker deal with each other: one thing asked for, one answered.
#[derive(Default)]
struct Desk(Mutex<(Option<Request>, Option<Answer>)>);

impl Desk {
    fn open(&self) -> MutexGuard<'_, (Option<Request>, Option<Answer>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What waits for the worker: of each kind the newest.
#[derive(Default)]
struct Wishes {
    claim: Option<Turn>,
    mark: Option<bool>,
    unwatch: bool,
    leave: bool,
    /// `Some(None)`: to await nothing any more.
    conditions: Option<Option<Await>>,
    look: Option<Look>,
    end: Option<(Status, bool)>,
}

impl Door {
    /// A door that leads nowhere yet.
    pub fn new() -> Door {
        Door { place: Place::Closed, local: false, bell: None, asked: 0, answered: 0 }
    }

    /// Opens the volume, if it is not open. Whether it is; if not, that is answered later by `Opened`.
    ///
    /// # Errors
    /// One line that says which volume is missing.
    pub fn open(&mut self, plan: &Arc<Plan>, report: Report) -> Result<bool> {
        match &self.place {
            Place::Here(_) => return Ok(true),
            Place::Beside(worker) => return Ok(worker.opened),
            Place::Closed => {}
        }
        let local = self.local || mounts::answers_at_once(&plan.dir);
        if !local {
            let bell = self.bell();
            let start = |bell: &Bell| Worker::start(Arc::clone(plan), report, bell.clone());
            let again = |tries: u32, bell: &Bell| {
                signals::pause(Duration::from_millis(1 << tries));
                start(bell)
            };
            let worker =
                bell.and_then(|bell| start(&bell).or_else(|| (0..TRIES).find_map(|tries| again(tries, &bell))));
            if let Some(worker) = worker {
                self.place = Place::Beside(worker);
                return Ok(false);
            }
        }
        self.place = Place::Here(Box::new(Volume::open(Arc::clone(plan), report, local)?));
        Ok(true)
    }

    /// Whether it leads to a volume that answers at once, or never.
    pub fn is_local(&self) -> bool {
        matches!(&self.place, Place::Here(volume) if volume.is_local())
    }

    /// Whether there was no room for a worker.
    pub fn has_given_way(&self) -> bool {
        matches!(&self.place, Place::Here(volume) if !volume.is_local())
    }

    /// Whether it leads to a volume.
    pub fn is_open(&self) -> bool {
        !matches!(self.place, Place::Closed)
    }

    /// The bell that the loop waits for. Made when it is wanted: not everybody waits for one.
    pub fn bell(&mut self) -> Option<Bell> {
        self.bell = self.bell.take().or_else(|| Bell::new().ok());
        self.bell.clone()
    }

    /// What to wait for.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.bell.as_ref().map(Bell::descriptor)
    }

    /// What it was rung for.
    pub fn rung(&self) -> Rung {
        self.bell.as_ref().map(Bell::answer).unwrap_or_default()
    }

    /// The number that the next look will have.
    pub fn next_look(&mut self) -> u64 {
        self.asked += 1;
        self.asked
    }

    /// Whether a look with this number, or a later one, has been answered.
    pub fn has_answered(&self, number: u64) -> bool {
        self.answered >= number
    }

    /// Asks for something. The answer, if it is there at once.
    pub fn ask(&mut self, request: Request) -> Option<Answer> {
        match &mut self.place {
            Place::Closed => None,
            Place::Here(volume) => {
                let answer = volume.serve(request);
                self.note(&answer);
                Some(answer)
            }
            Place::Beside(worker) => {
                worker.wishes.add(request);
                worker.go_on();
                None
            }
        }
    }

    /// The next answer of the worker.
    pub fn answer(&mut self) -> Option<Answer> {
        let Place::Beside(worker) = &mut self.place else { return None };
        let answer = worker.desk.open().1.take()?;
        worker.since = None;
        worker.hangs = false;
        worker.opened = true;
        worker.go_on();
        if let Answer::Opened(Ok(true) | Err(_)) = answer {
            // It has ended: nobody is needed where nothing hangs.
            self.place = Place::Closed;
            self.local = matches!(answer, Answer::Opened(Ok(_)));
        }
        self.note(&answer);
        Some(answer)
    }

    fn note(&mut self, answer: &Answer) {
        if let Answer::Looked { number, .. } = answer {
            self.answered = self.answered.max(*number);
        }
    }

    /// When it has to be said that the volume hangs.
    pub fn hangs_at(&self) -> Option<Instant> {
        let Place::Beside(worker) = &self.place else { return None };
        worker.since.filter(|_| !worker.hangs).and_then(|since| since.checked_add(HANGS_AFTER))
    }

    /// Nobody waits for the volume any more, until it answers.
    pub fn give_up_waiting(&mut self) {
        if let Place::Beside(worker) = &mut self.place {
            worker.hangs = worker.since.is_some();
        }
    }

    /// Whether the volume has not answered for so long that nobody should wait for it.
    pub fn hangs(&self) -> bool {
        matches!(&self.place, Place::Beside(worker) if worker.hangs)
    }
}

impl Worker {
    /// Starts the worker, and the opening with it. `None` if there is no room for a thread, or none for the command beside it.
    fn start(plan: Arc<Plan>, report: Report, bell: Bell) -> Option<Worker> {
        let desk = Arc::<Desk>::default();
        let own = Arc::clone(&desk);
        let work = move || {
            let tell = |answer| {
                own.open().1 = Some(answer);
                bell.wake();
            };
            // exec(2) closes the copies that a child has of our descriptors, and the kernel asks some volumes (FUSE) about each:
            // what is opened here must not be open there, or no child could be started while the volume hangs.
            descriptors::have_a_table_of_our_own();
            let mut volume = match Volume::open(plan, report, false) {
                Ok(volume) => volume,
                Err(error) => return tell(Answer::Opened(Err(error))),
            };
            tell(Answer::Opened(Ok(volume.is_local())));
            while !volume.is_local() {
                let request = own.open().0.take();
                match request {
                    Some(request) => tell(volume.serve(request)),
                    None => thread::park(),
                }
            }
        };
        // Somebody keeps the command's place, where few tasks are allowed.
        let place = Builder::new().stack_size(STACK).spawn(thread::park).ok()?;
        let worker = Builder::new().stack_size(STACK).spawn(work).ok();
        place.thread().unpark();
        let _ = place.join();
        signals::catch_again();
        let thread = worker?.thread().clone();
        Some(Worker {
            desk,
            thread,
            opened: false,
            wishes: Wishes::default(),
            since: Some(Instant::now()),
            hangs: false,
        })
    }

    /// Gives the worker the next thing to do, if it has nothing to do.
    fn go_on(&mut self) {
        if self.since.is_none()
            && let Some(request) = self.wishes.next()
        {
            self.since = Some(Instant::now());
            self.desk.open().0 = Some(request);
            self.thread.unpark();
        }
    }
}

impl Wishes {
    fn add(&mut self, request: Request) {
        match request {
            Request::Claim(turn) => self.claim = Some(turn),
            Request::Mark(ready) => self.mark = Some(ready),
            Request::Await(wanted) => self.conditions = Some(Some(wanted)),
            Request::Cease => self.conditions = Some(None),
            Request::Look(look) => {
                let earlier = self.look.take();
                self.look = Some(earlier.map_or(look.clone(), |earlier| earlier.and(look)));
            }
            Request::Unwatch => self.unwatch = true,
            Request::Leave => {
                self.leave = true;
                self.look = None;
            }
            // Whatever else was wished for, it is over.
            Request::End { status, last } => *self = Wishes { end: Some((status, last)), ..Wishes::default() },
        }
    }

    fn next(&mut self) -> Option<Request> {
        let claim = self.claim.take().map(Request::Claim);
        let mark = |own: &mut Self| own.mark.take().map(Request::Mark);
        let unwatch = |own: &mut Self| std::mem::take(&mut own.unwatch).then_some(Request::Unwatch);
        let leave = |own: &mut Self| std::mem::take(&mut own.leave).then_some(Request::Leave);
        let conditions = |own: &mut Self| own.conditions.take().map(|some| some.map_or(Request::Cease, Request::Await));
        let look = |own: &mut Self| own.look.take().map(Request::Look);
        let end = |own: &mut Self| own.end.take().map(|(status, last)| Request::End { status, last });
        claim
            .or_else(|| mark(self))
            .or_else(|| unwatch(self))
            .or_else(|| leave(self))
            .or_else(|| conditions(self))
            .or_else(|| look(self))
            .or_else(|| end(self))
    }
}
