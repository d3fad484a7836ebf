//! Descriptors: none of ours for the command, none of the command's kept by us, and a standard error that may be in any
//! state whatever.

mod house;
#[path = "house/init.rs"]
mod init;

use house::scene::HELPER;
use house::{House, Run, proc, wait_until};
use init::{both_modes, queue, read_to_end};
use std::fs::{self, File};
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;

roles! {
    fn collector() { init::collector() }
    fn descriptors() { init::descriptors() }
}

/// The open descriptors that the command of this run finds.
fn found(house: &House, run: Run) -> String {
    let report = house.path("report");
    let mut run = run.env("REPORT", &report).playing("descriptors").start();
    assert_eq!(run.code(), 0);
    let found = fs::read_to_string(&report).unwrap();
    fs::remove_file(report).unwrap();
    found
}

#[test]
fn the_command_finds_the_descriptors_that_we_were_given_and_none_of_ours() {
    let house = House::new();
    let null = File::open("/dev/null").unwrap();
    let fd = null.as_raw_fd();
    for run in both_modes(&house) {
        assert_eq!(found(&house, run.without_others()), "0 1 2");
    }
    for run in both_modes(&house) {
        let run = run.without_others().with_descriptor(fd, 3).with_descriptor(fd, 7).with_descriptor(fd, 200);
        assert_eq!(found(&house, run), "0 1 2 3 7 200");
    }
    for run in both_modes(&house) {
        let run = run.without_others().with_descriptor(fd, 5).pid_1();
        assert_eq!(found(&house, run), "0 1 2 5");
    }
}

// tini dies of a closed standard input (its pull request 246, open); what an init opens may become the command's output.
// A standard input that is closed is fatal: krallin/tini#246.
#[test]
fn standard_descriptors_that_are_closed_stay_closed_for_the_command_and_nothing_of_ours_takes_their_place() {
    let house = House::new();
    for set in 0..8 {
        let closed: Vec<_> = (0..3).filter(|number| set & 1 << number != 0).collect();
        let open: Vec<_> = (0..3).filter(|number| !closed.contains(number)).map(|number| number.to_string()).collect();
        for run in both_modes(&house) {
            assert_eq!(
                found(&house, run.without_others().without(closed.clone())),
                open.join(" "),
                "closed: {closed:?}"
            );
        }
        for run in both_modes(&house) {
            assert_eq!(run.without(closed.clone()).command("exit 3").finish().code(), 3, "closed: {closed:?}");
        }
    }
}

// Where a standard descriptor is closed, the next file that is opened gets its number, and then messages go into the file.
#[test]
fn what_is_said_to_a_closed_standard_error_is_not_written_into_a_file_of_ours() {
    let house = House::new();
    let record = |state: &str| -> serde_json::Value {
        let record = fs::read_to_string(house.pod(state)).unwrap();
        assert!(record.len() == 2048 && record.ends_with('\n') && record.lines().count() == 1, "{state}: {record}");
        serde_json::from_str(&record).unwrap()
    };
    for set in 0..8 {
        let closed = (0..3).filter(|number| set & 1 << number != 0).collect();
        let started = house.path(format!("started-{set}"));
        let line = format!("echo > {}; exec sleep 1000", started.display());
        let mut run = house.main().without(closed).args(["--log-level", "debug"]).command(&line).start();
        wait_until("the command to run", || started.exists());
        // Each of these is worth some lines.
        (0..30).for_each(|_| queue(run.pid, libc::SIGWINCH));
        assert_eq!(record("main-job-running")["name"], "main-job");
        proc::signal(proc::children(run.pid)[0], libc::SIGKILL);
        assert_eq!(run.code(), 137);
        assert_eq!(record("main-job-terminated")["signal"], 9);
    }
}

// catatonit once kept what it was given (its issue 12); tini, dumb-init and pid1-rs do to this day: a socket or a pipe never
// closes while they live.
// The init keeps descriptors that were meant for the command: openSUSE/catatonit#12.
#[test]
fn what_we_were_given_for_the_command_is_not_kept_by_ourselves() {
    let house = House::new();
    for run in both_modes(&house) {
        let (reader, writer) = std::io::pipe().unwrap();
        let run = run.with_descriptor(writer.as_raw_fd(), 9).with_descriptor(writer.as_raw_fd(), 8);
        let mut run = run.command("echo through >&9; exec 9>&- 8>&-; echo ready; sleep 1000").start();
        drop(writer);
        run.ready();
        let pipe = fs::read_link(format!("/proc/self/fd/{}", reader.as_raw_fd())).unwrap();
        assert_eq!(read_to_end(reader), "through\n");
        assert!(proc::alive(run.pid));
        assert!(!proc::descriptors(run.pid).contains(&pipe.display().to_string()));
    }
}

#[test]
fn it_is_the_same_without_proc() {
    let house = House::new();
    let (reader, writer) = std::io::pipe().unwrap();
    let run = house.main().with_descriptor(writer.as_raw_fd(), 9);
    let run = run.command("exec 9>&-; echo ready; sleep 1000");
    // The mount of a directory in its place: there is a /proc, and nothing in it.
    let mut run = run.after("mount --bind \"$1\" /proc", house.path("pod")).start();
    drop(writer);
    run.ready();
    assert_eq!(read_to_end(reader), "");
}

// Podman's default_ulimits and hardened hosts: opening files late and few is what lets an init work there.
#[test]
fn few_descriptors_are_enough() {
    let house = House::new();
    for (run, limit) in both_modes(&house).into_iter().zip([MAIN_NEEDS, SIDECAR_NEEDS]) {
        let mut run =
            run.without_others().limit(libc::RLIMIT_NOFILE, limit, limit).command("ulimit -n; exit 3").start();
        assert_eq!(run.code(), 3, "{}", run.err());
        run.expect(&limit.to_string());
    }
}

/// Too few for a life, or for the directory alone: a main that cannot take its name left its sidecars waiting for ever.
#[test]
fn where_no_descriptor_is_left_for_a_name_its_end_is_told_all_the_same() {
    for limit in [SIDECAR_NEEDS, MAIN_NEEDS - 1] {
        let house = House::new();
        let mut sidecar = house.helper(&[]);
        let run = house.main().without_others().limit(libc::RLIMIT_NOFILE, limit, limit);
        let mut main = run.command("echo started").finish();
        assert_eq!((main.code(), main.out()), (125, String::new()), "{limit}: {}", main.err());
        assert!(main.err().contains("EMFILE"), "{limit}: {}", main.err());
        assert_eq!(main.err().lines().count(), 1, "{limit}: {}", main.err());
        assert_eq!(sidecar.code(), 0, "{limit}: {}", sidecar.err());
        sidecar.expect("term");
    }
}

/// With room for the watch and for no lock beside it a kill was not seen: the watch is given up for the lock then.
#[test]
fn however_few_descriptors_there_are_a_killed_job_is_noticed_or_it_is_said_that_it_cannot_be() {
    for limit in SIDECAR_NEEDS..SIDECAR_NEEDS + 7 {
        let house = House::new();
        let run = house.sidecar().without_others().limit(libc::RLIMIT_NOFILE, limit, limit);
        let mut sidecar = run.command(HELPER).start();
        sidecar.ready();
        let mut main = house.job(&[]);
        if limit == SIDECAR_NEEDS + 4 {
            // 0, 1, 2, the directory, the bell, and the three of the watch.
            sidecar.says("beside those of the watch (RLIMIT_NOFILE)");
        }
        if limit < SIDECAR_NEEDS + 2 {
            // The directory, and a bell where there is room for one; and none for the lock.
            sidecar.says("relying on its sentinel, for a kill of main-job cannot be seen");
            house.cue(3);
            assert_eq!((main.code(), sidecar.code()), (3, 0), "{limit}: {}", sidecar.err());
            continue;
        }
        main.signal(libc::SIGKILL);
        main.ended();
        assert_eq!(sidecar.code(), 0, "{limit}: {}", sidecar.err());
        assert!(sidecar.err().contains("it was killed"), "{limit}: {}", sidecar.err());
        assert!(!sidecar.err().contains("cannot be seen"), "{limit}: {}", sidecar.err());
    }
}

/// 0, 1, 2, the directory and the file of our life, and one for the moment of opening.
const MAIN_NEEDS: u64 = 6;
/// 0, 1, 2 and the directory: without a descriptor for the watch it is looked at.
const SIDECAR_NEEDS: u64 = 4;

/// A pipe that takes not one byte more.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    let flags = |set: bool| {
        // SAFETY: plain system calls on a descriptor of ours.
        unsafe {
            let flags = libc::fcntl(writer.as_raw_fd(), libc::F_GETFL);
            let flags = if set { flags | libc::O_NONBLOCK } else { flags & !libc::O_NONBLOCK };
            assert_eq!(libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, flags), 0);
        }
    };
    flags(true);
    while (&writer).write(&[b'x'; 4096]).is_ok() {}
    while (&writer).write(b"x").is_ok() {}
    flags(false);
    (reader, writer)
}

// tini -g writes a warning for every ESRCH: with a full, unread standard error it blocks in write(2) and forwards
// nothing more.
#[test]
fn a_full_standard_error_that_nobody_reads_stops_nothing_not_in_a_storm_of_signals_either() {
    let house = House::new();
    for run in both_modes(&house) {
        let (reader, writer) = full_pipe();
        let ours = writer.try_clone().unwrap();
        let mut run = run.stderr(writer).args(["--log-level", "debug"]).playing("collector").start();
        run.ready();
        for _ in 0..50 {
            for signal in 34..=50 {
                queue(run.pid, signal);
            }
        }
        for _ in 0..50 * 17 {
            let signal: i32 = run.line().parse().unwrap();
            assert!((34..=50).contains(&signal), "{signal}");
        }
        // The open file is shared with the command: it must not find it changed.
        // SAFETY: asks about a descriptor of ours.
        let flags = unsafe { libc::fcntl(ours.as_raw_fd(), libc::F_GETFL) };
        assert_eq!(flags & libc::O_NONBLOCK, 0);
        proc::signal(proc::children(run.pid)[0], libc::SIGKILL);
        assert_eq!(run.code(), 137);
        drop(reader);
    }
}

#[test]
fn a_standard_error_that_is_closed_broken_or_full_changes_no_exit_code() {
    let house = House::new();
    let absent = house.path("absent").display().to_string();
    // Each of these has something to say.
    let cases: [(&[&str], i32); 4] = [
        (&["--", "sh", "-c", "exit 3"], 3),
        (&["--", "sh", "-c", "kill -9 $$"], 137),
        (&["--", &absent], 127),
        (&["--no-such-option", "--", "true"], 125),
    ];
    for (words, code) in cases {
        for level in ["info", "debug"] {
            let run = |mode: usize| {
                both_modes(&house).into_iter().nth(mode).unwrap().args(["--log-level", level]).args(words)
            };
            for mode in 0..2 {
                assert_eq!(run(mode).without(vec![2]).finish().code(), code, "{words:?}, closed");
                let (reader, writer) = std::io::pipe().unwrap();
                drop(reader);
                assert_eq!(run(mode).stderr(writer).finish().code(), code, "{words:?}, broken");
                let (_reader, writer) = full_pipe();
                assert_eq!(run(mode).stderr(writer).finish().code(), code, "{words:?}, full");
                let full = File::options().write(true).open("/dev/full").unwrap();
                assert_eq!(run(mode).stderr(full).finish().code(), code, "{words:?}, /dev/full");
            }
        }
    }
}

#[test]
fn a_message_that_found_no_room_is_followed_by_one_that_does() {
    let house = House::new();
    let (mut reader, writer) = full_pipe();
    let mut run = house.main().stderr(writer).args(["--log-level", "debug"]).playing("collector").start();
    run.ready();
    // Room again: what comes now is whole lines, none of them half.
    // SAFETY: asks about a descriptor of ours.
    let room = unsafe { libc::fcntl(reader.as_raw_fd(), libc::F_GETPIPE_SZ) };
    let mut drained = vec![0; room as usize];
    reader.read_exact(&mut drained).unwrap();
    assert!(drained.iter().all(|byte| *byte == b'x'));
    run.signal(libc::SIGUSR1);
    run.expect("10");
    let child = proc::children(run.pid)[0];
    proc::signal(child, libc::SIGKILL);
    assert_eq!(run.code(), 137);
    let rest = read_to_end(reader);
    assert!(rest.lines().all(|line| line.starts_with("exeunt main: ")), "{rest}");
    assert!(rest.contains("SIGKILL") && rest.ends_with('\n'), "{rest}");
    wait_until("the command to be gone", || !proc::alive(child));
}
