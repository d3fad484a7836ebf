//! From the running command to the exit.

use super::*;

#[test]
fn a_job_that_ends_publishes_and_exits_with_its_code() {
    main_plays(
        MAIN,
        &[
            (Command(Command::Ended(Exited(3))), &[Arm(Timer::Publish), published(Exited(3), true)]),
            (Said(Word::End), &[Exit(3)]),
        ],
    );
}

#[test]
fn a_job_that_is_killed_publishes_the_signal() {
    main_plays(
        MAIN,
        &[
            (Command(Command::Ended(Killed(KILL))), &[Arm(Timer::Publish), published(Killed(KILL), true)]),
            (Said(Word::End), &[Exit(137)]),
        ],
    );
}

#[test]
fn a_job_that_fails_and_will_be_repeated_is_not_over() {
    let policy = Policy { restart_on: Codes::FAILURES, ..MAIN };
    main_plays(
        policy,
        &[
            (Command(Command::Ended(Exited(1))), &[Arm(Timer::Publish), published(Exited(1), false)]),
            (Said(Word::End), &[Exit(1)]),
        ],
    );
    main_plays(
        policy,
        &[
            (Command(Command::Ended(Exited(0))), &[Arm(Timer::Publish), published(Exited(0), true)]),
            (Said(Word::End), &[Exit(0)]),
        ],
    );
}

#[test]
fn a_volume_that_does_not_answer_does_not_hold_the_code() {
    main_plays(
        MAIN,
        &[
            (Command(Command::Ended(Exited(3))), &[Arm(Timer::Publish), published(Exited(3), true)]),
            (Signal(TERM), &[]),
            (Elapsed(Timer::Publish), &[Exit(3)]),
        ],
    );
}

#[test]
fn a_sidecar_is_stopped_when_the_job_is_over_and_the_job_does_not_fail_by_it() {
    sidecar_plays(
        SIDECAR,
        &[
            (Seen(Seen::On), &[]),
            (JOB_SUCCEEDED, &[Forward(TERM), Arm(Timer::Grace), StopWatching]),
            (Command(Command::Ended(Killed(TERM))), &[Exit(0)]),
        ],
    );
}

#[test]
fn a_sidecar_that_does_not_end_in_time_is_killed_once() {
    sidecar_plays(
        SIDECAR,
        &[
            (JOB_SUCCEEDED, &[Forward(TERM), Arm(Timer::Grace), StopWatching]),
            (Elapsed(Timer::Grace), &[Kill, Arm(Timer::Kill)]),
            (Elapsed(Timer::Grace), &[]),
            (Command(Command::Ended(Killed(KILL))), &[Exit(0)]),
        ],
    );
}

#[test]
fn a_sidecar_stays_between_two_attempts_of_the_job() {
    sidecar_plays(
        SIDECAR,
        &[
            (Seen(Seen::Paused(Verdict::Told(Exited(1)))), &[]),
            (Seen(Seen::Paused(Verdict::Lost)), &[]),
            (Seen(Seen::On), &[]),
            (JOB_SUCCEEDED, &[Forward(TERM), Arm(Timer::Grace), StopWatching]),
            (Command(Command::Ended(Exited(0))), &[Exit(0)]),
        ],
    );
}

#[test]
fn a_sidecar_that_fails_by_itself_says_so() {
    sidecar_plays(SIDECAR, &[(Command(Command::Ended(Exited(7))), &[Exit(7)])]);
    sidecar_plays(SIDECAR, &[(Command(Command::Ended(Killed(11))), &[Exit(139)])]);
}

/// A sidecar that dies of its SIGTERM fails the Job: karlkfi/kubexit#12, karlkfi/kubexit#16, karlkfi/kubexit#19,
/// karlkfi/kubexit#29.
#[test]
fn what_a_stopped_sidecar_exits_with_is_chosen() {
    let lost = Seen(Seen::Over(Verdict::Lost));
    let silent = Seen(Seen::Over(Verdict::Silent));
    let failed = Seen(Seen::Over(Verdict::Told(Exited(3))));
    for (exit_with, job, code) in [
        (ExitWith::Zero, failed, 0),
        (ExitWith::Zero, lost, 0),
        (ExitWith::Child, failed, 143),
        (ExitWith::Child, silent, 143),
        (ExitWith::Main, JOB_SUCCEEDED, 0),
        (ExitWith::Main, failed, 3),
        (ExitWith::Main, Seen(Seen::Over(Verdict::Told(Killed(KILL)))), 137),
        (ExitWith::Main, lost, 137),
        (ExitWith::Main, silent, 0),
    ] {
        sidecar_plays(
            Policy { exit_with, ..SIDECAR },
            &[
                (job, &[Forward(TERM), Arm(Timer::Grace), StopWatching]),
                (Command(Command::Ended(Killed(TERM))), &[Exit(code)]),
            ],
        );
    }
}

#[test]
fn the_stop_signal_is_the_one_that_was_chosen() {
    sidecar_plays(
        Policy { stop_signal: 3, ..SIDECAR },
        &[
            (JOB_SUCCEEDED, &[Forward(3), Arm(Timer::Grace), StopWatching]),
            (Command(Command::Ended(Exited(0))), &[Exit(0)]),
        ],
    );
}

#[test]
fn a_child_that_fails_is_started_again_and_is_not_ready_meanwhile() {
    let policy = Policy { named: true, restart: Restart::OnFailure, ..SIDECAR };
    plays(
        policy,
        &[
            (Begun, &[Claim]),
            (Name(Name::Ours), &[Look]),
            (Seen(Seen::On), &[Start]),
            (Command(Command::Started), &[PublishReady]),
            (Command(Command::Ended(Exited(1))), &[WithdrawReady, Arm(Timer::BackOff)]),
            (Seen(Seen::On), &[]),
            (Elapsed(Timer::BackOff), &[Start]),
            (Command(Command::Started), &[PublishReady]),
            (Command(Command::Ended(Exited(0))), &[Arm(Timer::Publish), published(Exited(0), true)]),
            (Said(Word::End), &[Exit(0)]),
        ],
    );
}

#[test]
fn nothing_is_started_again_once_the_job_is_over() {
    sidecar_plays(
        Policy { restart: Restart::Always, ..SIDECAR },
        &[
            (Command(Command::Ended(Exited(0))), &[WithdrawReady, Arm(Timer::BackOff)]),
            (JOB_SUCCEEDED, &[Disarm, Exit(0)]),
        ],
    );
}

#[test]
fn a_job_that_cannot_go_on_without_its_sidecar_is_stopped_with_it() {
    let policy = Policy { stop_with: true, ..MAIN };
    plays(
        policy,
        &[
            (Begun, &[Claim]),
            (Name(Name::Ours), &[Start]),
            (Command(Command::Started), &[PublishReady, Look]),
            (Seen(Seen::PartnerGone), &[Forward(TERM), Arm(Timer::Grace), StopWatching]),
            (Elapsed(Timer::Grace), &[Kill, Arm(Timer::Kill)]),
            (Command(Command::Ended(Killed(KILL))), &[Arm(Timer::Publish), published(Killed(KILL), true)]),
            (Said(Word::End), &[Exit(137)]),
        ],
    );
}

#[test]
fn the_goodbye_is_said_after_the_sentinel_and_only_at_the_end_for_good() {
    let policy = Policy { goodbye: true, restart_on: Codes::FAILURES, ..MAIN };
    main_plays(
        policy,
        &[
            (Command(Command::Ended(Exited(1))), &[Arm(Timer::Publish), published(Exited(1), false)]),
            (Said(Word::End), &[Exit(1)]),
        ],
    );
    main_plays(
        policy,
        &[
            (Command(Command::Ended(Exited(0))), &[Arm(Timer::Publish), published(Exited(0), true)]),
            (Said(Word::End), &[Arm(Timer::Goodbye), SayGoodbye]),
            (Said(Word::Goodbye), &[Exit(0)]),
        ],
    );
}

#[test]
fn a_goodbye_that_nobody_answers_does_not_hold_the_code() {
    for (event, expected) in
        [(Elapsed(Timer::Goodbye), &[Exit(5)][..]), (Signal(TERM), &[Exit(5)]), (Said(Word::Goodbye), &[Exit(5)])]
    {
        main_plays(
            Policy { goodbye: true, ..MAIN },
            &[
                (Command(Command::Ended(Exited(5))), &[Arm(Timer::Publish), published(Exited(5), true)]),
                (Said(Word::End), &[Arm(Timer::Goodbye), SayGoodbye]),
                (Signal(WINCH), &[]),
                (event, expected),
            ],
        );
    }
}
