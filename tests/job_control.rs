//! Job control: a shell below us, a shell above us, and nobody above us.

mod house;
#[path = "house/init.rs"]
mod init;

use house::{House, Run, proc, wait_until};
use init::pty::{ALL, CTRL_C, CTRL_Z, Pty, STDIN, in_a_container};
use init::{both_modes, say};

roles! {
    fn patient() { init::be_patient() }
    fn late_reader() { read_late() }
}

/// Role: reads nothing before the file GO is there; then a line, which it repeats, and the rest.
fn read_late() {
    say(&format!("begin {}", std::process::id()));
    let go = std::env::var_os("GO").unwrap();
    wait_until("the file GO", || std::path::Path::new(&go).exists());
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    say(&format!("got {}", line.trim_end()));
    let _ = std::io::stdin().read_line(&mut line);
}

/// An interactive shell with a prompt to wait for.
fn interactive(run: Run) -> Run {
    run.env("PS1", "prompt> ").env("ENV", "").env("HISTFILE", "").env("TERM", "dumb")
}

/// Types a line and waits for what it makes the shell say: `$((1 + 1))` tells the answer from the echo of the question.
fn answers(pty: &Pty, question: &str) {
    pty.keys(&format!("{question} answer $((1 + 1))\n"));
    pty.shows("answer 2");
    pty.shows("prompt> ");
}

// dumb-init#51: "cannot set terminal process group", "no job control in this shell".
#[test]
fn an_interactive_shell_has_job_control_as_in_docker_run_it() {
    let house = House::new();
    for container in [false, true] {
        for run in both_modes(&house) {
            let pty = Pty::open();
            let run = interactive(run.args(["--", "sh", "-i"]));
            let run = if container {
                in_a_container(run, &pty).stdout(pty.end()).stderr(pty.end())
            } else {
                run.on(&pty, ALL)
            };
            let mut run = run.start();
            pty.shows("prompt> ");
            answers(&pty, "case $- in *m*) echo;; esac; echo");
            // A role, for a shell's own child may be stopped between vfork and exec, with the shell waiting for it.
            let role = std::env::current_exe().unwrap();
            pty.keys(&format!("HOUSE_ROLE=patient {}\n", role.display()));
            pty.shows("ready\r\n");
            pty.keys(CTRL_Z);
            pty.shows("Stopped");
            pty.shows("prompt> ");
            answers(&pty, "jobs; echo");
            let shell = pty.foreground();
            pty.keys("fg\n");
            pty.shows(role.file_name().unwrap().to_str().unwrap());
            // The shell says so first and does it then. Until it is done, an interrupt is the shell's.
            wait_until("the job to be in the foreground", || pty.foreground() != shell);
            pty.keys(CTRL_C);
            pty.shows("prompt> ");
            answers(&pty, "echo");
            pty.keys("exit 7\n");
            assert_eq!(run.code(), 7);
        }
    }
}

#[test]
fn under_a_shell_ctrl_z_stops_us_with_the_command_and_its_children_and_fg_continues_all_of_them() {
    let house = House::new();
    for mode in ["main", "sidecar"] {
        let pty = Pty::open();
        let _shell = interactive(house.run("sh").arg("-i")).on(&pty, ALL).start();
        pty.shows("prompt> ");
        let exeunt = init::exeunt(&house, mode);
        let role = std::env::current_exe().unwrap();
        // The shell that exeunt runs has a child of its own, as a script has.
        let pids = house.path("pids");
        pty.keys(&format!(
            "{exeunt} -- sh -c 'echo $PPID $$ > {}; HOUSE_ROLE=patient {}; exit $?'\n",
            pids.display(),
            role.display()
        ));
        pty.shows("ready\r\n");
        let family = std::fs::read_to_string(&pids).unwrap();
        let mut family: Vec<i32> = family.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
        family.extend(proc::children(family[1]));
        assert_eq!(family.len(), 3);
        let all_are = |state| {
            wait_until(&format!("all three to be in state {state}"), || {
                family.iter().all(|pid| proc::state(*pid) == Some(state))
            })
        };
        for _ in 0..3 {
            all_are('S');
            pty.keys(CTRL_Z);
            pty.shows("Stopped");
            pty.shows("prompt> ");
            all_are('T');
            answers(&pty, "echo");
            pty.keys("fg\n");
        }
        all_are('S');
        pty.keys(CTRL_C);
        pty.shows("prompt> ");
        // And the shell has its terminal back.
        pty.keys("echo code $?\n");
        pty.shows("code 130");
        let _ = std::fs::remove_file(house.pod("main-job-terminated"));
    }
}

// Its continuation finds the process running, so no stop tells us that the terminal is to be handed on again.
#[test]
fn under_a_shell_a_job_that_was_put_into_the_background_reads_the_terminal_again_after_fg() {
    let house = House::new();
    for mode in ["main", "sidecar"] {
        let pty = Pty::open();
        let _shell = interactive(house.run("sh").arg("-i")).on(&pty, ALL).start();
        pty.shows("prompt> ");
        let exeunt = init::exeunt(&house, mode);
        let go = house.path("go");
        let role = std::env::current_exe().unwrap();
        pty.keys(&format!("GO={} HOUSE_ROLE=late_reader {exeunt} -- {}\n", go.display(), role.display()));
        pty.shows("\r\nbegin ");
        let job: i32 = pty.line().parse().unwrap();
        pty.keys(CTRL_Z);
        pty.shows("Stopped");
        pty.shows("prompt> ");
        pty.keys("bg\n");
        pty.shows("prompt> ");
        answers(&pty, "echo");
        pty.keys("fg\n");
        wait_until("the terminal to be the command's again", || pty.foreground() == job);
        std::fs::write(&go, "").unwrap();
        pty.keys("two\n");
        pty.shows("got two");
        pty.keys("\x04");
        pty.shows("prompt> ");
        answers(&pty, "echo");
        std::fs::remove_file(go).unwrap();
        let _ = std::fs::remove_file(house.pod("main-job-terminated"));
    }
}

// A script is no interactive shell: it does not take the terminal back by itself, and would be refused its next read.
#[test]
fn in_a_script_the_next_command_has_the_terminal_again() {
    let house = House::new();
    for mode in ["main", "sidecar"] {
        let pty = Pty::open();
        let exeunt = init::exeunt(&house, mode);
        let line = format!("{exeunt} -- sh -c 'read line; echo one $line'; read line && echo two $line; exit 4");
        let mut script = house.run("sh").args(["-c", &line]).on(&pty, STDIN).start();
        pty.keys("first\n");
        script.expect("one first");
        pty.keys("second\n");
        script.expect("two second");
        assert_eq!(script.code(), 4);
        let _ = std::fs::remove_file(house.pod("main-job-terminated"));
    }
}

// catatonit and tini take the terminal from whoever has it.
#[test]
fn in_the_background_of_a_shell_we_leave_the_terminal_alone() {
    let house = House::new();
    let pty = Pty::open();
    let ready = house.path("ready");
    let _shell = interactive(house.run("sh").arg("-i")).on(&pty, ALL).start();
    pty.shows("prompt> ");
    let exeunt = format!("{} -- sh -c 'echo > {}; exec sleep 1000' &\n", init::exeunt(&house, "main"), ready.display());
    pty.keys(&exeunt);
    pty.shows("prompt> ");
    wait_until("the command to run", || ready.exists());
    // A shell that had lost the terminal would be stopped at its next read.
    answers(&pty, "echo");
    // Ctrl-C is for the foreground, where the shell is.
    pty.keys(CTRL_C);
    pty.shows("prompt> ");
    answers(&pty, "kill -0 $! && echo");
    pty.keys("kill $!; wait $!; echo code $?\n");
    pty.shows("code 143");
}

// Without us the command would be in an orphaned process group, where the kernel ignores ctrl-Z: there is no shell that
// could ever continue it.
#[test]
fn ctrl_z_with_no_shell_above_does_not_leave_the_command_stopped_for_ever() {
    let house = House::new();
    for run in both_modes(&house) {
        let pty = Pty::open();
        // A child of the command is stopped with it, and has to be continued with it.
        let run = run.command("echo ready; (while read line; do echo got $line; done); exit $?");
        let mut run = run.on(&pty, STDIN).start();
        run.ready();
        for round in 0..3 {
            pty.keys(CTRL_Z);
            pty.keys(&format!("line {round}\n"));
            run.expect(&format!("got line {round}"));
        }
        pty.keys("\x04");
        assert_eq!(run.code(), 0);
    }
}
