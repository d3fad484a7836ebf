//! From the beginning to the running command, and the ways in which it is never started.

use super::*;

#[test]
fn a_job_that_is_over_already_needs_no_sidecar() {
    for exit_with in [ExitWith::Zero, ExitWith::Child, ExitWith::Main] {
        plays(
            Policy { exit_with, ..SIDECAR },
            &[(Begun, &[Claim]), (Name(Name::Ours), &[Look]), (Seen(Seen::Over(Verdict::Told(Exited(9)))), &[Exit(0)])],
        );
    }
}

#[test]
fn a_sidecar_with_a_name_says_that_it_is_over_although_nothing_was_started() {
    plays(
        Policy { named: true, ..SIDECAR },
        &[
            (Begun, &[Claim]),
            (Name(Name::Ours), &[Look]),
            (JOB_SUCCEEDED, &[Arm(Timer::Publish), published(Exited(0), true)]),
            (Said(Word::End), &[Exit(0)]),
        ],
    );
}

#[test]
fn a_command_that_is_not_found_is_an_end_like_any_other() {
    for code in [125, 126, 127] {
        plays(
            MAIN,
            &[
                (Begun, &[Claim]),
                (Name(Name::Ours), &[Start]),
                (Command(Command::Failed(code)), &[Arm(Timer::Publish), published(Exited(code), true)]),
                (Said(Word::End), &[Exit(code)]),
            ],
        );
    }
}

#[test]
fn a_name_that_cannot_be_had_ends_us_before_anything_runs() {
    plays(MAIN, &[(Begun, &[Claim]), (Name(Name::Refused), &[Exit(125)])]);
    plays(
        MAIN,
        &[(Begun, &[Claim]), (Name(Name::Held), &[]), (Name(Name::Held), &[]), (Name(Name::Refused), &[Exit(125)])],
    );
}

#[test]
fn a_signal_that_came_before_a_name_was_refused_is_what_a_sidecar_ends_by() {
    let begun = (Begun, &[Claim][..]);
    let refused = |then: &'static [Action]| (Name(Name::Refused), then);
    plays(SIDECAR, &[begun, (Signal(TERM), &[]), refused(&[Exit(143)])]);
    plays(SIDECAR, &[begun, refused(&[Look]), (Signal(TERM), &[Exit(143)])]);
}

#[test]
fn nothing_is_said_in_a_name_that_another_process_holds() {
    plays(MAIN, &[(Begun, &[Claim]), (Name(Name::Held), &[]), (Signal(TERM), &[Exit(143)])]);
    plays(MAIN, &[(Begun, &[Claim]), (Signal(INT), &[]), (Name(Name::Held), &[Exit(130)])]);
}

#[test]
fn a_signal_that_comes_before_the_command_prevents_it_and_is_published() {
    plays(
        MAIN,
        &[
            (Begun, &[Claim]),
            (Signal(TERM), &[]),
            (Name(Name::Ours), &[Arm(Timer::Publish), published(Exited(143), true)]),
            (Said(Word::End), &[Exit(143)]),
        ],
    );
    plays(SIDECAR, &[(Begun, &[Claim]), (Name(Name::Ours), &[Look]), (Signal(HUP), &[Exit(129)])]);
}

#[test]
fn a_signal_that_would_end_nobody_is_kept_for_the_command() {
    plays(
        SIDECAR,
        &[
            (Begun, &[Claim]),
            (Signal(WINCH), &[]),
            (Name(Name::Ours), &[Look]),
            (Signal(WINCH), &[]),
            (Seen(Seen::On), &[Start]),
            (Command(Command::Started), &[ForwardKept(1 << (WINCH - 1))]),
        ],
    );
}

#[test]
fn the_command_waits_for_its_conditions() {
    plays(
        Policy { gated: true, readiness: Readiness::WhenHeld, ..MAIN },
        &[
            (Begun, &[Claim]),
            (Name(Name::Ours), &[Arm(Timer::Gate), OpenGate]),
            (Gate(Gate::Opened), &[CloseGate, Disarm, Start]),
            (Command(Command::Started), &[AwaitReady]),
            (ReadyHeld, &[PublishReady]),
        ],
    );
}

/// A proxy that is gone is waited for, for ever: redboxllc/scuttle#50, redboxllc/scuttle#27.
#[test]
fn conditions_that_never_hold_end_with_124() {
    plays(
        Policy { gated: true, ..MAIN },
        &[
            (Begun, &[Claim]),
            (Name(Name::Ours), &[Arm(Timer::Gate), OpenGate]),
            (Elapsed(Timer::Gate), &[CloseGate, Arm(Timer::Publish), published(Exited(124), true)]),
            (Said(Word::End), &[Exit(124)]),
        ],
    );
}

#[test]
fn a_sidecar_that_still_waits_for_its_conditions_leaves_with_the_job() {
    let gate: [(Event, &[Action]); 3] =
        [(Begun, &[Claim]), (Name(Name::Ours), &[Look]), (Seen(Seen::On), &[Arm(Timer::Gate), OpenGate])];
    let policy = Policy { gated: true, ..SIDECAR };
    plays(policy, &[&gate[..], &[(Seen(Seen::On), &[]), (JOB_SUCCEEDED, &[CloseGate, Exit(0)])]].concat());
    plays(policy, &[&gate[..], &[(Signal(TERM), &[CloseGate, Exit(143)])]].concat());
}
