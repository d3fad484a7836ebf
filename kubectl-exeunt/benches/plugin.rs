//! What `check` and `rehearse` cost: a directory of 10,000 manifests, one Pod played, the size of the binary. The bounds are
//! those of docs/kubectl-exeunt.md, and so are the figures: `EXEUNT_RENEW=1` writes them there.

use kubectl_exeunt::judge::rehearse::rehearse;
use kubectl_exeunt::judge::scenarios;
use kubectl_exeunt::yaml::File;
use nix::sys::resource::{UsageWho, getrusage};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

const MANY: usize = 10_000;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn one_list() -> (String, usize) {
    let job = "- kind: Job\n  metadata: {name: n}\n  spec:\n    template:\n      spec:\n        restartPolicy: Never\n        containers:\n        \
               - {name: a, image: x, command: [/a]}\n        - {name: logs, image: fluent/fluent-bit}\n";
    let jobs = 10_000_000_usize.div_ceil(job.len());
    (format!("kind: List\nitems:\n{}", job.repeat(jobs)), jobs)
}

fn main() {
    let mut wild: Vec<PathBuf> =
        std::fs::read_dir(here("tests/wild")).unwrap().map(|one| one.unwrap().path()).collect();
    wild.sort();
    let directory = std::env::temp_dir().join(format!("exeunt-many-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    for number in 0..MANY {
        std::fs::copy(&wild[number % wild.len()], directory.join(format!("{number}.yaml"))).unwrap();
    }
    let program = env!("CARGO_BIN_EXE_kubectl-exeunt");
    // The processor's time on one core: what other work a machine has does not count.
    let status = Command::new(program).arg("check").arg(&directory).stdout(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(1));
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    // One document, which cannot be read in pieces, and a finding for each Job of it.
    let (list, jobs) = one_list();
    let place = directory.join("list.yaml");
    std::fs::write(&place, &list).unwrap();
    let output = Command::new(program).arg("check").arg(&place).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().matches("Job/n never ends").count(), jobs);
    // The most that any child has taken: the directory takes less.
    let long = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss() as f64 / 1024.0;
    std::fs::remove_dir_all(&directory).unwrap();
    let time = |of: nix::sys::time::TimeVal| of.tv_sec() as f64 + of.tv_usec() as f64 / 1e6;
    let seconds = time(usage.user_time()) + time(usage.system_time());
    let memory = usage.max_rss() as f64 / 1024.0;
    let text = std::fs::read(here("../examples/kubernetes/several-sidecars.yaml")).unwrap();
    let file = File::read("pod.yaml", text).unwrap();
    let read = scenarios(&file, &[]).unwrap();
    let played = (0..20).map(|_| {
        let start = Instant::now();
        assert_eq!(rehearse(&read[0].scenario).ends(), Some(true));
        start.elapsed().as_secs_f64() * 1e3
    });
    let rehearsal = played.fold(f64::MAX, f64::min);
    let size = std::fs::metadata(program).unwrap().len() as f64 / 1e6;
    let rows = [
        (format!("check: a directory of {MANY} manifests, one core"), format!("{seconds:.1} s"), "2 s", seconds < 2.0),
        ("check: memory for that".to_owned(), format!("{memory:.0} MiB"), "64 MiB", memory < 64.0),
        (
            format!("check: memory for a List of {} MB, {jobs} Jobs which are all wrong", list.len() / 1_000_000),
            format!("{long:.0} MiB"),
            "64 MiB",
            long < 64.0,
        ),
        ("rehearse: a Pod of three sidecars".to_owned(), format!("{rehearsal:.1} ms"), "10 ms", rehearsal < 10.0),
        ("the binary".to_owned(), format!("{size:.1} MB"), "3 MB", size < 3.0),
    ];
    let mut table = "| | measured | bound |\n|---|---|---|\n".to_owned();
    for (what, measured, bound, _) in &rows {
        table += &format!("| {what} | {measured} | {bound} |\n");
    }
    print!("{table}");
    assert!(rows.iter().all(|(.., held)| *held), "a bound is not held");
    if std::env::var_os("EXEUNT_RENEW").is_some() {
        let page = here("../docs/kubectl-exeunt.md");
        let text = std::fs::read_to_string(&page).unwrap();
        let (before, rest) = text.split_once("<!-- costs -->\n\n").unwrap();
        let (_, after) = rest.split_once("\n\n").unwrap();
        std::fs::write(page, format!("{before}<!-- costs -->\n\n{table}\n{after}")).unwrap();
    }
}
