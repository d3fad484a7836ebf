//! tini, dumb-init, catatonit and exeunt beside each other, over whatever is sent to a process group, and over a shell that is
//! started on a terminal, in a pipeline or in the background. In every row exeunt is among the best; the table is printed.
//!
//! The others are Debian's packages; what is not installed has no column, and the test says so. With CI set all must be there.

mod house;
#[path = "house/init.rs"]
mod init;

use house::here::{on_path, pass_over};
use house::{EXEUNT, House, Process, Run, proc, role, wait_until};
use init::pty::{ALL, CTRL_C, Pty, STDIN};
use init::{say, take_signal};

roles! {
    fn counter() { count() }
}

/// What ends the role: the highest number, which is taken last.
const END: i32 = 64;

/// Role: says `ready`, and at the end how often SIGTERM has come.
fn count() {
    init::block(!0);
    say("ready");
    let mut terms = 0;
    loop {
        match take_signal() {
            libc::SIGTERM => terms += 1,
            END => break,
            _ => {}
        }
    }
    say(&format!("{terms} x"));
}

/// Who is compared: a name, and the words before the command.
const OTHERS: [(&str, &[&str]); 4] = [
    ("tini", &["tini", "-s", "--"]),
    ("tini -g", &["tini", "-s", "-g", "--"]),
    ("dumb-init", &["dumb-init", "--"]),
    ("catatonit", &["catatonit", "--"]),
];
const OURS: [(&str, &[&str]); 3] = [
    ("exeunt main", &["--mode", "main", "--"]),
    ("exeunt main --group", &["--mode", "main", "--group", "--"]),
    ("exeunt sidecar", &["--mode", "sidecar", "--"]),
];

/// One who is compared, in a house of his own.
struct Init {
    name: &'static str,
    house: House,
    words: Vec<String>,
}

impl Init {
    fn run(&self, command: &[&str]) -> Run {
        let (program, rest) = self.words.split_first().expect("a program");
        self.house.run(program).args(rest).args(command)
    }

    /// For a line that a shell reads.
    fn text(&self) -> String {
        self.words.join(" ")
    }
}

fn all() -> Vec<Init> {
    let mut all = Vec::new();
    for (name, words) in OTHERS {
        if on_path(words[0]).is_none() {
            pass_over(&format!("{name} is not installed"));
            continue;
        }
        all.push(Init { name, house: House::new(), words: words.iter().map(|word| (*word).to_owned()).collect() });
    }
    for (name, options) in OURS {
        let house = House::new();
        let place = ["--dir".to_owned(), house.pod("").display().to_string()];
        let options = options.iter().map(|word| (*word).to_owned());
        let words = [EXEUNT.to_owned()].into_iter().chain(place).chain(options).collect();
        all.push(Init { name, house, words });
    }
    all
}

/// What is done, and what comes of it with one of them.
type Row = (&'static str, &'static str, fn(&Init) -> String);

/// With what would be right.
const ROWS: [Row; 10] = [
    ("SIGTERM to the init: arrives", "1 x", |init| arrivals(init, false)),
    ("SIGTERM to the init's process group: arrives", "1 x", |init| arrivals(init, true)),
    ("`kill 0` in the command's trap: ends with", "143", |init| trap(init, "kill 0")),
    ("`kill -- -$$` in the command's trap: ends with", "143", |init| trap(init, "kill -- -$$")),
    ("timeout(1) around the init: ends with", "124", around),
    ("`timeout 0.1 sleep 60` as the command: ends with", "124", below),
    ("an interactive shell on the terminal has job control", "yes", interactive),
    ("ctrl-C on the terminal: ends with", "130", interrupt),
    ("in a pipeline: what was written, and all of it", "1000", pipeline),
    ("started in the background by a shell on a terminal: the shell keeps it", "yes", background),
];

fn leads_session(run: Run) -> Run {
    run.hook(|| {
        // SAFETY: a plain system call.
        init::check(unsafe { libc::setsid() }).map(drop)
    })
}

fn arrivals(init: &Init, group: bool) -> String {
    let role = std::env::current_exe().expect("the test itself");
    let run = leads_session(init.run(&[role.to_str().expect("a path")])).env(role::ROLE, "counter");
    let mut run = run.start();
    run.ready();
    let command = proc::children(run.pid)[0];
    let target = if group { -run.pid } else { run.pid };
    // SAFETY: a plain system call; the group is the session that was made above.
    assert_eq!(unsafe { libc::kill(target, libc::SIGTERM) }, 0);
    // It has taken the signal when it sleeps with none pending, and passes it on before it sleeps again.
    wait_until("the init to have passed on what it was sent", || !is_pending(run.pid));
    proc::signal(command, END);
    run.line()
}

/// Whether a process has still to do with a SIGTERM that was sent to it, or to its thread.
fn is_pending(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = 1u64 << (libc::SIGTERM - 1);
    let sleeps = proc::state(pid) == Some('S');
    let mut sets = status.lines().filter_map(|line| line.strip_prefix("SigPnd:").or(line.strip_prefix("ShdPnd:")));
    !sleeps || sets.any(|set| u64::from_str_radix(set.trim(), 16).is_ok_and(|set| set & mask != 0))
}

fn ended(mut run: Process) -> String {
    let status = run.ended();
    status.code().map_or_else(|| format!("{status}"), |code| code.to_string())
}

fn trap(init: &Init, line: &str) -> String {
    let line =
        format!("trap 'trap - TERM; {line}; sleep 0.2; echo swallowed; exit 9' TERM; echo ready; sleep 60 & wait");
    let mut run = leads_session(init.run(&["sh", "-c", &line])).start();
    run.ready();
    // Until it has become its program, what the shell has started has the shell's handler, and loses what it is sent.
    let shell = proc::children(run.pid)[0];
    wait_until("sleep to run", || {
        let started = proc::children(shell);
        started.first().is_some_and(|sleep| proc::exe(*sleep).is_some_and(|exe| Some(exe) != proc::exe(shell)))
    });
    run.signal(libc::SIGTERM);
    ended(run)
}

fn around(init: &Init) -> String {
    let line = "trap 'exit 3' TERM; sleep 60 & wait";
    let (program, rest) = init.words.split_first().expect("a program");
    let run = init.house.run("timeout").args(["0.3", program]).args(rest).args(["sh", "-c", line]);
    ended(leads_session(run).start())
}

fn below(init: &Init) -> String {
    ended(leads_session(init.run(&["timeout", "0.1", "sleep", "60"])).start())
}

fn shell(run: Run) -> Run {
    run.env("PS1", "prompt> ").env("ENV", "").env("HISTFILE", "").env("TERM", "dumb")
}

fn interactive(init: &Init) -> String {
    let pty = Pty::open();
    let mut run = shell(init.run(&["sh", "-i"])).on(&pty, ALL).start();
    pty.shows("prompt> ");
    pty.keys("case $- in *m*) echo yes-$((1 + 1));; *) echo no-$((1 + 1));; esac\n");
    // The echo of the question has no number in it.
    let screen = [pty.line(), pty.line()].concat();
    pty.shows("prompt> ");
    pty.keys("exit 0\n");
    run.ended();
    if screen.contains("yes-2") { "yes" } else { "no" }.to_owned()
}

fn interrupt(init: &Init) -> String {
    let pty = Pty::open();
    let mut run = init.run(&["sh", "-c", "echo ready; exec sleep 60"]).on(&pty, STDIN).start();
    run.ready();
    pty.keys(CTRL_C);
    ended(run)
}

fn pipeline(init: &Init) -> String {
    let line = format!("seq 1000 | {} cat | wc -l", init.text());
    let mut run = init.house.sh(&line).finish();
    assert_eq!(run.code(), 0);
    run.out().trim().to_owned()
}

fn background(init: &Init) -> String {
    let pty = Pty::open();
    let up = init.house.path("up");
    let _shell = shell(init.house.run("sh").arg("-i")).on(&pty, ALL).start();
    pty.shows("prompt> ");
    let own = pty.foreground();
    pty.keys(&format!("{} sh -c 'echo >{}; exec sleep 60' &\n", init.text(), up.display()));
    wait_until("the command to run", || up.exists());
    if pty.foreground() == own { "yes" } else { "no" }.to_owned()
}

/// Who signals groups: timeout(1), Argo's emissary, make, process managers; and Terraform or npm take the second SIGTERM for
/// "now": gruntwork-io/terragrunt#2559, npm/cli#5021.
#[test]
fn in_every_row_exeunt_is_among_the_best() {
    let all = all();
    let mut worse = Vec::new();
    let mut table = vec![format!("{:72} | {}", "", all.iter().map(|init| init.name).collect::<Vec<_>>().join(" | "))];
    for (what, right, play) in ROWS {
        let found: Vec<String> = all.iter().map(play).collect();
        let cells = found.iter().zip(&all).map(|(cell, init)| format!("{cell:>width$}", width = init.name.len()));
        table.push(format!("{what:72} | {}", cells.collect::<Vec<_>>().join(" | ")));
        for (init, cell) in all.iter().zip(&found).filter(|(init, _)| init.name.starts_with("exeunt")) {
            if cell != right {
                worse.push(format!("{what}: {} says {cell:?} and not {right:?}", init.name));
            }
        }
        for init in &all {
            init.house.anew();
            let _ = std::fs::remove_file(init.house.path("up"));
        }
    }
    println!("\n{}", table.join("\n"));
    assert!(worse.is_empty(), "{}", worse.join("\n"));
}
