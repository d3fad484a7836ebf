//! The terminal: who owns it, what is typed into it, and its end.

mod house;
#[path = "house/init.rs"]
mod init;

use house::{House, Process, proc};
use init::pty::{CTRL_BACKSLASH, CTRL_C, CTRL_Z, Pty, STDIN, in_a_container};
use init::{both_modes, say};

roles! {
    fn collector() { init::collector() }
    fn place() { tell_place() }
    fn patient() { init::be_patient() }
}

/// Role: says where on the terminal it is.
fn tell_place() {
    // SAFETY: asks.
    let (foreground, group, pid) = unsafe { (libc::tcgetpgrp(0), libc::getpgrp(), libc::getpid()) };
    say(&format!("foreground: {}, leader: {}", foreground == group, group == pid));
}

#[test]
fn the_command_is_the_foreground_group_of_the_terminal() {
    let house = House::new();
    for run in both_modes(&house) {
        let pty = Pty::open();
        let mut run = run.playing("place").on(&pty, STDIN).start();
        assert_eq!(run.code(), 0);
        run.expect("foreground: true, leader: true");
    }
    for run in both_modes(&house) {
        let pty = Pty::open();
        let mut run = in_a_container(run.playing("place"), &pty).start();
        assert_eq!(run.code(), 0);
        run.expect("foreground: true, leader: true");
    }
}

// pid1-rs: ctrl-C arrives twice. dumb-init#136: handing the terminal over sends the child HUP and CONT, and it dies.
#[test]
fn what_is_typed_arrives_exactly_once() {
    let house = House::new();
    for container in [false, true] {
        for run in both_modes(&house) {
            let pty = Pty::open();
            let run = run.playing("collector");
            let run = if container { in_a_container(run, &pty) } else { run.on(&pty, STDIN) };
            let mut run = run.start();
            run.ready();
            let pid = if container { run.inner() } else { run.pid };
            pty.keys(CTRL_C);
            run.expect("2");
            pty.keys(CTRL_BACKSLASH);
            run.expect("3");
            pty.keys(CTRL_Z);
            run.expect("20");
            pty.resize(30, 100);
            run.expect("28");
            nothing_else_came(&mut run, pid);
        }
    }
}

/// What exeunt had still to pass on would come before this, or in one go with it, and then the lowest number is first.
fn nothing_else_came(run: &mut Process, pid: i32) {
    proc::signal(pid, 64);
    run.expect("64");
}

// The terminal driver sends to the whole foreground group: both have it already, and passing it on would make it two.
#[test]
fn what_is_typed_arrives_exactly_once_when_standard_input_is_not_the_terminal() {
    let house = House::new();
    for run in both_modes(&house) {
        let pty = Pty::open();
        let mut run = run.playing("collector").on(&pty, &[]).start();
        run.ready();
        let pid = run.pid;
        pty.keys(CTRL_C);
        run.expect("2");
        pty.keys(CTRL_BACKSLASH);
        run.expect("3");
        pty.resize(30, 100);
        run.expect("28");
        nothing_else_came(&mut run, pid);
        // The same number from kill(2) is meant for us, and is passed on.
        run.signal(libc::SIGINT);
        run.expect("2");
    }
}

#[test]
fn ctrl_c_ends_a_command_that_does_not_care_for_it_with_130() {
    let house = House::new();
    for descriptors in [STDIN, &[]] {
        for run in both_modes(&house) {
            let pty = Pty::open();
            let mut run = run.playing("patient").on(&pty, descriptors).start();
            run.ready();
            pty.keys(CTRL_C);
            assert_eq!(run.code(), 130);
        }
    }
}

// From the terminal driver it goes to the session's leader alone: whoever does not pass it on keeps it from the command
// for ever (pid1-rs).
#[test]
fn a_hang_up_reaches_the_command() {
    let house = House::new();
    for descriptors in [STDIN, &[]] {
        for run in both_modes(&house) {
            let pty = Pty::open();
            let mut run = run.playing("collector").on(&pty, descriptors).start();
            run.ready();
            pty.hang_up();
            // The driver lets the session run on (CONT), for it may be stopped.
            run.expect("1");
            run.expect("18");
            let pid = run.pid;
            nothing_else_came(&mut run, pid);
        }
    }
    for run in both_modes(&house) {
        let pty = Pty::open();
        let mut run = run.command("echo ready; sleep 1000").on(&pty, STDIN).start();
        run.ready();
        pty.hang_up();
        assert_eq!(run.code(), 129);
    }
}

// jenkinsci/docker#655: "tcsetpgrp failed: Permission denied" was the end of tini.
#[test]
fn a_terminal_that_is_not_ours_to_give_is_no_reason_to_fail() {
    let house = House::new();
    for run in both_modes(&house) {
        // Open, but nobody's controlling terminal.
        let pty = Pty::open();
        assert_eq!(run.stdin(pty.end()).command("exit 3").finish().code(), 3);
    }
    for run in both_modes(&house) {
        // The controlling terminal of another session.
        let pty = Pty::open();
        let mut owner = house.run("sh").args(["-c", "echo ready; read line"]).on(&pty, STDIN).start();
        owner.ready();
        assert_eq!(run.stdin(pty.end()).command("exit 3").finish().code(), 3);
    }
    for run in both_modes(&house) {
        // Ours, and hung up.
        let pty = Pty::open();
        let end = pty.end();
        pty.hang_up();
        assert_eq!(run.stdin(end).command("exit 3").finish().code(), 3);
    }
}
