//! --group: the signals go to all of them, and the end is that of the last.

mod house;
#[path = "house/init.rs"]
mod init;

use house::{House, PATIENCE, proc, role, wait_for, wait_until};
use init::both_modes;
use std::fs;

roles! {
    fn collector() { init::collector() }
}

// tini#180 and dumb-init#212 wish for the other, which is --group.
#[test]
fn we_leave_as_soon_as_the_command_is_reaped_whoever_else_lives_on() {
    let house = House::new();
    for run in both_modes(&house) {
        let (input, _release) = std::io::pipe().unwrap();
        let orphan = house.path("orphan");
        let line = format!("{{ read line; }} <&3 & echo $! > {}; exit 5", orphan.display());
        let mut run = run.stdin(input).args(["--", "sh", "-c", &format!("exec 3<&0; {line}")]).start();
        assert_eq!(run.code(), 5);
        let orphan: i32 = fs::read_to_string(&orphan).unwrap().trim().parse().unwrap();
        assert!(proc::alive(orphan), "the orphan had to end first");
    }
}

#[test]
fn with_group_every_signal_goes_to_the_whole_group() {
    let house = House::new();
    let binary = std::env::current_exe().unwrap();
    for run in both_modes(&house) {
        let run = run.arg("--group").env(role::ROLE, "collector");
        let mut run = run.args(["--", "sh", "-c", "\"$0\" & exec \"$0\""]).arg(&binary).start();
        run.ready();
        run.ready();
        for signal in [libc::SIGUSR1, libc::SIGTERM, 40] {
            run.signal(signal);
            run.expect(&signal.to_string());
            run.expect(&signal.to_string());
        }
    }
}

// The default is the child alone: sapcc/helm-charts#11680, a TERM behind the parent's back broke a graceful shutdown.
#[test]
fn without_group_a_signal_goes_to_the_command_alone() {
    let house = House::new();
    let binary = std::env::current_exe().unwrap();
    for run in both_modes(&house) {
        let run = run.env(role::ROLE, "collector").env("BINARY", &binary);
        let mut run = run.command("trap 'echo parent' USR1; \"$BINARY\" & while :; do wait; done").start();
        run.ready();
        run.signal(libc::SIGUSR1);
        run.expect("parent");
        let collector = proc::children(proc::children(run.pid)[0])[0];
        // Had it got the other, this would be the second line.
        proc::signal(collector, libc::SIGUSR2);
        run.expect("12");
    }
}

#[test]
fn with_group_the_end_is_reached_when_the_group_is_empty_and_the_code_is_that_of_the_command() {
    let house = House::new();
    for as_pid_1 in [false, true] {
        for run in both_modes(&house) {
            let (input, release) = std::io::pipe().unwrap();
            let line = "{ read line; echo late; } <&3 3<&- & echo $$ > \"$1\"; exit 5";
            let leader = house.path("leader");
            let run = run.arg("--group").stdin(input);
            let run = run.args(["--", "sh", "-c", &format!("exec 3<&0; {line}"), "sh"]).arg(&leader);
            let mut run = if as_pid_1 { run.pid_1() } else { run }.start();
            let pid = if as_pid_1 { run.inner() } else { run.pid };
            // The member is adopted when the command, its parent, is gone.
            let member = wait_for("the command to be gone and the other member to be adopted", PATIENCE, || {
                let children = proc::children(pid);
                (children.len() == 1
                    && proc::parent(children[0]) == Some(pid)
                    && in_own_group(children[0]) == Some(false))
                .then(|| children[0])
            });
            assert!(run.try_ended().is_none(), "left before the group was empty");
            assert!(proc::alive(member));
            drop(release);
            assert_eq!(run.code(), 5);
            run.expect("late");
        }
    }
}

/// Whether a process leads its process group: the fifth field of /proc/PID/stat is the group.
fn in_own_group(pid: i32) -> Option<bool> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let group: i32 = stat.rsplit_once(')')?.1.split_whitespace().nth(2)?.parse().ok()?;
    Some(group == pid)
}

#[test]
fn with_group_a_signal_still_reaches_those_who_are_left_when_the_command_has_ended() {
    let house = House::new();
    let binary = std::env::current_exe().unwrap();
    for run in both_modes(&house) {
        let run = run.arg("--group").env(role::ROLE, "collector");
        let mut run = run.args(["--", "sh", "-c", "\"$0\" & exit 5"]).arg(&binary).start();
        run.ready();
        let pid = run.pid;
        wait_until("the collector to be adopted", || {
            proc::children(pid).first().is_some_and(|child| in_own_group(*child) == Some(false))
        });
        run.signal(libc::SIGTERM);
        run.expect("15");
        proc::signal(proc::children(pid)[0], libc::SIGKILL);
        assert_eq!(run.code(), 5);
    }
}
