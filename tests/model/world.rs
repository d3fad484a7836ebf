//! A Pod: main, its sidecars, the volume that they share, and a kubelet that may kill, start and delete at any moment,
//! also between two steps of a claim, of a publication and of a look.
//!
//! The decisions are the program's own: `machine::step` on both sides, and `conclude::conclude` over what a look has seen.
//! What lies between is told again here, step by step in the order of `stage/publish.rs` and `stage/observe.rs`.

use super::policies::{HUP, TERM};
use super::search::Outcome;
use super::settings::{Left, Mains, Setting, Watch};
use exeunt::machine::{State, Status, Timer};
use exeunt::stage::conclude::{Running, Sighting};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Record {
    pub ours: bool,
    /// It names this kernel and this inode.
    pub here: bool,
    /// It says after which codes the next attempt comes.
    pub says: bool,
    pub ended: Option<Status>,
    pub last: bool,
}

/// An inode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct File {
    pub record: Record,
    pub locked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Container {
    Waiting,
    Up,
    Gone(u8),
}

/// What main's driver is in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Doing {
    Nothing,
    Claim(u8),
    Publish { step: u8, status: Status, last: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Main {
    pub container: Container,
    pub state: State,
    pub doing: Doing,
    pub file: Option<usize>,
    pub command: bool,
    /// SIGKILL has come; the close event is out, the lock not yet dropped.
    pub dying: bool,
    /// SIGTERM is on its way.
    pub term: bool,
    /// It came before the command was started.
    pub early: bool,
    /// The truth, which nobody inside can see: how the command ended last.
    pub ended: Option<Status>,
    /// How it ended for good, once that has been said. Stays, even if the kubelet repeats a job whose wrapper was killed after that.
    pub over: Option<Status>,
    /// How it ended could not be written into the record.
    pub unsaid: bool,
    /// The last wrapper was killed before it had written how.
    pub mute: bool,
    /// A life has been on stage.
    pub staged: bool,
}

/// Where a look is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Look {
    Idle,
    Stat { again: bool },
    Open { again: bool },
    Lock { again: bool },
    Sentinel { again: bool, running: Option<Running> },
}

/// On which side of the end of the job something lies, as everybody can see that end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum When {
    Before,
    After,
}

/// What comes to a sidecar from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Facts {
    /// Signals: bit n-1 is signal n.
    pub signals: u16,
    /// Its child has ended, and so.
    pub dead: Option<Status>,
    /// This time is up.
    pub elapsed: Option<Timer>,
}

/// The place of a signal in a set.
pub const fn bit(signal: u8) -> u16 {
    1 << (signal - 1)
}

impl Facts {
    pub fn has(self, signal: u8) -> bool {
        self.signals & bit(signal) != 0
    }

    /// The signals, lowest first.
    pub fn members(self) -> impl DoubleEndedIterator<Item = u8> {
        (HUP..=TERM).filter(move |signal| self.has(*signal))
    }
}

/// `--absence-timeout`: for how long nothing of the job has been there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Absent {
    No,
    Since,
    TooLong,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Held {
    pub file: usize,
    pub seen_locked: bool,
    pub record: Record,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sidecar {
    pub container: Container,
    pub state: State,
    pub child: bool,
    /// What has come and has not been noticed: it may get no time for a while.
    pub came: Facts,
    /// What has been noticed. It does not count before a look that began after that.
    pub noticed: Facts,
    /// Such a look has begun.
    pub judged: bool,
    /// The time was up only after the end of the job, as far as it has noticed.
    pub late: bool,
    /// When the first came that ends it, in this life of its child: a signal from outside, or the death of the child.
    pub first: Option<When>,
    /// SIGTERM has come; and once more, when the first had been noticed.
    pub ordered: bool,
    pub again: bool,
    /// Which signals that ask it to end it has been told of.
    pub told: u16,
    /// The code for which it is stopped, and whether that counts only if its child has to be killed.
    pub owes: Option<(u8, bool)>,
    /// A signal that ends a process came before its child was started.
    pub early: bool,
    /// A signal came between two lives of its child.
    pub owed: bool,
    /// The child has been asked to end, or killed.
    pub asked: Option<Status>,
    pub deadline: Option<Timer>,
    pub absent: Absent,
    /// The job has come since the last look began; since the one from which its absence is counted.
    pub came_now: bool,
    pub came_since: bool,
    pub watching: bool,
    /// The watch has reported something since the last look began.
    pub due: bool,
    pub look: Look,
    /// Which name the look is at, and what it has seen of the first.
    pub at: usize,
    pub first_seen: Sighting,
    /// The command of the job was running when the look began.
    pub ran: bool,
    pub held: [Option<Held>; NAMES],
    /// It has found the lock of the present life held.
    pub saw: [bool; NAMES],
}

// The promises.
pub const OUTLIVES: &str = "1. A sidecar never outlives its job";
pub const EARLY: &str = "2. A sidecar never leaves early";
pub const UNTRUE: &str = "3. The exit code is the truth";
pub const ORDER: &str = "4. Facts are judged in the order in which they happened";
pub const SENT: &str = "5. What is sent is acted on, and reaches whom it is for";

const FILES: usize = 8;
pub const NAMES: usize = 2;

/// What a name leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Name {
    pub running: Option<usize>,
    pub terminated: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub files: [File; FILES],
    pub names: [Name; NAMES],
    pub mains: [Main; NAMES],
    /// Those that the Pod does not have are gone from the beginning.
    pub sidecars: [Sidecar; 2],
    pub deleted: bool,
    /// Which of his signals somebody has sent: bit n is the one at place n.
    pub sent: u8,
    pub round: Round,
}

/// Which round of the Pod it is: the kubelet may start all its containers anew, and the first of them resets the volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Round {
    First,
    /// `exeunt reset` is at this name, and has to do this with it.
    Resets(usize, Reset),
    Later,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reset {
    TestsTheLocks,
    RemovesTheLife,
    RemovesTheSentinel,
}

pub const FRESH_MAIN: Main = Main {
    container: Container::Waiting,
    state: State::New,
    doing: Doing::Nothing,
    file: None,
    command: false,
    dying: false,
    term: false,
    early: false,
    ended: None,
    over: None,
    unsaid: false,
    mute: false,
    staged: false,
};

const NO_FACTS: Facts = Facts { signals: 0, dead: None, elapsed: None };

pub const FRESH_SIDECAR: Sidecar = Sidecar {
    container: Container::Waiting,
    state: State::New,
    child: false,
    came: NO_FACTS,
    noticed: NO_FACTS,
    judged: false,
    late: false,
    first: None,
    ordered: false,
    again: false,
    told: 0,
    owes: None,
    early: false,
    owed: false,
    asked: None,
    deadline: None,
    absent: Absent::No,
    came_now: false,
    came_since: false,
    watching: false,
    due: false,
    look: Look::Idle,
    at: 0,
    first_seen: Sighting { terminated: None, running: None },
    ran: false,
    held: [None; NAMES],
    saw: [false; NAMES],
};

impl World {
    pub fn new(setting: &Setting) -> World {
        let mut world = World {
            files: [File::default(); FILES],
            names: [Name::default(); NAMES],
            mains: [FRESH_MAIN; NAMES],
            sidecars: [FRESH_SIDECAR; 2],
            deleted: false,
            sent: 0,
            round: Round::First,
        };
        for absent in world.mains.iter_mut().skip(setting.mains.count()) {
            absent.container = Container::Gone(0);
        }
        for absent in world.sidecars.iter_mut().skip(setting.sidecars) {
            absent.container = Container::Gone(0);
        }
        let old = Record { here: setting.locks.are_in_one_place(), says: true, ..Record::default() };
        let ended = Some(Status::Exited(0));
        let life = match setting.left {
            Left::Nothing | Left::Sentinel => None,
            Left::Life | Left::Both => Some(old),
            Left::LifeOfAnotherBoot => Some(Record { here: false, ..old }),
            Left::Attempt => Some(Record { ended: Some(Status::Exited(3)), ..old }),
        };
        if let Some(record) = life {
            world.files[0].record = record;
            world.names[0].running = Some(0);
        }
        if matches!(setting.left, Left::Sentinel | Left::Both) {
            world.files[1].record = Record { ended, last: true, ..old };
            world.names[0].terminated = Some(1);
        }
        world.tidy()
    }

    /// The truth: whether an attempt of a job runs, or is still to come.
    pub fn is_open(&self, setting: &Setting, of: usize) -> bool {
        let main = &self.mains[of];
        let final_death = main.dying && (!setting.restart_on.contains(137) || self.deleted);
        main.over.is_none()
            && match main.container {
                Container::Waiting => !self.deleted,
                Container::Up => !final_death && (main.command || !self.deleted),
                Container::Gone(_) => false,
            }
    }

    /// The same of whatever the sidecars wait for.
    pub fn job_is_open(&self, setting: &Setting) -> bool {
        let mut open = (0..setting.mains.count()).map(|of| self.is_open(setting, of));
        if setting.mains == Mains::Any { open.all(|open| open) } else { open.any(|open| open) }
    }

    /// Everybody can see that the job is over.
    fn is_told(&self, setting: &Setting) -> bool {
        let counts = |file: usize| self.files[file].record.ours || !setting.run_id;
        let told = self.names[0].terminated.is_some_and(counts) && setting.mains == Mains::One;
        told && !self.deleted && !setting.repeats_in_vain
    }

    pub fn when(&self, setting: &Setting) -> When {
        if self.is_told(setting) { When::After } else { When::Before }
    }

    /// What somebody has still to send; of two of one number, the first. And where that stands in his list.
    pub fn unsent(&self, setting: &Setting) -> Vec<(usize, u8)> {
        let mut left: Vec<_> = setting.sent.iter().copied().enumerate().collect();
        left.retain(|(place, _)| self.sent & 1 << place == 0);
        left.dedup_by_key(|(_, signal)| *signal);
        left
    }

    pub fn is_resetting(&self) -> bool {
        matches!(self.round, Round::Resets(..))
    }

    /// What the kubelet does when a container ends.
    pub fn after_exit(&self, setting: &Setting, code: u8) -> Container {
        let again = setting.restart_on.contains(code) && !self.deleted;
        if again { Container::Waiting } else { Container::Gone(code) }
    }

    /// An inode that nothing leads to.
    pub fn unused(&self) -> usize {
        (0..FILES).find(|file| !self.leads_to(*file)).expect("there are more inodes than names and holders")
    }

    fn leads_to(&self, file: usize) -> bool {
        let file = Some(file);
        self.names.iter().any(|name| name.running == file || name.terminated == file)
            || self.mains.iter().any(|main| main.file == file)
            || self.sidecars.iter().flat_map(|sidecar| sidecar.held).any(|held| held.map(|held| held.file) == file)
    }

    /// Something has happened in the directory.
    pub fn ring(&mut self, setting: &Setting) {
        for sidecar in &mut self.sidecars {
            sidecar.due |= sidecar.watching && setting.watch != Watch::Silent;
        }
    }

    /// So that there are no more worlds than differences: an inode is what leads to it, whatever its number.
    pub fn tidy(mut self) -> World {
        let (old, mut numbers, mut used) = (self.files, [None; FILES], 0);
        self.files = [File::default(); FILES];
        let mut number = |file: usize| {
            *numbers[file].get_or_insert_with(|| {
                used += 1;
                self.files[used - 1] = old[file];
                used - 1
            })
        };
        for name in &mut self.names {
            name.running = name.running.map(&mut number);
            name.terminated = name.terminated.map(&mut number);
        }
        for main in &mut self.mains {
            main.file = main.file.map(&mut number);
        }
        for held in self.sidecars.iter_mut().flat_map(|sidecar| &mut sidecar.held).flatten() {
            held.file = number(held.file);
        }
        self
    }
}

/// Who does what.
#[derive(Clone, Copy)]
pub struct Label(pub &'static str, pub &'static str);

impl std::fmt::Debug for Label {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.0, self.1)
    }
}

pub type Steps = Vec<(Label, Outcome<World>)>;

/// Whatever may happen next, and what comes of it.
pub fn steps(setting: &Setting, world: &World) -> Steps {
    let mut steps = Vec::new();
    for of in 0..setting.mains.count() {
        super::world_main::steps(setting, world, of, &mut steps);
    }
    for place in 0..setting.sidecars {
        super::world_sidecar::steps(setting, world, place, &mut steps);
    }
    if setting.deletes && !world.deleted && world.mains[0].staged {
        let mut next = *world;
        next.deleted = true;
        for main in &mut next.mains {
            match main.container {
                Container::Waiting => main.container = Container::Gone(0),
                Container::Up => {
                    (main.term, main.early) = (true, matches!(main.state, State::Claiming { .. }));
                }
                Container::Gone(_) => {}
            }
        }
        for place in 0..setting.sidecars {
            match next.sidecars[place].container {
                Container::Waiting => next.sidecars[place].container = Container::Gone(0),
                Container::Up => next.is_sent(setting, place, TERM),
                Container::Gone(_) => {}
            }
        }
        steps.push((Label("kubelet", "the Pod is deleted"), Ok(next)));
    }
    steps.extend(super::world_round::step(setting, world).map(|(what, next)| (what, Ok(next))));
    steps.into_iter().map(|(what, outcome)| (what, outcome.map(World::tidy))).collect()
}
