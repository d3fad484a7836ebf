//! `NAME-ready`: one who publishes it, life after life, and one who asks step by step, as `Life::claim`, `Life::publish_ready`
//! and `Observer::is_ready` do it.
//!
//! The rule: whoever is told "ready" is told of a life that was ready while he asked. A mark that an earlier life has left,
//! or an earlier Pod on a volume that outlives it, is none.

use super::search::{Broken, Graph, Outcome, explore};

type Life = u8;
const LIVES: Life = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Owner {
    Away,
    Claims(u8),
    Serves {
        ready: bool,
    },
    /// The sentinel is there.
    Leaves,
    /// SIGKILL has come; the lock is not yet dropped.
    Dies {
        ready: bool,
    },
}

/// Where a question is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Asks {
    Nothing,
    Opened(Option<Life>),
    /// The life's lock was found held, or not.
    Tested(bool),
    /// The other order: whether the mark was there.
    SawMark(bool),
    SawMarkAndOpened(bool, Option<Life>),
    Told(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Stage {
    owner: Owner,
    life: Life,
    /// Whether the one who asks sees the locks of the others.
    shared_locks: bool,
    /// Whose file `-running` is, whose lock is held, and whose mark `-ready` is.
    running: Option<Life>,
    locked: Option<Life>,
    mark: Option<Life>,
    asks: Asks,
    /// The owner was ready at some time since the question began.
    was_ready: bool,
}

listed! {
    /// A mistake in one of the steps, as a negative control.
    Fault {
        None,
        LeavesTheOldMark,
        RemovesTheOldMarkLate,
        AsksForTheMarkFirst,
        BelievesTheMark,
    }
}

fn steps(stage: &Stage, fault: Fault) -> Vec<(&'static str, Outcome<Stage>)> {
    let mut steps = Vec::new();
    for (what, next) in owner_steps(stage, fault) {
        let was_ready = next.was_ready || next.is_ready();
        steps.push((what, Ok(Stage { was_ready, ..next })));
    }
    let (what, next) = question(stage, fault);
    let told_wrong = next.asks == Asks::Told(true) && !next.was_ready;
    let rule = format!("ready is said of one who was ready meanwhile: {next:?}");
    steps.push((what, if told_wrong { Err(rule) } else { Ok(next) }));
    steps
}

impl Stage {
    fn is_ready(&self) -> bool {
        matches!(self.owner, Owner::Serves { ready: true } | Owner::Dies { ready: true })
    }
}

fn owner_steps(stage: &Stage, fault: Fault) -> Vec<(&'static str, Stage)> {
    let mut steps = Vec::new();
    let mut add = |what, next| steps.push((what, next));
    let Stage { life, .. } = *stage;
    let late = fault == Fault::RemovesTheOldMarkLate;
    match stage.owner {
        Owner::Away if life == LIVES => return steps,
        Owner::Away => {
            add("starts", Stage { owner: Owner::Claims(0), life: life + 1, ..*stage });
            return steps;
        }
        Owner::Dies { .. } => {
            add("the kernel drops the lock", Stage { owner: Owner::Away, locked: None, ..*stage });
            return steps;
        }
        Owner::Claims(0) => {
            add("makes its record, locked", Stage { owner: Owner::Claims(1), locked: Some(life), ..*stage });
        }
        Owner::Claims(1) if late => add("moves it", Stage { owner: Owner::Claims(2), running: Some(life), ..*stage }),
        Owner::Claims(1) => {
            let mark = stage.mark.filter(|_| fault == Fault::LeavesTheOldMark);
            add("removes the mark of an earlier life", Stage { owner: Owner::Claims(2), mark, ..*stage });
        }
        Owner::Claims(_) => {
            let serves = Stage { owner: Owner::Serves { ready: false }, ..*stage };
            add(
                "is on stage",
                if late { Stage { mark: None, ..serves } } else { Stage { running: Some(life), ..serves } },
            );
        }
        Owner::Serves { ready: false } => {
            add("publishes its mark", Stage { owner: Owner::Serves { ready: true }, mark: Some(life), ..*stage });
            // The sentinel, or with `on-failure` a record in place, and the next attempt.
            let gone = Stage { owner: Owner::Away, locked: None, ..*stage };
            add("ends for good", Stage { running: None, ..gone });
            add("ends, and its record stays", gone);
        }
        Owner::Leaves => {
            add("removes its mark", Stage { owner: Owner::Away, locked: None, mark: None, ..*stage });
        }
        Owner::Serves { ready: true } => {
            add("ends for good, its mark still there", Stage { owner: Owner::Leaves, running: None, ..*stage });
            add("withdraws its mark", Stage { owner: Owner::Serves { ready: false }, mark: None, ..*stage });
        }
    }
    add("SIGKILL", Stage { owner: Owner::Dies { ready: stage.is_ready() }, ..*stage });
    steps
}

fn question(stage: &Stage, fault: Fault) -> (&'static str, Stage) {
    let mark = stage.mark.is_some();
    let held = |life: Option<Life>| stage.shared_locks && life.is_some() && stage.locked == life;
    let begun = Stage { was_ready: stage.is_ready(), ..*stage };
    match stage.asks {
        Asks::Nothing | Asks::Told(_) => match fault {
            Fault::AsksForTheMarkFirst => ("sees the mark, or none", Stage { asks: Asks::SawMark(mark), ..begun }),
            _ => ("opens -running", Stage { asks: Asks::Opened(stage.running), ..begun }),
        },
        Asks::Opened(life) => {
            let alive = held(life) || fault == Fault::BelievesTheMark;
            ("tests its lock", Stage { asks: Asks::Tested(alive), ..*stage })
        }
        Asks::Tested(alive) => ("sees the mark, or none", Stage { asks: Asks::Told(alive && mark), ..*stage }),
        Asks::SawMark(mark) => {
            ("opens -running", Stage { asks: Asks::SawMarkAndOpened(mark, stage.running), ..*stage })
        }
        Asks::SawMarkAndOpened(mark, life) => {
            ("tests its lock", Stage { asks: Asks::Told(mark && held(life)), ..*stage })
        }
    }
}

/// `left`: an earlier Pod has left its `-running` and its `-ready` on the volume.
fn search(left: bool, fault: Fault) -> Result<Graph<Stage, &'static str>, Broken> {
    search_from(left, true, fault)
}

fn search_from(left: bool, shared_locks: bool, fault: Fault) -> Result<Graph<Stage, &'static str>, Broken> {
    let old = left.then_some(0);
    let first = Stage {
        shared_locks,
        owner: Owner::Away,
        life: 0,
        running: old,
        locked: None,
        mark: old,
        asks: Asks::Nothing,
        was_ready: false,
    };
    explore(first, |stage| steps(stage, fault))
}

#[test]
fn whoever_is_told_that_somebody_is_ready_is_told_the_truth_whatever_was_left_behind() {
    let mut states = 0;
    for left in [false, true] {
        let graph = search(left, Fault::None).unwrap_or_else(|broken| panic!("{}", broken.tell()));
        states += graph.states.len();
        for life in 1..=LIVES {
            let told = graph.reach(|stage| stage.asks == Asks::Told(true) && stage.life == life && stage.is_ready());
            assert!(told.is_some(), "of life {life} nobody is ever told");
        }
        // It is inevitable, too: of one who stays ready, the next question says so.
        for stage in graph.states.iter().filter(|stage| stage.owner == Owner::Serves { ready: true }) {
            let mut stage = Stage { asks: Asks::Nothing, ..*stage };
            for _ in 0..3 {
                stage = question(&stage, Fault::None).1;
            }
            assert_eq!(stage.asks, Asks::Told(true), "not told: {stage:?}");
        }
    }
    super::counts::exactly("states of readiness", states as u64);
}

/// A limit: that its owner lives can be told by his lock alone. So a bare name as a condition never holds where locks are not
/// shared, and it is never said in error either.
#[test]
fn where_locks_are_not_shared_nobody_is_ever_said_to_be_ready() {
    for left in [false, true] {
        let graph = search_from(left, false, Fault::None).unwrap_or_else(|broken| panic!("{}", broken.tell()));
        assert!(graph.reach(|stage| stage.asks == Asks::Told(false) && stage.is_ready()).is_some());
        assert!(graph.reach(|stage| stage.asks == Asks::Told(true)).is_none());
    }
}

#[test]
fn every_fault_that_is_planted_in_readiness_is_found() {
    for fault in Fault::ALL.iter().copied().filter(|fault| *fault != Fault::None) {
        for left in [false, true] {
            let Err(broken) = search(left, fault) else { panic!("{fault:?}, left {left}: nothing was found") };
            println!("{fault:?}: {}", broken.tell());
            assert!(broken.rule.starts_with("ready is said of one who was ready meanwhile"), "{}", broken.tell());
        }
    }
}
