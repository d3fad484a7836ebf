//! Troubles that pass: no room for a process, no memory, a program that is being written, a directory that rings without
//! pause. What was to be done is done when they are over.

mod house;
mod stand_in;
mod tracer;

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use house::scene::HELPER;
use house::{House, PATIENCE, wait_until};
use stand_in::{Answer, Server};
use tracer::cases::{exeunt, text};
use tracer::{Call, Traced, Verdict};

/// How often it is refused, one time after the other.
const TIMES: usize = 3;

/// A process that is started: clone(2) with the parent waiting, which no thread is.
fn starts_a_process(call: &Call) -> bool {
    call.number == libc::SYS_clone && call.arguments[0] & libc::CLONE_VFORK as u64 != 0
}

/// exec(2) of our own program, for a probe or a goodbye.
fn becomes_ourselves(call: &Call) -> bool {
    let mut path = [0u8; 14];
    call.child
        && call.number == libc::SYS_execve
        && fs::File::open(format!("/proc/{}/mem", call.pid))
            .is_ok_and(|memory| memory.read_exact_at(&mut path, call.arguments[0]).is_ok())
        && &path == b"/proc/self/exe"
}

/// A life with a probe, a command and a goodbye, in which the first after `spared` of these calls are refused.
#[track_caller]
fn is_done_in_the_end(what: &str, refused: fn(&Call) -> bool, spared: usize, errno: i32) {
    let house = House::new();
    let server = Server::new(|_| Answer::Status(200, ""));
    let quit = server.url("/quit");
    let words = ["--mode", "main", "--wait-for", "exec:true", "--on-exit", &quit, "--", "sh", "-c", "exit 7"];
    let mut seen = 0;
    let struck = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&struck);
    let traced = Traced::start(exeunt(&house, "traced", words), move |call| {
        if !refused(call) {
            return Verdict::Pass;
        }
        seen += 1;
        if (spared + 1..=spared + TIMES).contains(&seen) {
            told.store(seen == spared + TIMES, SeqCst);
            return Verdict::Fail(errno);
        }
        Verdict::Pass
    });
    let end = traced.ended_within(PATIENCE).expect("its end");
    assert!(struck.load(SeqCst), "{what}: it has not been refused {TIMES} times");
    let said = text(&house, "traced.err");
    assert_eq!(end.status.code(), Some(7), "{what}: {said}");
    assert_eq!(server.asked(), ["POST /quit"], "{what}: {said}");
    assert!(!said.contains("warning"), "{what}: {said}");
}

/// Each was given up at the first refusal.
#[test]
fn a_probe_and_a_goodbye_are_started_when_there_is_room_and_memory_again() {
    for errno in [libc::EAGAIN, libc::ENOMEM] {
        let name = tracer::errors::name(errno);
        is_done_in_the_end(&format!("no room for a probe: {name}"), starts_a_process, 0, errno);
        // The probe and the command come before it.
        is_done_in_the_end(&format!("no room for the goodbye: {name}"), starts_a_process, 2, errno);
    }
    is_done_in_the_end("no memory for a probe", becomes_ourselves, 0, libc::ENOMEM);
    is_done_in_the_end("no memory for the goodbye", becomes_ourselves, 1, libc::ENOMEM);
    // The file is there as the kernel has it open; that it is written to is a matter of a moment.
    is_done_in_the_end("a probe whose program is busy", becomes_ourselves, 0, libc::ETXTBSY);
    is_done_in_the_end("a goodbye whose program is busy", becomes_ourselves, 1, libc::ETXTBSY);
}

/// Where nobody can tell what is mounted, a worker is wanted: it was given up at the first refusal, and a volume that hangs then
/// makes the init deaf.
#[test]
fn the_volume_s_worker_is_started_when_there_is_room_again() {
    for errno in [libc::EAGAIN, libc::ENOMEM] {
        let house = House::new();
        let words = ["--mode", "main", "--", "sh", "-c", "exit 7"];
        let (tell, started) = std::sync::mpsc::channel();
        let mut refused = 0;
        let traced = Traced::start(exeunt(&house, "traced", words), move |call| {
            // libc has no name for statmount(2) yet.
            if call.number == 457 {
                return Verdict::Fail(libc::ENOSYS);
            }
            let thread = call.number == libc::SYS_clone && call.arguments[0] & libc::CLONE_THREAD as u64 != 0;
            if !thread && call.number != libc::SYS_clone3 {
                return Verdict::Pass;
            }
            if refused < TIMES {
                refused += 1;
                return Verdict::Fail(errno);
            }
            let _ = tell.send(());
            Verdict::Pass
        });
        let end = traced.ended_within(PATIENCE).expect("its end");
        let name = tracer::errors::name(errno);
        assert_eq!(end.status.code(), Some(7), "{name}: {}", text(&house, "traced.err"));
        // The worker, and the one that keeps a place for the command.
        assert_eq!(started.iter().count(), 2, "{name}");
    }
}

/// The watch was given up for a lock, which was said, and then there was no lock all the same, which was said as well.
#[test]
fn that_the_watch_was_given_up_for_nothing_is_one_line_with_what_cannot_be_seen() {
    let house = House::new();
    let words = ["--mode", "sidecar", "--", "sh", "-c", "echo started; exec sleep 1000"];
    let refuses = Arc::new(AtomicBool::new(false));
    let refused = Arc::clone(&refuses);
    let traced = Traced::start(exeunt(&house, "traced", words), move |call| {
        let opens = !call.child && call.number == libc::SYS_openat;
        if opens && refused.load(SeqCst) { Verdict::Fail(libc::EMFILE) } else { Verdict::Pass }
    });
    wait_until("its command", || text(&house, "traced.out").contains("started"));
    refuses.store(true, SeqCst);
    let mut main = house.job(&[]);
    wait_until("what it says", || text(&house, "traced.err").contains("cannot be seen"));
    refuses.store(false, SeqCst);
    house.cue(3);
    let end = traced.ended_within(PATIENCE).expect("its end");
    let said = text(&house, "traced.err");
    assert_eq!((main.code(), end.status.code()), (3, Some(0)), "{said}");
    let warnings: Vec<_> = said.lines().filter(|line| line.contains("warning:")).collect();
    assert!(matches!(warnings[..], [one] if one.ends_with("it is looked at once a second, without a watch")), "{said}");
}

/// The command of a condition that is being written: busy now, and not in a moment.
#[test]
fn a_condition_whose_program_is_being_written_is_asked_again() {
    let house = House::new();
    let program = house.path("program");
    // By another process: one of ours could be started with the descriptor open, and keep the file busy.
    let write = "printf '#!/bin/sh\\nexit 0\\n' >\"$1\"; chmod 755 \"$1\"; exec 3>>\"$1\"; echo open; read line";
    let (reader, release) = std::io::pipe().unwrap();
    let mut writer = house.sh(write).arg(&program).stdin(reader).start();
    writer.expect("open");
    assert_eq!(fs::metadata(&program).unwrap().permissions().mode() & 0o777, 0o755);
    let condition = format!("exec:{}", program.display());
    let mut main = house.main().args(["--wait-for", &condition, "--wait-timeout", "1h"]).command("exit 7").start();
    main.says("Text file busy (ETXTBSY)");
    assert_eq!(main.try_ended(), None);
    drop(release);
    writer.ended();
    assert_eq!(main.code(), 7, "{}", main.err());
}

/// A directory that is made anew is found by the slow look, which every ring put off: a readiness file that comes and goes once
/// a second rings for ever.
#[test]
fn what_rings_without_pause_does_not_put_the_slow_look_off() {
    let house = House::new();
    let flag = house.path("flags");
    fs::create_dir(&flag).unwrap();
    let ring = |directory: &Path| {
        let _ = fs::remove_file(directory.join("ready"));
        // It leads nowhere, so the condition never holds.
        std::os::unix::fs::symlink("nowhere", directory.join("ready")).unwrap();
    };
    let condition = format!("file://{}", flag.join("ready").display());
    let mut sidecar = house.sidecar().args(["--name", "s", "--ready-when", &condition]).command(HELPER).start();
    sidecar.ready();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(SeqCst) {
                ring(&flag);
                thread::sleep(Duration::from_millis(100));
            }
        });
        fs::remove_dir_all(house.pod("")).unwrap();
        fs::create_dir(house.pod("")).unwrap();
        house.touch("main-job-terminated");
        let end = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| sidecar.code()));
        over.store(true, SeqCst);
        assert_eq!(end.ok(), Some(0), "{}", sidecar.err());
    });
    sidecar.expect("term");
}
