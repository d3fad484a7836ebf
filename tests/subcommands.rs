//! `exeunt probe`, `exeunt install`, `exeunt reset` (more of it in reset.rs) and `exeunt status`: ordinary programs, for init containers and for people.

mod house;
mod stand_in;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::Value;

use house::scene::{HELPER, JOB, listing};
use house::{EXEUNT, House, Process, Run, wait_until};
use stand_in::{Answer, Server};

fn exeunt(house: &House, words: &[&str]) -> Run {
    house.run(EXEUNT).args(words)
}

#[track_caller]
fn one_line(process: &mut Process, code: i32, text: &str) {
    let said = process.err();
    assert_eq!(process.code(), code, "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("exeunt") && said.contains(text), "not {text:?}: {said}");
    assert_eq!(process.out(), "");
}

// --- probe (its conditions are in tests/conditions.rs)

#[test]
fn a_probe_takes_its_directory_and_time_from_the_environment_and_a_flag_wins() {
    let house = House::new();
    let _life = house.life("proxy", |_| {});
    fs::write(house.pod("proxy-ready"), "").unwrap();
    let run = || exeunt(&house, &["probe"]).env("EXEUNT_DIR", house.pod(""));
    assert_eq!(run().arg("proxy").finish().code(), 0);
    let mut other = run().args(["--dir", "/", "proxy"]).finish();
    one_line(&mut other, 1, "proxy: not ready");
    let server = Server::new(|_| Answer::Silence);
    let mut slow = run().env("EXEUNT_TIMEOUT", "200ms").arg(server.url("/")).finish();
    one_line(&mut slow, 1, "no answer within 200ms");
    let mut slow = run().env("EXEUNT_TIMEOUT", "1h").args(["--timeout=200ms", &server.url("/")]).finish();
    one_line(&mut slow, 1, "no answer within 200ms");
}

/// As PID 1 of nothing, in a Pod's exec probe: it asks once and does not wait.
#[test]
fn a_probe_asks_once() {
    let house = House::new();
    let server = Server::new(|_| Answer::Status(503, ""));
    let mut probe = exeunt(&house, &["probe", "--timeout", "60s", &server.url("/")]).finish();
    one_line(&mut probe, 1, ": 503");
    assert_eq!(server.asked(), ["GET /"]);
}

#[test]
fn a_probe_says_what_it_cannot_understand() {
    let house = House::new();
    for (words, text) in [
        (&["probe"][..], "no condition is given"),
        (&["probe", "--timeout", "1s"], "no condition is given"),
        (&["probe", "--timeout"], "--timeout"),
        (&["probe", "--timeout", "soon", "x"], "--timeout"),
        (&["probe", "--loud", "x"], "--loud"),
        (&["probe", "a/b"], "a/b"),
        (&["probe", "--run-id", "", "x"], "--run-id"),
    ] {
        one_line(&mut exeunt(&house, words).finish(), 125, text);
    }
    let mut variable = exeunt(&house, &["probe", "x"]).env("EXEUNT_TIMEOUT", "soon").finish();
    one_line(&mut variable, 125, "EXEUNT_TIMEOUT");
}

#[test]
fn a_probe_is_ended_by_a_signal_as_any_program_is() {
    let house = House::new();
    let server = Server::new(|_| Answer::Silence);
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let asked = server.asked().len();
        let mut probe = exeunt(&house, &["probe", &server.url("/")]).start();
        wait_until("the question", || server.asked().len() > asked);
        probe.signal(signal);
        assert_eq!(probe.killed_by(), signal);
    }
}

#[test]
fn a_word_that_is_not_the_first_is_no_subcommand() {
    let house = House::new();
    // The command may well be called so.
    let mut job = house.main().args(["--", "probe"]).finish();
    assert_eq!(job.code(), 127, "{}", job.err());
    let mut job = house.main().args(["status"]).finish();
    assert_eq!(job.code(), 127, "{}", job.err());
}

#[test]
fn each_subcommand_has_help() {
    let house = House::new();
    for name in ["probe", "install", "reset", "status"] {
        for help in ["--help", "-h"] {
            let mut process = exeunt(&house, &[name, help]).finish();
            assert_eq!((process.code(), process.err()), (0, String::new()));
            assert!(process.out().contains(&format!("Usage: exeunt {name}")), "{}", process.out());
        }
    }
}

// --- install

#[track_caller]
fn install(house: &House, target: &str) {
    let mut process = exeunt(house, &["install", target]).finish();
    assert_eq!((process.code(), process.out(), process.err()), (0, String::new(), String::new()));
}

#[test]
fn install_copies_this_very_binary_and_the_copy_works() {
    let house = House::new();
    let target = house.path("copy");
    install(&house, target.to_str().unwrap());
    assert!(fs::read(&target).unwrap() == fs::read(EXEUNT).unwrap(), "the copy differs");
    let mut version = house.run(&target).arg("--version").finish();
    assert_eq!((version.code(), version.out()), (0, format!("exeunt {}\n", env!("CARGO_PKG_VERSION"))));
    // A copy installs itself, too: from the init container's volume into the next.
    let mut again = house.run(&target).arg("install").arg(house.path("second")).finish();
    assert_eq!(again.code(), 0, "{}", again.err());
    assert!(fs::read(house.path("second")).unwrap() == fs::read(EXEUNT).unwrap(), "the copy of the copy differs");
}

/// The injected wrapper may not be executed by another user: argoproj/argo-workflows#6238.
#[test]
fn install_makes_it_executable_by_everybody_whatever_the_umask() {
    let house = House::new();
    for umask in [0o077, 0o777, 0o000] {
        let target = house.path("copy");
        let mut process = exeunt(&house, &["install"]).arg(&target).umask(umask).finish();
        assert_eq!(process.code(), 0, "{}", process.err());
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o7777, 0o755, "umask {umask:o}");
    }
}

#[test]
fn install_into_a_directory_gives_it_its_name() {
    let house = House::new();
    fs::create_dir(house.path("bin")).unwrap();
    for target in [house.path("bin"), house.path("bin/")] {
        install(&house, target.to_str().unwrap());
        assert_eq!(listing(&house.path("bin")), ["exeunt"], "and nothing else, no temporary file");
    }
}

#[test]
fn install_knows_a_path_relative_to_where_it_is_started() {
    let house = House::new();
    for (target, there) in [("copy", "copy"), ("./other", "other"), (".", "exeunt")] {
        let mut process = exeunt(&house, &["install", target]).current_dir(house.path("")).finish();
        assert_eq!(process.code(), 0, "{}", process.err());
        assert!(house.path(there).exists(), "{target}");
    }
}

/// A plain copy would fail with "Text file busy", or change the program under whoever runs it.
/// The wrapper cannot be copied over one that runs (ETXTBSY): scylladb/scylla-operator#573.
#[test]
fn install_replaces_a_binary_that_runs_without_disturbing_it() {
    let house = House::new();
    let target = house.path("exeunt");
    install(&house, target.to_str().unwrap());
    let before = fs::metadata(&target).unwrap().ino();
    let run = house.run(&target).args(["--mode", "main", "--dir"]).arg(house.pod(""));
    let mut job = run.args(["--on-exit", "http://127.0.0.1:1/", "--wait-for", "exec:true"]).command(JOB).start();
    job.ready();
    install(&house, target.to_str().unwrap());
    let after = fs::metadata(&target).unwrap().ino();
    assert_ne!(before, after, "it was written over");
    assert_eq!(fs::metadata(format!("/proc/{}/exe", job.pid)).unwrap().ino(), before);
    house.cue(4);
    assert_eq!(job.code(), 4, "{}", job.err());
    // The goodbye of the old one is said by the old one, though its name is gone.
    assert!(job.err().contains("warning: POST http://127.0.0.1:1/: "), "{}", job.err());
}

/// Whoever looks at any moment finds the old one or the new one, complete.
#[test]
fn install_is_atomic() {
    let house = House::new();
    let target = house.path("exeunt");
    install(&house, target.to_str().unwrap());
    let size = fs::metadata(EXEUNT).unwrap().size();
    for _ in 0..10 {
        let mut process = exeunt(&house, &["install"]).arg(&target).start();
        let mut looks = 0;
        while process.try_ended().is_none() || looks == 0 {
            let file = fs::metadata(&target).expect("a binary at every moment");
            assert_eq!((file.size(), file.permissions().mode() & 0o7777), (size, 0o755));
            looks += 1;
        }
        assert_eq!(process.code(), 0, "{}", process.err());
    }
}

#[test]
fn install_replaces_a_link_and_not_what_it_leads_to() {
    let house = House::new();
    fs::write(house.path("precious"), "precious").unwrap();
    std::os::unix::fs::symlink(house.path("precious"), house.path("link")).unwrap();
    install(&house, house.path("link").to_str().unwrap());
    assert_eq!(fs::read_to_string(house.path("precious")).unwrap(), "precious");
    assert!(fs::symlink_metadata(house.path("link")).unwrap().is_file());
}

#[test]
fn install_says_what_it_cannot_do_and_leaves_nothing_behind() {
    let house = House::new();
    fs::write(house.path("file"), "").unwrap();
    let before = listing(&house.path(""));
    for (words, text) in [
        (vec!["install"], "exeunt install PATH"),
        (vec!["install", "a", "b"], "exeunt install PATH"),
        (vec!["install", "--force", "a"], "--force"),
        (vec!["install", "no/such/directory/exeunt"], "no/such/directory/exeunt"),
        (vec!["install", "file/exeunt"], "file/exeunt"),
        (vec!["install", "/proc/exeunt"], "/proc/exeunt"),
        (vec!["install", ""], ""),
    ] {
        one_line(&mut exeunt(&house, &words).current_dir(house.path("")).finish(), 125, text);
    }
    let left: Vec<_> = listing(&house.path("")).into_iter().filter(|name| !before.contains(name)).collect();
    // What the house writes of each process, and nothing of exeunt.
    assert!(left.iter().all(|name| name.starts_with(|c: char| c.is_ascii_digit())), "{left:?}");
}

#[test]
fn install_on_a_full_volume_keeps_the_old_binary_and_leaves_nothing_behind() {
    let house = House::new();
    fs::create_dir(house.path("small")).unwrap();
    let run = exeunt(&house, &["install"]).arg(house.path("small/exeunt"));
    let mut process = run
        .after(
            "mount -t tmpfs -o size=64k none \"$1\"; echo old >\"$1/exeunt\"; trap 'ls -A \"$1\"' EXIT",
            house.path("small"),
        )
        .start();
    assert_eq!(process.code(), 125, "{}", process.err());
    assert_eq!(process.err().lines().count(), 1, "{}", process.err());
    assert!(process.err().contains("small/exeunt") && process.err().contains("No space left"), "{}", process.err());
}

/// "Permission denied" in the next container is a riddle (tektoncd/pipeline#623, argoproj/argo-cd#21870).
/// An init container that succeeds lets the Pod go on.
#[test]
fn install_on_a_volume_that_is_mounted_noexec_is_an_error_that_says_so() {
    let house = House::new();
    fs::create_dir(house.path("volume")).unwrap();
    for (options, code) in [("noexec", 125), ("exec", 0)] {
        let run = exeunt(&house, &["install"]).arg(house.path("volume"));
        let mut process = run.after(&format!("mount -t tmpfs -o {options} none \"$1\""), house.path("volume")).start();
        assert_eq!(process.code(), code, "{}", process.err());
        assert_eq!(process.err().contains("noexec"), code != 0, "{options}: {}", process.err());
        assert_eq!(process.err().lines().count(), usize::from(code != 0), "{options}: {}", process.err());
    }
}

// --- status

fn status(house: &House, words: &[&str]) -> String {
    let mut process = exeunt(house, &["status", "--dir"]).arg(house.pod("")).args(words).finish();
    assert_eq!((process.code(), process.err()), (0, String::new()));
    process.out()
}

/// The words of each line; what has blanks in it is joined by dots.
fn rows(table: &str) -> Vec<Vec<String>> {
    table
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect())
        .collect()
}

#[test]
fn status_of_an_empty_directory_says_that_nobody_is_there() {
    let house = House::new();
    assert_eq!(status(&house, &[]).lines().count(), 1);
    assert_eq!(status(&house, &["--json"]), "[]\n");
}

/// Everybody at once: who runs, who is ready, who is over and how, who was killed, who will come again.
#[test]
fn status_shows_everybody_in_a_table_and_in_json() {
    let house = House::new();
    let run =
        |name: &str, options: &[&str], line: &str| house.main().args(["--name", name]).args(options).command(line);
    let mut alive = run("alive", &[], HELPER).start();
    alive.ready();
    house.appears("alive-ready");
    let mut shy = run("shy", &["--ready-when", "file:///no/such/file"], HELPER).start();
    shy.ready();
    run("done", &[], "exit 0").finish();
    run("failed", &[], "exit 3").finish();
    run("failed", &[], "exit 4").finish();
    run("shot", &[], "kill -KILL $$").finish();
    run("again", &["--restart-policy", "on-failure"], "exit 5").finish();
    let mut killed = run("killed", &[], HELPER).start();
    killed.ready();
    killed.signal(libc::SIGKILL);
    killed.killed_by();
    fs::write(house.pod("touched-terminated"), "").unwrap();
    fs::write(house.pod("garbage-terminated"), "\u{1b}[31m\0{]").unwrap();

    let rows = rows(&status(&house, &[]));
    assert_eq!(rows[0], ["NAME", "STATE", "READY", "RESTARTS", "ATTEMPT", "CODE", "SINCE"]);
    let expected = [
        ["again", "between attempts", "no", "on-failure", "1", "5"],
        ["alive", "running", "yes", "never", "1", "-"],
        ["done", "over", "no", "never", "1", "0"],
        ["failed", "over", "no", "never", "2", "4"],
        ["garbage", "over", "no", "-", "-", "-"],
        ["killed", "dead", "no", "never", "1", "-"],
        ["shot", "over", "no", "never", "1", "SIGKILL"],
        ["shy", "running", "no", "never", "1", "-"],
        ["touched", "over", "no", "-", "-", "-"],
    ];
    let cells: Vec<_> = rows[1..].iter().map(|row| row[..6].to_vec()).collect();
    assert_eq!(cells, expected);
    for row in &rows[1..] {
        let since = &row[6];
        assert!(since == "-" || since.starts_with("20") && since.ends_with('Z'), "{row:?}");
    }

    let json: Value = serde_json::from_str(&status(&house, &["--json"])).unwrap();
    let lines = json.as_array().unwrap();
    assert_eq!(lines.len(), expected.len());
    let of = |name: &str| lines.iter().find(|line| line["name"] == name).unwrap();
    assert_eq!((of("alive")["state"].as_str(), of("alive")["ready"].as_bool()), (Some("running"), Some(true)));
    assert_eq!((of("failed")["attempt"].as_u64(), of("failed")["exit_code"].as_u64()), (Some(2), Some(4)));
    assert_eq!((of("shot")["signal"].as_u64(), of("shot").get("exit_code")), (Some(9), None));
    assert_eq!((of("killed")["state"].as_str(), of("touched").get("attempt")), (Some("dead"), None));
    let ended = house.record("done-terminated")["ended"].clone();
    assert_eq!(of("done")["since"], ended);
}

/// Another container writes it, and a terminal obeys what it is shown.
#[test]
fn status_shows_nothing_that_a_terminal_would_obey() {
    let house = House::new();
    drop(house.life("proxy", |record| record["started"] = "\u{1b}[2J\u{7}\u{202e}2026".into()));
    fs::write(house.pod("\u{1b}[31mred-terminated"), "").unwrap();
    fs::write(house.pod("a\nb-terminated"), "").unwrap();
    for words in [&[][..], &["--json"]] {
        let text = status(&house, words);
        assert!(!text.contains('\u{1b}') && !text.contains('\u{7}') && !text.contains("red"), "{text:?}");
        assert!(text.contains("proxy"), "{text:?}");
        assert!(!words.is_empty() || !text.contains('\u{202e}'), "what is beside it would be turned: {text:?}");
    }
}

#[test]
fn status_counts_only_the_run_that_is_asked_for() {
    let house = House::new();
    house.main().args(["--run-id", "1"]).command("exit 3").finish();
    let rows = rows(&status(&house, &["--run-id", "1"]));
    assert_eq!(rows[1][..6], ["main-job", "over", "no", "never", "1", "3"]);
    let other = status(&house, &["--run-id", "2"]);
    assert!(!other.contains("over"), "{other}");
}

/// Where nobody can be told what was asked for, that is said; whoever has read enough is told nothing.
#[test]
fn a_standard_output_without_room_is_one_line() {
    let house = House::new();
    let into = |line: &'static str| {
        exeunt(&house, &["status", "--dir"]).arg(house.pod("")).behind(["sh", "-c", line, "sh"]).finish()
    };
    let mut full = into("exec \"$@\" >/dev/full");
    let said = "exeunt: standard output cannot be written: No space left on device (ENOSPC)\n";
    assert_eq!((full.code(), full.err()), (125, said.to_owned()));
}

#[test]
fn status_changes_nothing_and_needs_no_right_to_write() {
    let house = House::new();
    let mut job = house.main().command(JOB).start();
    job.ready();
    house.appears("main-job-ready");
    let before = house.listing();
    let mut process = exeunt(&house, &["status", "--dir"]).arg(house.pod(""));
    process = process.behind(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
    // Who is not root here may not change his user; the rest is the same.
    // SAFETY: a system call that cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        process = exeunt(&house, &["status", "--dir"]).arg(house.pod(""));
    }
    let mut process = process.finish();
    assert_eq!((process.code(), process.err()), (0, String::new()));
    assert!(process.out().contains("running"), "{}", process.out());
    assert_eq!(house.listing(), before);
    house.cue(0);
    assert_eq!(job.code(), 0);
}

/// It runs in the job's cgroup, and who may write into the directory decides how much is in it.
#[test]
fn status_shows_a_thousand_names_and_says_that_there_are_more() {
    let house = House::new();
    for number in 0..1500 {
        house.touch(&format!("name{number}-terminated"));
    }
    let mut process = exeunt(&house, &["status", "--dir"]).arg(house.pod("")).finish();
    assert_eq!((process.code(), process.out().lines().count()), (0, 1001));
    assert!(process.err().lines().count() == 1 && process.err().contains("more"), "{}", process.err());
}

#[test]
fn status_watches_until_it_is_ended() {
    let house = House::new();
    let mut watch = exeunt(&house, &["status", "--watch", "--dir"]).arg(house.pod("")).start();
    wait_until("the first table", || watch.out().contains("nobody is on stage"));
    house.touch("main-job-terminated");
    wait_until("the second", || watch.out().contains("main-job  over"));
    watch.signal(libc::SIGTERM);
    assert_eq!(watch.killed_by(), libc::SIGTERM);
}

#[test]
fn status_says_what_it_cannot_do() {
    let house = House::new();
    for (words, text) in [
        (vec!["status", "--dir", "/no/such/directory"], "/no/such/directory"),
        (vec!["status", "--dir", "/etc/passwd"], "/etc/passwd"),
        (vec!["status", "--yaml"], "--yaml"),
    ] {
        one_line(&mut exeunt(&house, &words).finish(), 125, text);
    }
    let mut closed = exeunt(&house, &["status", "--dir"])
        .arg(house.pod(""))
        .stdout(fs::File::options().write(true).open("/dev/full").unwrap())
        .finish();
    assert_eq!(closed.code(), 125, "a table that could not be written");
}

#[test]
fn status_as_the_first_word_is_the_subcommand_even_beside_options() {
    let house = House::new();
    let mut process = exeunt(&house, &["status"]).env("EXEUNT_DIR", house.pod("")).env("EXEUNT_MODE", "main").finish();
    assert_eq!((process.code(), process.err()), (0, String::new()));
}
