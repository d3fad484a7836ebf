//! From the running command to the exit.

use super::*;

#[test]
fn a_job_that_ends_publishes_and_exits_with_its_code() {
    main_plays(
        MAIN,
        &[(ChildExited(Exited(3)), &[Arm(Timer::Publish), published(Exited(3), true)]), (Published, &[Exit(3)])],
    );
}

#[test]
fn a_job_that_is_killed_publishes_the_signal() {
    main_plays(
        MAIN,
        &[
            (ChildExited(Killed(KILL)), &[Arm(Timer::Publish), published(Killed(KILL), true)]),
            (Published, &[Exit(137)]),
        ],
    );
}

#[test]
fn a_job_that_fails_and_will_be_repeated_is_not_over() {
    let policy = Policy { restart_policy: RestartPolicy::OnFailure, ..MAIN };
    main_plays(
        policy,
        &[(ChildExited(Exited(1)), &[Arm(Timer::Publish), published(Exited(1), false)]), (Published, &[Exit(1)])],
    );
    main_plays(
        policy,
        &[(ChildExited(Exited(0)), &[Arm(Timer::Publish), published(Exited(0), true)]), (Published, &[Exit(0)])],
    );
}

#[test]
fn a_volume_that_does_not_answer_does_not_hold_the_code() {
    main_plays(
        MAIN,
        &[
            (ChildExited(Exited(3)), &[Arm(Timer::Publish), published(Exited(3), true)]),
            (Signal(TERM), &[]),
            (DeadlineElapsed, &[Exit(3)]),
        ],
    );
}

#[test]
fn a_sidecar_is_stopped_when_the_job_is_over_and_the_job_does_not_fail_by_it() {
    sidecar_plays(
        SIDECAR,
        &[
            (JobOn, &[]),
            (JOB_SUCCEEDED, &[Forward(TERM), Arm(Timer::Grace), StopWatching]),
            (ChildExited(Killed(TERM)), &[Exit(0)]),
        ],
    );
}

#[test]
fn a_sidecar_that_does_not_end_in_time_is_killed_once() {
    sidecar_plays(
        SIDECAR,
        &[
            (JOB_SUCCEEDED, &[Forward(TERM), Arm(Timer::Grace), StopWatching]),
            (DeadlineElapsed, &[Kill]),
            (DeadlineElapsed, &[]),
            (ChildExited(Killed(KILL)), &[Exit(0)]),
        ],
    );
}

#[test]
fn a_sidecar_stays_between_two_attempts_of_the_job() {
    sidecar_plays(
        SIDECAR,
        &[
            (JobPaused(Verdict::Told(Exited(1))), &[]),
            (JobPaused(Verdict::Lost), &[]),
            (JobOn, &[]),
            (JOB_SUCCEEDED, &[Forward(TERM), Arm(Timer::Grace), StopWatching]),
            (ChildExited(Exited(0)), &[Exit(0)]),
        ],
    );
}

#[test]
fn a_sidecar_that_fails_by_itself_says_so() {
    sidecar_plays(SIDECAR, &[(ChildExited(Exited(7)), &[Exit(7)])]);
    sidecar_plays(SIDECAR, &[(ChildExited(Killed(11)), &[Exit(139)])]);
}

/// A sidecar that dies of its SIGTERM fails the Job: karlkfi/kubexit#12, karlkfi/kubexit#16, karlkfi/kubexit#19,
/// karlkfi/kubexit#29.
#[test]
fn what_a_stopped_sidecar_exits_with_is_chosen() {
    let lost = JobOver(Verdict::Lost);
    let silent = JobOver(Verdict::Silent);
    let failed = JobOver(Verdict::Told(Exited(3)));
    for (exit_with, job, code) in [
        (ExitWith::Zero, failed, 0),
        (ExitWith::Zero, lost, 0),
        (ExitWith::Child, failed, 143),
        (ExitWith::Child, silent, 143),
        (ExitWith::Main, JOB_SUCCEEDED, 0),
        (ExitWith::Main, failed, 3),
        (ExitWith::Main, JobOver(Verdict::Told(Killed(KILL))), 137),
        (ExitWith::Main, lost, 137),
        (ExitWith::Main, silent, 0),
    ] {
        sidecar_plays(
            Policy { exit_with, ..SIDECAR },
            &[(job, &[Forward(TERM), Arm(Timer::Grace), StopWatching]), (ChildExited(Killed(TERM)), &[Exit(code)])],
        );
    }
}

#[test]
fn the_stop_signal_is_the_one_that_was_chosen() {
    sidecar_plays(
        Policy { stop_signal: 3, ..SIDECAR },
        &[(JOB_SUCCEEDED, &[Forward(3), Arm(Timer::Grace), StopWatching]), (ChildExited(Exited(0)), &[Exit(0)])],
    );
}

#[test]
fn a_child_that_fails_is_started_again_and_is_not_ready_meanwhile() {
    let policy = Policy { named: true, restart: Restart::OnFailure, ..SIDECAR };
    plays(
        policy,
        &[
            (Begun, &[Claim]),
            (Claimed, &[Look]),
            (JobOn, &[Start]),
            (Started, &[PublishReady]),
            (ChildExited(Exited(1)), &[WithdrawReady, Arm(Timer::BackOff)]),
            (JobOn, &[]),
            (DeadlineElapsed, &[Start]),
            (Started, &[PublishReady]),
            (ChildExited(Exited(0)), &[Arm(Timer::Publish), published(Exited(0), true)]),
            (Published, &[Exit(0)]),
        ],
    );
}

#[test]
fn nothing_is_started_again_once_the_job_is_over() {
    sidecar_plays(
        Policy { restart: Restart::Always, ..SIDECAR },
        &[(ChildExited(Exited(0)), &[WithdrawReady, Arm(Timer::BackOff)]), (JOB_SUCCEEDED, &[Disarm, Exit(0)])],
    );
}

#[test]
fn a_job_that_cannot_go_on_without_its_sidecar_is_stopped_with_it() {
    let policy = Policy { stop_with: true, ..MAIN };
    plays(
        policy,
        &[
            (Begun, &[Claim]),
            (Claimed, &[Start]),
            (Started, &[PublishReady, Look]),
            (PartnerGone, &[Forward(TERM), Arm(Timer::Grace), StopWatching]),
            (DeadlineElapsed, &[Kill]),
            (ChildExited(Killed(KILL)), &[Arm(Timer::Publish), published(Killed(KILL), true)]),
            (Published, &[Exit(137)]),
        ],
    );
}

#[test]
fn the_goodbye_is_said_after_the_sentinel_and_only_at_the_end_for_good() {
    let policy = Policy { goodbye: true, restart_policy: RestartPolicy::OnFailure, ..MAIN };
    main_plays(
        policy,
        &[(ChildExited(Exited(1)), &[Arm(Timer::Publish), published(Exited(1), false)]), (Published, &[Exit(1)])],
    );
    main_plays(
        policy,
        &[
            (ChildExited(Exited(0)), &[Arm(Timer::Publish), published(Exited(0), true)]),
            (Published, &[Arm(Timer::Goodbye), SayGoodbye]),
            (GoodbyeSaid, &[Exit(0)]),
        ],
    );
}

#[test]
fn a_goodbye_that_nobody_answers_does_not_hold_the_code() {
    for (event, expected) in [(DeadlineElapsed, &[Exit(5)][..]), (Signal(TERM), &[Exit(5)]), (GoodbyeSaid, &[Exit(5)])]
    {
        main_plays(
            Policy { goodbye: true, ..MAIN },
            &[
                (ChildExited(Exited(5)), &[Arm(Timer::Publish), published(Exited(5), true)]),
                (Published, &[Arm(Timer::Goodbye), SayGoodbye]),
                (Signal(WINCH), &[]),
                (event, expected),
            ],
        );
    }
}
