//! The exit code is the truth: the command's own, or 128 + signal; 126 and 127 as a shell would say them.

mod house;
#[path = "house/init.rs"]
mod init;

use house::{EXEUNT, House, PATIENCE, wait_for};
use init::{both_modes, forwardable};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// The exit code 127 is taken for "still alive": openSUSE/catatonit#5.
#[test]
fn each_of_the_256_exit_codes_of_a_job_comes_out_unchanged() {
    all_exit_codes("main");
}

#[test]
fn each_of_the_256_exit_codes_of_a_sidecar_that_ends_first_comes_out_unchanged() {
    all_exit_codes("sidecar");
}

// catatonit took 127 for "still alive" (its issue 4), dumb-init's tests knew no table: hence all of them, 125 to 127 included.
fn all_exit_codes(mode: &str) {
    let house = House::new();
    // Without the house's care for each single process, which takes longer than the process itself.
    let code = |code: i32| {
        let mut command = std::process::Command::new(EXEUNT);
        command.env_clear().args(["--mode", mode, "--dir"]).arg(house.pod("")).args(["--", "sh", "-c"]);
        let mut child = command.arg(format!("exit {code}")).stdin(std::process::Stdio::null()).spawn().unwrap();
        wait_for("the end of the command", PATIENCE, || child.try_wait().unwrap()).code()
    };
    let got: Vec<_> = (0..256).map(code).collect();
    assert_eq!(got, (0..256).map(Some).collect::<Vec<_>>());
}

/// All whose default action is to end a process (signal(7)).
fn deadly() -> impl Iterator<Item = i32> {
    let harmless = [libc::SIGCONT, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU, libc::SIGURG, libc::SIGWINCH];
    forwardable().chain([libc::SIGKILL]).filter(move |signal| !harmless.contains(signal))
}

// pid1-rs hangs for ever when its child dies of one of the signals 32 to 64: nix's waitpid knows no such status, and its
// loop takes the error for an end. dumb-init said 0 once (its issue 59).
// A death by a signal is reported as 0: Yelp/dumb-init#59.
#[test]
fn a_command_that_any_signal_ends_real_time_ones_included_gives_128_and_its_number() {
    let house = House::new();
    for signal in deadly() {
        for run in both_modes(&house) {
            let mut run = run.without_cores().signals(0, 0).command(&format!("kill -{signal} $$")).start();
            assert_eq!(run.code(), 128 + signal, "death by signal {signal}");
        }
    }
}

#[test]
fn it_is_the_same_for_pid_1() {
    let house = House::new();
    for (line, code) in [
        ("exit 0", 0),
        ("exit 77", 77),
        ("exit 255", 255),
        ("kill -9 $$", 137),
        ("kill -15 $$", 143),
        ("kill -32 $$", 160),
        ("kill -34 $$", 162),
        ("kill -40 $$", 168),
        ("kill -64 $$", 192),
    ] {
        for run in both_modes(&house) {
            assert_eq!(run.without_cores().signals(0, 0).command(line).pid_1().finish().code(), code, "{line}");
        }
    }
}

/// A file to be executed, written by another process: one that this process had open for writing would be open, for a
/// moment, in whatever the other threads start, and for as long could not be executed.
fn install(house: &House, path: &Path, mode: u32, content: &[u8]) {
    let draft = house.path("draft");
    fs::write(&draft, content).unwrap();
    assert_eq!(house.run("install").arg("-m").arg(format!("{mode:o}")).arg(draft).arg(path).finish().code(), 0);
}

// dumb-init exits 2, catatonit and pid1-rs 1 for whatever cannot be executed, tini 1 for all but ENOENT and EACCES;
// dumb-init once said 0 (its issue 32) and once named the wrong word (its issue 81).
// A command that cannot be executed is reported as 0, or by another name: Yelp/dumb-init#32, Yelp/dumb-init#81.
// Reported as cedya77/aiometadata#578, tektoncd/pipeline#5708.
#[test]
fn a_command_that_cannot_be_executed_gives_126_or_127_and_one_line_that_names_it_and_the_reason() {
    let house = House::new();
    let file = |name: &str, mode: u32, content: &[u8]| {
        let path = house.path(name);
        install(&house, &path, mode, content);
        path
    };
    symlink("loop", house.path("loop")).unwrap();
    symlink("nowhere", house.path("dangling")).unwrap();
    fs::create_dir(house.path("directory")).unwrap();
    let busy_path = file("busy", 0o755, &fs::read("/bin/sh").unwrap());
    // A program that somebody has open for writing cannot be executed (execve(2), ETXTBSY).
    let _busy = fs::OpenOptions::new().append(true).open(&busy_path).unwrap();
    let absent = house.path("absent");
    let long = Path::new("/").join("n".repeat(300));
    let longer = format!("/{}", "n/".repeat(3000));
    let cases: Vec<(&Path, i32, &str)> = vec![
        (&absent, 127, "No such file"),
        (Path::new("no-such-command-anywhere"), 127, "No such file"),
        (Path::new("/etc/passwd/within"), 127, "Not a directory"),
        (Path::new("/dev/null/within"), 127, "Not a directory"),
    ];
    let dangling = house.path("dangling");
    let below = house.path("busy/below");
    let bad_interpreter = file("interpreter", 0o755, b"#!/no/such/interpreter\n");
    let plain = file("plain", 0o644, b"#!/bin/sh\n");
    let not_interpreter = file("not-interpreter", 0o755, format!("#!{}\n", plain.display()).as_bytes());
    let foreign = file("foreign", 0o755, b"\x7fELF of no machine");
    let garbage = file("garbage", 0o755, b"\x7fELF and nothing more");
    let mut other = vec![0u8; 64];
    // 64 bits, little-endian, EM_S390 (elf(5)): no machine that this runs on.
    other[..6].copy_from_slice(b"\x7fELF\x02\x01");
    other[18] = 22;
    let other = file("other", 0o755, &other);
    let mut cut = fs::read("/bin/sh").unwrap();
    cut.truncate(100);
    let cut = file("cut", 0o755, &cut);
    let glued = file("glued", 0o755, b"#!/bin/sh\r\nexit 3\r\n");
    let mut loader = fs::read("/bin/sh").unwrap();
    let at = loader.windows(4).position(|window| window == b"/lib").expect("the name of the loader");
    loader[at + 1] = b'L';
    let loader = file("loader", 0o755, &loader);
    let directory = house.path("directory");
    let the_loop = house.path("loop");
    let more: Vec<(&Path, i32, &str)> = vec![
        (&dangling, 127, "No such file"),
        (&below, 127, "Not a directory"),
        (&bad_interpreter, 127, "the interpreter or loader that it names was not found"),
        (&plain, 126, "Permission denied (EACCES); it is not marked as executable: chmod +x"),
        (&not_interpreter, 126, "ermission denied"),
        (&directory, 126, "Permission denied (EACCES); it is a directory"),
        (&foreign, 126, "Exec format error (ENOEXEC); it is a program for another kind of machine; this one is"),
        (&garbage, 126, "Exec format error (ENOEXEC)"),
        (&other, 126, "Exec format error (ENOEXEC); it is a program for s390x, and this machine is"),
        (&cut, 126, "Exec format error (ENOEXEC); it is a program for this kind of machine, but a damaged one"),
        (&glued, 127, "was not found: /bin/sh; its lines end in CRLF, and the name of the interpreter with them"),
        (&loader, 127, "was not found: /Lib"),
        (&busy_path, 126, "ext file busy"),
        (&the_loop, 126, "symbolic links"),
        (&long, 126, "ame too long"),
        (Path::new(&longer), 126, "ame too long"),
    ];
    for (command, code, reason) in cases.into_iter().chain(more) {
        for run in both_modes(&house) {
            // A directory of the developer's own PATH that may not be searched would make it 126.
            let mut run = run.env("PATH", "/usr/bin:/bin").arg("--").arg(command).arg("an-argument").start();
            assert_eq!(run.code(), code, "{}", command.display());
            let err = run.err();
            assert_eq!(err.lines().count(), 1, "{err}");
            assert!(err.starts_with("exeunt "), "{err}");
            // A name of 6000 bytes may be cut off.
            let shown = command.to_str().unwrap();
            assert!(err.contains(&shown[..shown.len().min(250)]), "the command in: {err}");
            assert!(err.contains(reason) || shown.len() > 5000, "{reason:?} in: {err}");
        }
    }
}

#[test]
fn a_command_is_looked_for_along_the_path_as_execvp_does() {
    let house = House::new();
    let tool = |directory: &str, mode: u32| {
        let path = house.path(directory);
        fs::create_dir_all(&path).unwrap();
        let tool = path.join("tool");
        install(&house, &tool, mode, format!("#!/bin/sh\necho from {directory}\n").as_bytes());
        path.display().to_string()
    };
    let (locked, first, second) = (tool("locked", 0o644), tool("first", 0o755), tool("second", 0o755));
    let with = |path: &str, from: &str| {
        let run = house.main().env("PATH", path).current_dir(house.path(from));
        let mut run = run.args(["--", "tool"]).start();
        (run.code(), run.out())
    };
    let out = |directory| (0, format!("from {directory}\n"));
    assert_eq!(with(&format!("{first}:{second}"), "."), out("first"));
    assert_eq!(with(&format!("/no/such/directory:/etc/passwd:{second}:{first}"), "."), out("second"));
    // One that may not be executed is remembered, and a later one wins.
    assert_eq!(with(&format!("{locked}:{second}"), "."), out("second"));
    assert_eq!(with(&format!("{locked}:/no/such/directory"), "."), (126, String::new()));
    assert_eq!(with("/no/such/directory", "."), (127, String::new()));
    // An empty element is the current directory (exec(3)).
    assert_eq!(with("/no/such/directory:", "first"), out("first"));
    assert_eq!(with("", "second"), out("second"));
    // A name with a slash is not looked for.
    let mut run = house.main().env("PATH", &first).current_dir(house.path("")).args(["--", "second/tool"]).start();
    assert_eq!((run.code(), run.out()), out("second"));
}

#[test]
fn without_a_path_variable_the_usual_directories_are_searched() {
    let house = House::new();
    for (command, code) in [("true", 0), ("no-such-command-anywhere", 127)] {
        let run = house.main().args(["--", command]);
        assert_eq!(run.behind(["/usr/bin/env", "-u", "PATH"]).finish().code(), code, "{command}");
    }
}
