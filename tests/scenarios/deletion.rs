//! Somebody outside wants it to end: a signal, the deletion of the Pod.

use super::*;

const OUTLIVES: Policy = Policy { outlive_main: true, ..SIDECAR };

#[test]
fn a_signal_reaches_the_command_and_its_code_is_ours() {
    main_plays(
        MAIN,
        &[
            (Signal(HUP), &[Forward(HUP)]),
            (Signal(TERM), &[Forward(TERM)]),
            (Signal(TERM), &[Forward(TERM)]),
            (Command(Command::Ended(Exited(17))), &[Arm(Timer::Publish), published(Exited(17), true)]),
            (Signal(TERM), &[]),
            (Said(Word::End), &[Exit(17)]),
        ],
    );
    sidecar_plays(SIDECAR, &[(Signal(TERM), &[Forward(TERM)]), (Command(Command::Ended(Killed(TERM))), &[Exit(143)])]);
}

#[test]
fn a_child_that_was_told_to_end_is_not_told_twice_and_not_started_again() {
    sidecar_plays(
        Policy { restart: Restart::Always, ..SIDECAR },
        &[
            (Signal(TERM), &[Forward(TERM)]),
            (JOB_SUCCEEDED, &[Arm(Timer::Grace), StopWatching]),
            (Elapsed(Timer::Grace), &[Kill, Arm(Timer::Kill)]),
            (Command(Command::Ended(Killed(KILL))), &[Exit(0)]),
        ],
    );
    sidecar_plays(
        Policy { restart: Restart::Always, ..SIDECAR },
        &[(Signal(INT), &[Forward(INT)]), (Command(Command::Ended(Exited(0))), &[Exit(0)])],
    );
}

#[test]
fn when_the_pod_is_deleted_the_sidecar_is_there_until_the_job_is_over() {
    sidecar_plays(
        OUTLIVES,
        &[
            (Signal(TERM), &[Arm(Timer::Outlive), Look]),
            (Seen(Seen::On), &[]),
            (Signal(HUP), &[Forward(HUP)]),
            (Seen(Seen::Over(Verdict::Told(Killed(TERM)))), &[Forward(TERM), Arm(Timer::Grace), StopWatching]),
            (Command(Command::Ended(Killed(TERM))), &[Exit(0)]),
        ],
    );
}

/// Ctrl-C on a log shipper, and then the Pod is deleted: that is the first SIGTERM, not the second.
#[test]
fn a_sigterm_is_held_although_somebody_has_sent_sigint() {
    sidecar_plays(
        OUTLIVES,
        &[
            (Signal(INT), &[Forward(INT)]),
            (Signal(TERM), &[Arm(Timer::Outlive), Look]),
            (Seen(Seen::On), &[]),
            (JOB_SUCCEEDED, &[Forward(TERM), Arm(Timer::Grace), StopWatching]),
            (Command(Command::Ended(Killed(TERM))), &[Exit(0)]),
        ],
    );
}

#[test]
fn whoever_was_told_to_end_and_is_killed_for_a_job_that_is_missing_exits_with_124() {
    let missing = (Seen(Seen::Missing), &[Arm(Timer::Grace), StopWatching][..]);
    let told = (Signal(TERM), &[Forward(TERM)][..]);
    sidecar_plays(SIDECAR, &[told, missing, (Command(Command::Ended(Killed(TERM))), &[Exit(143)])]);
    sidecar_plays(
        SIDECAR,
        &[
            told,
            missing,
            (Elapsed(Timer::Grace), &[Kill, Arm(Timer::Kill)]),
            (Command(Command::Ended(Killed(KILL))), &[Exit(124)]),
        ],
    );
}

#[test]
fn no_further_attempt_is_awaited_in_a_pod_that_is_deleted() {
    sidecar_plays(
        OUTLIVES,
        &[
            (Signal(TERM), &[Arm(Timer::Outlive), Look]),
            (Seen(Seen::Paused(Verdict::Told(Exited(1)))), &[Forward(TERM), Arm(Timer::Grace), StopWatching]),
            (Command(Command::Ended(Killed(TERM))), &[Exit(0)]),
        ],
    );
}

#[test]
fn what_is_held_is_passed_on_when_the_time_is_up_or_at_the_second_time() {
    for passes in [Elapsed(Timer::Outlive), Signal(TERM)] {
        sidecar_plays(
            OUTLIVES,
            &[
                (Signal(TERM), &[Arm(Timer::Outlive), Look]),
                (passes, &[Disarm, Forward(TERM)]),
                (Command(Command::Ended(Killed(TERM))), &[Exit(143)]),
            ],
        );
    }
}

#[test]
fn a_second_signal_during_the_grace_period_gives_no_more_time() {
    sidecar_plays(
        SIDECAR,
        &[
            (JOB_SUCCEEDED, &[Forward(TERM), Arm(Timer::Grace), StopWatching]),
            (Signal(TERM), &[Forward(TERM)]),
            (Elapsed(Timer::Grace), &[Kill, Arm(Timer::Kill)]),
            (Signal(INT), &[Forward(INT)]),
            (Command(Command::Ended(Killed(KILL))), &[Exit(0)]),
        ],
    );
}

#[test]
fn a_sidecar_that_waits_to_be_started_again_leaves_when_it_is_told_to() {
    sidecar_plays(
        Policy { restart: Restart::OnFailure, ..SIDECAR },
        &[
            (Command(Command::Ended(Exited(1))), &[WithdrawReady, Arm(Timer::BackOff)]),
            (Signal(TERM), &[Disarm, Exit(143)]),
        ],
    );
}
