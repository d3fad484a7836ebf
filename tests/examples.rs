//! Everything under `examples/` is run as its head says, or as near to it as a machine without a cluster allows.

#[path = "house/here.rs"]
mod here;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

const EXEUNT: &str = env!("CARGO_BIN_EXE_exeunt");

#[test]
fn the_demonstration_shows_what_it_claims() {
    let output = script("examples/demo.sh", EXEUNT.as_ref()).output().unwrap();
    succeeded(&output);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.ends_with("All as claimed.\n"), "{said}");
}

/// The negative control: a demonstration that cannot fail shows nothing.
#[test]
fn the_demonstration_fails_when_the_job_s_exit_code_is_lost() {
    let here = Directory::new("liar");
    let output = script("examples/demo.sh", here.liar().as_os_str()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("0, and it should be 3"), "{said}");
    assert!(!said.contains("All as claimed."), "{said}");
}

#[test]
fn the_job_fetches_its_pages_through_the_real_envoy_and_both_leave() {
    let Some(envoy) = here::envoy() else { return };
    let output = script("examples/envoy/run.sh", EXEUNT.as_ref()).env("ENVOY", &envoy).output().unwrap();
    succeeded(&output);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("job: fetched 10 pages"), "{said}");
    assert!(said.contains("envoy: GET /pages/10 -> service 127.0.0.1:"), "{said}");
    assert!(said.contains("stopping"), "exeunt has not said why Envoy was stopped: {said}");
}

/// The negative control: the same Envoy, and no word of it of what it has done.
#[test]
fn the_envoy_example_fails_when_envoy_has_not_seen_the_requests() {
    let Some(envoy) = here::envoy() else { return };
    let here = Directory::new("mute");
    let mute = here.program("envoy", &format!("exec '{}' \"$@\" >/dev/null", envoy.display()));
    let output = script("examples/envoy/run.sh", EXEUNT.as_ref()).env("ENVOY", mute).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("It should be 0, 0 and 10."), "{}", told(&output));
}

#[test]
fn without_envoy_the_example_says_where_to_get_it() {
    let output = script("examples/envoy/run.sh", EXEUNT.as_ref()).env("ENVOY", "/nowhere/envoy").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("there is no /nowhere/envoy here; the head of this file says how to get one"), "{said}");
}

/// A manifest is copied before it is understood, so every option in it must be one that the program takes.
#[test]
fn the_commands_of_every_manifest_leave_together() {
    for manifest in ["README.md", "examples/job.yaml", "examples/envoy/job.yaml", "examples/compose/compose.yaml"] {
        let here = Directory::new("manifest");
        let mut commands = commands_of(manifest);
        commands.retain(|command| command.iter().all(|word| word != "install"));
        assert_eq!(commands.len(), 2, "{manifest}: {commands:?}");
        for command in &commands {
            assert!(command[0].ends_with("exeunt"), "{manifest}: {command:?}");
            let end = command.iter().position(|word| word == "--").expect("exeunt's options end at --");
            let options = without_gate(&command[1..end]);
            assert!(command.len() > end + 1, "{manifest}: no command after --");
            let output = exeunt(&options).arg("--dir").arg(&here.path).args(["--", "true"]).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{manifest}: {options:?}: {}", told(&output));
        }
        assert!(here.path.join("main-job-terminated").exists(), "{manifest}: the main container left no sentinel");
    }
}

/// Whoever reads the Job's policy and whoever runs the job must agree on it.
#[test]
fn the_restart_policies_of_the_jobs_are_the_ones_that_main_is_told() {
    for manifest in ["examples/job.yaml", "examples/envoy/job.yaml"] {
        let text = here::read(manifest);
        let pod = text.lines().find_map(|line| line.trim().strip_prefix("restartPolicy: ")).expect("a restartPolicy");
        let main = commands_of(manifest).into_iter().find(|words| words.contains(&"main".into())).expect("a main");
        let told = main.iter().position(|word| word == "--restart-policy").map(|at| main[at + 1].as_str());
        match pod {
            "Never" => assert!(matches!(told, None | Some("never")), "{manifest}: {told:?}"),
            "OnFailure" => assert_eq!(told, Some("on-failure"), "{manifest}"),
            other => panic!("{manifest}: a Job's restartPolicy cannot be {other}"),
        }
    }
}

#[test]
fn docker_compose_accepts_the_compose_file_and_wants_the_run_to_be_named() {
    let Some(compose) = here::program("docker-compose", "docker-compose") else { return };
    let mut config = Command::new(compose);
    config.args(["-f", "examples/compose/compose.yaml", "config"]).current_dir(here::path("")).env_remove("RUN");
    let output = config.output().unwrap();
    assert_ne!(output.status.code(), Some(0), "{}", told(&output));
    assert!(told(&output).contains("say first - export RUN=17"), "{}", told(&output));
    let output = config.env("RUN", "17").output().unwrap();
    succeeded(&output);
    assert_eq!(String::from_utf8_lossy(&output.stdout).matches("EXEUNT_RUN_ID: '17'").count(), 2, "{}", told(&output));
}

#[test]
fn every_example_says_in_its_head_how_to_run_it() {
    let heads = BTreeMap::from([
        ("examples/demo.sh", "examples/demo.sh"),
        ("examples/job.yaml", "kubectl apply -f examples/job.yaml"),
        ("examples/envoy/run.sh", "examples/envoy/run.sh"),
        ("examples/envoy/mesh.sh", "examples/envoy/mesh.sh"),
        ("examples/envoy/job.sh", "job.sh [URL]"),
        ("examples/envoy/job.yaml", "kubectl apply -f examples/envoy/job.yaml"),
        ("examples/envoy/Dockerfile", "docker build -t exeunt-envoy --target envoy examples/envoy"),
        ("examples/compose/Dockerfile", "docker build -t exeunt-example examples/compose"),
        ("examples/compose/compose.yaml", "docker-compose -f examples/compose/compose.yaml up"),
    ]);
    for (file, command) in heads {
        let text = here::read(file);
        let head: String =
            text.lines().take_while(|line| line.starts_with('#')).map(|line| format!("{line}\n")).collect();
        assert!(head.contains(command), "{file} does not say: {command}\n{head}");
    }
}

/// There is no Envoy here to be waited for. That its condition is one the program takes is shown by its complaint when the
/// time is up.
fn without_gate(options: &[String]) -> Vec<String> {
    let Some(at) = options.iter().position(|word| word == "--wait-for") else { return options.to_vec() };
    let here = Directory::new("gate");
    let mut impatient = exeunt(options);
    impatient.args(["--wait-timeout", "0", "--dir"]).arg(&here.path).args(["--", "true"]);
    let output = impatient.output().unwrap();
    assert_eq!(output.status.code(), Some(124), "{options:?}: {}", told(&output));
    [&options[..at], &options[at + 2..]].concat()
}

/// The words of each container's `command`, and of the `args` after it. The manifests write both as JSON lists, which
/// YAML allows, so that they can be read here without a YAML parser.
fn commands_of(manifest: &str) -> Vec<Vec<String>> {
    let text = here::read(manifest);
    let mut commands: Vec<Vec<String>> = Vec::new();
    for (at, _) in text.match_indices('\n') {
        let rest = text[at..].trim_start();
        for key in ["command: ", "args: "] {
            let Some(list) = rest.strip_prefix(key) else { continue };
            let mut values = serde_json::Deserializer::from_str(list).into_iter::<Vec<String>>();
            let words = values.next().unwrap().unwrap_or_else(|error| panic!("{manifest}: {key}{error}"));
            match (key, commands.last_mut()) {
                ("args: ", Some(command)) => command.extend(words),
                _ => commands.push(words),
            }
        }
    }
    commands
}

fn exeunt(options: &[String]) -> Command {
    let mut command = Command::new(EXEUNT);
    without_settings(&mut command).args(options).stdin(Stdio::null());
    command
}

fn script(path: &str, program: &OsStr) -> Command {
    let mut command = Command::new(here::path(path));
    without_settings(&mut command).env("EXEUNT", program).stdin(Stdio::null()).current_dir("/");
    command
}

/// The shell of the developer may set some of our variables.
fn without_settings(command: &mut Command) -> &mut Command {
    for (key, _) in std::env::vars_os() {
        if key.as_encoded_bytes().starts_with(b"EXEUNT_") {
            command.env_remove(key);
        }
    }
    command
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
        let path = std::env::temp_dir().join(format!("exeunt-examples-{}-{number}-{name}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self { path }
    }

    fn program(&self, name: &str, script: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// The program with a fault planted: a job that would end with 3 ends with 0 (the demonstration gives the code last).
    fn liar(&self) -> PathBuf {
        let script = format!(
            "exec bash -c '[[ ${{@: -1}} != 3 ]] || set -- \"${{@:1:$#-1}}\" 0; exec {EXEUNT} \"$@\"' liar \"$@\""
        );
        self.program("exeunt", &script)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
