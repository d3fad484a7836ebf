//! What the rehearsal says is what happens: the same Pods with real processes, by a kubelet as small as it can be.
//!
//! Each kind of Pod is read from its manifest twice: by the rehearsal, and by the kubelet here, which starts the very command
//! lines, sees the exit codes and starts again what the restart policy says. The program is its own exeunt: started with a
//! mark as first word it is one, by the library's own entry point.

use kubectl_exeunt::judge::rehearse::{PodEnd, Row, rehearse, text};
use kubectl_exeunt::judge::scenarios;
use kubectl_exeunt::yaml::File;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ChildStdin, Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

/// The first word of a process that is exeunt.
const MARK: &str = "as-exeunt";
/// What is to come comes long before.
const LONG: Duration = Duration::from_secs(60);
/// What is never to come is waited for so long.
const SHORT: Duration = Duration::from_millis(300);

fn main() -> ExitCode {
    let mut words: Vec<_> = std::env::args_os().collect();
    if words.get(1).is_some_and(|word| word == MARK) {
        exeunt::sys::signals::block_all();
        words.remove(1);
        return ExitCode::from(exeunt::run(words));
    }
    if words.iter().any(|word| word == "--list") {
        println!("every_kind_of_pod_ends_as_the_rehearsal_says: test\na_planted_difference_is_found: test");
        return ExitCode::SUCCESS;
    }
    println!("\nrunning 2 tests");
    every_kind_of_pod_ends_as_the_rehearsal_says();
    println!("test every_kind_of_pod_ends_as_the_rehearsal_says ... ok");
    a_planted_difference_is_found();
    println!("test a_planted_difference_is_found ... ok\n\ntest result: ok. 2 passed; 0 failed");
    ExitCode::SUCCESS
}

/// A kind of Pod: what its manifest says.
#[derive(Clone, Debug)]
struct Kind {
    restart: &'static str,
    load: Vec<&'static str>,
    proxy: Vec<&'static str>,
    /// Each has a directory of its own.
    apart: bool,
}

const LOAD: usize = 0;
const PROXY: usize = 1;

fn kinds() -> Vec<Kind> {
    let mut kinds = Vec::new();
    for (restart, mirrored) in [("Never", "never"), ("OnFailure", "on-failure")] {
        for exit_with in ["zero", "child", "main"] {
            for stop_with in [false, true] {
                for outlive in [false, true] {
                    for name in ["main-job", "other"] {
                        let mut load = vec!["--restart-policy", mirrored, "--name", name];
                        let mut proxy = vec!["--until", name, "--exit-with", exit_with];
                        if stop_with {
                            load.extend(["--stop-with", "proxy"]);
                            proxy.extend(["--name", "proxy", "--restart-policy", mirrored]);
                        }
                        if outlive {
                            proxy.push("--outlive-main");
                        }
                        kinds.push(Kind { restart, load, proxy, apart: false });
                    }
                }
            }
        }
    }
    // What people get wrong: the policy is not mirrored, the names differ, the directory is not shared.
    kinds.push(Kind { restart: "Never", load: vec!["--restart-policy", "on-failure"], proxy: vec![], apart: false });
    kinds.push(Kind { restart: "Never", load: vec!["--name", "a"], proxy: vec!["--until", "b"], apart: false });
    kinds.push(Kind { restart: "Never", load: vec![], proxy: vec![], apart: true });
    kinds
}

/// The manifest, with the directories that it is really played in.
fn manifest(kind: &Kind, dir: &Path) -> Value {
    let container = |name: &str, mode: &str, options: &[&str]| {
        let own = dir.join(if kind.apart { name } else { "shared" });
        let mut command = vec!["exeunt".to_owned(), "--mode".to_owned(), mode.to_owned()];
        command.extend(["--dir".to_owned(), own.to_str().unwrap().to_owned()]);
        command.extend(options.iter().map(|&option| option.to_owned()));
        command.extend(["--", "sh", "-c", "echo up; read code; exit $code"].map(str::to_owned));
        let volume = if kind.apart { name } else { "shared" };
        json!({"name": name, "image": "x", "command": command, "volumeMounts": [{"name": volume, "mountPath": own}]})
    };
    json!({
        "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"restartPolicy": kind.restart, "containers": [
            container("load", "main", &kind.load), container("proxy", "sidecar", &kind.proxy),
        ]},
    })
}

/// The lives that are played, as the rehearsal calls them.
const FATES: [&str; 5] =
    ["load exits 0", "load exits 1..255", "load is killed, out of memory", "proxy fails first", "the Pod is deleted"];

enum News {
    Up(usize),
    Over(usize, u8),
}

struct Process {
    pid: i32,
    input: ChildStdin,
}

fn start(container: &Value, index: usize, news: &Sender<News>) -> Process {
    let words = container["command"].as_array().unwrap().iter().skip(1).map(|word| word.as_str().unwrap());
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg(MARK)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let process = Process { pid: i32::try_from(child.id()).unwrap(), input: child.stdin.take().unwrap() };
    let output = child.stdout.take().unwrap();
    let news = news.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if line == "up" {
                let _ = news.send(News::Up(index));
            }
        }
        let status = child.wait().unwrap();
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap());
        let _ = news.send(News::Over(index, u8::try_from(code).unwrap()));
    });
    process
}

fn signal(process: &Process, signal: i32) {
    let signal = nix::sys::signal::Signal::try_from(signal).unwrap();
    // It may have gone of itself in the meantime.
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(process.pid), signal);
}

fn say(process: &mut Process, code: &str) {
    // Who is gone does not listen.
    let _ = process.input.write_all(format!("{code}\n").as_bytes());
}

/// Plays one life with real processes. `ends` is whether an end is to be waited for at all.
fn play(kind: &Kind, fate: &str, ends: bool) -> (PodEnd, Vec<Option<u8>>) {
    static LIVES: AtomicUsize = AtomicUsize::new(0);
    let life = format!("exeunt-reality-{}-{}", std::process::id(), LIVES.fetch_add(1, Ordering::Relaxed));
    let dir = std::env::temp_dir().join(life);
    for name in ["shared", "load", "proxy"] {
        std::fs::create_dir_all(dir.join(name)).unwrap();
    }
    let manifest = manifest(kind, &dir);
    let containers = manifest["spec"]["containers"].as_array().unwrap();
    let (sender, news) = channel();
    let mut processes: Vec<Process> =
        containers.iter().enumerate().map(|(index, one)| start(one, index, &sender)).collect();
    let mut up = [false; 2];
    let mut codes: [Option<u8>; 2] = [None; 2];
    let (mut befallen, mut deleted) = (false, false);
    loop {
        let limit = if ends || codes[LOAD].is_none() { LONG } else { SHORT };
        let Ok(message) = news.recv_timeout(limit) else { break };
        match message {
            News::Up(index) => {
                up[index] = true;
                if befallen && !deleted {
                    // The second attempt of the job passes; and once the helper is back, nothing keeps the job.
                    if index == LOAD && fate != "proxy fails first" || fate == "proxy fails first" && up == [true; 2] {
                        say(&mut processes[LOAD], "0");
                    }
                }
            }
            News::Over(index, code) => {
                up[index] = false;
                if kind.restart == "OnFailure" && code != 0 && !deleted {
                    processes[index] = start(&containers[index], index, &sender);
                } else {
                    codes[index] = Some(code);
                    // Without a partner that stops it, the job goes on alone and passes.
                    if fate == "proxy fails first" && index == PROXY && !kind.load.contains(&"--stop-with") {
                        say(&mut processes[LOAD], "0");
                    }
                }
            }
        }
        if codes.iter().all(Option::is_some) {
            break;
        }
        if up == [true; 2] && !befallen {
            befallen = true;
            match fate {
                "load exits 0" => say(&mut processes[LOAD], "0"),
                "load exits 1..255" => say(&mut processes[LOAD], "1"),
                "load is killed, out of memory" => signal(&processes[LOAD], 9),
                "proxy fails first" => say(&mut processes[PROXY], "1"),
                _ => {
                    deleted = true;
                    processes.iter().for_each(|process| signal(process, 15));
                }
            }
        }
    }
    let mut left = codes.iter().filter(|code| code.is_none()).count();
    for (process, _) in processes.iter().zip(codes).filter(|(_, code)| code.is_none()) {
        signal(process, 9);
    }
    while left > 0 {
        if let News::Over(..) = news.recv_timeout(LONG).unwrap() {
            left -= 1;
        }
    }
    std::fs::remove_dir_all(&dir).unwrap();
    let end = match codes {
        _ if codes.contains(&None) => PodEnd::RunsOn,
        _ if deleted => PodEnd::Gone,
        [Some(0), Some(0)] => PodEnd::Succeeded,
        _ => PodEnd::Failed,
    };
    (end, codes.to_vec())
}

fn rows(kind: &Kind) -> (Vec<Row>, String) {
    let file = File::read("pod.json", manifest(kind, Path::new("/stage")).to_string().into_bytes()).unwrap();
    let read = scenarios(&file, &[]).unwrap();
    let rehearsal = rehearse(&read[0].scenario);
    let shown = text(&rehearsal);
    (rehearsal.rows, shown)
}

/// Whether a life, played for real, is one of those that were foretold; if not, what to say.
fn compare(kind: &Kind, foretold: &[Row], fate: &str) -> Result<(), String> {
    let row = foretold.iter().find(|row| row.what == fate).unwrap();
    let ends = row.endings.iter().all(|ending| ending.pod != PodEnd::RunsOn);
    let (end, codes) = play(kind, fate, ends);
    if row.endings.iter().any(|ending| ending.pod == end && ending.codes == codes) {
        return Ok(());
    }
    Err(format!("{kind:?}\n{fate}: {end:?} {codes:?} was not foretold: {:#?}", row.endings))
}

fn every_kind_of_pod_ends_as_the_rehearsal_says() {
    let kinds = kinds();
    assert!(kinds.len() >= 40, "{}", kinds.len());
    let lives: Vec<(&Kind, &str)> = kinds.iter().flat_map(|kind| FATES.map(|fate| (kind, fate))).collect();
    let next = Mutex::new(lives.iter());
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some((kind, fate)) = next.lock().unwrap().next() else { break };
                    let (foretold, shown) = rows(kind);
                    if let Err(difference) = compare(kind, &foretold, fate) {
                        wrong.lock().unwrap().push(format!("{difference}\n{shown}"));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {} lives:\n{}", wrong.len(), lives.len(), wrong.join("\n"));
}

/// The rehearsal of one Pod does not fit another that differs in one option.
fn a_planted_difference_is_found() {
    let plain = Kind { restart: "Never", load: vec![], proxy: vec![], apart: false };
    let (foretold, _) = rows(&plain);
    assert_eq!(compare(&plain, &foretold, "load exits 1..255"), Ok(()));
    let planted = Kind { proxy: vec!["--exit-with", "main"], ..plain.clone() };
    assert!(compare(&planted, &foretold, "load exits 1..255").is_err());
    let planted = Kind { restart: "OnFailure", load: vec!["--restart-policy", "on-failure"], ..plain };
    assert!(compare(&planted, &foretold, "load exits 1..255").is_err());
}
