//! Every way in which main ends: its container has the code, and the sidecar leaves.

use crate::pod::{BOTH, FAILED, LIMIT, TOLD, container, main_job, pair, pair_with, plays, sidecar, spec, with_command};
use crate::pod::{first, main_with};
use crate::row::Row;
use serde_json::json;

#[test]
fn success() {
    plays(&pair(&format!("{BOTH} exit 0")), &["Complete", "job: 0 Completed", TOLD]);
}

#[test]
fn a_code() {
    plays(&pair(&format!("{BOTH} exit 7")), &[FAILED, "job: 7 Error", TOLD, LIMIT]);
}

/// Main ends when the slow look that the sidecar takes every five seconds, whatever its watch says, has just been: who is told by
/// nothing else is four seconds late, each time. A machine that stalls is so once.
#[test]
fn the_sidecar_is_told_at_once() {
    let mut all = Vec::new();
    for _ in 0..3 {
        let Some(row) = Row::new() else { return };
        let over = row.play(&pair(&format!("{BOTH} sleep 6; exit 0")));
        over.says(&["Complete", "job: 0 Completed", TOLD]);
        let later = over.later("sidecar", "job");
        if later.as_secs_f64() < 2.5 {
            return;
        }
        all.push(later);
    }
    panic!("the sidecar ended {all:?} after the job");
}

/// One index a code: those that mean something to a shell, to exeunt or to the kubelet, and the last one.
#[test]
fn codes_that_mean_something_elsewhere() {
    let mut spec = pair(&format!("{BOTH} set -- 1 124 125 128 255; shift \"$JOB_COMPLETION_INDEX\"; exit $1"));
    spec["completionMode"] = json!("Indexed");
    spec["completions"] = json!(5);
    spec["parallelism"] = json!(5);
    spec["backoffLimitPerIndex"] = json!(0);
    spec.as_object_mut().expect("an object").remove("backoffLimit");
    let Some(row) = Row::new() else { return };
    let over = row.play(&spec);
    let expected = ["1", "124", "125", "128", "255"].map(|code| format!("job: {code} Error"));
    let mut lines = vec!["Failed: FailedIndexes"];
    for job in &expected {
        lines.extend(["Pod: Failed", job, TOLD]);
    }
    lines.push("event: FailedIndexes");
    over.says(&lines);
}

#[test]
fn a_signal_of_its_own() {
    // The shell is told by its child: Kubernetes takes one of two dollars away.
    plays(&pair(&format!("{BOTH} sh -c 'kill -SEGV $PPID'; exit 1")), &[FAILED, "job: 139 Error*", TOLD, LIMIT]);
}

#[test]
fn the_program_is_killed() {
    plays(&pair(&format!("{BOTH} sh -c 'kill -KILL $PPID'; exit 1")), &[FAILED, "job: 137 Error*", TOLD, LIMIT]);
}

#[test]
fn out_of_memory() {
    // All of the container's memory is wanted by one program, which the kernel kills; exeunt is still there to say so.
    let spec = pair_with(&format!("{BOTH} exec tail /dev/zero"), |pod| {
        pod["containers"][0]["resources"] = json!({"limits": {"memory": "24Mi"}});
    });
    plays(&spec, &[FAILED, "job: 137 OOMKilled*", TOLD, LIMIT]);
}

/// exeunt itself: nobody is left to say a word, and the sidecar sees it by the lock alone.
#[test]
fn killed_from_the_node() {
    let Some(row) = Row::on_our_node() else { return };
    row.begins(&pair(&format!("{BOTH} echo at work >&2; while :; do sleep 60 & wait; done")));
    let pod = row.hears("job", "at work");
    row.kill(&pod, "job");
    row.ends().says(&[FAILED, "job: 137 Error: at work", TOLD, LIMIT]);
}

#[test]
fn all_of_the_pod_killed_from_the_node() {
    let Some(row) = Row::on_our_node() else { return };
    row.begins(&pair(&format!("{BOTH} echo at work >&2; while :; do sleep 60 & wait; done")));
    let pod = row.hears("job", "at work");
    row.kill(&pod, "sidecar");
    row.kill(&pod, "job");
    row.ends().says(&[FAILED, "sidecar: 137 Error", "job: 137 Error*", LIMIT]);
}

#[test]
fn before_the_sidecar_has_started() {
    let late =
        "until [ -e /tmp/pod/main-job-terminated ]; do sleep 0.1; done; exec exeunt --mode sidecar -- echo served";
    let sidecar = with_command("sidecar", &["/bin/sh", "-c", late]);
    plays(&spec(&[main_job("exit 3"), sidecar]), &[FAILED, "job: 3 Error", "sidecar: 0 Completed*", LIMIT]);
}

#[test]
fn the_sidecar_is_listed_first() {
    plays(&spec(&[sidecar(), main_job(&format!("{BOTH} exit 3"))]), &[FAILED, "job: 3 Error", TOLD, LIMIT]);
}

/// `kubectl describe` shows the reason under Message.
#[track_caller]
fn never_begins(command: &[&str], code: &str, message: &str) {
    let Some(row) = Row::new() else { return };
    let mut command = command.to_vec();
    command.insert(0, "/bin/exeunt");
    let over = row.play(&spec(&[with_command("job", &command), sidecar()]));
    over.says(&[FAILED, &format!("job: {code} Error: exeunt main: {message}"), "sidecar: 0 Completed*", LIMIT]);
    let told = over.status("job")["state"]["terminated"]["message"].as_str().unwrap_or_default();
    assert!(told.contains(message.trim_end_matches('*')), "{told}");
}

#[test]
fn a_command_that_is_not_there() {
    never_begins(
        &["--mode", "main", "--", "/no/such/program"],
        "127",
        "the command \"/no/such/program\" was not found*",
    );
}

#[test]
fn a_command_that_is_not_executable() {
    never_begins(&["--mode", "main", "--", "/etc/passwd"], "126", "the command \"/etc/passwd\" cannot be executed*");
}

#[test]
fn an_option_that_is_wrong() {
    never_begins(&["--mode", "main", "--wait-timeout", "soon", "--", "true"], "125", "*");
}

#[test]
fn a_wait_that_is_in_vain() {
    let options = ["--mode", "main", "--wait-for", "tcp://127.0.0.1:9", "--wait-timeout", "2s", "--", "true"];
    never_begins(&options, "124", "*");
}

/// Of one page, which the init container takes.
#[test]
fn a_volume_that_is_full_before_it_begins() {
    let spec = pair_with(&format!("{BOTH} exit 7"), |pod| {
        pod["volumes"][0]["emptyDir"] = json!({"medium": "Memory", "sizeLimit": "64Ki"});
        let fill = "dd if=/dev/zero of=/tmp/pod/all bs=4k 2>/dev/null; touch /tmp/pod/serving; echo full >&2";
        pod["initContainers"] = json!([first(&["/bin/sh", "-c", fill])]);
    });
    plays(&spec, &[FAILED, "first: 0 Completed: full", "job: 125 Error*", "sidecar: 0 Completed*", LIMIT]);
}

#[test]
fn a_volume_that_fills_up_in_mid_run() {
    let spec = pair_with(&format!("{BOTH} dd if=/dev/zero of=/tmp/pod/all bs=4k 2>/dev/null; exit 7"), |pod| {
        pod["volumes"][0]["emptyDir"] = json!({"medium": "Memory", "sizeLimit": "64Ki"});
    });
    plays(&spec, &[FAILED, "job: 7 Error", TOLD, LIMIT]);
}

/// Main has nothing to write into: the sidecars cannot know, and their own limit ends them.
#[test]
fn a_volume_that_main_may_only_read() {
    let mut main = main_job("exit 7");
    main["volumeMounts"][0]["readOnly"] = json!(true);
    let sidecar = container("sidecar", &["--mode", "sidecar", "--absence-timeout", "3s"], crate::pod::SERVER);
    plays(&spec(&[main, sidecar]), &[FAILED, "job: 125 Error*", "sidecar: 124 Error: told to stop", LIMIT]);
}

#[test]
fn a_volume_that_the_sidecar_may_only_read() {
    let Some(row) = Row::new() else { return };
    let line = "trap 'echo told to stop >&2; exit 0' TERM; echo it serves >&2; while :; do sleep 60 & wait; done";
    let mut sidecar = container("sidecar", &["--mode", "sidecar"], line);
    sidecar["volumeMounts"][0]["readOnly"] = json!(true);
    row.begins(&spec(&[main_job("until [ -e /tmp/pod/go ]; do sleep 0.1; done; exit 7"), sidecar]));
    let pod = row.hears("sidecar", "it serves");
    row.lets_go(&pod);
    row.ends().says(&[FAILED, "job: 7 Error", TOLD, LIMIT]);
}

/// What the job has left behind in its container does not hold up its end.
#[test]
fn with_orphans_that_go_on() {
    let main = main_with(&[], &format!("{BOTH} (trap '' TERM HUP; sleep 1000) & exit 6"));
    plays(&spec(&[main, sidecar()]), &[FAILED, "job: 6 Error", TOLD, LIMIT]);
}
