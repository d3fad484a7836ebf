//! The mistakes that people make: what is wrong, why, and what to do stands in one line, which is all that they have.

mod house;

use house::{EXEUNT, House, Process, Run};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// One line, with each of these in it.
#[track_caller]
fn tells(run: &Process, words: &[&str]) {
    let err = run.err();
    let told = err.lines().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(told, "no line has all of {words:?}:\n{err}");
}

/// It ends with this code, and says all that in one line.
#[track_caller]
fn ends(run: Run, code: i32, words: &[&str]) {
    let mut run = run.start();
    assert_eq!(run.code(), code, "{}", run.err());
    tells(&run, words);
}

#[test]
fn in_the_words_of_the_command_line() {
    let house = House::new();
    let table: [(&[&str], &[&str]); 30] = [
        (&["--mode main", "--", "true"], &["'--mode main'", "it is one word", "write each word by itself"]),
        (&["--mode", "main", "--grace 5s", "--", "true"], &["'--grace 5s'", "it is one word"]),
        (&["—mode", "main", "--", "true"], &["\"—mode\"", "a long dash", "write --mode"]),
        (&["--mode", "main", "–name=x", "--", "true"], &["\"–name=x\"", "a long dash", "write --name=x"]),
        (&["--mode", "main", "—", "true"], &["\"—\"", "a long dash", "write --"]),
        (&["install", ""], &["\"\" is no file name"]),
        (&["probe", "--timeout", "tcp://db:1"], &["--timeout: \"tcp://db:1\" is not a duration"]),
        (&["--mode", "job", "--", "true"], &["--mode", "\"job\" is not known", "use main, sidecar"]),
        (&["staus"], &["\"staus\"", "did you mean exeunt status?"]),
        (&["main", "--", "true"], &["\"main\"", "exeunt --mode main -- COMMAND"]),
        (&["--mode", "main", "--graces", "5s", "--", "true"], &["--graces", "did you mean --grace?"]),
        (&["--mode", "sidecar", "--outlive-main", "5s", "true"], &["\"5s\"", "is a time", "--outlive-main=5s"]),
        (&["--mode", "main", "--restart-policy", "always", "--", "true"], &["--restart-policy", "never, on-failure"]),
        (&["--mode", "main", "--"], &["no command is given", "after --"]),
        (&["--mode", "main", "--name", "--", "true"], &["--name", "its value is missing"]),
        (&["--mode", "main", "--until", "x", "--", "true"], &["--until", "belongs to --mode sidecar"]),
        (&["--mode", "sidecar", "--stop-signal", "KILL", "--", "x"], &["--stop-signal", "\"KILL\"", "SIGTERM"]),
        (&["--mode", "main", "--grace", "30 minutes and more", "--", "x"], &["--grace", "is not a duration", "500ms"]),
        (&["--mode", "main", "--name", "a/b", "--", "x"], &["--name", "\"a/b\" cannot be a name", "letters"]),
        (&["--mode", "main", "--mode", "sidecar", "--", "x"], &["--mode is given more than once", "give it once"]),
        (&["--mode", "main", "--grace=1s", "--grace", "2s", "--", "x"], &["--grace is given more than once"]),
        (
            &["--mode", "sidecar", "--outlive-main", "--outlive-main=5s", "x"],
            &["--outlive-main is given more than once"],
        ),
        (&["reset", "--dir", ""], &["exeunt reset: --dir: the directory is empty", "name the one"]),
        (&["status", "--dir", "/a", "--dir", "/b"], &["--dir is given more than once", "exeunt status --help"]),
        (&["probe", "--timeout=1s", "--timeout=1s", "x"], &["--timeout is given more than once"]),
        (
            &["--mode", "main", "--run-id", "$(POD_UID)", "--", "x"],
            &["--run-id: the variable $(POD_UID) was not filled in"],
        ),
        (&["--mode", "main", "--dir", "/${DIR}", "--", "x"], &["--dir: the variable ${DIR} was not filled in"]),
        (&["--mode", "sidecar", "--until", "$(JOB)", "--", "x"], &["--until: the variable $(JOB) was not filled in"]),
        (&["--mode", "main", "--on-exit", "http://$(HOST)/", "--", "x"], &["--on-exit: the variable $(HOST) was not"]),
        (&["--mode", "main", "--grace", "5M", "--", "x"], &["--grace: \"5M\" is not a duration", "5m"]),
    ];
    for (words, told) in table {
        ends(house.run(EXEUNT).args(words), 125, told);
    }
    for dir in ["\"/tmp/pod\"", "'/tmp/pod'", "/tmp/pod\n", " /tmp/pod"] {
        let run = house.run(EXEUNT).args(["--mode", "main", "--", "true"]).env("EXEUNT_DIR", dir);
        ends(run, 125, &["EXEUNT_DIR: ", "stand around /tmp/pod, and belong to the value", "leave them out"]);
    }
    let mut warned = house.main().env("EXEUNT_GRACES", "5s").command("exit 3").finish();
    assert_eq!(warned.code(), 3);
    tells(&warned, &["warning: ", "EXEUNT_GRACES is no variable", "EXEUNT_GRACE is"]);
}

/// Which of two is meant nobody can tell; what can be told is told to the sidecars.
#[test]
fn in_an_option_that_is_given_twice() {
    let house = House::new();
    let published = house.pod("main-job-terminated");
    let table: [(&[&str], bool); 6] = [
        (&["--grace", "1s", "--grace", "2s"], true),
        (&["--restart-policy", "never", "--grace", "1s", "--restart-policy", "never"], true),
        (&["--restart-policy", "never", "--restart-policy", "on-failure"], false),
        (&["--restart-on", "42", "--restart-on", "43"], false),
        (&["--name", "main-job", "--name", "other"], false),
        (&["--mode", "sidecar"], false),
    ];
    for (options, publishes) in table {
        ends(house.main().args(options).command("exit 1"), 125, &[options[0], "is given more than once"]);
        assert_eq!(published.exists(), publishes, "{options:?}");
        house.anew();
    }
    // A volume that is missing, too, would be a second word about the same start.
    let nowhere =
        house.run(EXEUNT).args(["--mode", "main", "--dir", "/nowhere", "--grace", "1s", "--grace", "2s", "x"]);
    let mut nowhere = nowhere.finish();
    let complaint = "exeunt: --grace is given more than once; give it once; see exeunt --help\n";
    assert_eq!((nowhere.code(), nowhere.err()), (125, complaint.to_owned()));
    let mut switches = house.main().args(["-g", "--group", "--wait-for", "exec:true", "--wait-for", "exec:true"]);
    switches = switches.command("exit 3");
    assert_eq!(switches.finish().code(), 3, "to ask twice for the same is no contradiction, and lists are lists");
}

/// Without `--` the first word that is no option begins the command. Where nothing can be run, that may be why.
#[test]
fn in_an_option_behind_the_command() {
    let house = House::new();
    let hint = "exeunt's own options come first, then --, then the command";
    let sidecar = house.sidecar().args(["--until-any", "a,b", "--grace=5s", "--", "sleep", "9"]);
    ends(sidecar, 127, &["\"a,b\" was not found", "--grace stands behind the command \"a,b\"", hint]);
    let nowhere = house.run(EXEUNT).args(["--mode", "main", "--dir", "/nowhere", "true", "--name", "a"]);
    ends(nowhere, 125, &["/nowhere cannot be opened", "--name stands behind the command \"true\"", hint]);
    for fine in [&["--", "no-such", "--name", "a"][..], &["no-such", "--help", "--names", "a"]] {
        let mut fine = house.main().args(fine).finish();
        assert!(fine.code() == 127 && !fine.err().contains("stands behind"), "{}", fine.err());
    }
    house.anew();
    let mut served = house.main().args(["sh", "-c", "exit 3", "--grace", "5s"]).finish();
    assert_eq!((served.code(), served.err()), (3, String::new()), "they are the command's, which runs");
}

#[test]
fn in_a_condition() {
    let house = House::new();
    let long = format!("unix:///{}", "a".repeat(107));
    let table: [(&str, &[&str]); 12] = [
        ("localhost:5432", &["\"localhost:5432\"", "no NAME", "write tcp://localhost:5432"]),
        ("exec:pg_isready | grep ok", &["'|'", "no shell reads it", "exec:sh -c 'pg_isready | grep ok'"]),
        ("exec:true && false", &["'&'", "exec:sh -c"]),
        ("exec:test -d $HOME", &["'$'", "exec:sh -c"]),
        ("exec:sh -c 'x", &["a quote that is not closed"]),
        ("exec://bin/true", &["takes a command and no address", "exec:/bin/true"]),
        ("https://localhost/", &["https is not spoken here", "http://HOST:PORT/PATH"]),
        ("file://certs/x", &["no absolute path", "file:///PATH"]),
        ("postgres://db", &["is no condition", "tcp://", "NAME"]),
        ("tcp://db:+80", &["is not a TCP address", "tcp://HOST:PORT"]),
        ("file:///$(X)/y", &["the variable $(X) was not filled in"]),
        (&long, &["cannot be a socket", "its path is 108 bytes long", "107 are the most"]),
    ];
    for (condition, told) in table {
        let told: Vec<&str> = ["--wait-for"].into_iter().chain(told.iter().copied()).collect();
        ends(house.main().args(["--wait-for", condition]).command("exit 1"), 125, &told);
    }
    ends(house.main().args(["--on-exit", "https://localhost/"]).command("exit 1"), 125, &["--on-exit", "https is not"]);
    // In a network of its own, where nothing can be reached.
    let ported = ["http://127.0.0.1/ready", "http://127.0.0.1:80/ready"].map(|url| {
        let run = house.main().args(["--wait-for", url, "--wait-timeout", "1s"]).command("exit 1").unshare(["--net"]);
        let mut run = run.finish();
        assert_eq!(run.code(), 124, "{}", run.err());
        tells(&run, &[&format!("{url}: "), "given up after 1s"]);
        run.err().contains("http://127.0.0.1/ready: at port 80, for none is named: ")
    });
    assert_eq!(ported, [true, false]);
    let alone = house.main().args(["--wait-for", "envoy", "--wait-timeout", "1m"]).command("exit 1").start();
    alone.says("gives up after 1m");
    tells(&alone, &["envoy: not ready", "nothing of it is there: has the other container this --name?"]);
    drop(alone);
    house.anew();
    let mut life = house.main().args(["--name", "envoy"]).command("echo ready; exec sleep 100").start();
    life.ready();
    let waiting = house.main().args(["--wait-for", "envoi", "--wait-timeout", "1m"]).command("exit 1").start();
    waiting.says("is: a misspelt name?");
    tells(&waiting, &["waiting for envoi: not ready", "but envoy is: a misspelt name?", "gives up after 1m"]);
}

#[test]
fn in_the_command() {
    let house = House::new();
    let script = |name: &str, mode: u32, text: &str| {
        let path = house.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    };
    let windows = script("windows", 0o755, "#!/bin/sh\r\nexit 0\r\n");
    let python = script("python", 0o755, "#!/usr/bin/python9\n");
    let plain = script("plain", 0o644, "#!/bin/sh\n");
    let directory = house.path("").display().to_string();
    let table: [(&str, i32, &[&str]); 13] = [
        ("{{ .Values.job }}", 127, &["was not found", "the template in it was not filled in"]),
        ("--config=x", 127, &["was not found", "an option of the command", "replaces the image's ENTRYPOINT"]),
        ("cd", 127, &["was not found", "only a shell understands it", "sh -c"]),
        ("A_1=b", 127, &["was not found", "only a shell understands it", "sh -c"]),
        ("~/job", 127, &["was not found", "only a shell understands it"]),
        ("$(JOB)", 127, &["was not found", "the variable in it was not filled in", "this container's env"]),
        ("$JOB --fast", 127, &["was not found", "the variable in it was not filled in", "sh -c"]),
        ("no-such-program", 127, &["\"no-such-program\" was not found", "in this image"]),
        ("echo hello world", 127, &["was not found", "it is one word", "sh -c"]),
        (&windows, 127, &["/bin/sh;", "CRLF", "convert the script to LF"]),
        (&python, 127, &["was not found: /usr/bin/python9"]),
        (&plain, 126, &["Permission denied (EACCES)", "chmod +x"]),
        (&directory, 126, &["it is a directory"]),
    ];
    for (command, code, told) in table {
        let told: Vec<&str> = [command].into_iter().chain(told.iter().copied()).collect();
        ends(house.main().env("PATH", "/usr/bin:/bin").args(["--", command]), code, &told);
    }
    let volume = "mount -t tmpfs -o noexec none \"$1\"; cp /bin/true \"$1/job\"";
    let job = house.path("volume").join("job");
    fs::create_dir(house.path("volume")).unwrap();
    let run = house.main().arg("--").arg(&job).after(volume, house.path("volume"));
    ends(run, 126, &["Permission denied (EACCES)", "a volume that is mounted noexec", "mount it without noexec"]);
    let run = house.run(EXEUNT).arg("install").arg(house.path("volume/exeunt")).after(volume, house.path("volume"));
    ends(run, 125, &["volume/exeunt is on a volume that is mounted noexec", "choose another volume"]);
}

#[test]
fn in_the_volume() {
    let house = House::new();
    let nowhere = house.path("nowhere");
    ends(
        house.run(EXEUNT).args(["--mode", "main", "--dir"]).arg(&nowhere).command("exit 1"),
        125,
        &["nowhere cannot be opened", "mount the volume"],
    );
    let (mounted, own) = ("mount -t tmpfs -o", "none \"$1\"");
    let table = [
        (format!("{mounted} ro {own}"), "mounted read-only here: take readOnly out of the volumeMounts"),
        (format!("{mounted} nr_inodes=1 {own}"), "the volume is full, or a quota is used up"),
    ];
    for (mount, why) in table {
        let run = house.main().command("exit 1").after(&mount, house.pod(""));
        ends(run, 125, &["main-job-running.new cannot be written", why]);
    }
    fs::create_dir(house.pod("main-job-terminated")).unwrap();
    ends(
        house.main().command("exit 1"),
        125,
        &["main-job-terminated cannot be written", "a directory has that name", "remove it"],
    );
    house.anew();
    let limit = ["sh", "-c", "ulimit -f 1; exec \"$@\"", "sh"];
    ends(
        house.main().command("exit 1").behind(limit),
        125,
        &["cannot be written", "the limit of file sizes (ulimit -f)", "(EFBIG)"],
    );
    house.anew();
    // As root nothing is closed to us; then the volume is another's by its user alone.
    let closed = format!("{mounted} mode=0555 {own}");
    // SAFETY: a system call that cannot fail.
    if unsafe { libc::geteuid() } == 0 {
        let user = ["setpriv", "--reuid", "4242", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--"];
        let run = house.main().command("exit 1").behind(user).after(&closed, house.pod(""));
        ends(run, 125, &["cannot be written", "this user may not write there: set fsGroup", "(EACCES)"]);
        let closed = format!("{mounted} mode=0700 {own}");
        let run = house.main().command("exit 1").behind(user).after(&closed, house.pod(""));
        ends(run, 125, &["cannot be opened; this user may not look into it: set fsGroup", "(EACCES)"]);
        // Somebody else's end, where each may remove his own alone.
        let left = format!("{mounted} mode=1777 {own}; : >\"$1/main-job-terminated\"");
        let run = house.main().command("exit 1").behind(user).after(&left, house.pod(""));
        ends(run, 125, &["main-job-terminated cannot be written", "another user has left it", "remove it", "(EPERM)"]);
    }
}

#[test]
fn between_the_containers() {
    let house = House::new();
    let mut envoy = house.main().args(["--name", "nightly"]).command("echo ready; exec sleep 100").start();
    envoy.ready();
    // A file that no name of ours can have made is nobody.
    house.touch("a b\u{202e}-running");
    let sidecar = house.sidecar().command("exec sleep 100").start();
    sidecar.says("is --until spelt right?");
    tells(&sidecar, &["but nightly is there"]);
    tells(&sidecar, &["nothing of main-job is in", "but nightly is there", "is --until spelt right?"]);
    house.anew();
    assert_eq!(house.main().command("exit 1").finish().code(), 1);
    let mut again = house.main().command("exit 0").finish();
    assert_eq!(again.code(), 0);
    tells(&again, &["this is attempt 2", "OnFailure", "--restart-policy on-failure", "--run-id"]);
    house.anew();
    assert_eq!(house.main().args(["--restart-policy", "OnFailure"]).command("exit 1").finish().code(), 1);
    let waits = house.sidecar().command("exec sleep 100").start();
    waits.says("waiting for the next");
    tells(&waits, &["an attempt of the job main-job has ended (exit code 1)", "--restart-policy", "without limit"]);
    let leaves = house.sidecar().args(["--until", "nightly"]).command("true; sleep 30 & exit 0").start();
    leaves.says("has ended with 0 before the job did");
    tells(&leaves, &["did it put itself into the background?", "start it in the foreground"]);
}
