//! --group: the signals go to all of them, and the end is that of the last.

mod house;
#[path = "house/init.rs"]
mod init;

use house::here::{on_path, pass_over};
use house::{House, PATIENCE, proc, role, wait_for, wait_until};
use init::both_modes;
use std::fs;
use std::os::unix::fs::PermissionsExt;

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

/// SIGKILL that reached some was taken for SIGKILL that reached all: a member that has become another user held the sidecar
/// for as long as it liked.
#[test]
fn with_group_a_member_that_may_not_be_signalled_does_not_hold_the_sidecar() {
    // SAFETY: asks for a number.
    let root = unsafe { libc::geteuid() } == 0;
    let Some(setpriv) = on_path("setpriv").filter(|_| root) else {
        pass_over("it needs root and setpriv, to become one user and then another");
        return;
    };
    // /dev/shm is mounted nosuid as a rule.
    let house = House::under(&std::env::temp_dir());
    let other = house.path("becomes-root");
    fs::copy(setpriv, &other).unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o4755)).unwrap();
    fs::set_permissions(house.pod(""), fs::Permissions::from_mode(0o777)).unwrap();
    let line = format!(
        "trap '' TERM; {} --reuid 0 --clear-groups sh -c 'echo ready; exec sleep 1000' & wait; sleep 1000",
        other.display()
    );
    let user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--"];
    let mut sidecar = house.sidecar().args(["--group", "--grace", "100ms"]).command(&line).behind(user).start();
    sidecar.ready();
    house.touch("main-job-terminated");
    assert_eq!(sidecar.code(), 0, "{}", sidecar.err());
}

/// Ten looks a second for as long as a group outlives its leader, which may be days.
#[test]
fn a_group_that_outlives_its_leader_is_looked_at_less_and_less() {
    let house = House::new();
    let mut run = house.main().arg("--group").command("sleep 1000 & echo ready; exit 5").start();
    run.ready();
    let pid = run.pid;
    wait_until("the leader to be gone", || {
        let children = proc::children(pid);
        children.len() == 1 && in_own_group(children[0]) == Some(false)
    });
    let switches = || -> u64 {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
        line.trim().parse().unwrap()
    };
    let before = switches();
    // 100 ms, 200, 400 and so on: five looks in three seconds, and a message after one. It was thirty.
    std::thread::sleep(std::time::Duration::from_secs(3));
    let looks = switches() - before;
    assert!(looks <= 12, "{looks} wake-ups in three seconds");
    proc::signal(proc::children(pid)[0], libc::SIGKILL);
    assert_eq!(run.code(), 5);
}
