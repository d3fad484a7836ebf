//! docs/reference.md is compared with the program: the usage block, and every table that a user acts on.

#[path = "house/here.rs"]
mod here;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const EXEUNT: &str = env!("CARGO_BIN_EXE_exeunt");

#[test]
fn the_usage_block_is_what_help_prints() {
    let block = section("## Usage").split("```\n").nth(1).expect("a fenced block under ## Usage").to_owned();
    assert_eq!(block, help());
}

#[test]
fn the_option_table_has_the_options_of_help_in_their_order_and_with_their_defaults() {
    let in_readme: Vec<_> = options().into_iter().map(|option| (option.flag, option.default)).collect();
    let in_help: Vec<_> =
        options_of_help().into_iter().filter(|(flag, _)| flag != "help" && flag != "version").collect();
    assert_eq!(in_readme, in_help);
}

/// A bad value for an option is a panic: redboxllc/scuttle#38, redboxllc/scuttle#40, redboxllc/scuttle#41.
#[test]
fn each_option_has_its_variable_and_a_bad_value_in_it_is_named() {
    let here = Directory::new("variables");
    for option in options() {
        let variable = format!("EXEUNT_{}", option.flag.to_uppercase().replace('-', "_"));
        assert_eq!(option.variable, variable);
        let missing = here.path.join("missing");
        let (bad, named) = match option.flag.as_str() {
            // Nothing that can be written is wrong for a path; the directory itself is named when it is not there.
            "dir" => (missing.to_str().unwrap(), missing.to_str().unwrap()),
            _ => ("://\u{1}", variable.as_str()),
        };
        let mode = if option.meaning.starts_with("Sidecar:") { "sidecar" } else { "main" };
        let mut command = exeunt();
        command.env("EXEUNT_MODE", mode).env("EXEUNT_DIR", &here.path).env(&variable, bad).args(["--", "true"]);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(125), "{variable}: {}", told(&output));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(named) && said.lines().count() == 1, "{variable}: {said}");
        // Nothing was begun; but the sidecars of a main that has failed must not wait for ever.
        let ended = fs::read_to_string(here.path.join("main-job-terminated"));
        assert!(
            ended.is_ok_and(|record| record.contains("\"exit_code\":125"))
                || !files(&here.path).iter().any(|file| file.starts_with("main-job")),
            "{variable}"
        );
    }
}

#[test]
fn options_of_one_mode_are_mistakes_as_flags_of_the_other_and_passed_over_as_variables() {
    let here = Directory::new("modes");
    let of = |word: &str| options().into_iter().filter(|option| option.meaning.starts_with(word)).collect::<Vec<_>>();
    let (main, sidecar) = (of("Main:"), of("Sidecar:"));
    assert!(!main.is_empty() && !sidecar.is_empty());
    // Main first: it leaves the sentinel by which the sidecars after it end at once.
    for (mode, others) in [("main", sidecar), ("sidecar", main)] {
        for other in others {
            let mut flag = vec![format!("--{}", other.flag)];
            if !switches().contains(&other.flag) && !takes_its_value_after_equals(&other.flag) {
                flag.push("x".to_owned());
            }
            let output =
                exeunt().args(["--mode", mode]).arg("--dir").arg(&here.path).args(&flag).args(["--", "true"]).output();
            let output = output.unwrap();
            assert_eq!(output.status.code(), Some(125), "{flag:?}: {}", told(&output));
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains(&format!("--{} belongs to --mode", other.flag)), "{flag:?}: {said}");

            let mut command = exeunt();
            command.args(["--mode", mode]).arg("--dir").arg(&here.path).env(&other.variable, "x").args(["--", "true"]);
            let output = command.output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{}: {}", other.variable, told(&output));
        }
    }
}

#[test]
fn every_exit_code_of_the_table_is_the_program_s() {
    let here = Directory::new("codes");
    let run = |options: &[&str], command: &[&str]| {
        let mut exeunt = exeunt();
        exeunt.args(["--mode", "main"]).arg("--dir").arg(&here.path).args(options).arg("--").args(command);
        exeunt.output().unwrap().status.code().unwrap()
    };
    let mut seen = BTreeSet::new();
    for row in table("### Exit codes") {
        let code = row[0].as_str();
        match code {
            "0–255" => {
                for expected in [0, 1, 124, 125, 255] {
                    assert_eq!(run(&[], &["sh", "-c", &format!("exit {expected}")]), expected);
                }
            }
            "128 + n" => assert_eq!(run(&[], &["sh", "-c", "kill -TERM $$"]), 128 + 15),
            "124" => assert_eq!(run(&["--wait-for", "file:///nowhere/x", "--wait-timeout", "10ms"], &["true"]), 124),
            "125" => assert_eq!(run(&["--nonsense"], &["true"]), 125),
            "126" => assert_eq!(run(&[], &["/"]), 126),
            "127" => assert_eq!(run(&[], &["/nowhere/x"]), 127),
            other => panic!("docs/reference.md has an exit code that this test does not know: {other}"),
        }
        seen.insert(code.to_owned());
    }
    assert_eq!(seen.len(), 6, "{seen:?}");
    for code in ["124", "125", "126", "127"] {
        assert!(help().contains(code), "--help does not mention {code}");
    }
}

#[test]
fn the_files_of_the_table_are_the_files_of_a_life() {
    let here = Directory::new("files");
    let script = format!(
        "cd '{}'; for _ in $(seq 1000); do [ -e it-ready ] && break; sleep 0.01; done; ls",
        here.path.display()
    );
    let mut command = exeunt();
    command.args(["--mode", "main", "--name", "it", "--dir"]).arg(&here.path).args(["--", "sh", "-c", &script]);
    let output = command.output().unwrap();
    succeeded(&output);
    let mut seen: BTreeSet<_> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    seen.extend(files(&here.path));
    let documented: BTreeSet<_> =
        table("## The shared directory").iter().map(|row| code(&row[0]).replace("NAME", "it")).collect();
    assert_eq!(seen, documented);
    assert_eq!(files(&here.path), BTreeSet::from(["it-terminated".to_owned()]));
}

#[test]
fn the_record_has_the_keys_that_the_reference_lists() {
    let here = Directory::new("record");
    let text = section("## The shared directory");
    let start = text.find("shows `protocol`").expect("the list of keys");
    let list = &text[start..start + text[start..].find('.').unwrap()];
    let documented: BTreeSet<_> = list.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let mut seen = BTreeSet::new();
    for script in ["exit 3", "kill -KILL $$"] {
        let mut command = exeunt();
        command.args(["--mode", "main", "--run-id", "17", "--dir"]).arg(&here.path).args(["--", "sh", "-c", script]);
        command.output().unwrap();
        let record = fs::read_to_string(here.path.join("main-job-terminated")).unwrap();
        assert_eq!(record.lines().count(), 1, "one line: {record:?}");
        let record: BTreeMap<String, serde_json::Value> = serde_json::from_str(&record).unwrap();
        seen.extend(record.into_keys());
    }
    assert_eq!(seen, documented);
}

/// What an observer concludes, row by row, as `exeunt status` tells it. The rules behind it have their own tests.
#[test]
fn what_an_observer_concludes_is_what_status_says() {
    let rows = table("What a sidecar concludes");
    let documented: Vec<_> = rows.iter().map(|row| code(&row[4])).collect();
    let mut seen = Vec::new();
    for (terminated, running) in [
        (Some(""), None),
        (None, None),
        (None, Some(("never", Lock::Held))),
        (None, Some(("never", Lock::Free))),
        (None, Some(("on-failure", Lock::Free))),
    ] {
        let here = Directory::new("observer");
        let mut owner = None;
        if let Some((policy, lock)) = running {
            let mut child = Live::main(&here.path, policy);
            if matches!(lock, Lock::Free) {
                child.kill();
            }
            owner = Some(child);
        }
        if let Some(content) = terminated {
            fs::write(here.path.join("main-job-terminated"), content).unwrap();
        }
        seen.push(status_of(&here.path, "main-job").unwrap_or_else(|| "not started".to_owned()));
        drop(owner);
    }
    assert_eq!(seen, documented);
}

#[test]
fn every_condition_of_the_table_is_understood() {
    let here = Directory::new("conditions");
    let mut kinds = 0;
    for row in table("### Conditions") {
        let condition =
            code(&row[0]).replace("HOST:PORT", "127.0.0.1:1").replace("PATH", "nowhere/x").replace("COMMAND", "false");
        let output = exeunt().args(["probe", "--dir"]).arg(&here.path).arg(&condition).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{condition} does not hold, and is understood: {}", told(&output));
        assert!(String::from_utf8_lossy(&output.stderr).contains(&condition), "{}", told(&output));
        kinds += 1;
    }
    assert_eq!(kinds, 6);
}

#[test]
fn the_mesh_table_has_the_addresses_that_the_program_uses() {
    let rows = table("### Sidecars that cannot be wrapped");
    assert_eq!(rows.len(), 4);
    // Side by side, because each goodbye tries for a while.
    std::thread::scope(|scope| {
        for row in &rows {
            let here = Directory::new("mesh");
            scope.spawn(move || {
                let mut command = exeunt();
                command.args(["--mode", "main", "--wait-timeout", "300ms", "--mesh", &code(&row[0]), "--dir"]);
                let output = command.arg(&here.path).args(["--", "true"]).output().unwrap();
                assert_eq!(output.status.code(), Some(124), "{}: {}", row[0], told(&output));
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(said.contains(&code(&row[1])), "{}: {said}", row[0]);
                assert!(said.contains(&format!("POST {}", code(&row[2]))), "{}: {said}", row[0]);
            });
        }
    });
}

#[test]
fn every_path_of_the_repository_that_a_document_names_is_there() {
    let mut named = 0;
    for document in ["README.md", "CHANGELOG.md", "docs/design.md", "docs/reference.md"] {
        let text = here::read(document);
        let words = text.split(|c: char| c.is_whitespace() || "()[]`'\",;:".contains(c));
        for word in words.map(|word| word.trim_end_matches('.')) {
            let ours = ["examples/", "docs/", "src/", "tests/", "benches/", "LICENSE-"];
            let word = word.split('#').next().unwrap_or_default();
            if ours.iter().any(|start| word.starts_with(start)) {
                assert!(here::path(word).exists(), "{document} names {word}, which is not there");
                named += 1;
            }
        }
    }
    assert!(named > 10, "only {named} paths were found in the documents; is this test still looking at them?");
}

#[test]
fn every_anchor_in_a_page_leads_somewhere() {
    let slug = |heading: &str| {
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
    };
    let headings = |page: &Path| -> BTreeSet<_> {
        let text = fs::read_to_string(page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        let lines = text.lines().filter_map(|line| line.strip_prefix('#'));
        lines.map(|line| slug(line.trim_start_matches('#').trim())).collect()
    };
    for page in PAGES {
        let at = here::path(page);
        let text = here::read(page);
        let mut seen = 0;
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { at.clone() } else { at.parent().unwrap().join(file) };
            assert!(target.exists(), "{page}: {link} leads nowhere");
            if !anchor.is_empty() {
                assert!(headings(&target).contains(anchor), "{page}: {link} is none of {:?}", headings(&target));
            }
            seen += 1;
        }
        assert!(seen > 0, "{page} has no link");
    }
}

/// Who comes first must not have to scroll; who comes back looks a heading up.
#[test]
fn the_readme_is_short_and_the_long_pages_list_their_headings() {
    assert!(here::read("README.md").lines().count() <= 150);
    for page in &PAGES[1..] {
        let text = here::read(page);
        let chapters = text.lines().filter_map(|line| line.strip_prefix("## "));
        for chapter in chapters {
            assert!(text.contains(&format!("- [{chapter}](#")), "{page}: {chapter} is not in its list of contents");
        }
    }
}

/// The README, and the pages that begin with a list of what is in them.
const PAGES: [&str; 13] = [
    "README.md",
    "docs/reference.md",
    "docs/troubleshooting.md",
    "docs/migrating.md",
    "docs/messages.md",
    "docs/kubernetes.md",
    "docs/kubectl-exeunt.md",
    "docs/rules.md",
    "docs/design.md",
    "docs/reliability.md",
    "docs/performance.md",
    "SECURITY.md",
    "CONTRIBUTING.md",
];

struct Documented {
    flag: String,
    variable: String,
    default: Option<String>,
    meaning: String,
}

fn options() -> Vec<Documented> {
    let rows = table("## Usage");
    let row = |row: Vec<String>| Documented {
        flag: code(&row[0]).trim_start_matches("--").to_owned(),
        variable: code(&row[1]),
        default: Some(row[2].replace('`', "")).filter(|default| !default.is_empty()),
        meaning: row[3].clone(),
    };
    rows.into_iter().map(row).collect()
}

/// The options that help shows, in its order, with the default that stands in brackets at the end of the description.
fn options_of_help() -> Vec<(String, Option<String>)> {
    let help = help();
    let mut entries: Vec<String> = Vec::new();
    for line in help.lines().skip_while(|line| *line != "Options:") {
        let text = line.trim_start();
        if text.starts_with("--") || (text.starts_with('-') && text.contains(", --")) {
            entries.push(text.to_owned());
        } else if line.starts_with("        ") {
            let entry = entries.last_mut().expect("an option before its description");
            entry.push(' ');
            entry.push_str(text);
        }
    }
    let split = |entry: &String| {
        let flag: String = entry[entry.find("--").unwrap() + 2..]
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '-')
            .collect();
        let default = entry.strip_suffix(']').and_then(|text| text.rsplit_once('[')).map(|(_, text)| text.to_owned());
        (flag, default)
    };
    entries.iter().map(split).collect()
}

fn switches() -> BTreeSet<String> {
    let with_value: BTreeSet<_> = help().lines().filter(|line| line.contains('<')).filter_map(flag_in).collect();
    options().into_iter().map(|option| option.flag).filter(|flag| !with_value.contains(flag)).collect()
}

fn takes_its_value_after_equals(flag: &str) -> bool {
    help().contains(&format!("--{flag}[="))
}

fn flag_in(line: &str) -> Option<String> {
    let rest = &line[line.find("--")? + 2..];
    Some(rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect())
}

enum Lock {
    Held,
    Free,
}

/// A main whose job has said that it runs.
struct Live {
    child: std::process::Child,
}

impl Live {
    fn main(dir: &Path, policy: &str) -> Self {
        let mut command = exeunt();
        command.args(["--mode", "main", "--restart-policy", policy, "--dir"]).arg(dir);
        command.args(["--", "sh", "-c", "echo up; exec sleep 600"]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let mut said = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut said, &mut line).unwrap();
        assert_eq!(line, "up\n");
        Self { child }
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.kill();
    }
}

fn status_of(dir: &Path, name: &str) -> Option<String> {
    let output = exeunt().args(["status", "--json", "--dir"]).arg(dir).output().unwrap();
    succeeded(&output);
    let lines: Vec<BTreeMap<String, serde_json::Value>> = serde_json::from_slice(&output.stdout).unwrap();
    lines.iter().find(|line| line["name"] == name).map(|line| line["state"].as_str().unwrap().to_owned())
}

fn exeunt() -> Command {
    let mut command = Command::new(EXEUNT);
    for (key, _) in std::env::vars_os() {
        if key.as_encoded_bytes().starts_with(b"EXEUNT_") {
            command.env_remove(key);
        }
    }
    command.stdin(Stdio::null());
    command
}

fn help() -> String {
    let output = exeunt().arg("--help").output().unwrap();
    succeeded(&output);
    String::from_utf8(output.stdout).unwrap()
}

/// The text from a line that begins so to the next heading of the same rank or a higher one.
fn section(start: &str) -> String {
    let reference = here::read("docs/reference.md");
    let rank = start.chars().take_while(|c| *c == '#').count();
    let lines = reference.lines().skip_while(|line| !line.starts_with(start));
    let mut fenced = false;
    let mut text = String::new();
    for (at, line) in lines.enumerate() {
        fenced ^= line.starts_with("```");
        let heading = if fenced { 0 } else { line.chars().take_while(|c| *c == '#').count() };
        if at > 0 && heading > 0 && heading <= rank.max(1) {
            break;
        }
        text.push_str(line);
        text.push('\n');
    }
    assert!(!text.is_empty(), "docs/reference.md has no line that begins with {start:?}");
    text
}

/// The cells of the first table after a line that begins so, without its head.
fn table(start: &str) -> Vec<Vec<String>> {
    let reference = here::read("docs/reference.md");
    let lines = reference.lines().skip_while(|line| !line.starts_with(start));
    let rows = lines.skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|')).skip(2);
    let cells = |row: &str| {
        row.trim_matches('|').split(" |").map(|cell| cell.trim_start_matches('|').trim().to_owned()).collect()
    };
    let rows: Vec<Vec<String>> = rows.map(cells).collect();
    assert!(!rows.is_empty(), "docs/reference.md has no table under {start:?}");
    rows
}

/// The text between the first pair of backticks.
fn code(cell: &str) -> String {
    cell.split('`').nth(1).unwrap_or_else(|| panic!("no code in {cell:?}")).to_owned()
}

fn files(dir: &Path) -> BTreeSet<String> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn succeeded(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", told(output));
}

fn told(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    format!("{}\n--- standard output\n{out}\n--- standard error\n{err}", output.status)
}

/// A directory of the test's own, gone with it.
struct Directory {
    path: PathBuf,
}

impl Directory {
    fn new(name: &str) -> Self {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("exeunt-docs-{}-{number}-{name}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self { path }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
