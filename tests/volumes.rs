//! What the shared directory survives: a full disk, a read-only mount, a job that cleans up, other namespaces.

mod house;

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use house::scene::{HELPER, JOB};
use house::{House, Process, proc, wait_until};
use serde_json::Value;

/// A job on a tmpfs of its own: it runs `fill` in the shared directory and ends with 5; then the sentinel is shown.
fn on_a_small_disk(house: &House, options: &str, fill: &str) -> Process {
    let pod = house.pod("");
    // Not before everything is there that exeunt makes at the start: a disk that is full already is another test.
    let line = format!("cd \"$1\" || exit 1; until [ -e main-job-ready ]; do :; done; {fill}; exit 5");
    let main = house.main().args(["--", "sh", "-c", &line, "sh"]).arg(&pod);
    // The shell around it stays in the mount namespace and shows what is left there.
    let show = "\"$@\"; echo \"code $?\"; cat main-job-terminated; ls -a";
    let main = main.behind(["sh", "-c", &format!("cd '{}'; {show}", pod.display()), "sh"]);
    let mut main = main.after(&format!("mount -t tmpfs -o {options} none \"$1\""), &pod).finish();
    main.code();
    main
}

#[test]
fn the_end_is_told_on_a_volume_without_a_free_block() {
    let house = House::new();
    let main =
        on_a_small_disk(&house, "size=64k", "cat /dev/zero >fill 2>error; echo full >>fill || echo no block left");
    assert!(main.out().starts_with("no block left\ncode 5\n"), "{}", main.out());
    let record: Value = serde_json::from_str(main.out().lines().nth(2).expect("the record")).expect("the record");
    assert_eq!((&record["exit_code"], &record["final"]), (&5.into(), &true.into()));
    assert!(!main.out().contains("main-job-running"), "{}", main.out());
    assert!(!main.err().contains("exeunt"), "{}", main.err());
}

#[test]
fn the_end_is_told_on_a_volume_without_a_free_inode() {
    let fill = "i=0; while mkdir d$i 2>/dev/null; do i=$((i+1)); done; mkdir more 2>/dev/null || echo no inode left";
    let house = House::new();
    let main = on_a_small_disk(&house, "size=1m,nr_inodes=8", fill);
    assert!(main.out().starts_with("no inode left\ncode 5\n"), "{}", main.out());
    let record: Value = serde_json::from_str(main.out().lines().nth(2).expect("the record")).expect("the record");
    assert_eq!((&record["exit_code"], &record["final"]), (&5.into(), &true.into()));
    assert!(!main.err().contains("exeunt"), "{}", main.err());
}

#[test]
fn when_the_end_cannot_be_told_the_job_s_code_still_is_and_the_lock_tells_the_sidecar() {
    let house = House::new();
    let pod = house.pod("");
    let mount = "mount -t tmpfs -o size=1m,nr_inodes=6 none \"$1\"";
    let mut stage = house.sh("echo ready; exec sleep 1000").after(mount, &pod).start();
    stage.ready();
    // The life loses its name, and no inode is left for another.
    let line =
        "cd \"$1\"; echo ready; read code <\"$CUE\"; rm main-job-*; i=0; while mkdir d$i; do i=$((i+1)); done; exit 5";
    let main = house.main().args(["--", "sh", "-c", line, "sh"]).arg(&pod);
    let mut main = main.inside(&stage, &["--mount"]).start();
    main.ready();
    let sidecar = house.sidecar().args(["--exit-with", "main"]).command(HELPER);
    let mut sidecar = sidecar.inside(&stage, &["--mount"]).start();
    sidecar.ready();
    house.cue(0);
    assert_eq!(main.code(), 5);
    assert!(main.err().contains("exeunt main: warning: "), "{}", main.err());
    assert!(main.err().contains("main-job-terminated"), "{}", main.err());
    assert!(!stage.root(house.pod("main-job-terminated")).exists());
    // How it ended nobody can know; that it did, the lock has told.
    sidecar.ended();
    sidecar.expect("term");
}

/// A full volume, or one with a single inode left for the sentinel: main cannot have its name, its sidecars leave all the same.
#[test]
fn a_volume_that_is_full_at_the_start_is_named_nothing_is_run_and_the_sidecar_leaves() {
    for options in ["size=4k", "size=1m,nr_inodes=3"] {
        let house = House::new();
        let mount = format!("mount -t tmpfs -o {options} none \"$1\"; cat /dev/zero >\"$1/fill\" 2>/dev/null || true");
        let mut stage = house.sh("echo ready; exec sleep 1000").after(&mount, house.pod("")).start();
        stage.ready();
        let mut sidecar = house.sidecar().command(HELPER).inside(&stage, &["--mount"]).start();
        sidecar.ready();
        let main = house.main().command("touch \"$CUE.started\"").inside(&stage, &["--mount"]);
        let mut main = main.start();
        assert_eq!(main.code(), 125, "{}", main.err());
        let ours: Vec<_> = main.err().lines().filter(|line| line.starts_with("exeunt")).map(str::to_owned).collect();
        assert_eq!(ours.len(), 1, "{}", main.err());
        assert!(ours[0].contains(house.pod("").to_str().expect("a plain path")), "{}", main.err());
        assert!(!house.path("cue.started").exists());
        assert_eq!(sidecar.code(), 0);
        sidecar.expect("term");
    }
}

/// Who will be started again has not ended for good, whatever kept him from his name.
#[test]
fn a_full_volume_ends_no_sidecar_of_a_main_that_comes_again() {
    let house = House::new();
    let mount = "mount -t tmpfs -o size=4k none \"$1\"; cat /dev/zero >\"$1/fill\" 2>/dev/null || true";
    let line = "\"$1\" --mode main --dir \"$2\" --restart-policy on-failure -- true; echo \"code $?\"; ls -A \"$2\"";
    let run = house.sh(line).arg(house::EXEUNT).arg(house.pod(""));
    let mut main = run.after(mount, house.pod("")).finish();
    main.code();
    assert_eq!(main.out(), "code 125\nfill\n");
}

#[test]
fn a_directory_that_may_not_be_written_is_named_and_nothing_is_run() {
    let house = House::new();
    let program = house.path("exeunt");
    fs::copy(house::EXEUNT, &program).expect("a copy that everybody may run");
    fs::set_permissions(house.pod(""), PermissionsExt::from_mode(0o555)).expect("a mode");
    let main = house.run(&program).args(["--mode=main", "--dir"]).arg(house.pod("")).command("touch \"$CUE.started\"");
    // Root may write everywhere; anybody else is stopped by the mode.
    // SAFETY: a system call that cannot fail.
    let root = unsafe { libc::geteuid() } == 0;
    let drop: &[&str] = if root { &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] } else { &["env"] };
    let mut main = main.behind(drop).finish();
    assert_eq!(main.code(), 125, "{}", main.err());
    assert!(main.err().contains(house.pod("").to_str().expect("a plain path")), "{}", main.err());
    assert_eq!(main.err().lines().count(), 1, "{}", main.err());
    assert!(!house.path("cue.started").exists());
}

#[test]
fn a_job_that_empties_the_directory_still_has_its_sentinel_and_its_code() {
    let house = House::new();
    let line = "echo ready; read code <\"$CUE\"; rm -rf \"$1\"/* \"$1\"/.main*; exit \"$code\"";
    let mut main = house.main().args(["--", "sh", "-c", line, "sh"]).arg(house.pod("")).start();
    main.ready();
    let mut sidecar = house.helper(&["--exit-with", "main"]);
    house.cue(3);
    assert_eq!(main.code(), 3);
    assert_eq!(house.listing(), ["main-job-terminated"]);
    assert_eq!(house.record("main-job-terminated")["exit_code"], 3);
    assert_eq!(sidecar.code(), 3);
    assert_eq!(main.err(), "");
}

#[test]
fn a_job_that_empties_the_directory_and_goes_on_does_not_lose_its_sidecar() {
    let house = House::new();
    let line = "echo ready; rm -rf \"$1\"/*; echo emptied; read code <\"$CUE\"; exit \"$code\"";
    let mut main = house.main().args(["--", "sh", "-c", line, "sh"]).arg(house.pod("")).start();
    let mut sidecar = house.helper(&["--exit-with", "main"]);
    main.ready();
    main.expect("emptied");
    // A second sidecar is started on the empty directory, so that time passes for the first.
    let mut late = house.helper(&["--exit-with", "main"]);
    assert_eq!(sidecar.try_ended(), None);
    house.cue(4);
    assert_eq!((main.code(), sidecar.code(), late.code()), (4, 4, 4));
}

#[test]
fn a_job_that_removes_the_directory_keeps_its_code_and_the_sidecar_ends() {
    let house = House::new();
    let line = "echo ready; read code <\"$CUE\"; rm -rf \"$1\"; exit \"$code\"";
    let mut main = house.main().args(["--", "sh", "-c", line, "sh"]).arg(house.pod("")).start();
    main.ready();
    let mut sidecar = house.helper(&[]);
    house.cue(3);
    assert_eq!(main.code(), 3);
    assert!(main.err().contains("exeunt main: warning: "), "{}", main.err());
    assert_eq!(sidecar.code(), 0);
    sidecar.expect("term");
}

#[test]
fn a_job_that_makes_the_directory_anew_has_its_sentinel_in_the_new_one() {
    let house = House::new();
    let line = "echo ready; read code <\"$CUE\"; rm -rf \"$1\"; mkdir \"$1\"; exit \"$code\"";
    let mut main = house.main().args(["--", "sh", "-c", line, "sh"]).arg(house.pod("")).start();
    main.ready();
    let mut sidecar = house.helper(&[]);
    house.cue(3);
    assert_eq!(main.code(), 3);
    assert_eq!(house.record("main-job-terminated")["exit_code"], 3);
    assert_eq!(sidecar.code(), 0);
}

/// A main whose job has moved the directory away and made another one in its place, and ends when it is told to.
#[track_caller]
fn moves_its_directory(house: &House) -> Process {
    let line = "mv \"${1%/}\" \"${1%/}.old\" && mkdir \"$1\" && echo ready; read code <\"$CUE\"; exit \"$code\"";
    let mut main = house.main().args(["--", "sh", "-c", line, "sh"]).arg(house.pod("")).start();
    main.ready();
    main
}

/// The end is told where the lock is, and where the path leads by then: somebody may have come there meanwhile.
#[test]
fn a_directory_that_is_moved_away_while_the_job_runs_has_an_end_in_both_places() {
    let house = House::new();
    let mut main = moves_its_directory(&house);
    let mut late = house.helper(&["--exit-with", "main"]);
    house.cue(3);
    assert_eq!(main.code(), 3);
    assert_eq!(house.record("main-job-terminated")["exit_code"], 3);
    assert_eq!(late.code(), 3, "{}", late.err());
    assert_eq!(house.listing(), ["main-job-terminated"]);
}

/// A run that is rotated away does not speak for the one that has come in its place, under its name.
#[test]
fn an_end_is_not_told_where_another_run_lives_under_the_same_name() {
    let house = House::new();
    let mut first = moves_its_directory(&house);
    let mut second = house.main().command("echo ready; exec sleep 100").start();
    second.ready();
    let mut late = house.helper(&["--exit-with", "main"]);
    house.cue(3);
    assert_eq!(first.code(), 3);
    assert_eq!(house.listing(), ["main-job-ready", "main-job-running"]);
    second.signal(libc::SIGTERM);
    assert_eq!(second.code(), 143);
    assert_eq!(late.code(), 143, "{}", late.err());
}

#[test]
fn a_wrapper_killed_after_the_job_emptied_the_directory_is_noticed_by_a_sidecar_that_knew_it() {
    let house = House::new();
    let line = "echo ready; read code <\"$CUE\"; rm -rf \"$1\"/*; echo emptied; exec sleep 1000";
    let mut main = house.main().args(["--", "sh", "-c", line, "sh"]).arg(house.pod("")).start();
    main.ready();
    let mut sidecar = house.helper(&["--exit-with", "main"]);
    house.cue(0);
    main.expect("emptied");
    main.signal(libc::SIGKILL);
    assert_eq!(sidecar.code(), 137);
}

/// The inode numbers that the inotify instances of a process watch.
fn watched(pid: i32) -> Vec<u64> {
    let infos = fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten();
    let text: String = infos.filter_map(|entry| fs::read_to_string(entry.path()).ok()).collect();
    let inodes =
        text.lines().filter_map(|line| line.strip_prefix("inotify wd:")?.split(" ino:").nth(1)?.split(' ').next());
    inodes.filter_map(|inode| u64::from_str_radix(inode, 16).ok()).collect()
}

#[test]
fn a_directory_that_vanishes_and_comes_back_is_watched_again() {
    let house = House::new();
    let mut sidecar = house.helper(&["--exit-with", "main"]);
    for round in 0..2 {
        // Moved and not removed: so the new one cannot have the same inode number.
        fs::rename(house.pod(""), house.path(format!("old-{round}"))).expect("the directory gone");
        sidecar.says("vanished");
        fs::create_dir(house.pod("")).expect("the directory back");
        let inode = fs::metadata(house.pod("")).expect("the directory").ino();
        wait_until("the watch to be set on the new directory", || watched(sidecar.pid).contains(&inode));
        assert_eq!(sidecar.try_ended(), None);
    }
    // What happens in the old one is nothing to it any more.
    File::create(house.path("old-0/main-job-terminated")).expect("a file");
    house.main().command("exit 3").finish().code();
    assert_eq!(sidecar.code(), 3);
}

#[test]
fn a_sentinel_in_a_directory_that_came_back_at_once_is_found() {
    let house = House::new();
    let mut sidecar = house.helper(&[]);
    fs::rename(house.pod(""), house.path("old")).expect("the directory gone");
    fs::create_dir(house.pod("")).expect("the directory back");
    house.touch("main-job-terminated");
    assert_eq!(sidecar.code(), 0);
    sidecar.expect("term");
}

#[test]
fn a_relative_directory_means_the_same_all_the_time() {
    let house = House::new();
    let relative = |mode| house.run(house::EXEUNT).args(["--dir=pod", "--mode", mode]).current_dir(house.path(""));
    let mut sidecar = relative("sidecar").args(["--watch=poll", "--exit-with=main"]).command(HELPER).start();
    sidecar.ready();
    let mut main = relative("main").command(JOB).start();
    main.ready();
    // It looks whether the directory is still the same at each of its looks. A wake-up has one other cause: the child.
    let looks = || proc::wake_ups(sidecar.pid);
    let before = looks();
    wait_until("three more looks", || looks() >= before + 3);
    fs::remove_file(house.pod("main-job-running")).expect("a file removed");
    house.cue(3);
    assert_eq!((main.code(), sidecar.code()), (3, 3));
    assert!(!sidecar.err().contains("vanished"), "{}", sidecar.err());
    assert_eq!(main.err(), "");
}

#[test]
fn job_and_sidecar_in_mount_and_pid_namespaces_of_their_own_share_only_the_directory() {
    for kill in [false, true] {
        let house = House::new();
        // Two places for one file system, as in two containers: only the job has it at "pod".
        fs::create_dir(house.path("elsewhere")).expect("a directory");
        let mut main = house.main().command(JOB).pid_1().start();
        main.ready();
        let sidecar = house.run(house::EXEUNT).args(["--mode=sidecar", "--exit-with=main", "--dir"]);
        let sidecar = sidecar.arg(house.path("elsewhere")).command(HELPER).pid_1();
        let bind = format!("mount --bind '{}' \"$1\"", house.pod("").display());
        let mut sidecar = sidecar.after(&bind, house.path("elsewhere")).start();
        sidecar.ready();
        if kill {
            proc::signal(main.inner(), libc::SIGKILL);
            assert_eq!(sidecar.code(), 137);
        } else {
            house.cue(3);
            assert_eq!((main.code(), sidecar.code()), (3, 3));
        }
        sidecar.expect("term");
    }
}

#[test]
fn a_read_only_mount_is_enough_for_a_sidecar_without_a_name_and_not_for_one_with_a_name() {
    let read_only = "mount --bind \"$1\" \"$1\"; mount -o remount,bind,ro \"$1\"";
    let house = House::new();
    let mut main = house.job(&[]);
    let mut sidecar =
        house.sidecar().args(["--exit-with=main"]).command(HELPER).after(read_only, house.pod("")).start();
    sidecar.ready();
    let named = house.sidecar().args(["--name=proxy"]).command("echo started").after(read_only, house.pod(""));
    let mut named = named.finish();
    assert_eq!((named.code(), named.out()), (125, String::new()));
    assert!(named.err().contains(house.pod("").to_str().expect("a plain path")), "{}", named.err());
    house.cue(3);
    assert_eq!((main.code(), sidecar.code()), (3, 3));
    assert_eq!(sidecar.err().lines().count(), 1, "{}", sidecar.err());
}

#[test]
fn a_directory_that_is_missing_is_named_and_the_command_is_not_started() {
    let house = House::new();
    let path = house.path("nowhere");
    let sidecar = house.run(house::EXEUNT).args(["--mode=sidecar", "--dir"]).arg(&path);
    let mut sidecar = sidecar.command("echo started").finish();
    assert_eq!((sidecar.code(), sidecar.out()), (125, String::new()));
    assert!(sidecar.err().contains(path.to_str().expect("a plain path")), "{}", sidecar.err());
    assert_eq!(sidecar.err().lines().count(), 1, "{}", sidecar.err());
}
