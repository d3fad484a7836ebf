//! Every life of a Pod: what the rehearsal says of Pods whose ends are known from Kubernetes itself.

use kubectl_exeunt::judge::rehearse::{PodEnd, Rehearsal, rehearse, svg, text};
use kubectl_exeunt::judge::scenarios;
use kubectl_exeunt::yaml::File;
use std::process::{Command, Output, Stdio};

fn play(yaml: &str) -> Rehearsal {
    let file = File::read("test.yaml", yaml.as_bytes().to_vec()).unwrap();
    let read = scenarios(&file, &[]).unwrap();
    rehearse(&read[0].scenario)
}

/// A Job of two containers: `load` is the job, `proxy` the helper.
fn job(pod: &str, load: &str, proxy: &str) -> Rehearsal {
    play(&format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: nightly}}\nspec:\n  template:\n    metadata: \
         {{annotations: {{exeunt.dev/main: load}}}}\n    spec:\n      {pod}\n      volumes: [{{name: pod, emptyDir: {{}}}}]\n      \
         containers:\n      - {{name: load, image: a, {load}}}\n      - {{name: proxy, image: b, {proxy}}}\n"
    ))
}

const MOUNT: &str = "volumeMounts: [{name: pod, mountPath: /tmp/pod}]";

fn main_job(options: &str) -> String {
    format!("command: [/x/exeunt, --mode, main{options}, --, load], {MOUNT}")
}

fn sidecar(options: &str) -> String {
    format!("command: [exeunt, --mode, sidecar{options}, --, proxy], {MOUNT}")
}

/// The ends of the row of this name: the Pod, and the codes of the containers.
fn ends(rehearsal: &Rehearsal, what: &str) -> Vec<(PodEnd, Vec<Option<u8>>)> {
    let row = rehearsal.rows.iter().find(|row| row.what == what).unwrap_or_else(|| panic!("{what}: {rehearsal:#?}"));
    let mut ends: Vec<_> = row.endings.iter().map(|ending| (ending.pod, ending.codes.clone())).collect();
    ends.dedup();
    ends
}

fn breaks(rehearsal: &Rehearsal, promise: &str) -> bool {
    rehearsal.rows.iter().any(|row| row.broken.iter().any(|broken| broken.promise.name == promise))
}

fn nothing_breaks(rehearsal: &Rehearsal) {
    let broken: Vec<_> = rehearsal.rows.iter().flat_map(|row| &row.broken).collect();
    assert!(broken.is_empty(), "{broken:#?}");
    assert_eq!(rehearsal.ends(), Some(true), "{}", text(rehearsal));
}

#[test]
fn a_bare_helper_runs_on_whatever_the_job_does() {
    let played = job("restartPolicy: Never", "command: [load]", "command: [proxy]");
    for what in ["load exits 0", "load exits 1..255", "load is killed, out of memory"] {
        assert!(ends(&played, what).iter().all(|(pod, _)| *pod == PodEnd::RunsOn), "{what}");
    }
    assert_eq!(played.ends(), Some(false));
    assert!(breaks(&played, "pod-ends"));
}

#[test]
fn wrapped_they_leave_together() {
    let played = job("restartPolicy: Never", &main_job(""), &sidecar(""));
    nothing_breaks(&played);
    assert_eq!(ends(&played, "load exits 0"), [(PodEnd::Succeeded, vec![Some(0), Some(0)])]);
    assert_eq!(ends(&played, "load exits 1..255"), [(PodEnd::Failed, vec![Some(1), Some(0)])]);
    assert_eq!(ends(&played, "load is killed, out of memory"), [(PodEnd::Failed, vec![Some(137), Some(0)])]);
    assert_eq!(ends(&played, "proxy fails first"), [(PodEnd::Failed, vec![Some(0), Some(1)])]);
    assert_eq!(ends(&played, "load never starts"), [(PodEnd::RunsOn, vec![None, None])]);
}

#[test]
fn a_main_that_cannot_go_on_alone_is_stopped_with_its_partner() {
    let played = job("restartPolicy: Never", &main_job(", --stop-with, proxy"), &sidecar(", --name, proxy"));
    nothing_breaks(&played);
    let ends = ends(&played, "proxy fails first");
    assert!(ends.contains(&(PodEnd::Failed, vec![Some(143), Some(1)])), "{ends:?}");
}

#[test]
fn the_code_that_the_user_asked_for() {
    let with_main = job("restartPolicy: Never", &main_job(""), &sidecar(", --exit-with, main, --name, p"));
    let ends_of = ends(&with_main, "load exits 1..255");
    assert!(ends_of.contains(&(PodEnd::Failed, vec![Some(1), Some(1)])), "{ends_of:?}");
    // A child that answers SIGTERM with 143 fails a job that has passed.
    let with_child = job("restartPolicy: Never", &main_job(""), &sidecar(", --exit-with, child"));
    assert!(breaks(&with_child, "passed-job-passes"));
}

#[test]
fn a_variable_of_the_manifest_counts_as_its_flag() {
    let child = format!("env: [{{name: EXEUNT_EXIT_WITH, value: child}}], {}", sidecar(""));
    assert!(breaks(&job("restartPolicy: Never", &main_job(""), &child), "passed-job-passes"));
    let flag = format!("env: [{{name: EXEUNT_EXIT_WITH, value: child}}], {}", sidecar(", --exit-with, zero"));
    nothing_breaks(&job("restartPolicy: Never", &main_job(""), &flag));
}

#[test]
fn a_retry_has_its_sidecar_if_the_policy_is_mirrored() {
    nothing_breaks(&job("restartPolicy: OnFailure", &main_job(", --restart-policy, on-failure"), &sidecar("")));
    // Not mirrored: the sidecar leaves at the first failure, and the second attempt is alone.
    let wrong = job("restartPolicy: OnFailure", &main_job(""), &sidecar(""));
    assert!(breaks(&wrong, "helper-stays"), "{}", text(&wrong));
    assert!(breaks(&wrong, "retry-has-its-helpers"), "{}", text(&wrong));
    // The other way round: it waits for an attempt that never comes.
    let wrong = job("restartPolicy: Never", &main_job(", --restart-policy, on-failure"), &sidecar(""));
    assert!(ends(&wrong, "load exits 1..255").iter().any(|(pod, _)| *pod == PodEnd::RunsOn), "{}", text(&wrong));
}

#[test]
fn a_directory_that_is_not_shared_ends_nobody() {
    let alone = "command: [exeunt, --mode, sidecar, --, proxy]";
    let played = job("restartPolicy: Never", &main_job(""), alone);
    assert!(breaks(&played, "pod-ends"));
    // Another name, another part of the same volume: the same.
    let other_name = job("restartPolicy: Never", &main_job(", --name, other"), &sidecar(""));
    assert!(breaks(&other_name, "pod-ends"));
    let below =
        "command: [exeunt, --mode, sidecar, --, proxy], volumeMounts: [{name: pod, mountPath: /tmp/pod, subPath: x}]";
    assert!(breaks(&job("restartPolicy: Never", &main_job(""), below), "pod-ends"));
}

#[test]
fn a_helper_of_its_own_restart_policy_never_ends() {
    let always = format!("restartPolicy: Always, {}", sidecar(""));
    let played = job("restartPolicy: Never", &main_job(""), &always);
    assert!(breaks(&played, "pod-ends"), "{}", text(&played));
}

#[test]
fn restart_all_containers_meets_the_end_of_the_round_before() {
    let rules = "restartPolicy: Never, restartPolicyRules: [{action: RestartAllContainers, exitCodes: {operator: In, values: [42]}}]";
    let load = format!("{rules}, {}", main_job(""));
    let played = job("restartPolicy: Never", &load, &sidecar(""));
    assert!(breaks(&played, "helper-stays"), "{}", text(&played));
    let reset = "initContainers: [{name: reset, image: x, command: [/exeunt, reset], volumeMounts: [{name: pod, mountPath: /tmp/pod}]}]";
    let played = job(&format!("restartPolicy: Never\n      {reset}"), &load, &sidecar(""));
    nothing_breaks(&played);
}

#[test]
fn native_sidecars_end_with_the_pod_and_do_not_count() {
    let played = play(
        "kind: Job\nmetadata: {name: n}\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      initContainers:\n      \
         - {name: proxy, image: envoy, restartPolicy: Always}\n      containers: [{name: load, image: a}]\n",
    );
    nothing_breaks(&played);
    assert_eq!(ends(&played, "load exits 0"), [(PodEnd::Succeeded, vec![Some(143), Some(0)])]);
    assert!(ends(&played, "proxy fails first").iter().all(|(pod, _)| *pod == PodEnd::Succeeded));
}

#[test]
fn a_deadline_is_an_end_but_not_a_good_one() {
    let played = job("restartPolicy: Never\n      activeDeadlineSeconds: 60", "command: [load]", "command: [proxy]");
    assert!(ends(&played, "load exits 0").iter().all(|(pod, _)| *pod == PodEnd::Stopped));
    assert_eq!(played.ends(), Some(false));
    assert!(text(&played).contains("stopped as failed after 60 s"));
}

#[test]
fn a_failing_init_container_fails_the_pod() {
    let init = "initContainers: [{name: setup, image: x}]";
    let played = job(&format!("restartPolicy: Never\n      {init}"), &main_job(""), &sidecar(""));
    assert_eq!(ends(&played, "setup exits 1..255"), [(PodEnd::Failed, vec![Some(1), None, None])]);
}

#[test]
fn a_usual_pod_is_a_small_world() {
    let played = job("restartPolicy: Never", &main_job(""), &sidecar(""));
    assert!(played.worlds < 1000, "{}", played.worlds);
    assert!(played.rows.iter().all(|row| !row.cut));
}

#[test]
fn a_drawing_says_what_the_text_says() {
    let played = job("restartPolicy: Never", "command: [load]", "command: [proxy]");
    let drawing = svg(&played);
    assert!(drawing.starts_with("<svg") && drawing.trim_end().ends_with("</svg>"));
    for step in played.rows.iter().find_map(|row| row.broken.first()).unwrap().steps.iter() {
        assert!(drawing.contains(step.as_str()) && text(&played).contains(step.as_str()), "{step}");
    }
}

fn run(arguments: &[&str], input: &str) -> Output {
    use std::io::Write as _;
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-exeunt"))
        .arg("rehearse")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn what_cannot_be_played_is_one_line() {
    for (input, wanted) in [
        ("kind: Service\n", "no Job, CronJob or Pod"),
        ("kind: Job\nmetadata: {name: a}\nspec: {{ .Values.x }}\n", "helm template"),
        (
            "kind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c, command: [exeunt, --mode, main, --grace, x, --, y]}]}\n",
            "container c: --grace",
        ),
    ] {
        let output = run(&["-"], input);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{complaint}");
        assert!(output.stdout.is_empty());
        assert!(complaint.contains(wanted) && complaint.lines().count() == 1, "{complaint}");
    }
}

#[test]
fn the_facts_as_json() {
    let manifest = "kind: Job\nmetadata: {name: a}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: x}]}}}\n";
    let output = run(&["--format", "json", "-"], manifest);
    assert_eq!(output.status.code(), Some(0));
    let facts: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(facts["objects"][0]["object"], "Job/a");
    assert_eq!(facts["objects"][0]["ends"], true);
    assert_eq!(facts["objects"][0]["lives"][0]["endings"][0]["codes"][0], 0);
}

/// Whatever way exeunt is put in by, the Pod then ends in every life in which its job ends.
#[test]
fn what_inject_writes_ends() {
    let bare = "kind: Job\nmetadata: {name: n}\nspec:\n  template:\n    spec:\n      restartPolicy: POLICY\n      containers:\n      \
                - {name: load, image: a, command: [load]}\n      - {name: proxy, image: b, command: [proxy]}\n";
    for policy in ["Never", "OnFailure"] {
        for deliver in ["init", "image", "path"] {
            let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-exeunt"))
                .args(["inject", "--main", "load", "--deliver", deliver, "-"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let input = bare.replace("POLICY", policy);
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            nothing_breaks(&play(std::str::from_utf8(&output.stdout).unwrap()));
        }
    }
}

#[test]
fn restart_rules_are_mirrored_by_restart_on() {
    let rules =
        "restartPolicy: Never, restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [42]}}]";
    let right = format!("{rules}, {}", main_job(", --restart-on, '42'"));
    nothing_breaks(&job("restartPolicy: Never", &right, &sidecar("")));
    let wrong = format!("{rules}, {}", main_job(""));
    assert!(breaks(&job("restartPolicy: Never", &wrong, &sidecar("")), "retry-has-its-helpers"));
}

#[test]
fn a_sidecar_gives_up_a_job_that_never_comes() {
    let played = job("restartPolicy: Never", &main_job(""), &sidecar(", --absence-timeout, 5m"));
    nothing_breaks(&played);
    assert_eq!(ends(&played, "load never starts"), [(PodEnd::RunsOn, vec![None, Some(124)])]);
    // It may have to be told twice: an attempt that is promised and never comes.
    let load = main_job(", --restart-policy, on-failure");
    let played = job("restartPolicy: Never", &load, &sidecar(", --absence-timeout, 5m"));
    assert!(ends(&played, "load exits 1..255").iter().all(|(pod, _)| *pod == PodEnd::Failed), "{}", text(&played));
}

/// The well-known recipe: a trap makes a file, and the helper's shell looks for it.
#[test]
fn the_recipe_with_a_file_ends_all_but_a_kill() {
    let load = format!("command: [sh, -c, \"trap 'touch /tmp/pod/over' EXIT; /load\"], {MOUNT}");
    let proxy = format!("command: [sh, -c, 'while ! [ -f /tmp/pod/over ]; do sleep 1; done'], {MOUNT}");
    let played = job("restartPolicy: Never", &load, &proxy);
    assert_eq!(ends(&played, "load exits 0"), [(PodEnd::Succeeded, vec![Some(0), Some(0)])]);
    assert_eq!(ends(&played, "load exits 1..255"), [(PodEnd::Failed, vec![Some(1), Some(0)])]);
    assert_eq!(ends(&played, "load is killed, out of memory"), [(PodEnd::RunsOn, vec![Some(137), None])]);
    assert_eq!(played.ends(), Some(false));
    // The file stays: a retry has no helper.
    let again = job("restartPolicy: OnFailure", &load, &proxy);
    assert_eq!((again.ends(), breaks(&again, "retry-has-its-helpers")), (Some(true), true));
    // Another file, another directory of the volume: nobody ends.
    let other = proxy.replace("mountPath: /tmp/pod", "mountPath: /tmp/pod, subPath: x");
    let lost = job("restartPolicy: Never", &load, &other);
    assert_eq!(ends(&lost, "load exits 0"), [(PodEnd::RunsOn, vec![Some(0), None])]);
}

#[test]
fn a_call_is_made_on_the_exits_on_which_the_script_makes_it() {
    let proxy = "command: [envoy]";
    let played = |script: &str| {
        let load = format!("command: [sh, -c, \"{script}\"]");
        let played = job("restartPolicy: Never", &load, proxy);
        ["load exits 0", "load exits 1..255"].map(|what| {
            let mut all: Vec<_> = ends(&played, what).into_iter().map(|(pod, _)| pod).collect();
            all.dedup();
            all
        })
    };
    use PodEnd::{Failed, RunsOn, Succeeded};
    let quit = "curl -XPOST localhost:9901/quitquitquit";
    assert_eq!(played(&format!("/load; {quit}")), [vec![Succeeded], vec![Failed]]);
    assert_eq!(played(&format!("/load && {quit}")), [vec![Succeeded], vec![RunsOn]]);
    // It exits 0 whether the job has passed or the call has.
    assert_eq!(played(&format!("/load || {quit}")), [vec![RunsOn, Succeeded], vec![Failed]]);
    let sometimes = played(&format!("/load; if [ -n $X ]; then {quit}; fi"));
    assert_eq!(sometimes, [vec![RunsOn, Succeeded], vec![RunsOn, Failed]]);
    assert_eq!(played(&format!("exec /load; {quit}")), [vec![RunsOn], vec![RunsOn]]);
    // The wrong port, and a signal that crosses no border.
    assert_eq!(played("/load; curl -XPOST localhost:1/quitquitquit"), [vec![RunsOn], vec![RunsOn]]);
    assert_eq!(played("/load; pkill envoy"), [vec![RunsOn], vec![RunsOn]]);
}

#[test]
fn a_bare_file_is_an_end_to_the_exeunt_that_looks_for_it() {
    let load = format!("command: [sh, -c, \"/load; touch /tmp/pod/main-job-terminated\"], {MOUNT}");
    let played = job("restartPolicy: Never", &load, &sidecar(""));
    assert_eq!(ends(&played, "load exits 0"), [(PodEnd::Succeeded, vec![Some(0), Some(0)])]);
    assert_eq!(ends(&played, "load is killed, out of memory"), [(PodEnd::RunsOn, vec![Some(137), None])]);
}

#[test]
fn a_main_that_cannot_write_ends_nobody() {
    let load = main_job("").replace("mountPath: /tmp/pod", "mountPath: /tmp/pod, readOnly: true");
    let played = job("restartPolicy: Never", &load, &sidecar(""));
    assert_eq!(ends(&played, "load exits 0"), [(PodEnd::RunsOn, vec![Some(125), None])]);
}

#[test]
fn what_may_be_a_helper_is_played_as_one_too() {
    let played = play(
        "kind: Job\nmetadata: {name: n}\nspec: {template: {spec: {restartPolicy: Never, containers: [\
         {name: a, image: x, command: [/a]}, {name: b, image: x, command: [/b]}]}}}\n",
    );
    assert_eq!(ends(&played, "a exits 0"), [(PodEnd::Succeeded, vec![Some(0), Some(0)])]);
    assert_eq!(ends(&played, "b is a helper, no job"), [(PodEnd::RunsOn, vec![Some(0), None])]);
}

/// The kubelet asks each on its own, and whoever is asked later may have seen the other leave.
#[test]
fn a_deletion_reaches_one_after_the_other() {
    let played = job("restartPolicy: Never", &main_job(""), &sidecar(""));
    let all = ends(&played, "the Pod is deleted");
    for sidecar in [0, 143] {
        assert!(all.contains(&(PodEnd::Gone, vec![Some(143), Some(sidecar)])), "{all:?}");
    }
}

/// Who is killed has failed, but what does not end by itself does not end: a deadline only stops it.
#[test]
fn a_deadline_after_a_kill_is_no_end_either() {
    let load = format!("command: [sh, -c, \"trap 'touch /tmp/pod/over' EXIT; /load\"], {MOUNT}");
    let proxy = format!("command: [sh, -c, 'while ! [ -f /tmp/pod/over ]; do sleep 1; done'], {MOUNT}");
    let played = job("restartPolicy: Never\n      activeDeadlineSeconds: 60", &load, &proxy);
    assert_eq!(ends(&played, "load is killed, out of memory"), [(PodEnd::Stopped, vec![Some(137), Some(143)])]);
    assert_eq!((played.ends(), breaks(&played, "pod-ends")), (Some(false), true));
}
