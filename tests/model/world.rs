//! A Pod: main, its sidecars, the volume that they share, and a kubelet that may kill, start and delete at any moment,
//! also between two steps of a claim, of a publication and of a look.
//!
//! The decisions are the program's own: `machine::step` on both sides, and `observe::conclude` over what a look has seen.
//! What lies between is told again here, step by step in the order of `stage/publish.rs` and `stage/observe.rs`.

use super::search::Outcome;
use super::settings::{Left, Setting};
use exeunt::machine::{RestartPolicy, State, Status, Timer};
use exeunt::stage::observe::Running;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Record {
    pub ours: bool,
    pub restarts: bool,
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
    /// The child has been asked to end, or killed.
    pub asked: Option<Status>,
    pub deadline: Option<Timer>,
    pub term: bool,
    pub watching: bool,
    /// The watch has reported something since the last look began.
    pub due: bool,
    pub look: Look,
    /// The command of the job was running when the look began.
    pub ran: bool,
    pub held: Option<Held>,
    /// It has found the lock of the present life held.
    pub saw: bool,
}

const FILES: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub files: [File; FILES],
    pub running: Option<usize>,
    pub terminated: Option<usize>,
    pub main: Main,
    /// Those that the Pod does not have are gone from the beginning.
    pub sidecars: [Sidecar; 2],
    pub deleted: bool,
}

pub const FRESH_MAIN: Main = Main {
    container: Container::Waiting,
    state: State::New,
    doing: Doing::Nothing,
    file: None,
    command: false,
    dying: false,
    term: false,
    ended: None,
    over: None,
    unsaid: false,
    mute: false,
    staged: false,
};

pub const FRESH_SIDECAR: Sidecar = Sidecar {
    container: Container::Waiting,
    state: State::New,
    child: false,
    asked: None,
    deadline: None,
    term: false,
    watching: false,
    due: false,
    look: Look::Idle,
    ran: false,
    held: None,
    saw: false,
};

impl World {
    pub fn new(setting: &Setting) -> World {
        let mut world = World {
            files: [File::default(); FILES],
            running: None,
            terminated: None,
            main: FRESH_MAIN,
            sidecars: [FRESH_SIDECAR; 2],
            deleted: false,
        };
        for absent in world.sidecars.iter_mut().skip(setting.sidecars) {
            absent.container = Container::Gone(0);
        }
        let restarts = setting.restart_policy == RestartPolicy::OnFailure;
        match setting.left {
            Left::Nothing => {}
            Left::Sentinel => {
                let ended = Some(Status::Exited(0));
                world.files[0].record = Record { ours: false, restarts, ended, last: true };
                world.terminated = Some(0);
            }
            Left::Life => {
                world.files[0].record = Record { restarts, ..Record::default() };
                world.running = Some(0);
            }
        }
        world
    }

    /// The truth: whether an attempt of the job runs, or is still to come.
    pub fn job_is_open(&self, setting: &Setting) -> bool {
        let final_death = self.main.dying && (setting.restart_policy == RestartPolicy::Never || self.deleted);
        self.main.over.is_none()
            && match self.main.container {
                Container::Waiting => !self.deleted,
                Container::Up => !final_death && (self.main.command || !self.deleted),
                Container::Gone(_) => false,
            }
    }

    /// What the kubelet does when a container ends.
    pub fn after_exit(&self, setting: &Setting, code: u8) -> Container {
        let again = setting.restart_policy == RestartPolicy::OnFailure && code != 0 && !self.deleted;
        if again { Container::Waiting } else { Container::Gone(code) }
    }

    /// An inode that nothing leads to.
    pub fn unused(&self) -> usize {
        (0..FILES).find(|file| !self.leads_to(*file)).expect("there are more inodes than names and holders")
    }

    fn leads_to(&self, file: usize) -> bool {
        let file = Some(file);
        let held = |sidecar: &Sidecar| sidecar.held.map(|held| held.file) == file;
        self.running == file || self.terminated == file || self.main.file == file || self.sidecars.iter().any(held)
    }

    /// Something has happened in the directory.
    pub fn ring(&mut self) {
        for sidecar in &mut self.sidecars {
            sidecar.due |= sidecar.watching;
        }
    }

    /// So that there are no more worlds than differences.
    fn tidy(mut self) -> World {
        for file in 0..FILES {
            if !self.leads_to(file) {
                self.files[file] = File::default();
            }
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
    super::world_main::steps(setting, world, &mut steps);
    for place in 0..world.sidecars.len() {
        super::world_sidecar::steps(setting, world, place, &mut steps);
    }
    if setting.deletes && !world.deleted && world.main.staged {
        let mut next = *world;
        next.deleted = true;
        let up = |container: &mut Container, term: &mut bool| match container {
            Container::Waiting => *container = Container::Gone(0),
            Container::Up => *term = true,
            Container::Gone(_) => {}
        };
        up(&mut next.main.container, &mut next.main.term);
        for sidecar in &mut next.sidecars {
            up(&mut sidecar.container, &mut sidecar.term);
        }
        steps.push((Label("kubelet", "the Pod is deleted"), Ok(next)));
    }
    steps.into_iter().map(|(what, outcome)| (what, outcome.map(World::tidy))).collect()
}
