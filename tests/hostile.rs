//! Somebody in another container who means harm and may write to the shared directory: what he cannot do, and, where it
//! says so, what he can. SECURITY.md has the same as a table.

mod house;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use house::scene::mkfifo;
use house::{House, proc, wait_until};

/// Does something over and over in another thread, as long as `during` lasts.
fn meanwhile<T>(mut again: impl FnMut() + Send, during: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                again();
            }
        });
        // Also when a wait in there panics: the scope joins its threads.
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(during));
        over.store(true, Ordering::Relaxed);
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The most memory that it has had, in kB.
fn memory(pid: i32) -> u64 {
    let most = proc::status(pid, "VmHWM").expect("its memory");
    most.trim_end_matches(" kB").parse().expect("a number")
}

/// Between the look at the kind and the open lies a moment, and a link or a FIFO that is put there in it must not be
/// followed or waited for either. A FIFO can tell: it has a reader once somebody has opened it.
#[test]
fn a_file_that_turns_into_a_link_or_a_fifo_between_two_system_calls_is_never_opened_through() {
    let house = House::new();
    let fifo = house.path("trap");
    mkfifo(&fifo);
    let [file, link] = ["file", "link"].map(|name| house.pod(name));
    let mut sidecar = house.helper(&["--exit-with", "main"]);
    let looks = || proc::wake_ups_of_thread(sidecar.pid, sidecar.pid);
    let before = looks();
    let swap = || {
        for name in ["main-job-running", "main-job-ready"] {
            fs::write(&file, "{}").expect("a file");
            fs::rename(&file, house.pod(name)).expect("a file in its place");
            symlink(&fifo, &link).expect("a link");
            fs::rename(&link, house.pod(name)).expect("a link in its place");
            let opened = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&fifo);
            assert_eq!(opened.err().and_then(|error| error.raw_os_error()), Some(libc::ENXIO), "it was followed");
        }
    };
    meanwhile(swap, || wait_until("some hundred looks", || looks() >= before + 300));
    assert_eq!(sidecar.try_ended(), None);
    house.touch("main-job-terminated");
    assert_eq!(sidecar.code(), 0);
    assert!(!sidecar.err().contains("panicked"), "{}", sidecar.err());
}

#[test]
fn a_file_that_grows_faster_than_it_is_read_ends_no_look_late() {
    let house = House::new();
    let open = |name: &str| OpenOptions::new().create(true).append(true).open(house.pod(name)).expect("a file");
    let mut running = open("main-job-running");
    let mut sentinel = None;
    let chunk = vec![b'['; 1 << 16];
    let mut sidecar = house.helper(&["--exit-with", "main"]);
    let grow = || {
        // Holes make it large, and the chunks that are written make events and content; the disk need not be.
        let size = running.metadata().map_or(0, |metadata| metadata.len());
        running.set_len(if size > 1 << 24 { 0 } else { size + (1 << 20) }).expect("a length");
        running.write_all(&chunk).expect("a chunk");
    };
    meanwhile(grow, || {
        let mut late = house.helper(&["--exit-with", "main"]);
        sentinel = Some(open("main-job-terminated"));
        assert_eq!((sidecar.code(), late.code()), (0, 0));
    });
    drop(sentinel);
    assert!(!sidecar.err().contains("panicked"), "{}", sidecar.err());
}

/// fcntl(2): whoever opens a file with a lease on it waits, up to /proc/sys/fs/lease-break-time (45 s), unless he opens it
/// with `O_NONBLOCK`.
#[test]
fn a_lease_on_a_file_makes_nobody_wait() {
    // asm-generic/fcntl.h; libc has no name for it.
    const F_SETSIG: libc::c_int = 10;
    let house = House::new();
    let lease = |name: &str| {
        let file = File::create(house.pod(name)).expect("a file");
        // The holder is told by SIGIO, which ends a process that does not expect it: by one that is ignored instead.
        // SAFETY: the descriptor is ours, and no memory is passed.
        let told = unsafe { libc::fcntl(file.as_raw_fd(), F_SETSIG, libc::SIGWINCH) };
        // SAFETY: as above.
        let taken = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK) };
        assert_eq!((told, taken), (0, 0), "{}", std::io::Error::last_os_error());
        file
    };
    let _life = lease("main-job-running");
    let mut sidecar = house.helper(&["--exit-with", "main"]);
    let _sentinel = lease("main-job-terminated");
    assert_eq!(sidecar.code(), 0);
}

/// No number in a record is a process: exeunt signals what it has started, and nothing else.
#[test]
fn a_record_that_names_processes_has_nobody_signalled() {
    let house = House::new();
    let mut bystander =
        house.sh("trap 'echo hit' TERM INT HUP USR1; echo ready; while :; do sleep 1000 & wait $!; done").start();
    bystander.ready();
    let pid = bystander.pid;
    let mut sidecar = house.helper(&["--exit-with", "main"]);
    let fields =
        ["pid", "child", "pgid", "group", "device", "inode", "attempt"].map(|field| format!("\"{field}\":{pid}"));
    let record = format!("{{\"protocol\":1,\"name\":\"main-job\",{},\"signal\":15}}\n", fields.join(","));
    fs::write(house.pod("main-job-running"), &record).expect("a life");
    fs::write(house.path("sentinel"), &record).expect("a sentinel");
    fs::rename(house.path("sentinel"), house.pod("main-job-terminated")).expect("its name");
    sidecar.expect("term");
    assert_eq!(sidecar.code(), 143, "the code that the record claims, and no more");
    bystander.signal(libc::SIGKILL);
    bystander.ended();
    assert_eq!(bystander.out(), "ready\n", "it was sent a signal");
}

#[test]
fn a_directory_that_is_flooded_costs_neither_side_its_end() {
    let house = House::new();
    for number in 0..20_000 {
        house.touch(&format!("there-before-{number}-running"));
    }
    let mut number = 0u32;
    let flood = || {
        number += 1;
        let name = house.pod(format!("flood-{}-running", number % 5000));
        fs::write(&name, "flood").expect("a file");
        if number.is_multiple_of(3) {
            fs::remove_file(&name).expect("a file removed");
        }
    };
    meanwhile(flood, || {
        let mut main = house.job(&[]);
        let mut sidecar = house.helper(&["--exit-with", "main", "--watch", "poll"]);
        let most = memory(sidecar.pid);
        house.cue(3);
        assert_eq!((main.code(), sidecar.code()), (3, 3));
        assert!(most < 32 * 1024, "{most} kB");
    });
}

/// He can keep a job from starting: 125, and a line that says why. He cannot change the code of one that has started.
#[test]
fn whoever_removes_our_files_as_fast_as_he_can_changes_no_code_of_a_job_that_runs() {
    let house = House::new();
    let files = ["running", "terminated"].map(|kind| format!("main-job-{kind}"));
    let names = files.iter().flat_map(|file| [house.pod(file), house.pod(format!(".{file}.new"))]).collect::<Vec<_>>();
    let remove = || names.iter().for_each(|name| drop(fs::remove_file(name)));
    meanwhile(remove, || {
        let mut started = 0;
        for _ in 0..20 {
            let mut main = house.main().command("echo started; exit 3").finish();
            if main.out().is_empty() {
                assert_eq!(main.code(), 125, "{}", main.err());
                assert!(main.err().contains("main-job"), "{}", main.err());
            } else {
                assert_eq!(main.code(), 3, "{}", main.err());
                started += 1;
            }
        }
        assert!(started > 0, "no job was ever started: nothing has been shown");
    });
    assert_eq!(house.main().command("exit 3").finish().code(), 3);
    assert_eq!(house.record("main-job-terminated")["exit_code"], 3);
}

/// What he can do, by himself: a lock that he has waited for looks like a life. Only where nobody could say goodbye, for a
/// sentinel is there whoever holds what; and only until he lets go.
#[test]
fn whoever_takes_the_lock_of_a_killed_main_keeps_its_sidecars_until_he_lets_go_or_there_is_a_sentinel() {
    for lets_go in [true, false] {
        let house = House::new();
        let mut main = house.job(&[]);
        let mut sidecar = house.helper(&["--exit-with", "main"]);
        let path = house.pod("main-job-running");
        mkfifo(&house.path("go"));
        let mut thief = house.sh("exec flock -x \"$1\" sh -c 'echo has it; read word <\"$1\"' sh \"$2\"");
        thief = thief.arg(&path).arg(house.path("go"));
        let mut thief = thief.start();
        let inode = format!(":{} ", fs::metadata(&path).expect("the life").ino());
        wait_until("the thief to wait for the lock", || {
            let locks = fs::read_to_string("/proc/locks").expect("/proc/locks");
            locks.lines().any(|line| line.contains("-> FLOCK") && line.contains(&inode))
        });
        // Between the one and the other holder there is a moment in which the lock is free. He is to have all the luck.
        sidecar.signal(libc::SIGSTOP);
        wait_until("the sidecar to be stopped", || proc::state(sidecar.pid) == Some('T'));
        main.signal(libc::SIGKILL);
        main.ended();
        thief.expect("has it");
        sidecar.signal(libc::SIGCONT);
        // One that comes after all this starts its command, for the life seems to live.
        drop(house.helper(&[]));
        assert_eq!(sidecar.try_ended(), None);
        if lets_go {
            house.cue_at("go", 0);
            assert_eq!(sidecar.code(), 137);
        } else {
            house.touch("main-job-terminated");
            assert_eq!(sidecar.code(), 0);
        }
    }
}

/// Another file in the place of a life that is seen and held: a copy of its record, with the copy's own device and inode, so
/// that its free lock would prove a death, or a mere `touch`.
#[test]
fn another_file_in_the_place_of_a_life_that_is_held_ends_no_sidecar() {
    for copy in [true, false] {
        let house = House::new();
        let mut job = house.job(&[]);
        let mut sidecar = house.helper(&[]);
        let path = house.pod("copy");
        let mut record = house.record("main-job-running");
        let file = File::create(&path).expect("a copy");
        if copy {
            let place = file.metadata().expect("its inode");
            record["device"] = place.dev().into();
            record["inode"] = place.ino().into();
            writeln!(&file, "{record}").expect("a record");
        }
        let before = proc::wake_ups_of_thread(sidecar.pid, sidecar.pid);
        fs::rename(&path, house.pod("main-job-running")).expect("the copy in its place");
        wait_until("a look at it", || proc::wake_ups_of_thread(sidecar.pid, sidecar.pid) > before);
        // One more, because the first may have been begun before.
        house.touch("main-job-running");
        wait_until("another", || proc::wake_ups_of_thread(sidecar.pid, sidecar.pid) > before + 1);
        assert_eq!(sidecar.try_ended(), None, "{}", sidecar.err());
        house.cue(0);
        assert_eq!((job.code(), sidecar.code()), (0, 0));
    }
}

/// Where the mount point is above it, the directory itself can be exchanged: then nothing is written through a link.
#[test]
fn a_link_in_the_place_of_the_directory_is_not_followed_out_of_the_volume() {
    let house = House::new();
    fs::create_dir(house.path("victim")).expect("a directory");
    fs::write(house.path("victim/main-job-ready"), "precious").expect("a file");
    let mut job = house.job(&[]);
    fs::rename(house.pod(""), house.path("moved")).expect("the directory moved");
    fs::remove_file(house.path("moved/main-job-running")).expect("the life removed");
    fs::remove_dir_all(house.path("moved")).expect("the directory removed");
    symlink(house.path("victim"), house.path("pod")).expect("a link");
    house.cue(7);
    assert_eq!(job.code(), 7);
    assert!(job.err().contains("cannot be opened again"), "{}", job.err());
    assert_eq!(house::scene::listing(&house.path("victim")), ["main-job-ready"]);
}

/// The same for a sidecar: what the link leads to is no life of anybody's, and nobody there is named.
#[test]
fn a_link_in_the_place_of_the_directory_leads_no_sidecar_out_of_the_volume() {
    let house = House::new();
    fs::create_dir(house.path("victim")).expect("a directory");
    for name in ["main-job-terminated", "other-terminated"] {
        fs::write(house.path("victim").join(name), "").expect("a sentinel");
    }
    let mut sidecar = house.helper(&["--watch=poll", "--exit-with=main"]);
    fs::remove_dir(house.path("pod")).expect("the directory removed");
    symlink(house.path("victim"), house.path("pod")).expect("a link");
    sidecar.says("has vanished; waiting for it to come back");
    let looks = proc::wake_ups(sidecar.pid);
    wait_until("three more looks", || proc::wake_ups(sidecar.pid) >= looks + 3);
    assert_eq!(sidecar.try_ended(), None, "{}", sidecar.err());
    assert!(!sidecar.err().contains("spelt"), "{}", sidecar.err());
    // When it comes back, it is followed.
    fs::remove_file(house.path("pod")).expect("the link removed");
    fs::create_dir(house.path("pod")).expect("the directory again");
    assert_eq!(house.main().command("exit 7").finish().code(), 7);
    assert_eq!(sidecar.code(), 7);
}
