//! The observer's table, tried with everything that can be seen, against the table as a person would read it.

use exeunt::machine::{Status, Verdict};
use exeunt::stage::conclude::{Conclusion, Running, Sighting, conclude, together};

const ENDS: [Option<Status>; 4] = [None, Some(Status::Exited(0)), Some(Status::Exited(3)), Some(Status::Killed(9))];

fn every_life() -> Vec<Running> {
    let mut lives = Vec::new();
    for ended in ENDS {
        for bits in 0..8 {
            let bit = |place: u8| bits & 1 << place != 0;
            lives.push(Running { locked: bit(0), lock_proves: bit(1), repeated: bit(2), ended });
        }
    }
    lives
}

fn every_sighting() -> Vec<Sighting> {
    let sentinels = [None].into_iter().chain(ENDS.map(Some));
    let lives: Vec<_> = [None].into_iter().chain(every_life().into_iter().map(Some)).collect();
    sentinels
        .flat_map(|terminated| lives.iter().map(move |running| Sighting { terminated, running: *running }))
        .collect()
}

/// One row: when it applies, and what is concluded then.
type Row = (&'static str, fn(&Sighting) -> bool, fn(&Sighting) -> Conclusion);

const ROWS: [Row; 7] = [
    (
        "a sentinel that says how",
        |s| s.terminated.is_some_and(|code| code.is_some()),
        |s| Conclusion::Over(Verdict::Told(s.terminated.flatten().expect("it says how"))),
    ),
    ("a sentinel that does not say", |s| s.terminated == Some(None), |_| Conclusion::Over(Verdict::Silent)),
    ("nothing", |s| s.terminated.is_none() && s.running.is_none(), |_| Conclusion::NotStarted),
    ("alive", |s| life(s).is_some_and(|life| life.locked), |_| Conclusion::Running),
    (
        "a free lock that proves nothing",
        |s| life(s).is_some_and(|life| !life.locked && !life.lock_proves),
        |_| Conclusion::Unproven,
    ),
    (
        "an attempt that is not the last",
        |s| dead(s).is_some_and(|life| life.repeated),
        |s| Conclusion::BetweenAttempts(told(s)),
    ),
    ("dead, and nobody starts it again", |s| dead(s).is_some_and(|life| !life.repeated), |s| Conclusion::Over(told(s))),
];

fn life(seen: &Sighting) -> Option<Running> {
    seen.running.filter(|_| seen.terminated.is_none())
}

fn dead(seen: &Sighting) -> Option<Running> {
    life(seen).filter(|life| !life.locked && life.lock_proves)
}

fn told(seen: &Sighting) -> Verdict {
    seen.running.and_then(|life| life.ended).map_or(Verdict::Lost, Verdict::Told)
}

#[test]
fn whatever_is_seen_stands_in_exactly_one_row_and_every_row_is_needed() {
    let mut used = [0; ROWS.len()];
    for seen in every_sighting() {
        let rows: Vec<_> = ROWS.iter().enumerate().filter(|(_, (_, applies, _))| applies(&seen)).collect();
        let [(place, (row, _, concluded))] = rows[..] else { panic!("{} rows for {seen:?}", rows.len()) };
        assert_eq!(conclude(seen), concluded(&seen), "{row}: {seen:?}");
        used[place] += 1;
    }
    assert!(used.iter().all(|times| *times > 0), "{used:?}");
}

#[test]
fn the_sentinel_is_the_fact_whatever_else_is_there() {
    for seen in every_sighting().into_iter().filter(|seen| seen.terminated.is_some()) {
        assert!(matches!(conclude(seen), Conclusion::Over(_)), "{seen:?}");
    }
}

#[test]
fn without_a_sentinel_nothing_is_over_while_a_lock_is_held_or_proves_nothing() {
    for seen in every_sighting().into_iter().filter(|seen| seen.terminated.is_none()) {
        let proven = seen.running.is_some_and(|life| !life.locked && life.lock_proves);
        let over = matches!(conclude(seen), Conclusion::Over(_) | Conclusion::BetweenAttempts(_));
        assert_eq!(over, proven, "{seen:?}");
    }
}

const CONCLUSIONS: [Conclusion; 10] = [
    Conclusion::NotStarted,
    Conclusion::Running,
    Conclusion::Unproven,
    Conclusion::BetweenAttempts(Verdict::Lost),
    Conclusion::BetweenAttempts(Verdict::Told(Status::Exited(1))),
    Conclusion::Over(Verdict::Told(Status::Exited(0))),
    Conclusion::Over(Verdict::Told(Status::Exited(3))),
    Conclusion::Over(Verdict::Told(Status::Killed(9))),
    Conclusion::Over(Verdict::Silent),
    Conclusion::Over(Verdict::Lost),
];

/// Every list of at most three names.
fn every_job() -> Vec<Vec<Conclusion>> {
    let mut jobs = vec![Vec::new()];
    for length in 1..=3 {
        let shorter: Vec<_> = jobs.iter().filter(|job: &&Vec<_>| job.len() == length - 1).cloned().collect();
        for job in shorter {
            jobs.extend(CONCLUSIONS.map(|one| [&job[..], &[one]].concat()));
        }
    }
    assert_eq!(jobs.len(), 1 + 10 + 100 + 1000);
    jobs
}

fn verdicts(job: &[Conclusion]) -> Vec<Verdict> {
    let over = |one: &Conclusion| if let Conclusion::Over(verdict) = one { Some(*verdict) } else { None };
    job.iter().filter_map(over).collect()
}

#[test]
fn several_names_are_over_when_all_of_them_are_and_the_first_failure_counts() {
    for job in every_job() {
        let verdicts = verdicts(&job);
        let counts = verdicts.iter().find(|verdict| verdict.code() != 0);
        match together(job.iter().copied(), false) {
            Conclusion::Over(verdict) => {
                assert_eq!(verdicts.len(), job.len(), "{job:?}");
                match counts {
                    Some(failure) => assert_eq!(verdict, *failure, "{job:?}"),
                    None => assert!(verdict.code() == 0 && verdicts.contains(&verdict), "{job:?}: {verdict:?}"),
                }
            }
            concluded => assert!(job.is_empty() || verdicts.len() < job.len(), "{job:?}: {concluded:?}"),
        }
    }
}

#[test]
fn with_any_one_name_is_enough() {
    for job in every_job() {
        let first = verdicts(&job).first().copied();
        let concluded = together(job.iter().copied(), true);
        let over = if let Conclusion::Over(verdict) = concluded { Some(verdict) } else { None };
        assert_eq!(over, first, "{job:?}");
    }
}

#[test]
fn several_names_are_between_attempts_only_if_none_of_them_runs_or_is_still_to_come() {
    for job in every_job() {
        for any in [false, true] {
            let paused = job.iter().any(|one| matches!(one, Conclusion::BetweenAttempts(_)));
            let closed = job.iter().all(|one| matches!(one, Conclusion::BetweenAttempts(_) | Conclusion::Over(_)));
            let over = any && !verdicts(&job).is_empty();
            let concluded = together(job.iter().copied(), any);
            let expected = paused && closed && !over;
            assert_eq!(matches!(concluded, Conclusion::BetweenAttempts(_)), expected, "{job:?} {any}: {concluded:?}");
            assert!(job.is_empty() || job.contains(&concluded), "{job:?} {any}: {concluded:?} is nobody's");
        }
    }
}

/// `--absence-timeout` counts while none of them is there: another that has not come must not end the sidecar of one that runs.
#[test]
fn several_names_have_not_started_only_if_none_of_them_is_there_or_may_be() {
    for job in every_job() {
        let there = job.iter().any(|one| matches!(one, Conclusion::Running | Conclusion::Unproven));
        let to_come = job.is_empty() || job.contains(&Conclusion::NotStarted);
        let concluded = together(job.iter().copied(), false);
        assert_eq!(concluded == Conclusion::NotStarted, to_come && !there, "{job:?}: {concluded:?}");
    }
}

/// Whether the next attempt comes: what the record says of its own end, or its codes of the end that it left (137, if none).
#[test]
fn an_end_is_repeated_as_the_kubelet_would_repeat_it() {
    let record = |text: &str| exeunt::stage::record::Record::parse(text.as_bytes()).expect("a record").is_repeated();
    for (text, repeated) in [
        (r#"{"restart_policy":"never"}"#, false),
        (r#"{"restart_policy":"on-failure"}"#, true),
        (r#"{"restart_policy":"never","restart_on":"42,43"}"#, false),
        (r#"{"restart_policy":"never","restart_on":"137"}"#, true),
        (r#"{"restart_policy":"never","restart_on":"!0,1"}"#, true),
        (r#"{"restart_policy":"never","restart_on":"42","exit_code":42,"final":false}"#, true),
        (r#"{"restart_policy":"never","restart_on":"42","exit_code":42}"#, true),
        (r#"{"restart_policy":"never","restart_on":"42","exit_code":1}"#, false),
        (r#"{"restart_policy":"on-failure","exit_code":0,"final":true}"#, false),
        (r#"{"restart_policy":"on-failure","signal":15}"#, true),
        (r#"{"restart_policy":"sometimes","restart_on":"what?"}"#, false),
    ] {
        assert_eq!(record(text), repeated, "{text}");
    }
}
