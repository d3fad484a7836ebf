//! `exeunt reset`: what is over goes from a volume that outlives a round of the Pod, what lives stays.

mod house;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;

use house::scene::{FOREIGN, HELPER, JOB};
use house::{EXEUNT, House, Process};

fn reset(house: &House) -> Process {
    house.run(EXEUNT).args(["reset", "--dir"]).arg(house.pod("")).finish()
}

#[track_caller]
fn one_line(process: &mut Process, code: i32, text: &str) {
    let said = process.err();
    assert_eq!((process.code(), said.lines().count()), (code, 1), "{said}");
    assert!(said.contains(text), "not {text:?}: {said}");
}

/// Over by a code, by a signal, killed, between two attempts, touched, filled with garbage: all the same to a new round.
#[test]
fn the_files_of_every_life_that_is_over_go_and_nothing_else() {
    let house = House::new();
    let run = |name: &str, options: &[&str]| house.main().args(["--name", name]).args(options);
    run("done", &[]).command("exit 3").finish();
    run("again", &["--restart-policy", "on-failure"]).command("exit 5").finish();
    let mut killed = run("killed", &[]).command(HELPER).start();
    killed.ready();
    killed.signal(libc::SIGKILL);
    killed.killed_by();
    house.touch("touched-terminated");
    fs::write(house.pod("garbage-running"), "\0{]").expect("garbage");
    for half in [".half-running.new", ".half-terminated.new", ".half-ready.new"] {
        house.touch(half);
    }
    for foreign in ["data", "running", "-terminated", "a b-terminated", "done-terminated.bak"] {
        house.touch(foreign);
    }
    let mut process = reset(&house);
    assert_eq!((process.code(), process.out(), process.err()), (0, String::new(), String::new()));
    let mut left = house.listing();
    left.retain(|name| !name.contains(' '));
    assert_eq!(left, ["-terminated", "data", "done-terminated.bak", "running"]);
    let mut again = reset(&house);
    assert_eq!((again.code(), again.err()), (0, String::new()), "twice is once");
}

#[test]
fn a_life_that_is_there_stays_whole_and_is_named() {
    let house = House::new();
    let mut job = house.main().command(JOB).start();
    job.ready();
    house.appears("main-job-ready");
    house.main().args(["--name", "done"]).command("true").finish();
    one_line(&mut reset(&house), 0, "main-job lives");
    assert_eq!(house.listing(), ["main-job-ready", "main-job-running"]);
    let mut sidecar = house.helper(&[]);
    house.cue(0);
    assert_eq!((job.code(), sidecar.code()), (0, 0));
}

/// KEP-5532 as seen on a cluster: the sidecar comes first in the second round and finds the sentinel of the first.
#[test]
fn a_sidecar_of_the_next_round_waits_for_the_job_of_the_next_round() {
    let house = House::new();
    house.main().command("exit 42").finish();
    assert_eq!(reset(&house).code(), 0);
    let mut sidecar = house.helper(&[]);
    let mut job = house.job(&[]);
    assert_eq!(sidecar.try_ended(), None);
    house.cue(0);
    assert_eq!((job.code(), sidecar.code()), (0, 0));
}

#[test]
fn what_stands_in_the_place_of_our_files_is_removed_and_never_followed() {
    for (kind, line) in FOREIGN {
        for name in ["main-job-terminated", "main-job-running", "main-job-ready"] {
            let house = House::new();
            assert_eq!(house.sh(line).arg(house.pod(name)).finish().code(), 0);
            let mut process = reset(&house);
            if kind.contains("directory") {
                one_line(&mut process, 125, name);
            } else {
                assert_eq!((process.code(), process.err()), (0, String::new()), "{kind} as {name}");
                assert!(fs::symlink_metadata(house.pod(name)).is_err(), "{kind} as {name}");
            }
            if let Ok(precious) = fs::read_to_string(house.pod(format!("{name}.target"))) {
                assert_eq!(precious, "precious\n", "{kind} as {name}");
            }
        }
    }
}

/// Whoever takes a name at this moment holds the lock of the directory: to remove what he has just made would be a life lost.
#[test]
fn it_waits_for_whoever_takes_a_name_and_says_so_in_the_end() {
    let house = House::new();
    house.touch("main-job-terminated");
    let turn = File::open(house.pod("")).expect("the directory");
    turn.lock().expect("its lock");
    one_line(&mut reset(&house), 125, "try again");
    assert_eq!(house.listing(), ["main-job-terminated"]);
    turn.unlock().expect("its lock");
    assert_eq!(reset(&house).code(), 0);
    assert_eq!(house.listing(), [""; 0]);
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let house = House::new();
    house.touch("main-job-terminated");
    fs::set_permissions(house.pod(""), fs::Permissions::from_mode(0o555)).expect("its mode");
    let mut run = house.run(EXEUNT).args(["reset", "--dir"]).arg(house.pod(""));
    // SAFETY: a system call that cannot fail.
    if unsafe { libc::geteuid() } == 0 {
        run = run.behind(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
    }
    one_line(&mut run.finish(), 125, "main-job-terminated");
    let mut nowhere = house.run(EXEUNT).args(["reset", "--dir", "/no/such/directory"]).finish();
    one_line(&mut nowhere, 125, "/no/such/directory");
    let mut word = house.run(EXEUNT).args(["reset", "/tmp/pod"]).finish();
    one_line(&mut word, 125, "--dir");
}

#[test]
fn install_with_reset_does_both_and_nothing_if_the_first_fails() {
    let house = House::new();
    house.main().command("true").finish();
    let install = |house: &House| {
        house.run(EXEUNT).args(["install", "--reset", "--dir"]).arg(house.pod("")).arg(house.pod("exeunt")).finish()
    };
    let mut process = install(&house);
    assert_eq!((process.code(), process.err()), (0, String::new()));
    assert_eq!(house.listing(), ["exeunt"]);
    fs::remove_file(house.pod("exeunt")).expect("the copy");
    fs::create_dir(house.pod("main-job-terminated")).expect("a directory");
    one_line(&mut install(&house), 125, "main-job-terminated");
    assert_eq!(house.listing(), ["main-job-terminated"]);
}
